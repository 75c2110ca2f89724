"""Commands, code, links and module names in the documents exist."""

import ast
import importlib
import re
import shlex
import shutil
import tomllib
from collections.abc import Iterator
from dataclasses import fields
from itertools import pairwise
from pathlib import Path

import pytest
from accelerate.commands.launch import launch_command_parser
from packaging.requirements import Requirement
from tests.documents import ROOT, blocks, commands
from tests.walk_readme import SHORTER, shorter

from brushwork_demo.__main__ import parser
from settings import read_flags

README = ROOT / "README.md"
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


KINDS = [
    r"(ACCELERATE_\S+ )?uv run accelerate launch (?P<launcher>.*?)experiments/\w+\.py( .*)?",
    r"uv run experiments/\w+\.py( .*)?",
    r"uv run brushwork-demo( .*)?",
    r"uv run pytest",
    r"uv sync( --extra (?P<extra>\w+))?",
    r"pip install (?P<requirements>.+)",
    r"\.ci/run",
    r"curl .* http://127\.0\.0\.1:7860/gradio_api/call/paint(/EVENT_ID|( .*)?)",
]
EXTRAS = {
    project["name"]: set(project.get("optional-dependencies", {}))
    for file in (ROOT / "pyproject.toml", *ROOT.glob("packages/*/pyproject.toml"))
    for project in [tomllib.loads(file.read_text())["project"]]
}


def test_every_command_of_the_documents_is_of_a_kind_that_is_checked() -> None:
    found = [(command, document) for document in DOCUMENTS for command in commands(document)]
    assert len(found) > 50
    for command, document in found:
        kind = next(filter(None, (re.fullmatch(kind, command) for kind in KINDS)), None)
        assert kind, f"{name_of(document)}: {command}"
        named = kind.groupdict()
        if named.get("launcher"):
            launcher = shlex.split(named["launcher"])
            assert launch_command_parser().parse_args([*launcher, "script.py"]).training_script
        if named.get("extra"):
            assert named["extra"] in EXTRAS["brushwork-workspace"], command


def test_extras_that_the_documents_install_exist() -> None:
    found = set()
    for document in DOCUMENTS:
        text = document.read_text().replace("packages/core[", "brushwork[")
        text = text.replace("packages/demo[", "brushwork-demo[")
        for named in re.findall(r"\bbrushwork(?:-demo)?\[[\w,]+\]", text):
            requirement = Requirement(named)
            assert requirement.extras <= EXTRAS[requirement.name], named
            found.add(named)
    assert {"brushwork[torch]", "brushwork-demo[static]"} <= found


FROM_THE_READER = {
    "painter-by-numbers/",
    "data/other-collection",
    "painting.jpg",
    "pictures/",
    "photographs/",
    "fakes/",
    "USER/NAME",
    "USER/landscapes",
}
WRITING = {"--out", "--walk", "export"}


def default_out(script: str) -> Path:
    """Return what a script writes without --out; Path() if it has no such flag."""
    config = importlib.import_module(script.replace("/", ".").removesuffix(".py")).Config
    for each in (config, *(one.default for one in fields(config))):
        if isinstance(getattr(each, "out", None), Path):
            return each.out
    makers = (one.default_factory for one in fields(config) if callable(one.default_factory))
    return next((made.out for made in (make() for make in makers) if hasattr(made, "out")), Path())


def test_a_command_reads_only_what_is_there_or_an_earlier_one_wrote() -> None:
    written: set[Path] = set()
    documents = [README, ROOT / "experiments/README.md", ROOT / "packages/demo/README.md"]
    for command in [line for document in documents for line in commands(document)]:
        words = shlex.split(command)
        if words[0] == "curl":
            continue
        script = next((word for word in words if word.startswith("experiments/")), None)
        after = {default_out(script)} if script and "--out" not in words else set()
        for before, word in pairwise(words):
            path = Path(word.rpartition(":")[2])
            if before in WRITING:
                after.add(path)
            elif "/" in word and not word.startswith("-") and word not in FROM_THE_READER:
                made = any(folder in (path, *path.parents) for folder in written)
                resumed = "--resume" in words and path in after
                assert made or resumed or (ROOT / path).exists(), f"{command}: no {word}"
        written |= after - {Path()}
    assert Path("runs/landscapes") in written


def python_blocks() -> Iterator[tuple[Path, str]]:
    """Document and text of each block of Python."""
    for document in DOCUMENTS:
        for text in blocks(document, "python"):
            yield document, text


def test_python_in_the_documents_imports_what_exists() -> None:
    imported = 0
    for document, text in python_blocks():
        for node in ast.parse(text, name_of(document)).body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                exec(ast.unparse(node), {})
                imported += 1
    assert imported >= 6


@pytest.fixture
def with_a_painting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder like that of a reader, with `painting.jpg` and `pictures/`."""
    example = next(iter(ROOT.glob("packages/demo/src/brushwork_demo/examples/*.jpg")))
    (tmp_path / "pictures").mkdir()
    for name in ("painting.jpg", "pictures/one.jpg"):
        shutil.copy(example, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("with_a_painting")
def test_python_in_the_readmes_runs(capsys) -> None:
    """Each README in one namespace, with fewer pictures and steps; without exported models."""
    for document in (README, ROOT / "packages/core/README.md"):
        text = "\n".join(one for one in blocks(document, "python") if "exported/" not in one)
        text = text.replace("(16, seed", "(1, seed").replace("(16, label", "(1, label")
        exec(compile(text.replace("steps=200", "steps=1"), document, "exec"), {})
    assert capsys.readouterr().out.strip()


QUICK = ("sample.py --list", "sample.py landscapes --mix", "identify.py pictures/")
"""Starts of commands of README that take a second or two."""


def test_quick_commands_of_the_readme_run(with_a_painting, run_script, capsys) -> None:
    ran = []
    for command in commands(README):
        words = shlex.split(command)
        script = " ".join(words[2:]).removeprefix("experiments/")
        compared = "--classifier" in words or "--compare" in words
        if not compared and script.startswith(QUICK):
            run_script(Path(words[2]).stem, *words[3:])
            ran.append(command)
    assert all(any(quick in command for command in ran) for quick in QUICK)
    said = capsys.readouterr().out
    assert "landscapes" in said and re.search("1 identified|1 unknown", said)
    assert (with_a_painting / "bundled.csv").stat().st_size > 100
    assert list((with_a_painting / "paintings").iterdir())


def test_the_walk_shortens_each_training_of_the_readme() -> None:
    lines = [line for line in commands(README) if "train_" in line or "reproduce" in line]
    assert len(lines) > 10
    for line in lines:
        assert shorter(line) != line, f"add a rule to SHORTER: {line}"
    text = "\n".join(lines)
    for pattern in SHORTER:
        assert re.search(pattern, text), f"README has nothing for this rule: {pattern}"


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
