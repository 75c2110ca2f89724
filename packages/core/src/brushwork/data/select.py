"""Which paintings of a table are used: by genre, style, artist, split, and paintings per artist."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from zlib import crc32

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from brushwork.errors import BrushworkError
from brushwork.names import name_key, near_names


def select(
    table: pd.DataFrame,
    *,
    genre: Sequence[str] = (),
    style: Sequence[str] = (),
    artist: Sequence[str] = (),
    split: str | None = None,
    min_paintings: int = 0,
    counted_in: str | None = None,
    report: Callable[[str, pd.DataFrame], None] = lambda _what, _left: None,
) -> pd.DataFrame:
    """The rows that pass every filter, with their index and order.

    Args:
        table: with `brushwork.data.paintings.COLUMNS`.
        genre: any of these; names match whatever their case, accents, hyphens and underscores.
        style: any of these.
        artist: any of these.
        split: "train" or "test" only.
        min_paintings: drop artists with fewer paintings among the rows that the other filters left,
            and then also paintings whose artist is unknown.
        counted_in: count for `min_paintings` in this split only, as a classifier does, which
            needs so many to train on.
        report: told of each filter that was given, and of the rows it left.

    Raises:
        BrushworkError: for an unknown name, with near ones, and for a filter that leaves nothing.
    """
    everything, before = table, "the source"
    for column, names in (("genre", genre), ("style", style), ("artist", artist)):
        if not names:
            continue
        wanted = {known for name in names for known in _known(everything, column, name)}
        left = table.loc[[name in wanted for name in table[column]]]
        what = " ".join(f"--{column} {name!r}" for name in names)
        if left.empty:
            raise BrushworkError(f"{what} leaves none of the {len(table):,} paintings of {before}")
        table, before = left, what
        report(what, table)
    if split:
        left = table.loc[table["split"] == split]
        if left.empty:
            raise BrushworkError(f"{before} has no paintings in the {split} split")
        table, before = left, f"{before} in the {split} split"
        report(f"--split {split}", table)
    if min_paintings > 0:
        counted = table.loc[table["split"] == counted_in] if counted_in else table
        sizes = counts(counted, "artist")
        enough = {artist for artist, size in sizes.items() if size >= min_paintings}
        left = table.loc[[artist in enough for artist in table["artist"]]]
        if left.empty:
            most = int(sizes.max()) if len(sizes) else 0
            raise BrushworkError(
                f"none of the {len(sizes):,} artists of this selection has {min_paintings:,} "
                f"paintings{f' to {counted_in} on' if counted_in else ''} (the most is {most:,}); "
                f"lower --min-paintings{_keeps(sizes)}"
            )
        table = left
        report(f"--min-paintings {min_paintings}", table)
    return table


def identifiable(
    table: pd.DataFrame,
    min_paintings: int,
    report: Callable[[str, pd.DataFrame], None] = lambda _what, _left: None,
) -> pd.DataFrame:
    """The rows of artists that a classifier can learn and be tested on.

    As in the 2019 report: artists with paintings in both the training and the test rows, then those
    with at least `min_paintings` to train on. Unknown artists are left out.

    Raises:
        BrushworkError: fewer than two artists are left.
    """
    known = table.loc[table["artist"] != ""]
    both = [set(known.loc[known["split"] == split, "artist"]) for split in ("train", "test")]
    left = known.loc[known["artist"].isin(both[0] & both[1])]
    report("artists with paintings to train and to test on", left)
    if left.empty:
        raise BrushworkError(
            "no artist has paintings in both the training and the test rows; "
            "a classifier needs some of each to learn from and to be tested on"
        )
    left = select(left, min_paintings=min_paintings, counted_in="train", report=report)
    if len(set(left["artist"])) < 2:
        sizes = counts(known.loc[known["split"] == "train"], "artist")
        raise BrushworkError(
            f"only {left['artist'].iloc[0]} is left by --min-paintings {min_paintings:,}; "
            f"lower it{_keeps(sizes)}: there is nothing to tell apart"
        )
    return left


def hold_out_validation(train: pd.DataFrame, share: float, seed: int) -> pd.Series:
    """Which training rows are kept aside to choose by: of each artist the same share, at least one.

    An artist's are the same whoever else is chosen, so that a network which begins as one that knew
    more artists, or fewer, is still judged by paintings that neither saw.

    Args:
        train: the training rows, with an `artist` each and an index of their own.
        share: between 0 and 1.
        seed: decides which.

    Returns:
        True for the rows to keep aside, with the index of `train`.

    >>> table = pd.DataFrame({"artist": ["Monet"] * 10 + ["Degas"] * 2})
    >>> table[hold_out_validation(table, 0.2, seed=0)]["artist"].tolist()
    ['Monet', 'Monet', 'Degas']
    """
    kept: list[Any] = []
    for artist, paintings in train.groupby("artist"):
        number = max(1, round(len(paintings) * share)) if len(paintings) > 1 else 0
        own_seed = (crc32(str(artist).encode()) + seed) % 2**32
        kept += paintings.sample(number, random_state=own_seed).index.tolist()
    return pd.Series(train.index.isin(kept), train.index)


@dataclass(frozen=True)
class Split:
    """The paintings of the artists to know, for learning, for choosing, and for testing.

    Attributes:
        artists: K names in order; a label is a place in it.
        table: all the paintings, by `identifiable`.
        train: training rows to learn from.
        validation: training rows kept aside, to choose by.
        test: test rows, which choose nothing.
    """

    artists: list[str]
    table: pd.DataFrame
    train: pd.DataFrame
    validation: pd.DataFrame
    test: pd.DataFrame

    @property
    def training(self) -> pd.DataFrame:
        """All training rows, those kept aside too."""
        return self.table.loc[self.table["split"] == "train"]

    def labels(self, part: pd.DataFrame) -> NDArray[np.int64]:
        """The labels (N,) of a part."""
        return part["artist"].map(self.artists.index).to_numpy(np.int64).copy()


def split_by_artist(
    table: pd.DataFrame,
    min_paintings: int,
    seed: int,
    report: Callable[[str, pd.DataFrame], None] = lambda _what, _left: None,
) -> Split:
    """Whom a classifier learns, and from what: see `identifiable` and `hold_out_validation`."""
    chosen = identifiable(table, min_paintings, report)
    training, test = (chosen.loc[chosen["split"] == split] for split in ("train", "test"))
    aside = hold_out_validation(training, share=0.1, seed=seed)
    artists = sorted(chosen["artist"].unique())
    return Split(artists, chosen, training.loc[~aside], training.loc[aside], test)


def rows_and_labels(
    table: pd.DataFrame, kind: str | None
) -> tuple[NDArray[np.int64], NDArray[np.int64], tuple[str, ...]]:
    """The rows (R,) of a table, the class (R,) of each, and the names of the classes, sorted.

    Args:
        table: what `select` left.
        kind: "artist", "style" or "genre"; paintings without one are left out. None for no classes:
            all labels are 0.

    Raises:
        BrushworkError: there are fewer than two classes.

    >>> table = pd.DataFrame({"artist": ["Monet", "Degas", "", "Monet"]}, index=[3, 5, 6, 9])
    >>> rows, labels, names = rows_and_labels(table, "artist")
    >>> rows.tolist(), labels.tolist(), names
    ([3, 5, 9], [1, 0, 1], ('Degas', 'Monet'))
    """
    if kind is None:
        return table.index.to_numpy(np.int64), np.zeros(len(table), np.int64), ()
    known = table.loc[table[kind] != ""]
    names = tuple(sorted(set(known[kind])))
    if len(names) < 2:
        raise BrushworkError(
            f"--condition {kind} needs at least two of them in the selection, which has "
            f"{names[0] if names else 'none'}; select more, or leave it out"
        )
    return known.index.to_numpy(np.int64), np.searchsorted(names, known[kind]), names


def rows_of_others(
    table: pd.DataFrame, selected: pd.DataFrame, split: str | None
) -> NDArray[np.int64]:
    """The rows (R,) of a table, of one split or both, that `select` did not leave in `selected`.

    Raises:
        BrushworkError: there are none.

    >>> table = pd.DataFrame({"artist": ["Monet", "Degas", "Monet"], "split": ["train"] * 3})
    >>> rows_of_others(table, table[table["artist"] == "Monet"], "train").tolist()
    [1]
    """
    others = select(table, split=split).index.difference(selected.index)
    if others.empty:
        raise BrushworkError(
            "all paintings are selected, so none are by --others; select with --artist, --style or "
            "--genre, or leave it out"
        )
    return others.to_numpy(np.int64)


def counts(table: pd.DataFrame, column: str) -> pd.Series:
    """How many paintings each artist, style or genre has, most first; the unknown aren't counted.

    >>> table = pd.DataFrame({"artist": ["Monet", "Degas", "", "Monet"]})
    >>> counts(table, "artist").to_dict()
    {'Monet': 2, 'Degas': 1}
    """
    sizes = Counter(name for name in table[column] if name)
    # The names in order of the alphabet where the counts are equal.
    return pd.Series(dict(sorted(sizes.items(), key=lambda item: (-item[1], item[0]))), dtype=int)


def _known(table: pd.DataFrame, column: str, name: str) -> list[str]:
    """Every spelling of a name that occurs."""
    sizes = counts(table, column)
    key = name_key(name)
    if key and (same := [str(other) for other in sizes.index if name_key(str(other)) == key]):
        return same
    near = [f"{other!r} ({sizes[other]:,})" for other in near_names(sizes.to_dict(), name)]
    meant = f"; did you mean {' or '.join(near)}?" if near else ""
    if sizes.empty:
        raise BrushworkError(f"no {column} {name!r}: these paintings have no {column}s at all")
    raise BrushworkError(
        f"no {column} {name!r}{meant} ({len(sizes):,} {column}s; list them with --list {column}s)"
    )


def _keeps(sizes: pd.Series) -> str:
    """An offer: a threshold that would have left ten artists, or all there are."""
    if sizes.empty:
        return ""
    threshold = int(sizes.iloc[min(10, len(sizes)) - 1])
    return f" ({threshold:,} keeps {int((sizes >= threshold).sum()):,})"
