"""Paintings drawn by code: the embedded default data.

Invented artists, each with a palette and a way of handling paint, paint landscapes, portraits,
still lifes and abstracts. A painting is composed in plain shapes from its artist's palette and then
handed to the artist's handling: strokes laid over it, each in the colour that lies below its middle
(Haeberli, "Paint by Numbers", 1990), washes, hatching or outlines.

A painting depends on its index and the seed alone, not on how many there are, and looks the same at
every side. Points are in the unit square with y downwards; colours are RGB in [0, 255].
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw, ImageFilter

Pen = ImageDraw.ImageDraw
Handling = Callable[[np.ndarray, Generator], np.ndarray]  # (S, S, 3) -> (S, S, 3), float32


class Palette(NamedTuple):
    """What an artist's colours are for; each is (3,)."""

    high: np.ndarray
    low: np.ndarray
    light: np.ndarray
    far: np.ndarray
    mid: np.ndarray
    near: np.ndarray
    water: np.ndarray
    accent: np.ndarray
    second: np.ndarray
    dark: np.ndarray


@dataclass(frozen=True)
class Touch:
    """A brush and how it moves: lengths in sides of the painting, angles in degrees."""

    length: float
    width: float
    angle: float = 0.0
    spread: float = 10.0
    swirl: bool = False
    bristles: int = 1
    hue: float = 6.0
    tone: float = 8.0
    relief: float = 0.0
    cover: float = 3.0


@dataclass(frozen=True)
class Artist:
    """An invented painter; `share` of every 24 paintings are theirs."""

    name: str
    style: str
    born: int
    died: int
    share: int
    palettes: tuple[str, ...]
    handling: tuple[Handling, ...]


# Shapes: (N, 2) outlines and how to fill them.


def _fill(pen: Pen, points: np.ndarray, colour: np.ndarray) -> None:
    pen.polygon((points * pen.im.size[0]).ravel().tolist(), fill=tuple(colour.astype(int).tolist()))


def _mix(a: np.ndarray, b: np.ndarray, t: float) -> np.ndarray:
    return a + (b - a) * t


def _oval(x: float, y: float, rx: float, ry: float, tilt: float = 0.0, num: int = 24) -> np.ndarray:
    turn = np.linspace(0, 2 * np.pi, num, endpoint=False)
    u, v = rx * np.cos(turn), ry * np.sin(turn)
    cos, sin = np.cos(tilt), np.sin(tilt)
    return np.stack([x + u * cos - v * sin, y + u * sin + v * cos], axis=1)


def _box(x0: float, y0: float, x1: float, y1: float) -> np.ndarray:
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])


def _ridge(rng: Generator, base: float, height: float, octaves: int = 4) -> np.ndarray:
    """A skyline across the picture, closed below it."""
    x = np.linspace(-0.05, 1.05, 48)
    waves = [
        np.sin(x * rng.uniform(2, 4) * 2**k + rng.uniform(0, 6.3)) / 1.9**k for k in range(octaves)
    ]
    y = base - height * (0.5 + 0.5 * sum(waves))
    return np.concatenate([np.stack([x, y], axis=1), [[1.05, 1.1], [-0.05, 1.1]]])


def _gradient(pen: Pen, top: float, bottom: float, a: np.ndarray, b: np.ndarray) -> None:
    edges = np.linspace(top, bottom, 33)
    for y0, y1, t in zip(edges, edges[1:], np.linspace(0, 1, 32), strict=False):
        _fill(pen, _box(-0.01, y0, 1.01, y1 + 0.01), _mix(a, b, t))


def _ball(
    pen: Pen, x: float, y: float, rx: float, ry: float, colour: np.ndarray, c: Palette, lit: float
) -> None:
    """A rounded thing, modelled in four tones from the dark to the `lit` side (-1 or 1)."""
    tones = (_mix(colour, c.dark, 0.5), colour, _mix(colour, c.light, 0.3), _mix(colour, c.light, 0.75))
    for k, tone in enumerate(tones):
        size = 1 - 0.27 * k
        shift = 0.42 * (1 - size)
        _fill(pen, _oval(x + lit * rx * shift, y - ry * shift, rx * size, ry * size), tone)


# Genres: each composes a painting.


def _tree(pen: Pen, c: Palette, rng: Generator, kind: int, x: float, y: float, h: float, lit: float) -> None:
    leaf = _mix(c.near, (c.dark, c.accent, c.mid)[rng.integers(3)], rng.uniform(0.2, 0.6))
    _fill(pen, _box(x - 0.04 * h, y - 0.5 * h, x + 0.04 * h, y), _mix(c.dark, c.accent, 0.15))
    for k, tone in enumerate((_mix(leaf, c.dark, 0.45), leaf, _mix(leaf, c.light, 0.35))):
        s = lit * 0.06 * h * k
        if kind == 0:  # round
            for dx, dy, r in ((-0.18, -0.5, 0.2), (0.18, -0.52, 0.2), (0, -0.75, 0.24)):
                r *= h * (1 - 0.27 * k)
                _fill(pen, _oval(x + dx * h + s, y + dy * h - abs(s), r * 1.1, r), tone)
        elif kind == 1:  # poplar
            _fill(pen, _oval(x + s / 2, y - 0.6 * h, 0.14 * h * (1 - 0.3 * k), 0.48 * h * (1 - 0.12 * k)), tone)
        else:  # fir
            for j in range(3):
                top, w = y - h * (1 - 0.25 * j), h * (0.16 + 0.08 * j) * (1 - 0.35 * k)
                foot = top + 0.42 * h * (1 - 0.1 * k)
                _fill(pen, np.array([[x + s / 2, top], [x + s + w, foot], [x + s - w, foot]]), tone)


