"""Read Painter-by-Numbers as downloaded from Kaggle: `all_data_info.csv` and folders of pictures.

https://www.kaggle.com/c/painter-by-numbers
"""

import codecs
import csv
import re
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from brushwork.data.decode import SUFFIXES
from brushwork.data.paintings import COLUMNS, Paintings, as_table, listed, tidy, why_rejected
from brushwork.data.readers import FileReader
from brushwork.data.sources.scan import existing_folder, is_text, scan
from brushwork.errors import BrushworkError

CSV = "all_data_info.csv"


NEEDED = ("artist", "in_train", "new_filename")


BYTE_ORDER_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
"""The encoding of a text that begins with these bytes; the first match counts."""


def painter_by_numbers(folder: str | Path) -> Paintings:
    """List the paintings of Painter-by-Numbers.

    The pictures may be in the folder itself or in any folder below it, as the archives unpack
    (`train`, `test`, `train_1` to `train_9`, `replacements_for_corrupted_files/train`). If several
    have the same name, a replacement is preferred, then a folder named after the split. Links to
    files outside the folder are not followed.

    Args:
        folder: contains `all_data_info.csv`.

    Raises:
        BrushworkError: there is no such folder or table, a column is absent, or no picture exists.
    """
    root = existing_folder(folder)
    files: dict[str, list[str]] = {}
    hidden, links_out = [], set()
    for path, inside in scan(root, hidden):
        # macOS may decompose the accents of a file name.
        file = unicodedata.normalize("NFC", path.rpartition("/")[2])
        files.setdefault(file, []).append(path)
        if not inside:
            links_out.add(path)

    rows, missing, rejected, lines, notes = [], [], [], {}, []
    for line, record in _csv_records(root / CSV, notes):
        if isinstance(record, dict):
            record["new_filename"] = unicodedata.normalize("NFC", record["new_filename"])
        reason = record if isinstance(record, str) else _bad_record(record, lines)
        if reason:
            rejected.append((f"{CSV}:{line}", reason))
            continue
        assert isinstance(record, dict)
        file = record["new_filename"]
        lines[file] = line
        if file not in files:
            missing.append(file)
            continue
        split = "train" if record["in_train"].lower() in ("true", "1") else "test"
        path, *others = files[file]
        if others:
            path = min(files[file], key=lambda path: (*_not_preferred(path, split), path))
        if not is_text(path):
            rejected.append((f"{CSV}:{line}", "the name of the folder is not UTF-8"))
            continue
        if path in links_out:
            rejected.append((f"{CSV}:{line}", f"{path} is a link to a file outside the folder"))
            continue
        artist, style, genre, title, date = (record.get(column, "") for column in COLUMNS[:-1])
        date = date.removesuffix(".0")  # Kaggle wrote years as floats
        # Paintings share equal strings, which saves memory.
        artist, style, genre, date = map(sys.intern, (artist, style, genre, date))
        rows.append((artist, style, genre, title, date, split, path))
    if not (rows or missing or rejected):
        raise BrushworkError(f"{root / CSV} has no rows below line 1; download it again")
    if not rows:
        raise BrushworkError(
            f"none of the pictures listed in {root / CSV} can be used: {len(missing):,} are "
            f"missing{why_rejected(rejected)}; unpack the archives in {root}"
        )
    table, more_notes = tidy(as_table(rows))
    notes += _unused(sorted(files.keys() - lines.keys()), f"no valid row of {CSV} names them")
    notes += _unused(sorted(hidden), "they are hidden")
    return Paintings(
        name="Painter by Numbers",
        table=table,
        read=FileReader(root, tuple(table["source"])),
        missing=tuple(missing),
        rejected=tuple(rejected),
        notes=(*notes, *more_notes),
        folder=root,
    )


def _unused(files: list[str], reason: str) -> list[str]:
    """Write a note on the pictures that are in the folder and are not used."""
    pictures = [file for file in files if Path(file).suffix.lower() in SUFFIXES]
    shown = [file if is_text(file) else ascii(file) for file in pictures]
    note = f"pictures that are not used, because {reason}: {len(shown):,} ({listed(shown)})"
    return [note] * bool(shown)


