"""Decode an encoded picture of any kind, and encode it as the JPEG that prepared data holds.

The result is RGB, upright, on white where the picture was transparent, converted to sRGB if it has
a colour profile, and at most `side` pixels on its short side. The size is checked before any pixel
is decoded.
"""

import io
import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Literal

import numpy as np
from PIL import Image, ImageCms, UnidentifiedImageError

from brushwork.data.readers import Picture

Image.init()  # fills Image.OPEN


# Only formats that are decoded in this process; EPS, for example, would start Ghostscript.
# Pillow may be built without some of these.
FORMATS = [
    name
    for name in ("JPEG", "PNG", "GIF", "TIFF", "BMP", "WEBP", "PPM", "JPEG2000", "AVIF")
    if name in Image.OPEN
]


SUFFIXES = tuple(
    f".{name}"
    for name in (
        *("jpg", "jpeg", "jpe", "jfif", "mpo", "png", "apng", "gif", "tif", "tiff", "bmp", "dib"),
        *("webp", "ppm", "pgm", "pbm", "pnm", "jp2", "j2k", "jpx", "avif", "avifs"),
    )
)


ORIENTATION = 0x0112  # the EXIF tag


TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


SRGB = ImageCms.createProfile("sRGB")


_LIMIT = Lock()  # guards Image.MAX_IMAGE_PIXELS, which all threads share


class Rejected(Exception):
    """The reason why one picture cannot be used; the work continues with the others."""


@dataclass(frozen=True)
class Limits:
    """Limits that are checked before a file is decoded, so that no file can fill the memory."""

    max_pixels: int = 1_000_000_000
    """Largest number of pixels of a sequential JPEG, which is decoded at a reduced size."""
    max_pixels_whole: int = 100_000_000
    """Largest number of pixels of any other picture. It is decoded at its full size, which needs 5
    to 20 bytes of memory per pixel."""
    max_bytes: int = 1 << 30
    """Largest size of a file."""
    max_aspect: float = 30.0
    """Largest ratio of the long side to the short side."""
    min_side: int = 16
    """Smallest short side, in pixels."""


def to_jpeg(picture: Picture, side: int, limits: Limits | None = None) -> bytes:
    """Convert a picture to JPEG, its short side reduced to `side` pixels and never enlarged.

    The bytes of a plain small JPEG (sequential, RGB, upright, sRGB, small enough) are returned
    unchanged, so that it is not compressed twice. All others are encoded at quality 95 without
    chroma subsampling.

    Args:
        picture: a file, its bytes, or a Pillow image.
        side: short side of the result, in pixels, at least 1.
        limits: limits of the picture's size; by default `Limits()`.

    Raises:
        Rejected: the picture is broken, of an unknown format or beyond the limits.

    >>> red = to_jpeg(Image.new("RGB", (400, 200), "red"), side=100)
    >>> Image.open(io.BytesIO(red)).size
    (200, 100)
    """
    limits = limits or Limits()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if isinstance(picture, Image.Image):
                _check_size(picture, limits)
                return _encode(_to_rgb(_reduced(eight_bit(picture), side)))
            return _file_to_jpeg(picture, side, limits)
    except Rejected:
        raise
    except UnidentifiedImageError:
        raise Rejected("not a picture, or not in a supported format") from None
    except MemoryError:
        raise Rejected("decoding needs more memory than one picture may use") from None
    except OSError as error:
        if error.strerror:  # from the file system; str(error) would also contain the path
            raise Rejected(error.strerror) from None
        raise Rejected(_reason(error)) from None
    except Exception as error:  # a decoder may raise anything on a broken file
        raise Rejected(_reason(error)) from None


def square(encoded: bytes, side: int, fit: Literal["crop", "squash"]) -> Image.Image:
    """Decode a JPEG as an RGB square, resized without aliasing.

    Pillow's filters become wider when they reduce more. Those of OpenCV and PyTorch do not by
    default, which causes aliasing (Parmar et al. 2022, "On Aliased Resizing and Surprising
    Subtleties in GAN Evaluation").

    Args:
        encoded: a JPEG of `to_jpeg`.
        side: side of the square, in pixels.
        fit: "crop" keeps the middle square of the painting; "squash" resizes the whole painting to
            a square and changes its proportions.
    """
    with Image.open(io.BytesIO(encoded), formats=["JPEG"]) as image:
        image.draft("RGB", (2 * side, 2 * side))
        width, height = image.size
        box = None
        if fit == "crop":
            short = min(width, height)
            left, top = (width - short) // 2, (height - short) // 2
            box = (left, top, left + short, top + short)
        pixels = image.convert("RGB")
    return pixels.resize((side, side), Image.Resampling.LANCZOS, box=box, reducing_gap=3.0)


def _reason(error: Exception) -> str:
    """Simplify a decoder's message, so that the same error has the same text for all files."""
    message = re.sub(r"<.* at 0x[0-9a-f]+>", "the file", str(error)).strip()
    if "truncated" in message.lower():
        return "truncated"
    return f"cannot be decoded ({message or type(error).__name__})"


