r"""Identify the artist of every picture in a folder.

    uv run experiments/identify.py pictures/
    uv run experiments/identify.py pictures/ --classifier runs/classifier/classifier \
        --precision 0.9 --out attributions.csv

--out receives one row per picture file: the artist or "unknown"; the five likeliest artists with
their probabilities, and the probability of none of the classifier's artists; the likeliest style,
genre and decade with their probabilities, if the classifier knows them; or the reason why the file
cannot be read. The table is in UTF-8 with a
byte order mark, as spreadsheet programs expect it. A byte of a file's name that is not valid UTF-8
is written as \xNN. A cell that a spreadsheet program would take for a formula begins with an
apostrophe. Two more files have the same name:
    .html   the contact sheet: each picture, its artists, and a heat map of the evidence; or the
            reason why the file cannot be read
    .json   the folder, the classifier's weights and the precision, to check when the command
            continues

You can interrupt the command at any time; the same command continues.
"""

import csv
import hashlib
import html
import io
import re
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro
from PIL import Image
from tqdm import tqdm

from brushwork.checkpoint import WEIGHTS, graph_of, locate_classifier
from brushwork.classifier.answer import TRAITS, Identification, read_picture, threshold_for
from brushwork.data.decode import SUFFIXES, picture_files
from brushwork.engine import Classifier, Engine, open_classifier, require_torch, uses_onnx
from brushwork.errors import BrushworkError, report_errors
from brushwork.files import atomic_write, read_json, write_json
from brushwork.report import figures
from brushwork.report.pages import data_url, render
from settings import BatchSize, Range, read_flags

TOP = 5
BYTE_ORDER_MARK = "\ufeff"  # without it, Excel reads the table in the encoding of Windows
COLUMNS = [
    "file",
    "artist",
    *(f"{column}_{i}" for i in range(1, TOP + 1) for column in ("artist", "probability")),
    "none_probability",
    *(f"{trait}{end}" for trait in TRAITS for end in ("", "_probability")),
    "error",
]


@dataclass(frozen=True)
class Config:
    """Settings: the pictures to identify, and the classifier."""

    folder: Annotated[Path, tyro.conf.Positional]
    """Identify the pictures in this folder and its subfolders."""
    classifier: str | None = None
    """The classifier's checkpoint folder, or its name on the Hugging Face Hub; by default the
    bundled classifier."""
    precision: Annotated[float, Range(0, 0.999)] = 0
    """Name an artist only where at least this share of the names is right, if half of the pictures
    are by strangers; 0 to name every artist who is likelier than "none"."""
    out: Path = Path("attributions.csv")
    """The table to write."""
    sheet: bool = True
    """Also write the contact sheet; this takes about twice the time."""
    batch_size: BatchSize = 16
    """Pictures in a batch."""
    engine: Engine = "auto"
    """What identifies the pictures: torch, or onnxruntime for a checkpoint of export.py; "auto"
    decides by the checkpoint."""


def main(cfg: Config) -> None:
    """Find the pictures, open the classifier, continue an earlier table, identify the rest."""
    pictures, ignored = find_pictures(cfg)
    checkpoint = locate_classifier(cfg.classifier)
    classifier = open_with_all_cores(checkpoint, cfg.engine)
    if cfg.precision:  # checked before anything is written
        threshold_for(classifier.config.get("operating_points", []), cfg.precision)
    check_same_command(cfg.out, cfg.folder, checkpoint, cfg.precision)
    done = open_table(cfg.out)
    if cfg.sheet:
        open_sheet(cfg.out.with_suffix(".html"), done)

    todo = [path for path in pictures if cell(name_of(path, cfg.folder)) not in done]
    counts = identify_pictures(cfg, classifier, todo, num_done=len(done))
    print(
        f"{counts['identified']:,} identified, {counts['unknown']:,} unknown, "
        f"{counts['unreadable']:,} unreadable; {len(done):,} done earlier"
        f"{reasons(ignored)}; table: {cfg.out}"
    )


def open_with_all_cores(checkpoint: Path, engine: Engine) -> Classifier:
    """Open the classifier; with torch on a GPU if there is one, or on all cores."""
    if not uses_onnx(checkpoint, engine):
        require_torch(checkpoint)
        from brushwork.training.threads import use_all_cores

        use_all_cores()
    return open_classifier(checkpoint, engine, device="auto")


