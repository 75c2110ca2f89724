"""Handlings: functions that turn a composition of plain shapes into paint.

Each takes and returns pixels (S, S, 3), float32 in [0, 255] or a little beyond, and draws from a
random number generator. What costs time and does not depend on the composition is made once for
each S, on a canvas of T = 1.5 S pixels a side, and each painting takes a random window of it.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw, ImageFilter

from brushwork.data.synthetic.shapes import CIRCLE


@dataclass(frozen=True)
class Touch:
    """A brush and its strokes: lengths in sides of the painting, angles in degrees."""

    length: float
    """Length of a stroke."""
    width: float
    """Width of a stroke."""
    angle: float = 0.0
    """Mean direction; 0 is horizontal."""
    spread: float = 10.0
    """Standard deviation of the direction."""
    bristles: int = 1
    """Streaks in a stroke; a stroke of one is an oval."""
    swirl: bool = False
    """Strokes follow a swirling flow instead of one direction."""
    facets: bool = False
    """Triangles that share their corners, `length` wide, instead of strokes."""
    hue: float = 6.0
    """Standard deviation of a stroke's red, green and blue, each on its own."""
    tone: float = 8.0
    """Standard deviation of a stroke's brightness."""
    relief: float = 0.0
    """Strength of the light and shade on the paint's surface."""


def _window(texture: np.ndarray, side: int, corner: np.ndarray) -> np.ndarray:
    """Cut a square of `side` pixels from a canvas; `corner` (2,) in [0, 1) chooses which."""
    top, left = (corner * (len(texture) - side)).astype(int)
    return texture[top : top + side, left : left + side]


def _stroke_outlines(touch: Touch, rng: Generator) -> tuple[np.ndarray, np.ndarray]:
    """Place strokes: return their centres (K, 2), and their bristles' outlines (K, B, P, 2)."""
    num = int(2.5 * 1.5**2 / (touch.length * touch.width))
    middles = rng.uniform(0, 1.5, (num, 2))
    angles = np.radians(touch.angle + touch.spread * rng.normal(size=num))
    if touch.swirl:
        waves = rng.normal(0, 4.5, (6, 2))
        flow = np.cos(middles @ waves.T + rng.uniform(0, 6.3, 6)) @ waves
        angles += np.arctan2(-0.8 * flow[:, 0], flow[:, 1])
    along = np.stack([np.cos(angles), np.sin(angles)], axis=1)[:, None, None]
    across = np.stack([-np.sin(angles), np.cos(angles)], axis=1)[:, None, None]
    if touch.bristles == 1:
        u, v = (CIRCLE[::2] * (touch.length / 2, touch.width / 2)).T[..., None]
    else:
        reach = rng.uniform(0.75, 1.25, (num, touch.bristles, 2)) * touch.length / 2
        u = np.stack([-reach[..., 0], reach[..., 1], reach[..., 1], -reach[..., 0]], -1)[..., None]
        lanes = np.linspace(-1, 1, touch.bristles + 1) * touch.width / 2
        v = np.stack([lanes[:-1], lanes[:-1], lanes[1:], lanes[1:]], axis=-1)[..., None]
    return middles, middles[:, None, None] + u * along + v * across


def _facet_outlines(touch: Touch, rng: Generator) -> tuple[np.ndarray, np.ndarray]:
    """Place triangles that share corners: return centres (K, 2) and outlines (K, 1, 3, 2)."""
    num = int(1.5 / touch.length) + 3
    grid = np.stack(np.meshgrid(np.arange(num), np.arange(num)), axis=-1) - 1.0
    p = (grid + rng.uniform(-0.42, 0.42, grid.shape)) * touch.length
    a, b, c, d = (q.reshape(-1, 2) for q in (p[:-1, :-1], p[:-1, 1:], p[1:, 1:], p[1:, :-1]))
    outlines = np.concatenate([np.stack([a, b, c], axis=1), np.stack([a, c, d], axis=1)])
    return outlines.mean(axis=1), outlines[:, None]


