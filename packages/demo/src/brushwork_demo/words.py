"""What passes between visitors and the page as text: numbers, names, errors, small pictures."""

import base64
import functools
import html
import io
import logging
import math
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import gradio as gr
from PIL import Image

from brushwork.errors import BrushworkError

P = ParamSpec("P")
R = TypeVar("R")

FAULT = "Something went wrong here, not with you. Try again, or reload the page."


def in_words(function: Callable[P, R]) -> Callable[P, R]:
    """Let a visitor read what went wrong as a sentence; a fault of ours goes to the log."""

    @functools.wraps(function)
    def answered(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except gr.Error:
            raise
        except BrushworkError as error:
            raise gr.Error(sentence(str(error)), print_exception=False, title="Sorry") from None
        except Exception:
            logging.getLogger(__name__).exception("%s failed", function.__name__)
            raise gr.Error(FAULT, print_exception=False, title="Sorry") from None

    return answered


def sentence(text: str) -> str:
    """An error's message as a sentence.

    >>> sentence("no painter 'x'")
    "No painter 'x'."
    """
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else f"{text}."


def whole(value: object, name: str, low: int, high: int) -> int:
    """A whole number within bounds.

    Raises:
        BrushworkError: it is none, or outside them.

    >>> whole("7", "seed", 0, 10)
    7
    """
    try:
        number = float(value)  # type: ignore[arg-type]
        if number != int(number):
            raise ValueError
    except (TypeError, ValueError, OverflowError):
        raise BrushworkError(
            f"{name} {str(value)[:40]!r} is not a whole number from {low:,} to {high:,}"
        ) from None
    if not low <= number <= high:
        raise BrushworkError(f"{name} {number:,.0f} is not between {low:,} and {high:,}")
    return int(number)


def fraction(value: object, name: str, low: float, high: float) -> float:
    """A number within bounds.

    Raises:
        BrushworkError: it is none, or outside them.
    """
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not low <= number <= high:
        raise BrushworkError(f"{name} {str(value)[:40]!r} is not between {low:g} and {high:g}")
    return number


def escape(text: object) -> str:
    """Text for a page, whatever a checkpoint's card or a visitor put into it."""
    return html.escape(str(text))


def data_url(picture: Image.Image) -> str:
    """A picture inside a page."""
    file = io.BytesIO()
    picture.save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
