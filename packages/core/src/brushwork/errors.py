"""The one exception a user may meet, and how the scripts show it."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


class BrushworkError(Exception):
    """A mistake that the user can mend; the message names the value, the rule and the cure."""


@contextmanager
def errors_in_words() -> Iterator[None]:
    """Show a `BrushworkError` as its sentence on stderr, exit status 1, without a traceback."""
    try:
        yield
    except BrushworkError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from None


def require_positive(settings: object, *names: str) -> None:
    """Refuse settings that make no sense at zero or below, by the name of their flag.

    Raises:
        BrushworkError: the first of the named attributes that is not above zero.

    >>> from types import SimpleNamespace
    >>> require_positive(SimpleNamespace(save_every=0), "save_every")
    Traceback (most recent call last):
    brushwork.errors.BrushworkError: --save-every 0 must be above 0
    """
    for name in names:
        if not (number := getattr(settings, name)) > 0:
            raise BrushworkError(f"--{name.replace('_', '-')} {number:g} must be above 0")


def refuse_negative(settings: object, *names: str) -> None:
    """Likewise for settings that may be 0.

    >>> from types import SimpleNamespace
    >>> refuse_negative(SimpleNamespace(seed=-1), "seed")
    Traceback (most recent call last):
    brushwork.errors.BrushworkError: --seed -1 must not be below 0
    """
    for name in names:
        if not (number := getattr(settings, name)) >= 0:
            raise BrushworkError(f"--{name.replace('_', '-')} {number:g} must not be below 0")