@lru_cache(maxsize=64)
def _touches(touch: Touch, side: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Draw many overlapping strokes on a canvas.

    Returns:
        The number of the bristle that each pixel shows, 0 for none (T, T); the middle of each
        bristle as row and column in pixels (K, 2); its change of colour (K, 3); the light on the
        paint (T, T).
    """
    rng = np.random.default_rng(11)
    middles, outlines = (_facet_outlines if touch.facets else _stroke_outlines)(touch, rng)
    canvas = Image.new("I", (side * 3 // 2, side * 3 // 2))
    pen = ImageDraw.Draw(canvas)
    for number, outline in enumerate((outlines * side).reshape(-1, outlines.shape[2] * 2).tolist()):
        pen.polygon(outline, fill=number + 1)
    shown = np.asarray(canvas)
    num, bristles = outlines.shape[:2]
    change = touch.hue * rng.normal(size=(num, 3)) + touch.tone * rng.normal(size=(num, 1))
    change = np.repeat(change, bristles, axis=0)
    change += 0.6 * touch.tone * rng.normal(size=(len(change), 1)) * (bristles > 1)
    change = np.pad(change, ((1, 0), (0, 0)))
    middles = np.pad(np.repeat(middles, bristles, axis=0), ((1, 0), (0, 0)))
    if touch.facets:
        tilt = rng.normal(size=middles.shape)[shown]
        place = np.stack(np.meshgrid(*[np.arange(len(shown))] * 2), axis=-1) / side
        light = ((place - middles[shown]) * tilt).sum(axis=-1) / touch.length
    else:
        height = rng.normal(size=len(middles))[shown]
        light = np.clip(height - np.roll(height, (1, 1), (0, 1)), -2, 2)
    rows = (middles[:, ::-1] * side).astype(np.float32)
    return shown, rows, change.astype(np.float32), (touch.relief * light).astype(np.float32)


def strokes(
    pixels: np.ndarray, rng: Generator, broad: Touch, fine: Touch | None = None
) -> np.ndarray:
    """Cover the picture with broad strokes, then its details with fine ones."""
    side, painted = len(pixels), pixels
    for touch in filter(None, (broad, fine)):
        corner = rng.random(2)
        shown, middles, change, relief = _touches(touch, side)
        row, column = np.clip(middles - corner * (len(shown) - side), 0, side - 1).astype(int).T
        layer, light = _window(shown, side, corner), _window(relief, side, corner)
        visible = np.arange(len(middles)) > 0
        if touch is fine:
            visible &= _detail(pixels)[row, column]
        laid = np.take(pixels[row, column] + change, layer, axis=0) + light[..., None]
        painted = np.where(visible[layer][..., None], laid, painted)
    return painted


def _detail(pixels: np.ndarray) -> np.ndarray:
    """Find where the picture changes within a 64th of its side: bool (S, S)."""
    gray, step = pixels.mean(axis=2), max(1, len(pixels) // 64)
    detail = np.zeros(gray.shape, bool)
    detail[:, step:-step] = np.abs(gray[:, 2 * step :] - gray[:, : -2 * step]) > 14
    detail[step:-step] |= np.abs(gray[2 * step :] - gray[: -2 * step]) > 14
    return detail


@lru_cache(maxsize=16)
def _noise(side: int, cells: tuple[int, int], octaves: int = 1) -> np.ndarray:
    """Draw smooth noise with mean 0 on a canvas (T, T), with `cells` bumps per side."""
    rng = np.random.default_rng(12)
    size = (side * 3 // 2, side * 3 // 2)
    total = np.zeros(size, np.float32)
    for k in range(octaves):
        across, down = (int(n * 1.5) * 2**k for n in cells)
        bumps = rng.normal(size=(down, across)).astype(np.float32) / 1.6**k
        total += np.asarray(Image.fromarray(bumps).resize(size, Image.Resampling.BICUBIC))
    return total


def grain(pixels: np.ndarray, rng: Generator, cells: tuple[int, int], amount: float) -> np.ndarray:
    """Add the texture of paper, canvas or wood."""
    side = len(pixels)
    return pixels + amount * _window(_noise(side, cells), side, rng.random(2))[..., None]


def _blur(pixels: np.ndarray, radius: float) -> np.ndarray:
    """Blur with a box filter; the radius is in sides of the painting."""
    image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    return np.asarray(image.filter(ImageFilter.BoxBlur(radius * len(pixels))), np.float32)


def soften(pixels: np.ndarray, _: Generator, radius: float) -> np.ndarray:
    """Blur the whole picture; the radius is in sides of the painting."""
    return _blur(pixels, radius)


def outline(
    pixels: np.ndarray, _: Generator, ink: tuple[int, int, int], width: float
) -> np.ndarray:
    """Draw ink lines where flat colours meet."""
    step = max(1, round(width * len(pixels)))
    gray = pixels @ np.array([0.5, 0.3, 0.2], np.float32)
    edge = np.zeros(gray.shape, np.float32)
    edge[:, step:] = np.abs(gray[:, step:] - gray[:, :-step])
    edge[step:] = np.maximum(edge[step:], np.abs(gray[step:] - gray[:-step]))
    strength = np.clip((edge - 22) / 16, 0, 1) * np.clip(width * len(pixels), 0.45, 0.9)
    return pixels + (np.array(ink, np.float32) - pixels) * strength[..., None]


def wash(pixels: np.ndarray, rng: Generator) -> np.ndarray:
    """Imitate watercolour: thin colour on white paper that runs and collects at edges."""
    side, at = len(pixels), np.arange(len(pixels))
    noise = _window(_noise(side, (5, 5), 4), side, rng.random(2))
    pull = (noise * 0.012 * side).astype(int)
    bled = pixels[(at[:, None] + pull).clip(0, side - 1), (at + pull.T).clip(0, side - 1)]
    wet = 0.5 * _blur(bled, 0.012) + 0.5 * bled + 0.5 * (bled - _blur(bled, 0.03))
    return 252 - (252 - wet) * np.clip(0.88 + 0.14 * noise, 0.3, 1.15)[..., None]


@lru_cache(maxsize=16)
def _lines(side: int, angle: float, pitch: int) -> np.ndarray:
    """Draw slightly uneven parallel lines (T, T): 0 on a line, 1 halfway between two."""
    x, y = np.meshgrid(*[np.arange(side * 3 // 2) / side] * 2)
    way = x * np.cos(angle) + y * np.sin(angle) + 0.005 * _noise(side, (6, 6))
    return np.abs((way * pitch) % 1 * 2 - 1).astype(np.float32)


def hatch(pixels: np.ndarray, rng: Generator, ink: tuple[int, int, int], tint: float) -> np.ndarray:
    """Draw ink lines on tinted paper; where the picture is darker, they are wider and cross."""
    side, gray, pitch = len(pixels), pixels.mean(axis=2), 44
    cover = np.zeros_like(gray)
    for level, angle in ((212, 0.9), (140, -0.7), (70, 0.1)):
        width = np.clip((level - gray) / 165, 0, 0.52)
        line = _window(_lines(side, angle, pitch), side, rng.random(2))
        drawn = np.clip((width - line) * side / pitch / 2 + 0.5, 0, 1) * (width > 0.04)
        cover = np.maximum(cover, drawn)
    paper = np.array([240, 228, 200], np.float32)
    ground = paper + (pixels - paper) * tint
    return ground + (np.array(ink, np.float32) - ground) * (0.9 * cover[..., None])


def spotlight(pixels: np.ndarray, rng: Generator) -> np.ndarray:
    """Light the middle warmly, and darken the rest."""
    x = np.arange(len(pixels), dtype=np.float32) / len(pixels)
    centre, spread = rng.uniform((0.3, 0.3), (0.7, 0.55)), rng.uniform(0.08, 0.14)
    across, down = (np.exp(-((x - middle) ** 2) / spread) for middle in centre.astype(np.float32))
    fall = (down[:, None] * across)[..., None]
    return pixels * (0.45 + 0.95 * fall) + fall * np.array([16, 9, -4], np.float32)
