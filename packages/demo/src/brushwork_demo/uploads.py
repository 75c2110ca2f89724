"""Read uploaded files: check the header, decode the picture once, and reduce its size.

Events that take files are registered with `preprocess=False`, because Gradio's own preprocessing
opens any format that Pillow knows, at any size.
"""

import io
import os
from pathlib import Path
from typing import Any

from gradio.utils import get_upload_folder
from PIL import Image

from brushwork.data.decode import Limits, Rejected, to_jpeg
from brushwork.errors import BrushworkError

SIDE = 512
"""Short side in pixels to which a picture is reduced if the page shows it again."""
CLASSIFIER_SIDE = 256
"""Short side in pixels to which the classifier reduces every picture."""
LIMITS = Limits(
    max_pixels=200_000_000, max_pixels_whole=25_000_000, max_bytes=20_000_000, max_aspect=20
)


def read_upload(value: Any, side: int = SIDE) -> bytes | None:
    """Read an uploaded file as a JPEG.

    Args:
        value: the file as Gradio passes it: a dictionary with a `path`; None for no file.
        side: the short side is reduced to this many pixels.

    Returns:
        The JPEG of an upright RGB picture, which is not compressed again if it is a small JPEG; so
        `identify` gives the answer that it gives for the file. None for no file.

    Raises:
        BrushworkError: `value` is not an uploaded file, or the file is not a usable picture.
    """
    if value is None:
        return None
    require_uploads(value)
    path = value.get("path") if isinstance(value, dict) else None
    if not isinstance(path, str):
        raise BrushworkError("no picture was sent; upload one")
    return as_jpeg(Path(path), side)


def as_jpeg(source: Path | bytes, side: int) -> bytes:
    """Convert a file to a JPEG of at most `side` pixels on its short side.

    Raises:
        BrushworkError: the file is too small, too large, broken, or not a picture.
    """
    try:
        return to_jpeg(source, side, LIMITS)
    except Rejected as error:
        raise BrushworkError(
            f"this file cannot be used: {error.reason}; use a JPEG, PNG or WebP of up to "
            f"{LIMITS.max_bytes // 1_000_000} MB, at least {LIMITS.min_side} pixels wide and high"
        ) from None


def decode(source: Path | bytes, side: int = SIDE) -> Image.Image:
    """Decode a file to an upright RGB image of at most `side` pixels on its short side.

    Raises:
        BrushworkError: see `as_jpeg`.
    """
    return Image.open(io.BytesIO(as_jpeg(source, side))).convert("RGB")


def is_usable(file: Path) -> bool:
    """Return whether a file can be decoded."""
    try:
        as_jpeg(file, CLASSIFIER_SIDE)
    except BrushworkError:
        return False
    return True


def is_upload(path: str) -> bool:
    """Return whether a path is that of a file in the folder of uploads and results.

    A link from there to a file elsewhere is not.
    """
    try:
        file = Path(os.path.realpath(path))
    except ValueError:  # it contains a null character
        return False
    return file.is_relative_to(os.path.realpath(get_upload_folder())) and file.is_file()


def require_uploads(value: Any) -> None:
    """Accept uploaded files only, wherever they are in a value that a visitor sends.

    Gradio would download any address that a visitor sends instead of a file, and unpack any
    `data:` address into a file that it never deletes. It accepts any path of a file that is sent
    without the key `meta`.

    Raises:
        BrushworkError: there is an address instead of a file, or a file that was not uploaded. The
            message is the same if there is no such file, because visitors must not find out which
            files the machine has.
    """
    if isinstance(value, list):
        for part in value:
            require_uploads(part)
    elif isinstance(value, dict):
        path = value.get("path")
        url = str(value.get("url", ""))
        if "://" in str(path) or url.startswith("data:"):
            raise BrushworkError(
                "this page does not download pictures from addresses; upload the picture itself"
            )
        if isinstance(path, str) and not is_upload(path):
            raise BrushworkError("this picture is not among the uploaded ones; upload it again")
        for part in value.values():
            require_uploads(part)
