"""The table of a source's paintings: columns, splits, and how to read each picture."""

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from brushwork.data.readers import Reader
from brushwork.names import clean_name, is_unknown, spelling_key

LABELS = ("artist", "style", "genre")


COLUMNS = (*LABELS, "title", "date", "split")


SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "dev"), "validation"),
    **dict.fromkeys(("test", "testing", "eval", "evaluation"), "test"),
}
"""Names of folders and splits, and the split that each means, as the library `datasets` has them;
the case makes no difference."""


TEST_SHARE = 0.2


def why_rejected(rejected: Sequence[tuple[str, str]]) -> str:
    """Continue a message about a source without paintings with the first thing that was rejected.

    >>> why_rejected([("Monet/lily.jpg", "a link to a file outside the folder")])
    ' (1 rejected, the first one: Monet/lily.jpg, a link to a file outside the folder)'
    >>> why_rejected([])
    ''
    """
    if not rejected:
        return ""
    source, reason = rejected[0]
    return f" ({len(rejected):,} rejected, the first one: {source}, {reason})"


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
    notes: tuple[str, ...] = ()
    """What was read differently from how it is written, each in a sentence without a full stop. It
    is not part of the fingerprint: what changes a painting also changes its row."""
    folder: Path | None = None
    """The folder of the source, if it is one."""

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


def split_of(name: str) -> str:
    """Return the split that a name means: "train", "validation", "test", or "" for no split.

    Numbers and separators may follow, as in `train_1` or `test-00000`.

    >>> split_of("Train"), split_of("dev"), split_of("test_2"), split_of("Titian")
    ('train', 'validation', 'test', '')
    """
    return SPLITS.get(re.sub(r"[-._ 0-9]+$", "", name.casefold()), "")


def resembles_split(name: str) -> bool:
    """Return whether a name probably means a split, although `split_names` may not take it so.

    >>> resembles_split("train_images"), resembles_split("Val"), resembles_split("Val Prinsep")
    (True, True, False)
    """
    words = re.split(r"[-._ 0-9]+", name.casefold())
    certain = {word for word in SPLITS if len(word) > 3 and word != "valid"}
    sets = {"trainset", "trainingset", "testset", "valset", "trainval", "holdout", "heldout"}
    return bool(split_of(name)) or not (certain | sets).isdisjoint(words)


def split_names(names: Iterable[str]) -> dict[str, str]:
    """Map names of splits to "train" or "test"; leave other names out.

    The validation split is the test split if there is no other. If it is the only split, its name
    is left out, too.

    >>> split_names(["train", "validation", "test", "Rembrandt"])
    {'train': 'train', 'validation': 'train', 'test': 'test'}
    >>> split_names(["Train", "dev"])
    {'Train': 'train', 'dev': 'test'}
    """
    splits = {name: split for name in names if (split := split_of(name))}
    if not {"train", "test"} & set(splits.values()):
        return {}
    held_out = "test" if "test" in splits.values() else "validation"
    return {name: "test" if split == held_out else "train" for name, split in splits.items()}


def tidy(table: pd.DataFrame) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Give each artist, style and genre one spelling, and "" where it is unknown.

    Spellings that differ only in case, spaces or Unicode form become the commonest one.

    Args:
        table: with the columns `COLUMNS`.

    Returns:
        The table with the changed labels; and notes that say what was changed.

    >>> rows = [("Monet", "", "", "", "", "train", "1")] * 2
    >>> table, notes = tidy(as_table([*rows, ("MONET", "nan", "", "", "", "train", "3")]))
    >>> table["artist"].tolist(), table["style"].tolist(), notes[0]
    (['Monet', 'Monet', 'Monet'], ['', '', ''], "artist 'MONET' becomes 'Monet'")
    """
    notes, columns = [], {}
    for column in LABELS:
        renamed, unknown = _spellings(Counter(table[column]), column)
        changed = {name: new for name, new in renamed.items() if name != new}
        if changed:
            shown = [f"{_shown(name)} becomes {new!r}" for name, new in changed.items()]
            notes.append(f"{column} {listed(shown)}")
        if unknown:
            shown = [f"{name!r} ({num:,})" for name, num in unknown.items()]
            notes.append(f"{column} {listed(shown)} counts as unknown")
        columns[column] = [renamed.get(name, "") for name in table[column]]
    columns["title"] = ["" if _is_no_title(title) else title for title in table["title"]]
    dates = {date: "" if is_unknown(date, "date") else date for date in set(table["date"])}
    columns["date"] = [dates[date] for date in table["date"]]
    return table.assign(**columns), tuple(notes)


def _spellings(sizes: Counter[str], column: str) -> tuple[dict[str, str], dict[str, int]]:
    """Find the one spelling of each name.

    Args:
        sizes: names with their numbers of paintings.
        column: "artist", "style" or "genre".

    Returns:
        The new spelling of each known name; and the other names, if not empty, with their numbers.
    """
    by_key: dict[str, list[str]] = {}
    unknown = {}
    for name, num in sizes.items():
        if not is_unknown(name, column):
            by_key.setdefault(spelling_key(name), []).append(name)
        elif name.strip():
            unknown[name] = num
    renamed = {}
    for names in by_key.values():
        cleaned: Counter[str] = Counter()
        for name in names:
            cleaned[clean_name(name)] += sizes[name]
        # Of equally frequent spellings, the one with fewer capitals that is not all small.
        best = min(cleaned, key=lambda name: (-cleaned[name], name.islower(), name.isupper(), name))
        renamed |= dict.fromkeys(names, best)
    return renamed, unknown


def _is_no_title(title: str) -> bool:
    return title in ("nan", "NaN", "None") or title.casefold() in ("unknown", "unknown title")


def _shown(name: str) -> str:
    """Quote a name so that unusual spaces and combining accents can be seen."""
    return repr(name) if unicodedata.is_normalized("NFC", name) else ascii(name)


def listed(texts: list[str], most: int = 5) -> str:
    """Join texts; of more than `most`, say how many more there are."""
    more = [f"{len(texts) - most:,} more"] if len(texts) > most else []
    return ", ".join([*texts[:most], *more])


def as_table(rows: list[tuple[str, ...]]) -> pd.DataFrame:
    """Make a table from rows whose values are in the order of `COLUMNS`, then `source`."""
    return pd.DataFrame(rows, columns=[*COLUMNS, "source"])