def _landscape(pen: Pen, c: Palette, rng: Generator) -> None:
    kind = rng.choice(["hills", "mountains", "sea", "lake", "road", "fields"])
    horizon = rng.uniform(0.36, 0.66)
    sun_x, lit = rng.uniform(0.1, 0.9), rng.choice([-1, 1])
    _gradient(pen, 0, horizon, c.high, c.low)
    if rng.random() < 0.7:
        lit = np.sign(sun_x - 0.5)
        sun_y, r = rng.uniform(0.1, horizon - 0.02), rng.uniform(0.04, 0.09)
        for k, t in ((2.0, 0.25), (1.5, 0.5), (1.0, 1.0)):
            _fill(pen, _oval(sun_x, sun_y, r * k, r * k), _mix(c.low, c.light if t < 1 or rng.random() < 0.6 else c.accent, t))
    for _ in range(rng.integers(0, 4)):
        x, y, w = rng.uniform(0, 1), rng.uniform(0.05, horizon - 0.12), rng.uniform(0.06, 0.15)
        for dx, dy, tone in ((0, 0.012, 0.35), (-0.6, 0, 0.7), (0.5, 0.005, 0.7), (0, -0.015, 0.9)):
            _fill(pen, _oval(x + dx * w, y + dy, w, w * 0.22), _mix(c.low, c.light, tone))

    if kind == "mountains":
        for depth in (0.25, 0.7):
            tone = _mix(_mix(c.far, c.low, 0.45), c.far, depth)
            for x in rng.uniform(0, 1, 3):
                h, w = rng.uniform(0.14, 0.3) * (1.25 - depth), rng.uniform(0.2, 0.35)
                peak, foot = np.array([x, horizon - h]), horizon + 0.03
                ragged = peak + [[0.02, 0.3 * h], [-0.015, 0.55 * h], [0.01, h + 0.03]]
                _fill(pen, np.array([[x - w, foot], peak, [x + w, foot]]), tone)
                side = np.concatenate([[peak], ragged, [[x - lit * w, foot]]])
                _fill(pen, side, _mix(tone, c.dark, 0.3))
                cap = peak + h * np.array([[0, 0], [-0.32 * w / h, 0.32], [-0.1, 0.24], [0.05, 0.36], [0.3 * w / h, 0.3]])
                _fill(pen, cap, _mix(tone, c.light, 0.8))
    elif kind != "sea" or rng.random() < 0.5:
        for t in (0.55, 0.2):
            _fill(pen, _ridge(rng, horizon, rng.uniform(0.03, 0.14)), _mix(c.far, c.low, t))

    if kind in ("sea", "lake"):
        shore = 1.1 if kind == "sea" else rng.uniform(0.72, 0.9)
        _gradient(pen, horizon, 1, _mix(c.water, c.low, 0.55), _mix(c.water, c.dark, 0.25))
        for y in horizon + (1 - horizon) * rng.random(14) ** 1.5:
            w = 0.03 + 0.25 * (y - horizon)
            x = rng.normal(sun_x, 0.06) if rng.random() < 0.5 else rng.uniform(0, 1)
            _fill(pen, _oval(x, y, w, w * 0.1), _mix(c.water, c.light, rng.uniform(0.4, 0.9)))
        for _ in range(rng.integers(0, 4) if kind == "sea" else 1):
            x, y = rng.uniform(0.1, 0.9), rng.uniform(horizon + 0.03, horizon + 0.22)
            h = 0.08 + 0.7 * (y - horizon)
            sail = c.light if rng.random() < 0.6 else c.accent
            _fill(pen, np.array([[x, y - h], [x + 0.32 * h, y - 0.1 * h], [x, y - 0.1 * h]]), sail)
            _fill(pen, np.array([[x - 0.03 * h, y - 0.85 * h], [x - 0.03 * h, y - 0.1 * h], [x - 0.25 * h, y - 0.1 * h]]), _mix(sail, c.dark, 0.25))
            _fill(pen, np.array([[x - 0.35 * h, y - 0.08 * h], [x + 0.4 * h, y - 0.08 * h], [x + 0.28 * h, y + 0.06 * h], [x - 0.25 * h, y + 0.06 * h]]), c.dark)
        if kind == "lake" or rng.random() < 0.5:
            _fill(pen, _ridge(rng, shore if kind == "lake" else 0.97, 0.08), c.near)
    else:
        _gradient(pen, horizon, 1, c.mid, c.near)
        for k in range(3):
            y = horizon + (1 - horizon) * (k + 0.4) / 3
            ground = _mix(_mix(c.mid, c.near, k / 2), (c.second, c.light, c.dark)[rng.integers(3)], rng.uniform(0.1, 0.35))
            _fill(pen, _ridge(rng, y, 0.08 + 0.04 * k, 2), ground)
        if kind == "fields":
            rows = rng.choice([c.accent, c.second, c.light][: 3])
            vanish, base = rng.uniform(0.1, 0.9), rng.uniform(-0.4, 0)
            for k in range(9):
                x = base + 0.2 * k
                _fill(pen, np.array([[vanish, horizon + 0.04], [x, 1.02], [x + 0.09, 1.02]]), _mix(rows, c.near, 0.15))
        if kind in ("road", "hills") and rng.random() < 0.8:
            t = np.linspace(0, 1, 16)
            y = horizon + 0.03 + (1 - horizon) * t
            bend = rng.uniform(0.1, 0.9) + rng.uniform(-0.3, 0.3) * t + rng.uniform(-0.12, 0.12) * np.sin(t * 6)
            half = 0.006 + 0.13 * t**1.5
            left, right = np.stack([bend - half, y], 1), np.stack([bend + half, y], 1)
            _fill(pen, np.concatenate([left, right[::-1]]), _mix(c.light if kind == "road" else c.water, c.mid, 0.2))

    near = horizon + 0.04 if kind != "lake" else 0.8
    if kind != "sea":
        if rng.random() < 0.4:
            x, y, s = rng.uniform(0.15, 0.85), rng.uniform(near + 0.02, near + 0.15), rng.uniform(0.06, 0.13)
            _fill(pen, _box(x - s, y - s, x + s, y), _mix(c.light, c.low, 0.3))
            _fill(pen, _box(x + s * 0.3, y - s, x + s, y) if lit < 0 else _box(x - s, y - s, x - s * 0.3, y), _mix(c.low, c.dark, 0.35))
            _fill(pen, np.array([[x - 1.2 * s, y - s], [x - 0.6 * s, y - 1.8 * s], [x + 0.6 * s, y - 1.8 * s], [x + 1.2 * s, y - s]]), c.accent)
            _fill(pen, _box(x - 0.15 * s, y - 0.6 * s, x + 0.15 * s, y), c.dark)
        leafage = rng.integers(3)
        for y in np.sort(rng.uniform(near, 1.02, rng.integers(0, 7))):
            h = (0.08 + 0.55 * (y - horizon)) * rng.uniform(0.8, 1.3)
            _tree(pen, c, rng, leafage, rng.uniform(0, 1), y, h, lit)


