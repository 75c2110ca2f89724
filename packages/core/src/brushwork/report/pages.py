"""Numbers of several runs side by side: as a table for the terminal and a page for the browser."""

import base64
import html
import mimetypes
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

from PIL import Image

from brushwork.metrics.evaluate import best

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; margin: 1rem 0 } td, th { padding: .2rem .8rem }
td { text-align: right; font-variant-numeric: tabular-nums }
th { text-align: left; white-space: nowrap }
tr + tr { border-top: 1px solid #8883 } td.best { font-weight: bold; background: #5a52 }
img { max-width: 100%; image-rendering: pixelated } figcaption { color: #888 }
div.wide { overflow-x: auto } pre { overflow-x: auto; background: #8881; padding: .5rem }
""".strip()


@dataclass(frozen=True)
class Section:
    """A part of a page: what it says, then its table, its figures and its commands, if any.

    Attributes:
        title: its heading.
        text: paragraphs.
        table: rows of cells, the first being the head.
        figures: files below the folder of the page, by caption.
        commands: lines for a shell.
    """

    title: str
    text: Sequence[str] = ()
    table: Sequence[Sequence[str]] = ()
    figures: Mapping[str, Path] = field(default_factory=dict)
    commands: Sequence[str] = ()


def rows(
    reports: Mapping[str, Mapping[str, float]], spaces: Sequence[str]
) -> list[tuple[str, list[str], list[bool]]]:
    """One row a number: its key, its value in each report ("" where it has none), which are best.

    >>> rows({"a": {"fid_x": 3.0}, "b": {"fid_x": 2.0, "n_fake": 9}}, ["x"])
    [('fid_x', ['3', '2'], [False, True]), ('n_fake', ['', '9'], [False, False])]
    """
    keys = list(dict.fromkeys(key for report in reports.values() for key in report))
    table = []
    for key in keys:
        winners = set().union(*(best(reports, key, space) for space in spaces))
        shown = [f"{report[key]:.4g}" if key in report else "" for report in reports.values()]
        table.append((key, shown, [name in winners for name in reports]))
    return table


def text_table(reports: Mapping[str, Mapping[str, float]], spaces: Sequence[str]) -> str:
    """The rows under the names of the reports, the best of each marked by a star.

    >>> print(text_table({"a": {"fid_x": 3.0}, "b": {"fid_x": 2.0}}, ["x"]))
              a   b
    fid_x     3   2*
    """
    table = rows(reports, spaces)
    first = max(len("metric") + 2, *(len(key) + 2 for key, *_ in table))
    widths = [
        max(len(name), *(len(shown[i]) for _, shown, _ in table)) + 2
        for i, name in enumerate(reports)
    ]
    lines = ["".join([" " * first, *(f"{n:>{w}} " for n, w in zip(reports, widths, strict=True))])]
    for key, shown, marks in table:
        cells = zip(shown, widths, marks, strict=True)
        lines.append(
            f"{key:<{first}}" + "".join(f"{s:>{w}}{'*' if m else ' '}" for s, w, m in cells)
        )
    return "\n".join(line.rstrip() for line in lines)


def html_page(
    title: str,
    reports: Mapping[str, Mapping[str, float]],
    spaces: Sequence[str],
    pictures: Mapping[str, Image.Image],
    notes: Sequence[str] = (),
) -> str:
    """One self-contained page: notes, the table with the best marked, and pictures by caption."""
    head = "".join(f"<th>{html.escape(name)}</th>" for name in reports)
    body = "".join(
        f"<tr><th>{html.escape(key)}</th>"
        + "".join(
            f'<td class="best">{s}</td>' if m else f"<td>{s}</td>"
            for s, m in zip(shown, marks, strict=True)
        )
        + "</tr>\n"
        for key, shown, marks in rows(reports, spaces)
    )
    drawn = "".join(_figure(caption, _data_url(picture)) for caption, picture in pictures.items())
    said = "".join(f"<p>{html.escape(note)}</p>\n" for note in notes)
    table = f"<table><tr><th></th>{head}</tr>\n{body}</table>\n"
    return f"{_head(title)}{said}{table}{drawn}</html>\n"


def write_report(
    folder: str | Path,
    title: str,
    reports: Mapping[str, Mapping[str, float]],
    spaces: Sequence[str],
    pictures: Mapping[str, Image.Image],
    notes: Sequence[str] = (),
) -> None:
    """Write the page as `report.html`, and its pictures as `figure-00.png` and so on."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for number, picture in enumerate(pictures.values()):
        picture.save(folder / f"figure-{number:02d}.png")
    page = html_page(title, reports, spaces, pictures, notes)
    (folder / "report.html").write_text(page, encoding="utf-8")


def write_sections(
    folder: str | Path, name: str, title: str, sections: Sequence[Section]
) -> tuple[Path, Path]:
    """Write one page twice: `name.md`, which links to the figures, and `name.html`, all in one.

    Returns:
        The two files.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    markdown, page = folder / f"{name}.md", folder / f"{name}.html"
    parts = [f"# {title}", *(_markdown(section, folder) for section in sections)]
    markdown.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    body = "".join(map(_html, sections))
    page.write_text(f"{_head(title)}{body}</html>\n", encoding="utf-8")
    return markdown, page


def _markdown(section: Section, folder: Path) -> str:
    parts = [f"## {section.title}", *section.text]
    if section.table:
        lines = ["| " + " | ".join(c.replace("|", "\\|") for c in row) + " |"
                 for row in section.table]  # fmt: skip
        rule = "|---|" + "---:|" * (len(section.table[0]) - 1)
        parts.append("\n".join([lines[0], rule, *lines[1:]]))
    for caption, file in section.figures.items():
        parts.append(f"![{caption}]({file.relative_to(folder).as_posix()})\n\n*{caption}*")
    if section.commands:
        parts.append("\n".join(["```sh", *section.commands, "```"]))
    return "\n\n".join(parts)


def _html(section: Section) -> str:
    said = "".join(f"<p>{html.escape(paragraph)}</p>\n" for paragraph in section.text)
    table = ""
    for number, (first, *others) in enumerate(section.table):
        cell = "td" if number else "th"
        cells = "".join(f"<{cell}>{html.escape(text)}</{cell}>" for text in others)
        table += f"<tr><th>{html.escape(first)}</th>{cells}</tr>\n"
    table = table and f'<div class="wide"><table>{table}</table></div>\n'
    drawn = "".join(
        _figure(caption, _encoded(file.read_bytes(), mimetypes.guess_type(file)[0] or ""))
        for caption, file in section.figures.items()
    )
    commands = html.escape("\n".join(section.commands))
    shown = f"<pre>{commands}</pre>\n" if commands else ""
    return f"<h2>{html.escape(section.title)}</h2>\n{said}{table}{drawn}{shown}"


def _head(title: str) -> str:
    return f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{html.escape(title)}</title>
<meta name="viewport" content="width=device-width"><style>{STYLE}</style>
<h1>{html.escape(title)}</h1>
"""


def _figure(caption: str, url: str) -> str:
    text = html.escape(caption)
    return f'<figure><img alt="{text}" src="{url}"><figcaption>{text}</figcaption></figure>\n'


def _data_url(picture: Image.Image) -> str:
    buffer = BytesIO()
    picture.save(buffer, format="PNG")
    return _encoded(buffer.getvalue(), "image/png")


def _encoded(content: bytes, kind: str) -> str:
    return f"data:{kind};base64," + base64.b64encode(content).decode()
