"""Select paintings by genre, style, artist, split and number per artist; split them by artist."""

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

Report = Callable[[str, pd.DataFrame], None]
"""Called after each filter, with the filter in words and the rows that are left."""


def select(
    table: pd.DataFrame,
    *,
    genre: Sequence[str] = (),
    style: Sequence[str] = (),
    artist: Sequence[str] = (),
    split: str | None = None,
    min_paintings: int = 0,
    counted_in: str | None = None,
    report: Report = lambda _what, _left: None,
) -> pd.DataFrame:
    """Select the rows that pass every filter; they keep their index and order.

    Args:
        table: with the columns of `brushwork.data.paintings.COLUMNS`.
        genre: keep these genres, all if empty. Case, accents, hyphens and underscores in a name
            make no difference.
        style: keep these styles, all if empty.
        artist: keep these artists, all if empty.
        split: keep only "train" or only "test".
        min_paintings: drop artists that have fewer paintings after the other filters, and
            paintings whose artist is unknown.
        counted_in: count paintings for `min_paintings` in this split only. A classifier counts
            its training paintings.
        report: called after each filter; the words name parameters in backticks.

    Raises:
        BrushworkError: a name is unknown (the message suggests near names), or a filter leaves no
            row.
    """
    everything, before = table, "the source"
    for column, names in (("genre", genre), ("style", style), ("artist", artist)):
        if not names:
            continue
        wanted = {known for name in names for known in _spellings(everything, column, name)}
        left = table.loc[[name in wanted for name in table[column]]]
        what = " ".join(f"`{column}` {name!r}" for name in names)
        if left.empty:
            raise BrushworkError(
                f"none of the {len(table):,} paintings of {before} matches {what}; change one of "
                "the filters"
            )
        table, before = left, what
        report(what, table)
    if split:
        left = table.loc[table["split"] == split]
        if left.empty:
            raise BrushworkError(
                f"{before} has no paintings in the {split} split; choose another `split`, or leave "
                "`split` out"
            )
        table, before = left, f"{before} in the {split} split"
        report(f"`split` {split}", table)
    if min_paintings > 0:
        counted = table.loc[table["split"] == counted_in] if counted_in else table
        sizes = counts(counted, "artist")
        enough = {artist for artist, size in sizes.items() if size >= min_paintings}
        left = table.loc[[artist in enough for artist in table["artist"]]]
        if left.empty:
            most = int(sizes.max()) if len(sizes) else 0
            raise BrushworkError(
                f"none of the {len(sizes):,} artists of this selection has {min_paintings:,} "
                f"paintings{f' in the {counted_in} split' if counted_in else ''} "
                f"(the most is {most:,}); lower "
                f"`min_paintings`{_suggest_threshold(sizes, min_paintings)}"
            )
        table = left
        report(f"`min_paintings` {min_paintings}", table)
    return table


def identifiable(
    table: pd.DataFrame,
    min_paintings: int,
    report: Report = lambda _what, _left: None,
) -> pd.DataFrame:
    """Select the paintings of artists that a classifier can be trained and tested on.

    As the 2019 report did: keep artists who have paintings in both splits, then those who have at
    least `min_paintings` in the training split. Paintings of unknown artists are left out.

    Args:
        table: with the columns `artist` and `split`.
        min_paintings: fewest training paintings of an artist.
        report: see `select`.

    Raises:
        BrushworkError: fewer than two artists are left.
    """
    known = table.loc[table["artist"] != ""]
    both = [set(known.loc[known["split"] == split, "artist"]) for split in ("train", "test")]
    left = known.loc[known["artist"].isin(both[0] & both[1])]
    report("artists with paintings in both splits", left)
    if left.empty:
        raise BrushworkError(
            "no artist has paintings in both the training and the test split; a classifier needs "
            "some in each: select more paintings"
        )
    sizes = counts(left.loc[left["split"] == "train"], "artist")
    left = select(left, min_paintings=min_paintings, counted_in="train", report=report)
    if len(set(left["artist"])) < 2:
        hint = _suggest_threshold(sizes, min_paintings)
        raise BrushworkError(
            f"only {left['artist'].iloc[0]} has paintings in both splits, and at least "
            f"{min_paintings:,} in the training split; a classifier needs two artists: "
            f"{f'lower `min_paintings`{hint} or ' if hint else ''}select more artists"
        )
    return left