SKINS = np.array([[244, 208, 178], [226, 176, 138], [192, 138, 98], [138, 92, 62], [96, 62, 46]], float)


def _portrait(pen: Pen, c: Palette, rng: Generator) -> None:
    lit = rng.choice([-1.0, 1.0])
    back = [c.high, c.low, c.far, c.mid, c.water, c.dark, c.second]
    one, two = (back[k] for k in rng.choice(len(back), 2, replace=False))
    _gradient(pen, 0, 1, one, _mix(one, two, 0.6))
    if rng.random() < 0.35:
        x = rng.choice([0.0, 0.68])
        _fill(pen, _box(x, 0.05, x + 0.32, 0.5), c.low)
        _fill(pen, _ridge(rng, 0.4, 0.1) * [0.32, 1] * [1, 0.5] + [x, 0.2], c.far)
    x, y, r = rng.uniform(0.4, 0.6), rng.uniform(0.34, 0.44), rng.uniform(0.13, 0.18)
    turn = rng.uniform(-0.35, 0.35) * r
    skin = _mix(SKINS[rng.integers(5)], c.second, 0.2)
    shade, glow = _mix(skin, c.dark, 0.35), _mix(skin, c.light, 0.5)
    hair = [c.dark, _mix(c.dark, c.accent, 0.5), c.near, c.second, _mix(c.light, c.far, 0.4)][rng.integers(5)]
    cloth = [c.accent, c.water, c.near, c.dark, c.light, c.far][rng.integers(6)]
    fashion, build = rng.integers(5), rng.uniform(1.7, 2.3)

    if fashion in (0, 1):  # long hair falls behind the shoulders
        _fill(pen, _oval(x, y + 0.45 * r, 1.35 * r, 1.9 * r), _mix(hair, c.dark, 0.25))
    neck = y + 1.9 * r
    body = np.array([[-1, 1.6], [-0.92, 0.35], [-0.62, 0.05], [-0.2, -0.12], [0.2, -0.12], [0.62, 0.05], [0.92, 0.35], [1, 1.6]])
    _fill(pen, [x, neck] + body * [build * r, 1.8 * r] + 0, cloth)
    _fill(pen, [x, neck] + body[4:] * [build * r, 1.8 * r] * [-lit, 1] + 0, _mix(cloth, c.dark, 0.4))
    _fill(pen, [x, neck] + np.array([[-lit * 0.25, 1.6], [-lit * 0.3, 0.1], [-lit * 0.1, 0.1]]) * [build * r, 2 * r] * -1 * [1, -1], _mix(cloth, c.light, 0.35))
    _fill(pen, _box(x - 0.42 * r, y + 0.6 * r, x + 0.42 * r, neck), shade)
    _fill(pen, _oval(x, neck - 0.08 * r, 0.55 * r, 0.36 * r), shade if fashion % 2 else skin)
    if fashion in (2, 3):
        wing = np.array([[0, 0.75], [0.12, -0.15], [0.75, 0.0], [0.4, 0.5]]) * r
        for side in (-1, 1):
            _fill(pen, [x, neck] + wing * [side, 1], _mix(c.light, cloth, 0.15))
    _fill(pen, _oval(x, y, r, 1.28 * r), shade)
    _fill(pen, _oval(x + 0.13 * lit * r, y, 0.87 * r, 1.22 * r), skin)
    _fill(pen, _oval(x + 0.45 * lit * r, y + 0.1 * r, 0.36 * r, 0.7 * r), glow)
    for side in (-1, 1):
        ex, ey = x + turn + side * 0.4 * r, y - 0.02 * r
        _fill(pen, _oval(ex, ey - 0.02 * r, 0.24 * r, 0.17 * r), shade)
        _fill(pen, _oval(ex, ey, 0.18 * r, 0.1 * r), _mix(c.light, skin, 0.2))
        _fill(pen, _oval(ex + 0.2 * turn, ey, 0.1 * r, 0.12 * r), c.dark)
        _fill(pen, _oval(ex, ey - 0.27 * r, 0.26 * r, 0.055 * r, 0.15 * side), _mix(hair, c.dark, 0.6))
    nose = np.array([[0.02, -0.05], [0.2 * lit * -1, 0.42], [0.06 * lit, 0.47]]) * r
    _fill(pen, [x + 1.3 * turn, y] + nose, shade)
    _fill(pen, _oval(x + turn, y + 0.74 * r, 0.3 * r, 0.1 * r), _mix(c.accent, skin, 0.35))
    _fill(pen, _oval(x + turn, y + 0.72 * r, 0.3 * r, 0.025 * r), _mix(c.dark, c.accent, 0.3))
    if fashion == 3:  # beard
        _fill(pen, _oval(x + turn / 2, y + 1.12 * r, 0.62 * r, 0.36 * r), hair)
        _fill(pen, _oval(x + turn, y + 0.6 * r, 0.38 * r, 0.08 * r), hair)
    fringe = _oval(x, y - 0.1 * r, 1.1 * r, 1.3 * r)
    part = y - rng.uniform(0.4, 0.65) * r
    fringe[:, 1] = np.minimum(fringe[:, 1], part + 0.5 * r * ((fringe[:, 0] - x - 0.3 * turn) / r) ** 2)
    _fill(pen, fringe, hair)
    _fill(pen, _oval(x + 0.4 * lit * r, y - 0.95 * r, 0.4 * r, 0.16 * r, 0.4 * lit), _mix(hair, c.light, 0.3))
    if fashion == 2:
        _fill(pen, _oval(x, y - 1.45 * r, 0.4 * r, 0.34 * r), hair)
    elif fashion == 4:
        hat = [c.accent, c.second, c.dark, c.light][rng.integers(4)]
        _fill(pen, _oval(x, y - 1.05 * r, 0.95 * r, 0.75 * r), hat)
        _fill(pen, _oval(x, y - 0.78 * r, 1.65 * r, 0.28 * r), _mix(hat, c.dark, 0.3))


