"""Identify the pictures of a folder with a tiny classifier: the table, the sheet, continuing."""

import csv
import html
import os
import re
import shutil

import numpy as np
import pytest
from filelock import FileLock
from PIL import Image

from brushwork import ArtistClassifier
from brushwork.classifier.identify import Candidate, Guess, Identification
from brushwork.errors import BrushworkError

POSIX = pytest.mark.skipif(os.name != "posix", reason="other systems forbid these names")


@pytest.fixture(scope="module")
def identify(run_script, classifier_folder):
    def identify(folder, out, *flags, classifier=classifier_folder):
        run_script("identify", folder, "--classifier", classifier, "--out", out, *flags)
        return read_table(out)

    return identify


def read_table(out):
    """Read a table as a spreadsheet program does; its rows by the cell of their file."""
    content = out.read_bytes()
    assert content.startswith(b"\xef\xbb\xbf"), "a byte order mark"
    assert content.count(b"\xef\xbb\xbf") == 1
    with out.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file, strict=True))
    assert len({row["file"] for row in rows}) == len(rows)
    return {row["file"]: row for row in rows}


def titles(sheet):
    """List the titles of a contact sheet's figures, each of them on one line."""
    lines = sheet.read_text(encoding="utf-8").split("\n")
    found = [re.match(r'<figure title="([^"]*)">.*</figure>$', line) for line in lines]
    return [html.unescape(title[1]) for title in found if title]


def picture(file, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file)


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "in"
    (folder / "sub").mkdir(parents=True)
    for i in range(5):
        picture(folder / "sub" / f'ä\'s "{i}" <b>.png', seed=i)
    (folder / "broken.jpg").write_bytes(b"\xff\xd8 no")
    (folder / "empty.png").touch()
    return folder


def test_every_picture_file_has_a_row_with_its_artists_or_the_reason(
    identify, folder, classifier_folder, tmp_path
):
    out = tmp_path / "out.csv"
    rows = identify(folder, out, "--batch-size", 2)
    assert len(rows) == 7 and rows["empty.png"]["error"] == "empty file"
    assert rows["broken.jpg"]["error"] and not rows["broken.jpg"]["artist"]
    first = 'sub/ä\'s "0" <b>.png'
    answer = ArtistClassifier.from_pretrained(classifier_folder).identify(folder / first)
    assert rows[first]["artist"] == answer.artist
    assert rows[first]["artist_1"] == answer.candidates[0].artist
    probability = answer.candidates[0].probability
    assert float(rows[first]["probability_1"]) == pytest.approx(probability, abs=1e-3)
    assert b"\r" not in out.read_bytes(), "one line ending"
    assert rows[first]["none_probability"] == "0.0000", "this classifier does not know strangers"
    assert rows[first]["style"] == rows[first]["decade_probability"] == ""


def test_the_table_has_none_style_genre_and_decade(monkeypatch, identify, folder, tmp_path):
    answer = Identification(
        (Candidate("Monet", 0.5), Candidate("Degas", 0.2)), True, 0.3,
        (Guess("Impressionism", 0.8),), (), (Guess("1870s", 0.6),),
    )  # fmt: skip
    monkeypatch.setattr(ArtistClassifier, "identify", lambda _, images, *__: [answer] * len(images))
    monkeypatch.setattr(ArtistClassifier, "explain", lambda *_: np.zeros((4, 4), np.float32))
    row = identify(folder, tmp_path / "out.csv")['sub/ä\'s "0" <b>.png']
    assert row["none_probability"] == "0.3000" and row["probability_2"] == "0.2000"
    assert row["style"] == "Impressionism" and row["style_probability"] == "0.8000"
    assert row["genre"] == "" and row["decade"] == "1870s"
    assert "none of the artists 30%" in (tmp_path / "out.html").read_text(encoding="utf-8")


def test_a_precision_that_the_classifier_does_not_reach_writes_nothing(identify, folder, tmp_path):
    with pytest.raises(BrushworkError, match="no operating points"):
        identify(folder, tmp_path / "out.csv", "--precision", 0.9)
    assert not (tmp_path / "out.csv").exists()


