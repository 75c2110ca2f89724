"""Paintings drawn by code: the embedded default data.

Invented artists, each with a palette and a way of handling paint, paint landscapes, portraits,
still lifes and abstracts. A painting is composed in plain shapes from its artist's palette and then
goes through the artist's handlings: strokes laid over it, each in the colour below its middle and
finer ones over the details (Hertzmann 1998), or washes, hatching and outlines.

A painting depends on its index and the seed alone, not on how many there are, and is the same
picture at every side. Points are in the unit square, y downwards; colours are RGB in [0, 255].
"""

from collections import namedtuple
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike
from PIL import Image, ImageDraw, ImageFilter

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


@dataclass(frozen=True)
class Touch:
    """A brush and how it moves: lengths in sides of the painting, angles in degrees."""

    length: float
    width: float
    angle: float = 0.0
    spread: float = 10.0
    """Standard deviation of the angle."""
    bristles: int = 1
    """Streaks in a stroke; one makes an oval dab."""
    swirl: bool = False
    """Follow a whirling flow instead of one angle."""
    facets: bool = False
    """Triangles that meet, `length` across, instead of strokes."""
    hue: float = 6.0
    tone: float = 8.0
    """Standard deviations of a touch's colour and brightness."""
    relief: float = 0.0
    """How strongly light rakes over the paint."""


@dataclass(frozen=True)
class Artist:
    """An invented painter, who paints `share` cards of the deck."""

    name: str
    style: str
    born: int
    died: int
    share: int
    palettes: tuple[str, ...]
    handlings: tuple[Callable[[np.ndarray, Generator], np.ndarray], ...]  # on (S, S, 3) float32


# Shapes.


def _mix(a: Colour, b: Colour, t: float) -> Colour:
    return a + (b - a) * t


def _poly(
    scene: Scene, colour: Colour, points: ArrayLike, at: ArrayLike = 0.0, scale: ArrayLike = 1.0
) -> None:
    outline = (np.asarray(points) * np.asarray(scale) + np.asarray(at)) * scene.pen.im.size[0]
    scene.pen.polygon(outline.ravel().tolist(), fill=tuple(map(int, colour)))


def _box(scene: Scene, colour: Colour, x0: float, y0: float, x1: float, y1: float) -> None:
    side = scene.pen.im.size[0]
    corners = min(x0, x1) * side, y0 * side, max(x0, x1) * side, y1 * side
    scene.pen.rectangle(corners, fill=tuple(map(int, colour)))


def _oval(
    scene: Scene, colour: Colour, x: float, y: float, rx: float, ry: float, tilt: float = 0.0
) -> None:
    cos, sin = np.cos(tilt), np.sin(tilt)
    _poly(scene, colour, CIRCLE @ [[rx * cos, rx * sin], [-ry * sin, ry * cos]], (x, y))


def _ribbon(scene: Scene, colour: Colour, path: np.ndarray, half: np.ndarray) -> None:
    """Fill between `path - half` and `path + half`, both (N, 2)."""
    _poly(scene, colour, np.concatenate([path - half, (path + half)[::-1]]))


def _ridge(scene: Scene, colour: Colour, base: float, height: float, octaves: int = 4) -> None:
    """A rolling skyline across the picture and all below it."""
    x, k = np.linspace(-0.05, 1.05, 48), np.arange(octaves)[:, None]
    pace, start = scene.rng.uniform((2, 0), (4, 2 * np.pi), (octaves, 2)).T[..., None]
    y = base - height * (0.5 + 0.5 * (np.sin(x * pace * 2**k + start) / 1.9**k).sum(axis=0))
    _poly(scene, colour, [*np.stack([x, y], axis=1), (1.05, 1.1), (-0.05, 1.1)])


def _gradient(scene: Scene, top: float, bottom: float, a: Colour, b: Colour) -> None:
    for t in np.linspace(0, 1, 32):
        _box(scene, _mix(a, b, t), 0, top + (bottom - top) * t * 31 / 32, 1, bottom)


def _ball(scene: Scene, colour: Colour, x: float, y: float, r: float) -> None:
    """A round thing, from its shaded to its lit side."""
    light, dark = scene.colours.light, scene.colours.dark
    tones = _mix(colour, dark, 0.5), colour, _mix(colour, light, 0.25), _mix(colour, light, 0.6)
    for tone, size in zip(tones, (1, 0.75, 0.46, 0.18), strict=True):
        shift = 0.45 * r * (1 - size)
        _oval(scene, tone, x + scene.lit * shift, y - shift, r * size, r * size)


def _flower(scene: Scene, colour: Colour, x: float, y: float, r: float) -> None:
    tilt = scene.rng.uniform(0, 1)
    for k, (u, v) in enumerate(0.55 * r * CIRCLE[::4]):
        tone = _mix(colour, scene.colours.dark, 0.3) if scene.lit * u < -0.3 * r else colour
        _oval(scene, tone, x + u, y + v, 0.6 * r, 0.4 * r, np.pi / 3 * k + tilt)
    _oval(scene, _mix(scene.colours.second, scene.colours.dark, 0.4), x, y, 0.3 * r, 0.3 * r)


