import csv
import io
import os
import random
import time
import unicodedata
from pathlib import Path

import pytest
from tests.core.data.pictures import picture, write

from brushwork.data.paintings import COLUMNS, Paintings
from brushwork.data.sources.image_folder import image_folder
from brushwork.data.sources.painter_by_numbers import CSV, painter_by_numbers
from brushwork.errors import BrushworkError

HEADER = (
    "artist,date,genre,pixelsx,pixelsy,size_bytes,source,style,title,artist_group,in_train,"
    "new_filename"
)


def row(file: str, artist: str = "Monet", in_train: str = "True", title: str = "Hay") -> str:
    known = f"{artist},1890.0,landscape,9,9,99.0,wikiart,Impressionism,{title}"
    return f"{known},train_only,{in_train},{file}"


def kaggle(folder: Path, *rows: str | bytes) -> Path:
    lines = [HEADER, *rows]
    raw = b"\n".join(line if isinstance(line, bytes) else line.encode() for line in lines)
    (folder / CSV).write_bytes(raw + b"\n")
    return folder


def num_rows(paintings: Paintings) -> int:
    return len(paintings.table) + len(paintings.missing) + len(paintings.rejected)


@pytest.mark.parametrize(
    "files",
    [
        ("train/1.jpg", "train/2.jpg", "test/3.jpg"),
        ("1.jpg", "2.jpg", "3.jpg"),
        ("train_1/1.jpg", "train_9/2.jpg", "test/3.jpg"),
        ("images/1.jpg", "images/2.jpg", "images/3.jpg"),
    ],
)
def test_painter_by_numbers_is_found_however_it_was_unpacked(tmp_path: Path, files):
    write(tmp_path, *files)
    kaggle(tmp_path, row("1.jpg"), row("2.jpg"), row("3.jpg", in_train="False"))
    paintings = painter_by_numbers(tmp_path)
    assert [*paintings.table["split"]] == ["train", "train", "test"]
    assert [*paintings.table["source"]] == [*files]
    assert set(paintings.table["date"]) == {"1890"}
    assert [*paintings.table.columns] == [*COLUMNS, "source"]
    assert paintings.read(0).read_bytes() == picture()


def test_a_replacement_is_preferred_to_the_corrupted_file(tmp_path: Path):
    write(tmp_path, "train/1.jpg", "replacements_for_corrupted_files/train/1.jpg", "test/1.jpg")
    paintings = painter_by_numbers(kaggle(tmp_path, row("1.jpg")))
    assert [*paintings.table["source"]] == ["replacements_for_corrupted_files/train/1.jpg"]


def test_a_file_of_the_row_s_own_split_is_preferred(tmp_path: Path):
    write(tmp_path, "train/1.jpg", "test/1.jpg")
    paintings = painter_by_numbers(kaggle(tmp_path, row("1.jpg", in_train="False")))
    assert [*paintings.table["source"]] == ["test/1.jpg"]


def test_a_folder_whose_name_is_not_text_costs_only_its_rows(tmp_path: Path):
    write(tmp_path, "train/1.jpg", "tr\udcffain/2.jpg")
    paintings = painter_by_numbers(kaggle(tmp_path, row("1.jpg"), row("2.jpg")))
    assert [*paintings.table["source"]] == ["train/1.jpg"]
    assert [reason for _, reason in paintings.rejected] == ["the name of the folder is not UTF-8"]


def test_missing_files_are_listed(tmp_path: Path):
    write(tmp_path, "train/1.jpg")
    paintings = painter_by_numbers(kaggle(tmp_path, row("1.jpg"), row("2.jpg"), row("3.jpg")))
    assert paintings.missing == ("2.jpg", "3.jpg")


BAD_ROWS = {
    "no file name": (row(""), "no file name"),
    "too few fields": ("Monet,1890,landscape", "3 fields where the header has 12"),
    "too many fields": (row("2.jpg") + ",more", "13 fields"),
    "in_train that is neither": (row("2.jpg", in_train="maybe"), "'maybe', not True or False"),
    "the same file again": (row("1.jpg", artist="Manet"), "already named in line 2"),
    "a path out of the folder": (row("../../etc/passwd"), "not a plain file name"),
    "an absolute path": (row("/etc/passwd"), "not a plain file name"),
    "a path of another system": (row("..\\..\\boot.ini"), "not a plain file name"),
    "the folder itself": (row("."), "not a plain file name"),
    "a name with a null byte": (row("2.jpg\0.png"), "not a plain file name"),
    "bytes that are not UTF-8": (row("2.jpg").encode().replace(b"Monet", b"Mon\xe9t"), "not UTF-8"),
    "a quote that never closes": (row("2.jpg", title='"Hay'), "9 fields where the header has 12"),
    "a field beyond all measure": (row("2.jpg", title="x" * 200_000), "field larger than"),
}


