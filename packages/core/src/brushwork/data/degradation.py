"""Show paintings as the reproductions of other collections would show them.

Collections photograph, crop, resize, sharpen and compress paintings in different ways. A classifier
that was trained on one collection learns its compression and sharpness as well as its paintings.
Random degradations of the training pictures prevent this, as they do for super-resolution (Wang et
al. 2021, "Real-ESRGAN", section 3; there with much stronger degradations).

H height, W width of a picture.
"""

import io
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageFilter

Pixels = NDArray[np.uint8]
Change = Callable[[Image.Image, np.random.Generator], Image.Image]

FILTERS = (
    Image.Resampling.BOX,
    Image.Resampling.BILINEAR,
    Image.Resampling.BICUBIC,
    Image.Resampling.LANCZOS,
)


def degrade(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Show a painting as another collection might show it.

    Each kind of change is made with its own probability, in the order in which a reproduction is
    made: framing, tones, size, sharpness, compression.

    Args:
        pixels: (H, W, 3) uint8.
        rng: decides every change.

    Returns:
        (H, W, 3) uint8.
    """
    image = Image.fromarray(pixels)
    for probability, change in CHANGES:
        if rng.random() < probability:
            image = change(image, rng)
    return np.array(image)  # a copy, because Pillow's own pixels are read-only


class Degraded:
    """Prepared pixels, degraded when they are read: rows (N,) to pictures (N, S, S, 3).

    Args:
        pixels: (M, S, S, 3) uint8.
        seed: with the row, it decides how a painting is degraded.
    """

    def __init__(self, pixels: Pixels, seed: int) -> None:
        self.pixels, self.seed = pixels, seed

    def __getitem__(self, rows: NDArray[np.int64]) -> Pixels:
        """Read the paintings (N, S, S, 3) of rows (N,)."""
        return np.stack(
            [degrade(self.pixels[row], np.random.default_rng((self.seed, row))) for row in rows]
        )


def reframe(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Cut up to 6 % off each side, rotate by up to 2 degrees, or add a plain border; keep the size.

    The four sides are cut independently, so the proportions of the painting change slightly.
    """
    width, height = image.size
    left, right, top, bottom = rng.uniform(0, 0.06, 4) * (width, width, height, height)
    angle = rng.uniform(-2, 2) if rng.random() < 0.3 else 0.0
    if angle:  # turn about the centre; the cut removes most of the empty corners
        image = image.rotate(angle, Image.Resampling.BICUBIC, fillcolor=_mean_colour(image))
    box = (left, top, width - right, height - bottom)
    image = image.resize((width, height), Image.Resampling.BICUBIC, box=box)
    if rng.random() < 0.2:
        image = _with_border(image, rng)
    return image


def retone(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Change gamma, contrast, white balance and saturation."""
    gamma = np.exp(rng.normal(0, 0.15))
    contrast = np.exp(rng.normal(0, 0.1))
    gains = np.exp(rng.normal(0, 0.05, 3))
    levels = np.linspace(0, 1, 256) ** gamma
    curve = (levels - 0.5) * contrast + 0.5
    table = (np.outer(gains, curve) * 255).round().clip(0, 255).astype(np.uint8)
    toned = image.point(table.ravel().tolist())
    return ImageEnhance.Color(toned).enhance(rng.uniform(0.6, 1.4))


def resample(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Reduce to between 37 and 100 % of the width and of the height, and enlarge again.

    Width and height differ, because pictures that are squashed to squares had other proportions.
    """
    scale, stretch = np.exp(rng.uniform(np.log(0.45), 0)), np.exp(rng.uniform(-0.2, 0.2))
    width, height = image.size
    small = (
        max(1, min(width, round(width * scale * stretch))),
        max(1, min(height, round(height * scale / stretch))),
    )
    down, up = FILTERS[rng.integers(4)], FILTERS[rng.integers(1, 4)]  # a box enlarges to blocks
    return image.resize(small, down).resize((width, height), up)


def refocus(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Blur by up to 1.2 pixels, or sharpen with an unsharp mask."""
    if rng.random() < 0.5:
        return image.filter(ImageFilter.GaussianBlur(rng.uniform(0.2, 1.2)))
    radius, percent = rng.uniform(0.5, 2), int(rng.integers(30, 180))
    return image.filter(ImageFilter.UnsharpMask(radius, percent, threshold=0))


def recompress(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Save as JPEG with a quality between 30 and 97, with or without halved chroma."""
    file = io.BytesIO()
    subsampling = 2 if rng.random() < 0.6 else 0
    image.save(file, "JPEG", quality=int(rng.integers(30, 98)), subsampling=subsampling)
    return Image.open(file, formats=["JPEG"]).convert("RGB")


CHANGES: tuple[tuple[float, Change], ...] = (
    (0.6, reframe),
    (0.7, retone),
    (0.7, resample),
    (0.4, refocus),
    (0.7, recompress),
)
"""The kinds of change, in their order, and the probability of each."""


def _mean_colour(image: Image.Image) -> tuple[int, ...]:
    return tuple(int(level) for level in np.asarray(image).mean((0, 1)))


def _with_border(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Shrink a picture and put it on a plain ground: white, black or a random colour."""
    width, height = image.size
    ground = [(255, 255, 255), (0, 0, 0), tuple(int(x) for x in rng.integers(0, 256, 3))]
    framed = Image.new("RGB", image.size, ground[rng.integers(3)])
    margin = rng.uniform(0.01, 0.05)
    x, y = round(margin * width), round(margin * height)
    framed.paste(image.resize((width - 2 * x, height - 2 * y), Image.Resampling.BICUBIC), (x, y))
    return framed
