"""Tables and pages: the best values are marked, and names are never taken for markup."""

import base64
import io
import re

import jinja2
import numpy as np
import pytest
from PIL import Image

from brushwork.report.pages import (
    Section,
    data_url,
    html_page,
    render,
    rows,
    text_table,
    write_report,
    write_sections,
)

REPORTS = {
    "runs/<a>": {"fid": 3.0, "one_nn": 0.6, "n_fake": 1000},
    "runs/b": {"fid": 2.0, "one_nn": 0.9, "n_fake": 1000, "is": 4.5},
}


def image_of(url: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(url.partition("base64,")[2])))


def test_each_metric_has_a_row_and_its_best_value_is_marked():
    assert rows(REPORTS) == [
        ("fid", ["3", "2"], [False, True]),
        ("one_nn", ["0.6", "0.9"], [True, False]),
        ("n_fake", ["1000", "1000"], [False, False]),
        ("is", ["", "4.5"], [False, False]),
    ]


def test_columns_of_the_text_table_line_up():
    lines = text_table(REPORTS, "pixels").splitlines()
    ends = {re.search(r"(2|0\.9|1000|4\.5)\*?$", line).start(1) for line in lines[1:]}
    assert len(lines) == 5 and lines[0].startswith("pixels ") and lines[1].endswith("2*")
    right = {len(line.rstrip("*")) for line in lines}
    assert len(right) == 1 and len(ends) > 1


def test_the_page_holds_everything_and_escapes_names():
    picture = Image.new("RGB", (2, 3), (9, 8, 7))
    tables = {"space <1>": REPORTS, "": {"only": {"top1": 0.5}}}
    page = html_page("A & B", tables, {"fakes <1>": picture}, ["5 < 6"])
    assert "<a>" not in page and "runs/&lt;a&gt;" in page
    assert "A &amp; B" in page and "5 &lt; 6" in page and "fakes &lt;1&gt;" in page
    assert "<h2>space &lt;1&gt;</h2>" in page and page.count("<h2>") == 1
    assert page.count("<table>") == 2 and page.count('class="best"') == 2
    (url,) = re.findall(r'src="([^"]+)"', page)
    assert url.startswith("data:image/png;base64,")
    assert image_of(url).getpixel((1, 2)) == (9, 8, 7)
    cells = re.search(r"<tr><th>fid</th>(.*?)</tr>", page)
    assert cells is not None and cells[1] == '<td>3</td><td class="best">2</td>'


def test_a_report_is_written_with_its_figures(tmp_path):
    pictures = {str(grey): Image.new("L", (2, 2), grey) for grey in (10, 20)}
    write_report(tmp_path / "out", "Title", {"pixels": REPORTS}, pictures)
    assert (tmp_path / "out" / "report.html").read_text().startswith("<!doctype html>")
    for number, grey in enumerate((10, 20)):
        with Image.open(tmp_path / "out" / f"figure-{number:02}.png") as figure:
            assert figure.getpixel((0, 0)) == grey


def test_a_name_that_is_not_utf8_can_be_read(tmp_path):
    name = "d\udce9j\udce0"
    write_report(tmp_path, name, {name: {name: {"fid": 1.0}}}, {}, [name])
    assert (tmp_path / "report.html").read_text(encoding="utf-8").count(r"d\xe9j\xe0") >= 3
    for page in write_sections(tmp_path, "page", name, [Section(name)]):
        assert page.read_text(encoding="utf-8").count(r"d\xe9j\xe0") >= 2


def test_sections_are_the_same_in_markdown_and_html(tmp_path):
    Image.new("RGB", (4, 4), (0, 99, 0)).save(tmp_path / "green.png")
    section = Section(
        "Cost & time",
        text=["Two <b>words</b>."],
        table=[["run", "a|b"], ["x", "1"]],
        figures={"green": tmp_path / "green.png"},
        commands=["python a.py > b", "ls"],
    )
    markdown, page = write_sections(tmp_path, "results", "All", [section, Section("Empty")])
    text, html = markdown.read_text(), page.read_text()
    assert "## Cost & time\n" in text and "| run | a\\|b |\n|---|---:|\n| x | 1 |" in text
    assert "![green](green.png)" in text and "```sh\npython a.py > b\nls\n```" in text
    assert "<h2>Cost &amp; time</h2>" in html and "&lt;b&gt;words&lt;/b&gt;" in html
    assert "<tr><th>run</th><th>a|b</th></tr>" in html and "<tr><th>x</th><td>1</td></tr>" in html
    assert "<pre>python a.py &gt; b\nls</pre>" in html
    (url,) = re.findall(r'src="([^"]+)"', html)
    assert image_of(url).getpixel((0, 0)) == (0, 99, 0)
    assert html.count("<h2>") == 2 and html.count("<table>") == html.count("<pre>") == 1


def test_a_template_without_a_value_is_an_error():
    with pytest.raises(jinja2.UndefinedError):
        render("report.html.j2", title="nothing else")


def test_an_image_is_encoded_in_the_named_format():
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
    small, large = (data_url(image, "JPEG", quality=quality) for quality in (10, 95))
    assert small.startswith("data:image/jpeg;base64,") and len(small) < len(large) / 2
    assert image_of(small).format == "JPEG" and image_of(small).size == (64, 64)
