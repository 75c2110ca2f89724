"""Tables for the terminal and self-contained pages for the browser, from numbers and figures."""

import base64
import mimetypes
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
from PIL import Image

from brushwork.files import write_text

# The metrics of each report, by the report's name: the columns of one table.
Reports = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class Section:
    """A part of a page: text, then a table, figures and commands, each of them optional.

    Attributes:
        title: the heading.
        text: paragraphs.
        table: rows of cells; the first row is the head.
        figures: image files below the folder of the page, by caption.
        commands: lines for a shell.
    """

    title: str
    text: Sequence[str] = ()
    table: Sequence[Sequence[str]] = ()
    figures: Mapping[str, Path] = field(default_factory=dict)
    commands: Sequence[str] = ()


class Row(NamedTuple):
    """One metric's row of a table: its value in each report, and whether each value is the best."""

    metric: str
    values: list[str]
    best: list[bool]


def rows(reports: Reports) -> list[Row]:
    """Make one row of each metric.

    >>> rows({"a": {"fid": 3.0}, "b": {"fid": 2.0, "n_fake": 9}})
    [Row(metric='fid', values=['3', '2'], best=[False, True]), \
Row(metric='n_fake', values=['', '9'], best=[False, False])]
    """
    from brushwork.metrics.evaluate import best  # imports torch, which other pages do not need

    metrics = list(dict.fromkeys(metric for report in reports.values() for metric in report))
    table = []
    for metric in metrics:
        values = {name: report[metric] for name, report in reports.items() if metric in report}
        winners = best(values, metric)
        shown = [f"{values[name]:.4g}" if name in values else "" for name in reports]
        table.append(Row(metric, shown, [name in winners for name in reports]))
    return table


def text_table(reports: Reports, heading: str = "") -> str:
    """Lay out a table for the terminal; a star marks the best value of each metric.

    Args:
        reports: the columns, by name.
        heading: heading of the column of metrics.

    >>> print(text_table({"a": {"fid": 3.0}, "b": {"fid": 2.0}}, "pixels"))
    pixels    a   b
    fid       3   2*
    """
    table = rows(reports)
    first = max(len("metric"), len(heading), *(len(row.metric) for row in table)) + 2
    widths = [
        max(len(name), *(len(row.values[i]) for row in table)) + 2 for i, name in enumerate(reports)
    ]
    head = "".join(f"{name:>{width}} " for name, width in zip(reports, widths, strict=True))
    lines = [f"{heading:<{first}}{head}"]
    for row in table:
        cells = zip(row.values, widths, row.best, strict=True)
        shown = "".join(f"{value:>{width}}{'*' if mark else ' '}" for value, width, mark in cells)
        lines.append(f"{row.metric:<{first}}{shown}")
    return "\n".join(line.rstrip() for line in lines)


def html_page(
    title: str,
    tables: Mapping[str, Reports],
    pictures: Mapping[str, Image.Image],
    notes: Sequence[str] = (),
) -> str:
    """Write a self-contained page: notes, tables with the best values marked, and pictures.

    Args:
        title: the page's heading.
        tables: the reports of each table, by heading, such as the feature space; a heading may be
            "".
        pictures: by caption.
        notes: paragraphs above the tables.
    """
    return render(
        "report.html.j2",
        title=title,
        tables=[
            {"heading": heading, "names": list(reports), "rows": rows(reports)}
            for heading, reports in tables.items()
        ],
        figures={caption: data_url(picture) for caption, picture in pictures.items()},
        notes=notes,
    )


def write_report(
    folder: str | Path,
    title: str,
    tables: Mapping[str, Reports],
    pictures: Mapping[str, Image.Image],
    notes: Sequence[str] = (),
) -> None:
    """Write `report.html`, and its pictures as `figure-00.png` and so on; see `html_page`."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for number, picture in enumerate(pictures.values()):
        picture.save(folder / f"figure-{number:02d}.png")
    page = html_page(title, tables, pictures, notes)
    write_text(folder / "report.html", page)


def write_sections(
    folder: str | Path, name: str, title: str, sections: Sequence[Section]
) -> tuple[Path, Path]:
    """Write a page twice: `name.md` with links to the figures, and `name.html` with the figures.

    Returns:
        The two files.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    markdown, page = folder / f"{name}.md", folder / f"{name}.html"
    parts = [f"# {title}", *(_markdown(section, folder) for section in sections)]
    write_text(markdown, "\n\n".join(parts) + "\n")
    shown = [
        {**vars(section), "figures": {text: _file_url(f) for text, f in section.figures.items()}}
        for section in sections
    ]
    html = render("sections.html.j2", title=title, sections=shown)
    write_text(page, html)
    return markdown, page


def render(template: str, **values: Any) -> str:
    """Fill in a template of `report/templates`; every value is escaped as HTML.

    Args:
        template: file name of the template, such as "report.html.j2". A new template extends
            "page.html.j2".
        values: values of all variables in the template; a missing value is an error.
    """
    return _templates().get_template(template).render(values)


def data_url(image: Image.Image, format: str = "PNG", **options: Any) -> str:
    """Encode an image as a data URL, for the `src` of an HTML page.

    Args:
        image: the image to encode.
        format: "PNG", "JPEG" or another one that Pillow writes.
        options: options of `PIL.Image.Image.save`, such as `quality=80`.
    """
    buffer = BytesIO()
    image.save(buffer, format=format, **options)
    return _encoded(buffer.getvalue(), f"image/{format.lower()}")


@cache
def _templates() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("brushwork.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def _markdown(section: Section, folder: Path) -> str:
    parts = [f"## {section.title}", *section.text]
    if section.table:
        lines = [
            "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |"
            for row in section.table
        ]
        rule = "|---|" + "---:|" * (len(section.table[0]) - 1)
        parts.append("\n".join([lines[0], rule, *lines[1:]]))
    for caption, file in section.figures.items():
        parts.append(f"![{caption}]({file.relative_to(folder).as_posix()})\n\n*{caption}*")
    if section.commands:
        parts.append("\n".join(["```sh", *section.commands, "```"]))
    return "\n\n".join(parts)


def _file_url(file: Path) -> str:
    return _encoded(file.read_bytes(), mimetypes.guess_type(file)[0] or "")


def _encoded(content: bytes, kind: str) -> str:
    return f"data:{kind};base64," + base64.b64encode(content).decode()
