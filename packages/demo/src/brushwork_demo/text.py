"""Text between visitors and the page: numbers, error messages, HTML, images inside HTML."""

import base64
import colorsys
import functools
import html
import io
import logging
import math
import os
import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, ParamSpec, TypeVar

import gradio as gr
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from brushwork.errors import BrushworkError

P = ParamSpec("P")
R = TypeVar("R")

# A path that begins at the root, or has at least three parts: "user/model" is not a path.
PATH = re.compile(
    r"(?<![\w:/\\.])(?:(?:[A-Za-z]:)?[\\/]|[\w.~-]+[\\/][\w.-]+[\\/])[^\s'\"`,;:()<>]+"
)
INTERNAL_ERROR = "The server had an internal error. Try again, or reload the page."


def visitor_error(message: str) -> gr.Error:
    """Build an error that the page shows to a visitor and does not write to the log.

    Paths of the server are shortened to the names of their files.
    """
    return gr.Error(sentence(without_paths(message)), print_exception=False, title="Sorry")


def explain(error: Exception, function: str) -> str:
    """Write a sentence for a visitor about an error; log it if the visitor cannot mend it.

    Args:
        error: what `function` raised.
        function: the name of the function.
    """
    if isinstance(error, gr.Error):
        return error.message
    if isinstance(error, BrushworkError):
        return sentence(without_paths(str(error)))
    logging.getLogger(__name__).error("%s failed", function, exc_info=error)
    return INTERNAL_ERROR


def visitor_errors(function: Callable[P, R]) -> Callable[P, R]:
    """Show a `BrushworkError` to the visitor as a sentence; log every other exception."""

    @functools.wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except gr.Error:
            raise
        except Exception as error:
            raise visitor_error(explain(error, function.__name__)) from None

    return wrapped


def server_answers(function: Callable[..., Any], *first: Any) -> Callable[[Any], Any]:
    """Make a function that the page's script can call: one JSON value in, one out.

    Such a call bypasses Gradio's events and their errors, so an error becomes {"error": sentence}.

    Args:
        function: takes `first` and the value.
        first: the first arguments of the function.
    """

    def answer(value: Any) -> Any:
        try:
            return function(*first, value)
        except Exception as error:
            return {"error": explain(error, function.__name__)}

    answer.__name__ = function.__name__
    return answer


def without_paths(message: str) -> str:
    """Shorten each path of a file system to its last part; addresses of the web stay.

    >>> without_paths("cannot read /home/ann/models/config.json (no such file)")
    'cannot read config.json (no such file)'
    """
    # First the folders of this server, because their names may contain spaces.
    for folder in (Path.cwd(), Path.home(), Path(tempfile.gettempdir()), Path(sys.prefix)):
        if folder.name:
            message = message.replace(f"{folder}{os.sep}", "")
    return PATH.sub(lambda path: re.split(r"[\\/]", path[0].rstrip("\\/"))[-1], message)


def sentence(message: str) -> str:
    """Turn an error message into a sentence without backticks.

    >>> sentence("no painter 'x'; see `painters`")
    "No painter 'x'; see painters."
    """
    message = message.replace("`", "")
    message = message[:1].upper() + message[1:]
    return message if message.endswith((".", "!", "?")) else f"{message}."


def parse_int(value: object, name: str, low: int, high: int) -> int:
    """Read a whole number between `low` and `high`, bounds included.

    Raises:
        BrushworkError: the value is not such a number; the message contains `name`.

    >>> parse_int("7", "seed", 0, 10)
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


def parse_float(value: object, name: str, low: float, high: float) -> float:
    """Read a number between `low` and `high`, bounds included.

    Raises:
        BrushworkError: the value is not such a number; the message contains `name`.
    """
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not low <= number <= high:
        raise BrushworkError(f"{name} {str(value)[:40]!r} is not between {low:g} and {high:g}")
    return number


def title_of(file: Path) -> str:
    """Turn a file's name into a title.

    >>> title_of(Path("monet-water_lilies.jpg"))
    'Monet water lilies'
    """
    name = file.stem.replace("-", " ").replace("_", " ").strip()
    return name[:1].upper() + name[1:]


def escape(text: object) -> str:
    """Escape text for HTML, because checkpoints and visitors may put markup into it."""
    return html.escape(str(text))


def jpeg(image: Image.Image) -> bytes:
    """Encode an image as JPEG."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=92)
    return file.getvalue()


def png(image: Image.Image) -> bytes:
    """Encode an image as PNG, without a loss."""
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def data_url(image: Image.Image, kind: Literal["jpeg", "png"] = "jpeg") -> str:
    """Encode an image as a `data:` address; JPEG takes a fifth of the bytes of PNG."""
    content = jpeg(image) if kind == "jpeg" else png(image)
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


HUES = (
    (18, "red"),
    (45, "brown"),
    (65, "yellow"),
    (165, "green"),
    (255, "blue"),
    (330, "violet"),
    (360, "red"),
)
"""The largest hue in degrees of each colour word."""


def colour_words(pixels: NDArray[np.uint8]) -> str:
    """Name the mean colour of pixels (H, W, 3), for screen readers.

    >>> colour_words(np.full((1, 1, 3), (40, 60, 130), np.uint8))
    'dark blue'
    """
    red, green, blue = (float(value) for value in pixels.mean((0, 1)) / 255)
    hue, saturation, value = colorsys.rgb_to_hsv(red, green, blue)
    if value < 0.18:
        return "black"
    if saturation < 0.13:
        return "white" if value > 0.85 else "dark grey" if value < 0.4 else "grey"
    word = next(word for end, word in HUES if hue * 360 <= end)
    shade = "dark " if value < 0.55 else "pale " if value > 0.8 and saturation < 0.4 else ""
    return shade + word
