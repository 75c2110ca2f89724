"""The exception for mistakes that users can correct, and how the scripts show it."""

import dataclasses
import errno
import os
import re
import select
import shlex
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from numbers import Integral
from typing import Any, get_type_hints

FULL_OR_READ_ONLY = {errno.ENOSPC, errno.EROFS}
FORBIDDEN = {errno.EACCES, errno.EPERM}
"""Codes of operating-system errors that the user can correct, about the disk and about a file."""


class BrushworkError(Exception):
    """A mistake that the user can correct.

    The message says what is wrong with which value, then what to do. It names parameters in
    backticks, such as `min_paintings`; `report_errors` shows these as a script's flags.
    """


@contextmanager
def report_errors(flags: type | set[str] | None = None) -> Iterator[None]:
    """Show a `BrushworkError` as one sentence on stderr and exit with status 1.

    The same happens if a file cannot be written or opened (full disk, no permission). If the reader
    of the output has gone, as after `| head`, exit with status 1 in silence. Ctrl-C exits with
    status 130, as shells expect.

    Args:
        flags: the script's `Config`, a dataclass, or a set of parameter names. Parameters in
            backticks that are among its fields (also those of its groups), or in the set, are shown
            as flags: `min_paintings` becomes --min-paintings.
    """
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except BrushworkError as error:
        names = field_names(flags) if isinstance(flags, type) else flags or set()
        print(f"error: {as_flags(str(error), names)}", file=sys.stderr)
        raise SystemExit(1) from None
    except BrokenPipeError:
        if not _is_reader_of_output_gone():
            raise
        # Python flushes the output once more at the end of the process.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None
    except OSError as error:
        if error.errno in FULL_OR_READ_ONLY:  # an error of `write` names no file
            what = f"write {error.filename or 'a file'}"
        elif error.errno in FORBIDDEN and error.filename:
            what = f"open {error.filename}"
        else:
            raise
        print(f"error: cannot {what}: {error.strerror}", file=sys.stderr)
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        print("stopped by Ctrl-C", file=sys.stderr)
        raise SystemExit(128 + signal.SIGINT) from None


def install(requirement: str) -> str:
    """Write the command that installs a package here; environments of uv have no pip.

    An extra of a package that is installed, as `brushwork[heic]`, needs no package index.

    >>> install("brushwork[heic]").endswith("pip install 'brushwork[heic]'")
    True
    """
    installer = ["pip"] if find_spec("pip") else ["uv", "pip"]
    return shlex.join([*installer, "install", requirement])


def _is_reader_of_output_gone() -> bool:
    if not hasattr(select, "poll"):  # Windows, where a closed pipe is another error
        return False
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    return bool(poll.poll(0))


def as_flags(message: str, names: set[str]) -> str:
    """Replace parameters in backticks by flags.

    >>> as_flags("lower `min_paintings` of `select`", {"min_paintings"})
    'lower --min-paintings of `select`'
    """

    def flag(match: re.Match[str]) -> str:
        name = match.group(1)
        return f"--{name.replace('_', '-')}" if name in names else match.group(0)

    return re.sub(r"`(\w+)`", flag, message)


def field_names(config: type) -> set[str]:
    """List the fields of a dataclass and of the dataclasses in it."""
    names = set()
    types = get_type_hints(config)
    for field in dataclasses.fields(config):
        kind = types[field.name]
        if dataclasses.is_dataclass(kind) and isinstance(kind, type):
            names |= field_names(kind)
        else:
            names.add(field.name)
    return names


def require_positive(settings: Mapping[str, Any], *names: str) -> None:
    """Check that settings are above zero.

    Raises:
        BrushworkError: a setting is not above zero; the message names the first such setting.

    >>> require_positive({"save_every": 0}, "save_every")
    Traceback (most recent call last):
    brushwork.errors.BrushworkError: `save_every` is 0; it must be above 0
    """
    for name in names:
        if not settings[name] > 0:
            raise BrushworkError(f"`{name}` is {settings[name]:.12g}; it must be above 0")


def check_whole(name: str, value: object, low: int, high: int | None = None) -> None:
    """Check that the parameter `name` is a whole number in a range.

    Args:
        name: of the parameter.
        value: a number of Python or NumPy, or anything else.
        low: the smallest allowed number.
        high: the largest one; None for no limit.

    Raises:
        BrushworkError: it is no whole number, or out of range.

    >>> check_whole("k", 0, 1)
    Traceback (most recent call last):
    brushwork.errors.BrushworkError: `k` is 0; it must be a whole number of at least 1
    """
    number = int(value) if isinstance(value, Integral) else None  # NumPy's are Integral, too
    if number is None or number < low or (high is not None and number > high):
        limits = f"of at least {low}" if high is None else f"between {low} and {high}"
        raise BrushworkError(f"`{name}` is {value}; it must be a whole number {limits}")