def _still_life(pen: Pen, c: Palette, rng: Generator) -> None:
    lit = rng.choice([-1.0, 1.0])
    edge = rng.uniform(0.5, 0.68)
    walls = [c.high, c.low, c.far, c.dark, c.water]
    wall, cloth = walls[rng.integers(5)], [c.mid, c.near, c.light, c.second][rng.integers(4)]
    _gradient(pen, 0, edge, wall, _mix(wall, c.low, 0.4))
    if rng.random() < 0.4:
        x = rng.uniform(0, 0.7)
        _fill(pen, np.array([[x, 0], [x + 0.35, 0], [x + 0.25, edge], [x + 0.08, edge]]), _mix(wall, c.dark, 0.3))
    _gradient(pen, edge, 1, _mix(cloth, c.dark, 0.15), cloth)
    if rng.random() < 0.6:
        front = rng.uniform(0.86, 0.93)
        _gradient(pen, front, 1, _mix(cloth, c.dark, 0.5), _mix(cloth, c.dark, 0.7))
    if rng.random() < 0.5:
        x = rng.uniform(0.1, 0.6)
        _fill(pen, np.array([[x, edge + 0.06], [x + 0.4, edge + 0.1], [x + 0.3, 1.05], [x + 0.12, 1.02]]), _mix(c.light, cloth, 0.2))

    def shadow(x: float, y: float, w: float) -> None:
        _fill(pen, _oval(x - lit * 0.6 * w, y, 1.25 * w, 0.22 * w), _mix(cloth, c.dark, 0.55))

    x, foot, w = rng.uniform(0.28, 0.72), edge + rng.uniform(0.06, 0.14), rng.uniform(0.09, 0.15)
    h = w * rng.uniform(2.2, 3.2)
    t = np.linspace(0, 1, 16)
    profile = w * (0.42 + 0.58 * np.sin(np.pi * t ** rng.uniform(0.6, 1.5)) ** rng.uniform(0.7, 1.6))
    pot = [c.accent, c.water, c.second, c.light, c.near][rng.integers(5)]
    shadow(x, foot, w)
    for k, tone in enumerate((_mix(pot, c.dark, 0.5), pot, _mix(pot, c.light, 0.5))):
        half, mid = profile * (1, 0.72, 0.22)[k], x + lit * profile * (0, 0.26, 0.45)[k]
        ys = foot - h * t
        _fill(pen, np.concatenate([np.stack([mid - half, ys], 1), np.stack([mid + half, ys], 1)[::-1]]), tone)
    _fill(pen, _oval(x, foot - h, profile[-1], 0.25 * profile[-1]), _mix(pot, c.dark, 0.6))
    if rng.random() < 0.65:
        blooms = [c.accent, c.second, c.light, _mix(c.accent, c.light, 0.5)]
        for _ in range(9):
            bx, by = rng.normal(x, 0.11), foot - h - abs(rng.normal(0.08, 0.07))
            _fill(pen, _oval(bx, by + 0.03, 0.06, 0.025, rng.uniform(-1.5, 1.5)), _mix(c.near, c.dark, rng.uniform(0, 0.6)))
        for _ in range(rng.integers(5, 11)):
            bx, by, r = rng.normal(x, 0.1), foot - h - abs(rng.normal(0.1, 0.08)), rng.uniform(0.03, 0.06)
            _ball(pen, bx, by, r, r, blooms[rng.integers(4)], c, lit)
            _fill(pen, _oval(bx, by, 0.25 * r, 0.25 * r), c.dark)
    fruit = [c.accent, c.second, _mix(c.accent, c.second, 0.5), c.near, _mix(c.light, c.second, 0.4)]
    kinds = rng.choice(5, 2)
    for y in np.sort(rng.uniform(edge + 0.12, 0.9, rng.integers(3, 8))):
        r, fx = rng.uniform(0.045, 0.075), rng.uniform(0.12, 0.88)
        shadow(fx, y + 0.85 * r, r)
        _ball(pen, fx, y, r, r * rng.uniform(0.85, 1.1), fruit[kinds[rng.integers(2)]], c, lit)
        _fill(pen, _box(fx - 0.006, y - 1.15 * r, fx + 0.006, y - 0.7 * r), c.dark)


