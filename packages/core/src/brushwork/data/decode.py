"""Decode a picture of any kind to RGB, and encode it as the JPEG that prepared data holds.

Every picture that the project opens goes through this module: the paintings of a source, the
arguments of `ArtistClassifier`, the folders that metrics compare, and uploaded files.

These functions limit the size of a picture, but not the time that decoding takes. A decoder that
hangs can only be stopped by ending its process; preparation does this, see `decoder_pool`.

The result is RGB, upright, on white where the picture was transparent, and converted to sRGB if it
has a colour profile. It has the picture's size, or a short side of at most `side` pixels. The size
is checked before any pixel is decoded.
"""

import io
import os
import re
import struct
import warnings
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from threading import Lock
from typing import Literal

import numpy as np
from PIL import Image, ImageChops, ImageCms, ImageFile, TiffImagePlugin, UnidentifiedImageError

from brushwork.data.aspects import Aspect, height_and_width
from brushwork.data.readers import Picture
from brushwork.errors import install

# Importing a plugin registers its formats in `Image.OPEN`. `Image.init` would import all fifty.
for _name in ("Avif", "Bmp", "Gif", "Jpeg", "Jpeg2K", "Png", "Ppm", "Tiff", "WebP"):
    with suppress(ModuleNotFoundError):  # older versions of Pillow have no AVIF
        import_module(f"PIL.{_name}ImagePlugin")


# Only formats that are decoded in this process; EPS, for example, would start Ghostscript.
# Pillow may be built without some of these. PNG and HEIF have functions of their own below.
FORMATS = [
    name
    for name in ("JPEG", "GIF", "TIFF", "BMP", "WEBP", "PPM", "JPEG2000", "AVIF")
    if name in Image.OPEN
]


SUFFIXES = tuple(
    f".{name}"
    for name in (
        *("jpg", "jpeg", "jpe", "jfif", "mpo", "png", "apng", "gif", "tif", "tiff", "bmp", "dib"),
        *("webp", "ppm", "pgm", "pbm", "pnm", "jp2", "j2k", "jpx", "avif", "avifs"),
        *("heic", "heif"),
    )
)


ORIENTATION = 0x0112  # the EXIF tag


PHOTOMETRIC, BITS_PER_SAMPLE = 262, 258  # TIFF tags


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


MAX_SRGB_DIFFERENCE = 2  # of 255; profiles of sRGB by different makers differ by 1


MAX_NOTE = 16 << 20  # bytes of one profile or text in a PNG file, uncompressed


PNG = b"\x89PNG\r\n\x1a\n"


# Key in `Image.info` of a 16-bit PNG in colour; the value is its transparent colour and the file.
CLEAR_COLOUR = "brushwork transparent colour"


HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")


# Pillow reads 16-bit grey TIFF files whose zero is white in one of the two byte orders only.
TiffImagePlugin.OPEN_INFO.setdefault((b"MM", 0, (1,), 1, (16,), ()), ("I;16B", "I;16B"))


class Rejected(Exception):
    """The reason why one picture cannot be used; the work continues with the others.

    A second argument, if there is one, says how preparation can use the picture after all.
    """

    def __str__(self) -> str:
        """Join the reason and the cure."""
        return "; ".join(map(str, self.args))

    @property
    def reason(self) -> str:
        """The reason without the cure."""
        return str(self.args[0]) if self.args else ""