@pytest.mark.parametrize("kind", BAD_ROWS)
def test_a_bad_row_is_reported_and_costs_no_other(tmp_path: Path, kind: str):
    bad, reason = BAD_ROWS[kind]
    write(tmp_path, "train/1.jpg", "train/2.jpg", "train/4.jpg")
    paintings = painter_by_numbers(kaggle(tmp_path, row("1.jpg", title="Été"), bad, row("4.jpg")))
    assert [*paintings.table["source"]] == ["train/1.jpg", "train/4.jpg"]
    [(place, said)] = paintings.rejected
    assert place == f"{CSV}:3"
    assert reason in said
    assert num_rows(paintings) == 3


def test_all_the_bad_rows_together(tmp_path: Path):
    write(tmp_path, "train/1.jpg", "train/2.jpg", "train/4.jpg")
    bad = [line for line, _ in BAD_ROWS.values()]
    random.Random(0).shuffle(bad)
    paintings = painter_by_numbers(kaggle(tmp_path, row("1.jpg", title="Été"), *bad, row("4.jpg")))
    assert len(paintings.table) == 2
    assert len(paintings.rejected) == len(BAD_ROWS)


def test_fields_may_hold_commas_quotes_and_line_ends(tmp_path: Path):
    write(tmp_path, "train/1.jpg", "train/2.jpg", "train/3.jpg")
    titles = ['Hay, "wet"', "two\nlines", 'The "Blue" Boy']
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\r\n")
    for number, title in enumerate(titles, 1):
        rows.writerow(
            ["Monet", "", "", 9, 9, 9, "", "", title, "train_only", "True", f"{number}.jpg"]
        )
    raw = b"\xef\xbb\xbf" + HEADER.encode() + b"\r\n" + text.getvalue().encode()
    (tmp_path / CSV).write_bytes(raw)
    paintings = painter_by_numbers(tmp_path)
    assert [*paintings.table["title"]] == titles
    assert not paintings.rejected


def test_a_painting_without_an_artist_is_kept_as_unknown(tmp_path: Path):
    write(tmp_path, "train/1.jpg")
    paintings = painter_by_numbers(kaggle(tmp_path, row("1.jpg", artist=" ")))
    assert [*paintings.table["artist"]] == [""]


def test_links_out_of_the_folder_are_not_followed(tmp_path: Path):
    folder = tmp_path / "paintings"
    write(tmp_path, "secret.jpg")
    write(folder, "train/1.jpg")
    (folder / "train" / "2.jpg").symlink_to(tmp_path / "secret.jpg")
    (folder / "train" / "3.jpg").symlink_to("1.jpg")
    kaggle(folder, row("1.jpg"), row("2.jpg"), row("3.jpg"))
    paintings = painter_by_numbers(folder)
    assert [*paintings.table["source"]] == ["train/1.jpg", "train/3.jpg"]
    reason = "train/2.jpg is a link to a file outside the folder"
    assert paintings.rejected == ((f"{CSV}:3", reason),)

    assert len(image_folder(folder).table) == 2
    (folder / "test").symlink_to(tmp_path, target_is_directory=True)
    with pytest.raises(BrushworkError, match="a link to a folder, and such links are not followed"):
        painter_by_numbers(folder)


def test_a_pipe_named_as_a_picture_is_no_file(tmp_path: Path):
    write(tmp_path, "train/1.jpg")
    os.mkfifo(tmp_path / "train" / "2.jpg")
    paintings = painter_by_numbers(kaggle(tmp_path, row("1.jpg"), row("2.jpg")))
    assert paintings.missing == ("2.jpg",)


ARTISTS = ["Eugène Delacroix", "Édouard Manet", "Albrecht Dürer", "Monet"]

ENCODINGS = {
    "utf-8": "",
    "utf-8-sig": "",
    "latin-1": "Windows-1252",
    "cp1252": "Windows-1252",
    "utf-16": "UTF-16",
    "utf-16-le": "UTF-16-LE",
    "utf-16-be": "UTF-16-BE",
    "utf-32": "UTF-32",
}


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
def test_a_table_in_any_encoding_loses_no_row_and_the_encoding_is_said(tmp_path, encoding, ends):
    names = [*ARTISTS, "Georgia O\u2019Keeffe"] if encoding == "cp1252" else ARTISTS
    write(tmp_path, *(f"train/{number}.jpg" for number in range(len(names))))
    lines = [HEADER, *(row(f"{number}.jpg", artist) for number, artist in enumerate(names)), ""]
    (tmp_path / CSV).write_bytes(ends.join(lines).encode(encoding))
    paintings = painter_by_numbers(tmp_path)
    assert [*paintings.table["artist"]] == names
    assert not paintings.rejected
    said = ENCODINGS[encoding]
    assert [said in note and "not UTF-8" in note for note in paintings.notes] == [True] * bool(said)


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_columns_may_be_separated_by_semicolons_or_tabs(tmp_path: Path, delimiter: str):
    write(tmp_path, "1.jpg")
    text = f"{HEADER}\n{row('1.jpg')}\n".replace(",", delimiter)
    (tmp_path / CSV).write_text(text, encoding="utf-16")
    assert [*painter_by_numbers(tmp_path).table["artist"]] == ["Monet"]


