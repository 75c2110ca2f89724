import pandas as pd
import pytest

from brushwork.data.selection import counts, identifiable, rows_of_others, select, split_by_artist
from brushwork.errors import BrushworkError

ARTISTS = {
    "Vincent van Gogh": (6, 2),
    "Claude Monet": (4, 1),
    "Édouard Manet": (2, 2),
    "Jan van Goyen": (1, 0),
    "": (9, 0),
}


@pytest.fixture
def table() -> pd.DataFrame:
    rows = []
    for artist, (train, test) in ARTISTS.items():
        for number in range(train + test):
            rows.append(
                {
                    "artist": artist,
                    "style": "Impressionism" if number % 2 else "",
                    "genre": "landscape" if number < 3 else "genre_painting",
                    "split": "train" if number < train else "test",
                    "source": f"{artist}/{number}",
                }
            )
    return pd.DataFrame(rows)


def test_filters_of_one_kind_add_up_and_those_of_different_kinds_narrow(table):
    both = select(table, artist=["Claude Monet", "Jan van Goyen"])
    assert set(both["artist"]) == {"Claude Monet", "Jan van Goyen"}
    narrowed = select(table, artist=["Claude Monet", "Jan van Goyen"], genre=["landscape"])
    assert len(narrowed) == 4
    assert set(narrowed["genre"]) == {"landscape"}


def test_the_index_still_counts_the_rows_of_the_source(table):
    rows = select(table, artist=["Claude Monet"])
    assert [*rows.index] == [row for row, name in enumerate(table["artist"]) if "Monet" in name]


@pytest.mark.parametrize("name", ["claude monet", "CLAUDE_MONET", "claude-monet", " Claude  Monet"])
def test_names_match_whatever_their_spelling(table, name: str):
    assert len(select(table, artist=[name])) == 5


def test_accents_need_not_be_typed(table):
    assert len(select(table, artist=["edouard manet"])) == 4
    assert len(select(table, genre=["genre painting"])) == len(
        select(table, genre=["Genre-Painting"])
    )


def test_min_paintings_drops_rare_artists_and_the_unknown(table):
    assert set(select(table, min_paintings=4)["artist"]) == {
        "Vincent van Gogh",
        "Claude Monet",
        "Édouard Manet",
    }


def test_min_paintings_counts_what_the_other_filters_left(table):
    rows = select(table, genre=["genre painting"], min_paintings=2)
    assert set(rows["artist"]) == {"Vincent van Gogh", "Claude Monet"}


def test_min_paintings_can_count_training_paintings_only(table):
    rows = select(table, min_paintings=4, counted_in="train")
    assert set(rows["artist"]) == {"Vincent van Gogh", "Claude Monet"}
    assert set(rows["split"]) == {"train", "test"}


def test_a_surname_suggests_the_whole_name_with_its_count(table):
    with pytest.raises(
        BrushworkError, match=r"did you mean 'Vincent van Gogh' \(8\)\? \(4 artists"
    ):
        select(table, artist=["Van Gogh"])


def test_a_typo_suggests_near_names(table):
    with pytest.raises(BrushworkError, match="'Claude Monet'"):
        select(table, artist=["Claud Monnet"])
    with pytest.raises(BrushworkError, match="'Édouard Manet'"):
        select(table, artist=["manett"])


def test_a_name_like_no_other_says_how_to_list_them(table):
    with pytest.raises(BrushworkError, match=r"no genre 'xyz' \(2 genres; .*--list genres"):
        select(table, genre=["xyz"])


def test_a_name_in_a_table_without_any_says_so(table):
    with pytest.raises(BrushworkError, match="this data has no styles"):
        select(table.assign(style=""), style=["Cubism"])


def test_an_empty_name_is_unknown_rather_than_everything(table):
    with pytest.raises(BrushworkError, match="no artist ''"):
        select(table, artist=[""])


def test_an_empty_selection_names_the_filter_that_emptied_it(table):
    with pytest.raises(
        BrushworkError, match=r"none of the .* 'genre painting' matches .* 'Jan van Goyen'"
    ):
        select(table, genre=["genre painting"], artist=["Jan van Goyen"])
    with pytest.raises(BrushworkError, match="'Jan van Goyen' has no paintings in the test split"):
        select(table, artist=["Jan van Goyen"], split="test")
    with pytest.raises(BrushworkError, match=r"none of the 4 artists .* 99 .* \(the most is 8\)"):
        select(table, min_paintings=99)


