import pandas as pd
import pytest

from brushwork.data.paintings import as_table, hold_out, split_names, tidy
from brushwork.data.selection import describe_unused, identifiable
from brushwork.names import is_unknown


def artists(*names: str) -> pd.DataFrame:
    return as_table([(name, "", "", "", "", "train", f"{n}") for n, name in enumerate(names)])


def test_the_commonest_spelling_is_kept():
    table, _ = tidy(artists("MONET", "Monet", "monet", "Monet", "Degas"))
    assert [*table["artist"]] == ["Monet"] * 4 + ["Degas"]
    table, _ = tidy(artists("monet", "MONET", "Monet"))
    assert {*table["artist"]} == {"Monet"}


def test_accents_and_hyphens_make_different_names():
    names = ["Edouard Manet", "Édouard Manet", "Jean-Paul", "Jean Paul"]
    table, notes = tidy(artists(*names))
    assert [*table["artist"]] == names
    assert not notes


def test_many_changes_are_one_note():
    table, [note] = tidy(artists(*(f"artist  {number}" for number in range(9))))
    assert note.endswith("'artist  4' becomes 'artist 4', 4 more")
    assert table["artist"][8] == "artist 8"


NOBODY = ["Unknown artist", "unknown_artist", "Artist unknown", "(unknown)", "Anonymous Master",
          "none", "null", "N/A", "NaN", "-", " "]  # fmt: skip


@pytest.mark.parametrize("name", NOBODY)
def test_these_words_are_no_artist(name: str):
    assert is_unknown(name)


@pytest.mark.parametrize("name", ["Na", "Nan", "Nonell", "Nan Goldin", "Master of Flémalle"])
def test_these_artists_are_no_words_for_none(name: str):
    assert not is_unknown(name)


def test_a_validation_split_alone_is_no_split():
    assert split_names(["val", "Monet"]) == {}
    assert split_names(["dev", "eval"]) == {"dev": "train", "eval": "test"}


def test_a_painting_keeps_its_split_when_rows_before_it_are_left_out():
    table = artists(*["Monet"] * 20)
    some = hold_out(table).loc[5:, "split"]
    assert (hold_out(table).loc[5:, "split"] == some).all()
    assert [*hold_out(table.loc[5:]).index] == [*range(5, 20)]


def test_what_a_classifier_cannot_use_is_said():
    table = artists("Monet", "Monet", "Degas", "Degas", "Manet", "")
    table["split"] = ["train", "test"] * 2 + ["train", "train"]
    said = describe_unused(table, identifiable(table, 1))
    assert said == "2 paintings not used for training or tests: 1 of unknown artists, Manet 1"
    assert describe_unused(table, table) == ""
