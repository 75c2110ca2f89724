r"""Identify the artist of every picture in a folder.

    uv run experiments/identify.py pictures/
    uv run experiments/identify.py pictures/ --classifier runs/classifier/classifier \
        --precision 0.9 --out attributions.csv
    uv run experiments/identify.py pictures/ --compare artists runs/classifier/classifier
    uv run experiments/identify.py pictures/ --compare "Claude Monet" "Alfred Sisley"

--out receives one row per picture file: the artist or "unknown"; the five likeliest artists with
their probabilities, and the probability of none of the classifier's artists; the likeliest style,
genre and decade with their probabilities, if the classifier knows them; or the reason why the file
cannot be read. The table is in UTF-8 with a
byte order mark, as spreadsheet programs expect it. A byte of a file's name that is not valid UTF-8
is written as \xNN. A cell that a spreadsheet program would take for a formula begins with an
apostrophe. Two more files have the same name:
    .html   the contact sheet: each picture, its artists, and a heat map of the evidence; or the
            reason why the file cannot be read
    .json   the folder, the classifier's weights, the precision, and the size and time of each
            picture, to check when the command continues

--compare puts two attributions side by side, in the terminal, in the table and on the sheet:
    two classifiers (checkpoints): the answers of both, and whether they are the same; the first
            classifier has the letter a in the table, the second one b
    two artists of the classifier: which of them is likelier, the odds, the probability of neither,
            and the nearest training paintings of each; at the end, the odds if one of the two
            painted all pictures

You can interrupt the command at any time; the same command continues. It reads again what could not
be read, and pictures that were replaced.
"""

import csv
import hashlib
import html
import io
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro
from filelock import Timeout
from tqdm import tqdm

from attribution import (
    ArtistComparison,
    Attribution,
    ClassifierComparison,
    Row,
    Task,
)
from brushwork.checkpoint import (
    CONFIG,
    DISCRIMINANTS,
    RUN_CHECKPOINTS,
    TRAITS,
    WEIGHTS,
    bundled_checkpoints,
    graph_of,
    locate_classifier,
)
from brushwork.classifier.answer import (
    check_artist,
    read_picture,
    threshold_for,
)
from brushwork.data.decode import SUFFIXES, picture_files
from brushwork.engine import Classifier, Engine, open_classifier, require_torch, uses_onnx
from brushwork.errors import BrushworkError, report_errors
from brushwork.files import atomic_write, beside, lock, read_json, readable, write_json
from brushwork.names import did_you_mean
from brushwork.report.pages import render
from settings import BatchSize, Range, read_flags

BYTE_ORDER_MARK = "\ufeff"  # without it, Excel reads the table in the encoding of Windows
NAME_WIDTH = 30  # of the column in the terminal
TITLE = "Attributions"  # of the contact sheet


@dataclass(frozen=True)
class Config:
    """Settings: the pictures to identify, and the classifier."""

    folder: Annotated[Path, tyro.conf.Positional]
    """Identify the pictures in this folder and its subfolders."""
    classifier: str | None = None
    """The classifier's checkpoint folder, or its name on the Hugging Face Hub; by default the
    bundled classifier."""
    compare: tuple[str, str] | None = None
    """Compare two classifiers (checkpoint folders or names), or two artists of the classifier."""
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
    """Find the pictures, open the classifiers, and write the table if no other process does."""
    pictures, ignored = find_pictures(cfg)
    task = open_task(cfg)
    with only_writer(cfg.out):
        complete_table(cfg, task, pictures, ignored)


def complete_table(cfg: Config, task: Task, pictures: list[Path], ignored: Counter[str]) -> None:
    """Continue an earlier table: identify what it lacks, and write the sheet.

    Args:
        cfg: the settings.
        task: identifies the pictures.
        pictures: the pictures of the folder.
        ignored: how many files of the folder are ignored, for each reason.
    """
    earlier = read_table(cfg.out, task.columns)
    sheet = cfg.out.with_suffix(".html")
    if cfg.sheet and not is_free(sheet):
        raise BrushworkError(f"{sheet} was not written by this script; pass another `out`")
    record, before = describe_command(cfg, task), read_record(cfg.out)
    check_same_command(cfg.out, record, before)
    # A file that could not be read may be readable now, and one of another size or time is another
    # picture.
    states = {cell(name_of(path, cfg.folder)): state_of(path) for path in pictures}
    states_before = before.get("pictures", {})
    changed = {name for name, state in states.items() if states_before.get(name) != state}
    rows = [row for row in earlier if not row["error"] and row["file"] not in changed]
    start_table(cfg.out, task.columns, rows)
    # After the table, so that a kill leaves no row of a picture that was replaced.
    write_record(cfg.out, record | {"pictures": states})
    done = {row["file"] for row in rows}
    # A picture that was done with --no-sheet has no card, so it is identified again.
    cards = open_sheet(sheet, done) if cfg.sheet or (sheet.exists() and is_free(sheet)) else done
    finished = cards if cfg.sheet else done

    todo = [path for path in pictures if cell(name_of(path, cfg.folder)) not in finished]
    counts = identify_pictures(cfg, task, todo, done)
    # Files that were read again are at the end; put them where they would be in a single run.
    places = {cell(name_of(path, cfg.folder)): place for place, path in enumerate(pictures)}
    rows = read_table(cfg.out, task.columns)
    rows.sort(key=lambda row: places.get(row["file"], -1))
    start_table(cfg.out, task.columns, rows)
    if not isinstance(task, Attribution):
        notes = task.sum_up([row for row in rows if not row["error"]])
        print(*notes, sep="\n")
        if cfg.sheet:
            open_sheet(sheet, {row["file"] for row in rows}, notes)
    print(
        f"{''.join(f'{counts[kind]:,} {kind}, ' for kind in task.kinds)}"
        f"{counts['unreadable']:,} unreadable; {len(done):,} done earlier"
        f"{reasons(ignored)}; table: {cfg.out}"
    )