def test_spellings_of_one_name_are_merged_and_the_merge_is_said(tmp_path: Path):
    names = ["Claude Monet", "Claude Monet", "Claude\u00a0Monet", "Claude  Monet", "CLAUDE MONET"]
    write(tmp_path, *(f"{number}.jpg" for number in range(len(names))))
    kaggle(tmp_path, *(row(f"{number}.jpg", name) for number, name in enumerate(names)))
    paintings = painter_by_numbers(tmp_path)
    assert set(paintings.table["artist"]) == {"Claude Monet"}
    [note] = paintings.notes
    assert "'CLAUDE MONET' becomes 'Claude Monet'" in note


def test_words_for_no_artist_are_no_artist(tmp_path: Path):
    names = ["Unknown Artist", "unknown", "ANONYMOUS", "nan", "None", "NA", "", "Na", "Nan"]
    write(tmp_path, *(f"{number}.jpg" for number in range(len(names))))
    kaggle(tmp_path, *(row(f"{number}.jpg", name) for number, name in enumerate(names)))
    paintings = painter_by_numbers(tmp_path)
    assert [*paintings.table["artist"]] == [""] * 7 + ["Na", "Nan"]
    [note] = paintings.notes
    assert "'Unknown Artist' (1)" in note
    assert "counts as unknown" in note


def test_a_file_name_with_decomposed_accents_is_found(tmp_path: Path):
    write(tmp_path, unicodedata.normalize("NFD", "été.jpg"))
    paintings = painter_by_numbers(kaggle(tmp_path, row("été.jpg")))
    assert paintings.read(0).read_bytes() == picture()
    assert not paintings.missing


def test_pictures_that_no_row_names_are_said(tmp_path: Path):
    write(tmp_path, "1.jpg", "2.jpg", "._1.jpg")
    assert painter_by_numbers(kaggle(tmp_path, row("1.jpg"))).notes == (
        f"pictures that are not used, because no valid row of {CSV} names them: 1 (2.jpg)",
        "pictures that are not used, because they are hidden: 1 (._1.jpg)",
    )


def test_a_table_without_the_columns_is_named(tmp_path: Path):
    (tmp_path / CSV).write_text("artist;date\nMonet;1890\n")
    with pytest.raises(BrushworkError, match="has no columns artist, in_train, new_filename"):
        painter_by_numbers(tmp_path)


def test_a_table_without_rows_is_named(tmp_path: Path):
    (tmp_path / CSV).write_text("artist,in_train,new_filename\n")
    with pytest.raises(BrushworkError, match="has no rows below line 1; download it again"):
        painter_by_numbers(tmp_path)


def test_no_picture_at_all_is_an_error_with_a_cure(tmp_path: Path):
    with pytest.raises(BrushworkError, match=r"2 are missing \(1 rejected, .*\); unpack"):
        painter_by_numbers(kaggle(tmp_path, row("1.jpg"), row("2.jpg"), row("")))


def test_pictures_that_are_all_links_out_of_the_folder_are_named(tmp_path: Path):
    folder = tmp_path / "paintings"
    write(tmp_path, "secret.jpg")
    folder.mkdir()
    (folder / "1.jpg").symlink_to(tmp_path / "secret.jpg")
    kaggle(folder, row("1.jpg"))
    with pytest.raises(BrushworkError, match=r"1\.jpg is a link to a file outside the folder"):
        painter_by_numbers(folder)


def test_a_large_table_opens_at_once(tmp_path: Path):
    count = 20_000  # Kaggle's 103,000 take 1.5 s
    (tmp_path / "train").mkdir()
    for number in range(count):
        os.close(os.open(tmp_path / "train" / f"{number}.jpg", os.O_CREAT | os.O_WRONLY))
    kaggle(tmp_path, *(row(f"{number}.jpg") for number in range(count)))
    start = time.process_time()  # other processes do not change it
    assert len(painter_by_numbers(tmp_path).table) == count
    assert time.process_time() - start < 5


def test_the_fingerprint_changes_with_a_file_and_with_a_label(tmp_path: Path):
    write(tmp_path, "train/1.jpg", "train/2.jpg")
    kaggle(tmp_path, row("1.jpg"), row("2.jpg"))
    first = painter_by_numbers(tmp_path).fingerprint()
    assert painter_by_numbers(tmp_path).fingerprint() == first
    (tmp_path / "train" / "2.jpg").write_bytes(picture() + b"more")
    second = painter_by_numbers(tmp_path).fingerprint()
    assert second != first
    kaggle(tmp_path, row("1.jpg"), row("2.jpg", artist="Manet"))
    assert painter_by_numbers(tmp_path).fingerprint() != second


def test_the_real_paintings_are_all_found(real_paintings: Path):
    paintings = painter_by_numbers(real_paintings)
    assert (len(paintings.table), len(paintings.missing), len(paintings.rejected)) == (8987, 0, 0)
    assert (paintings.table["split"] == "train").sum() == 6923
    assert paintings.table["artist"].nunique() == 40
    assert not paintings.notes
