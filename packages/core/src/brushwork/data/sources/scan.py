"""List the files of a source's folder, with checks that several sources share."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from brushwork.data.decode import SUFFIXES, is_sidecar
from brushwork.errors import BrushworkError


def existing_folder(folder: str | Path) -> Path:
    """Resolve the path of a folder.

    Raises:
        BrushworkError: there is no such folder.
    """
    root = Path(folder).expanduser()
    if not root.is_dir():
        raise BrushworkError(f"no folder {root}; pass an existing folder")
    return root.resolve()


def scan(root: Path, hidden: list[str], below: str = "") -> Iterator[tuple[str, bool]]:
    """List every ordinary file below a folder.

    One pass over the directories, without a system call per file: a folder may contain 100,000.
    Hidden files and what macOS adds to archives are left out.

    Args:
        root: a resolved folder.
        hidden: receives the paths of hidden files whose suffix is that of a picture.
        below: a folder inside it, ending in "/"; all of `root` if empty.

    Yields:
        Each file's path relative to `root`; and False if it is a link to a file outside.

    Raises:
        BrushworkError: a folder is not readable, or is a link.
    """
    try:
        entries = sorted(os.scandir(root / below), key=lambda entry: entry.name)
    except OSError as error:
        raise BrushworkError(
            f"cannot read {root / below} ({error.strerror}); make the folder readable"
        ) from None
    for entry in entries:
        path = below + entry.name
        if is_sidecar(entry.name):
            if Path(entry.name).suffix.lower() in SUFFIXES:
                hidden.append(path)
            continue
        if _is_folder(entry):
            if entry.is_symlink():
                raise BrushworkError(
                    f"{root / path} is a link to a folder, and such links are not followed; "
                    "replace the link by the folder"
                )
            yield from scan(root, hidden, path + "/")
        elif entry.is_symlink():
            yield path, _is_inside(Path(entry.path), root)
        elif entry.is_file():
            yield path, True


def _is_folder(entry: os.DirEntry) -> bool:
    """Return whether an entry is a folder or a link to one; a link to itself is none."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def _is_inside(link: Path, root: Path) -> bool:
    """Return whether the target of a link is inside a folder, or cannot be found."""
    try:
        return link.resolve().is_relative_to(root)
    except (OSError, RuntimeError):  # a link to itself; decoding gives the reason
        return True


def is_text(text: str) -> bool:
    """Return whether a text can be encoded as UTF-8."""
    return text.isascii() or not re.search(r"[\ud800-\udfff]", text)