def open_task(cfg: Config) -> Task:
    """Open the classifiers, and check what can be checked before anything is written."""
    if cfg.compare and cfg.compare[0] == cfg.compare[1]:
        raise BrushworkError(f"`compare` names {cfg.compare[0]!r} twice; name two to compare")
    are_checkpoints = [is_checkpoint(name) for name in cfg.compare or ()]
    if cfg.compare and any(are_checkpoints) and not all(are_checkpoints):
        checkpoint, other = cfg.compare if are_checkpoints[0] else cfg.compare[::-1]
        raise BrushworkError(
            f"`compare` takes two classifiers or two artists; {checkpoint!r} is a checkpoint, and "
            f"{other!r} is not one{did_you_mean(other, bundled_checkpoints())}"
        )
    if cfg.compare and all(are_checkpoints):
        if cfg.classifier is not None:
            raise BrushworkError("`compare` names two classifiers; leave `classifier` out")
        opened = {name: open_with_all_cores(name, cfg.engine) for name in cfg.compare}
        check_precision(opened, cfg.precision)
        return ClassifierComparison(opened, cfg.precision)

    classifier = open_with_all_cores(cfg.classifier, cfg.engine)
    if cfg.compare:
        if cfg.precision:
            raise BrushworkError(
                "`precision` decides whether a picture gets a name; leave it out to compare artists"
            )
        for artist in cfg.compare:
            check_artist(artist, classifier.artists)
        return ArtistComparison({"": classifier}, cfg.compare)
    check_precision({"": classifier}, cfg.precision)
    return Attribution({"": classifier}, cfg.precision)


def is_checkpoint(name: str) -> bool:
    """Decide whether a name is that of a checkpoint, not of an artist.

    It is if it is bundled, a path or a name on the Hub without spaces, or a checkpoint's folder.
    """
    if name in bundled_checkpoints() or re.fullmatch(r"\S*[/\\]\S*", name):
        return True
    return any((Path(name) / part / CONFIG).is_file() for part in ("", *RUN_CHECKPOINTS))


def check_precision(classifiers: Mapping[str, Classifier], precision: float) -> None:
    """Check that all classifiers reach a precision; 0 is no precision."""
    for classifier in classifiers.values():
        if precision:
            threshold_for(classifier.operating_points, precision)


def open_with_all_cores(name: str | None, engine: Engine) -> Classifier:
    """Open a classifier; with torch on a GPU if there is one, or on all cores."""
    checkpoint = locate_classifier(name)
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


@contextmanager
def only_writer(out: Path) -> Iterator[None]:
    """Keep other processes from writing the same table.

    Raises:
        BrushworkError: another process writes it, or its folder cannot be written.
    """
    file = beside(out, f".{out.name}.lock")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        held = lock(file)
    except Timeout:
        raise BrushworkError(
            f"another process is writing {out}; wait for it, or pass another `out`"
        ) from None
    except OSError as error:
        raise BrushworkError(
            f"cannot write {out} ({error.strerror or error}); pass another `out`"
        ) from error
    try:
        yield
    finally:
        with suppress(OSError):  # Windows deletes no open file
            file.unlink()  # before the release: nobody waits for this lock
        held.release()


def state_of(path: Path) -> str:
    """Write the size and the time of a file, which differ if another picture replaces it."""
    try:
        status = path.stat()
    except OSError as error:  # a broken link; reading it gives the reason again
        return str(error.strerror)
    return f"{status.st_size}:{status.st_mtime_ns}"


