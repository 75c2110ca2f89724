"""Name the likeliest artists of every picture in a folder.

    uv run experiments/identify.py pictures/ --classifier runs/classifier/classifier \
        --out attributions.csv

--out receives a line per file: the artist, or "unknown", the five likeliest with their
probabilities, or the reason why the file can't be read. Beside it, a contact sheet (the same name
and .html, all in one file) shows each picture with its artists and where the evidence lies, and
.json tells of which folder and by which weights. Stop it at will: the same line goes on.
"""

import base64
import csv
import hashlib
import html
import io
import json
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
from brushwork.files import write_text
from brushwork.report import figures
from brushwork.training.threads import use_all_cores
from settings import read_flags

TOP = 5
# File names may hold bytes that are no text.
TEXT: Any = {"encoding": "utf-8", "errors": "surrogateescape"}
COLUMNS = [
    "file",
    "artist",
    *(f"{what}_{i}" for i in range(1, TOP + 1) for what in ("artist", "probability")),
    "error",
]
HEAD = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Attributions</title>
<meta name="viewport" content="width=device-width"><style>
body { font: 14px/1.4 system-ui, sans-serif; margin: 1rem; columns: 22rem }
figure { break-inside: avoid; margin: 0 0 1.5rem } img { max-width: 48%; vertical-align: top }
figcaption { overflow-wrap: anywhere } .unknown { color: #b00 }</style>
"""


@dataclass(frozen=True)
class Config:
    """Which pictures, and who looks at them."""

    folder: Annotated[Path, tyro.conf.Positional]
    """Its pictures, and those in the folders below, are looked at."""
    classifier: str = "runs/classifier/classifier"
    """Its folder, or a name on the Hub."""
    out: Path = Path("attributions.csv")
    sheet: bool = True
    """Write the contact sheet, which takes as long again."""
    batch_size: int = 16


def main(cfg: Config) -> None:
    """A batch at a time: read, identify, explain, and write before the next."""
    if not cfg.folder.is_dir():
        raise BrushworkError(f"no folder {cfg.folder}")
    if cfg.out.suffix != ".csv":
        raise BrushworkError(f"--out {cfg.out} must end in .csv")
    files = sorted(path for path in cfg.folder.rglob("*") if path.is_file())
    pictures = [path for path in files if path.suffix.lower() in SUFFIXES]
    if not pictures:
        raise BrushworkError(f"no pictures in {cfg.folder} ({len(files)} other files)")
    use_all_cores()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    known = ArtistClassifier.from_pretrained(cfg.classifier, device)
    sheet = cfg.out.with_suffix(".html")
    remember(cfg.out, cfg.folder, locate(cfg.classifier))
    done = begin(cfg.out, sheet if cfg.sheet else None)
    todo = [path for path in pictures if str(path.relative_to(cfg.folder)) not in done]

    counts = {"named": 0, "unknown": 0, "unreadable": 0}
    with (
        cfg.out.open("a", newline="", **TEXT) as table,
        sheet.open("a", **TEXT) if cfg.sheet else io.StringIO() as cards,
        ThreadPoolExecutor() as threads,
        tqdm(total=len(pictures), initial=len(done), unit=" pictures") as bar,
    ):
        rows = csv.DictWriter(table, COLUMNS)
        for first in range(0, len(todo), cfg.batch_size):
            batch = todo[first : first + cfg.batch_size]
            read = list(threads.map(read_or_reason, batch))
            readable = [picture for picture in read if isinstance(picture, bytes)]
            named = iter(known.identify(readable, TOP) if readable else [])
            for path, picture in zip(batch, read, strict=True):
                name = str(path.relative_to(cfg.folder))
                if isinstance(picture, str):
                    rows.writerow({"file": name, "error": picture})
                    counts["unreadable"] += 1
                    continue
                answer = next(named)
                if cfg.sheet:  # before the line that says it is done
                    cards.write(card(name, picture, answer, known) + "\n")
                    cards.flush()
                rows.writerow(line(name, answer))
                counts["named" if answer.known else "unknown"] += 1
            table.flush()
            bar.update(len(batch))
    print(", ".join(f"{number:,} {what}" for what, number in counts.items()), end="; ")
    print(f"{len(done):,} done before; {len(files) - len(pictures):,} other files; {cfg.out}")


def remember(out: Path, folder: Path, classifier: Path) -> None:
    """Keep of what and by whom the table is, beside it, so that no other's is taken for it."""
    weights = hashlib.sha256((classifier / WEIGHTS).read_bytes()).hexdigest()
    ours, file = {"folder": str(folder.resolve()), "weights": weights}, out.with_suffix(".json")
    try:
        before = json.loads(file.read_text()) if file.exists() and out.exists() else ours
        for what in ours:
            if before.get(what) != ours[what]:
                raise BrushworkError(f"{out} was made with another {what}; pass another --out")
        out.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(ours) + "\n")
    except (OSError, ValueError) as error:
        raise BrushworkError(f"cannot read or write {file}: {error}") from error


