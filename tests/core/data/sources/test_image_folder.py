import os
import unicodedata
from pathlib import Path

import pytest
from tests.core.data.pictures import picture, write

from brushwork.data.sources.image_folder import image_folder
from brushwork.errors import BrushworkError


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
    assert paintings.rejected == (("train/Monet/notes.txt", "its suffix is not that of a picture"),)


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
        (Path(os.fsdecode(os.fsencode(tmp_path) + b"/Monet/\xff.jpg"))).write_bytes(picture())
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    paintings = image_folder(tmp_path)
    assert len(paintings.table) == 1
    assert paintings.rejected[0][1] == "the file name is not UTF-8"


SPLITS = [
    ("Train", "Test"),
    ("training", "testing"),
    ("TRAIN", "dev"),
    ("train", "eval"),
    ("train", "evaluation"),
    ("train", "Val"),
    ("train", "valid"),
    ("train", "validation"),
    ("train_1", "test_1"),
    ("images/train", "images/test"),
    ("train/images", "test/images"),
]


@pytest.mark.parametrize(("train", "test"), SPLITS)
def test_splits_are_known_by_the_names_that_datasets_knows(tmp_path: Path, train, test):
    for split in (train, test):
        write(tmp_path, *(f"{split}/{artist}/a.jpg" for artist in ("Monet", "Degas")))
    table = image_folder(tmp_path).table
    found = [*zip(table["artist"], table["split"], strict=True)]
    assert sorted(found) == [(a, s) for a in ("Degas", "Monet") for s in ("test", "train")]


def test_a_folder_around_the_artists_is_looked_through_and_said(tmp_path: Path):
    write(tmp_path, "images/Monet/a.jpg", "images/Degas/b.jpg")
    paintings = image_folder(tmp_path)
    assert {*paintings.table["artist"]} == {"Monet", "Degas"}
    assert paintings.notes == (
        "the folder 'images' contains all others, so it is not taken as an artist",
    )
    assert [*paintings.table["source"]] == ["images/Degas/b.jpg", "images/Monet/a.jpg"]
    assert paintings.read(1) == tmp_path / "images" / "Monet" / "a.jpg"


def test_the_folder_of_a_single_artist_is_the_artist(tmp_path: Path):
    write(tmp_path, "Monet/a.jpg", "Monet/late/b.jpg")
    assert {*image_folder(tmp_path).table["artist"]} == {"Monet"}


def test_what_resembles_a_split_and_is_an_artist_is_said(tmp_path: Path):
    write(tmp_path, "train_images/Monet/a.jpg", "test_images/Monet/a.jpg", "Val Prinsep/a.jpg")
    [note] = image_folder(tmp_path).notes
    assert "taken as artists: 'test_images', 'train_images'; if these folders are splits" in note
    write(tmp_path / "alone", "val/a.jpg", "Monet/a.jpg")
    [note] = image_folder(tmp_path / "alone").notes
    assert note.startswith("taken as artists: 'val'; if")


def test_folders_beside_the_splits_are_said(tmp_path: Path):
    write(tmp_path, "train/Monet/a.jpg", "test/Monet/b.jpg", "Degas/c.jpg")
    paintings = image_folder(tmp_path)
    assert {*paintings.table["artist"]} == {"Monet", "Degas"}
    [note] = paintings.notes
    assert note.endswith("as training paintings: Degas")


def test_two_unicode_forms_of_a_name_are_one_artist(tmp_path: Path):
    composed, decomposed = (unicodedata.normalize(f, "Eugène Delacroix") for f in ("NFC", "NFD"))
    write(tmp_path, f"train/{composed}/a.jpg", f"test/{decomposed}/b.jpg", "train/Monet/c.jpg")
    paintings = image_folder(tmp_path)
    assert {*paintings.table["artist"]} == {composed, "Monet"}
    [note] = paintings.notes
    assert r"'Euge\u0300ne Delacroix' becomes" in note
    for row, file in enumerate(paintings.table["source"]):
        assert paintings.read(row) == tmp_path / file


def test_folders_named_as_no_artist_have_none(tmp_path: Path):
    write(tmp_path, *(f"{name}/a.jpg" for name in ("Unknown Artist", "unknown", "nan", "Monet")))
    assert sorted(image_folder(tmp_path).table["artist"]) == ["", "", "", "Monet"]


def test_hidden_pictures_are_listed_as_left_out(tmp_path: Path):
    write(tmp_path, "Monet/a.jpg", "Monet/._a.jpg")
    assert image_folder(tmp_path).rejected == (("Monet/._a.jpg", "a hidden file"),)


def test_a_link_to_itself_is_left_for_the_decoder_to_reject(tmp_path: Path):
    write(tmp_path, "Monet/a.jpg")
    (tmp_path / "Monet" / "loop.jpg").symlink_to("loop.jpg")
    assert len(image_folder(tmp_path).table) == 2


def test_an_empty_folder_says_what_to_put_there(tmp_path: Path):
    with pytest.raises(BrushworkError, match=r"put them there as artist/painting\.jpg"):
        image_folder(tmp_path)


def test_a_folder_of_links_and_texts_says_why_nothing_is_used(tmp_path: Path):
    folder = tmp_path / "paintings"
    write(tmp_path, "secret.jpg")
    folder.mkdir()
    (folder / "1.jpg").symlink_to(tmp_path / "secret.jpg")
    (folder / "2.txt").write_text("lily")
    reason = r"\(2 rejected, the first one: 1\.jpg, a link to a file outside the folder\)"
    with pytest.raises(BrushworkError, match=reason):
        image_folder(folder)