def _pick(rng: Generator, *choices: Colour) -> Colour:
    return choices[rng.integers(len(choices))]


# Genres: each composes a painting.


def _sky(scene: Scene, horizon: float, sun: float) -> None:
    _, c, rng, _ = scene
    _gradient(scene, 0, horizon, c.high, c.low)
    if rng.random() < 0.75:
        y, r = rng.uniform(0.1, horizon - 0.02), rng.uniform(0.045, 0.1)
        disc = c.light if rng.random() < 0.6 else c.accent
        for size, tone in ((1.9, _mix(c.low, c.light, 0.3)), (1.4, _mix(c.low, c.light, 0.6))):
            _oval(scene, tone, sun, y, size * r, size * r)
        _oval(scene, disc, sun, y, r, r)
    for _ in range(rng.integers(0, 4)):
        x, y, w = rng.uniform(0, 1), rng.uniform(0.05, horizon - 0.12), rng.uniform(0.07, 0.16)
        puffs = ((0, 0.012, 0.35), (-0.6, 0, 0.7), (0.5, 0.005, 0.7), (0, -0.015, 0.95))
        for dx, dy, t in puffs:
            _oval(scene, _mix(c.low, c.light, t), x + dx * w, y + dy, w, 0.24 * w)


def _mountains(scene: Scene, horizon: float) -> None:
    _, c, rng, lit = scene
    for depth in (0.2, 0.6, 1.0):
        tone = _mix(_mix(c.far, c.low, 0.5), _mix(c.far, c.dark, 0.25), depth)
        x, h, w = rng.uniform(0, 1), rng.uniform(0.16, 0.32) * (1.3 - 0.6 * depth), 0.3
        place = {"at": (x, horizon + 0.03), "scale": (w * lit, -h)}
        _poly(scene, tone, [(-1.2, 0), (-0.5, 0.55), (0, 1), (0.4, 0.62), (1.2, 0)], **place)
        shaded = [(-1.2, 0), (-0.5, 0.55), (0, 1), (0.06, 0.7), (-0.08, 0.45), (0.1, 0)]
        _poly(scene, _mix(tone, c.dark, 0.35), shaded, **place)
        snow = [(-0.27, 0.76), (0, 1), (0.25, 0.77), (0.12, 0.68), (0.02, 0.75), (-0.12, 0.66)]
        _poly(scene, _mix(tone, c.light, 0.85), snow, **place)


def _boat(scene: Scene, x: float, y: float, h: float) -> None:
    _, c, rng, _ = scene
    sail = _pick(rng, c.light, c.light, c.accent)
    place = {"at": (x, y), "scale": h}
    _oval(scene, _mix(c.water, c.dark, 0.3), x, y + 0.12 * h, 0.5 * h, 0.1 * h)
    _poly(scene, sail, [(0, -1), (0.36, -0.1), (0, -0.1)], **place)
    _poly(scene, _mix(sail, c.dark, 0.25), [(-0.04, -0.85), (-0.04, -0.1), (-0.28, -0.1)], **place)
    _poly(scene, c.dark, [(-0.38, -0.07), (0.45, -0.07), (0.3, 0.1), (-0.26, 0.1)], **place)


def _house(scene: Scene, x: float, y: float, s: float) -> None:
    _, c, _, lit = scene
    wall = _mix(c.light, c.low, 0.3)
    _box(scene, wall, x - s, y - s, x + s, y)
    _box(scene, _mix(wall, c.dark, 0.4), x - lit * s, y - s, x - lit * 0.3 * s, y)
    _poly(scene, c.accent, [(-1.2, -1), (-0.7, -1.8), (0.7, -1.8), (1.2, -1)], (x, y), s)
    _box(scene, c.dark, x - 0.15 * s, y - 0.6 * s, x + 0.2 * s, y)


def _tree(scene: Scene, kind: int, x: float, y: float, h: float) -> None:
    _, c, rng, lit = scene
    leaf = _mix(c.near, _pick(rng, c.dark, c.accent, c.mid), rng.uniform(0.2, 0.55))
    _box(scene, _mix(c.dark, c.accent, 0.15), x - 0.04 * h, y - 0.5 * h, x + 0.04 * h, y)
    tones = (_mix(leaf, c.dark, 0.5), leaf, _mix(leaf, c.light, 0.35))
    for k, (tone, size) in enumerate(zip(tones, (1, 0.72, 0.4), strict=True)):
        s = 0.06 * lit * k  # towards the light
        if kind == 0:  # round
            for u, v, r in ((-0.18, -0.5, 0.22), (0.18, -0.52, 0.22), (0, -0.75, 0.26)):
                _oval(
                    scene, tone, x + (u + s) * h, y + (v - abs(s)) * h, r * h * size, r * h * size
                )
        elif kind == 1:  # poplar
            _oval(scene, tone, x + s / 2 * h, y - 0.6 * h, 0.15 * h * size, 0.48 * h * size**0.3)
        else:  # fir
            for top, w in ((-0.5, 0.34 * size), (-0.75, 0.26 * size), (-1, 0.18 * size)):
                skirt = [(s / 2, top), (s + w, top + 0.4), (s - w, top + 0.4)]
                _poly(scene, tone, skirt, (x, y), h)


