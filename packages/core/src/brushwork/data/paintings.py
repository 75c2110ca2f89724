"""data.paintings."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace

import pandas as pd

from brushwork.data.readers import Reader

LABELS = ("artist", "style", "genre")


COLUMNS = (*LABELS, "title", "date", "split")


SPLIT_NAMES = ("test", "validation", "valid", "val", "train")
"""What folders and splits are called, those to test on first."""


TEST_SHARE = 0.2


@dataclass(frozen=True)
class Paintings:
    """Paintings of a source, or a selection of them."""

    name: str
    """For cards and messages; no path in it."""
    table: pd.DataFrame
    """`COLUMNS` and `source`, all strings, "" where unknown; `source` is unique: a path relative
    to the folder, or the key of a row. `split` is "train" or "test"."""
    read: Reader
    """From the index of a row to its encoded file or drawn picture."""
    missing: tuple[str, ...] = ()
    """Files that the table of the source names and the disk lacks."""
    rejected: tuple[tuple[str, str], ...] = ()
    """Rows or files that can't be paintings, with the reason."""
    not_selected: int = 0
    """How many paintings a selection left out."""

    def selected(self, table: pd.DataFrame) -> "Paintings":
        """The same source with some of its rows, whose index still counts all of them."""
        left_out = len(self.table) - len(table)
        return replace(self, table=table, not_selected=self.not_selected + left_out)

    def fingerprint(self) -> str:
        """A hash that changes with any row, and with the size or time of any file."""
        content = hashlib.sha256(repr((self.missing, self.rejected)).encode())
        for row, values in zip(
            self.table.index, self.table.itertuples(index=False, name=None), strict=True
        ):
            content.update(repr((values, self.read.identity(row))).encode())
        return content.hexdigest()


def hold_out(table: pd.DataFrame) -> pd.DataFrame:
    """Give a table without test rows a test split: a fifth of each artist's paintings.

    Which ones depends on the hash of each painting's `source` alone, so the same painting stays on
    its side whatever the order of the files; an artist with one or two has none.
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
    """Which of these names, if any, stand for the training and the test split.

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
    return pd.DataFrame(rows, columns=[*COLUMNS, "source"])