def begin(out: Path, sheet: Path | None) -> set[str]:
    """The files that an earlier start has done; the table and the sheet hold these and no more."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        text = out.read_text(**TEXT) if out.exists() else ""
        whole = text[: text.rfind("\n") + 1]  # a line may have been cut by a kill
        reader = csv.DictReader(io.StringIO(whole, newline=""))
        if reader.fieldnames and reader.fieldnames != COLUMNS:
            raise BrushworkError(f"{out} is another table; pass another --out")
        done = {row["file"] for row in reader}
        write_text(out, whole if done else ",".join(COLUMNS) + "\n", TEXT["errors"])
        if sheet is not None:
            lines = sheet.read_text(**TEXT).splitlines(True) if sheet.exists() else []
            marks = {f'<figure title="{html.escape(name)}"' for name in done}
            kept = [line for line in lines if line.partition(">")[0] in marks]
            write_text(sheet, HEAD + "".join(kept), TEXT["errors"])
    except OSError as error:
        raise BrushworkError(f"cannot write {out}: {error.strerror or error}") from error
    return done


def read_or_reason(path: Path) -> bytes | str:
    """The picture, or why it can't be read."""
    try:
        return read_picture(path)
    except BrushworkError as error:
        return str(error).removeprefix(f"cannot read {path}: ")


def line(name: str, answer: Identification) -> dict[str, str]:
    """A line of the table."""
    row = {"file": name, "artist": answer.artist}
    for i, candidate in enumerate(answer.candidates, start=1):
        row |= {f"artist_{i}": candidate.artist}
        row |= {f"probability_{i}": f"{candidate.probability:.4f}"}
    return row


def card(name: str, picture: bytes, answer: Identification, known: ArtistClassifier) -> str:
    """A picture of the contact sheet, on one line."""
    with Image.open(io.BytesIO(picture)) as image:
        views = [image.convert("RGB")]
    with suppress(BrushworkError):  # some backbones have no heat map
        views.append(figures.overlay(views[0], known.explain(picture, answer.candidates[0].artist)))
    shown = "".join(f'<img alt="" src="{data_url(view)}"> ' for view in views)
    likeliest = "<br>".join(
        f"{html.escape(c.artist)} {c.probability:.0%}" for c in answer.candidates
    )
    style = "known" if answer.known else "unknown"
    return (
        f'<figure title="{html.escape(name)}">{shown}<figcaption>{html.escape(name)}<br>'
        f'<b class="{style}">{html.escape(answer.artist)}</b><br>{likeliest}</figcaption></figure>'
    )


def data_url(image: Image.Image) -> str:
    """A small JPEG inside the page."""
    image.thumbnail((256, 256))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()


if __name__ == "__main__":
    with report_errors(Config):
        main(read_flags(Config, __doc__))
