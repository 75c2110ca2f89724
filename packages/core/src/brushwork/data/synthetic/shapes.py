"""data.synthetic.shapes."""

from collections import namedtuple
from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike
from PIL import ImageDraw

Colour = np.ndarray  # (3,)


Palette = namedtuple("Palette", "high low light far mid near water accent second dark")


TURN = np.linspace(0, 2 * np.pi, 24, endpoint=False)


CIRCLE = np.stack([np.cos(TURN), np.sin(TURN)], axis=1)  # (24, 2)


class Scene(NamedTuple):
    """What a painting is composed with."""

    pen: ImageDraw.ImageDraw
    colours: Palette
    rng: Generator
    lit: float
    """Where the light comes from: -1 the left, 1 the right."""


# Shapes.
def mix(a: Colour, b: Colour, t: float) -> Colour:
    return a + (b - a) * t


def poly(
    scene: Scene, colour: Colour, points: ArrayLike, at: ArrayLike = 0.0, scale: ArrayLike = 1.0
) -> None:
    outline = (np.asarray(points) * np.asarray(scale) + np.asarray(at)) * scene.pen.im.size[0]
    scene.pen.polygon(outline.ravel().tolist(), fill=tuple(map(int, colour)))


def box(scene: Scene, colour: Colour, x0: float, y0: float, x1: float, y1: float) -> None:
    side = scene.pen.im.size[0]
    corners = min(x0, x1) * side, y0 * side, max(x0, x1) * side, y1 * side
    scene.pen.rectangle(corners, fill=tuple(map(int, colour)))


def oval(
    scene: Scene, colour: Colour, x: float, y: float, rx: float, ry: float, tilt: float = 0.0
) -> None:
    cos, sin = np.cos(tilt), np.sin(tilt)
    poly(scene, colour, CIRCLE @ [[rx * cos, rx * sin], [-ry * sin, ry * cos]], (x, y))


def ribbon(scene: Scene, colour: Colour, path: np.ndarray, half: np.ndarray) -> None:
    """Fill between `path - half` and `path + half`, both (N, 2)."""
    poly(scene, colour, np.concatenate([path - half, (path + half)[::-1]]))


def ridge(scene: Scene, colour: Colour, base: float, height: float, octaves: int = 4) -> None:
    """A rolling skyline across the picture and all below it."""
    x, k = np.linspace(-0.05, 1.05, 48), np.arange(octaves)[:, None]
    pace, start = scene.rng.uniform((2, 0), (4, 2 * np.pi), (octaves, 2)).T[..., None]
    y = base - height * (0.5 + 0.5 * (np.sin(x * pace * 2**k + start) / 1.9**k).sum(axis=0))
    poly(scene, colour, [*np.stack([x, y], axis=1), (1.05, 1.1), (-0.05, 1.1)])


def gradient(scene: Scene, top: float, bottom: float, a: Colour, b: Colour) -> None:
    for t in np.linspace(0, 1, 32):
        box(scene, mix(a, b, t), 0, top + (bottom - top) * t * 31 / 32, 1, bottom)


def ball(scene: Scene, colour: Colour, x: float, y: float, r: float) -> None:
    """A round thing, from its shaded to its lit side."""
    light, dark = scene.colours.light, scene.colours.dark
    tones = mix(colour, dark, 0.5), colour, mix(colour, light, 0.25), mix(colour, light, 0.6)
    for tone, size in zip(tones, (1, 0.75, 0.46, 0.18), strict=True):
        shift = 0.45 * r * (1 - size)
        oval(scene, tone, x + scene.lit * shift, y - shift, r * size, r * size)


def flower(scene: Scene, colour: Colour, x: float, y: float, r: float) -> None:
    tilt = scene.rng.uniform(0, 1)
    for k, (u, v) in enumerate(0.55 * r * CIRCLE[::4]):
        tone = mix(colour, scene.colours.dark, 0.3) if scene.lit * u < -0.3 * r else colour
        oval(scene, tone, x + u, y + v, 0.6 * r, 0.4 * r, np.pi / 3 * k + tilt)
    oval(scene, mix(scene.colours.second, scene.colours.dark, 0.4), x, y, 0.3 * r, 0.3 * r)


def pick(rng: Generator, *choices: Colour) -> Colour:
    return choices[rng.integers(len(choices))]
