import io
import json
import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from tests.core.data.pictures import write

from brushwork.data import prepared as module
from brushwork.data.open import open_source
from brushwork.data.paintings import COLUMNS
from brushwork.data.preparation import prepare
from brushwork.data.prepared import TEXT, open_prepared
from brushwork.errors import BrushworkError


@pytest.fixture
def folder(prepared_folder: Path, tmp_path: Path) -> Path:
    """A copy that a test may write into."""
    return shutil.copytree(
        prepared_folder, tmp_path / "prepared", ignore=shutil.ignore_patterns("pixels")
    )


def test_every_row_s_picture_is_the_one_in_the_parquet_file(prepared_folder: Path):
    paintings = open_prepared(prepared_folder)
    assert [*paintings.table.columns] == [*COLUMNS, "source"]
    assert [*paintings.table.index] == [*range(80)]
    row = 0
    for split in ("train", "test"):
        for file in sorted((prepared_folder / "data").glob(f"{split}-*.parquet")):
            for expected in pq.read_table(file).to_pylist():
                assert paintings.encoded(row) == expected["image"]["bytes"]
                labels = paintings.table.loc[row].to_dict()
                assert labels == {"split": split, **{c: expected[c] for c in TEXT}}
                row += 1
    assert row == len(paintings) == 80


def test_a_painting_is_rgb(prepared_folder: Path):
    image = open_prepared(prepared_folder).image(3)
    assert (image.mode, image.size) == ("RGB", (64, 64))


def test_the_fingerprint_is_of_the_content(folder: Path, prepared_folder: Path, tmp_path: Path):
    assert open_prepared(folder).fingerprint == open_prepared(prepared_folder).fingerprint
    write(tmp_path / "in", "Monet/a.png")
    write(tmp_path / "in", "Monet/b.png")
    for name in ("one", "two"):
        prepare(open_source(str(tmp_path / "in")), tmp_path / name, workers=1, progress=False)
        write(tmp_path / "in", "Monet/b.png", colour="blue")
    assert (
        open_prepared(tmp_path / "one").fingerprint != open_prepared(tmp_path / "two").fingerprint
    )


def test_open_paintings_can_be_sent_to_another_process(prepared_folder: Path):
    paintings = open_prepared(prepared_folder)
    first = paintings.encoded(5)
    sent = pickle.dumps(paintings)
    assert len(sent) < 100_000
    assert pickle.loads(sent).encoded(5) == first


def test_pixels_are_the_paintings_reduced(folder: Path):
    paintings = open_prepared(folder)
    pixels = paintings.pixels(32)
    assert pixels.shape == (80, 32, 32, 3)
    assert pixels.dtype == np.uint8
    assert not pixels.flags.writeable
    for row in (0, 41, 79):
        expected = paintings.image(row).resize((32, 32), Image.Resampling.LANCZOS)
        assert np.abs(pixels[row].astype(int) - np.asarray(expected)).mean() < 2


def test_pixels_are_made_once_for_a_side_and_a_fit(folder: Path, monkeypatch):
    paintings = open_prepared(folder)
    first = np.array(paintings.pixels(16))

    def no(*_):
        raise AssertionError("made again")

    monkeypatch.setattr(module, "square", no)
    assert np.array_equal(open_prepared(folder).pixels(16), first)
    with pytest.raises(AssertionError, match="made again"):
        paintings.pixels(16, "squash")


def test_crop_keeps_the_middle_and_squash_keeps_all(tmp_path: Path):
    image = Image.new("RGB", (300, 100), "white")
    image.paste("red", (0, 0, 100, 100))
    (tmp_path / "in" / "Monet").mkdir(parents=True)
    image.save(tmp_path / "in" / "Monet" / "wide.png")
    image.transpose(Image.Transpose.ROTATE_270).save(tmp_path / "in" / "Monet" / "tall.png")
    prepare(open_source(str(tmp_path / "in")), tmp_path / "out", workers=1, progress=False)
    paintings = open_prepared(tmp_path / "out")
    rows = {Path(source).stem: row for row, source in enumerate(paintings.table["source"])}
    crop, squash = paintings.pixels(30), paintings.pixels(30, "squash")
    for row in rows.values():
        assert crop[row].min() > 200  # the red third is cut off, but for its blurred edge
    assert squash[rows["wide"], 15, 5, 1] < 30
    assert squash[rows["wide"], 15, 25, 1] > 225
    assert squash[rows["tall"], 5, 15, 1] < 30
    assert squash[rows["tall"], 25, 15, 1] > 225


def test_pixels_of_other_proportions_are_the_middle_and_kept_apart(tmp_path: Path):
    image = Image.new("RGB", (120, 200), "white")
    image.paste("red", (0, 0, 120, 50))
    image.paste("blue", (0, 150, 120, 200))
    (tmp_path / "in" / "Monet").mkdir(parents=True)
    image.save(tmp_path / "in" / "Monet" / "tall.png")
    prepare(open_source(str(tmp_path / "in")), tmp_path / "out", workers=1, progress=False)
    paintings = open_prepared(tmp_path / "out")
    wide = paintings.pixels(32, aspect="3:2")  # of 120 x 80 pixels: all white
    assert wide.shape == (1, 32, 48, 3) and wide.min() > 200
    tall = paintings.pixels(32, aspect="2:3")  # of 120 x 180: ends of 40 pixels in colour
    assert tall.shape == (1, 48, 32, 3)
    assert tall[0, 5, 16, 1] < 30 and tall[0, 42, 16, 1] < 30 and tall[0, 24, 16].min() > 200
    whole = paintings.pixels(32, "squash", "3:2")
    assert whole.shape == (1, 32, 48, 3) and whole[0, 4, 24, 1] < 30
    assert paintings.pixels(32).shape == (1, 32, 32, 3)