def hold_out_validation(train: pd.DataFrame, share: float, seed: int) -> pd.Series:
    """Choose training rows for validation: the same share of each artist, at least one painting.

    An artist's validation rows do not depend on which other artists are in `train`. So a network
    that is initialised from one trained on other artists is validated on paintings that neither was
    trained on. An artist with one painting has no validation row.

    Args:
        train: the training rows, with a column `artist` and a unique index.
        share: share of each artist's paintings, between 0 and 1.
        seed: decides which rows.

    Returns:
        True for the validation rows, with the index of `train`.

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
    """The paintings of a classifier's artists, as training, validation and test rows.

    Attributes:
        artists: K names, sorted; a label is a position in this list.
        table: all the paintings, as `identifiable` selects them.
        train: rows of the training split to train on.
        validation: rows of the training split that are held out, to choose the best step.
        test: rows of the test split, which are used for nothing but the final test.
    """

    artists: list[str]
    table: pd.DataFrame
    train: pd.DataFrame
    validation: pd.DataFrame
    test: pd.DataFrame

    @property
    def training(self) -> pd.DataFrame:
        """All rows of the training split, including the validation rows."""
        return self.table.loc[self.table["split"] == "train"]

    def labels(self, part: pd.DataFrame) -> NDArray[np.int64]:
        """Return the labels (N,) of `train`, `validation`, `test` or other rows of the table."""
        return part["artist"].map(self.artists.index).to_numpy(np.int64).copy()


def split_by_artist(
    table: pd.DataFrame,
    min_paintings: int,
    seed: int,
    report: Report = lambda _what, _left: None,
) -> Split:
    """Split artists into training, validation and test rows.

    Args:
        table: with the columns `artist` and `split`.
        min_paintings: fewest training paintings of an artist; see `identifiable`.
        seed: decides which tenth of each artist's training rows becomes the validation rows; see
            `hold_out_validation`.
        report: see `select`.

    Raises:
        BrushworkError: fewer than two artists are left.
    """
    chosen = identifiable(table, min_paintings, report)
    training, test = (chosen.loc[chosen["split"] == split] for split in ("train", "test"))
    held_out = hold_out_validation(training, share=0.1, seed=seed)
    return Split(
        artists=sorted(chosen["artist"].unique()),
        table=chosen,
        train=training.loc[~held_out],
        validation=training.loc[held_out],
        test=test,
    )


def describe_unused(selected: pd.DataFrame, used: pd.DataFrame) -> str:
    """Say which selected paintings a classifier cannot use; "" if it uses all.

    Args:
        selected: the result of `select`.
        used: the result of `identifiable`.

    >>> table = pd.DataFrame({"artist": ["Monet", "Degas", "", "Monet"]})
    >>> describe_unused(table, table[table["artist"] == "Monet"])
    '2 paintings not used for training or tests: 1 of unknown artists, Degas 1'
    """
    unused = selected.drop(used.index)
    if unused.empty:
        return ""
    sizes = counts(unused, "artist")
    num_unknown = len(unused) - int(sizes.sum())
    parts = [f"{num_unknown:,} of unknown artists"] * bool(num_unknown)
    parts += [f"{name} {size:,}" for name, size in sizes.head(10).items()]
    if len(sizes) > 10:
        parts.append(f"{int(sizes.iloc[10:].sum()):,} of {len(sizes) - 10:,} more artists")
    return f"{len(unused):,} paintings not used for training or tests: {', '.join(parts)}"


def rows_and_labels(
    table: pd.DataFrame, kind: str | None
) -> tuple[NDArray[np.int64], NDArray[np.int64], tuple[str, ...]]:
    """List the rows (R,) of a table, their labels (R,), and the names of the classes, sorted.

    Args:
        table: the result of `select`.
        kind: the column that gives the classes: "artist", "style" or "genre". Paintings whose value
            is unknown are left out. None makes no classes: all labels are 0.

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
            f"`condition` {kind} needs at least two {kind}s, and the selection has "
            f"{f'only {names[0]}' if names else 'none'}; select more, or leave `condition` out"
        )
    return known.index.to_numpy(np.int64), np.searchsorted(names, known[kind]), names


