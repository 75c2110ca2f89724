"""Every command that the documents show must at least be one that the scripts understand."""

import importlib
import re
import shlex
from pathlib import Path

import pytest
import tyro

ROOT = Path(__file__).parents[1]
NAMES = ("README.md", "CONTRIBUTING.md", "RESULTS.md")
DOCUMENTS = [*(ROOT / name for name in NAMES), *ROOT.glob("experiments/**/*.md")]
SCRIPTS = sorted(ROOT.glob("experiments/*.py"))

RUNS_A_SCRIPT = re.compile(
    r"^ *(?:ACCELERATE.*)?(?:uv run|accelerate) .*experiments/\w+\.py.*$", re.M
)


def commands():
    """(script, flags) of every line of the documents and docstrings that runs a script."""
    for file in [*DOCUMENTS, *SCRIPTS]:
        text = file.read_text().replace("\\\n", " ")
        for line in RUNS_A_SCRIPT.findall(text):
            script, _, flags = line.partition("experiments/")[2].partition(".py")
            yield pytest.param(script, flags.split("#")[0], id=f"{file.name}: {line.strip()[:60]}")


@pytest.mark.parametrize(("script", "flags"), list(commands()))
def test_a_documented_command_is_understood(script, flags):
    module = importlib.import_module(f"experiments.{script}")
    tyro.cli(module.Config, args=shlex.split(flags))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_a_script_is_short_enough_to_read(script):
    assert len(script.read_text().splitlines()) <= 200


def test_files_that_the_readme_points_to_exist():
    for document in DOCUMENTS:
        for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name}: {target}"
