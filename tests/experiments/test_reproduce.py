"""The whole report, tiny, by the real command line: killed on its way, and gone on with."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def command(data, out, *flags):
    tiny = ("--models", "test_resnet", "--side", "32", "--gan-side", "32", "--fakes", "20",
            "--min-paintings", "2", "--budget", "0.01")  # fmt: skip
    script = ROOT / "experiments" / "reproduce.py"
    return [sys.executable, str(script), "--data", str(data), "--out", str(out), *tiny, *flags]


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    cache = str(tmp_path_factory.mktemp("cache"))
    return {**os.environ, "BRUSHWORK_CACHE": cache, "CUDA_VISIBLE_DEVICES": ""}


def finished(out):
    file = out / "parts.json"
    parts = json.loads(file.read_text())["parts"] if file.exists() else {}
    return {name: part for name, part in parts.items() if "seconds" in part}


@pytest.fixture(scope="module")
def results(prepared_folder, tmp_path_factory, environment):
    """The folder of a finished run, and the parts that were finished when it was killed."""
    out = tmp_path_factory.mktemp("reproduce") / "results"
    line = command(prepared_folder, out)
    with subprocess.Popen(line, env=environment, stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL) as process:  # fmt: skip
        while "test_resnet" not in finished(out) and process.poll() is None:
            time.sleep(0.05)
        process.kill()
    before = finished(out)
    done = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    return out, before


def test_a_killed_run_goes_on_and_keeps_what_was_finished(results):
    out, before = results
    after = finished(out)
    assert before and before.items() <= after.items() and len(before) < len(after)


def test_the_page_has_every_table_and_figure_and_needs_no_other_file(results):
    out, _ = results
    markdown, page = (out / "results.md").read_text(), (out / "results.html").read_text()
    for heading in ("Who painted it?", "evaluation of 2019", "genre landscape", "genre portrait",
                    "style ", "artist ", "everything", "How good are the fakes?",
                    "103,250 paintings would cost", "Commands"):  # fmt: skip
        assert re.search(f"^## .*{heading}", markdown, re.M), heading
        assert re.search(f"<h2>.*{heading}", page), heading
    linked = re.findall(r"\]\((figures/[^)]+)\)", markdown)
    assert len(linked) >= 10 and all((out / file).is_file() for file in linked)
    sources = re.findall(r'src="([^"]{,10})', page)
    assert len(sources) == len(linked) and {s[:5] for s in sources} == {"data:"}


def test_the_numbers_of_the_page_are_those_of_the_evaluations(results):
    out, _ = results
    markdown = (out / "results.md").read_text()
    report = json.loads((out / "runs" / "test_resnet-report" / "report.json").read_text())
    honest = json.loads((out / "runs" / "test_resnet-2019" / "report.json").read_text())["reports"]
    for split in ("train", "test"):
        numbers = report["reports"][split]
        shown = " | ".join(f"{numbers[key]:.3f}" for key in ("top1", "top3", "top5"))
        assert f"| test_resnet | {split} | {shown} |" in markdown
    assert honest["honest"]["top1"] == report["reports"]["test"]["top1"]
    assert honest["as in 2019"]["num_paintings"] == honest["trained on"]["num_paintings"]


def test_each_part_is_a_command_that_the_page_shows(results):
    out, _ = results
    markdown = (out / "results.md").read_text()
    for part in finished(out).values():
        assert part["command"] in markdown
        assert part["command"].startswith(f"uv run experiments/{part['script']}.py ")


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--seed", "1"], "holds results of seed 0, not 1"),
        (["--min-paintings", "1000"], "lower --min-paintings"),
        (["--style", "Baroqe"], "did you mean 'Baroque'"),
        (["--gan-side", "48"], "48"),
        (["--models", "resnet18", "resnet43"], "resnet43"),
        (["--spaces", "artist:gone"], "gone"),
    ],
)
def test_a_mistake_is_one_sentence(prepared_folder, results, environment, flags, words):
    line = command(prepared_folder, results[0], *flags)
    said = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=300)
    assert said.returncode == 1 and words in said.stderr and "Traceback" not in said.stderr
