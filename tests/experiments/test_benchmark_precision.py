"""The comparison of precisions: each number against the same measurement by other means."""

import re
import shutil

import numpy as np
import pytest

from brushwork import runtime
from brushwork.checkpoint import load_config
from brushwork.data.prepared import open_prepared
from brushwork.errors import BrushworkError
from brushwork.export import change_precision
from brushwork.files import write_json


@pytest.fixture
def renamed(checkpoints, exports, prepared_folder, tmp_path):
    """The tiny classifier and its export, with artists of the prepared paintings."""
    table = open_prepared(prepared_folder).table
    artists = sorted(table.loc[table["split"] == "test", "artist"].unique())[:3]
    for name, folder in (("before", checkpoints["classifier"]), ("after", exports["classifier"])):
        shutil.copytree(folder, tmp_path / name)
        config = load_config(folder) | {"artists": artists}
        write_json(tmp_path / name / "config.json", config)
    return tmp_path / "before", tmp_path / "after"


def numbers(printed, metric):
    """The four columns of a metric, for each table that has it."""
    lines = re.findall(rf"^{metric} +(.*)$", printed, re.MULTILINE)
    return [[float(cell.strip("*").replace(",", "")) for cell in line.split()] for line in lines]


def test_precisions_are_compared_with_torch(
    checkpoints, exports, renamed, prepared_folder, run_script, monkeypatch, capsys
):
    before, after = renamed
    # The exports exist already; making them takes seconds.
    ready = {before: after, checkpoints["modern"]: exports["modern"]}
    monkeypatch.setattr(
        "experiments.benchmark_precision.export",
        lambda folder, out, _precision: shutil.copytree(ready[folder], out),
    )
    run_script(
        "benchmark_precision",
        *("--data", prepared_folder, "--classifier", before, "--num-fakes", 40),
        *("--generators", checkpoints["modern"]),
    )
    printed = capsys.readouterr().out
    assert len(re.findall("torch +fp32 +fp16 +int8", printed)) == 2
    of_answers, of_pixels = numbers(printed, "largest_difference")
    for torch, fp32, fp16, int8 in (of_answers, of_pixels):
        assert torch == 0 and fp32 <= 1e-4 < int8 and fp32 < fp16 < int8
    [top1] = numbers(printed, "top1")
    assert top1[0] == top1[1] and all(0 <= share <= 1 for share in top1)
    for space in ("texture", "pixels"):
        [distances] = numbers(printed, f"frechet_{space}")
        assert distances[1] == pytest.approx(distances[0], rel=1e-2) and min(distances) > 0
    for _, fp32, fp16, int8 in numbers(printed, "megabytes"):
        assert fp32 > fp16 > int8


def test_an_export_cannot_be_the_reference(exports, prepared_folder, run_script):
    with pytest.raises(BrushworkError, match="is exported already; pass the checkpoint"):
        run_script(
            "benchmark_precision",
            *("--data", prepared_folder, "--classifier", "", "--generators", exports["dcgan"]),
        )


def test_another_precision_of_an_export_opens(exports, tmp_path):
    change_precision(exports["dcgan"], tmp_path / "int8", "int8")
    one, other = (
        runtime.PaintingGenerator.from_pretrained(folder).paint(np.ones((1, 100), np.float32))
        for folder in (exports["dcgan"], tmp_path / "int8")
    )
    assert 0 < np.abs(one - other).max() < 0.5
    assert load_config(tmp_path / "int8")["graphs"]["precision"] == "int8"
