"""One corpus of pictures of every kind, through every door of the project.

The right pixels are computed here with NumPy; files that Pillow cannot write are written here byte
by byte.
"""

import io
import struct
import sys
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from time import process_time
from typing import Any, Literal

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms, PngImagePlugin
from tests.core.data.corruption import corrupted

from brushwork.classifier.identify import read_picture
from brushwork.data.decode import Limits, Rejected, to_jpeg, to_rgb
from brushwork.data.preparation import prepare
from brushwork.data.prepared import open_prepared
from brushwork.data.sources.image_folder import image_folder
from brushwork.errors import BrushworkError
from brushwork.metrics.features import read_image
from brushwork_demo.uploads import decode as read_uploaded

Pixels = NDArray[np.uint8]

ORIENTATION = 0x0112


@dataclass(frozen=True)
class Sample:
    """A file and the pixels that it must give, uint8 (H, W, 3)."""

    content: bytes
    expected: Pixels
    tolerance: int = 4


def blocks(*colours) -> Pixels:
    """Four blocks of 16 by 32 pixels: JPEG's blocks and chroma subsampling keep their colours."""
    top, bottom = (
        np.concatenate([np.full((16, 32, len(c)), c, np.uint8) for c in pair], axis=1)
        for pair in (colours[:2], colours[2:])
    )
    return np.concatenate([top, bottom])


SCENE = blocks((220, 120, 40), (30, 60, 200), (255, 255, 255), (20, 90, 50))  # (32, 64, 3)
GREYS = blocks((40,), (110,), (200,), (255,))[..., 0]  # (32, 64)
GREY_SCENE = np.repeat(GREYS[..., None], 3, axis=2)


def saved(image: Image.Image, format: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def scene(mode: str = "RGB") -> Image.Image:
    return Image.fromarray(SCENE).convert(mode)


# Colours, by their definitions.


def srgb_to_linear(values: np.ndarray) -> np.ndarray:
    values = np.asarray(values) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def linear_to_srgb(linear: np.ndarray) -> Pixels:
    linear = np.clip(linear, 0, 1)
    values = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return (255 * values).round().astype(np.uint8)


D50 = np.array([0.9642, 1.0, 0.8249])
# Columns: red, green and blue in XYZ, adapted to D50.
SRGB_XYZ = np.array(
    [[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]]
)
ADOBE_XYZ = np.array(
    [[0.60974, 0.20528, 0.14919], [0.31111, 0.62567, 0.06322], [0.01947, 0.06087, 0.74457]]
)


def xyz_to_srgb(xyz: np.ndarray) -> Pixels:
    return linear_to_srgb(xyz @ np.linalg.inv(SRGB_XYZ).T)


def lab_to_srgb(lab: np.ndarray) -> Pixels:
    """Convert CIELAB (..., 3), L in [0, 100], to sRGB."""
    y = (lab[..., 0] + 16) / 116
    f = np.stack([y + lab[..., 1] / 500, y, y - lab[..., 2] / 200], axis=-1)
    return xyz_to_srgb(D50 * np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29)))


def on_white(colour: np.ndarray, alpha: np.ndarray) -> Pixels:
    share = alpha[..., None] / 255
    return (colour * share + 255 * (1 - share)).round().astype(np.uint8)


# Colour profiles, written as ICC.1:2001 defines them.


def profile(space: bytes, tags: dict[bytes, bytes], pcs: bytes = b"XYZ ") -> bytes:
    table, data, start = b"", b"", 128 + 4 + 12 * len(tags)
    for name, tag in tags.items():
        tag += bytes(-len(tag) % 4)
        table += struct.pack(">4sII", name, start + len(data), len(tag))
        data += tag
    header = struct.pack(">I4sI4s4s4s", start + len(data), b"lcms", 0x02400000, b"prtr", space, pcs)
    if space != b"CMYK":
        header = header[:12] + b"mntr" + header[16:]
    header += struct.pack(">6H", 2020, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + xyz(D50)[8:]
    return header.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + data


def xyz(values: np.ndarray) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(v * 65536) for v in values))


def named(name: bytes) -> bytes:
    return b"desc\0\0\0\0" + struct.pack(">I", len(name) + 1) + name + bytes(1 + 79)


def gamma(exponent: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(256 * exponent)) + bytes(2)


