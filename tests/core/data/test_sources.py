import csv
import io
import os
import pickle
import random
import time
from pathlib import Path

import datasets
import pytest
from PIL import Image

from brushwork.data.open import open_source
from brushwork.data.paintings import COLUMNS, Paintings
from brushwork.data.sources.image_folder import image_folder
from brushwork.data.sources.painter_by_numbers import CSV, painter_by_numbers
from brushwork.data.sources.synthetic import synthetic_paintings
from brushwork.data.sources.wikiart import wikiart
from brushwork.errors import BrushworkError

HEADER = (
    "artist,date,genre,pixelsx,pixelsy,size_bytes,source,style,title,artist_group,in_train,"
    "new_filename"
)


def row(file: str, artist: str = "Monet", in_train: str = "True", title: str = "Hay") -> str:
    known = f"{artist},1890.0,landscape,9,9,99.0,wikiart,Impressionism,{title}"
    return f"{known},train_only,{in_train},{file}"


def jpeg(colour="red") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (32, 32), colour).save(file, "JPEG")
    return file.getvalue()


def write(folder: Path, *files: str) -> None:
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(jpeg())


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
    assert paintings.read(0).read_bytes() == jpeg()


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
    "in_train that is neither": (row("2.jpg", in_train="maybe"), "'maybe', neither True nor False"),
    "the same file again": (row("1.jpg", artist="Manet"), "named before, in line 2"),
    "a path out of the folder": (row("../../etc/passwd"), "not the plain name"),
    "an absolute path": (row("/etc/passwd"), "not the plain name"),
    "a path of another system": (row("..\\..\\boot.ini"), "not the plain name"),
    "the folder itself": (row("."), "not the plain name"),
    "a name with a null byte": (row("2.jpg\0.png"), "not the plain name"),
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
    assert paintings.rejected == ((f"{CSV}:3", "train/2.jpg is a link out of the folder"),)

    assert len(image_folder(folder).table) == 2
    (folder / "test").symlink_to(tmp_path, target_is_directory=True)
    with pytest.raises(BrushworkError, match="is a link to a folder, which is not followed"):
        painter_by_numbers(folder)


def test_a_pipe_named_as_a_picture_is_no_file(tmp_path: Path):
    write(tmp_path, "train/1.jpg")
    os.mkfifo(tmp_path / "train" / "2.jpg")
    paintings = painter_by_numbers(kaggle(tmp_path, row("1.jpg"), row("2.jpg")))
    assert paintings.missing == ("2.jpg",)


def test_a_table_without_the_columns_is_named(tmp_path: Path):
    (tmp_path / CSV).write_text("artist;date\nMonet;1890\n")
    with pytest.raises(BrushworkError, match="lacks the columns artist, in_train, new_filename"):
        painter_by_numbers(tmp_path)


def test_no_picture_at_all_is_an_error_with_a_cure(tmp_path: Path):
    with pytest.raises(BrushworkError, match=r"2 missing, 1 bad rows\); unpack the archives"):
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
    (tmp_path / "train" / "2.jpg").write_bytes(jpeg() + b"more")
    second = painter_by_numbers(tmp_path).fingerprint()
    assert second != first
    kaggle(tmp_path, row("1.jpg"), row("2.jpg", artist="Manet"))
    assert painter_by_numbers(tmp_path).fingerprint() != second


def test_an_image_folder_takes_artists_from_its_folders(tmp_path: Path):
    write(tmp_path, "train/Monet/a.jpg", "train/Manet/b.PNG", "test/Monet/c.jpeg", "train/d.jpg")
    (tmp_path / "train" / "Monet" / "notes.txt").write_text("hello")
    (tmp_path / "train" / "Monet" / ".DS_Store").write_text("")
    paintings = image_folder(tmp_path)
    found = {
        *zip(*(paintings.table[c] for c in ("source", "artist", "split", "title")), strict=True)
    }
    assert found == {
        ("train/Monet/a.jpg", "Monet", "train", "a"),
        ("train/Manet/b.PNG", "Manet", "train", "b"),
        ("test/Monet/c.jpeg", "Monet", "test", "c"),
        ("train/d.jpg", "", "train", "d"),
    }
    assert paintings.rejected == (("train/Monet/notes.txt", "not named as a picture"),)


def test_a_fifth_of_each_artist_is_held_out_where_no_test_split_is(tmp_path: Path):
    artists = {"Monet": 20, "Manet": 10, "Degas": 2}
    write(
        tmp_path, *(f"{artist}/{n}.jpg" for artist, count in artists.items() for n in range(count))
    )
    table = image_folder(tmp_path).table
    test = table[table["split"] == "test"]
    assert dict(test["artist"].value_counts()) == {"Monet": 4, "Manet": 2}
    # Paintings of one artist don't change sides when another's are added.
    write(tmp_path, *(f"Renoir/{n}.jpg" for n in range(10)))
    again = image_folder(tmp_path).table
    again = again[again["artist"] != "Renoir"]
    assert dict(zip(again["source"], again["split"], strict=True)) == dict(
        zip(table["source"], table["split"], strict=True)
    )


