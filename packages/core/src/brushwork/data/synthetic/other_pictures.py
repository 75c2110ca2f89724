"""Pictures that are no paintings: plain sheets, noise, text, charts, patterns, photographs.

A classifier of artists must not name an artist for these. `brushwork.classifier.finish` draws them
to learn what "none of these artists" looks like. N pictures, S side of a picture in pixels.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

Pixels = NDArray[np.uint8]
LETTERS = np.array([*"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,;:-()%"])


def other_picture(number: int, side: int, seed: int = 0) -> Pixels:
    """Draw a picture that is no painting.

    Args:
        number: the kinds take turns, so consecutive numbers have different kinds.
        side: S, at least 8.
        seed: decides all details, with the number.

    Returns:
        (S, S, 3) uint8.
    """
    rng = np.random.default_rng((seed, number))
    return KINDS[number % len(KINDS)](side, rng)


def plain(side: int, rng: np.random.Generator) -> Pixels:
    """Draw a sheet of one colour, often nearly white, with faint shading and grain."""
    colour = rng.uniform(200, 255, 3) if rng.random() < 0.5 else rng.uniform(0, 255, 3)
    if rng.random() < 0.5:
        colour = np.full(3, colour.mean())  # white, grey or black
    shading = _ramp(side, rng) * rng.uniform(0, 25)
    grain = rng.normal(0, rng.choice([0.0, 1.0, 4.0]), (side, side, 1))
    return _pixels(colour + shading + grain)


def ramp(side: int, rng: np.random.Generator) -> Pixels:
    """Draw a gradient between two colours."""
    first, second = rng.uniform(0, 255, (2, 3))
    return _pixels(first + (second - first) * _ramp(side, rng))


def noise(side: int, rng: np.random.Generator) -> Pixels:
    """Draw noise in grey or in colour, from fine grain to clouds."""
    cells = min(side, int(rng.choice([side, side, side // 2, side // 8, 6])))
    values = rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8)
    if rng.random() < 0.4:
        values[:] = values[..., :1]
    filters = (Image.Resampling.NEAREST, Image.Resampling.BICUBIC)
    image = Image.fromarray(values).resize((side, side), filters[rng.integers(2)])
    return np.asarray(image)


def pattern(side: int, rng: np.random.Generator) -> Pixels:
    """Draw stripes, a chessboard or rings in two colours."""
    first, second = rng.uniform(0, 255, (2, 3))
    y, x = np.mgrid[:side, :side] - side / 2
    period = rng.uniform(0.03, 0.3) * side
    angle = rng.uniform(0, np.pi)
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    waves = (
        np.sin(2 * np.pi * along / period),
        np.sin(2 * np.pi * along / period) * np.sin(2 * np.pi * across / period),
        np.sin(2 * np.pi * np.hypot(x, y) / period),
    )
    is_first = waves[rng.integers(3)] > 0
    return _pixels(np.where(is_first[..., None], first, second))


def text(side: int, rng: np.random.Generator) -> Pixels:
    """Draw a page of text: dark on light, or light on dark."""
    dark, light = rng.integers(0, 70, 3), rng.integers(215, 256, 3)
    if rng.random() < 0.2:
        dark, light = light, dark
    image = Image.new("RGB", (side, side), tuple(light.tolist()))
    pen, size = ImageDraw.Draw(image), max(5, round(side * rng.uniform(0.03, 0.09)))
    font, margin = ImageFont.load_default(size), rng.uniform(0.01, 0.12) * side
    y = margin
    while y < side - margin:
        length = rng.integers(1, 60)
        line = "".join(rng.choice(LETTERS, length)) if rng.random() < 0.9 else ""
        words = " ".join(line[i : i + 6] for i in range(0, len(line), 6))
        pen.text((margin, y), words, fill=tuple(dark.tolist()), font=font)
        y += size * rng.uniform(1.1, 1.6)
    return np.asarray(image)


def chart(side: int, rng: np.random.Generator) -> Pixels:
    """Draw a diagram or a screen: rectangles, discs and lines of plain colours."""
    ground = rng.integers(225, 256, 3) if rng.random() < 0.7 else rng.integers(0, 256, 3)
    image = Image.new("RGB", (side, side), tuple(ground.tolist()))
    pen = ImageDraw.Draw(image)
    for _ in range(rng.integers(3, 25)):
        colour = tuple(rng.integers(0, 256, 3).tolist())
        (x0, x1), (y0, y1) = np.sort(rng.uniform(0, side, (2, 2)))
        kind = rng.integers(3)
        if kind == 0:
            pen.rectangle((x0, y0, x1, y1), fill=colour)
        elif kind == 1:
            pen.ellipse((x0, y0, x1, y1), outline=colour, width=max(1, side // 80))
        else:
            pen.line((x0, y0, x1, y1), fill=colour, width=max(1, side // 100))
    return np.asarray(image)


def photograph(side: int, rng: np.random.Generator) -> Pixels:
    """Draw a stand-in for a photograph: a sharp shaded body before a blurred ground, with noise."""
    base, colour = rng.uniform(40, 215), rng.uniform(0.1, 1)
    blots = base + colour * rng.uniform(-110, 110, (5, 5, 3)) + rng.uniform(-60, 60, (5, 5, 1))
    ground = Image.fromarray(blots.round().clip(0, 255).astype(np.uint8))
    ground = ground.resize((side, side), Image.Resampling.BICUBIC)
    ground = ground.filter(ImageFilter.GaussianBlur(side / 20))
    body = Image.new("L", (side, side), 0)
    pen, (cx, cy) = ImageDraw.Draw(body), rng.uniform(0.3, 0.7, 2) * side
    for _ in range(rng.integers(2, 7)):  # a body of ellipses: head, ears, trunk
        x, y = cx + rng.normal(0, 0.12 * side), cy + rng.normal(0, 0.12 * side)
        rx, ry = rng.uniform(0.06, 0.28, 2) * side
        pen.ellipse((x - rx, y - ry, x + rx, y + ry), fill=255)
    fur = rng.normal(0, rng.uniform(0, 25), (side, side // 4, 1)).repeat(4, axis=1)[:, :side]
    fur = np.pad(fur, ((0, 0), (0, side - fur.shape[1]), (0, 0)))
    shaded = (
        rng.uniform(40, 210) + colour * rng.uniform(-80, 80, 3) + 60 * _ramp(side, rng) - 30 + fur
    )
    mask = np.asarray(body.filter(ImageFilter.GaussianBlur(1)))[..., None] / 255
    grain = rng.normal(0, rng.uniform(0, 6), (side, side, 1))
    return _pixels(mask * shaded + (1 - mask) * np.asarray(ground) + grain)


KINDS: tuple[Callable[[int, np.random.Generator], Pixels], ...] = (
    plain,
    ramp,
    noise,
    pattern,
    text,
    chart,
    photograph,
)


def _ramp(side: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Compute a plane (S, S, 1) that rises from 0 to 1 in a random direction."""
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[:side, :side] / (side - 1)
    plane = x * np.cos(angle) + y * np.sin(angle)
    return ((plane - plane.min()) / np.ptp(plane))[..., None]


def _pixels(values: NDArray[np.floating]) -> Pixels:
    side = values.shape[0]
    return np.broadcast_to(values, (side, side, 3)).round().clip(0, 255).astype(np.uint8)
