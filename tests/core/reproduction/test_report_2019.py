"""Artists and subjects that replace those of the report."""

import pandas as pd
import pytest

from brushwork.errors import BrushworkError
from brushwork.reproduction.report_2019 import choose_subjects, choose_threshold


def table(sizes, **columns):
    """So many training paintings of each artist, and one to test on."""
    rows = [
        (artist, split) for artist, num in sizes.items() for split in ["train"] * num + ["test"]
    ]
    frame = pd.DataFrame(rows, columns=["artist", "split"])
    return frame.assign(**{"style": "", "genre": ""} | columns)


def test_the_reports_threshold_holds_where_two_artists_have_as_many():
    threshold, words = choose_threshold(table({"Monet": 310, "Degas": 300, "Sisley": 299}), None)
    assert threshold == 300 and words.startswith("2 artists")


def test_where_fewer_have_as_many_ten_artists_are_kept_and_it_is_said():
    sizes = {f"artist {n}": 20 + n for n in range(12)}
    threshold, words = choose_threshold(table(sizes), None)
    assert threshold == 22 and "10 artists" in words and "fewer than two" in words


def test_a_given_threshold_is_not_lowered():
    with pytest.raises(BrushworkError, match="lower `min_paintings`"):
        choose_threshold(table({"Monet": 40, "Degas": 30}), 300)


def test_one_artist_is_refused():
    with pytest.raises(BrushworkError, match="a classifier needs two artists"):
        choose_threshold(table({"Monet": 40}), None)


def test_genres_that_are_not_there_are_replaced_by_the_largest_and_it_is_said():
    genres = ["Landscape"] * 40 + ["still life"] * 50 + ["abstract"] * 30 + ["portrait"]
    paintings = table({"Monet": 120}, genre=genres, style="Impressionism")
    subjects, notes = choose_subjects(paintings)
    assert [*subjects] == ["landscapes", "portraits", "one-style", "one-artist", "everything"]
    assert subjects["landscapes"].flags == ("--genre", "Landscape")
    assert subjects["portraits"].flags == ("--genre", "still life")
    assert any("not enough portraits; the genre 'still life'" in note for note in notes)
    assert subjects["one-artist"].flags == ("--artist", "Monet")


def test_without_genres_and_styles_the_other_subjects_remain():
    subjects, notes = choose_subjects(table({"Monet": 25}))
    assert [*subjects] == ["one-artist", "everything"]
    assert len([note for note in notes if "No genre" in note or "no styles" in note]) == 3


def test_a_subject_of_too_few_paintings_is_left_out_or_refused_if_it_was_given():
    few = table({"Monet": 4, "Degas": 3}, style="Impressionism", genre="portrait")
    subjects, notes = choose_subjects(few)
    assert [*subjects] == ["everything"]
    assert any("Monet has 5 paintings" in note for note in notes)
    with pytest.raises(BrushworkError, match="choose another `artist`"):
        choose_subjects(few, artist="Degas")


def test_a_mistyped_style_is_refused_with_a_near_name():
    with pytest.raises(BrushworkError, match="did you mean 'Baroque'"):
        choose_subjects(table({"Monet": 5}, style="Baroque"), style="Baroqe")
