"""Tables and pages: what is best is marked, and nothing of a name is taken for markup."""

import re

from PIL import Image

from brushwork.report.pages import html_page, rows, text_table

REPORTS = {
    "runs/<a>": {"fid_x": 3.0, "one_nn_x": 0.6, "n_fake": 1000},
    "runs/b": {"fid_x": 2.0, "one_nn_x": 0.9, "n_fake": 1000, "is_y": 4.5},
}


def test_each_number_has_a_row_and_its_best_is_marked():
    assert rows(REPORTS, ["x", "y"]) == [
        ("fid_x", ["3", "2"], [False, True]),
        ("one_nn_x", ["0.6", "0.9"], [True, False]),
        ("n_fake", ["1000", "1000"], [False, False]),
        ("is_y", ["", "4.5"], [False, False]),
    ]


def test_columns_of_the_text_table_line_up():
    lines = text_table(REPORTS, ["x"]).splitlines()
    ends = {re.search(r"(2|0\.9|1000|4\.5)\*?$", line).start(1) for line in lines[1:]}
    assert len(lines) == 5 and lines[1].endswith("2*")
    right = {len(line.rstrip("*")) for line in lines}
    assert len(right) == 1 and len(ends) > 1


def test_the_page_holds_everything_and_escapes_names():
    page = html_page("A & B", REPORTS, ["x"], {"fakes <1>": Image.new("RGB", (2, 2))}, ["5 < 6"])
    assert "<a>" not in page and "runs/&lt;a&gt;" in page
    assert "A &amp; B" in page and "5 &lt; 6" in page and "fakes &lt;1&gt;" in page
    assert page.count("data:image/png;base64,") == 1
    assert page.count('class="best"') == 2