def test_the_sheet_shows_the_unreadable_files_with_the_reason(identify, folder, tmp_path):
    rows = identify(folder, tmp_path / "out.csv")
    sheet = tmp_path / "out.html"
    assert sorted(titles(sheet)) == sorted(rows)
    text = sheet.read_text(encoding="utf-8")
    assert text.count("data:image/jpeg") == 10, "five pictures, and a heat map of each"
    assert 'broken.jpg<br><b class="unreadable">' in text
    assert text.count(html.escape(rows["broken.jpg"]["error"])) == 1


def test_pictures_that_were_done_without_a_sheet_get_their_cards(
    identify, folder, tmp_path, capsys
):
    rows = identify(folder, tmp_path / "out.csv", "--no-sheet")
    assert identify(folder, tmp_path / "out.csv") == rows
    assert sorted(titles(tmp_path / "out.html")) == sorted(rows)
    assert "2 unreadable; 5 done earlier" in capsys.readouterr().out


def test_the_bundled_classifier_is_the_default(run_script, tmp_path):
    (tmp_path / "in").mkdir()
    picture(tmp_path / "in" / "a.png")
    run_script("identify", tmp_path / "in", "--out", tmp_path / "o.csv", "--no-sheet")
    (row,) = read_table(tmp_path / "o.csv").values()
    answer = ArtistClassifier.from_pretrained().identify(tmp_path / "in" / "a.png")
    assert row["artist_1"] == answer.candidates[0].artist


@pytest.mark.parametrize("cut", [3, 40])
def test_a_killed_command_continues_to_the_same_table(identify, folder, tmp_path, cut):
    out = tmp_path / "out.csv"
    identify(folder, out, "--batch-size", 2)
    whole = out.read_bytes()
    lines = whole.splitlines(keepends=True)
    out.write_bytes(b"".join(lines[:4]) + lines[4][:cut])
    identify(folder, out, "--batch-size", 2)
    assert out.read_bytes() == whole
    assert len(titles(tmp_path / "out.html")) == 7


def test_a_file_that_could_not_be_read_is_read_again(identify, folder, tmp_path, capsys):
    mended = tmp_path / "mended"
    shutil.copytree(folder, mended)
    before = identify(mended, tmp_path / "out.csv")
    Image.new("RGB", (30, 20), "red").save(mended / "broken.jpg")
    after = identify(mended, tmp_path / "out.csv")
    assert before["broken.jpg"]["error"] and not after["broken.jpg"]["error"]
    assert list(after) == list(before)
    assert sorted(titles(tmp_path / "out.html")) == sorted(after)
    assert "1 unreadable; 5 done earlier" in capsys.readouterr().out


def test_a_picture_that_was_replaced_is_identified_again(run_script, tmp_path, classifier_folder):
    folder, out = tmp_path / "in", tmp_path / "out.csv"
    folder.mkdir()
    for name, colour in (("a.png", "red"), ("b.png", "white")):
        Image.new("RGB", (30, 20), colour).save(folder / name)
    flags = ["--classifier", classifier_folder, "--out", out]
    run_script("identify", folder, *flags)
    before = read_table(out)
    sheet = out.with_suffix(".html")
    cards = sheet.read_text(encoding="utf-8").splitlines()
    Image.effect_noise((30, 20), 90).save(folder / "a.png")
    os.utime(folder / "a.png", (0, 0))  # as an old file that is copied with its time
    run_script("identify", folder, *flags, "--no-sheet")
    after = read_table(out)
    assert list(after) == ["a.png", "b.png"] and after["b.png"] == before["b.png"]
    assert after["a.png"] != before["a.png"]
    assert titles(sheet) == ["b.png"], "the card of the old picture is gone"
    run_script("identify", folder, *flags)
    assert read_table(out) == after
    assert sorted(titles(sheet)) == ["a.png", "b.png"]
    cards_after = sheet.read_text(encoding="utf-8").splitlines()
    assert len({*cards} & {*cards_after}) == len(cards) - 1