def test_a_file_name_that_is_not_text_is_reported(tmp_path: Path):
    write(tmp_path, "Monet/a.jpg")
    try:
        (Path(os.fsdecode(os.fsencode(tmp_path) + b"/Monet/\xff.jpg"))).write_bytes(jpeg())
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    paintings = image_folder(tmp_path)
    assert len(paintings.table) == 1
    assert paintings.rejected[0][1] == "its name is not UTF-8"


def test_an_empty_folder_says_what_to_put_there(tmp_path: Path):
    with pytest.raises(BrushworkError, match=r"put them there as artist/painting\.jpg"):
        open_source(str(tmp_path))


@pytest.fixture
def labelled() -> datasets.Dataset:
    features = datasets.Features(
        image=datasets.Image(),
        artist=datasets.ClassLabel(names=["Unknown Artist", "claude-monet", "edgar-degas"]),
        genre=datasets.ClassLabel(names=["landscape", "Unknown Genre"]),
        style=datasets.ClassLabel(names=["Impressionism"]),
    )
    image = {"bytes": jpeg(), "path": None}
    return datasets.Dataset.from_dict(
        {
            "image": [image] * 10,
            "artist": [1] * 5 + [2] * 4 + [0],
            "genre": [0] * 9 + [1],
            "style": [0] * 9 + [None],
        },
        features=features,
    )


def check(paintings: Paintings) -> None:
    assert [*paintings.table["artist"]] == ["claude-monet"] * 5 + ["edgar-degas"] * 4 + [""]
    assert [*paintings.table["genre"]] == ["landscape"] * 9 + [""]
    assert [*paintings.table["style"]] == ["Impressionism"] * 9 + [""]
    assert set(paintings.table["title"]) == {""}
    assert pickle.loads(pickle.dumps(paintings.read))(7) == jpeg()


def test_wikiart_from_a_saved_dataset(tmp_path: Path, labelled):
    labelled.save_to_disk(tmp_path / "saved")
    paintings = open_source(str(tmp_path / "saved"))
    check(paintings)
    assert (paintings.table["split"] == "test").sum() == 2
    assert paintings.fingerprint() == open_source(str(tmp_path / "saved")).fingerprint()


def test_wikiart_from_saved_splits(tmp_path: Path, labelled):
    splits = {"train": labelled.select(range(6)), "validation": labelled.select(range(6, 10))}
    datasets.DatasetDict(splits).save_to_disk(tmp_path / "saved")
    paintings = open_source(str(tmp_path / "saved"))
    check(paintings)
    assert [*paintings.table["split"]] == ["train"] * 6 + ["test"] * 4
    assert paintings.table["source"][6] == "validation/0"


def test_wikiart_from_parquet(tmp_path: Path, labelled, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    labelled.to_parquet(tmp_path / "paintings.parquet")
    check(open_source(str(tmp_path / "paintings.parquet")))
    (tmp_path / "folder" / "data").mkdir(parents=True)
    labelled.to_parquet(tmp_path / "folder" / "data" / "train-00000-of-00001.parquet")
    check(open_source(str(tmp_path / "folder")))


def test_a_dataset_without_images_says_what_it_has(tmp_path: Path):
    datasets.Dataset.from_dict({"text": ["a"], "label": [1]}).save_to_disk(tmp_path / "saved")
    with pytest.raises(BrushworkError, match="no column of images; it has text, label"):
        wikiart(tmp_path / "saved")


def test_a_name_on_the_hub_that_cannot_be_had_is_one_sentence(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_OFFLINE", True, raising=False)
    with pytest.raises(BrushworkError, match=r"cannot load nobody/nothing .* A copy on disk works"):
        open_source("nobody/nothing")


def test_a_mistyped_folder_is_not_looked_for_on_the_hub(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    with pytest.raises(BrushworkError, match="no folder data/landscpes; --data takes one"):
        open_source("data/landscpes")


def test_synthetic_paintings_are_counted():
    paintings = open_source("synthetic:30")
    assert len(paintings.table) == 30
    assert paintings.read(3).size == (256, 256)
    assert paintings.table.equals(synthetic_paintings(40).table.head(30))
    for spec in ("synthetic:none", "synthetic:-3", "synthetic:0"):
        with pytest.raises(BrushworkError, match="synthetic"):
            open_source(spec)


def test_the_real_paintings_are_all_found(real_paintings: Path):
    paintings = open_source(str(real_paintings))
    assert (len(paintings.table), len(paintings.missing), len(paintings.rejected)) == (8987, 0, 0)
    assert (paintings.table["split"] == "train").sum() == 6923
    assert paintings.table["artist"].nunique() == 40


def test_a_path_in_a_dataset_is_never_followed():
    from brushwork.data.readers import DatasetReader

    rows = [{"image": {"bytes": None, "path": "/etc/passwd"}}, {"image": None}]
    reader = DatasetReader((rows,), ("",))
    assert reader(0) == reader(1) == b""