def srgb_curve() -> bytes:
    values = (65535 * srgb_to_linear(np.linspace(0, 255, 1024))).round().astype(">u2")
    return b"curv\0\0\0\0" + struct.pack(">I", 1024) + values.tobytes()


def rgb_profile(primaries: np.ndarray, curve: bytes, name: bytes) -> bytes:
    tags = {b"desc": named(name), b"wtpt": xyz(D50)}
    tags |= {b"%cXYZ" % c: xyz(primaries[:, i]) for i, c in enumerate(b"rgb")}
    return profile(b"RGB ", tags | {b"%cTRC" % c: curve for c in b"rgb"})


def grey_profile(curve: bytes) -> bytes:
    return profile(b"GRAY", {b"desc": named(b"grey"), b"wtpt": xyz(D50), b"kTRC": curve})


# CIELAB, in bytes, of the sixteen mixtures of the four inks at full strength.
INKS = np.random.default_rng(7).integers([90, 118, 118], [220, 138, 138], (16, 3), np.uint8)
INKS[0], INKS[15] = (255, 128, 128), (0, 128, 128)  # paper is white, and all inks are black


def cmyk_profile() -> bytes:
    table = bytes(range(256))
    lut = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0])
    lut += struct.pack(">9i", *(65536 * np.eye(3, dtype=int).ravel()))
    lut += 4 * table + INKS.tobytes() + 3 * table
    tags = {b"desc": named(b"inks"), b"wtpt": xyz(D50), b"A2B0": lut}
    return profile(b"CMYK", tags, pcs=b"Lab ")


