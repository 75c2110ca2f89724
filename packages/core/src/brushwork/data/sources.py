"""The sources of paintings, each as one table with the same columns.

A source decodes nothing: it says which paintings there are, what is known of them, and how each
one's encoded file is reached. Files and rows that can't be used are listed, never dropped silently:
in every source, rows = paintings in the table + missing + rejected.
"""

import csv
import hashlib
import os
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from brushwork.data.decode import SUFFIXES
from brushwork.data.readers import RECORD, DatasetReader, FileReader, Reader, SyntheticReader
from brushwork.errors import BrushworkError

LABELS = ("artist", "style", "genre")
COLUMNS = (*LABELS, "title", "date", "split")
CSV = "all_data_info.csv"
SPLIT_NAMES = ("test", "validation", "valid", "val", "train")
"""What folders and splits are called, those to test on first."""
TEST_SHARE = 0.2
NUM_SYNTHETIC = 2000


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


def open_source(spec: str) -> Paintings:
    """What `--data` accepts.

    Args:
        spec: `synthetic` or `synthetic:5000`; a folder (Painter-by-Numbers, a saved dataset,
            Parquet files, prepared data, or pictures in a folder per artist); or the name of a
            dataset on the Hub, such as `huggan/wikiart`.

    Raises:
        BrushworkError: where there is no such thing.
    """
    kind, _, count = spec.partition(":")
    if kind == "synthetic":
        if count and not count.isdecimal():
            raise BrushworkError(f"--data {spec}: after synthetic: comes a number, synthetic:5000")
        return synthetic(int(count)) if count else synthetic()
    path = Path(spec).expanduser()
    if path.name == CSV:
        path = path.parent
    if (path / RECORD).exists():
        return prepared(path)
    if (path / CSV).exists():
        return painter_by_numbers(path)
    if path.suffix == ".parquet" or _is_dataset(path):
        return wikiart(path)
    if path.is_dir():
        return image_folder(path)
    if path.exists():
        raise BrushworkError(f"{spec} is a file; --data takes a folder, {CSV} or a .parquet file")
    if re.fullmatch(r"[\w.-]+/[\w.-]+", spec) and not path.parent.is_dir():
        return wikiart(spec)
    raise BrushworkError(
        f"no folder {spec}; --data takes one, or the name of a dataset on the Hub such as "
        "huggan/wikiart, or synthetic"
    )


def painter_by_numbers(folder: str | Path) -> Paintings:
    """Painter-by-Numbers as Kaggle has it: `all_data_info.csv` and the pictures.

    The pictures may lie in the folder itself or in any folder in it (`train`, `test`, `train_1`
    to `train_9`, `replacements_for_corrupted_files/train`, as the archives unpack); a replacement
    is preferred, then a folder named after the split. Links out of the folder are not followed.
    """
    root = _folder(folder)
    files: dict[str, list[str]] = {}
    links_out = set()
    for path, inside in _scan(root):
        files.setdefault(path.rpartition("/")[2], []).append(path)
        if not inside:
            links_out.add(path)

    rows, missing, rejected, seen = [], [], [], {}
    for line, record in _csv_records(root / CSV):
        reason = record if isinstance(record, str) else _bad_record(record, seen)
        if reason:
            rejected.append((f"{CSV}:{line}", reason))
            continue
        assert isinstance(record, dict)
        file = record["new_filename"]
        seen[file] = line
        if file not in files:
            missing.append(file)
            continue
        split = "train" if record["in_train"].lower() in ("true", "1") else "test"
        path, *others = files[file]
        if others:
            path = min(files[file], key=lambda path: (*_not_preferred(path, split), path))
        if path in links_out:
            rejected.append((f"{CSV}:{line}", f"{path} is a link out of the folder"))
            continue
        artist, style, genre, title, date = (record.get(column, "") for column in COLUMNS[:-1])
        date = date.removesuffix(".0")  # Kaggle's years passed through a float
        # One string for all paintings of an artist and so on, instead of one for each.
        artist, style, genre, date = map(sys.intern, (artist, style, genre, date))
        rows.append((artist, style, genre, title, date, split, path))
    if not rows:
        raise BrushworkError(
            f"none of the pictures that {root / CSV} names is there "
            f"({len(missing):,} missing, {len(rejected):,} bad rows); unpack the archives beside it"
        )
    table = _table(rows)
    return Paintings(
        name="Painter by Numbers",
        table=table,
        read=FileReader(root, tuple(table["source"])),
        missing=tuple(missing),
        rejected=tuple(rejected),
    )


