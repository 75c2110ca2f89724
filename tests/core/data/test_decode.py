import io
import pickle
import struct
import warnings
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps

from brushwork.data.decode import Limits, Rejected, picture_files, to_jpeg, to_rgb

SIDE = 64
ORANGE = (220, 120, 40)


def encoded(image: Image.Image, format: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def scene(mode: str = "RGB", size: tuple[int, int] = (200, 100)) -> Image.Image:
    """Orange on the left, white on the right."""
    image = Image.new("RGB", size, "white")
    image.paste(ORANGE, (0, 0, size[0] // 2, size[1]))
    return image.convert(mode)


def translucent() -> Image.Image:
    """Orange on the left, and on the right black that can't be seen."""
    image = Image.new("RGBA", (200, 100), (0, 0, 0, 0))
    image.paste((*ORANGE, 255), (0, 0, 100, 100))
    return image


def palette_with_hole() -> bytes:
    image = scene("P")
    return encoded(image, "PNG", transparency=image.getpixel((199, 0)))


def adobe_rgb() -> bytes:
    return encoded(
        scene(),
        "JPEG",
        icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
        quality=95,
    )


def decoded(jpeg: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(jpeg))
    assert image.format == "JPEG"
    assert image.mode == "RGB"
    return image


def close(image: Image.Image, x: float, colour: tuple[int, ...], tolerance: int = 12) -> bool:
    """Whether the picture has this colour at a share of its width, halfway down."""
    pixel = np.asarray(image)[image.height // 2, int(x * image.width)].astype(int)
    return bool(np.abs(pixel - colour).max() <= tolerance)


COLOURED: dict[str, Callable[[], bytes]] = {
    "jpeg": lambda: encoded(scene(), "JPEG", quality=95),
    "progressive jpeg": lambda: encoded(scene(), "JPEG", quality=95, progressive=True),
    "cmyk jpeg, inverted as Adobe does": lambda: encoded(scene("CMYK"), "JPEG", quality=95),
    "cmyk tiff": lambda: encoded(scene("CMYK"), "TIFF"),
    "ycbcr tiff": lambda: encoded(scene(), "TIFF", compression="jpeg"),
    "png": lambda: encoded(scene(), "PNG"),
    "palette png": lambda: encoded(scene("P"), "PNG"),
    "palette png with transparency": palette_with_hole,
    "alpha png": lambda: encoded(translucent(), "PNG"),
    "alpha webp": lambda: encoded(translucent(), "WEBP", lossless=True),
    "gif": lambda: encoded(scene(), "GIF"),
    "animated gif": lambda: encoded(
        scene(), "GIF", save_all=True, append_images=[Image.new("RGB", (200, 100), "blue")]
    ),
    "animated webp": lambda: encoded(
        scene(),
        "WEBP",
        save_all=True,
        append_images=[Image.new("RGB", (200, 100), "blue")],
        lossless=True,
    ),
    "animated png": lambda: encoded(
        scene(), "PNG", save_all=True, append_images=[Image.new("RGB", (200, 100), "blue")]
    ),
    "bmp": lambda: encoded(scene(), "BMP"),
    "ppm": lambda: encoded(scene(), "PPM"),
    "jpeg 2000": lambda: encoded(scene(), "JPEG2000"),
    "lzw tiff": lambda: encoded(scene(), "TIFF", compression="tiff_lzw"),
    "two pictures in one jpeg": lambda: encoded(
        scene(), "MPO", quality=95, save_all=True, append_images=[Image.new("RGB", (200, 100))]
    ),
    "jpeg with broken exif": lambda: encoded(scene(), "JPEG", quality=95, exif=b"Exif\0\0no"),
    "jpeg with a colour profile": adobe_rgb,
}


@pytest.mark.parametrize("kind", COLOURED)
def test_every_kind_of_colour_picture_becomes_the_same_rgb(kind: str):
    image = decoded(to_jpeg(COLOURED[kind](), SIDE))
    assert image.size == (2 * SIDE, SIDE)
    assert close(image, 0.25, ORANGE)
    assert close(image, 0.75, (255, 255, 255))


def grey_16_bit() -> bytes:
    values = np.full((100, 200), 65535, np.uint16)
    values[:, :100] = 32768
    return encoded(Image.fromarray(values), "PNG")


def grey_16_bit_big_endian() -> bytes:
    values = np.full((100, 200), 65535, ">u2")
    values[:, :100] = 32768
    return encoded(Image.fromarray(values), "TIFF")


def halves(mode: str) -> Image.Image:
    image = Image.new("L", (200, 100), 255)
    image.paste(128, (0, 0, 100, 100))
    return image.convert(mode)


GREY: dict[str, Callable[[], bytes]] = {
    "grey jpeg": lambda: encoded(halves("L"), "JPEG"),
    "grey png": lambda: encoded(halves("L"), "PNG"),
    "grey and alpha png": lambda: encoded(halves("LA"), "PNG"),
    "16-bit grey png": grey_16_bit,
    "16-bit grey tiff, big-endian": grey_16_bit_big_endian,
    "dithered 1-bit png": lambda: encoded(halves("1"), "PNG"),
    "16-bit pgm": lambda: b"P5 200 100 65535 " + (b"\x80\x00" * 100 + b"\xff\xff" * 100) * 100,
}


@pytest.mark.parametrize("kind", GREY)
def test_every_kind_of_grey_picture_keeps_its_brightness(kind: str):
    pixels = np.asarray(decoded(to_jpeg(GREY[kind](), SIDE))).astype(float)
    assert pixels.shape == (SIDE, 2 * SIDE, 3)
    assert abs(pixels[:, : SIDE - 8].mean() - 128) < 4
    assert pixels[:, SIDE + 8 :].mean() > 250


@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_exif_orientation_is_applied(format: str):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: the left of the file is the top of the picture
    image = decoded(to_jpeg(encoded(scene(), format, exif=exif), SIDE))
    assert image.size == (SIDE, 2 * SIDE)
    pixels = np.asarray(image).astype(int)
    assert np.abs(pixels[SIDE // 2, SIDE // 2] - ORANGE).max() <= 12
    assert pixels[3 * SIDE // 2, SIDE // 2].min() > 243
    assert 0x0112 not in image.getexif()


@pytest.mark.parametrize("orientation", range(1, 10))
def test_every_orientation_is_turned_as_pillow_turns_it(orientation: int):
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 255, (3, 2, 3), np.uint8)).resize((60, 90), 0)
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = encoded(image, "PNG", exif=exif)
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(file)))
    ours = np.asarray(decoded(to_jpeg(file, SIDE * 2))).astype(int)
    assert np.abs(ours - np.asarray(expected)).mean() < 5


def test_a_small_plain_jpeg_keeps_its_bytes():
    jpeg = encoded(scene(size=(90, SIDE)), "JPEG", quality=40)
    assert to_jpeg(jpeg, SIDE) == jpeg


def test_a_small_jpeg_that_is_turned_grey_or_progressive_is_written_anew():
    exif = Image.Exif()
    exif[0x0112] = 3
    small = scene(size=(90, SIDE))
    for options in ({"exif": exif}, {"progressive": True}):
        jpeg = encoded(small, "JPEG", **options)
        assert to_jpeg(jpeg, SIDE) != jpeg
        assert decoded(to_jpeg(jpeg, SIDE)).size == (90, SIDE)
    assert decoded(to_jpeg(encoded(small.convert("L"), "JPEG"), SIDE)).mode == "RGB"


def test_nothing_is_enlarged():
    assert decoded(to_jpeg(encoded(scene(size=(50, 30)), "PNG"), SIDE)).size == (50, 30)


def test_reducing_a_huge_jpeg_in_the_decoder_looks_like_reducing_it_afterwards():
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 255, (20, 30, 3), np.uint8))
    large = coarse.resize((1500, 1000), Image.Resampling.BICUBIC)
    jpeg = encoded(large, "JPEG", quality=95)
    ours = np.asarray(decoded(to_jpeg(jpeg, SIDE))).astype(float)
    plain = Image.open(io.BytesIO(jpeg)).resize((96, 64), Image.Resampling.LANCZOS)
    assert np.abs(ours - np.asarray(plain)).mean() < 2.5


def test_a_wide_gamut_profile_is_converted_to_srgb():
    # A profile whose red is sRGB's blue, made by swapping two tags of the same length.
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    profile = srgb.replace(b"rXYZ", b"TEMP").replace(b"bXYZ", b"rXYZ").replace(b"TEMP", b"bXYZ")
    profile = profile.replace(b"s\0R\0G\0B", b"o\0t\0h\0e").replace(b"sRGB", b"othe")
    image = Image.new("RGB", (100, 100), (200, 30, 30))
    plain = decoded(to_jpeg(encoded(image, "PNG"), SIDE))
    swapped = decoded(to_jpeg(encoded(image, "PNG", icc_profile=profile), SIDE))
    assert close(plain, 0.5, (200, 30, 30))
    assert close(swapped, 0.5, (30, 30, 200), tolerance=20)


def test_a_broken_colour_profile_is_ignored():
    image = decoded(to_jpeg(encoded(scene(), "PNG", icc_profile=b"not a profile"), SIDE))
    assert close(image, 0.25, ORANGE)


def png_header(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    size = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + chunk(b"IDAT", zlib.compress(b"\0" * 999))


def jpeg_of_size(width: int, height: int, **options) -> bytes:
    """A JPEG whose header lies about its size."""
    jpeg = bytearray(encoded(scene(), "JPEG", **options))
    frame = jpeg.index(b"\xff\xc2" if options.get("progressive") else b"\xff\xc0")
    jpeg[frame + 5 : frame + 9] = struct.pack(">HH", height, width)
    return bytes(jpeg)


BAD: dict[str, tuple[Callable[[], bytes], str]] = {
    "nothing": (lambda: b"", "empty file"),
    "text": (lambda: b"Not a picture at all.\n", "not a picture"),
    "web page": (lambda: b"<!DOCTYPE html><html>404</html>", "not a picture"),
    "svg": (lambda: b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a picture"),
    "postscript": (lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a picture"),
    "noise": (lambda: bytes(range(256)) * 40, "not a picture"),
    "zeros": (lambda: b"\0" * 5000, "not a picture"),
    "start of a jpeg": (lambda: encoded(scene(), "JPEG")[:20], "not a picture"),
    "half a jpeg": (lambda: (j := encoded(scene(), "JPEG"))[: len(j) // 2], "truncated"),
    "half a progressive jpeg": (
        lambda: (j := encoded(scene(), "JPEG", progressive=True))[: len(j) // 2],
        "truncated",
    ),
    "half a png": (lambda: (p := encoded(scene(), "PNG"))[: len(p) // 2], "truncated"),
    "half a gif": (lambda: (g := encoded(scene(), "GIF"))[: len(g) // 2], "truncated"),
    "half a webp": (lambda: (w := encoded(scene(), "WEBP"))[: len(w) // 2], "."),
    "half a tiff": (lambda: (t := encoded(scene(), "TIFF"))[: len(t) // 2], "."),
    "png bomb": (lambda: png_header(60_000, 60_000), "more than 100,000,000"),
    "png bomb beyond 31 bits": (lambda: png_header(2**31 - 1, 2**31 - 1), "more than"),
    "jpeg bomb": (lambda: jpeg_of_size(65_000, 65_000), "more than 1,000,000,000"),
    "progressive jpeg bomb": (
        lambda: jpeg_of_size(20_000, 20_000, progressive=True),
        "more than 300,000,000",
    ),
    "ribbon": (lambda: encoded(scene(size=(2000, 20)), "PNG"), "ratio of the sides above 30 to 1"),
    "dot": (lambda: encoded(scene(size=(1, 1)), "PNG"), "1x1 pixels"),
    "no width": (lambda: jpeg_of_size(0, 100), "."),
    "floats": (lambda: encoded(scene("F"), "TIFF"), "floating-point"),
    "huge integers": (
        lambda: encoded(Image.fromarray(np.full((50, 50), 10**9, np.int32)), "TIFF"),
        "32-bit grey values that do not fit",
    ),
    "small integers": (
        lambda: encoded(Image.fromarray(np.full((50, 50), 200, np.int32)), "TIFF"),
        "32-bit grey values up to 255",
    ),
    "png with a wrong checksum": (
        lambda: encoded(scene(), "PNG").replace(b"IHDR", b"IHDR\1", 1),
        ".",
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_file_is_rejected_with_a_reason(kind: str):
    make, reason = BAD[kind]
    with pytest.raises(Rejected, match=reason) as caught:
        to_jpeg(make(), SIDE)
    assert " at 0x" not in str(caught.value)  # an address would differ from run to run


def test_limits_are_settings():
    jpeg = encoded(scene(), "JPEG")
    with pytest.raises(Rejected, match="more than 100"):
        to_jpeg(jpeg, SIDE, Limits(max_pixels=100))
    with pytest.raises(Rejected, match=r"a ratio of the sides above 1\.5 to 1"):
        to_jpeg(jpeg, SIDE, Limits(max_aspect=1.5))
    with pytest.raises(Rejected, match="bytes, more than 10"):
        to_jpeg(jpeg, SIDE, Limits(max_bytes=10))


def test_a_picture_that_is_too_large_names_the_parameter_that_raises_the_limit():
    for limits, parameter, file in (
        (Limits(max_pixels=100), "max_megapixels", encoded(scene(), "JPEG")),
        (Limits(max_pixels_whole=100), "max_megapixels_whole", encoded(scene(), "PNG")),
    ):
        with pytest.raises(Rejected, match=f"raise `{parameter}`$") as caught:
            to_jpeg(file, SIDE, limits)
        assert caught.value.reason == f"200x100 pixels, more than {100:,}"
        assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_a_progressive_jpeg_may_have_three_times_as_many_pixels_if_it_is_reduced():
    limits = Limits(max_pixels_whole=8000)  # the scene has 20,000
    jpeg = encoded(scene(), "JPEG", progressive=True, quality=95)
    assert close(decoded(to_jpeg(jpeg, 50, limits)), 0.25, ORANGE)
    with pytest.raises(Rejected, match="more than 8,000"):
        to_rgb(jpeg, limits=limits)


def test_a_picture_keeps_its_size_unless_a_side_is_given():
    png = encoded(scene(), "PNG")
    assert to_rgb(png).size == (200, 100)
    assert to_rgb(png, side=50).size == (100, 50)
    assert to_rgb(png, side=500).size == (200, 100)
    assert to_rgb(png).info == {}


def test_sidecar_files_are_no_pictures(tmp_path: Path):
    for name in (
        *("a.jpg", "b/c.PNG", "notes.txt", "._a.jpg", ".hidden.png", "b/.thumbs/d.jpg"),
        *(".ipynb_checkpoints/a-checkpoint.jpg", "__MACOSX/._a.jpg", "__MACOSX/b/e.jpg"),
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    pictures, ignored = picture_files(tmp_path)
    assert pictures == [tmp_path / "a.jpg", tmp_path / "b/c.PNG"]
    assert ignored == {"hidden files and folders": 5, "files without a picture's suffix": 1}


def test_threads_leave_pillow_s_limit_and_the_warnings_as_they_were():
    limit, filters = Image.MAX_IMAGE_PIXELS, list(warnings.filters)
    files = [encoded(scene(), "PNG"), b"no picture"] * 20

    def try_to_decode(file: bytes) -> None:
        with suppress(Rejected):
            to_jpeg(file, SIDE)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(try_to_decode, files))
    assert limit == Image.MAX_IMAGE_PIXELS and filters == list(warnings.filters)


def test_a_missing_file_is_rejected_without_its_path(tmp_path: Path):
    with pytest.raises(Rejected) as caught:
        to_jpeg(tmp_path / "gone.jpg", SIDE)
    assert str(caught.value) == "No such file or directory"


def test_the_limit_of_the_caller_s_pillow_is_left_alone():
    before = Image.MAX_IMAGE_PIXELS
    to_jpeg(encoded(scene(), "PNG"), SIDE)
    with pytest.raises(Rejected):
        to_jpeg(b"", SIDE)
    assert before == Image.MAX_IMAGE_PIXELS