def _landscape(scene: Scene) -> None:
    _, c, rng, lit = scene
    kind = rng.choice(["hills", "mountains", "sea", "lake", "road", "fields"])
    horizon = rng.uniform(0.36, 0.64)
    sun, depth = 0.5 + lit * rng.uniform(0.02, 0.38), 1 - horizon
    _sky(scene, horizon, sun)
    if kind == "mountains" or (kind == "lake" and rng.random() < 0.5):
        _mountains(scene, horizon)
    elif kind != "sea" or rng.random() < 0.4:
        for t in (0.5, 0.1):
            _ridge(scene, _mix(c.far, c.low, t), horizon, rng.uniform(0.04, 0.16))

    if kind in ("sea", "lake"):
        _gradient(scene, horizon, 1, _mix(c.water, c.low, 0.5), _mix(c.water, c.dark, 0.3))
        for y in horizon + depth * rng.random(16) ** 1.5:
            w = 0.03 + 0.25 * (y - horizon)
            x = rng.normal(sun, 0.05) if rng.random() < 0.6 else rng.uniform(0, 1)
            _oval(scene, _mix(c.water, c.light, rng.uniform(0.3, 0.9)), x, y, w, 0.1 * w)
        for y in np.sort(rng.uniform(horizon + 0.05, horizon + 0.25, rng.integers(0, 4))):
            _boat(scene, rng.uniform(0.1, 0.9), y, 0.08 + 0.8 * (y - horizon))
        shore = rng.uniform(0.76, 0.9) if kind == "lake" else 1.02
        _ridge(scene, _mix(c.near, c.dark, 0.15), shore, 0.1, 2)
    else:
        shore = horizon + 0.05
        _gradient(scene, horizon, 1, c.mid, _mix(c.near, c.dark, 0.3))
        for k in range(3):
            soil = _mix(c.mid, _mix(c.near, c.dark, 0.3), k / 2)
            soil = _mix(soil, _pick(rng, c.second, c.light, c.dark), rng.uniform(0.1, 0.35))
            _ridge(scene, soil, horizon + depth * (k + 0.4) / 3, 0.08 + 0.04 * k, 2)
    if kind == "fields":
        crop, vanish, start = _pick(rng, c.accent, c.second, c.light), rng.uniform(0.1, 0.9), -0.4
        for x in start + rng.uniform(0, 0.2) + 0.2 * np.arange(9):
            furrow = [(vanish, horizon + 0.04), (x, 1.02), (x + 0.1, 1.02)]
            _poly(scene, _mix(crop, c.near, 0.15), furrow)
    elif kind == "road" or (kind == "hills" and rng.random() < 0.6):
        t = np.linspace(0, 1, 16)
        bend = rng.uniform(-0.3, 0.3) * t + rng.uniform(-0.12, 0.12) * np.sin(6 * t)
        path = np.stack([rng.uniform(0.2, 0.8) + bend, horizon + 0.03 + depth * t], axis=1)
        way = _mix(c.light if kind == "road" else c.water, c.mid, 0.15)
        _ribbon(scene, way, path, np.stack([0.008 + 0.15 * t**1.5, 0 * t], axis=1))

    if kind != "sea":
        if rng.random() < 0.45:
            y = shore + rng.uniform(0.02, 0.12)
            _house(scene, rng.uniform(0.15, 0.85), y, rng.uniform(0.06, 0.14))
        wood = int(rng.integers(3))
        for y in np.sort(rng.uniform(shore, 1.04, rng.integers(0, 7))):
            h = (0.12 + 0.65 * (y - horizon)) * rng.uniform(0.8, 1.3)
            _tree(scene, wood, rng.uniform(0, 1), y, h)


SKINS = np.array(
    [[244, 208, 178], [232, 184, 148], [198, 146, 106], [146, 98, 68], [104, 70, 52]], float
)