# Files, written byte by byte.


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(values: np.ndarray, depth: int, colour_type: int, *chunks: bytes) -> bytes:
    """Encode samples (H, W) or (H, W, C) of `depth` bits without filters."""
    height, width = values.shape[:2]
    lines = values.reshape(height, -1)
    if depth == 16:
        packed = [line.astype(">u2").tobytes() for line in lines]
    else:
        bits = np.unpackbits(lines.astype(np.uint8)[..., None], axis=2)[..., 8 - depth :]
        packed = [line.tobytes() for line in np.packbits(bits.reshape(height, -1), axis=1)]
    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + line for line in packed))
    parts = [chunk(b"IHDR", header), *chunks, chunk(b"IDAT", pixels), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def tiff(
    values: np.ndarray,
    photometric: int,
    *,
    order: Literal["<", ">"] = "<",
    planar: bool = False,
    tile: int = 0,
    deflate: bool = False,
    extra: int | None = None,
) -> bytes:
    """Encode samples (H, W, C), uint8 or uint16, in strips of 16 rows or in tiles."""
    height, width, num_samples = values.shape
    bits = 8 * values.itemsize
    values = values.astype(values.dtype.newbyteorder(order))
    planes = [values[..., [i]] for i in range(num_samples)] if planar else [values]
    parts = []
    for plane in planes:
        if tile:
            padded = np.pad(plane, ((0, -height % tile), (0, -width % tile), (0, 0)))
            for top in range(0, height, tile):
                for left in range(0, width, tile):
                    parts.append(padded[top : top + tile, left : left + tile].tobytes())
        else:
            parts += [plane[top : top + 16].tobytes() for top in range(0, height, 16)]
    if deflate:
        parts = [zlib.compress(part) for part in parts]
    starts = np.cumsum([8, *map(len, parts)]).tolist()
    tags: dict[int, tuple[str, list[int]]] = {
        256: ("I", [width]),
        257: ("I", [height]),
        258: ("H", [bits] * num_samples),
        259: ("H", [8 if deflate else 1]),
        262: ("H", [photometric]),
        277: ("H", [num_samples]),
        284: ("H", [2 if planar else 1]),
    }
    if tile:
        tags |= {322: ("I", [tile]), 323: ("I", [tile])}
        tags |= {324: ("I", starts[:-1]), 325: ("I", [*map(len, parts)])}
    else:
        tags |= {273: ("I", starts[:-1]), 278: ("I", [16]), 279: ("I", [*map(len, parts)])}
    if extra is not None:
        tags[338] = ("H", [extra])
    end = starts[-1] + starts[-1] % 2
    directory, after, outside = b"", end + 2 + 12 * len(tags) + 4, b""
    for tag, (kind, numbers) in sorted(tags.items()):
        data = struct.pack(f"{order}{len(numbers)}{kind}", *numbers)
        if len(data) > 4:
            data, outside = struct.pack(f"{order}I", after + len(outside)), outside + data
        directory += struct.pack(f"{order}HHI", tag, 3 if kind == "H" else 4, len(numbers))
        directory += data.ljust(4, b"\0")
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", end)
    body = b"".join(parts).ljust(end - 8, b"\0")
    return head + body + struct.pack(f"{order}H", len(tags)) + directory + bytes(4) + outside


def bmp(values: Pixels) -> bytes:
    """Encode (H, W, 4), red, green, blue and alpha, with a mask for alpha."""
    height, width = values.shape[:2]
    masks = struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    header = struct.pack("<IiiHHIIiiII", 124, width, height, 1, 32, 3, 0, 0, 0, 0, 0) + masks
    header = header.ljust(124, b"\0")
    pixels = values[::-1, :, [2, 1, 0, 3]].tobytes()
    return b"BM" + struct.pack("<IHHI", 14 + 124 + len(pixels), 0, 0, 14 + 124) + header + pixels


def jpeg_without_adobe(jpeg: bytes) -> bytes:
    """Cut the marker APP14 out."""
    start = jpeg.index(b"\xff\xee")
    return jpeg[:start] + jpeg[start + 2 + int.from_bytes(jpeg[start + 2 : start + 4]) :]


CORPUS: dict[str, Callable[[], Sample]] = {}


def sample(make: Callable[[], Sample]) -> Callable[[], Sample]:
    CORPUS[make.__name__] = cache(make)
    return make


def add(name: str, make: Callable[[], bytes], expected: Pixels, tolerance: int = 4) -> None:
    CORPUS[name] = cache(lambda: Sample(make(), expected, tolerance))


# Colour in every format.

for name, format, options, tolerance in (
    ("jpeg", "JPEG", {"quality": 95}, 6),
    ("progressive jpeg", "JPEG", {"quality": 95, "progressive": True}, 6),
    ("mpo", "MPO", {"quality": 95, "save_all": True, "append_images": [scene("L")]}, 6),
    ("png", "PNG", {}, 4),
    ("gif", "GIF", {}, 4),
    ("bmp", "BMP", {}, 4),
    ("ppm", "PPM", {}, 4),
    ("webp", "WEBP", {"quality": 95}, 8),
    ("lossless webp", "WEBP", {"lossless": True}, 4),
    ("avif", "AVIF", {"quality": 95, "subsampling": "4:4:4"}, 8),
    ("jpeg 2000", "JPEG2000", {}, 4),
    ("tiff", "TIFF", {}, 4),
    ("lzw tiff", "TIFF", {"compression": "tiff_lzw"}, 4),
    ("deflate tiff", "TIFF", {"compression": "tiff_deflate"}, 4),
    ("jpeg tiff", "TIFF", {"compression": "jpeg", "quality": 95}, 4),
    ("several pages", "TIFF", {"save_all": True, "append_images": [scene("L")]}, 4),
):
    add(name, lambda f=format, o=options: saved(scene(), f, **o), SCENE, tolerance)

LAYOUTS: dict[str, dict[str, Any]] = {
    "strips": {},
    "tiles": {"tile": 16},
    "planes": {"planar": True},
    "deflated tiles": {"tile": 16, "deflate": True},
    "deflated planes": {"planar": True, "deflate": True},
    "deflated tiles of planes": {"planar": True, "tile": 16, "deflate": True},
}
ORDERS: tuple[Literal["<", ">"], ...] = ("<", ">")
for order in ORDERS:
    for name, layout in LAYOUTS.items():
        add(
            f"tiff of {name} {order}",
            lambda o=layout, order=order: tiff(SCENE, 2, order=order, **o),
            SCENE,
        )
    deep = (SCENE.astype(np.uint16) << 8) + 200
    add(f"16-bit colour tiff {order}", lambda o=order, d=deep: tiff(d, 2, order=o), SCENE)
    deep_grey = (GREYS.astype(np.uint16) << 8)[..., None] + 200
    for compressed in (False, True):
        for photometric, values in ((1, deep_grey), (0, 0xFFFF - deep_grey)):
            add(
                f"16-bit grey tiff {order}, {photometric} is black, deflate {compressed}",
                lambda v=values, p=photometric, o=order, c=compressed: tiff(
                    v, p, order=o, deflate=c
                ),
                GREY_SCENE,
            )
    add(
        f"8-bit grey tiff, zero is white {order}",
        lambda o=order: tiff(255 - GREYS[..., None], 0, order=o),
        GREY_SCENE,
    )
add(
    "tiff with an unused fourth channel",
    lambda: tiff(np.dstack([SCENE, np.zeros_like(GREYS)]), 2, extra=0),
    SCENE,
)
add("16-bit colour png", lambda: png(SCENE.astype(np.uint16) << 8, 16, 2), SCENE)
add("16-bit grey png", lambda: png(GREYS.astype(np.uint16) << 8, 16, 0), GREY_SCENE)


# Every mode that Pillow can write.

BLACK_OR_WHITE = np.where(GREY_SCENE > 120, 255, 0).astype(np.uint8)

for name, make, expected in (
    ("1", lambda: saved(Image.fromarray(BLACK_OR_WHITE).convert("1"), "PNG"), BLACK_OR_WHITE),
    (
        "ccitt",
        lambda: saved(Image.fromarray(BLACK_OR_WHITE).convert("1"), "TIFF", compression="group4"),
        BLACK_OR_WHITE,
    ),
    ("L", lambda: saved(Image.fromarray(GREYS), "PNG"), GREY_SCENE),
    ("L, jpeg", lambda: saved(Image.fromarray(GREYS), "JPEG", quality=95), GREY_SCENE),
    ("I", lambda: saved(Image.fromarray(GREYS.astype(np.int32) << 8), "TIFF"), GREY_SCENE),
    ("I;16", lambda: saved(Image.fromarray(GREYS.astype(np.uint16) << 8), "PNG"), GREY_SCENE),
    ("P", lambda: saved(scene().quantize(8), "PNG"), SCENE),
    ("RGBX", lambda: saved(scene("RGBX"), "TIFF"), SCENE),
    ("CMYK", lambda: saved(scene("CMYK"), "TIFF"), SCENE),
    ("YCbCr", lambda: saved(scene("YCbCr"), "TIFF"), SCENE),
    (
        "YCbCr, lzw",
        lambda: saved(scene("YCbCr"), "TIFF", compression="tiff_lzw"),
        SCENE,
    ),
):
    add(f"mode {name}", make, expected)


@sample
def mode_lab() -> Sample:
    lab = blocks((200, 150, 120), (100, 128, 128), (255, 128, 128), (60, 140, 160))
    expected = lab_to_srgb(lab * [100 / 255, 1, 1] - [0, 128, 128])
    return Sample(
        saved(Image.merge("LAB", [*map(Image.fromarray, np.moveaxis(lab, 2, 0))]), "TIFF"), expected
    )


# Transparency: alpha of the four blocks, on white.

ALPHA = blocks((255,), (128,), (77,), (0,))[..., 0]
CLEAR = on_white(SCENE, ALPHA)
CLEAR_GREY = on_white(GREY_SCENE, ALPHA)
RGBA = np.dstack([SCENE, ALPHA])
LA = np.dstack([GREYS, ALPHA])

add("RGBA", lambda: saved(Image.fromarray(RGBA), "PNG"), CLEAR)
add("RGBA tiff", lambda: saved(Image.fromarray(RGBA), "TIFF"), CLEAR)
add("RGBA webp", lambda: saved(Image.fromarray(RGBA), "WEBP", lossless=True), CLEAR)
add("RGBA bmp", lambda: bmp(RGBA), CLEAR)
add("bmp without alpha", lambda: bmp(np.dstack([SCENE, np.zeros_like(GREYS)])), SCENE)
add("RGBA, 16 bits", lambda: png(RGBA.astype(np.uint16) * 257, 16, 6), CLEAR)
add("LA", lambda: png(LA, 8, 4), CLEAR_GREY)
add("LA, 16 bits", lambda: png(LA.astype(np.uint16) * 257, 16, 4), CLEAR_GREY)
add("LA tiff", lambda: saved(Image.fromarray(LA), "TIFF"), CLEAR_GREY)
PREMULTIPLIED = (SCENE * (ALPHA[..., None] / 255)).round().astype(np.uint8)
add("premultiplied tiff", lambda: tiff(np.dstack([PREMULTIPLIED, ALPHA]), 2, extra=1), CLEAR, 5)

INDEX = blocks((0,), (1,), (2,), (3,))[..., 0]
PALETTE = chunk(b"PLTE", bytes([220, 120, 40, 30, 60, 200, 255, 255, 255, 20, 90, 50]))
for depth in (2, 4, 8):
    add(
        f"palette of {depth} bits, alpha as bytes",
        lambda d=depth: png(INDEX, d, 3, PALETTE, chunk(b"tRNS", bytes([255, 128, 77, 0]))),
        CLEAR,
    )
    add(
        f"palette of {depth} bits, one clear index",
        lambda d=depth: png(INDEX, d, 3, PALETTE, chunk(b"tRNS", bytes([255, 0]))),
        on_white(SCENE, np.where(INDEX == 1, 0, 255)),
    )
CLEAR_BLOCK = on_white(GREY_SCENE, np.where(INDEX == 1, 0, 255))
add(
    "grey of 8 bits, one clear value",
    lambda: png(GREYS, 8, 0, chunk(b"tRNS", struct.pack(">H", 110))),
    CLEAR_BLOCK,
)
add(
    "grey of 16 bits, one clear value",
    lambda: png(GREYS.astype(np.uint16) * 257, 16, 0, chunk(b"tRNS", struct.pack(">H", 110 * 257))),
    CLEAR_BLOCK,
)
for depth in (1, 2, 4):
    levels = blocks((0,), (1,), (0,), (0,))[..., 0]
    seen = np.repeat((levels.astype(int) * 255 // (2**depth - 1))[..., None], 3, axis=2)
    add(
        f"grey of {depth} bits, one clear value",
        lambda d=depth, v=levels: png(v, d, 0, chunk(b"tRNS", struct.pack(">H", 0))),
        on_white(seen, np.where(levels == 0, 0, 255)),
    )
for depth in (8, 16):
    add(
        f"colour of {depth} bits, one clear value",
        lambda d=depth: png(
            SCENE.astype(np.uint16) * (257 if d == 16 else 1),
            d,
            2,
            chunk(
                b"tRNS", struct.pack(">3H", *(v * (257 if d == 16 else 1) for v in (30, 60, 200)))
            ),
        ),
        on_white(SCENE, np.where(INDEX == 1, 0, 255)),
    )
# The transparent colour and three others that differ from it in a low byte only.
NEAR = np.array([30, 60, 200], np.uint16) * 256 + blocks(
    (7, 8, 9), (7, 8, 10), (7, 9, 9), (6, 8, 9)
).astype(np.uint16)
add(
    "colour of 16 bits, one clear value and near ones",
    lambda: png(NEAR, 16, 2, chunk(b"tRNS", struct.pack(">3H", *NEAR[0, 0]))),
    on_white((NEAR >> 8).astype(np.uint8), np.where(INDEX == 0, 0, 255)),
)


# CMYK in JPEG: Adobe inverts, others do not; YCCK is what Photoshop writes.

INK = blocks((0, 0, 0, 0), (255, 0, 40, 0), (10, 200, 0, 60), (0, 30, 255, 120))
SHARES = 1 - INK / 255
PRINTED = (255 * SHARES[..., :3] * SHARES[..., 3:]).round().astype(np.uint8)


def cmyk(values: np.ndarray) -> Image.Image:
    return Image.merge("CMYK", [*map(Image.fromarray, np.moveaxis(values, 2, 0))])


add("cmyk jpeg of Adobe", lambda: saved(cmyk(INK), "JPEG", quality=98, subsampling=0), PRINTED, 6)


@sample
def cmyk_jpeg_without_adobe_marker() -> Sample:
    jpeg = saved(cmyk(255 - INK), "JPEG", quality=98, subsampling=0)  # Pillow inverts it
    return Sample(jpeg_without_adobe(jpeg), PRINTED, 6)


@sample
def ycck_jpeg() -> Sample:
    r, g, b = np.moveaxis(INK[..., :3].astype(float), 2, 0)
    y = 0.299 * r + 0.587 * g + 0.114 * b
    stored = np.dstack([y, 128 + (b - y) / 1.772, 128 + (r - y) / 1.402, 255 - INK[..., 3]])
    inverted = 255 - np.clip(stored.round(), 0, 255).astype(np.uint8)
    jpeg = bytearray(saved(cmyk(inverted), "JPEG", quality=98, subsampling=0))
    jpeg[jpeg.index(b"Adobe") + 11] = 2  # the colour transform
    return Sample(bytes(jpeg), PRINTED, 8)


# Colour profiles, judged by what they contain.

LINEAR_NAMED_SRGB = rgb_profile(SRGB_XYZ, gamma(1), b"sRGB IEC61966-2.1")
ADOBE = rgb_profile(ADOBE_XYZ, gamma(2.19921875), b"Adobe RGB (1998)")
SRGB_NAMED_OTHER = rgb_profile(SRGB_XYZ, srgb_curve(), b"something else")

for format, options in (
    ("JPEG", {"quality": 98, "subsampling": 0}),
    ("PNG", {}),
    ("TIFF", {}),
    ("WEBP", {"lossless": True}),
):
    for name, icc, expected in (
        ("linear, named sRGB", LINEAR_NAMED_SRGB, linear_to_srgb(SCENE / 255)),
        ("wide gamut", ADOBE, xyz_to_srgb((SCENE / 255) ** 2.19921875 @ ADOBE_XYZ.T)),
        ("sRGB, named otherwise", SRGB_NAMED_OTHER, SCENE),
        ("broken", b"not a profile", SCENE),
    ):
        add(
            f"{format} with a profile that is {name}",
            lambda f=format, o=options, i=icc: saved(scene(), f, icc_profile=i, **o),
            expected,
            10,
        )
for format, options in (("JPEG", {"quality": 98}), ("PNG", {}), ("TIFF", {})):
    add(
        f"grey {format} with a linear profile",
        lambda f=format, o=options: saved(
            Image.fromarray(GREYS), f, icc_profile=grey_profile(gamma(1)), **o
        ),
        np.repeat(linear_to_srgb(GREYS / 255)[..., None], 3, axis=2),
        6,
    )
add(
    "grey and alpha with a linear profile",
    lambda: png(LA, 8, 4, chunk(b"iCCP", b"grey\0\0" + zlib.compress(grey_profile(gamma(1))))),
    on_white(np.repeat(linear_to_srgb(GREYS / 255)[..., None], 3, axis=2), ALPHA),
)
add(
    "colour and alpha with a linear profile",
    lambda: saved(Image.fromarray(RGBA), "PNG", icc_profile=LINEAR_NAMED_SRGB),
    on_white(linear_to_srgb(SCENE / 255), ALPHA),
)
FULL_INK = blocks((0, 0, 0, 0), (255, 0, 0, 0), (0, 255, 255, 0), (0, 0, 255, 255))
MIXTURES = INKS[(FULL_INK // 255) @ [8, 4, 2, 1]]
for format, options in (("TIFF", {}), ("JPEG", {"quality": 98, "subsampling": 0})):
    add(
        f"cmyk {format} with a profile",
        lambda f=format, o=options: saved(cmyk(FULL_INK), f, icc_profile=cmyk_profile(), **o),
        lab_to_srgb(MIXTURES * [100 / 255, 1, 1] - [0, 128, 128]),
        8,
    )


# Orientation: what a camera stores, and what a person sees.

SEEN: dict[int, Callable[[Pixels], Pixels]] = {
    1: lambda stored: stored,
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: stored[::-1, ::-1],
    4: lambda stored: stored[::-1],
    5: lambda stored: stored.transpose(1, 0, 2),
    6: lambda stored: np.rot90(stored, -1),
    7: lambda stored: stored[::-1, ::-1].transpose(1, 0, 2),
    8: lambda stored: np.rot90(stored, 1),
}
for value, see in SEEN.items():
    for format, options in (
        ("JPEG", {"quality": 95}),
        ("PNG", {}),
        ("TIFF", {}),
        ("WEBP", {"lossless": True}),
    ):
        exif = Image.Exif()
        exif[ORIENTATION] = value
        add(
            f"orientation {value} in {format}",
            lambda f=format, o=options, e=exif: saved(scene(), f, exif=e, **o),
            np.ascontiguousarray(see(SCENE)),
            6,
        )
add("broken exif", lambda: saved(scene(), "JPEG", quality=95, exif=b"Exif\0\0no"), SCENE, 6)
add(
    "orientation 9",
    lambda: saved(
        scene(), "PNG", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1\0\x09\0\0\0\0\0\0"
    ),
    SCENE,
)


# Notes in PNG files.


def notes(*, compressed: bool, num_bytes: int = 2_000_000, num: int = 1) -> bytes:
    info = PngImagePlugin.PngInfo()
    info.add_text("workflow", "x" * num_bytes, zip=compressed)
    info.add_itxt("prompt", "x" * num_bytes, zip=compressed)
    info.chunks *= num
    return saved(scene(), "PNG", pnginfo=info)


def moved_behind_the_pixels(file: bytes) -> bytes:
    """Move all chunks between IHDR and IDAT to the end."""
    first, pixels, end = 8 + 25, file.index(b"IDAT") - 4, len(file) - 12
    return file[:first] + file[pixels:end] + file[first:pixels] + file[end:]


SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
LARGE_PROFILE = SRGB + bytes(1_500_000)
STRANGE_NOTES = chunk(b"zTXt", b"a\0\7abc"), chunk(b"iCCP", b"a\0\7abc")
NOTES: dict[str, Callable[[], bytes]] = {
    "large notes": lambda: notes(compressed=False),
    "compressed notes": lambda: notes(compressed=True),
    "66 MB of notes": lambda: notes(compressed=True, num_bytes=1_000_000, num=33),
    "notes behind the pixels": lambda: moved_behind_the_pixels(notes(compressed=True)),
    "a large profile": lambda: saved(scene(), "PNG", icc_profile=LARGE_PROFILE),
    "a note whose checksum is wrong": lambda: notes(compressed=False).replace(b"xx", b"xy", 1),
    "a note that is compressed in an unknown way": lambda: png(SCENE, 8, 2, *STRANGE_NOTES),
}
for name, make in NOTES.items():
    add(f"png with {name}", make, SCENE)


# Pillow alone cannot open or decode these files.
NOT_FOR_PILLOW = {
    "mode YCbCr",
    *(f"png with {what}" for what in NOTES if what != "large notes"),
}
# Pillow decodes these files to fewer bits than they have; brushwork itself reads all bits.
NOT_FOR_LOADED = {"colour of 16 bits, one clear value and near ones"}
SMALL = Limits(max_pixels=1_000_000, max_pixels_whole=1_000_000)


# The doors.


def opened(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content))


def loaded(content: bytes) -> Image.Image:
    image = opened(content)
    image.load()
    return image


DOORS: dict[str, Callable[[Path], Image.Image]] = {
    "preparation": lambda file: opened(to_jpeg(file, 64)),
    "identify, path": lambda file: opened(read_picture(file)),
    "identify, bytes": lambda file: opened(read_picture(file.read_bytes())),
    "identify, PIL image": lambda file: opened(read_picture(opened(file.read_bytes()))),
    "identify, loaded PIL image": lambda file: opened(read_picture(loaded(file.read_bytes()))),
    "metrics, path": lambda file: read_image(file),
    "metrics, PIL image": lambda file: read_image(opened(file.read_bytes())),
    "page": lambda file: read_uploaded(file),
}


def difference(image: Image.Image, expected: Pixels) -> float:
    """Find the largest difference inside the blocks; lossy formats blur their edges."""
    pixels = np.asarray(image).astype(int)
    assert pixels.shape == expected.shape
    height, width = expected.shape[0] // 2, expected.shape[1] // 2
    inside = np.pad(np.ones((height - 10, width - 10), bool), 5)
    return float(np.abs(pixels - expected)[np.tile(inside, (2, 2))].max())


@pytest.mark.parametrize("name", CORPUS)
def test_every_door_sees_the_right_pixels(name: str, tmp_path: Path):
    file = tmp_path / "picture"
    picture = CORPUS[name]()
    file.write_bytes(picture.content)
    differences = {}
    for door, read in DOORS.items():
        if name in NOT_FOR_PILLOW and "PIL" in door:
            continue
        if name in NOT_FOR_LOADED and "loaded" in door:
            continue
        differences[door] = difference(read(file), picture.expected)
    assert max(differences.values()) <= picture.tolerance, differences


def test_prepared_data_hold_the_right_pixels(tmp_path: Path):
    folder = tmp_path / "pictures" / "artist"
    folder.mkdir(parents=True)
    for number, make in enumerate(CORPUS.values()):
        (folder / f"{number:03}.jpg").write_bytes(make().content)
    source = image_folder(tmp_path / "pictures")
    record = prepare(source, tmp_path / "out", side=64, workers=1, progress=False)
    assert record["rejected"] == 0
    prepared = open_prepared(tmp_path / "out")
    for row, stem in enumerate(prepared.table["title"]):
        name, make = list(CORPUS.items())[int(stem)]
        found = difference(opened(prepared.encoded(row)), make().expected)
        assert found <= make().tolerance, name


@pytest.mark.parametrize("mode", ["La", "PA", "RGBa", "HSV", "LAB", "RGBX", "YCbCr", "I;16B"])
def test_an_image_in_memory_may_have_any_mode(mode: str):
    image, expected = in_memory(mode)
    assert difference(opened(read_picture(image)), expected) <= 5
    assert difference(read_image(image), expected) <= 5


def in_memory(mode: str) -> tuple[Image.Image, Pixels]:
    """Make an image of a mode that few formats have."""
    if mode == "La":
        return Image.fromarray(LA).convert("La"), CLEAR_GREY
    if mode == "RGBa":
        return Image.fromarray(RGBA).convert("RGBa"), CLEAR
    if mode == "PA":
        palette = scene().quantize(8)
        image = Image.merge("PA", [Image.frombytes("L", palette.size, palette.tobytes())] * 2)
        image.putpalette(palette.getpalette() or ())
        image.putalpha(Image.fromarray(ALPHA))
        return image, CLEAR
    if mode == "LAB":
        return opened(mode_lab().content), mode_lab().expected
    if mode == "I;16B":
        return opened(tiff((GREYS.astype(np.uint16) << 8)[..., None], 1, order=">")), GREY_SCENE
    return scene(mode), SCENE


def test_a_pil_image_has_the_orientation_and_the_profile_of_its_file():
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    expected = np.rot90(linear_to_srgb(SCENE / 255), -1)
    for format in ("JPEG", "PNG", "TIFF"):
        options = {"quality": 98, "subsampling": 0} if format == "JPEG" else {}
        file = saved(scene(), format, exif=exif, icc_profile=LINEAR_NAMED_SRGB, **options)
        assert read_picture(opened(file)) == read_picture(file)
        assert difference(opened(read_picture(loaded(file))), expected) <= 8
        assert difference(read_image(opened(file).convert("RGB")), expected) <= 8


def test_a_pil_image_is_left_as_it_was():
    image = opened(CORPUS["orientation 6 in JPEG"]().content)
    read_picture(image)
    assert image.size == (64, 32) and np.asarray(image).shape == (32, 64, 3)


def test_floats_are_rejected_at_every_door(tmp_path: Path):
    file = tmp_path / "picture.tif"
    Image.fromarray(GREYS.astype(np.float32)).save(file)
    for read in DOORS.values():
        with pytest.raises((Rejected, BrushworkError), match="floating-point"):
            read(file)


def test_heic_names_the_extra_that_it_needs(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    heic = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100)
    with pytest.raises(Rejected, match=r"pip install 'brushwork\[heic\]'"):
        to_jpeg(heic, 64)


def test_heic_is_decoded():
    pillow_heif = pytest.importorskip("pillow_heif")
    heic = io.BytesIO()
    pillow_heif.from_pillow(scene()).save(heic, quality=95)
    assert difference(to_rgb(heic.getvalue()), SCENE) <= 8


def test_corrupted_files_are_rejected_or_decoded():
    names = list(CORPUS)[::3]
    start = process_time()  # other processes do not change it
    num_rejected = 0
    for seed in range(200):
        content = corrupted(CORPUS[names[seed % len(names)]]().content, seed)
        try:
            assert opened(to_jpeg(content, 64, SMALL)).mode == "RGB"
            to_rgb(content, limits=SMALL)
        except Rejected:
            num_rejected += 1
    assert 20 < num_rejected < 180
    assert process_time() - start < 60
