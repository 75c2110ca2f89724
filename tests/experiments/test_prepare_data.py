import csv
import subprocess
import sys
from pathlib import Path

import datasets
import pytest
from PIL import Image

from brushwork.errors import BrushworkError, report_errors
from experiments.prepare_data import Config

SCRIPT = Path(__file__).parents[2] / "experiments" / "prepare_data.py"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "paintings"
    for artist, count in {"Claude Monet": 6, "Edgar Degas": 3}.items():
        (folder / artist).mkdir(parents=True)
        for number in range(count):
            Image.new("RGB", (50, 40), (number, 0, 0)).save(folder / artist / f"{number}.jpg")
    (folder / "Edgar Degas" / "broken.jpg").write_bytes(b"broken")
    return folder


def test_it_prepares_what_datasets_loads_and_accounts_for_every_row(
    source: Path, tmp_path: Path, run_script, capsys
):
    out = tmp_path / "out"
    command = [sys.executable, SCRIPT, "--data", source, "--out", out, "--side", "32"]
    ended = subprocess.run([*command, "--workers", "1"], capture_output=True, text=True, check=True)
    assert "paintings: 10 paintings by 2 artists" in ended.stdout
    assert "10 rows = 9 prepared + 1 rejected + 0 missing + 0 not selected" in ended.stdout
    assert f"listed in {out / 'rejected.csv'}, with the reasons:\n" in ended.stdout
    assert "1  not a picture" in ended.stdout
    assert "paintings/s" in ended.stdout
    loaded = datasets.load_dataset(str(out), cache_dir=str(tmp_path / "cache"))
    assert loaded["train"].num_rows + loaded["test"].num_rows == 9
    with (out / "rejected.csv").open(newline="") as file:
        assert [row["source"] for row in csv.DictReader(file)] == ["Edgar Degas/broken.jpg"]

    run_script("prepare_data", "--data", source, "--out", out, "--side", 32)
    assert "is prepared already" in capsys.readouterr().out


def test_filters_say_what_they_left(source: Path, tmp_path: Path, run_script, capsys):
    artists = ["--artist", "claude monet", "--artist", "edgar degas"]
    out = tmp_path / "out"
    run_script(
        "prepare_data",
        *("--data", source, "--out", out, *artists, "--min-paintings", 5, "--workers", 1),
    )
    printed = capsys.readouterr().out
    assert "--artist 'claude monet' --artist 'edgar degas': 10 paintings by 2 artists" in printed
    assert "--min-paintings 5: 6 paintings by 1 artist\n" in printed
    assert "4 not selected" in printed
    filters = "--artist 'claude monet' --artist 'edgar degas' --min-paintings 5"
    assert f"selected by {filters}." in (out / "README.md").read_text()


def test_list_prints_counts_and_writes_nothing(source: Path, tmp_path: Path, run_script, capsys):
    run_script("prepare_data", "--data", source, "--list", "artists", "--out", tmp_path / "out")
    printed = capsys.readouterr().out
    assert printed.splitlines()[1:] == ["      6  Claude Monet", "      4  Edgar Degas"]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--artist", "Monet"], "no artist 'Monet'; did you mean 'Claude Monet' (6)?"),
        (["--min-paintings", "99"], "lower --min-paintings"),
        (["--side", "0"], "--side is 0;"),
        (["--workers", "0"], "--workers is 0;"),
    ],
)
def test_mistakes_are_one_sentence_and_leave_nothing(
    source, tmp_path, run_script, capsys, arguments, sentence
):
    out = tmp_path / "new" / "out"
    with pytest.raises(SystemExit) as ended, report_errors(Config):
        run_script("prepare_data", "--data", source, "--out", out, *arguments)
    assert ended.value.code == 1
    message = capsys.readouterr().err
    assert message.startswith("error: ")
    assert message.count("\n") == 1
    assert sentence in message
    assert not (tmp_path / "new").exists()


def test_a_folder_that_holds_something_else_is_refused(source: Path, run_script):
    with pytest.raises(BrushworkError, match="contains other files; pass an empty or new folder"):
        run_script("prepare_data", "--data", source, "--out", source)