def find_pictures(cfg: Config) -> tuple[list[Path], Counter[str]]:
    """List the pictures of the folder, and count what is ignored for each reason."""
    if not cfg.folder.is_dir():
        raise BrushworkError(f"no folder {cfg.folder}; pass a folder of pictures")
    if cfg.out.suffix != ".csv":
        raise BrushworkError(f"`out` is {cfg.out}; it must end in .csv")
    pictures, ignored = picture_files(cfg.folder)
    if not pictures:
        raise BrushworkError(
            f"no pictures in {cfg.folder}{reasons(ignored)}; the suffix of a picture must be "
            f"among {', '.join(sorted(SUFFIXES))}"
        )
    return pictures, ignored


def reasons(ignored: Counter[str]) -> str:
    """Write how many files and folders are ignored, for each reason."""
    return "".join(f"; ignored {num:,} {reason}" for reason, num in ignored.items())


def name_of(path: Path, folder: Path) -> str:
    r"""Write a picture's path below `folder` as text.

    A byte that is not valid UTF-8 is written as \xNN. Python itself has a surrogate for it, which
    no file can contain.
    """
    name = path.relative_to(folder).as_posix()
    name = re.sub(r"[\udc80-\udcff]", lambda byte: f"\\x{ord(byte[0]) - 0xDC00:02x}", name)
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def cell(text: str) -> str:
    """Write a text so that no spreadsheet program computes it as a formula.

    The cell begins with an apostrophe, as OWASP recommends against "CSV injection". One more
    apostrophe is added to a text that looks like such a cell, so that no two names are the same.

    >>> cell("=1+1.png"), cell("a=1.png"), cell("'=1+1.png")
    ("'=1+1.png", 'a=1.png', "''=1+1.png")
    """
    return f"'{text}" if re.match(r"'*[=+\-@\t\r\n]", text) else text


def check_same_command(out: Path, folder: Path, classifier: Path, precision: float) -> None:
    """Record folder, classifier's weights and precision beside the table, to compare later.

    Raises:
        BrushworkError: the table was made from another folder, by another classifier, or with
            another precision.
    """
    network = graph_of(classifier) or classifier / WEIGHTS
    weights = hashlib.sha256(network.read_bytes()).hexdigest()
    record = {"folder": str(folder.resolve()), "weights": weights, "precision": precision}
    file = out.with_suffix(".json")
    try:
        before = read_json(file) if file.exists() and out.exists() else record
        for name, value in record.items():
            if before.get(name, value) != value:
                raise BrushworkError(f"{out} was made with another {name}; pass another `out`")
        out.parent.mkdir(parents=True, exist_ok=True)
        write_json(file, record)
    except (OSError, ValueError) as error:
        raise BrushworkError(
            f"cannot read or write {file} ({error}); pass another `out`"
        ) from error