def image_folder(folder: str | Path) -> Paintings:
    """Pictures as `artist/painting.jpg`, with or without `train` and `test` above.

    Pictures that lie above any artist's folder have no artist. Where nothing is under `test`,
    a fifth of each artist's paintings becomes the test split (see `hold_out`).
    """
    root = _folder(folder)
    splits = _split_names(path.name for path in root.iterdir() if path.is_dir())
    rows, rejected = [], []
    for path, inside in sorted(_scan(root)):
        *folders, file = path.split("/")
        if not inside:
            rejected.append((path, "a link out of the folder"))
        elif not _is_text(path):
            rejected.append((ascii(path), "its name is not UTF-8"))
        elif Path(file).suffix.lower() not in SUFFIXES:
            rejected.append((path, "not named as a picture"))
        else:
            split = splits.get(folders[0], "") if folders else ""
            artist = "".join(folders[bool(split) :][:1])
            rows.append((artist, "", "", Path(file).stem, "", split or "train", path))
    if not rows:
        raise BrushworkError(f"no pictures in {root}; put them there as artist/painting.jpg")
    table = hold_out(_table(rows))
    read = FileReader(root, tuple(table["source"]))
    return Paintings(name=root.name, table=table, read=read, rejected=tuple(rejected))


def wikiart(name_or_path: str | Path) -> Paintings:
    """A dataset with a column of images and columns `artist`, `style`, `genre`, `title`, `date`.

    Columns that it lacks stay empty. A column of class labels, as in `huggan/wikiart`, becomes
    their names, and "Unknown Artist" and the like become "". Rows of a split other than `test` are
    training rows, except that a validation split is the test split where there is no other. Where
    neither exists, a fifth of each artist's rows becomes the test split (see `hold_out`).

    Args:
        name_or_path: on the Hub, or a folder made by `save_to_disk`, or Parquet files.
    """
    import datasets

    splits = _load(name_or_path)
    names = _split_names(splits)
    tables, readers, fingerprints = [], [], []
    for name, split in splits.items():
        images = [
            column
            for column, feature in split.features.items()
            if isinstance(feature, datasets.Image) or column == "image"
        ]
        if not images:
            raise BrushworkError(
                f"{name_or_path} has no column of images; it has {', '.join(split.column_names)}"
            )
        fingerprints.append(split._fingerprint)
        raw = split.select_columns(images[0]).rename_columns({images[0]: "image"})
        readers.append(raw.cast_column("image", datasets.Image(decode=False)))
        table = pd.DataFrame({column: _text(split, column) for column in COLUMNS[:-1]})
        table["split"] = names.get(name, "train")
        table["source"] = [f"{name}/{row}" for row in range(len(split))]
        tables.append(table)
    return Paintings(
        name=Path(name_or_path).name if Path(name_or_path).exists() else str(name_or_path),
        table=hold_out(pd.concat(tables, ignore_index=True)),
        read=DatasetReader(tuple(readers), tuple(fingerprints)),
    )


def prepared(folder: str | Path) -> Paintings:
    """Prepared data as a source: what to select from and prepare again, smaller."""
    from brushwork.data.prepared import open_prepared

    paintings = open_prepared(folder)
    return Paintings(name=paintings.name, table=paintings.table, read=paintings.read)


def synthetic(count: int = NUM_SYNTHETIC, seed: int = 0) -> Paintings:
    """The first `count` paintings that `brushwork.data.synthetic` draws from a seed."""
    from brushwork.data.synthetic import describe

    if count < 1:
        raise BrushworkError(f"{count} synthetic paintings are none; ask for one or more")
    table = pd.DataFrame([describe(index, seed) for index in range(count)], columns=[*COLUMNS])
    table["source"] = [f"synthetic-{seed}/{index}" for index in range(count)]
    return Paintings(name="synthetic", table=table, read=SyntheticReader(seed))


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


def _split_names(names: Iterable[str]) -> dict[str, str]:
    """Which of these names, if any, stand for the training and the test split.

    >>> _split_names(["train", "validation", "test", "Rembrandt"])
    {'train': 'train', 'validation': 'train', 'test': 'test'}
    >>> _split_names(["train", "validation"])
    {'train': 'train', 'validation': 'test'}
    """
    splits = {name: "train" for name in names if name in SPLIT_NAMES}
    if not {"train", "test"} & splits.keys():
        return {}
    held_out = next((name for name in SPLIT_NAMES[:-1] if name in splits), None)
    return splits | ({held_out: "test"} if held_out else {})


def _folder(folder: str | Path) -> Path:
    root = Path(folder).expanduser()
    if not root.is_dir():
        raise BrushworkError(f"no folder {root}")
    return root.resolve()