def _abstract(pen: Pen, c: Palette, rng: Generator) -> None:
    def pick() -> np.ndarray:
        return c[rng.integers(len(c))]

    ground = pick()
    _gradient(pen, 0, 1, ground, _mix(ground, pick(), 0.3))
    kind = rng.choice(["bands", "discs", "blocks", "rays", "gestures"])
    if kind == "bands":
        y = 0.06
        while y < 0.85:
            h = rng.uniform(0.1, 0.36)
            inset = rng.uniform(0.04, 0.1)
            _fill(pen, _box(inset, y, 1 - inset, min(y + h, 0.95)), pick())
            y += h + 0.04
    elif kind == "discs":
        for r in np.sort(rng.uniform(0.06, 0.32, rng.integers(4, 9)))[::-1]:
            x, y = rng.uniform(0.1, 0.9, 2)
            for k in np.linspace(1, 0.25, rng.integers(2, 5)):
                _fill(pen, _oval(x, y, r * k, r * k), pick())
    elif kind == "blocks":
        tilt = rng.normal(0, 0.4)
        for s in np.sort(rng.uniform(0.08, 0.4, rng.integers(6, 12)))[::-1]:
            x, y = rng.uniform(0, 1, 2)
            _fill(pen, _oval(x, y, s, s * rng.uniform(0.15, 0.9), tilt + rng.choice([0, np.pi / 2]), 4), pick())
    elif kind == "rays":
        hub, turn = rng.uniform(0.2, 0.8, 2), rng.uniform(0, 6.3)
        for a in np.linspace(0, 2 * np.pi, rng.integers(9, 18), endpoint=False) + turn:
            far = [[np.cos(a), np.sin(a)], [np.cos(a + 0.3), np.sin(a + 0.3)]]
            _fill(pen, np.array([hub, *(hub + 1.6 * np.array(far))]), pick())
        for k in (0.2, 0.14, 0.07):
            _fill(pen, _oval(*hub, k, k), pick())
    else:
        t = np.linspace(0, 1, 24)
        for _ in range(rng.integers(5, 10)):
            (x, y), (u, v), bend = rng.uniform(0, 1, 2), rng.normal(0, 0.5, 2), rng.normal(0, 0.3)
            path = np.stack([x + u * (t - 0.5) + bend * np.sin(3 * t), y + v * (t - 0.5) + bend * np.cos(4 * t)], 1)
            half = np.array([-v, u]) / np.hypot(u, v) * (0.05 * np.sin(np.pi * t) + 0.015)[:, None]
            _fill(pen, np.concatenate([path - half, (path + half)[::-1]]), pick())


# Handlings: how the composed picture becomes paint.


def _window(texture: np.ndarray, side: int, corner: np.ndarray) -> np.ndarray:
    top, left = (corner * (texture.shape[0] - side)).astype(int)
    return texture[top : top + side, left : left + side]