def test_reduction_does_not_alias(tmp_path: Path):
    # One-pixel stripes average to grey; a filter that skips pixels would show black or white.
    stripes = np.zeros((256, 256, 3), np.uint8)
    stripes[:, ::2] = 255
    (tmp_path / "in" / "Monet").mkdir(parents=True)
    Image.fromarray(stripes).save(tmp_path / "in" / "Monet" / "a.png")
    prepare(open_source(str(tmp_path / "in")), tmp_path / "out", workers=1, progress=False)
    pixels = open_prepared(tmp_path / "out").pixels(32).astype(int)
    assert np.abs(pixels - 127).max() < 10


def test_small_paintings_are_enlarged_to_the_side(tmp_path: Path):
    write(tmp_path / "in", "Monet/a.png", size=(20, 30))
    prepare(open_source(str(tmp_path / "in")), tmp_path / "out", workers=1, progress=False)
    assert open_prepared(tmp_path / "out").pixels(64).shape == (1, 64, 64, 3)


def test_where_the_folder_cannot_be_written_pixels_go_to_the_cache(
    folder: Path, tmp_path: Path, monkeypatch
):
    monkeypatch.setenv("BRUSHWORK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(module, "_is_writable", lambda _: False)
    pixels = open_prepared(folder).pixels(16)
    assert pixels.shape == (80, 16, 16, 3)
    assert not (folder / "pixels").exists()
    assert [*(tmp_path / "cache" / "pixels").rglob("16-crop-*.npy")]


def test_half_written_pixels_are_never_seen(folder: Path, monkeypatch):
    calls = []
    original = module.square

    def stop(*arguments):
        calls.append(arguments)
        if len(calls) == 40:
            raise KeyboardInterrupt
        return original(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(module, "square", stop)
        patch.setattr(module, "ROWS_AT_ONCE", 8)
        with pytest.raises(KeyboardInterrupt):
            open_prepared(folder).pixels(16)
    assert not [*folder.rglob("*.npy")][1:]  # index.npy
    assert open_prepared(folder).pixels(16).shape == (80, 16, 16, 3)


def test_a_fit_that_does_not_exist_is_named(prepared_folder: Path):
    with pytest.raises(BrushworkError, match=r"`fit` is 'stretch'; .* `fit` 'crop' or 'squash'"):
        open_prepared(prepared_folder).pixels(8, "stretch")  # pyright: ignore[reportArgumentType]


def test_a_folder_without_prepared_data_says_how_to_write_it(tmp_path: Path):
    with pytest.raises(BrushworkError, match=r"write it first:\n  uv run experiments/prepare_data"):
        open_prepared(tmp_path)


def test_a_shard_that_was_lost_or_cut_is_noticed(folder: Path):
    shard = next((folder / "data").glob("train-*.parquet"))
    os.truncate(shard, 1000)
    with pytest.raises(BrushworkError, match="is missing or has changed"):
        open_prepared(folder)


@pytest.mark.parametrize("change", [Path.unlink, lambda file: file.write_bytes(b"\x93NUM")])
def test_a_damaged_index_is_one_sentence(folder: Path, change):
    change(folder / "index.npy")
    with pytest.raises(BrushworkError, match=r"is damaged \(.*; delete .* and prepare it again"):
        open_prepared(folder)


def test_a_damaged_shard_of_the_right_size_is_one_sentence(folder: Path):
    shard = next((folder / "data").glob("*.parquet"))
    shard.write_bytes(b"x" * shard.stat().st_size)
    with pytest.raises(BrushworkError, match=r"is damaged \(.*; delete .* and prepare it again"):
        open_prepared(folder)


def test_the_real_paintings_keep_their_bytes(real_paintings: Path, tmp_path: Path):
    paintings = open_source(str(real_paintings))
    some = paintings.selected(paintings.table.iloc[::100])
    prepare(some, tmp_path / "out", progress=False)
    opened = open_prepared(tmp_path / "out")
    for row in range(len(opened)):
        file = real_paintings / opened.table["source"][row]
        assert opened.encoded(row) == file.read_bytes()


def test_the_record_holds_no_path(prepared_folder: Path):
    record = (prepared_folder / "brushwork.json").read_text()
    assert str(prepared_folder.parent) not in record
    assert json.loads(record)["name"] == "synthetic"
    assert Image.open(io.BytesIO(open_prepared(prepared_folder).encoded(0))).format == "JPEG"


def test_data_prepared_before_there_were_notes_opens_with_the_same_rows(folder: Path):
    before = open_prepared(folder)
    record = json.loads((folder / "brushwork.json").read_text(encoding="utf-8"))
    del record["notes"]
    (folder / "brushwork.json").write_text(json.dumps(record), encoding="utf-8")
    after = open_prepared(folder)
    assert after.table.equals(before.table)
    assert after.fingerprint == before.fingerprint
    assert after.notes == ()
    (folder / "rejected.csv").unlink()
    assert after.describe() == "synthetic: 80 paintings used, 0 left out"