def _table(rows: list[tuple[str, ...]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=[*COLUMNS, "source"])


def _scan(root: Path, below: str = "") -> Iterator[tuple[str, bool]]:
    """Every ordinary file below a folder, relative to it, and whether it truly lies in there.

    One pass over the directories and no call per file, since a folder may hold 100,000.
    """
    try:
        entries = sorted(os.scandir(root / below), key=lambda entry: entry.name)
    except OSError as error:
        raise BrushworkError(f"cannot read {root / below}: {error.strerror}") from None
    for entry in entries:
        path = below + entry.name
        if entry.name.startswith(".") or entry.name == "__MACOSX":
            continue
        if entry.is_dir():
            if entry.is_symlink():
                raise BrushworkError(
                    f"{root / path} is a link to a folder, which is not followed; "
                    "put the folder itself there"
                )
            yield from _scan(root, path + "/")
        elif entry.is_symlink():
            yield path, Path(entry.path).resolve().is_relative_to(root)
        elif entry.is_file():
            yield path, True


def _csv_records(path: Path) -> Iterator[tuple[int, dict[str, str] | str]]:
    """Line number and fields of each row, or what is wrong with it.

    A quote that never closes would swallow all that follows it; so a row may go on over a few
    lines only if it then has the right number of fields.
    """
    try:
        # Bytes that aren't UTF-8 cost their own row, not the file.
        lines = path.read_text("utf-8-sig", errors="surrogateescape").split("\n")
    except OSError as error:
        raise BrushworkError(f"cannot read {path}: {error.strerror}") from None
    header = [column.strip() for column in next(csv.reader(lines[:1]), [])]
    lacking = {"artist", "in_train", "new_filename"}.difference(header)
    if lacking:
        raise BrushworkError(f"{path} lacks the columns {', '.join(sorted(lacking))} in line 1")
    number = 1
    while number < len(lines):
        line = number + 1
        fields, num_lines = _parse(lines, number, len(header))
        number += num_lines
        if isinstance(fields, str):
            yield line, fields
        elif not _is_text("".join(fields)):
            yield line, "bytes that are not UTF-8"
        elif len(fields) == len(header):
            yield line, dict(zip(header, map(str.strip, fields), strict=True))
        elif fields:
            yield line, f"{len(fields)} fields where the header has {len(header)}"


def _parse(lines: list[str], first: int, num_fields: int) -> tuple[list[str] | str, int]:
    """The fields of the row that begins at a line, or the reason against it; and its lines."""
    try:
        alone = next(csv.reader(lines[first : first + 1]), [])
    except csv.Error as error:
        return str(error), 1
    if len(alone) < num_fields and '"' in lines[first]:
        for num_lines in range(2, 11):
            some = [line + "\n" for line in lines[first : first + num_lines]]
            try:
                fields = next(csv.reader(some, strict=True))
            except csv.Error:
                continue
            if len(fields) == num_fields:
                return fields, num_lines
    return alone, 1


def _bad_record(record: dict[str, str], seen: dict[str, int]) -> str:
    file, in_train = record["new_filename"], record["in_train"]
    if not file:
        return "no file name"
    if file in seen:
        return f"{file} was named before, in line {seen[file]}"
    if file in (".", "..") or re.search(r"[/\\\0]", file):
        return f"{file!r} is not the plain name of a file"
    if in_train.lower() not in ("true", "false", "1", "0"):
        return f"in_train is {in_train!r}, neither True nor False"
    return ""


def _not_preferred(path: str, split: str) -> tuple[bool, bool]:
    *folders, _ = path.split("/")
    return (
        not any(folder.startswith("replacements") for folder in folders),
        not any(folder.startswith(split) for folder in folders),
    )


def _is_text(text: str) -> bool:
    """Whether it can be written as UTF-8."""
    return text.isascii() or not re.search(r"[\ud800-\udfff]", text)


def _is_dataset(path: Path) -> bool:
    saved = ("dataset_dict.json", "state.json")
    return any((path / file).exists() for file in saved) or any(
        any((path / below).glob("*.parquet")) for below in ("", "data")
    )


def _load(name_or_path: str | Path) -> dict:
    """The splits of a dataset, by name."""
    import datasets

    path = Path(name_or_path)
    try:
        if path.suffix == ".parquet":
            loaded = datasets.load_dataset("parquet", data_files=str(path))
        elif (path / "dataset_dict.json").exists() or (path / "state.json").exists():
            loaded = datasets.load_from_disk(str(path))
        else:
            loaded = datasets.load_dataset(str(name_or_path))
    except Exception as error:  # datasets raises its own, the Hub's and httpx's
        first_line = str(error).partition("\n")[0]
        cure = (
            "is it whole?"
            if path.exists()
            else "is the name right and the network there? A copy on disk works too: --data FOLDER"
        )
        raise BrushworkError(f"cannot load {name_or_path} ({first_line}); {cure}") from error
    return loaded if isinstance(loaded, dict) else {"train": loaded}


def _text(split, column: str) -> list[str]:
    """A column as strings: class labels by their names, "" where it is absent or unknown."""
    if column not in split.column_names:
        return [""] * len(split)
    names = getattr(split.features[column], "names", None)
    texts = {}
    for value in set(values := split.select_columns([column]).to_dict()[column]):
        if value is None or (names and value < 0):
            texts[value] = ""
        else:
            texts[value] = names[value] if names else str(value)
        if re.fullmatch(rf"unknown([ _-]{column})?", texts[value], re.IGNORECASE):
            texts[value] = ""
    return [texts[value] for value in values]
