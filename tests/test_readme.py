"""Commands, links and module names in the documents exist."""

import importlib
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from brushwork_demo.__main__ import parser
from settings import read_flags

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted(
    file
    for pattern in ("*.md", "docs/*.md", "experiments/**/*.md", "packages/*/README.md")
    for file in ROOT.glob(pattern)
)
SCRIPTS = sorted(ROOT.glob("experiments/*.py"))
RUN_FILES = sorted(ROOT.glob("experiments/runs/*.sh"))

RUNS_A_SCRIPT = re.compile(
    r"^ *(?:ACCELERATE\S* )?(?:uv run|accelerate) .*experiments/\w+\.py.*$", re.M
)
RUNS_THE_DEMO = re.compile(r"^ *(?:uv run )?brushwork-demo\b.*$", re.M)
LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE_BLOCK = re.compile(r"^```.*?^```", re.M | re.S)


def name_of(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


def joined_lines(file: Path) -> str:
    return re.sub(r"\\\n\s*", "", file.read_text())


def script_commands() -> Iterator[tuple[str, str, str]]:
    """File, script and flags of every line of documents and scripts that runs a script."""
    for file in [*DOCUMENTS, *SCRIPTS]:
        for line in RUNS_A_SCRIPT.findall(joined_lines(file)):
            script, _, flags = line.partition("experiments/")[2].partition(".py")
            yield name_of(file), script, flags.split("#")[0].strip()


def demo_commands() -> Iterator[tuple[str, str]]:
    """File and arguments of every line of documents that runs the demo."""
    for file in DOCUMENTS:
        for block in CODE_BLOCK.findall(joined_lines(file)):
            for line in RUNS_THE_DEMO.findall(block):
                yield name_of(file), line.partition("brushwork-demo")[2].split("#")[0].strip()


def links() -> Iterator[tuple[Path, str]]:
    """Document and target of every link that does not leave the repository."""
    for file in DOCUMENTS:
        for target in LINK.findall(CODE_BLOCK.sub("", file.read_text())):
            if "://" not in target and not target.startswith("mailto:"):
                yield file, target


def anchors(document: Path) -> set[str]:
    """Name the headings of a document as GitHub does in links."""
    headings = re.findall(r"^#+ (.+)$", CODE_BLOCK.sub("", document.read_text()), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize(
    ("script", "flags"),
    [
        pytest.param(script, flags, id=f"{file}: {script} {flags}"[:90])
        for file, script, flags in script_commands()
    ],
)
def test_a_documented_command_is_understood(script: str, flags: str) -> None:
    module = importlib.import_module(f"experiments.{script}")
    read_flags(module.Config, None, shlex.split(flags), getattr(module, "RECIPES", None))


@pytest.mark.parametrize(
    "arguments",
    [pytest.param(flags, id=f"{file}: {flags}"[:90]) for file, flags in demo_commands()],
)
def test_a_documented_command_of_the_demo_is_understood(arguments: str) -> None:
    parser().parse_args(shlex.split(arguments))


def test_commands_are_found_in_the_documents() -> None:
    files = {file for file, _, _ in script_commands()}
    assert {"README.md", "experiments/README.md", "experiments/train_gan.py"} <= files
    assert {file for file, _ in demo_commands()} >= {"README.md", "packages/demo/README.md"}


def test_links_in_the_documents_exist() -> None:
    missing = []
    for document, target in links():
        path, _, anchor = target.partition("#")
        file = document.parent / path if path else document
        if not file.exists() or (anchor and anchor not in anchors(file)):
            missing.append(f"{name_of(document)}: {target}")
    assert not missing
    assert len(list(links())) > 50


def test_every_script_and_run_file_is_in_the_readme_of_the_experiments() -> None:
    readme = (ROOT / "experiments/README.md").read_text()
    assert not [file.name for file in [*SCRIPTS, *RUN_FILES] if f"`{file.name}`" not in readme]


def test_modules_that_the_architecture_names_exist() -> None:
    text = CODE_BLOCK.sub("", (ROOT / "docs/architecture.md").read_text())
    core = ROOT / "packages/core/src/brushwork"
    demo = ROOT / "packages/demo/src/brushwork_demo"
    rooms = "|".join(folder.name for folder in core.iterdir() if (folder / "__init__.py").exists())
    named = re.findall(rf"`((?:brushwork_demo|{rooms})(?:\.\w+)+)`", text)
    missing = []
    for name in named:
        room, module, *members = name.split(".")
        file = (demo if room == "brushwork_demo" else core / room) / module
        source = file.with_suffix(".py").read_text() if file.with_suffix(".py").exists() else ""
        exists = source or file.is_dir()
        if not exists or any(member not in source for member in members):
            missing.append(name)
    assert not missing
    assert len(named) > 20
