"""Files and folders: atomic writes, locks between processes, and the cache folder."""

import hashlib
import json
import os
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from filelock import FileLock


def beside(file: Path, name: str) -> Path:
    """Return the path of a file beside another one.

    A name of more than 255 bytes, which file systems do not take, is replaced by its hash.
    """
    raw = os.fsencode(name)
    return file.with_name(name if len(raw) <= 255 else f".{hashlib.sha256(raw).hexdigest()}")


@contextmanager
def atomic_write(file: Path) -> Iterator[Path]:
    """Provide a temporary path beside `file`, which replaces `file` when the block ends.

    A reader sees the old file or the new one, never a part. When the block raises, the old file
    stays and the temporary one is deleted. The file has the permissions of other new files here;
    safetensors would make one that only its owner can read.
    """
    temporary = beside(file, f".{file.name}.new")
    try:
        temporary.unlink(missing_ok=True)  # of a killed process
        temporary.touch()
        mode = temporary.stat().st_mode
        yield temporary
        if temporary.stat().st_mode != mode:
            temporary.chmod(mode)
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """Provide a temporary folder beside `folder`, which replaces `folder` when the block ends.

    When the block raises, the old folder stays and the temporary one is deleted. The block may read
    the old folder.
    """
    new, old = (folder.parent / f".{folder.name}.{end}" for end in ("new", "old"))
    try:
        for leftover in (new, old):  # of a killed process
            shutil.rmtree(leftover, ignore_errors=True)
        new.mkdir(parents=True)
        yield new
        if folder.exists():
            folder.rename(old)
        new.rename(folder)
        shutil.rmtree(old, ignore_errors=True)
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        if old.exists() and not folder.exists():
            old.rename(folder)
        raise


SCRATCH = ".brushwork.new"
"""The folder in which `replace_content` prepares new content; a killed process leaves it."""


@contextmanager
def replace_content(folder: Path) -> Iterator[Path]:
    """Provide a temporary folder, whose content replaces that of `folder` when the block ends.

    Files and folders of other names stay in `folder`. When the block raises, all of it stays as it
    was, and the temporary folder is deleted. The block may read `folder`.
    """
    is_new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    # Inside, because `folder` may be the root of a file system.
    scratch = folder / SCRATCH
    new, old = scratch / "new", scratch / "old"
    try:
        _restore(old, folder)  # of a killed process
        shutil.rmtree(scratch, ignore_errors=True)
        new.mkdir(parents=True)
        old.mkdir()
        yield new
    except BaseException:
        shutil.rmtree(folder if is_new else scratch, ignore_errors=True)
        raise
    # What fails from here on leaves the old content in `scratch`, for the next call.
    for part in [*new.iterdir()]:
        if (folder / part.name).exists():
            (folder / part.name).rename(old / part.name)
        part.rename(folder / part.name)
    shutil.rmtree(scratch)


def _restore(old: Path, folder: Path) -> None:
    """Move what is in `old` back into `folder`, unless its replacement is there."""
    for part in old.iterdir() if old.is_dir() else ():
        if not (folder / part.name).exists():
            part.rename(folder / part.name)


def readable(name: str) -> str:
    r"""Write a byte of a file's name that is not valid UTF-8 as \xNN.

    Python has a surrogate for such a byte, which no text file can contain.

    >>> print(readable("b\udcffd"))
    b\xffd
    """
    name = re.sub(r"[\udc80-\udcff]", lambda byte: f"\\x{ord(byte[0]) - 0xDC00:02x}", name)
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def write_text(file: Path, text: str) -> None:
    """Write a text file atomically, in UTF-8.

    Args:
        file: its folder must exist.
        text: the whole content; see `readable` for names of files.
    """
    with atomic_write(file) as temporary:
        temporary.write_text(readable(text), encoding="utf-8")


def write_json(file: Path, record: object) -> None:
    """Write indented JSON atomically; values that JSON lacks become strings."""
    text = json.dumps(record, indent=2, ensure_ascii=False, default=str) + "\n"
    with atomic_write(file) as temporary:
        # A surrogate, of a byte in a file's name, becomes an escape of JSON.
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def read_json(file: Path) -> Any:
    """Read a JSON file.

    Raises:
        OSError: the file cannot be read.
        ValueError: the file is not JSON.
    """
    return json.loads(file.read_text(encoding="utf-8"))


def lock(file: Path) -> "FileLock":
    """Lock a file until the returned lock is released or this process ends.

    Raises:
        filelock.Timeout: another process holds the lock.
        OSError: the file cannot be made.
    """
    from filelock import FileLock

    file.touch()  # if this fails, `acquire` would say that another process holds the lock
    held = FileLock(file, is_singleton=True)
    held.acquire(timeout=0)
    return held


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Let one process at a time work on a path; the others wait."""
    from filelock import FileLock, Timeout

    file = beside(path, f".{path.name}.lock")
    try:
        held = lock(file)
    except Timeout:
        print(f"another process is writing {path.name}; waiting for it", file=sys.stderr)
        held = FileLock(file, is_singleton=True)
        held.acquire()
    try:
        yield
    finally:
        held.release()


def cache_folder() -> Path:
    """Return the folder of files that can be rebuilt: $BRUSHWORK_CACHE or `~/.cache/brushwork`."""
    return Path(os.environ.get("BRUSHWORK_CACHE") or "~/.cache/brushwork").expanduser()