def test_a_table_has_one_writer_at_a_time(identify, folder, tmp_path):
    out = tmp_path / "out.csv"
    with (
        FileLock(tmp_path / ".out.csv.lock"),
        pytest.raises(BrushworkError, match=r"another process is writing .*; wait for it"),
    ):
        identify(folder, out)
    assert len(identify(folder, out)) == 7
    assert sorted(f.name for f in tmp_path.iterdir() if f.is_file()) == [
        *("out.csv", "out.html", "out.json")
    ]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("o.json", '{"my": "metadata"}'),
        ("o.json", "[1, 2]"),
        ("o.json", "{"),
        ("o.html", "<html>my page</html>"),
        ("o.csv", "name,price\nboat,3\n"),
        ("o.csv", "name,price\rboat,3\r"),
        ("o.csv", "one line without an end"),
        ("o.csv", 'size 5" x 7\nboat,1\n'),
    ],
)
def test_no_file_of_someone_else_is_replaced(identify, folder, tmp_path, name, content):
    out = tmp_path / "out"
    out.mkdir()
    (out / name).write_bytes(content.encode())
    with pytest.raises(BrushworkError, match=r"pass another `out`"):
        identify(folder, out / "o.csv")
    assert (out / name).read_bytes() == content.encode()
    assert [file.name for file in out.iterdir()] == [name]


@pytest.fixture
def compare(run_script):
    def compare(folder, out, names, *flags):
        run_script("identify", folder, "--compare", *names, "--out", out, *flags)
        return read_table(out)

    return compare


def test_two_classifiers_are_compared_picture_by_picture(compare, checkpoints, folder, tmp_path,
                                                         classifier_folder, capsys):  # fmt: skip
    names, out = [classifier_folder, checkpoints["classifier"]], tmp_path / "out.csv"
    rows = compare(folder, out, names, "--batch-size", 2)
    assert len(rows) == 7 and rows["empty.png"]["error"] == "empty file"
    answered = {file: row for file, row in rows.items() if not row["error"]}
    for end, name in zip("ab", names, strict=True):
        classifier = ArtistClassifier.from_pretrained(name)
        for file, row in answered.items():
            answer = classifier.identify(folder / file)
            assert row[f"answer_{end}"] == answer.artist
            assert row[f"artist_{end}"] == answer.candidates[0].artist
            best = answer.candidates[0].probability
            assert float(row[f"probability_{end}"]) == pytest.approx(best, abs=1e-3)
            assert float(row[f"none_{end}"]) == pytest.approx(answer.none, abs=1e-3)
    for row in answered.values():
        assert row["agree"] == ("yes" if row["answer_a"] == row["answer_b"] else "no")

    printed = capsys.readouterr().out.splitlines()
    agree = sum(row["agree"] == "yes" for row in answered.values())
    assert sum(line.endswith("same answer") for line in printed) == agree
    assert "knows 3 artists" in printed[-3] and "3 of them the same" in printed[-3]
    names_and_silences = re.match(r"5 pictures: (\d) with the same name, (\d) unknown", printed[-2])
    assert sum(map(int, names_and_silences.groups())) == agree
    assert printed[-1].startswith(f"{agree} same answer, {5 - agree} different answers, 2 unread")
    sheet = tmp_path / "out.html"
    assert sorted(titles(sheet)) == sorted(rows)
    text = sheet.read_text(encoding="utf-8")
    assert text.count("data:image/jpeg") == 15, "five pictures, and two heat maps of each"
    assert html.escape(printed[-2]) in text


