"""data.sources.scan."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from brushwork.errors import BrushworkError


def existing_folder(folder: str | Path) -> Path:
    root = Path(folder).expanduser()
    if not root.is_dir():
        raise BrushworkError(f"no folder {root}")
    return root.resolve()


def scan(root: Path, below: str = "") -> Iterator[tuple[str, bool]]:
    """Every ordinary file below a folder, relative to it, and whether it truly lies in there.

    One pass over the directories and no call per file, since a folder may hold 100,000.
    """
    try:
        entries = sorted(os.scandir(root / below), key=lambda entry: entry.name)
    except OSError as error:
        raise BrushworkError(f"cannot read {root / below}: {error.strerror}") from None
    for entry in entries:
        path = below + entry.name
        if entry.name.startswith(".") or entry.name == "__MACOSX":
            continue
        if entry.is_dir():
            if entry.is_symlink():
                raise BrushworkError(
                    f"{root / path} is a link to a folder, which is not followed; "
                    "put the folder itself there"
                )
            yield from scan(root, path + "/")
        elif entry.is_symlink():
            yield path, Path(entry.path).resolve().is_relative_to(root)
        elif entry.is_file():
            yield path, True


def is_text(text: str) -> bool:
    """Whether it can be written as UTF-8."""
    return text.isascii() or not re.search(r"[\ud800-\udfff]", text)