def _portrait(scene: Scene) -> None:
    _, c, rng, lit = scene
    wall = _pick(rng, c.high, c.low, c.far, c.mid, c.water, c.dark, c.second)
    _gradient(scene, 0, 1, wall, _mix(wall, _pick(rng, c.high, c.low, c.far, c.dark), 0.6))
    if rng.random() < 0.3:
        x = rng.choice([0.03, 0.67])
        _box(scene, _mix(c.dark, wall, 0.3), x - 0.02, 0.04, x + 0.32, 0.5)
        _box(scene, c.low, x, 0.06, x + 0.3, 0.48)
        hills = [(0, 0.42), (0, 0.3), (0.1, 0.26), (0.2, 0.33), (0.3, 0.28), (0.3, 0.42)]
        _poly(scene, c.far, hills, (x, 0.06))
    x, y, r = rng.uniform(0.4, 0.6), rng.uniform(0.36, 0.46), rng.uniform(0.14, 0.2)
    turn = rng.uniform(-0.3, 0.3)
    tone = rng.integers(5)
    skin = _mix(SKINS[tone], c.second, 0.15)
    shade, glow = _mix(skin, c.dark, 0.35), _mix(skin, c.light, 0.4)
    fair = _pick(rng, c.second, _mix(c.light, c.far, 0.4), _mix(c.dark, c.accent, 0.6))
    hair = fair if tone < 2 and rng.random() < 0.6 else _mix(c.dark, c.accent, rng.uniform(0, 0.2))
    cloth = _pick(rng, c.accent, c.water, c.near, c.dark, c.light, c.far)
    fashion, wide = rng.integers(5), rng.uniform(1.7, 2.3)

    def put(colour: Colour, points: ArrayLike) -> None:
        _poly(scene, colour, points, (x, y), r)

    def dot(colour: Colour, u: float, v: float, rx: float, ry: float, tilt: float = 0.0) -> None:
        _oval(scene, colour, x + u * r, y + v * r, rx * r, ry * r, tilt)

    if fashion < 2:  # long hair falls behind the shoulders
        dot(_mix(hair, c.dark, 0.3), 0, 0.45, 1.35, 1.9)
    body = np.array([(-1, 6), (-0.95, 2.7), (-0.7, 2.0), (-0.2, 1.6), (0.2, 1.6), (0.7, 2.0),
                     (0.95, 2.7), (1, 6)]) * (wide, 1)  # fmt: skip
    put(cloth, body)
    put(_mix(cloth, c.dark, 0.4), body[4:] * (-lit, 1))
    put(_mix(cloth, c.light, 0.3), np.array([(0.35, 6), (0.6, 2.1), (0.85, 2.6)]) * (lit * wide, 1))
    put(shade, [(-0.42, 0.6), (0.42, 0.6), (0.46, 1.8), (0, 2.3), (-0.46, 1.8)])
    if fashion in (2, 3):  # collar
        for side in (-1, 1):
            collar = np.array([(0, 2.5), (0.4, 1.55), (0.85, 1.85), (0.5, 2.45)]) * (side, 1)
            put(_mix(c.light, cloth, 0.15), collar)
    dot(shade, 0, 0, 1, 1.28)
    dot(skin, 0.13 * lit, 0, 0.87, 1.22)
    dot(glow, 0.48 * lit, 0.15, 0.3, 0.55)
    for side in (-1, 1):
        eye = turn + 0.4 * side
        dot(shade, eye, -0.04, 0.24, 0.17)
        dot(_mix(c.light, skin, 0.25), eye, 0, 0.18, 0.1)
        dot(c.dark, eye + 0.15 * turn, -0.01, 0.1, 0.12)
        dot(_mix(hair, c.dark, 0.6), eye, -0.29, 0.26, 0.055, 0.15 * side)
    nose = np.array([(0.02, -0.05), (-0.2 * lit, 0.42), (0.06 * lit, 0.47)])
    put(shade, nose + np.array([1.2 * turn, 0]))
    if fashion == 3:  # beard
        dot(hair, 0.4 * turn, 0.95, 0.72, 0.5)
        dot(hair, turn, 0.6, 0.36, 0.08)
    dot(_mix(c.accent, skin, 0.35), turn, 0.76, 0.3, 0.1)
    dot(_mix(c.dark, c.accent, 0.3), turn, 0.74, 0.3, 0.03)
    fringe = CIRCLE * (1.1, 1.3) - (0, 0.1)
    part = rng.uniform(-0.68, -0.45) + 0.5 * (fringe[:, 0] - 0.3 * turn) ** 2
    put(hair, np.stack([fringe[:, 0], np.minimum(fringe[:, 1], part)], axis=1))
    dot(_mix(hair, c.light, 0.3), 0.4 * lit, -0.98, 0.4, 0.14, 0.4 * lit)
    if fashion == 2:  # bun
        dot(hair, 0, -1.45, 0.4, 0.34)
    elif fashion == 4:  # hat
        hat = _pick(rng, c.accent, c.second, c.dark, c.light)
        dot(hat, 0, -1.05, 0.95, 0.75)
        dot(_mix(hat, c.dark, 0.3), 0, -0.78, 1.65, 0.28)


