"""Plain shapes, drawn into a scene.

Points are in the unit square, y downwards; colours are RGB (3,) in [0, 255].
"""

from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike
from PIL import ImageDraw

Colour = np.ndarray  # (3,)


ANGLES = np.linspace(0, 2 * np.pi, 24, endpoint=False)


CIRCLE = np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1)  # (24, 2)


class Palette(NamedTuple):
    """The ten colours of a painting, named after what they colour in a landscape."""

    high: Colour
    """The sky at the top."""
    low: Colour
    """The sky at the horizon."""
    light: Colour
    far: Colour
    """The ground at the horizon; `mid` and `near` follow in front of it."""
    mid: Colour
    near: Colour
    water: Colour
    accent: Colour
    second: Colour
    """A second accent."""
    dark: Colour


class Scene(NamedTuple):
    """A painting that is being composed."""

    pen: ImageDraw.ImageDraw
    """Draws into a square image."""
    colours: Palette
    rng: Generator
    lit: float
    """The side that the light comes from: -1 left, 1 right."""


def mix(a: Colour, b: Colour, t: float) -> Colour:
    """Mix two colours: `a` if t is 0, `b` if it is 1."""
    return a + (b - a) * t


def poly(
    scene: Scene, colour: Colour, points: ArrayLike, at: ArrayLike = 0.0, scale: ArrayLike = 1.0
) -> None:
    """Fill a polygon; its points (N, 2) are multiplied by `scale`, then moved by `at`."""
    outline = (np.asarray(points) * np.asarray(scale) + np.asarray(at)) * scene.pen.im.size[0]
    scene.pen.polygon(outline.ravel().tolist(), fill=tuple(map(int, colour)))


def box(scene: Scene, colour: Colour, x0: float, y0: float, x1: float, y1: float) -> None:
    """Fill a rectangle."""
    side = scene.pen.im.size[0]
    corners = min(x0, x1) * side, y0 * side, max(x0, x1) * side, y1 * side
    scene.pen.rectangle(corners, fill=tuple(map(int, colour)))


def oval(
    scene: Scene, colour: Colour, x: float, y: float, rx: float, ry: float, tilt: float = 0.0
) -> None:
    """Fill an ellipse with radii `rx` and `ry`, turned by `tilt` radians."""
    cos, sin = np.cos(tilt), np.sin(tilt)
    poly(scene, colour, CIRCLE @ [[rx * cos, rx * sin], [-ry * sin, ry * cos]], (x, y))


def ribbon(scene: Scene, colour: Colour, path: np.ndarray, half: np.ndarray) -> None:
    """Fill a band around a path (N, 2); `half` (N, 2) leads from the path to one edge."""
    poly(scene, colour, np.concatenate([path - half, (path + half)[::-1]]))


def ridge(scene: Scene, colour: Colour, base: float, height: float, octaves: int = 4) -> None:
    """Fill hills: a wavy line across the picture, and everything below it."""
    x, k = np.linspace(-0.05, 1.05, 48), np.arange(octaves)[:, None]
    pace, start = scene.rng.uniform((2, 0), (4, 2 * np.pi), (octaves, 2)).T[..., None]
    y = base - height * (0.5 + 0.5 * (np.sin(x * pace * 2**k + start) / 1.9**k).sum(axis=0))
    poly(scene, colour, [*np.stack([x, y], axis=1), (1.05, 1.1), (-0.05, 1.1)])


def gradient(scene: Scene, top: float, bottom: float, a: Colour, b: Colour) -> None:
    """Fill the full width between two heights, from colour `a` down to colour `b`."""
    for t in np.linspace(0, 1, 32):
        box(scene, mix(a, b, t), 0, top + (bottom - top) * t * 31 / 32, 1, bottom)


def ball(scene: Scene, colour: Colour, x: float, y: float, r: float) -> None:
    """Draw a sphere, from its shaded to its lit side."""
    light, dark = scene.colours.light, scene.colours.dark
    tones = mix(colour, dark, 0.5), colour, mix(colour, light, 0.25), mix(colour, light, 0.6)
    for tone, size in zip(tones, (1, 0.75, 0.46, 0.18), strict=True):
        shift = 0.45 * r * (1 - size)
        oval(scene, tone, x + scene.lit * shift, y - shift, r * size, r * size)


def flower(scene: Scene, colour: Colour, x: float, y: float, r: float) -> None:
    """Draw a flower of six petals."""
    tilt = scene.rng.uniform(0, 1)
    for k, (u, v) in enumerate(0.55 * r * CIRCLE[::4]):
        tone = mix(colour, scene.colours.dark, 0.3) if scene.lit * u < -0.3 * r else colour
        oval(scene, tone, x + u, y + v, 0.6 * r, 0.4 * r, np.pi / 3 * k + tilt)
    oval(scene, mix(scene.colours.second, scene.colours.dark, 0.4), x, y, 0.3 * r, 0.3 * r)


def pick(rng: Generator, *choices: Colour) -> Colour:
    """Choose one of some colours at random."""
    return choices[rng.integers(len(choices))]