def rows_of_others(
    table: pd.DataFrame, selected: pd.DataFrame, split: str | None
) -> NDArray[np.int64]:
    """List the rows (R,) of a table that are not selected.

    Args:
        table: all paintings.
        selected: the rows of `table` that are selected.
        split: list only rows of this split; None for both.

    Raises:
        BrushworkError: all rows are selected.

    >>> table = pd.DataFrame({"artist": ["Monet", "Degas", "Monet"], "split": ["train"] * 3})
    >>> rows_of_others(table, table[table["artist"] == "Monet"], "train").tolist()
    [1]
    """
    others = select(table, split=split).index.difference(selected.index)
    if others.empty:
        raise BrushworkError(
            "`others` needs unselected paintings, and all are selected; narrow the selection with "
            "`artist`, `style` or `genre`, or leave `others` out"
        )
    return others.to_numpy(np.int64)


def counts(table: pd.DataFrame, column: str) -> pd.Series:
    """Count the paintings of each artist, style or genre, most first; "" is not counted.

    >>> table = pd.DataFrame({"artist": ["Monet", "Degas", "", "Monet"]})
    >>> counts(table, "artist").to_dict()
    {'Monet': 2, 'Degas': 1}
    """
    sizes = Counter(name for name in table[column] if name)
    # Equal counts are in alphabetical order.
    return pd.Series(dict(sorted(sizes.items(), key=lambda item: (-item[1], item[0]))), dtype=int)


def _spellings(table: pd.DataFrame, column: str, name: str) -> list[str]:
    """List the spellings of a name that occur in a column.

    Raises:
        BrushworkError: the name does not occur.
    """
    sizes = counts(table, column)
    key = name_key(name)
    if key and (same := [str(other) for other in sizes.index if name_key(str(other)) == key]):
        return same
    near = [f"{other!r} ({sizes[other]:,})" for other in near_names(sizes.to_dict(), name)]
    meant = f"; did you mean {' or '.join(near)}?" if near else ""
    if sizes.empty:
        raise BrushworkError(
            f"no {column} {name!r}: this data has no {column}s; leave `{column}` out"
        )
    raise BrushworkError(
        f"no {column} {name!r}{meant} ({len(sizes):,} {column}s; list them with prepare_data.py "
        f"--list {column}s)"
    )


def _suggest_threshold(sizes: pd.Series, min_paintings: int) -> str:
    """Suggest a lower `min_paintings` that keeps ten artists, or all if there are fewer.

    Args:
        sizes: number of paintings of each artist, most first.
        min_paintings: the present number.

    Returns:
        The suggestion in brackets; "" if no lower number keeps two artists.

    >>> _suggest_threshold(pd.Series({"Monet": 9, "Degas": 4}), 5)
    ' (4 keeps 2)'
    >>> _suggest_threshold(pd.Series({"Monet": 9}), 5)
    ''
    """
    if len(sizes) < 2:
        return ""
    threshold = int(sizes.iloc[min(10, len(sizes)) - 1])
    if threshold >= min_paintings:
        return ""
    return f" ({threshold:,} keeps {int((sizes >= threshold).sum()):,})"