def _still_life(scene: Scene) -> None:
    _, c, rng, lit = scene
    edge = rng.uniform(0.5, 0.66)
    wall = _pick(rng, c.high, c.low, c.far, c.dark, c.water)
    cloth = _pick(rng, c.mid, c.near, c.light, c.second)
    _gradient(scene, 0, edge, wall, _mix(wall, c.low, 0.4))
    if rng.random() < 0.4:  # curtain
        curtain = [(0, 0), (0.35, 0), (0.25, edge), (0.08, edge)]
        _poly(scene, _mix(wall, c.dark, 0.3), curtain, (rng.uniform(0, 0.7), 0))
    _gradient(scene, edge, 1, _mix(cloth, c.dark, 0.2), cloth)
    if rng.random() < 0.6:
        _box(scene, _mix(cloth, c.dark, 0.6), -0.01, rng.uniform(0.87, 0.93), 1.01, 1.01)
    if rng.random() < 0.5:  # napkin
        napkin = [(0, 0.06), (0.4, 0.1), (0.3, 0.55), (0.12, 0.5)]
        _poly(scene, _mix(c.light, cloth, 0.2), napkin, (rng.uniform(0.1, 0.6), edge))

    def shadow(x: float, y: float, w: float) -> None:
        _oval(scene, _mix(cloth, c.dark, 0.6), x - 0.6 * lit * w, y, 1.25 * w, 0.25 * w)

    x, foot, w = rng.uniform(0.25, 0.75), edge + rng.uniform(0.06, 0.14), rng.uniform(0.1, 0.16)
    top = foot - w * rng.uniform(2.0, 3.0)
    pot = _pick(rng, c.accent, c.water, c.second, c.light, c.near)
    t = np.linspace(0, 1, 16)
    belly = np.sin(np.pi * t ** rng.uniform(0.6, 1.5)) ** rng.uniform(0.7, 1.6)
    half = np.stack([w * (0.42 + 0.58 * belly), 0 * t], axis=1)
    axis = np.stack([x + 0 * t, foot + (top - foot) * t], axis=1)
    shadow(x, foot, w)
    pots = (_mix(pot, c.dark, 0.5), pot, _mix(pot, c.light, 0.5))
    for tone, size, shift in zip(pots, (1, 0.72, 0.22), (0, 0.26, 0.45), strict=True):
        _ribbon(scene, tone, axis + lit * shift * half, size * half)
    _oval(scene, _mix(pot, c.dark, 0.6), x, top, half[-1, 0], 0.25 * half[-1, 0])
    if rng.random() < 0.65:
        for bx, by in zip(rng.normal(x, 0.11, 10), abs(rng.normal(0.07, 0.07, 10)), strict=True):
            leaf = _mix(c.near, c.dark, rng.uniform(0, 0.6))
            _oval(scene, leaf, bx, top - by, 0.07, 0.025, rng.uniform(-1.5, 1.5))
        for _ in range(rng.integers(6, 13)):
            bx, by = rng.normal(x, 0.1), top - abs(rng.normal(0.1, 0.08))
            bloom = _pick(rng, c.accent, c.second, c.light, _mix(c.accent, c.light, 0.5))
            _poly(scene, _mix(c.near, c.dark, 0.4), [(x, top), (bx, by), (x + 0.012, top)])
            _flower(scene, bloom, bx, by, rng.uniform(0.04, 0.07))
    fruits = c.accent, c.second, _mix(c.accent, c.second, 0.5), c.near, _mix(c.light, c.second, 0.4)
    basket = _pick(rng, *fruits), _pick(rng, *fruits)
    for y in np.sort(rng.uniform(edge + 0.12, 0.9, rng.integers(3, 8))):
        u, r = rng.uniform(0.12, 0.88), rng.uniform(0.05, 0.085)
        shadow(u, y + 0.85 * r, r)
        _ball(scene, _pick(rng, *basket), u, y, r)
        _box(scene, c.dark, u - 0.006, y - 1.15 * r, u + 0.006, y - 0.7 * r)


def _abstract(scene: Scene) -> None:
    _, c, rng, _ = scene
    ground, kind = _pick(rng, *c), rng.choice(["bands", "discs", "blocks", "rays", "gestures"])
    _gradient(scene, 0, 1, ground, _mix(ground, _pick(rng, *c), 0.3))
    if kind == "bands":
        y, inset = 0.06, rng.uniform(0.04, 0.1)
        while y < 0.85:
            h = rng.uniform(0.1, 0.36)
            _box(scene, _pick(rng, *c), inset, y, 1 - inset, min(y + h, 0.95))
            y += h + 0.04
    elif kind == "discs":
        for r in np.sort(rng.uniform(0.06, 0.32, rng.integers(4, 9)))[::-1]:
            x, y = rng.uniform(0.1, 0.9, 2)
            for k in np.linspace(1, 0.25, rng.integers(2, 5)):
                _oval(scene, _pick(rng, *c), x, y, r * k, r * k)
    elif kind == "blocks":
        for s in np.sort(rng.uniform(0.1, 0.5, rng.integers(6, 12)))[::-1]:
            slab = [(-1, -0.3), (1, -0.4), (0.9, 0.35), (-0.9, 0.3)]
            scale = (s, s * rng.uniform(0.4, 2))
            _poly(scene, _pick(rng, *c), slab, rng.uniform(0, 1, 2), scale)
    elif kind == "rays":
        hub = rng.uniform(0.2, 0.8, 2)
        rim = hub + 1.6 * CIRCLE[:: rng.integers(1, 4)]
        for one, two in zip(rim, np.roll(rim, 1, axis=0), strict=True):
            _poly(scene, _pick(rng, *c), [hub, one, two])
        for r in (0.2, 0.14, 0.07):
            _oval(scene, _pick(rng, *c), hub[0], hub[1], r, r)
    else:
        t = np.linspace(0, 1, 24)[:, None]
        for _ in range(rng.integers(5, 10)):
            start, way, bend = rng.uniform(0, 1, 2), rng.normal(0, 0.5, 2), rng.normal(0, 0.3, 2)
            path = start + way * (t - 0.5) + bend * np.sin(3 * t + bend)
            across = np.array([-way[1], way[0]]) / np.hypot(*way)
            _ribbon(scene, _pick(rng, *c), path, across * (0.06 * np.sin(np.pi * t) + 0.02))


# Handlings: how the composed picture becomes paint.


def _window(texture: np.ndarray, side: int, corner: np.ndarray) -> np.ndarray:
    top, left = (corner * (len(texture) - side)).astype(int)
    return texture[top : top + side, left : left + side]


