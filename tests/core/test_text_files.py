"""Text files are UTF-8 on every system, also where the system's own encoding is another one."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]

# Modules and names whose function `open` opens no text file.
NOT_PATHS = {"Image", "av", "os", "tarfile", "webbrowser", "zipfile"}


def calls_without_encoding(source: str) -> Iterator[int]:
    """Yield the lines that read or write text in the encoding of the system."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        called = node.func
        keywords = {keyword.arg for keyword in node.keywords}
        if {"encoding", None} & keywords:  # None: `**settings`
            continue
        if isinstance(called, ast.Name) and called.id == "open":
            modes = node.args[1:2]
        elif isinstance(called, ast.Attribute) and called.attr == "open":
            if isinstance(called.value, ast.Name) and called.value.id in NOT_PATHS:
                continue
            modes = node.args[:1]
        elif isinstance(called, ast.Attribute) and called.attr in ("read_text", "write_text"):
            if len(node.args) < (1 if called.attr == "read_text" else 2):
                yield node.lineno
            continue
        else:
            continue
        modes += [keyword.value for keyword in node.keywords if keyword.arg == "mode"]
        if not any(isinstance(mode, ast.Constant) and "b" in str(mode.value) for mode in modes):
            yield node.lineno


def test_calls_without_encoding_are_found():
    source = "open('a')\nopen('a', 'rb')\npath.open('w')\npath.read_text()\npath.open(mode='rb')"
    assert [*calls_without_encoding(source)] == [1, 3, 4]


def test_every_text_file_is_opened_as_utf_8():
    found = [
        f"{file.relative_to(ROOT)}:{line}"
        for folder in ("packages", "experiments")
        for file in sorted((ROOT / folder).rglob("*.py"))
        for line in calls_without_encoding(file.read_text(encoding="utf-8"))
    ]
    assert not found