def test_two_artists_are_compared_with_odds_for_the_folder(
    compare, classifier_folder, folder, tmp_path, capsys
):
    classifier = ArtistClassifier.from_pretrained(classifier_folder)
    pair, out = classifier.artists[1:], tmp_path / "out.csv"
    flags = ["--classifier", classifier_folder, "--batch-size", 2]
    rows = compare(folder, out, pair, *flags)
    total = 0.0
    for file, row in rows.items():
        if row["error"]:
            continue
        [answer] = classifier.compare([folder / file], *pair)
        assert [row["artist_a"], row["artist_b"]] == [*pair] and row["likelier"] == answer.likelier
        assert float(row["log_odds"]) == pytest.approx(answer.log_odds, abs=1e-3)
        assert float(row["probability"]) == pytest.approx(answer.probability, abs=1e-3)
        assert float(row["neither"]) == pytest.approx(answer.neither, abs=1e-3)
        assert row["nearest_a"] == answer.nearest[0][0].title
        total += answer.log_odds
    notes = capsys.readouterr().out.splitlines()[-3:-1]
    assert re.match("5 pictures: .* likelier", notes[0])
    assert abs(total) > np.log(1e6), "this classifier is sure of noise"
    assert f"painted all of them: {pair[total < 0]} more than 1,000,000 : 1 (" in notes[1]
    text = (tmp_path / "out.html").read_text(encoding="utf-8")
    assert html.escape(notes[1]) in text and "<b>Edgar" not in text
    assert text.count("data:image/jpeg") == 25, "two heat maps, and a painting by each artist"

    # After a kill, the same command continues to the same table, sheet and sum.
    whole, cards = out.read_bytes(), sorted(titles(tmp_path / "out.html"))
    out.write_bytes(whole[: len(whole) // 2])
    assert compare(folder, out, pair, *flags) == rows
    assert out.read_bytes() == whole and sorted(titles(tmp_path / "out.html")) == cards
    assert capsys.readouterr().out.splitlines()[-3:-1] == notes
    with pytest.raises(BrushworkError, match="with another `compare`"):
        compare(folder, out, pair[::-1], *flags)


@pytest.mark.parametrize(
    ("names", "flags", "words"),
    [
        (["Claude Monet", "Berthe Morisott"], [], "did you mean 'Berthe Morisot'"),
        (["Claude Monet", "CLASSIFIER"], [], "'Claude Monet' is not one"),
        (["CLASSIFIER", "artist"], [], "'artist' is not one; did you mean 'artists'"),
        (["Claude Monet", "Claude Monet"], [], "twice"),
        (["Claude Monet", "Berthe Morisot"], ["--precision", 0.9], "leave it out"),
        (["artists", "CLASSIFIER"], ["--classifier", "artists"], "leave `classifier` out"),
        (["artists", "CLASSIFIER"], ["--precision", 0.9], "no operating points"),
        (["artists", "./nowhere"], [], "no checkpoint folder"),
    ],
)
def test_mistakes_in_comparing_are_one_sentence(
    compare, classifier_folder, folder, tmp_path, monkeypatch, names, flags, words
):
    monkeypatch.setattr("brushwork.checkpoint.bundled_classifier", lambda: classifier_folder)
    names = [str(classifier_folder) if name == "CLASSIFIER" else name for name in names]
    with pytest.raises(BrushworkError, match=re.escape(words)):
        compare(folder, tmp_path / "out.csv", names, *flags)
    assert not (tmp_path / "out.csv").exists()


ODD_NAMES = ["=1+1.png", "+1.png", "-1.png", "@a.png", "\ta.png", "\ra.png", "'=1+1.png",
             "two\nlines.png", '"\n".png', "sep\u2028arated\x0c.png", "a,b;c.png"]  # fmt: skip


@POSIX
def test_no_name_is_a_formula_or_breaks_the_table_or_the_sheet(identify, tmp_path):
    folder, out = tmp_path / "in", tmp_path / "out.csv"
    folder.mkdir()
    for name in ODD_NAMES:
        picture(folder / name)
    (folder / "un\nreadable.png").write_bytes(b"no picture")
    rows = identify(folder, out)
    assert not any(cell.startswith(tuple("=+-@\t\r")) for row in rows.values()
                   for cell in row.values())  # fmt: skip
    for name in [*ODD_NAMES, "un\nreadable.png"]:
        harmless = f"'{name}" if name.startswith((*"=+-@\t\r", "'=")) else name
        assert harmless in rows
    assert sorted(titles(tmp_path / "out.html")) == sorted([*ODD_NAMES, "un\nreadable.png"])

    # The same command, also after a kill, neither repeats nor drops a file.
    whole, sheet = out.read_bytes(), (tmp_path / "out.html").read_bytes()
    identify(folder, out)
    assert (out.read_bytes(), (tmp_path / "out.html").read_bytes()) == (whole, sheet)
    out.write_bytes(whole[: whole.index(b"lines.png") + 5])
    assert identify(folder, out) == rows
    assert len(titles(tmp_path / "out.html")) == len(rows)


@POSIX
def test_a_name_that_is_not_utf8_is_escaped(identify, tmp_path):
    (tmp_path / "in").mkdir()
    picture(tmp_path / "in" / "a.png")
    (tmp_path / "in" / "a.png").rename(tmp_path / "in" / os.fsdecode(b"C\xe9zanne.png"))
    (tmp_path / "in").rename(tmp_path / os.fsdecode(b"d\xe9j\xe0"))
    for _ in range(2):  # the folder's name is recorded, too
        found = identify(tmp_path / os.fsdecode(b"d\xe9j\xe0"), tmp_path / "o.csv")
        assert list(found) == titles(tmp_path / "o.html") == [r"C\xe9zanne.png"]


def test_what_is_ignored_is_counted_in_the_last_line(identify, folder, tmp_path, capsys):
    (folder / "notes.txt").write_text("not a picture")
    (folder / "._sidecar.jpg").write_bytes(b"\x00\x05\x16\x07")
    for name in (".ipynb_checkpoints", "__MACOSX"):
        (folder / name).mkdir()
        picture(folder / name / "copy.png")
    (folder / "gone.png").symlink_to(folder / "nowhere.png")
    rows = identify(folder, tmp_path / "o.csv", "--no-sheet")
    assert len(rows) == 8
    assert rows["gone.png"]["error"] == "a link to a file that does not exist"
    last = capsys.readouterr().out.splitlines()[-1]
    assert "3 unreadable" in last
    assert "ignored 3 hidden files and folders" in last
    assert "ignored 1 files without a picture's suffix" in last


def test_a_table_of_an_older_version_is_continued(identify, folder, tmp_path):
    out = tmp_path / "o.csv"
    rows = identify(folder, out, "--no-sheet")
    head, *lines = out.read_text(encoding="utf-8-sig").splitlines()
    out.write_bytes((head + "\n" + "\r\n".join(lines[:3]) + "\r\n").encode())
    assert identify(folder, out, "--no-sheet") == rows
    assert b"\r" not in out.read_bytes()


def test_a_table_is_of_one_folder_and_one_classifier(
    identify, classifier_folder, tmp_path, monkeypatch
):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        Image.new("RGB", (20, 20)).save(tmp_path / name / "1.png")
    out = tmp_path / "o.csv"
    identify(tmp_path / "a", out, "--no-sheet")
    with pytest.raises(BrushworkError, match="made with another folder; pass another `out`"):
        identify(tmp_path / "b", out, "--no-sheet")
    other = tmp_path / "other"
    shutil.copytree(classifier_folder, other)
    with (other / "model.safetensors").open("ab") as file:
        file.write(b"\0")
    opened = ArtistClassifier.from_pretrained(classifier_folder)
    monkeypatch.setattr(ArtistClassifier, "from_pretrained", lambda *_: opened)
    with pytest.raises(BrushworkError, match="with another classifier"):
        identify(tmp_path / "a", out, "--no-sheet", classifier=other)


@pytest.mark.parametrize(
    ("mistake", "words"),
    [
        ({"folder": "nowhere"}, "no folder nowhere"),
        ({"out": "x.txt"}, "must end in .csv"),
        ({"classifier": "./nowhere"}, "no checkpoint folder"),
    ],
)
def test_mistakes_in_identifying_are_one_sentence(identify, tmp_path, mistake, words):
    Image.new("RGB", (20, 20)).save(tmp_path / "a.png")
    arguments = {"folder": tmp_path, "classifier": "./nowhere", "out": tmp_path / "o.csv"}
    with pytest.raises(BrushworkError, match=re.escape(words)):
        identify(**arguments | mistake)


@pytest.mark.parametrize("number", ["-1", "0"])
def test_a_batch_without_pictures_is_refused_before_a_table_is_written(identify, folder, number):
    out = folder.parent / "o.csv"
    with pytest.raises(BrushworkError, match=f"`batch_size` is {number}; it must be"):
        identify(folder, out, "--batch-size", number)
    assert not out.exists()