def test_every_filter_reports_what_it_left(table):
    said = []
    select(
        table,
        genre=["landscape"],
        split="train",
        min_paintings=3,
        report=lambda what, left: said.append((what, len(left))),
    )
    assert said == [("`genre` 'landscape'", 13), ("`split` train", 12), ("`min_paintings` 3", 6)]


def test_nothing_asked_leaves_everything(table):
    assert select(table).equals(table)


def test_others_are_whoever_was_not_selected_in_the_same_split(table):
    rows = rows_of_others(table, select(table, artist=["Claude Monet"]), None)
    assert set(table["artist"].loc[rows]) == set(ARTISTS) - {"Claude Monet"}
    assert len(rows) == len(table) - 5
    # Unselected test paintings are not used when training paintings are selected.
    selected = select(table, artist=["Claude Monet"], split="train")
    rows = rows_of_others(table, selected, "train")
    assert set(table["split"].loc[rows]) == {"train"}
    assert "Claude Monet" not in set(table["artist"].loc[rows])
    with pytest.raises(BrushworkError, match="leave `others` out"):
        rows_of_others(table, select(table, split="train"), "train")


def test_counts_are_sorted_and_leave_the_unknown_out(table):
    assert [*counts(table, "artist").items()] == [
        ("Vincent van Gogh", 8),
        ("Claude Monet", 5),
        ("Édouard Manet", 4),
        ("Jan van Goyen", 1),
    ]


def of(artist, train, test):
    rows = [(artist, "train")] * train + [(artist, "test")] * test
    return pd.DataFrame(rows, columns=["artist", "split"])


def test_a_classifier_knows_artists_in_both_splits_with_enough_to_train_on():
    table = pd.concat([of("A", 9, 1), of("B", 5, 5), of("C", 9, 0), of("", 9, 9), of("D", 2, 9)])
    table = table.reset_index(drop=True)
    said = []
    chosen = identifiable(table, 5, report=lambda what, left: said.append((what, len(left))))
    assert set(chosen["artist"]) == {"A", "B"}
    assert said == [
        ("artists with paintings in both splits", 31),
        ("`min_paintings` 5", 20),
    ]
    with pytest.raises(BrushworkError, match=r"only A has .*lower `min_paintings` \(2 keeps 3"):
        identifiable(table, 6)
    alone = pd.concat([of("A", 9, 1), of("C", 9, 0)]).reset_index(drop=True)
    with pytest.raises(BrushworkError, match="needs two artists: select more artists"):
        identifiable(alone, 1)
    with pytest.raises(BrushworkError, match="both the training and the test split"):
        identifiable(of("A", 9, 0), 1)


def test_validation_takes_its_share_of_every_artist_and_none_of_the_test_rows():
    table = pd.concat([of("A", 50, 9), of("B", 20, 9), of("C", 3, 9)]).reset_index(drop=True)
    split = split_by_artist(table, 2, seed=0)
    assert split.validation["artist"].value_counts().to_dict() == {"A": 5, "B": 2, "C": 1}
    parts = [set(part.index) for part in (split.train, split.validation, split.test)]
    assert sum(map(len, parts)) == len(set().union(*parts)) == len(table)
    assert set(split.test["split"]) == {"test"}
    assert set(split.validation["split"]) == {"train"}
    assert split.labels(split.validation).max() == 2
    again, other = split_by_artist(table, 2, seed=0), split_by_artist(table, 2, seed=1)
    assert list(again.validation.index) == list(split.validation.index)
    assert list(other.validation.index) != list(split.validation.index)


def test_whoever_else_is_chosen_an_artists_validation_stays():
    table = pd.concat([of("A", 50, 9), of("B", 20, 9), of("C", 30, 9)]).reset_index(drop=True)
    everyone, fewer = (split_by_artist(table, least, seed=0).validation for least in (2, 30))
    assert set(fewer["artist"]) == {"A", "C"}
    assert list(everyone.loc[everyone["artist"] != "B"].index) == list(fewer.index)
