"""Export a checkpoint, and use it with the scripts that take an engine."""

import csv
import io

import numpy as np
import pytest
from PIL import Image

from brushwork import runtime
from brushwork.errors import BrushworkError


def test_the_script_exports_and_tells_the_loss(checkpoints, run_script, tmp_path, capsys):
    run_script("export", checkpoints["dcgan"], "--out", tmp_path / "out")
    told = capsys.readouterr().out
    assert "MB in fp16; compared with torch, pixels in [-1, 1] differ by at most" in told
    (picture,) = runtime.PaintingGenerator.from_pretrained(tmp_path / "out").sample(1)
    assert picture.size == (32, 32)


def test_sample_writes_the_same_pictures_with_either_engine(
    checkpoints, exports, run_script, tmp_path
):
    for flags in (["--seed", 5, "--num", 3], ["--seed", 5, "--mix", 1, 2]):
        run_script("sample", checkpoints["modern"], *flags, "--out", tmp_path / "torch")
        run_script("sample", exports["modern"], *flags, "--out", tmp_path / "onnx")
    names = sorted(file.name for file in (tmp_path / "torch").iterdir())
    assert {"mix.png", "grid.png"} <= {*names}
    for name in names:
        one, other = (np.asarray(Image.open(tmp_path / e / name), int) for e in ("torch", "onnx"))
        assert np.abs(one - other).max() <= 1, name


def test_the_search_of_invert_needs_torch(exports, run_script, tmp_path):
    Image.new("RGB", (40, 40), "red").save(tmp_path / "red.png")
    with pytest.raises(BrushworkError, match="`invert` needs gradients; use `engine` torch"):
        run_script(
            "sample", exports["modern"], "--invert", tmp_path / "red.png", "--engine", "onnx"
        )
    with pytest.raises(BrushworkError, match="holds exported graphs"):
        run_script("sample", exports["modern"], "--invert", tmp_path / "red.png")


def test_identify_writes_the_same_table_with_either_engine(
    checkpoints, exports, run_script, tmp_path
):
    (tmp_path / "in").mkdir()
    for colour in ("red", "green"):
        Image.new("RGB", (70, 50), colour).save(tmp_path / "in" / f"{colour}.png")
    tables = []
    for name, folder in (("torch", checkpoints["classifier"]), ("onnx", exports["classifier"])):
        out = tmp_path / f"{name}.csv"
        run_script("identify", tmp_path / "in", "--classifier", folder, "--out", out)
        tables.append([*csv.DictReader(io.StringIO(out.read_text(encoding="utf-8-sig")))])
        assert (tmp_path / f"{name}.html").read_text().count("data:image/jpeg") == 4
    for row, other in zip(*tables, strict=True):
        assert row["artist_1"] == other["artist_1"]
        assert float(row["probability_1"]) == pytest.approx(float(other["probability_1"]), abs=2e-4)
