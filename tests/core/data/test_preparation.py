import csv
import errno
import hashlib
import json
import os
import signal
import time
from pathlib import Path

import datasets
import pytest
from tests.core.data.pictures import picture, plain_paintings, write

from brushwork.data import preparation as module
from brushwork.data.decoder_pool import Worker
from brushwork.data.open import open_source
from brushwork.data.preparation import prepare
from brushwork.data.prepared import TEXT, open_prepared
from brushwork.data.selection import select
from brushwork.data.sources.painter_by_numbers import CSV
from brushwork.data.sources.synthetic import synthetic_paintings
from brushwork.errors import BrushworkError

HEADER = "artist,date,genre,style,title,in_train,new_filename"


def digest(folder: Path) -> dict[str, str]:
    """A hash of every file of a folder."""
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


def rejected(folder: Path) -> dict[str, str]:
    with (folder / "rejected.csv").open(newline="", encoding="utf-8") as file:
        return {row["source"]: row["reason"] for row in csv.DictReader(file)}


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Painter-by-Numbers with good, bad, missing and malformed entries."""
    folder = tmp_path / "corpus"
    jpeg, png = picture(), picture(format="PNG")
    files = {
        "good.jpg": jpeg,
        "also good.png": png,
        "png named as.jpg": png,
        "zero.jpg": b"",
        "text.jpg": b"hello",
        "half.jpg": picture(size=(300, 300))[:-200],
        "half.png": png[:-30],
        "noise.jpg": b"\xff\xd8\xff" + bytes(range(256)) * 8,
        "dot.png": picture(size=(1, 1), format="PNG"),
        "ribbon.png": picture(size=(3000, 20), format="PNG"),
        "movie.jpg": b"RIFF\0\0\0\0AVI LIST" + b"\0" * 100,
        "page.jpg": b"<!DOCTYPE html><html></html>",
        "postscript.jpg": b"%!PS-Adobe-3.0 EPSF-3.0\n",
    }
    bomb = bytearray(jpeg)
    frame = bomb.index(b"\xff\xc0")
    bomb[frame + 5 : frame + 9] = b"\xff\x00\xff\x00"
    files["bomb.jpg"] = bytes(bomb)
    (folder / "train").mkdir(parents=True)
    for name, content in files.items():
        (folder / "train" / name).write_bytes(content)
    rows = [f"Monet,1890,landscape,Impressionism,Hay,{n % 3 > 0},{f}" for n, f in enumerate(files)]
    rows += [
        "Monet,1890,landscape,Impressionism,Hay,True,gone.jpg",
        "Monet,1890,landscape,Impressionism,Hay,True,../../../etc/passwd",
        "Monet,1890,landscape,Impressionism,Hay,True,",
        "Monet,1890,landscape,Impressionism,Hay,perhaps,x.jpg",
        "Monet,1890,landscape",
        "Monet,1890,landscape,Impressionism,Hay,True,good.jpg",
    ]
    (folder / CSV).write_text("\n".join([HEADER, *rows]) + "\n")
    return folder


def test_nothing_is_lost_from_a_corpus_of_bad_files_and_rows(corpus: Path, tmp_path: Path):
    record = prepare(open_source(str(corpus)), tmp_path / "out", side=32, workers=2, progress=False)
    assert record["rows"] == 20
    assert (record["prepared"], record["rejected"], record["missing"]) == (3, 16, 1)
    reasons = rejected(tmp_path / "out")
    assert len(reasons) == 17
    assert all(reasons.values())
    assert reasons["train/half.jpg"] == "truncated"
    assert reasons["train/zero.jpg"] == "empty file"
    assert reasons["gone.jpg"] == "missing: no such file"
    loaded = datasets.load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))
    assert loaded["train"].num_rows + loaded["test"].num_rows == 3


def test_datasets_loads_it_as_it_is(prepared_folder: Path, tmp_path: Path):
    loaded = datasets.load_dataset(str(prepared_folder), cache_dir=str(tmp_path))
    assert set(loaded) == {"train", "test"}
    assert isinstance(loaded["train"].features["image"], datasets.Image)
    assert loaded["train"].num_rows + loaded["test"].num_rows == 80
    first = loaded["train"][0]
    assert first["image"].mode == "RGB"
    assert first["artist"]
    assert {*loaded["train"].column_names} == {"image", *TEXT}


def test_it_survives_the_parquet_of_push_to_hub(prepared_folder: Path, tmp_path: Path):
    loaded = datasets.load_dataset(str(prepared_folder), cache_dir=str(tmp_path / "a"))
    for name, split in loaded.items():
        split.to_parquet(tmp_path / "hub" / "data" / f"{name}-00000-of-00001.parquet")
    again = datasets.load_dataset(str(tmp_path / "hub"), cache_dir=str(tmp_path / "b"))
    for name, split in loaded.items():
        assert again[name].features == split.features
        raw = (s.cast_column("image", datasets.Image(decode=False)) for s in (split, again[name]))
        assert [*next(raw)] == [*next(raw)]


def test_a_selection_of_training_paintings_only_loads(tmp_path: Path):
    paintings = plain_paintings(tmp_path / "in", 60)
    train = paintings.selected(select(paintings.table, split="train"))
    record = prepare(train, tmp_path / "out", side=32, workers=1, progress=False)
    assert record["not_selected"] == 60 - record["prepared"] > 0
    loaded = datasets.load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))
    assert set(loaded) == {"train"}


def test_the_result_does_not_depend_on_the_number_of_workers(tmp_path: Path):
    paintings = plain_paintings(tmp_path / "in", 40)
    for number in (1, 3):
        prepare(
            paintings,
            tmp_path / str(number) / "out",
            side=32,
            workers=number,
            rows_per_shard=9,
            progress=False,
        )
    assert digest(tmp_path / "1" / "out") == digest(tmp_path / "3" / "out")


PREPARE = """
import sys
from brushwork.data.open import open_source
from brushwork.data.preparation import prepare
prepare(open_source(sys.argv[1]), sys.argv[2], side=32, workers=1, rows_per_shard=10)
"""


def test_killed_and_resumed_it_ends_with_the_same_bytes(tmp_path: Path, forked):
    source = tmp_path / "source"
    plain_paintings(source, 160)
    (source / "artist 3" / "bad.png").write_bytes(b"no picture")
    out, work = tmp_path / "killed" / "out", tmp_path / "killed" / "out.unfinished"
    done = 0
    for num_more in (1, 3):
        with forked.start("-c", PREPARE, source, out) as process:
            enough, deadline = done + num_more, time.monotonic() + 60
            while done < enough:
                done = len([*(work / "folder" / "data").glob("*.parquet")])
                assert process.poll() is None and time.monotonic() < deadline
                time.sleep(0.001)
            process.kill()
            assert process.wait(60) == -signal.SIGKILL
        assert not out.exists()
    assert 4 <= done < 17

    options = {"side": 32, "workers": 2, "rows_per_shard": 10, "progress": False}
    for folder in (out, tmp_path / "whole" / "out"):
        prepare(open_source(str(source)), folder, **options)
    assert digest(out) == digest(tmp_path / "whole" / "out")
    assert not work.exists()


def test_finished_shards_are_not_decoded_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    decoded: list[int] = []
    original = Worker.decode

    def count(self, rows):
        decoded.extend(rows)
        if len(decoded) > 30:
            raise KeyboardInterrupt
        return original(self, rows)

    paintings = plain_paintings(tmp_path / "in", 50)
    options = {"side": 32, "workers": 1, "rows_per_shard": 10, "progress": False}
    with monkeypatch.context() as patch:
        patch.setattr(Worker, "decode", count)
        with pytest.raises(KeyboardInterrupt):
            prepare(paintings, tmp_path / "out", **options)
    kept = [*(tmp_path / "out.unfinished" / "folder" / "data").glob("*.parquet")]
    assert kept
    times = {file.name: file.stat().st_mtime_ns for file in kept}
    prepare(paintings, tmp_path / "out", **options)
    for name, when in times.items():
        assert (tmp_path / "out" / "data" / name).stat().st_mtime_ns == when


def test_unfinished_work_of_another_job_is_thrown_away(tmp_path: Path, monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    many, few = (plain_paintings(tmp_path / f"in {num}", num) for num in (20, 12))
    with monkeypatch.context() as patch:
        patch.setattr(module, "_finish", stop)
        with pytest.raises(KeyboardInterrupt):
            prepare(many, tmp_path / "out", side=32, workers=1, progress=False)
    prepare(few, tmp_path / "out", side=16, workers=1, progress=False)
    prepare(few, tmp_path / "fresh" / "out", side=16, workers=1, progress=False)
    assert digest(tmp_path / "out") == digest(tmp_path / "fresh" / "out")


def test_prepared_already_is_done_already(prepared_folder: Path):
    before = digest(prepared_folder)
    record = prepare(synthetic_paintings(80), prepared_folder, side=64, workers=1, progress=False)
    assert record["prepared"] == 80
    assert digest(prepared_folder) == before


def test_another_selection_does_not_overwrite(prepared_folder: Path):
    with pytest.raises(BrushworkError, match="prepared from another source, selection or setting"):
        prepare(synthetic_paintings(81), prepared_folder, side=64, progress=False)


def test_another_time_limit_does_not_keep_the_rejections(prepared_folder: Path):
    with pytest.raises(BrushworkError, match="prepared from another source, selection or setting"):
        prepare(synthetic_paintings(80), prepared_folder, side=64, max_seconds=600, progress=False)


def test_a_folder_with_something_else_is_refused(tmp_path: Path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(BrushworkError, match="contains other files"):
        prepare(synthetic_paintings(3), tmp_path, progress=False)
    (tmp_path / "new.unfinished").mkdir()
    (tmp_path / "new.unfinished" / "mine.txt").write_text("mine")
    with pytest.raises(BrushworkError, match=r"new\.unfinished, which contains other files"):
        prepare(synthetic_paintings(3), tmp_path / "new", progress=False)


def test_a_folder_inside_the_source_is_refused(tmp_path: Path):
    paintings = plain_paintings(tmp_path / "in", 3)
    for out in (tmp_path / "in" / "out", tmp_path / "in" / ".." / "in" / "a" / "out"):
        with pytest.raises(BrushworkError, match=r"is inside .*in, which contains the paintings"):
            prepare(paintings, out, side=16, workers=1, progress=False)
    (tmp_path / "link").symlink_to(tmp_path / "in")
    with pytest.raises(BrushworkError, match="pass a folder outside it as `out`"):
        prepare(paintings, tmp_path / "link" / "out", side=16, workers=1, progress=False)
    assert not (tmp_path / "in" / "out").exists()


def test_a_link_or_a_folder_without_a_name_is_refused_before_work(tmp_path: Path, monkeypatch):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    monkeypatch.chdir(tmp_path / "real")
    for out in (tmp_path / "link", "."):
        with pytest.raises(BrushworkError, match="pass the name of a new or empty folder"):
            prepare(synthetic_paintings(3), out, progress=False)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["link", "real"]


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"job": "x", "shards": {}}'])
def test_a_damaged_record_is_one_sentence(tmp_path: Path, content: str):
    paintings, out = plain_paintings(tmp_path / "in", 3), tmp_path / "out"
    prepare(paintings, out, side=16, workers=1, progress=False)
    (out / "brushwork.json").write_text(content)
    with pytest.raises(BrushworkError, match=r"is damaged; delete .*out and prepare it again"):
        prepare(paintings, out, side=16, workers=1, progress=False)
    with pytest.raises(BrushworkError, match=r"is damaged; delete .*out and prepare it again"):
        open_prepared(out)


@pytest.mark.parametrize("length", [230, 244, 255])
def test_a_long_name_of_the_folder_to_write_is_no_problem(tmp_path: Path, length: int):
    out = tmp_path / ("o" * length)
    prepare(plain_paintings(tmp_path / "in", 3), out, side=16, workers=1, progress=False)
    assert (out / "README.md").exists()
    assert {path.name for path in tmp_path.iterdir() if not path.name.startswith(".")} == {
        out.name,
        "in",
    }


def test_the_notes_are_kept_in_the_record_and_the_card(tmp_path: Path):
    write(tmp_path / "in", "Monet/a.png", "Monet/b.png", "MONET/c.png")
    record = prepare(open_source(str(tmp_path / "in")), tmp_path / "out", workers=1, progress=False)
    assert record["notes"] == ["artist 'MONET' becomes 'Monet'"]
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert "\n- artist 'MONET' becomes 'Monet'\n" in card


def test_an_empty_folder_is_filled(tmp_path: Path):
    (tmp_path / "out").mkdir()
    prepare(
        plain_paintings(tmp_path / "in", 3), tmp_path / "out", side=16, workers=1, progress=False
    )
    assert (tmp_path / "out" / "README.md").exists()


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BrushworkError, match=r"cannot write .*out: Not a directory"):
        prepare(synthetic_paintings(3), tmp_path / "file" / "sub" / "out", progress=False)


def test_a_full_disk_is_one_sentence_and_keeps_what_is_done(tmp_path: Path, monkeypatch):
    original, written = module._write_shard, []

    def full(*arguments):
        if written:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written.append(original(*arguments))

    paintings = plain_paintings(tmp_path / "in", 20)
    options = {"side": 16, "workers": 1, "rows_per_shard": 8, "progress": False}
    with monkeypatch.context() as patch:
        patch.setattr(module, "_write_shard", full)
        with pytest.raises(BrushworkError, match="No space left on device; finished work is kept"):
            prepare(paintings, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()
    assert prepare(paintings, tmp_path / "out", **options)["prepared"] == 20


def test_a_source_without_one_readable_picture_is_an_error(tmp_path: Path):
    (tmp_path / "in" / "Monet").mkdir(parents=True)
    (tmp_path / "in" / "Monet" / "a.jpg").write_bytes(b"no")
    with pytest.raises(BrushworkError, match=r"none .* in in can be decoded .*Monet/a\.jpg: not"):
        prepare(open_source(str(tmp_path / "in")), tmp_path / "out", workers=1, progress=False)


def test_a_file_that_goes_away_is_rejected(tmp_path: Path):
    (tmp_path / "in" / "Monet").mkdir(parents=True)
    (tmp_path / "in" / "Monet" / "a.jpg").write_bytes(picture())
    (tmp_path / "in" / "Monet" / "link.jpg").symlink_to("nowhere.jpg")
    (tmp_path / "in" / "Monet" / "unplugged.jpg").write_bytes(picture())
    paintings = open_source(str(tmp_path / "in"))
    (tmp_path / "in" / "Monet" / "unplugged.jpg").unlink()
    prepare(paintings, tmp_path / "out", workers=1, progress=False)
    assert rejected(tmp_path / "out") == {
        "Monet/link.jpg": "No such file or directory",
        "Monet/unplugged.jpg": "No such file or directory",
    }


def test_from_a_dataset_with_a_broken_image(tmp_path: Path):
    features = datasets.Features(
        image=datasets.Image(), artist=datasets.ClassLabel(names=["Monet", "Manet"])
    )
    images = [{"bytes": b, "path": None} for b in (picture(), b"broken", picture("blue"))]
    data = {"image": images, "artist": [0, 0, 1]}
    datasets.Dataset.from_dict(data, features=features).save_to_disk(tmp_path / "saved")
    record = prepare(
        open_source(str(tmp_path / "saved")), tmp_path / "out", workers=1, progress=False
    )
    assert (record["prepared"], record["rejected"]) == (2, 1)
    assert list(rejected(tmp_path / "out")) == ["train/1"]


def test_the_record_counts_every_shard(prepared_folder: Path):
    record = json.loads((prepared_folder / "brushwork.json").read_text())
    assert sum(shard["rows"] for shard in record["shards"].values()) == record["prepared"] == 80