def open_table(out: Path) -> set[str]:
    """Start the table, or drop the row of an earlier one that a kill cut short.

    Returns:
        The cells of the files that have a row.
    """
    try:
        text = complete_rows(read_unchanged(out).removeprefix(BYTE_ORDER_MARK))
        reader = csv.DictReader(io.StringIO(text, newline=""))
        if reader.fieldnames and reader.fieldnames != COLUMNS:
            raise BrushworkError(f"{out} is a table with other columns; pass another `out`")
        rows = [row for row in reader if row.keys() == set(COLUMNS) and None not in row.values()]
        lines = [table_line(row) for row in [dict(zip(COLUMNS, COLUMNS, strict=True)), *rows]]
        write_unchanged(out, BYTE_ORDER_MARK + "".join(lines))
    except (OSError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise BrushworkError(
            f"cannot read or write {out} ({reason}); pass another `out`"
        ) from error
    return {row["file"] for row in rows}


def read_unchanged(file: Path) -> str:
    """Read a text file with its line endings as they are; "" if there is no such file."""
    return file.read_bytes().decode("utf-8", "backslashreplace") if file.exists() else ""


def write_unchanged(file: Path, text: str) -> None:
    """Write a text file atomically, in UTF-8, with its line endings as they are."""
    with atomic_write(file) as temporary:
        temporary.write_bytes(text.encode())


def complete_rows(text: str) -> str:
    """Drop what follows the last complete row of a CSV table; a quoted cell may contain lines."""
    position = end = num_quotes = 0
    for line in text.split("\n")[:-1]:
        position += len(line) + 1
        num_quotes += line.count('"')
        if num_quotes % 2 == 0:
            end = position
    return text[:end]


def open_sheet(sheet: Path, done: set[str]) -> None:
    """Start the contact sheet; of an earlier one, keep the cards of files that have a row."""
    try:
        lines = read_unchanged(sheet).split("\n")[:-1]
        titles = [re.match(r'<figure title="([^"]*)"', line) for line in lines]
        kept = [
            line + "\n"
            for line, title in zip(lines, titles, strict=True)
            if title and cell(html.unescape(title.group(1))) in done
        ]
        head = render("contact_sheet.html.j2", title="Attributions")
        write_unchanged(sheet, head + "".join(kept))
    except OSError as error:
        raise BrushworkError(
            f"cannot write {sheet} ({error.strerror or error}); pass another `out`"
        ) from error


def identify_pictures(
    cfg: Config, classifier: Classifier, todo: list[Path], num_done: int
) -> Counter[str]:
    """Read, identify and write one batch after the other.

    Returns:
        How many pictures were identified, unknown and unreadable.
    """
    counts: Counter[str] = Counter()
    sheet = cfg.out.with_suffix(".html")
    text: Any = {"mode": "a", "encoding": "utf-8", "newline": ""}
    with (
        cfg.out.open(**text) as table,
        sheet.open(**text) if cfg.sheet else io.StringIO() as cards,
        ThreadPoolExecutor() as threads,
        tqdm(total=num_done + len(todo), initial=num_done, unit=" pictures") as bar,
    ):
        for first in range(0, len(todo), cfg.batch_size):
            paths = todo[first : first + cfg.batch_size]
            contents = list(threads.map(read_or_reason, paths))
            readable = [content for content in contents if isinstance(content, bytes)]
            least = cfg.precision or None
            answers = iter(classifier.identify(readable, TOP, least) if readable else [])
            for path, content in zip(paths, contents, strict=True):
                name = name_of(path, cfg.folder)
                answer = next(answers) if isinstance(content, bytes) else None
                if cfg.sheet:  # before the row, because a file with a row is done
                    cards.write(contact_card(name, content, answer, classifier))
                    cards.flush()
                table.write(table_line(table_row(name, content if answer is None else answer)))
                if answer is None:
                    counts["unreadable"] += 1
                else:
                    counts["identified" if answer.known else "unknown"] += 1
            table.flush()
            bar.update(len(paths))
    return counts


def read_or_reason(path: Path) -> bytes | str:
    """Read a picture as JPEG bytes, or return the reason why it cannot be read."""
    if not path.is_file():
        return "a link to a file that does not exist" if path.is_symlink() else "not a file"
    try:
        return read_picture(path)
    except BrushworkError as error:
        return str(error).removeprefix(f"cannot read {path}: ")


def table_line(row: Mapping[str, str]) -> str:
    """Write a row of the table as CSV; the line ends with a line feed."""
    line = io.StringIO(newline="")
    csv.DictWriter(line, COLUMNS).writerow(row)  # quotes a cell with a line ending of any kind
    return line.getvalue().removesuffix("\r\n") + "\n"


def table_row(name: str, result: Identification | str | bytes) -> dict[str, str]:
    """Make a row of the table from an answer, or from the reason why there is none."""
    if not isinstance(result, Identification):
        return {"file": cell(name), "error": cell(str(result))}
    row = {"file": cell(name), "artist": cell(result.artist)}
    for i, candidate in enumerate(result.candidates, start=1):
        row[f"artist_{i}"] = cell(candidate.artist)
        row[f"probability_{i}"] = f"{candidate.probability:.4f}"
    row["none_probability"] = f"{result.none:.4f}"
    for trait in TRAITS:
        for guess in getattr(result, trait)[:1]:
            row[trait] = cell(guess.value)
            row[f"{trait}_probability"] = f"{guess.probability:.4f}"
    return row


def contact_card(
    name: str,
    content: bytes | str,
    answer: Identification | None,
    classifier: Classifier,
) -> str:
    """Make the contact sheet's line for a file: the picture, its heat map and its artists.

    Args:
        name: the file's name.
        content: the picture, or the reason why it cannot be read.
        answer: the artists; None if the file cannot be read.
        classifier: makes the heat map.
    """
    if isinstance(content, str) or answer is None:
        return render("contact_card.html.j2", name=name, pictures=[], answer=None, reason=content)
    with Image.open(io.BytesIO(content)) as image:
        pictures = [image.convert("RGB")]
    with suppress(BrushworkError):  # some backbones have no heat map
        heat = classifier.explain(content, answer.candidates[0].artist)
        pictures.append(figures.overlay(pictures[0], heat))
    for picture in pictures:
        picture.thumbnail((256, 256))
    urls = [data_url(picture, "JPEG", quality=80) for picture in pictures]
    return render("contact_card.html.j2", name=name, pictures=urls, answer=answer, reason="")


if __name__ == "__main__":
    with report_errors(Config):
        main(read_flags(Config, __doc__))