def reasons(ignored: Counter[str]) -> str:
    """Write how many files and folders are ignored, for each reason."""
    return "".join(f"; ignored {num:,} {reason}" for reason, num in ignored.items())


def name_of(path: Path, folder: Path) -> str:
    """Write a picture's path below `folder` as text."""
    return readable(path.relative_to(folder).as_posix())


def cell(text: str) -> str:
    """Write a text so that no spreadsheet program computes it as a formula.

    The cell begins with an apostrophe, as OWASP recommends against "CSV injection". One more
    apostrophe is added to a text that looks like such a cell, so that no two names are the same.

    >>> cell("=1+1.png"), cell("a=1.png"), cell("'=1+1.png")
    ("'=1+1.png", 'a=1.png', "''=1+1.png")
    """
    return f"'{text}" if re.match(r"'*[=+\-@\t\r\n]", text) else text


def describe_command(cfg: Config, task: Task) -> dict[str, Any]:
    """Describe what decides the answers, to compare when the command continues."""
    names = cfg.compare if isinstance(task, ClassifierComparison) else [cfg.classifier]
    return {
        "folder": str(cfg.folder.resolve()),
        "weights": " ".join(digest_of(locate_classifier(name)) for name in names or ()),
        "precision": cfg.precision,
        "compare": list(cfg.compare or ()),
    }


def read_record(out: Path) -> dict[str, Any]:
    """Read the record beside a table; {} if there is none.

    Raises:
        BrushworkError: the file cannot be read, or is of something else.
    """
    file = out.with_suffix(".json")
    try:
        record = read_json(file) if file.exists() else {}
    except (OSError, ValueError) as error:
        raise BrushworkError(f"cannot read {file} ({error}); pass another `out`") from error
    is_own = isinstance(record, dict) and {"folder", "weights"} <= record.keys()
    if file.exists() and not (is_own and isinstance(record.get("pictures", {}), dict)):
        raise BrushworkError(f"{file} was not written by this script; pass another `out`")
    return record


def write_record(out: Path, record: dict[str, Any]) -> None:
    """Write the record beside a table."""
    file = out.with_suffix(".json")
    try:
        write_json(file, record)
    except OSError as error:
        raise BrushworkError(f"cannot write {file} ({error}); pass another `out`") from error


def check_same_command(out: Path, record: dict[str, Any], before: dict[str, Any]) -> None:
    """Check that a table that exists answers the same question.

    Raises:
        BrushworkError: the table was made from another folder, by another classifier, with another
            precision, or for another comparison.
    """
    for name, value in record.items():
        if out.exists() and before.get(name, value) != value:
            what = {"folder": "folder", "weights": "classifier"}.get(name, f"`{name}`")
            raise BrushworkError(f"{out} was made with another {what}; pass another `out`")


def digest_of(checkpoint: Path) -> str:
    """Compute the SHA-256 of what answers: a checkpoint's graph, or its network and analyses."""
    graph = graph_of(checkpoint)
    names = (WEIGHTS, DISCRIMINANTS, TRAITS)
    files = [graph] if graph else [checkpoint / name for name in names]
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.read_bytes() if file.exists() else b"")
    return digest.hexdigest()