@dataclass(frozen=True)
class Limits:
    """Limits that are checked before a file is decoded, so that no file can fill the memory."""

    max_pixels: int = 1_000_000_000
    """Largest number of pixels of a sequential JPEG, which is decoded at a reduced size."""
    max_pixels_whole: int = 100_000_000
    """Largest number of pixels of any other picture. It is decoded at its full size, which needs 5
    to 20 bytes of memory per pixel. A progressive JPEG may have three times as many, because it
    needs at most 6 bytes per pixel."""
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
        picture: a file, its bytes, or a Pillow image, with its EXIF orientation and its profile.
        side: short side of the result, in pixels, at least 1.
        limits: limits of the picture's size; by default `Limits()`.

    Raises:
        Rejected: the picture is broken, of an unknown format or beyond the limits.

    >>> red = to_jpeg(Image.new("RGB", (400, 200), "red"), side=100)
    >>> Image.open(io.BytesIO(red)).size
    (200, 100)
    """
    with _opened(picture, limits or Limits()) as (image, file):
        _load(image, side, limits or Limits())
        if file is not None and _is_plain_jpeg(image, side):
            encoded = file if isinstance(file, bytes) else file.read_bytes()
            if len(encoded) <= 4 * image.width * image.height:
                return encoded
        return _encode(_rgb(image, side))


def to_rgb(picture: Picture, side: int | None = None, limits: Limits | None = None) -> Image.Image:
    """Decode a picture to RGB: upright, on white, in sRGB.

    Args:
        picture: see `to_jpeg`.
        side: the short side is reduced to this many pixels; None for the picture's own size.
        limits: limits of the picture's size; by default `Limits()`.

    Raises:
        Rejected: see `to_jpeg`.

    >>> clear = Image.new("RGBA", (40, 20), (0, 0, 0, 0))
    >>> to_rgb(clear).getpixel((0, 0))
    (255, 255, 255)
    """
    with _opened(picture, limits or Limits()) as (image, _):
        _load(image, side, limits or Limits())
        return _rgb(image, side)


def square(
    encoded: bytes, side: int, fit: Literal["crop", "squash"], aspect: Aspect = "1:1"
) -> Image.Image:
    """Decode a JPEG as an RGB square, or in other proportions, resized without aliasing.

    Pillow's filters become wider when they reduce more. Those of OpenCV and PyTorch do not by
    default, which causes aliasing (Parmar et al. 2022, "On Aliased Resizing and Surprising
    Subtleties in GAN Evaluation").

    Args:
        encoded: a JPEG of `to_jpeg`.
        side: side of the square, or the shorter side of the picture, in pixels.
        fit: "crop" keeps the largest part of these proportions in the middle of the painting;
            "squash" resizes the whole painting and changes its proportions.
        aspect: width to height.
    """
    to_height, to_width = height_and_width(side, aspect)
    with Image.open(io.BytesIO(encoded), formats=["JPEG"]) as image:
        most = 2 * max(to_height, to_width)
        image.draft("RGB", (most, most))
        width, height = image.size
        box = None
        if fit == "crop":
            kept_width = min(width, height * to_width // to_height)
            kept_height = min(height, width * to_height // to_width)
            left, top = (width - kept_width) // 2, (height - kept_height) // 2
            box = (left, top, left + kept_width, top + kept_height)
        pixels = image.convert("RGB")
    return pixels.resize((to_width, to_height), Image.Resampling.LANCZOS, box=box, reducing_gap=3.0)


def is_sidecar(name: str) -> bool:
    """Return whether a file or folder is hidden, or is what macOS adds to archives."""
    return name.startswith(".") or name == "__MACOSX"


def picture_files(folder: str | Path) -> tuple[list[Path], Counter[str]]:
    """List the picture files in a folder and its subfolders, by their suffix.

    Args:
        folder: an existing folder.

    Returns:
        The pictures, sorted by path, with links to files; and how many other files and folders are
        ignored, for each reason.
    """
    pictures: list[Path] = []
    ignored: Counter[str] = Counter()

    def unreadable(_error: OSError) -> None:
        ignored["folders that cannot be read"] += 1

    for place, folders, files in os.walk(folder, onerror=unreadable):
        sidecars = {name for name in (*folders, *files) if is_sidecar(name)}
        ignored["hidden files and folders"] += len(sidecars)
        folders[:] = [name for name in folders if name not in sidecars]
        ignored["links to folders"] += sum(Path(place, name).is_symlink() for name in folders)
        for name in files:
            if name in sidecars:
                continue
            if Path(name).suffix.lower() in SUFFIXES:
                pictures.append(Path(place, name))
            else:
                ignored["files without a picture's suffix"] += 1
    return sorted(pictures), +ignored  # without zeros


# Opening: a picture of any kind becomes a Pillow image whose size is known.


@contextmanager
def _opened(picture: Picture, limits: Limits) -> Iterator[tuple[Image.Image, Path | bytes | None]]:
    """Open a picture, and turn whatever its decoder raises into a reason.

    Yields:
        The image, not decoded yet; and its file, None if there is none.
    """
    try:
        with _pillow_settings():
            file = _file_of(picture) if isinstance(picture, Image.Image) else picture
            if file is None:
                assert isinstance(picture, Image.Image)
                yield picture, None
                return
            num_bytes = len(file) if isinstance(file, bytes) else file.stat().st_size
            if num_bytes == 0:
                raise Rejected("empty file")
            if num_bytes > limits.max_bytes:
                raise Rejected(f"{num_bytes:,} bytes, more than {limits.max_bytes:,}")
            with _open(file) as image:
                yield image, file
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


class _Settings:
    """What `_pillow_settings` changes for all threads, and how many threads need it."""

    lock = Lock()
    num_threads = 0
    max_pixels: int | None = None
    restore = ExitStack()


@contextmanager
def _pillow_settings() -> Iterator[None]:
    """Switch off Pillow's warnings and its limit, which ignores that some pictures are reduced.

    They belong to the whole process. So the first thread that decodes switches them off, and the
    last one restores them.
    """
    with _Settings.lock:
        if _Settings.num_threads == 0:
            _Settings.max_pixels, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
            _Settings.restore.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore")
        _Settings.num_threads += 1
    try:
        yield
    finally:
        with _Settings.lock:
            _Settings.num_threads -= 1
            if _Settings.num_threads == 0:
                Image.MAX_IMAGE_PIXELS = _Settings.max_pixels
                _Settings.restore.close()


def _reason(error: Exception) -> str:
    """Simplify a decoder's message, so that the same error has the same text for all files."""
    message = re.sub(r"<.* at 0x[0-9a-f]+>", "the file", str(error)).strip()
    if "truncated" in message.lower():
        return "truncated"
    return f"cannot be decoded ({message or type(error).__name__})"


def _file_of(image: Image.Image) -> bytes | None:
    """Read the file of a Pillow image that is open and not decoded yet; None if it has none.

    The result is then the same as for the file itself.
    """
    if not isinstance(image, ImageFile.ImageFile) or image.format not in ("PNG", *FORMATS):
        return None
    decoding = not image.tile or getattr(image, "decoderconfig", ())  # set by `draft`
    if decoding or image.fp is None or image.fp.closed or image.tell() != 0:
        return None
    position = image.fp.tell()
    image.fp.seek(0)
    content = image.fp.read()
    image.fp.seek(position)
    return content


def _open(file: Path | bytes) -> Image.Image:
    """Open a picture without decoding it; `_load` checks its size."""
    try:
        image = Image.open(io.BytesIO(file) if isinstance(file, bytes) else file, formats=FORMATS)
        if isinstance(image, TiffImagePlugin.TiffImageFile):
            _convert_ycbcr(image)
        return image
    except UnidentifiedImageError:
        if isinstance(file, bytes):
            start = file[:64]
        else:
            with file.open("rb") as opened:
                start = opened.read(64)
        if start.startswith(PNG):
            return _open_png(file if isinstance(file, bytes) else file.read_bytes())
        if start[4:8] == b"ftyp" and start[8:12] in HEIF_BRANDS and b"avif" not in start:
            return _open_heif(file)
        raise


def _convert_ycbcr(image: TiffImagePlugin.TiffImageFile) -> None:
    """Let libtiff decode uncompressed YCbCr, whose layout Pillow does not know."""
    if image.tag_v2.get(PHOTOMETRIC) == 6 and image.info.get("compression") == "raw":
        extents = (0, 0, *image._tile_size)
        arguments = ("RGBX", "raw", False, image.tag_v2.offset)
        image.tile = [ImageFile._Tile("libtiff", extents, 0, arguments)]
        image.use_load_libtiff = True


def _open_heif(file: Path | bytes) -> Image.Image:
    """Open a HEIC file with pillow-heif, which is an optional dependency."""
    try:
        from pillow_heif import register_heif_opener  # pyright: ignore[reportMissingImports]
    except ModuleNotFoundError:
        raise Rejected(
            "HEIC pictures need pillow-heif, which is not installed: " + install("brushwork[heic]")
        ) from None
    register_heif_opener()
    return Image.open(io.BytesIO(file) if isinstance(file, bytes) else file, formats=["HEIF"])


def _open_png(content: bytes) -> Image.Image:
    """Open a PNG file without its notes.

    Pillow rejects a file with large or broken notes. The chunks that decide what the picture looks
    like are few: they stay, or become the image's profile and EXIF. An animation becomes its still
    picture.
    """
    kept, info = [content[:8]], {}
    position = 8
    while position + 12 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, position)
        end = position + 12 + length
        if end > len(content):
            break
        if kind in (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"):
            kept.append(content[position:end])
        else:
            info |= _png_note(kind, content[position + 8 : end - 4])
        position = end
    plain = b"".join([*kept, content[position:]])
    image = Image.open(io.BytesIO(plain), formats=["PNG"])
    image.info |= info
    # Pillow converts pixels of other depths to 8 bits, but not the value that is transparent.
    depth, key = content[24], image.info.get("transparency")
    if isinstance(key, tuple) and depth == 16:
        image.info[CLEAR_COLOUR] = (image.info.pop("transparency"), plain)
    elif isinstance(key, tuple):
        image.info["transparency"] = tuple(v & 0xFF for v in key)
    elif isinstance(key, int) and image.mode == "L":
        white = 2**depth - 1
        image.info["transparency"] = (key & white) * 255 // white
    return image


def _png_note(kind: bytes, data: bytes) -> dict[str, bytes | str]:
    """Read the chunks of a PNG file that Pillow does not receive, in Pillow's names."""
    if kind == b"eXIf":
        return {"exif": b"Exif\0\0" + data}
    keyword, _, rest = data.partition(b"\0")
    try:
        if kind == b"iCCP":
            return {"icc_profile": zlib.decompressobj().decompress(rest[1:], MAX_NOTE)}
        # ImageMagick writes EXIF data as text.
        if kind == b"zTXt" and keyword == b"Raw profile type exif":
            text = zlib.decompressobj().decompress(rest[1:], MAX_NOTE)
            return {keyword.decode(): text.decode("latin-1")}
    except zlib.error:
        return {}
    if kind == b"tEXt" and keyword == b"Raw profile type exif":
        return {keyword.decode(): rest.decode("latin-1")}
    return {}


# Decoding: the image is checked, loaded and converted.


def _is_jpeg(image: Image.Image) -> bool:
    return image.format in ("JPEG", "MPO")


def _load(image: Image.Image, side: int | None, limits: Limits) -> None:
    """Check the size of an image, and decode it; a JPEG at a reduced size if that is enough."""
    _check_size(image, side, limits)
    if side is not None and _is_jpeg(image) and min(image.size) > side:
        # libjpeg reduces to twice the final size; a proper filter does the rest.
        width, height = _reduced_size(image.size, side)
        image.draft(None, (2 * width, 2 * height))
    image.load()


def _check_size(image: Image.Image, side: int | None, limits: Limits) -> None:
    """Reject a picture if its size or the ratio of its sides is beyond the limits."""
    width, height = image.size
    most, parameter = limits.max_pixels_whole, "max_megapixels_whole"
    if side is not None and _is_jpeg(image):
        if "progressive" in image.info:
            # libjpeg keeps the coefficients of the whole picture.
            most = 3 * limits.max_pixels_whole
        else:
            most, parameter = limits.max_pixels, "max_megapixels"
    if min(width, height) < limits.min_side:
        raise Rejected(f"{width}x{height} pixels, fewer than {limits.min_side} on the short side")
    if width * height > most:
        raise Rejected(f"{width}x{height} pixels, more than {most:,}", f"raise `{parameter}`")
    if max(width, height) > limits.max_aspect * min(width, height):
        raise Rejected(
            f"{width}x{height} pixels, a ratio of the sides above {limits.max_aspect:g} to 1"
        )


def _is_plain_jpeg(image: Image.Image, side: int) -> bool:
    """Return whether prepared data may hold the bytes of a loaded image as they are."""
    return (
        image.format == "JPEG"
        and "progressive" not in image.info
        and image.mode == "RGB"
        and min(image.size) <= side
        and _orientation(image) == 1
        and _profile_transform(image.info.get("icc_profile"), "RGB") is None
    )


def _rgb(image: Image.Image, side: int | None) -> Image.Image:
    """Convert a loaded image to RGB: upright, on white, in sRGB, its short side reduced."""
    small = _eight_bit(image)
    if side is not None and min(small.size) > side:
        size = _reduced_size(small.size, side)
        small = small.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
    alpha = None
    if small.mode in ("LA", "RGBA"):
        alpha = small.getchannel("A")
        small = small.convert("L" if small.mode == "LA" else "RGB")
    profile = None if image.mode == "LAB" else image.info.get("icc_profile")
    transform = _profile_transform(profile, small.mode)
    if transform is not None:
        small = transform.apply(small)
    elif small.mode != "RGB" or small is image:  # the caller's image keeps its info
        small = small.convert("RGB")
    if alpha is not None:
        small = Image.composite(small, Image.new("RGB", small.size, "white"), alpha)
    turn = TURNS.get(_orientation(image))
    result = small if turn is None else small.transpose(turn)
    result.info = {}  # otherwise its EXIF would turn it again, and Pillow would copy its comments
    return result


def _eight_bit(image: Image.Image) -> Image.Image:
    """Convert to a mode that a filter can average: L, LA, RGB, RGBA or CMYK, 8 bits each.

    Raises:
        Rejected: the value of white is not defined for the picture's mode.
    """
    if image.mode.startswith("I"):
        return _grey(image)
    if image.mode == "F":
        raise Rejected("floating-point pixels, whose value of white is unknown")
    if image.mode in ("L", "1"):
        return image.convert("LA" if "transparency" in image.info else "L")
    if CLEAR_COLOUR in image.info:
        return _with_clear_colour(image)
    if image.mode == "La":
        return image.convert("LA")
    if image.mode == "LAB":
        return _lab_transform().apply(image)
    if image.mode == "CMYK":
        # Pillow inverts every CMYK JPEG, as Adobe writes them. Others do not.
        return ImageChops.invert(image) if _is_jpeg(image) and "adobe" not in image.info else image
    if image.mode in ("PA", "RGBa") or (image.mode in ("P", "RGB") and image.has_transparency_data):
        return image.convert("RGBA")
    if image.mode == "RGBA":
        # Programs that know no transparency in BMP files write zeros.
        unused = image.format in ("BMP", "DIB") and image.getchannel("A").getextrema() == (0, 0)
        return image.convert("RGB") if unused else image
    return image if image.mode in ("LA", "RGB") else image.convert("RGB")


def _grey(image: Image.Image) -> Image.Image:
    """Convert 16-bit grey to mode L, or LA if one value is transparent."""
    values = np.asarray(image)
    if values.min() < 0 or values.max() > 0xFFFF:
        raise Rejected("32-bit grey values that do not fit in 16 bits")
    tags = getattr(image, "tag_v2", {})
    if tags.get(BITS_PER_SAMPLE) == (32,) and values.max() <= 0xFF:
        raise Rejected("32-bit grey values up to 255, whose value of white is unknown")
    if tags.get(BITS_PER_SAMPLE) == (12,):
        values = values << 4
    if tags.get(PHOTOMETRIC) == 0:
        values = 0xFFFF - values  # zero is white
    grey = Image.fromarray((values >> 8).astype(np.uint8))
    key = image.info.get("transparency")
    if not isinstance(key, int):
        return grey
    alpha = Image.fromarray(np.where(np.asarray(image) == key, 0, 255).astype(np.uint8))
    return Image.merge("LA", (grey, alpha))


def _with_clear_colour(image: Image.Image) -> Image.Image:
    """Convert a 16-bit PNG in colour to RGBA, where one colour of 16 bits is transparent."""
    colour, content = image.info[CLEAR_COLOUR]
    # Pillow keeps the high bytes only. Read in the other byte order, the file gives the low ones.
    with Image.open(io.BytesIO(content), formats=["PNG"]) as low:
        low.tile = [tile._replace(args="RGB;16L") for tile in low.tile]
        is_clear = np.all(np.asarray(image) == [value >> 8 for value in colour], axis=-1)
        is_clear &= np.all(np.asarray(low) == [value & 0xFF for value in colour], axis=-1)
    result = image.convert("RGBA")
    result.putalpha(Image.fromarray(np.where(is_clear, 0, 255).astype(np.uint8)))
    return result


def _orientation(image: Image.Image) -> int:
    """Read the EXIF orientation, from 1 to 8; return 1, upright, if it cannot be read."""
    try:
        value = image.getexif().get(ORIENTATION, 1)
    except Exception:  # broken metadata must not reject the picture
        return 1
    return value if isinstance(value, int) else 1


def _reduced_size(size: tuple[int, int], side: int) -> tuple[int, int]:
    """Scale width and height so that the shorter one is `side`."""
    scale = side / min(size)
    return max(side, round(size[0] * scale)), max(side, round(size[1] * scale))


@lru_cache(maxsize=16)
def _profile_transform(profile: bytes | None, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Make the transform from a colour profile to sRGB.

    A profile is judged by its colours. Its name may be wrong.

    Returns:
        None if the profile is absent, unreadable, of another mode, or sRGB.
    """
    if not isinstance(profile, bytes):
        return None
    try:
        opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        transform = ImageCms.buildTransform(opened, SRGB, mode, "RGB")
    except (TypeError, ValueError, OSError, ImageCms.PyCMSError):
        return None
    if mode == "RGB":
        levels = np.linspace(0, 255, 6).round().astype(np.uint8)
        colours = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(1, -1, 3)
        converted = np.asarray(transform.apply(Image.fromarray(colours))).astype(int)
        if np.abs(converted - colours).max() <= MAX_SRGB_DIFFERENCE:
            return None
    return transform


@lru_cache(maxsize=1)
def _lab_transform() -> ImageCms.ImageCmsTransform:
    """Make the transform from CIELAB to sRGB."""
    return ImageCms.buildTransform(ImageCms.createProfile("LAB"), SRGB, "LAB", "RGB")


def _encode(image: Image.Image) -> bytes:
    """Encode as JPEG."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=95, subsampling=0)
    return file.getvalue()