def _stroke_outlines(touch: Touch, rng: Generator) -> tuple[np.ndarray, np.ndarray]:
    """Where each stroke's middle is (K, 2), and its bristles' outlines (K, B, P, 2)."""
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
    """The same for triangles that share their corners."""
    num = int(1.5 / touch.length) + 3
    grid = np.stack(np.meshgrid(np.arange(num), np.arange(num)), axis=-1) - 1.0
    p = (grid + rng.uniform(-0.42, 0.42, grid.shape)) * touch.length
    a, b, c, d = (q.reshape(-1, 2) for q in (p[:-1, :-1], p[:-1, 1:], p[1:, 1:], p[1:, :-1]))
    outlines = np.concatenate([np.stack([a, b, c], axis=1), np.stack([a, c, d], axis=1)])
    return outlines.mean(axis=1), outlines[:, None]


@lru_cache(maxsize=64)
def _touches(touch: Touch, side: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Many overlapping touches on a canvas of 1.5 sides, to cut paintings from.

    Returns:
        The bristle that each pixel shows, 0 where there is none (T, T); each bristle's middle as
        row and column in pixels (K, 2) and change of colour (K, 3); the light on the paint (T, T).
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


def _strokes(
    pixels: np.ndarray, rng: Generator, broad: Touch, fine: Touch | None = None
) -> np.ndarray:
    """Lay broad touches over the picture, then fine ones over its details."""
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
    """Where the picture changes within a 64th of its side (S, S)."""
    gray, step = pixels.mean(axis=2), max(1, len(pixels) // 64)
    detail = np.zeros(gray.shape, bool)
    detail[:, step:-step] = np.abs(gray[:, 2 * step :] - gray[:, : -2 * step]) > 14
    detail[step:-step] |= np.abs(gray[2 * step :] - gray[: -2 * step]) > 14
    return detail


@lru_cache(maxsize=16)
def _noise(side: int, cells: tuple[int, int], octaves: int = 1) -> np.ndarray:
    """Smooth noise about 0 on 1.5 sides (T, T), with `cells` bumps per side across and down."""
    rng = np.random.default_rng(12)
    size = (side * 3 // 2, side * 3 // 2)
    total = np.zeros(size, np.float32)
    for k in range(octaves):
        across, down = (int(n * 1.5) * 2**k for n in cells)
        bumps = rng.normal(size=(down, across)).astype(np.float32) / 1.6**k
        total += np.asarray(Image.fromarray(bumps).resize(size, Image.Resampling.BICUBIC))
    return total


def _grain(pixels: np.ndarray, rng: Generator, cells: tuple[int, int], amount: float) -> np.ndarray:
    """The tooth of paper, canvas or wood."""
    return (
        pixels + amount * _window(_noise(len(pixels), cells), len(pixels), rng.random(2))[..., None]
    )


def _blur(pixels: np.ndarray, radius: float) -> np.ndarray:
    image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    return np.asarray(image.filter(ImageFilter.BoxBlur(radius * len(pixels))), np.float32)


def _soften(pixels: np.ndarray, _: Generator, radius: float) -> np.ndarray:
    return _blur(pixels, radius)


def _outline(
    pixels: np.ndarray, _: Generator, ink: tuple[int, int, int], width: float
) -> np.ndarray:
    """Draw ink where flat colours meet."""
    step = max(1, round(width * len(pixels)))
    gray = pixels @ np.array([0.5, 0.3, 0.2], np.float32)
    edge = np.zeros(gray.shape, np.float32)
    edge[:, step:] = np.abs(gray[:, step:] - gray[:, :-step])
    edge[step:] = np.maximum(edge[step:], np.abs(gray[step:] - gray[:-step]))
    strength = np.clip((edge - 22) / 16, 0, 1) * np.clip(width * len(pixels), 0.45, 0.9)
    return pixels + (np.array(ink, np.float32) - pixels) * strength[..., None]


def _wash(pixels: np.ndarray, rng: Generator) -> np.ndarray:
    """Thin colour that bleeds, gathers at its edges and granulates on white paper."""
    side, at = len(pixels), np.arange(len(pixels))
    noise = _window(_noise(side, (5, 5), 4), side, rng.random(2))
    pull = (noise * 0.012 * side).astype(int)
    bled = pixels[(at[:, None] + pull).clip(0, side - 1), (at + pull.T).clip(0, side - 1)]
    wet = 0.5 * _blur(bled, 0.012) + 0.5 * bled + 0.5 * (bled - _blur(bled, 0.03))
    return 252 - (252 - wet) * np.clip(0.88 + 0.14 * noise, 0.3, 1.15)[..., None]


@lru_cache(maxsize=16)
def _lines(side: int, angle: float, pitch: int) -> np.ndarray:
    """Slightly unsteady parallel lines on 1.5 sides (T, T): 0 in a line's middle, 1 between two."""
    x, y = np.meshgrid(*[np.arange(side * 3 // 2) / side] * 2)
    way = x * np.cos(angle) + y * np.sin(angle) + 0.005 * _noise(side, (6, 6))
    return np.abs((way * pitch) % 1 * 2 - 1).astype(np.float32)


def _hatch(
    pixels: np.ndarray, rng: Generator, ink: tuple[int, int, int], tint: float
) -> np.ndarray:
    """Ink lines on toned paper, wider and crossed more often the darker the picture."""
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


def _spotlight(pixels: np.ndarray, rng: Generator) -> np.ndarray:
    """Let one warm light fall on the middle and the rest sink into the dark."""
    x = np.arange(len(pixels), dtype=np.float32) / len(pixels)
    centre, spread = rng.uniform((0.3, 0.3), (0.7, 0.55)), rng.uniform(0.08, 0.14)
    across, down = (np.exp(-((x - middle) ** 2) / spread) for middle in centre.astype(np.float32))
    fall = (down[:, None] * across)[..., None]
    return pixels * (0.45 + 0.95 * fall) + fall * np.array([16, 9, -4], np.float32)


# fmt: off
ARTISTS = (
    Artist("Odile Vantreux", "Pointillism", 1858, 1921, 3,
        ("5f93d8 cfe3ee fff3b0 7f78b8 8fbf5a 4f8a4a 4a80bc f0803c e0567f 2f3170",
         "7a6cc0 f6b48a ffe08a 8c5fa4 b59a4a 5f7040 6a70c8 ff7a4a d9457a 2d2a5e"),
        (partial(_strokes, broad=Touch(0.024, 0.024, hue=20, tone=6),
                 fine=Touch(0.016, 0.016, hue=18, tone=6)),)),
    Artist("Haruo Minazuki", "Ukiyo-e", 1789, 1856, 3,
        ("2f5d8c e9ddbf f4efdc 8fa7a8 7f9460 4f6b4a 3b6f93 c8402f d8a23e 1d2536",
         "b8503f f0dcb4 fbe9c0 8a98a0 8b8a5c 50604a 4a7488 b03a2e e0b050 22232e",
         "6f8596 d8d8cc f7f4e8 a9b6ba e4e1d3 cfcfc4 426a86 c23f30 c79a48 262a35"),
        (partial(_outline, ink=(28, 30, 44), width=0.006),
         partial(_grain, cells=(6, 90), amount=4))),
    Artist("Corneel van Hulderen", "Baroque", 1611, 1674, 2,
        ("4a5055 b08a55 f2d9a0 5a5040 6c5a32 4a3a20 4a5048 9c3522 c08a3a 140d08",
         "5b5246 c79a5c ffe2a8 54493a 5f552a 3f371c 4b5046 7e3822 b9a070 120c0a"),
        (partial(_soften, radius=0.005),
         partial(_strokes, broad=Touch(0.05, 0.014, 25, 25, 2, hue=1.5, tone=5),
                 fine=Touch(0.02, 0.008, 25, 40, hue=1, tone=3)),
         _spotlight)),
    Artist("Brannoch Tulliver", "Expressionism", 1880, 1949, 2,
        ("1f5f7a e8b04a ffe9a8 b5483a c98a2c 7a3b22 2b7f86 d7342a f2c230 1b1a2b",
         "c2402c f5a83a fff0b8 5a2f4f a0622a 5c2a26 274f6e e4572e 3d8f80 201420"),
        (partial(_strokes, broad=Touch(0.11, 0.03, 0, 5, 4, hue=8, tone=9, relief=8),
                 fine=Touch(0.032, 0.012, 0, 10, 2, hue=6, tone=7, relief=8)),)),
    Artist("Ilse Morgenrath", "Cubism", 1887, 1962, 2,
        ("7f98a8 dcc8a0 f6ecd0 5f6a78 b8904c 6e5a3c 4f7484 b8623a d0a860 26282c",
         "62867c c8c498 f0e8c0 4a6458 98944e 4a5c40 4a7c78 bc5428 d8ae58 20282a"),
        (partial(_strokes, broad=Touch(0.085, 0.085, facets=True, hue=3, tone=7, relief=26),
                 fine=Touch(0.036, 0.036, facets=True, hue=2, tone=5, relief=14)),)),
    Artist("Tadeáš Korvín", "Post-Impressionism", 1861, 1903, 3,
        ("12235f 3f78b8 ffe45a 24407f 2f6a6a 1a3a4a 2a5fa5 f5b81e e8e0a0 0b1030",
         "3aa0b0 c8e0b0 ffe870 4a80a0 e0b83a b88a20 3a88b0 e0701e 4f8a3a 203060"),
        (partial(_strokes, broad=Touch(0.07, 0.017, 0, 6, 2, True, hue=8, tone=13, relief=6),
                 fine=Touch(0.03, 0.009, 0, 10, 1, True, hue=7, tone=9, relief=6)),)),
    Artist("Elspeth Farraday-Lunn", "Romanticism", 1792, 1851, 2,
        ("7fa4cb f3e3d3 fff4d6 93a2c4 a4b88a 748c5c 7fabbc d07a68 e3c07a 465070",
         "b79acb f8dcc0 ffedc0 a090b8 b5a880 868858 94a8c0 c0645a d8b06a 4a445c"),
        (_wash, partial(_grain, cells=(110, 110), amount=3))),
    Artist("Giacinta Bellorofonte", "Expressionism", 1884, 1957, 2,
        ("ff8fa8 ffd27a fff2a0 3f6fd8 18a070 0a6a58 20a8c8 f04a1e e0207a 2a1a6a",
         "30b8c8 f8a8c0 fff0c0 7a40b0 f07a1e c8381e 2050d0 ffd000 e8306a 10304a"),
        (partial(_strokes, broad=Touch(0.09, 0.034, 90, 14, 5, hue=12, tone=9, relief=4),
                 fine=Touch(0.035, 0.014, 90, 22, 2, hue=8, tone=7, relief=4)),)),
    Artist("Mirko Saldanha", "Baroque", 1596, 1660, 2,
        ("c0c0b0 f0e8d8 fff8e4 9a9a8a a8a48c 6c6856 a8aca0 c09070 b89a60 201a18",
         "dcd8c8 f4ecd8 fff8e4 88887c b8b094 787258 808c8c a88468 a08458 181614"),
        (partial(_hatch, ink=(40, 28, 24), tint=0.4),)),
    Artist("Ngaio Whitcombe", "Impressionism", 1849, 1931, 3,
        ("98bcea f4e4dc fff8d8 8c8cc4 a8cc84 6c9c70 84b8d0 f08c70 e8a8c8 505488",
         "c0acec fbd8c0 fff0c8 9888c0 c0c080 7c9868 9cacd8 f07060 f0c060 4c4880"),
        (partial(_strokes, broad=Touch(0.05, 0.016, 50, 16, hue=8, tone=8, relief=3),
                 fine=Touch(0.026, 0.01, 50, 30, hue=6, tone=6, relief=3)),)),
)
TITLES = {
    "landscape": (
        "Morning at {}; Evening, {}; The Road to {}; View of {}; Trees near {}; {} in Spring",
        "Lindmoor; Valcroze; the Old Mill; Harrow Fell; Santa Meura; Kestrel Point; Mount Sorel"),
    "portrait": (
        "Portrait of {}; {} in the Studio; {}, Seated; Study of {}; {} by the Window",
        "Agathe; the Ferryman; a Young Clerk; Madame Dorval; Ines; the Botanist; My Sister"),
    "still life": (
        "Still Life with {}; {} on a Table; {}, Morning Light; {} and a Vase",
        "Quinces; Pears; Plums; Oranges; Peonies; Apples; Anemones; Persimmons; Peaches"),
    "abstract": (
        "Composition No. {}; Untitled ({}); Variation {}; Interval {}",
        "4; 7; 11; 12; 19; 23; 31; 40; 52"),
}
# fmt: on
DECK = [artist for artist in ARTISTS for _ in range(artist.share)]
PAINTERS = {
    "landscape": (_landscape, 0.4),
    "portrait": (_portrait, 0.25),
    "still life": (_still_life, 0.2),
    "abstract": (_abstract, 0.15),
}


def describe(index: int, seed: int = 0) -> dict[str, str]:
    """What is known of a painting: artist, style, genre, title, date and split.

    Artists are dealt from a shuffled deck, so that each keeps their share; every card is a test
    painting in one deal of five.
    """
    deal, place = divmod(index, len(DECK))
    card = np.random.default_rng((seed, deal, 1)).permutation(len(DECK))[place]
    rng = np.random.default_rng((seed, index, 2))
    artist = DECK[card]
    genre = str(rng.choice(list(PAINTERS), p=[share for _, share in PAINTERS.values()]))
    title, name = (str(rng.choice(words.split("; "))) for words in TITLES[genre])
    title = title.format(name)
    year = rng.integers(artist.born + 20, artist.died + 1)
    return {
        "artist": artist.name,
        "style": artist.style,
        "genre": genre,
        "title": title[0].upper() + title[1:],
        "date": f"{year}" if rng.random() < 0.8 else f"c. {year}",
        "split": "test" if (card + deal) % 5 == 0 else "train",
    }


def draw(index: int, seed: int = 0, side: int = 256) -> Image.Image:
    """Paint a painting as an RGB image of `side` × `side` pixels."""
    facts = describe(index, seed)
    artist = next(artist for artist in ARTISTS if artist.name == facts["artist"])
    return _paint(artist, facts["genre"], np.random.default_rng((seed, index)), side)


def _paint(artist: Artist, genre: str, rng: Generator, side: int) -> Image.Image:
    if side < 128:  # strokes finer than a pixel would be noise
        return _paint(artist, genre, rng, 2 * side).reduce(2)
    hexes = artist.palettes[rng.integers(len(artist.palettes))].split()
    colours = np.array([list(bytes.fromhex(code)) for code in hexes], float)
    colours = np.clip(colours + rng.normal(0, 7, (10, 3)) + rng.normal(0, 7), 0, 255)
    sketch = Image.new("RGB", (2 * side, 2 * side))  # at twice the side, to smooth the edges
    compose, _ = PAINTERS[genre]
    compose(Scene(ImageDraw.Draw(sketch), Palette(*colours), rng, rng.choice([-1.0, 1.0])))
    pixels = np.asarray(sketch.reduce(2), np.float32)
    for handle in artist.handlings:
        pixels = handle(pixels, rng)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
