"""Identify the artist of every picture in a folder.

    uv run experiments/identify.py pictures/ --classifier runs/classifier/classifier \
        --out attributions.csv

--out receives one row per file: the artist or "unknown", and the five likeliest artists with their
probabilities; or the reason why the file cannot be read. Two more files have the same name:
    .html   the contact sheet: each picture, its artists, and a heat map of the evidence
    .json   the folder and the classifier's weights, to check when the command continues

You can interrupt the command at any time; the same command continues.
"""

import csv
import hashlib
import html
import io
import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
import tyro
from PIL import Image
from tqdm import tqdm

from brushwork.checkpoint import WEIGHTS, locate
from brushwork.classifier.identify import ArtistClassifier, Identification, read_picture
from brushwork.data.decode import SUFFIXES
from brushwork.errors import BrushworkError, report_errors
from brushwork.files import read_json, write_json, write_text
from brushwork.report import figures
from brushwork.report.pages import data_url, render
from brushwork.training.threads import use_all_cores
from settings import read_flags

TOP = 5
# File names may contain bytes that are not valid text.
TEXT: Any = {"encoding": "utf-8", "errors": "surrogateescape"}
COLUMNS = [
    "file",
    "artist",
    *(f"{column}_{i}" for i in range(1, TOP + 1) for column in ("artist", "probability")),
    "error",
]


@dataclass(frozen=True)
class Config:
    """Settings: the pictures to identify, and the classifier."""

    folder: Annotated[Path, tyro.conf.Positional]
    """Identify the pictures in this folder and its subfolders."""
    classifier: str = "runs/classifier/classifier"
    """The classifier's checkpoint folder, or its name on the Hugging Face Hub."""
    out: Path = Path("attributions.csv")
    """The table to write."""
    sheet: bool = True
    """Also write the contact sheet; this takes about twice the time."""
    batch_size: int = 16
    """Pictures in a batch."""


def main(cfg: Config) -> None:
    """Find the pictures, open the classifier, continue an earlier table, identify the rest."""
    pictures, num_others = find_pictures(cfg)
    use_all_cores()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    classifier = ArtistClassifier.from_pretrained(cfg.classifier, device)
    check_same_command(cfg.out, cfg.folder, locate(cfg.classifier))
    done = open_table(cfg.out)
    if cfg.sheet:
        open_sheet(cfg.out.with_suffix(".html"), done)

    todo = [path for path in pictures if str(path.relative_to(cfg.folder)) not in done]
    counts = identify_pictures(cfg, classifier, todo, num_done=len(done))
    print(
        f"{counts['identified']:,} identified, {counts['unknown']:,} unknown, "
        f"{counts['unreadable']:,} unreadable; {len(done):,} done earlier; "
        f"{num_others:,} files without a picture's suffix ignored; table: {cfg.out}"
    )


def find_pictures(cfg: Config) -> tuple[list[Path], int]:
    """List the pictures of the folder, and count its other files."""
    if not cfg.folder.is_dir():
        raise BrushworkError(f"no folder {cfg.folder}; pass a folder of pictures")
    if cfg.out.suffix != ".csv":
        raise BrushworkError(f"`out` is {cfg.out}; it must end in .csv")
    files = sorted(path for path in cfg.folder.rglob("*") if path.is_file())
    pictures = [path for path in files if path.suffix.lower() in SUFFIXES]
    if not pictures:
        raise BrushworkError(
            f"no pictures among the {len(files)} files in {cfg.folder}; their suffixes must be "
            f"among {', '.join(sorted(SUFFIXES))}"
        )
    return pictures, len(files) - len(pictures)


