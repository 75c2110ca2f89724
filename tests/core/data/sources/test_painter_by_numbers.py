import csv
import io
import os
import random
import time
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
    paintings = painter_by_numbers(kaggle(tmp_path, row("1.jpg"), bad, row("4.jpg")))
    assert [*paintings.table["source"]] == ["train/1.jpg", "train/4.jpg"]
    [(place, said)] = paintings.rejected
    assert place == f"{CSV}:3"
    assert reason in said
    assert num_rows(paintings) == 3


def test_all_the_bad_rows_together(tmp_path: Path):
    write(tmp_path, "train/1.jpg", "train/2.jpg", "train/4.jpg")
    bad = [line for line, _ in BAD_ROWS.values()]
    random.Random(0).shuffle(bad)
    paintings = painter_by_numbers(kaggle(tmp_path, row("1.jpg"), *bad, row("4.jpg")))
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


def test_a_table_without_the_columns_is_named(tmp_path: Path):
    (tmp_path / CSV).write_text("artist;date\nMonet;1890\n")
    with pytest.raises(BrushworkError, match="has no columns artist, in_train, new_filename"):
        painter_by_numbers(tmp_path)


def test_no_picture_at_all_is_an_error_with_a_cure(tmp_path: Path):
    with pytest.raises(BrushworkError, match=r"2 missing, 1 rejected\); unpack the archives"):
        painter_by_numbers(kaggle(tmp_path, row("1.jpg"), row("2.jpg"), row("")))


def test_a_large_table_opens_at_once(tmp_path: Path):
    count = 20_000  # Kaggle's 103,000 take 1.5 s
    (tmp_path / "train").mkdir()
    for number in range(count):
        os.close(os.open(tmp_path / "train" / f"{number}.jpg", os.O_CREAT | os.O_WRONLY))
    kaggle(tmp_path, *(row(f"{number}.jpg") for number in range(count)))
    start = time.perf_counter()
    assert len(painter_by_numbers(tmp_path).table) == count
    assert time.perf_counter() - start < 5


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
