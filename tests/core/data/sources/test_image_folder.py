import os
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


def test_an_empty_folder_says_what_to_put_there(tmp_path: Path):
    with pytest.raises(BrushworkError, match=r"put them there as artist/painting\.jpg"):
        image_folder(tmp_path)