@lru_cache(maxsize=64)
def _touches(touch: Touch, side: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Many overlapping touches on a canvas of 1.5 sides, to cut paintings from.

    Returns:
        Which bristle each pixel shows (T, T); the middle of each bristle's touch in pixels (K, 2)
        as row and column; its change of colour (K, 3); the light on the paint's relief (T, T).
    """
    rng = np.random.default_rng(11)
    num = int(touch.cover * 1.5**2 / (touch.length * touch.width))
    middles = rng.uniform(0, 1.5, (num, 2))
    angles = np.radians(touch.angle + touch.spread * rng.normal(size=num))
    if touch.swirl:
        waves = rng.normal(0, 4.5, (6, 2))
        phase = middles @ waves.T + rng.uniform(0, 6.3, 6)
        flow = (np.cos(phase) @ waves) @ np.array([[0, 1], [-1, 0]])
        angles += np.arctan2(flow[:, 1] * 0.8, flow[:, 0])
    canvas = Image.new("I", (side * 3 // 2,) * 2)
    pen = ImageDraw.Draw(canvas)
    along, across = np.stack([np.cos(angles), np.sin(angles)], 1), np.stack([-np.sin(angles), np.cos(angles)], 1)
    stretch = rng.uniform(0.75, 1.25, (num, touch.bristles, 2)) * touch.length / 2
    lanes = (np.linspace(-1, 1, touch.bristles + 1) * touch.width / 2)[:, None]
    turn = np.linspace(0, 2 * np.pi, 10, endpoint=False)
    for k in range(num):
        if touch.bristles == 1:
            outline = np.cos(turn)[:, None] * along[k] * touch.length / 2 + np.sin(turn)[:, None] * across[k] * touch.width / 2
            pen.polygon(((middles[k] + outline) * side).ravel().tolist(), fill=k)
            continue
        for b in range(touch.bristles):
            back, ahead = -stretch[k, b, 0] * along[k], stretch[k, b, 1] * along[k]
            low, high = lanes[b] * across[k], lanes[b + 1] * across[k]
            corners = middles[k] + np.stack([back + low, ahead + low, ahead + high, back + high])
            pen.polygon((corners * side).ravel().tolist(), fill=k * touch.bristles + b)
    shown = np.asarray(canvas)
    total = num * touch.bristles
    change = touch.hue * rng.normal(size=(num, 3)) + touch.tone * rng.normal(size=(num, 1))
    change = np.repeat(change, touch.bristles, axis=0) + touch.tone * 0.6 * rng.normal(size=(total, 1))
    height = rng.normal(size=total)[shown]
    relief = np.clip(height - np.roll(height, (1, 1), (0, 1)), -2, 2) * touch.relief
    rows = np.repeat(middles[:, ::-1] * side, touch.bristles, axis=0)
    return shown, rows.astype(np.float32), change.astype(np.float32), relief.astype(np.float32)


def _strokes(pixels: np.ndarray, rng: Generator, broad: Touch, fine: Touch | None = None) -> np.ndarray:
    """Cover the picture with broad touches, then go over its details with fine ones."""
    side = len(pixels)
    painted = pixels
    for touch in (broad, fine):
        if touch is None:
            continue
        corner = rng.random(2)
        shown, middles, change, relief = _touches(touch, side)
        row, column = np.clip(middles - (corner * (side // 2)), 0, side - 1).astype(int).T
        colours = pixels[row, column] + change
        layer, light = _window(shown, side, corner), _window(relief, side, corner)[..., None]
        laid = np.take(colours, layer, axis=0) + light
        if touch is broad:
            painted = laid
        else:
            gray = pixels.mean(axis=2)
            step = max(1, side // 64)
            wide = np.abs(gray[:, 2 * step :] - gray[:, : -2 * step]) > 14
            detail = np.pad(wide, ((0, 0), (step, step)))
            detail[step:-step] |= np.abs(gray[2 * step :] - gray[: -2 * step]) > 14
            painted = np.where(detail[row, column][layer][..., None], laid, painted)
    return painted


@lru_cache(maxsize=16)
def _noise(side: int, cells: tuple[int, int], octaves: int = 1) -> np.ndarray:
    """Smooth noise (T, T) about 0, with `cells` bumps per side across and down."""
    rng = np.random.default_rng(12)
    total = np.zeros((side * 3 // 2,) * 2, np.float32)
    for k in range(octaves):
        across, down = (int(n * 1.5) * 2**k for n in cells)
        bumps = rng.normal(size=(down, across)).astype(np.float32) / 1.6**k
        total += np.asarray(Image.fromarray(bumps).resize(total.shape, Image.Resampling.BICUBIC))
    return total


def _grain(pixels: np.ndarray, rng: Generator, cells: tuple[int, int], amount: float) -> np.ndarray:
    return pixels + amount * _window(_noise(len(pixels), cells), len(pixels), rng.random(2))[..., None]


def _blur(pixels: np.ndarray, radius: float) -> np.ndarray:
    image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    return np.asarray(image.filter(ImageFilter.BoxBlur(radius * len(pixels))), np.float32)


def _outline(pixels: np.ndarray, rng: Generator, ink: tuple[int, int, int], width: float) -> np.ndarray:
    """Draw ink where flat colours meet."""
    step = max(1, round(width * len(pixels)))
    gray = pixels @ np.array([0.5, 0.3, 0.2], np.float32)
    edge = np.zeros(gray.shape, np.float32)
    edge[:, step:] = np.abs(gray[:, step:] - gray[:, :-step])
    edge[step:] = np.maximum(edge[step:], np.abs(gray[step:] - gray[:-step]))
    strength = np.clip((edge - 9) / 12, 0, 1)[..., None] * 0.85
    return pixels + (np.array(ink, np.float32) - pixels) * strength


def _wash(pixels: np.ndarray, rng: Generator) -> np.ndarray:
    """Thin colour that bleeds, gathers at its edges and granulates on white paper."""
    side = len(pixels)
    noise = _window(_noise(side, (5, 5), 4), side, rng.random(2))
    pull = (noise * 0.012 * side).astype(int)
    at = np.arange(side)
    bled = pixels[np.clip(at[:, None] + pull, 0, side - 1), np.clip(at + pull.T, 0, side - 1)]
    soft = _blur(bled, 0.012)
    pooled = bled + (bled - _blur(bled, 0.03)) * 0.5
    wet = 0.55 * soft + 0.45 * pooled
    thin = np.clip(0.72 + 0.13 * noise, 0.25, 1)[..., None]
    return 252 - (252 - wet) * thin


def _hatch(pixels: np.ndarray, rng: Generator, ink: tuple[int, int, int], tint: float) -> np.ndarray:
    """Ink lines on toned paper, crossed more often the darker the picture."""
    side = len(pixels)
    gray = pixels.mean(axis=2)
    y, x = np.mgrid[0:side, 0:side].astype(np.float32) / side
    wobble = 0.006 * _window(_noise(side, (6, 6)), side, rng.random(2))
    paper = np.array([240, 228, 200], np.float32)
    cover = np.zeros_like(gray)
    for level, angle, pitch in ((205, 0.75, 52), (150, -0.75, 52), (105, 0.05, 58), (70, 1.5, 58)):
        line = np.abs(np.sin((x * np.cos(angle) + y * np.sin(angle) + wobble) * np.pi * pitch))
        weight = np.clip((level - gray) / 60, 0, 1) * 0.75
        cover = np.maximum(cover, np.clip((weight - line) * 4 + 0.3, 0, 1) * (weight > 0))
    ground = paper + (pixels - paper) * tint
    return ground + (np.array(ink, np.float32) - ground) * (0.9 * cover[..., None])


def _spotlight(pixels: np.ndarray, rng: Generator) -> np.ndarray:
    """Let one warm light fall on the middle and the rest sink into the dark."""
    side = len(pixels)
    x0, y0 = rng.uniform(0.3, 0.7), rng.uniform(0.3, 0.55)
    y, x = np.mgrid[0:side, 0:side].astype(np.float32) / side
    fall = np.exp(-((x - x0) ** 2 + (y - y0) ** 2) / 0.09)[..., None]
    return pixels * (0.22 + 1.0 * fall) + fall * np.array([14, 8, -4], np.float32)


ARTISTS = (
    Artist("Odile Vantreux", "Pointillism", 1858, 1921, 3,
        ("6f9fd8 cfe3ee fff3b0 9a8fc8 8fbf6a 5f9a55 5a8fc4 f0803c e0567f 3b3f78",
         "7a6cc0 f6b48a ffe08a a678b8 b59a5a 6f7f50 7f86cf ff7a4a d9457a 35306a"),
        (partial(_strokes, broad=Touch(0.024, 0.024, hue=26, tone=6), fine=Touch(0.016, 0.016, hue=22, tone=6)),)),
    Artist("Haruo Minazuki", "Ukiyo-e", 1789, 1856, 3,
        ("2f5d8c e9ddbf f4efdc 8fa7a8 7f9460 4f6b4a 3b6f93 c8402f d8a23e 1d2536",
         "b8503f f0dcb4 fbe9c0 8a98a0 8b8a5c 50604a 4a7488 b03a2e e0b050 22232e",
         "6f8596 d8d8cc f7f4e8 a9b6ba e4e1d3 cfcfc4 426a86 c23f30 c79a48 262a35"),
        (partial(_outline, ink=(28, 30, 44), width=0.006), partial(_grain, cells=(6, 90), amount=4))),
    Artist("Corneel van Hulderen", "Baroque", 1611, 1674, 2,
        ("3a3f45 b08a55 f2d9a0 5a5040 5c4a2a 3a2c18 4a5048 8c2f1e c08a3a 140d08",
         "4b4236 c79a5c ffe2a8 4c4436 4f4526 2f2817 3b403a 6e3020 b9a070 120c0a"),
        (partial(_strokes, broad=Touch(0.05, 0.016, 20, 25, hue=2, tone=6), fine=Touch(0.02, 0.008, 20, 40, hue=2, tone=4)), _spotlight)),
    Artist("Brannoch Tulliver", "Expressionism", 1880, 1949, 2,
        ("1f5f7a e8b04a ffe9a8 b5483a c98a2c 7a3b22 2b7f86 d7342a f2c230 1b1a2b",
         "c2402c f5a83a fff0b8 5a2f4f a0622a 5c2a26 274f6e e4572e 3d8f80 201420"),
        (partial(_strokes, broad=Touch(0.16, 0.035, 0, 5, bristles=4, hue=8, tone=12, relief=9),
            fine=Touch(0.06, 0.016, 0, 12, bristles=2, hue=8, tone=10, relief=9)),)),
    Artist("Ilse Morgenrath", "Cubism", 1887, 1962, 2,
        ("8a98a0 c8bfa8 efe6cf 7d7a72 a68a5b 6a5a44 5f7680 9c6a3c b8a27a 2a2926",
         "6f7f78 b9b79a e8e2c4 667068 8c8a5a 4d5a48 587a78 a4572f c9a86a 23282a"),
        (partial(_strokes, broad=Touch(0.12, 0.08, 30, 60, hue=3, tone=14)),)),
    Artist("Tadeáš Korvín", "Post-Impressionism", 1861, 1903, 3,
        ("12235f 3f78b8 ffe45a 24407f 2f6a6a 1a3a4a 2a5fa5 f5b81e e8e0a0 0b1030",
         "3aa0b0 c8e0b0 ffe870 4a80a0 e0b83a b88a20 3a88b0 e0701e 4f8a3a 203060"),
        (partial(_strokes, broad=Touch(0.075, 0.018, spread=6, swirl=True, bristles=2, hue=8, tone=15, relief=6),
            fine=Touch(0.035, 0.01, spread=10, swirl=True, hue=8, tone=12, relief=6)),)),
    Artist("Elspeth Farraday-Lunn", "Romanticism", 1792, 1851, 2,
        ("8fb0cf f3e3d3 fff4d6 a9b4cc b4c29a 8a9f72 92b8c4 d98a7a e3c07a 566078",
         "c7a9bd f8e0c8 ffedc0 b8a8c4 c3b692 9a9a70 a8b4c8 c8746a d8b06a 5a5468"),
        (_wash, partial(_grain, cells=(110, 110), amount=3))),
    Artist("Giacinta Bellorofonte", "Expressionism", 1884, 1957, 2,
        ("ff8fa8 ffd27a fff2a0 3f6fd8 18a070 0a6a58 20a8c8 f04a1e e0207a 2a1a6a",
         "30b8c8 f8a8c0 fff0c0 7a40b0 f07a1e c8381e 2050d0 ffd000 e8306a 10304a"),
        (partial(_strokes, broad=Touch(0.11, 0.04, 90, 14, bristles=5, hue=14, tone=10, relief=4),
            fine=Touch(0.045, 0.018, 90, 25, bristles=2, hue=10, tone=8, relief=4)),)),
    Artist("Mirko Saldanha", "Baroque", 1596, 1660, 2,
        ("b8b8a8 e8e0cc fff8e4 a0a090 908c74 5c5848 98a09c 8a4a34 b89a60 201a18",),
        (partial(_hatch, ink=(40, 28, 24), tint=0.35),)),
    Artist("Ngaio Whitcombe", "Impressionism", 1849, 1931, 3,
        ("a8c8ea f4e4dc fff8d8 b0b0dc b8d498 88b884 98c8d8 f0a088 e8b8d0 606090",
         "c8b8e8 fbdcc4 fff0c8 b8a8d4 c8c890 98b080 b0c0e0 f08878 f0c870 605888"),
        (partial(_strokes, broad=Touch(0.05, 0.016, 50, 16, hue=9, tone=9, relief=3), fine=Touch(0.028, 0.01, 50, 30, hue=8, tone=8, relief=3)),)),
)  # fmt: skip
DECK = [number for number, artist in enumerate(ARTISTS) for _ in range(artist.share)]
GENRES = {"landscape": 0.4, "portrait": 0.25, "still life": 0.2, "abstract": 0.15}
PAINTERS = {"landscape": _landscape, "portrait": _portrait, "still life": _still_life, "abstract": _abstract}
TITLES = {
    "landscape": ("Morning at {}", "Evening, {}", "The Road to {}", "View of {}", "Trees near {}", "Wind over {}", "{} in Spring"),
    "portrait": ("Portrait of {}", "{} in the Studio", "{}, Seated", "Study of {}", "{} by the Window"),
    "still life": ("Still Life with {}", "{} on a Table", "{}, Morning Light", "{} and a Vase"),
    "abstract": ("Composition No. {}", "Untitled ({})", "Variation {}", "Interval {}"),
}
NAMES = {
    "landscape": ("Ostrava Bay", "Lindmoor", "Valcroze", "the Old Mill", "Harrow Fell", "Santa Meura", "Kestrel Point", "the Salt Marsh", "Ambleforth", "Mount Sorel"),
    "portrait": ("Agathe", "the Ferryman", "a Young Clerk", "Madame Dorval", "Brother Anselm", "Ines", "the Botanist", "My Sister", "Josef K.", "the Glovemaker"),
    "still life": ("Quinces", "Pears", "Plums", "Blue Jug", "Oranges", "Peonies", "Apples", "Anemones", "Persimmons", "Copper Pot"),
    "abstract": ("4", "7", "11", "12", "19", "23", "31", "Ochre", "North", "Quiet"),
}


def _facts(index: int, seed: int) -> tuple[Artist, bool, Generator]:
    """The artist, whether this is a test painting, and the painting's own random numbers.

    Artists are dealt from a shuffled deck, so that each keeps their share; in any five deals from
    the start every card is a test painting once.
    """
    deal, place = divmod(index, len(DECK))
    card = int(np.random.default_rng((seed, deal, 1)).permutation(len(DECK))[place])
    return ARTISTS[DECK[card]], (card + deal) % 5 == 0, np.random.default_rng((seed, index))


def describe(index: int, seed: int = 0) -> dict[str, str]:
    """What is known of painting `index`: artist, style, genre, title, date and split."""
    artist, held_out, rng = _facts(index, seed)
    genre = str(rng.choice(list(GENRES), p=list(GENRES.values())))
    title = str(rng.choice(TITLES[genre])).format(rng.choice(NAMES[genre]))
    year = rng.integers(artist.born + 20, artist.died + 1)
    return {
        "artist": artist.name,
        "style": artist.style,
        "genre": genre,
        "title": title,
        "date": f"{year}" if rng.random() < 0.8 else f"c. {year}",
        "split": "test" if held_out else "train",
    }


def draw(index: int, seed: int = 0, side: int = 256) -> Image.Image:
    """Paint painting `index` as an RGB image of `side` × `side` pixels."""
    return paint(describe(index, seed)["genre"], *_facts(index, seed)[::2], side)


def paint(genre: str, artist: Artist, rng: Generator, side: int) -> Image.Image:
    hexes = artist.palettes[rng.integers(len(artist.palettes))].split()
    colours = np.array([list(bytes.fromhex(code)) for code in hexes], float)
    colours = np.clip(colours + rng.normal(0, 7, (10, 3)) + rng.normal(0, 6), 0, 255)
    sketch = Image.new("RGB", (2 * side, 2 * side))
    PAINTERS[genre](ImageDraw.Draw(sketch), Palette(*colours), rng)
    pixels = np.asarray(sketch.reduce(2), np.float32)
    for handle in artist.handling:
        pixels = handle(pixels, rng)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
