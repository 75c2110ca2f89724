from pathlib import Path

import pytest
from tests.core.data.pictures import plain_paintings, write

from brushwork.data.open import check_data, open_data, open_source
from brushwork.data.preparation import prepare
from brushwork.errors import BrushworkError


def test_a_mistyped_folder_is_not_looked_for_on_the_hub(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    with pytest.raises(BrushworkError, match="no folder data/landscpes; `data` must be a folder"):
        open_source("data/landscpes")


def test_open_data_prepares_a_source_once(tmp_path: Path, monkeypatch):
    first = open_data("synthetic:5", cache=tmp_path)
    assert len(first) == 5
    monkeypatch.setattr(
        "brushwork.data.open.prepare", lambda *_, **__: pytest.fail("prepared again")
    )
    assert open_data("synthetic:5", cache=tmp_path).fingerprint == first.fingerprint


def test_open_data_takes_prepared_data_as_it_is(prepared_folder: Path):
    assert open_data(str(prepared_folder)).folder == prepared_folder


def test_a_changed_source_is_prepared_anew(tmp_path: Path):
    write(tmp_path / "in", "Monet/a.png", size=(60, 40))
    assert len(open_data(str(tmp_path / "in"), cache=tmp_path / "cache")) == 1
    write(tmp_path / "in", "Monet/b.png", size=(60, 40))
    assert len(open_data(str(tmp_path / "in"), cache=tmp_path / "cache")) == 2
    write(tmp_path / "in", "Monet/b.png", size=(90, 70), colour="blue")
    paintings = open_data(str(tmp_path / "in"), cache=tmp_path / "cache")
    assert {paintings.image(row).size for row in range(2)} == {(60, 40), (90, 70)}


def test_data_is_checked_without_decoding_or_downloading(
    tmp_path: Path, prepared_folder: Path, monkeypatch
):
    for name in ("prepare", "wikiart"):
        monkeypatch.setattr(f"brushwork.data.open.{name}", lambda *_, **__: pytest.fail("work"))
    write(tmp_path / "in", "Monet/a.png")
    (tmp_path / "empty").mkdir()
    for data in (tmp_path / "in", prepared_folder, "synthetic:5", "nobody/nothing", "a/b:small"):
        check_data(str(data))
    for data in (tmp_path / "empty", tmp_path / "nowhere", "nowhere", "synthetic:many", "a" * 300):
        with pytest.raises(BrushworkError):
            check_data(str(data))


def test_what_a_source_leaves_out_is_said(tmp_path: Path):
    write(tmp_path / "in", *(f"images/Monet/{number}.png" for number in range(5)))
    write(tmp_path / "in", "images/MONET/6.png", "images/Monet/._0.png")
    for name in ("a.jpg", "b.jpg", "notes.txt"):
        (tmp_path / "in" / "images" / "Monet" / name).write_bytes(b"no picture")
    paintings = open_data(str(tmp_path / "in"), cache=tmp_path / "cache")
    line, *notes = paintings.describe().splitlines()
    assert line.startswith("in: 6 paintings used, 4 left out (2 not a picture")
    assert "1 a hidden file" in line
    assert line.endswith(f"; listed in {paintings.folder}/rejected.csv)")
    assert notes == [
        "note: the folder 'images' contains all others, so it is not taken as an artist",
        "note: artist 'MONET' becomes 'Monet'",
    ]
    with (paintings.folder / "rejected.csv").open(encoding="utf-8") as file:
        assert len(file.readlines()) == 1 + 4


def test_nothing_left_out_is_said_too(prepared_folder: Path):
    described = open_data(str(prepared_folder)).describe()
    assert described == "synthetic: 80 paintings used, 0 left out"


def test_paintings_that_must_be_enlarged_are_said(tmp_path: Path):
    write(tmp_path / "in", "Monet/1.png")
    prepare(open_source(str(tmp_path / "in")), tmp_path / "out", side=64)
    paintings = open_data(str(tmp_path / "out"))
    assert "enlarged" not in paintings.describe(64)
    _, note = paintings.describe(128).splitlines()
    assert "a short side of 64 pixels and are enlarged to 128; prepare_data.py --side 128" in note


def test_long_and_unusual_names_of_folders_are_opened(tmp_path: Path):
    for name in ("a" * 255, "葛" * 80, "in [x] *?{a,b}~"):
        write(tmp_path / name, f"Monet/{'b' * 250}.png", "Monet [2]/*.png")
        assert len(open_data(str(tmp_path / name), cache=tmp_path / "cache")) == 2


def test_an_impossible_name_is_one_sentence():
    for name in ("a" * 256, "a\0b"):
        with pytest.raises(BrushworkError, match="too long or has a null byte"):
            open_source(name)


# A process of its own, because this one has threads.
OPEN_TWICE = """
import os, sys
from brushwork.data.open import open_data
process = os.fork()
paintings = open_data(sys.argv[1], cache=sys.argv[2])
print(paintings.fingerprint, paintings.pixels(16).mean(), flush=True)
if process == 0:
    os._exit(0)
sys.exit(os.waitpid(process, 0)[1])
"""


def test_several_processes_may_open_at_once(tmp_path: Path, forked):
    plain_paintings(tmp_path / "in", 200)
    ended = forked.run("-c", OPEN_TWICE, tmp_path / "in", tmp_path / "cache")
    assert ended.returncode == 0, ended.stderr
    paintings = open_data(str(tmp_path / "in"), cache=tmp_path / "cache")
    one = f"{paintings.fingerprint} {paintings.pixels(16).mean()}\n"
    assert ended.stdout == 2 * one
