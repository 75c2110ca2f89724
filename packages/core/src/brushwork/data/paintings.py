"""The table of a source's paintings: columns, splits, and how to read each picture."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace

import pandas as pd

from brushwork.data.readers import Reader

LABELS = ("artist", "style", "genre")


COLUMNS = (*LABELS, "title", "date", "split")


SPLIT_NAMES = ("test", "validation", "valid", "val", "train")
"""Names of folders and splits; the first one that exists becomes the test split."""


TEST_SHARE = 0.2


@dataclass(frozen=True)
class Paintings:
    """The paintings of a source, or a selection of them."""

    name: str
    """Shown in cards and messages; contains no path."""
    table: pd.DataFrame
    """The columns `COLUMNS` and `source`, all strings, "" where unknown. `source` is unique: a path
    relative to the folder, or the key of a row. `split` is "train" or "test"."""
    read: Reader
    """Reads the picture of a row, given the row's index in `table`."""
    missing: tuple[str, ...] = ()
    """Files that the source lists but that do not exist."""
    rejected: tuple[tuple[str, str], ...] = ()
    """Rows and files that are not usable as paintings, each with the reason."""
    not_selected: int = 0
    """How many paintings a selection left out."""

    def selected(self, table: pd.DataFrame) -> "Paintings":
        """Keep only the rows in `table`, whose index still refers to the whole source."""
        left_out = len(self.table) - len(table)
        return replace(self, table=table, not_selected=self.not_selected + left_out)

    def fingerprint(self) -> str:
        """Compute a hash that changes with any row, and with the size or time of any file."""
        content = hashlib.sha256(repr((self.missing, self.rejected)).encode())
        for row, values in zip(
            self.table.index, self.table.itertuples(index=False, name=None), strict=True
        ):
            content.update(repr((values, self.read.identity(row))).encode())
        return content.hexdigest()


def hold_out(table: pd.DataFrame) -> pd.DataFrame:
    """Move a fifth of each artist's paintings to the test split, unless there is one already.

    The hash of each painting's `source` decides which, so a painting keeps its split whatever the
    order of the files. An artist with one or two paintings has none in the test split.
    """
    if "test" in set(table["split"]):
        return table
    by_artist: dict[str, list[tuple[str, int]]] = {}
    for row, (artist, source) in enumerate(zip(table["artist"], table["source"], strict=True)):
        order = hashlib.blake2b(source.encode()).hexdigest()
        by_artist.setdefault(artist, []).append((order, row))
    split = ["train"] * len(table)
    for ordered in by_artist.values():
        for _, row in sorted(ordered)[: round(TEST_SHARE * len(ordered))]:
            split[row] = "test"
    return table.assign(split=split)


def split_names(names: Iterable[str]) -> dict[str, str]:
    """Map names of splits to "train" or "test"; leave other names out.

    >>> split_names(["train", "validation", "test", "Rembrandt"])
    {'train': 'train', 'validation': 'train', 'test': 'test'}
    >>> split_names(["train", "validation"])
    {'train': 'train', 'validation': 'test'}
    """
    splits = {name: "train" for name in names if name in SPLIT_NAMES}
    if not {"train", "test"} & splits.keys():
        return {}
    held_out = next((name for name in SPLIT_NAMES[:-1] if name in splits), None)
    return splits | ({held_out: "test"} if held_out else {})


def as_table(rows: list[tuple[str, ...]]) -> pd.DataFrame:
    """Make a table from rows whose values are in the order of `COLUMNS`, then `source`."""
    return pd.DataFrame(rows, columns=[*COLUMNS, "source"])
