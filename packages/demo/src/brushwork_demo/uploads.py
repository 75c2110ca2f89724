"""What a visitor sends: checked by its header, decoded once, reduced, and never trusted.

Events that take files are registered with `preprocess=False`: Gradio's own preprocessing opens any
format that Pillow knows, at any size.
"""

import io
from pathlib import Path
from typing import Any

from PIL import Image

from brushwork.data.decode import Limits, Rejected, to_jpeg
from brushwork.errors import BrushworkError

SIDE = 512
"""Short side that a picture is reduced to where it is shown again."""
LOOKED_AT = 256
"""Short side that the classifier reduces it to in any case."""
LIMITS = Limits(
    max_pixels=200_000_000, max_pixels_whole=25_000_000, max_bytes=20_000_000, max_aspect=20
)


def picture(value: Any, side: int = SIDE) -> Image.Image | None:
    """What stands for an uploaded file, as Gradio hands it over, as a picture; None for none.

    Raises:
        BrushworkError: it stands for no file, or the file is no usable picture.
    """
    if value is None:
        return None
    path = value.get("path") if isinstance(value, dict) else None
    if not isinstance(path, str):
        raise BrushworkError("no picture was sent; upload one")
    return decode(Path(path), side)


def decode(source: Path | bytes, side: int = SIDE) -> Image.Image:
    """A file as an upright RGB image of at most `side` pixels on its short side.

    Raises:
        BrushworkError: it is too large, broken, or no picture.
    """
    try:
        return Image.open(io.BytesIO(to_jpeg(source, side, LIMITS))).convert("RGB")
    except Rejected as reason:
        raise BrushworkError(
            f"this file cannot be used: {reason}; try a JPEG, PNG or WebP of up to "
            f"{LIMITS.max_bytes // 1_000_000} MB"
        ) from None


def refuse_addresses(value: Any) -> None:
    """Only what was uploaded counts as a file.

    Gradio would download any address that a visitor names in a file's place, and unpack any
    `data:` address into a file that it forgets.

    Raises:
        BrushworkError: there is an address in a file's place.
    """
    if isinstance(value, list):
        for part in value:
            refuse_addresses(part)
    elif isinstance(value, dict):
        path, url = str(value.get("path", "")), str(value.get("url", ""))
        if "://" in path or url.startswith("data:"):
            raise BrushworkError("addresses are not fetched; upload the picture itself")
        for part in value.values():
            refuse_addresses(part)