def check_same_command(out: Path, folder: Path, classifier: Path) -> None:
    """Record the folder and the classifier's weights beside the table, to compare later.

    Raises:
        BrushworkError: the table was made from another folder, or by another classifier.
    """
    weights = hashlib.sha256((classifier / WEIGHTS).read_bytes()).hexdigest()
    record, file = {"folder": str(folder.resolve()), "weights": weights}, out.with_suffix(".json")
    try:
        before = read_json(file) if file.exists() and out.exists() else record
        for name, value in record.items():
            if before.get(name) != value:
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
        The files that have a row.
    """
    try:
        text = out.read_text(**TEXT) if out.exists() else ""
        complete = text[: text.rfind("\n") + 1]
        reader = csv.DictReader(io.StringIO(complete, newline=""))
        if reader.fieldnames and reader.fieldnames != COLUMNS:
            raise BrushworkError(f"{out} is a table with other columns; pass another `out`")
        done = {row["file"] for row in reader}
        write_text(out, complete if done else ",".join(COLUMNS) + "\n", TEXT["errors"])
    except OSError as error:
        raise BrushworkError(
            f"cannot write {out} ({error.strerror or error}); pass another `out`"
        ) from error
    return done


def open_sheet(sheet: Path, done: set[str]) -> None:
    """Start the contact sheet; of an earlier one, keep the cards of files that have a row."""
    try:
        lines = sheet.read_text(**TEXT).splitlines(keepends=True) if sheet.exists() else []
        titles = [re.match(r'<figure title="([^"]*)"', line) for line in lines]
        kept = [
            line
            for line, title in zip(lines, titles, strict=True)
            if title and html.unescape(title.group(1)) in done
        ]
        head = render("contact_sheet.html.j2", title="Attributions")
        write_text(sheet, head + "".join(kept), TEXT["errors"])
    except OSError as error:
        raise BrushworkError(
            f"cannot write {sheet} ({error.strerror or error}); pass another `out`"
        ) from error


def identify_pictures(
    cfg: Config, classifier: ArtistClassifier, todo: list[Path], num_done: int
) -> Counter[str]:
    """Read, identify and write one batch after the other.

    Returns:
        How many pictures were identified, unknown and unreadable.
    """
    counts: Counter[str] = Counter()
    sheet = cfg.out.with_suffix(".html")
    with (
        cfg.out.open("a", newline="", **TEXT) as table,
        sheet.open("a", **TEXT) if cfg.sheet else io.StringIO() as cards,
        ThreadPoolExecutor() as threads,
        tqdm(total=num_done + len(todo), initial=num_done, unit=" pictures") as bar,
    ):
        rows = csv.DictWriter(table, COLUMNS)
        for first in range(0, len(todo), cfg.batch_size):
            paths = todo[first : first + cfg.batch_size]
            contents = list(threads.map(read_or_reason, paths))
            readable = [content for content in contents if isinstance(content, bytes)]
            answers = iter(classifier.identify(readable, TOP) if readable else [])
            for path, content in zip(paths, contents, strict=True):
                name = str(path.relative_to(cfg.folder))
                if isinstance(content, str):
                    rows.writerow({"file": name, "error": content})
                    counts["unreadable"] += 1
                    continue
                answer = next(answers)
                if cfg.sheet:  # before the row, because a file with a row is done
                    cards.write(contact_card(name, content, answer, classifier))
                    cards.flush()
                rows.writerow(table_row(name, answer))
                counts["identified" if answer.known else "unknown"] += 1
            table.flush()
            bar.update(len(paths))
    return counts


def read_or_reason(path: Path) -> bytes | str:
    """Read a picture as JPEG bytes, or return the reason why it cannot be read."""
    try:
        return read_picture(path)
    except BrushworkError as error:
        return str(error).removeprefix(f"cannot read {path}: ")


def table_row(name: str, answer: Identification) -> dict[str, str]:
    """Make a row of the table."""
    row = {"file": name, "artist": answer.artist}
    for i, candidate in enumerate(answer.candidates, start=1):
        row[f"artist_{i}"] = candidate.artist
        row[f"probability_{i}"] = f"{candidate.probability:.4f}"
    return row


def contact_card(
    name: str, content: bytes, answer: Identification, classifier: ArtistClassifier
) -> str:
    """Make the contact sheet's line for a picture: the picture, its heat map, its artists."""
    with Image.open(io.BytesIO(content)) as image:
        pictures = [image.convert("RGB")]
    with suppress(BrushworkError):  # some backbones have no heat map
        heat = classifier.explain(content, answer.candidates[0].artist)
        pictures.append(figures.overlay(pictures[0], heat))
    for picture in pictures:
        picture.thumbnail((256, 256))
    urls = [data_url(picture, "JPEG", quality=80) for picture in pictures]
    return render("contact_card.html.j2", name=name, pictures=urls, answer=answer)


if __name__ == "__main__":
    with report_errors(Config):
        main(read_flags(Config, __doc__))
