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