def read_table(out: Path, columns: list[str]) -> list[dict[str, str]]:
    """Read the rows of an earlier table as text, but no row that a kill cut short.

    Raises:
        BrushworkError: the file cannot be read, or is a table of something else.
    """
    try:
        text = read_unchanged(out).removeprefix(BYTE_ORDER_MARK)
        if text and next(csv.reader(io.StringIO(text, newline=""))) != columns:
            raise BrushworkError(f"{out} is a table with other columns; pass another `out`")
        reader = csv.DictReader(io.StringIO(complete_rows(text), newline=""))
        return [row for row in reader if row.keys() == set(columns) and None not in row.values()]
    except (OSError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise BrushworkError(f"cannot read {out} ({reason}); pass another `out`") from error


def start_table(out: Path, columns: list[str], rows: list[dict[str, str]]) -> None:
    """Write the names of the columns and these rows."""
    header = dict(zip(columns, columns, strict=True))
    try:
        lines = [table_line(row, columns) for row in [header, *rows]]
        write_unchanged(out, BYTE_ORDER_MARK + "".join(lines))
    except OSError as error:
        raise BrushworkError(
            f"cannot write {out} ({error.strerror or error}); pass another `out`"
        ) from error


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


def is_free(sheet: Path) -> bool:
    """Return whether a contact sheet can be written: there is no file, or an earlier sheet.

    Raises:
        BrushworkError: the file cannot be read.
    """
    try:
        with sheet.open("rb") as file:
            head = file.read(4096)
    except FileNotFoundError:
        return True
    except OSError as error:
        raise BrushworkError(
            f"cannot read {sheet} ({error.strerror or error}); pass another `out`"
        ) from error
    return not head or f"<title>{TITLE}</title>".encode() in head


def open_sheet(sheet: Path, done: set[str], notes: Sequence[str] = ()) -> set[str]:
    """Start the contact sheet; of an earlier one, keep the cards of files that have a row.

    Args:
        sheet: the file.
        done: the cells of the files that have a row.
        notes: paragraphs above the cards.

    Returns:
        The cells of the files that have a card and a row.
    """
    try:
        lines = read_unchanged(sheet).split("\n")[:-1]
        titles = [re.match(r'<figure title="([^"]*)"', line) for line in lines]
        cards = {
            name: line + "\n"
            for line, title in zip(lines, titles, strict=True)
            if title and (name := cell(html.unescape(title.group(1)))) in done
        }
        head = render("contact_sheet.html.j2", title=TITLE, notes=notes)
        write_unchanged(sheet, head + "".join(cards.values()))
    except OSError as error:
        raise BrushworkError(
            f"cannot write {sheet} ({error.strerror or error}); pass another `out`"
        ) from error
    return set(cards)


def identify_pictures(cfg: Config, task: Task, todo: list[Path], done: set[str]) -> Counter[str]:
    """Read, identify and write one batch after the other.

    Args:
        cfg: the settings.
        task: identifies the pictures.
        todo: the pictures.
        done: the cells of the files that have a row; those in `todo` get only a card.

    Returns:
        How many other pictures are of each of the task's kinds, and how many are unreadable.
    """
    counts: Counter[str] = Counter()
    names = {cell(name_of(path, cfg.folder)) for path in todo}
    sheet = cfg.out.with_suffix(".html")
    text: Any = {"mode": "a", "encoding": "utf-8", "newline": ""}
    with (
        cfg.out.open(**text) as table,
        sheet.open(**text) if cfg.sheet else io.StringIO() as cards,
        ThreadPoolExecutor() as threads,
        tqdm(total=len(done | names), initial=len(done - names), unit=" pictures") as bar,
    ):
        for first in range(0, len(todo), cfg.batch_size):
            paths = todo[first : first + cfg.batch_size]
            contents = list(threads.map(read_or_reason, paths))
            readable = [content for content in contents if isinstance(content, bytes)]
            answers = iter(task.answer(readable) if readable else [])
            for path, content in zip(paths, contents, strict=True):
                name = name_of(path, cfg.folder)
                answer: Any = next(answers) if isinstance(content, bytes) else None
                if cfg.sheet:  # before the row, because a file with a row is done
                    cards.write(contact_card(task, name, content, answer))
                    cards.flush()
                if cell(name) in done:
                    continue
                row: Row = {"error": content} if isinstance(content, str) else task.row(answer)
                table.write(table_line(cells({"file": name, **row}), task.columns))
                if not isinstance(task, Attribution):
                    line = content if isinstance(content, str) else task.line(answer)
                    tqdm.write(f"{shortened(name):<{NAME_WIDTH}}  {line}")
                counts["unreadable" if answer is None else task.kind(answer)] += 1
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


def cells(row: Row) -> dict[str, str]:
    """Write the cells of a row; numbers have four decimals.

    >>> cells({"file": "-1.png", "log_odds": -1.5})
    {'file': "'-1.png", 'log_odds': '-1.5000'}
    """
    return {
        name: cell(value) if isinstance(value, str) else f"{value:.4f}"
        for name, value in row.items()
    }


def table_line(row: Mapping[str, str], columns: list[str]) -> str:
    """Write a row of the table as CSV; the line ends with a line feed."""
    line = io.StringIO(newline="")
    csv.DictWriter(line, columns).writerow(row)  # quotes a cell with a line ending of any kind
    return line.getvalue().removesuffix("\r\n") + "\n"


def shortened(name: str) -> str:
    """Keep the end of a long name on one line, to print it.

    >>> shortened("pictures/a folder with a long name/1.png")
    '... with a long name/1.png'
    """
    name = " ".join(name.split())
    return name if len(name) <= NAME_WIDTH else f"...{name[3 - NAME_WIDTH :]}"


def contact_card(task: Task, name: str, content: bytes | str, answer: Any) -> str:
    """Make the contact sheet's line for a file.

    Args:
        task: makes the values of its template.
        name: the file's name.
        content: the picture, or the reason why it cannot be read.
        answer: the task's answer; None if the file cannot be read.
    """
    if isinstance(content, str):
        values = {"pictures": [], "answer": None, "reason": content}
        return render(Attribution.template, name=name, **values)
    return render(task.template, name=name, **task.card(content, answer))


if __name__ == "__main__":
    with report_errors(Config):
        main(read_flags(Config, __doc__))