def _file_to_jpeg(picture: Path | bytes, side: int, limits: Limits) -> bytes:
    """Convert an encoded picture to JPEG; see `to_jpeg`."""
    num_bytes = len(picture) if isinstance(picture, bytes) else picture.stat().st_size
    if num_bytes == 0:
        raise Rejected("empty file")
    if num_bytes > limits.max_bytes:
        raise Rejected(f"{num_bytes:,} bytes, more than {limits.max_bytes:,}")
    file = io.BytesIO(picture) if isinstance(picture, bytes) else picture
    with _open(file) as image:
        _check_size(image, limits)
        sequential = _is_sequential_jpeg(image)
        if sequential and min(image.size) > side:
            # libjpeg reduces to twice the final size; a proper filter does the rest.
            width, height = _reduced_size(image.size, side)
            image.draft(None, (2 * width, 2 * height))
        image.load()
        orientation = _orientation(image)
        profile = _foreign_profile(image)
        if (
            sequential
            and image.format == "JPEG"
            and image.mode == "RGB"
            and min(image.size) <= side
            and orientation == 1
            and profile is None
            and num_bytes <= 4 * image.width * image.height
        ):
            return picture if isinstance(picture, bytes) else picture.read_bytes()
        small = _to_rgb(_reduced(eight_bit(image), side), profile)
        turn = TURNS.get(orientation)
        return _encode(small if turn is None else small.transpose(turn))


def _orientation(image: Image.Image) -> int:
    """Read the EXIF orientation, from 1 to 8; return 1, upright, if it cannot be read."""
    try:
        value = image.getexif().get(ORIENTATION, 1)
    except Exception:  # broken metadata must not reject the picture
        return 1
    return value if isinstance(value, int) else 1


def _open(file: io.BytesIO | Path) -> Image.Image:
    """Open a picture without decoding it; the caller must call `_check_size` next."""
    # Pillow's own limit ignores that draft mode decodes fewer pixels.
    with _LIMIT:
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            return Image.open(file, formats=FORMATS)
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _is_sequential_jpeg(image: Image.Image) -> bool:
    """Return whether libjpeg can decode a picture at 1/8 of its size without storing all of it."""
    return image.format in ("JPEG", "MPO") and "progressive" not in image.info


def _check_size(image: Image.Image, limits: Limits) -> None:
    """Reject a picture if its size or the ratio of its sides is beyond the limits."""
    width, height = image.size
    most = limits.max_pixels if _is_sequential_jpeg(image) else limits.max_pixels_whole
    if min(width, height) < limits.min_side:
        raise Rejected(f"{width}x{height} pixels, fewer than {limits.min_side} on the short side")
    if width * height > most:
        raise Rejected(f"{width}x{height} pixels, more than {most:,}")
    if max(width, height) > limits.max_aspect * min(width, height):
        raise Rejected(
            f"{width}x{height} pixels, a ratio of the sides above {limits.max_aspect:g} to 1"
        )


def eight_bit(image: Image.Image) -> Image.Image:
    """Convert to a mode that a filter can average: L, RGB, RGBA or CMYK, 8 bits each.

    Raises:
        Rejected: the value of white is not defined for the picture's mode.
    """
    if image.mode.startswith("I"):
        values = np.asarray(image)
        if values.min() < 0 or values.max() > 0xFFFF:
            raise Rejected("32-bit grey values that do not fit in 16 bits")
        return Image.fromarray((values >> 8).astype(np.uint8))
    if image.mode == "F":
        raise Rejected("floating-point pixels, whose value of white is unknown")
    if "transparency" in image.info or image.mode in ("LA", "La", "PA", "RGBa"):
        return image.convert("RGBA")
    if image.mode == "1":
        return image.convert("L")
    return image if image.mode in ("L", "RGB", "RGBA", "CMYK") else image.convert("RGB")


def _reduced_size(size: tuple[int, int], side: int) -> tuple[int, int]:
    """Scale width and height so that the shorter one is `side`."""
    scale = side / min(size)
    return max(side, round(size[0] * scale)), max(side, round(size[1] * scale))


def _reduced(image: Image.Image, side: int) -> Image.Image:
    """Reduce a picture's short side to `side` pixels; leave a smaller picture alone."""
    if min(image.size) <= side:
        return image
    size = _reduced_size(image.size, side)
    return image.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)


def _foreign_profile(image: Image.Image) -> ImageCms.ImageCmsProfile | None:
    """Read the colour profile; None if it is absent, unreadable or sRGB."""
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
        is_srgb = "srgb" in ImageCms.getProfileDescription(profile).lower()
    except (KeyError, TypeError, OSError, ImageCms.PyCMSError):
        return None
    return None if is_srgb else profile


def _to_rgb(image: Image.Image, profile: ImageCms.ImageCmsProfile | None = None) -> Image.Image:
    """Convert to RGB on white, and to sRGB if the profile fits the picture's mode."""
    if image.mode == "RGBA":
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image).convert("RGB")
    if profile is not None:
        try:
            converted = ImageCms.profileToProfile(image, profile, SRGB, outputMode="RGB")
        except (ImageCms.PyCMSError, ValueError):
            converted = None
        if converted is not None:
            return converted
    return image.convert("RGB")


def _encode(image: Image.Image) -> bytes:
    """Encode as JPEG."""
    image.info = {}  # otherwise Pillow copies comments into the file
    file = io.BytesIO()
    image.save(file, "JPEG", quality=95, subsampling=0)
    return file.getvalue()
