import csv
import subprocess
import sys
from pathlib import Path

import datasets
import pytest
from PIL import Image

SCRIPT = Path(__file__).parents[2] / "experiments" / "prepare_data.py"


def run(*arguments: object, check: bool = True) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=check)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "paintings"
    for artist, count in {"Claude Monet": 6, "Edgar Degas": 3}.items():
        (folder / artist).mkdir(parents=True)
        for number in range(count):
            Image.new("RGB", (50, 40), (number, 0, 0)).save(folder / artist / f"{number}.jpg")
    (folder / "Edgar Degas" / "broken.jpg").write_bytes(b"broken")
    return folder


def test_it_prepares_what_datasets_loads_and_accounts_for_every_row(source: Path, tmp_path: Path):
    out = tmp_path / "out"
    said = run("--data", source, "--out", out, "--side", 32, "--workers", 1).stdout
    assert "paintings: 10 paintings by 2 artists" in said
    assert "10 rows = 9 prepared + 1 rejected + 0 missing + 0 not selected" in said
    assert "1  not a picture" in said
    assert "paintings/s" in said
    loaded = datasets.load_dataset(str(out), cache_dir=str(tmp_path / "cache"))
    assert loaded["train"].num_rows + loaded["test"].num_rows == 9
    with (out / "rejected.csv").open(newline="") as file:
        assert [row["source"] for row in csv.DictReader(file)] == ["Edgar Degas/broken.jpg"]

    again = run("--data", source, "--out", out, "--side", 32).stdout
    assert "is prepared already" in again


def test_filters_say_what_they_left(source: Path, tmp_path: Path):
    arguments = ["--artist", "claude monet", "--artist", "edgar degas", "--min-paintings", 5]
    said = run("--data", source, "--out", tmp_path / "out", *arguments, "--workers", 1).stdout
    assert "--artist 'claude monet' --artist 'edgar degas': 10 paintings by 2 artists" in said
    assert "--min-paintings 5: 6 paintings by 1 artist\n" in said
    assert "4 not selected" in said


def test_list_prints_counts_and_writes_nothing(source: Path, tmp_path: Path):
    said = run("--data", source, "--list", "artists", "--out", tmp_path / "out").stdout
    assert said.splitlines()[1:] == ["      6  Claude Monet", "      4  Edgar Degas"]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--artist", "Monet"], "no artist 'Monet'; did you mean 'Claude Monet' (6)?"),
        (["--min-paintings", "99"], "lower --min-paintings"),
        (["--side", "0"], "--side 0,"),
    ],
)
def test_mistakes_are_one_sentence_and_leave_nothing(source, tmp_path, arguments, sentence):
    ended = run("--data", source, "--out", tmp_path / "new" / "out", *arguments, check=False)
    assert ended.returncode == 1
    assert ended.stderr.startswith("error: ")
    assert sentence in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "new").exists()


def test_a_folder_that_holds_something_else_is_refused(source: Path):
    ended = run("--data", source, "--out", source, check=False)
    assert ended.returncode == 1
    assert "already holds something else; pass another --out" in ended.stderr