def _csv_records(path: Path, notes: list[str]) -> Iterator[tuple[int, dict[str, str] | str]]:
    """Read the rows of the table.

    A quote that is never closed would make the rest of the file one field. So a row may continue on
    the next lines only if it then has the right number of fields. Columns are separated by commas,
    semicolons or tabs.

    Args:
        path: the table.
        notes: receives a note if the table is not in UTF-8.

    Yields:
        The line number and the fields of each row, or what is wrong with it.

    Raises:
        BrushworkError: the file is not readable, or a needed column is absent.
    """
    try:
        lines, encoding = _decode_table(path.read_bytes())
    except OSError as error:
        raise BrushworkError(
            f"cannot read {path} ({error.strerror}); check its permissions, or download it again"
        ) from None
    if encoding:
        notes.append(f"{CSV} is read as {encoding}, not UTF-8; check the names")
    header, delimiter = [], ","
    for delimiter in ("\t", ";", ","):
        header = [column.strip() for column in next(csv.reader(lines[:1], delimiter=delimiter), [])]
        if set(NEEDED) <= set(header):
            break
    if absent := set(NEEDED).difference(header):
        raise BrushworkError(
            f"{path} has no columns {', '.join(sorted(absent))} in line 1; download it again"
        )
    number = 1
    while number < len(lines):
        line = number + 1
        fields, num_lines = _parse(lines, number, len(header), delimiter)
        number += num_lines
        if isinstance(fields, str):
            yield line, fields
        elif not is_text("".join(fields)):
            yield line, "bytes that are not UTF-8"
        elif len(fields) == len(header):
            yield line, dict(zip(header, map(str.strip, fields), strict=True))
        elif fields:
            yield line, f"{len(fields)} fields where the header has {len(header)}"


def _decode_table(raw: bytes) -> tuple[list[str], str]:
    """Decode a table in UTF-8, UTF-16, UTF-32 or Windows-1252, which contains Latin-1.

    A table is in Windows-1252 if most of its lines with letters beyond ASCII are not UTF-8. In a
    table in UTF-8, other bytes become lone surrogates, so that only their rows are rejected.

    Returns:
        Its lines; and the name of the encoding, "" for UTF-8.
    """
    for mark, encoding in BYTE_ORDER_MARKS.items():
        if raw.startswith(mark):
            if encoding == "utf-8-sig":
                raw = raw.removeprefix(mark)
                break
            return _lines(raw.decode(encoding, errors="replace")), encoding.upper()
    else:
        # In UTF-16, every other byte of English text is 0.
        start = raw[:1000]
        for first, encoding in enumerate(("utf-16-be", "utf-16-le")):
            if start[first::2].count(0) > len(start) / 4:
                return _lines(raw.decode(encoding, errors="replace")), encoding.upper()
    text = raw.decode(errors="surrogateescape")
    lines = _lines(text)
    beyond = [line for line in lines if not line.isascii()]
    num_bad = sum(not is_text(line) for line in beyond)
    if num_bad <= len(beyond) - num_bad:
        return lines, ""
    return [line if is_text(line) else _from_1252(line) for line in lines], "Windows-1252 (Latin-1)"


def _lines(text: str) -> list[str]:
    """Split a text at its line ends, which may be those of any system."""
    return text.split("\n" if "\n" in text else "\r")


def _from_1252(line: str) -> str:
    """Decode a line as Windows-1252, or as Latin-1 where that has no letter."""
    raw = line.encode(errors="surrogateescape")
    try:
        return raw.decode("cp1252")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _parse(
    lines: list[str], first: int, num_fields: int, delimiter: str
) -> tuple[list[str] | str, int]:
    """Parse the row that starts at a line.

    Returns:
        Its fields, or what is wrong with it; and its number of lines.
    """
    try:
        alone = next(csv.reader(lines[first : first + 1], delimiter=delimiter), [])
    except csv.Error as error:
        return str(error), 1
    if len(alone) < num_fields and '"' in lines[first]:
        for num_lines in range(2, 11):
            some = [line + "\n" for line in lines[first : first + num_lines]]
            try:
                fields = next(csv.reader(some, strict=True, delimiter=delimiter))
            except csv.Error:
                continue
            if len(fields) == num_fields:
                return fields, num_lines
    return alone, 1


def _bad_record(record: dict[str, str], lines: dict[str, int]) -> str:
    """Say what is wrong with a row; "" if nothing is.

    Args:
        record: the fields of the row.
        lines: the line of each file that earlier rows name.
    """
    file, in_train = record["new_filename"], record["in_train"]
    if not file:
        return "no file name"
    if file in lines:
        return f"{file} is already named in line {lines[file]}"
    if file in (".", "..") or re.search(r"[/\\\0]", file):
        return f"{file!r} is not a plain file name"
    if in_train.lower() not in ("true", "false", "1", "0"):
        return f"in_train is {in_train!r}, not True or False"
    return ""


def _not_preferred(path: str, split: str) -> tuple[bool, bool]:
    """Make a sort key that puts replacements first, then files in the split's own folder."""
    *folders, _ = path.split("/")
    return (
        not any(folder.startswith("replacements") for folder in folders),
        not any(folder.startswith(split) for folder in folders),
    )
