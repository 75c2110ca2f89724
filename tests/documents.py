"""The commands and the Python code in the documents, as a reader would paste them."""

import re
import shlex
from pathlib import Path

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.M | re.S)


def blocks(document: Path, language: str) -> list[str]:
    """Return the code blocks of a language, each as its text."""
    return [text for name, text in BLOCK.findall(document.read_text()) if name == language]


def commands(document: Path) -> list[str]:
    """Return the commands of the shell blocks, each as one line without comments."""
    lines = "\n".join(blocks(document, "sh")).replace("\\\n", " ").splitlines()
    split = (shlex.split(line, comments=True) for line in lines)
    return [shlex.join(words) for words in split if words]
