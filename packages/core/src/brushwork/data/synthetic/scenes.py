"""Scenes: one function for each genre composes a painting from plain shapes.

Points are in the unit square, y downwards. The letters of the functions: c the palette, rng the
random number generator, lit the side that the light comes from, x and y a place, h a height, w a
width, r a radius, s a scale, t a share in [0, 1].
"""

import numpy as np
from numpy.typing import ArrayLike

from brushwork.data.synthetic.shapes import (
    CIRCLE,
    Colour,
    Scene,
    ball,
    box,
    flower,
    gradient,
    mix,
    oval,
    pick,
    poly,
    ribbon,
    ridge,
)


def _sky(scene: Scene, horizon: float, sun: float) -> None:
    """Fill all above the horizon, usually with a sun, sometimes with clouds."""
    _, c, rng, _ = scene
    gradient(scene, 0, horizon, c.high, c.low)
    if rng.random() < 0.75:
        y, r = rng.uniform(0.1, horizon - 0.02), rng.uniform(0.045, 0.1)
        disc = c.light if rng.random() < 0.6 else c.accent
        for size, tone in ((1.9, mix(c.low, c.light, 0.3)), (1.4, mix(c.low, c.light, 0.6))):
            oval(scene, tone, sun, y, size * r, size * r)
        oval(scene, disc, sun, y, r, r)
    for _ in range(rng.integers(0, 4)):
        x, y, w = rng.uniform(0, 1), rng.uniform(0.05, horizon - 0.12), rng.uniform(0.07, 0.16)
        puffs = ((0, 0.012, 0.35), (-0.6, 0, 0.7), (0.5, 0.005, 0.7), (0, -0.015, 0.95))
        for dx, dy, t in puffs:
            oval(scene, mix(c.low, c.light, t), x + dx * w, y + dy, w, 0.24 * w)


def _mountains(scene: Scene, horizon: float) -> None:
    """Draw three mountains, farther ones paler, with snow and a shaded side."""
    _, c, rng, lit = scene
    for depth in (0.2, 0.6, 1.0):
        tone = mix(mix(c.far, c.low, 0.5), mix(c.far, c.dark, 0.25), depth)
        x, h, w = rng.uniform(0, 1), rng.uniform(0.16, 0.32) * (1.3 - 0.6 * depth), 0.3
        place = {"at": (x, horizon + 0.03), "scale": (w * lit, -h)}
        poly(scene, tone, [(-1.2, 0), (-0.5, 0.55), (0, 1), (0.4, 0.62), (1.2, 0)], **place)
        shaded = [(-1.2, 0), (-0.5, 0.55), (0, 1), (0.06, 0.7), (-0.08, 0.45), (0.1, 0)]
        poly(scene, mix(tone, c.dark, 0.35), shaded, **place)
        snow = [(-0.27, 0.76), (0, 1), (0.25, 0.77), (0.12, 0.68), (0.02, 0.75), (-0.12, 0.66)]
        poly(scene, mix(tone, c.light, 0.85), snow, **place)


def _boat(scene: Scene, x: float, y: float, h: float) -> None:
    """Draw a boat with two sails on the water."""
    _, c, rng, _ = scene
    sail = pick(rng, c.light, c.light, c.accent)
    place = {"at": (x, y), "scale": h}
    oval(scene, mix(c.water, c.dark, 0.3), x, y + 0.12 * h, 0.5 * h, 0.1 * h)
    poly(scene, sail, [(0, -1), (0.36, -0.1), (0, -0.1)], **place)
    poly(scene, mix(sail, c.dark, 0.25), [(-0.04, -0.85), (-0.04, -0.1), (-0.28, -0.1)], **place)
    poly(scene, c.dark, [(-0.38, -0.07), (0.45, -0.07), (0.3, 0.1), (-0.26, 0.1)], **place)


def _house(scene: Scene, x: float, y: float, s: float) -> None:
    """Draw a house with a shaded wall, a roof and a door."""
    _, c, _, lit = scene
    wall = mix(c.light, c.low, 0.3)
    box(scene, wall, x - s, y - s, x + s, y)
    box(scene, mix(wall, c.dark, 0.4), x - lit * s, y - s, x - lit * 0.3 * s, y)
    poly(scene, c.accent, [(-1.2, -1), (-0.7, -1.8), (0.7, -1.8), (1.2, -1)], (x, y), s)
    box(scene, c.dark, x - 0.15 * s, y - 0.6 * s, x + 0.2 * s, y)


def _tree(scene: Scene, kind: int, x: float, y: float, h: float) -> None:
    """Draw a tree: round (kind 0), poplar (1) or fir (2)."""
    _, c, rng, lit = scene
    leaf = mix(c.near, pick(rng, c.dark, c.accent, c.mid), rng.uniform(0.2, 0.55))
    box(scene, mix(c.dark, c.accent, 0.15), x - 0.04 * h, y - 0.5 * h, x + 0.04 * h, y)
    tones = (mix(leaf, c.dark, 0.5), leaf, mix(leaf, c.light, 0.35))
    for k, (tone, size) in enumerate(zip(tones, (1, 0.72, 0.4), strict=True)):
        s = 0.06 * lit * k  # towards the light
        if kind == 0:  # round
            for u, v, r in ((-0.18, -0.5, 0.22), (0.18, -0.52, 0.22), (0, -0.75, 0.26)):
                oval(scene, tone, x + (u + s) * h, y + (v - abs(s)) * h, r * h * size, r * h * size)
        elif kind == 1:  # poplar
            oval(scene, tone, x + s / 2 * h, y - 0.6 * h, 0.15 * h * size, 0.48 * h * size**0.3)
        else:  # fir
            for top, w in ((-0.5, 0.34 * size), (-0.75, 0.26 * size), (-1, 0.18 * size)):
                skirt = [(s / 2, top), (s + w, top + 0.4), (s - w, top + 0.4)]
                poly(scene, tone, skirt, (x, y), h)


def landscape(scene: Scene) -> None:
    """Compose hills, mountains, the sea, a lake, a road or fields under a sky."""
    _, c, rng, lit = scene
    kind = rng.choice(["hills", "mountains", "sea", "lake", "road", "fields"])
    horizon = rng.uniform(0.36, 0.64)
    sun, depth = 0.5 + lit * rng.uniform(0.02, 0.38), 1 - horizon
    _sky(scene, horizon, sun)
    if kind == "mountains" or (kind == "lake" and rng.random() < 0.5):
        _mountains(scene, horizon)
    elif kind != "sea" or rng.random() < 0.4:
        for t in (0.5, 0.1):
            ridge(scene, mix(c.far, c.low, t), horizon, rng.uniform(0.04, 0.16))

    if kind in ("sea", "lake"):
        gradient(scene, horizon, 1, mix(c.water, c.low, 0.5), mix(c.water, c.dark, 0.3))
        for y in horizon + depth * rng.random(16) ** 1.5:
            w = 0.03 + 0.25 * (y - horizon)
            x = rng.normal(sun, 0.05) if rng.random() < 0.6 else rng.uniform(0, 1)
            oval(scene, mix(c.water, c.light, rng.uniform(0.3, 0.9)), x, y, w, 0.1 * w)
        for y in np.sort(rng.uniform(horizon + 0.05, horizon + 0.25, rng.integers(0, 4))):
            _boat(scene, rng.uniform(0.1, 0.9), y, 0.08 + 0.8 * (y - horizon))
        shore = rng.uniform(0.76, 0.9) if kind == "lake" else 1.02
        ridge(scene, mix(c.near, c.dark, 0.15), shore, 0.1, 2)
    else:
        shore = horizon + 0.05
        gradient(scene, horizon, 1, c.mid, mix(c.near, c.dark, 0.3))
        for k in range(3):
            soil = mix(c.mid, mix(c.near, c.dark, 0.3), k / 2)
            soil = mix(soil, pick(rng, c.second, c.light, c.dark), rng.uniform(0.1, 0.35))
            ridge(scene, soil, horizon + depth * (k + 0.4) / 3, 0.08 + 0.04 * k, 2)
    if kind == "fields":
        crop, vanish, start = pick(rng, c.accent, c.second, c.light), rng.uniform(0.1, 0.9), -0.4
        for x in start + rng.uniform(0, 0.2) + 0.2 * np.arange(9):
            furrow = [(vanish, horizon + 0.04), (x, 1.02), (x + 0.1, 1.02)]
            poly(scene, mix(crop, c.near, 0.15), furrow)
    elif kind == "road" or (kind == "hills" and rng.random() < 0.6):
        t = np.linspace(0, 1, 16)
        bend = rng.uniform(-0.3, 0.3) * t + rng.uniform(-0.12, 0.12) * np.sin(6 * t)
        path = np.stack([rng.uniform(0.2, 0.8) + bend, horizon + 0.03 + depth * t], axis=1)
        way = mix(c.light if kind == "road" else c.water, c.mid, 0.15)
        ribbon(scene, way, path, np.stack([0.008 + 0.15 * t**1.5, 0 * t], axis=1))

    if kind != "sea":
        if rng.random() < 0.45:
            y = shore + rng.uniform(0.02, 0.12)
            _house(scene, rng.uniform(0.15, 0.85), y, rng.uniform(0.06, 0.14))
        wood = int(rng.integers(3))
        for y in np.sort(rng.uniform(shore, 1.04, rng.integers(0, 7))):
            h = (0.12 + 0.65 * (y - horizon)) * rng.uniform(0.8, 1.3)
            _tree(scene, wood, rng.uniform(0, 1), y, h)


# Colours of skin, from light to dark.
SKINS = np.array(
    [[244, 208, 178], [232, 184, 148], [198, 146, 106], [146, 98, 68], [104, 70, 52]], float
)


def portrait(scene: Scene) -> None:
    """Compose a head and shoulders in front of a wall, which may have a window."""
    _, c, rng, lit = scene
    wall = pick(rng, c.high, c.low, c.far, c.mid, c.water, c.dark, c.second)
    gradient(scene, 0, 1, wall, mix(wall, pick(rng, c.high, c.low, c.far, c.dark), 0.6))
    if rng.random() < 0.3:
        x = rng.choice([0.03, 0.67])
        box(scene, mix(c.dark, wall, 0.3), x - 0.02, 0.04, x + 0.32, 0.5)
        box(scene, c.low, x, 0.06, x + 0.3, 0.48)
        hills = [(0, 0.42), (0, 0.3), (0.1, 0.26), (0.2, 0.33), (0.3, 0.28), (0.3, 0.42)]
        poly(scene, c.far, hills, (x, 0.06))
    x, y, r = rng.uniform(0.4, 0.6), rng.uniform(0.36, 0.46), rng.uniform(0.14, 0.2)
    turn = rng.uniform(-0.3, 0.3)
    tone = rng.integers(5)
    skin = mix(SKINS[tone], c.second, 0.15)
    shade, glow = mix(skin, c.dark, 0.35), mix(skin, c.light, 0.4)
    fair = pick(rng, c.second, mix(c.light, c.far, 0.4), mix(c.dark, c.accent, 0.6))
    hair = fair if tone < 2 and rng.random() < 0.6 else mix(c.dark, c.accent, rng.uniform(0, 0.2))
    cloth = pick(rng, c.accent, c.water, c.near, c.dark, c.light, c.far)
    fashion, wide = rng.integers(5), rng.uniform(1.7, 2.3)

    # Places and sizes of a face are in radii of the head, from its middle.
    def put(colour: Colour, points: ArrayLike) -> None:
        poly(scene, colour, points, (x, y), r)

    def dot(colour: Colour, u: float, v: float, rx: float, ry: float, tilt: float = 0.0) -> None:
        oval(scene, colour, x + u * r, y + v * r, rx * r, ry * r, tilt)

    if fashion < 2:  # long hair falls behind the shoulders
        dot(mix(hair, c.dark, 0.3), 0, 0.45, 1.35, 1.9)
    body = np.array([(-1, 6), (-0.95, 2.7), (-0.7, 2.0), (-0.2, 1.6), (0.2, 1.6), (0.7, 2.0),
                     (0.95, 2.7), (1, 6)]) * (wide, 1)  # fmt: skip
    put(cloth, body)
    put(mix(cloth, c.dark, 0.4), body[4:] * (-lit, 1))
    put(mix(cloth, c.light, 0.3), np.array([(0.35, 6), (0.6, 2.1), (0.85, 2.6)]) * (lit * wide, 1))
    put(shade, [(-0.42, 0.6), (0.42, 0.6), (0.46, 1.8), (0, 2.3), (-0.46, 1.8)])
    if fashion in (2, 3):  # collar
        for side in (-1, 1):
            collar = np.array([(0, 2.5), (0.4, 1.55), (0.85, 1.85), (0.5, 2.45)]) * (side, 1)
            put(mix(c.light, cloth, 0.15), collar)
    dot(shade, 0, 0, 1, 1.28)
    dot(skin, 0.13 * lit, 0, 0.87, 1.22)
    dot(glow, 0.48 * lit, 0.15, 0.3, 0.55)
    for side in (-1, 1):
        eye = turn + 0.4 * side
        dot(shade, eye, -0.04, 0.24, 0.17)
        dot(mix(c.light, skin, 0.25), eye, 0, 0.18, 0.1)
        dot(c.dark, eye + 0.15 * turn, -0.01, 0.1, 0.12)
        dot(mix(hair, c.dark, 0.6), eye, -0.29, 0.26, 0.055, 0.15 * side)
    nose = np.array([(0.02, -0.05), (-0.2 * lit, 0.42), (0.06 * lit, 0.47)])
    put(shade, nose + np.array([1.2 * turn, 0]))
    if fashion == 3:  # beard
        dot(hair, 0.4 * turn, 0.95, 0.72, 0.5)
        dot(hair, turn, 0.6, 0.36, 0.08)
    dot(mix(c.accent, skin, 0.35), turn, 0.76, 0.3, 0.1)
    dot(mix(c.dark, c.accent, 0.3), turn, 0.74, 0.3, 0.03)
    fringe = CIRCLE * (1.1, 1.3) - (0, 0.1)
    part = rng.uniform(-0.68, -0.45) + 0.5 * (fringe[:, 0] - 0.3 * turn) ** 2
    put(hair, np.stack([fringe[:, 0], np.minimum(fringe[:, 1], part)], axis=1))
    dot(mix(hair, c.light, 0.3), 0.4 * lit, -0.98, 0.4, 0.14, 0.4 * lit)
    if fashion == 2:  # bun
        dot(hair, 0, -1.45, 0.4, 0.34)
    elif fashion == 4:  # hat
        hat = pick(rng, c.accent, c.second, c.dark, c.light)
        dot(hat, 0, -1.05, 0.95, 0.75)
        dot(mix(hat, c.dark, 0.3), 0, -0.78, 1.65, 0.28)


def still_life(scene: Scene) -> None:
    """Compose a vase, often with flowers, and fruit on a table."""
    _, c, rng, lit = scene
    edge = rng.uniform(0.5, 0.66)
    wall = pick(rng, c.high, c.low, c.far, c.dark, c.water)
    cloth = pick(rng, c.mid, c.near, c.light, c.second)
    gradient(scene, 0, edge, wall, mix(wall, c.low, 0.4))
    if rng.random() < 0.4:  # curtain
        curtain = [(0, 0), (0.35, 0), (0.25, edge), (0.08, edge)]
        poly(scene, mix(wall, c.dark, 0.3), curtain, (rng.uniform(0, 0.7), 0))
    gradient(scene, edge, 1, mix(cloth, c.dark, 0.2), cloth)
    if rng.random() < 0.6:
        box(scene, mix(cloth, c.dark, 0.6), -0.01, rng.uniform(0.87, 0.93), 1.01, 1.01)
    if rng.random() < 0.5:  # napkin
        napkin = [(0, 0.06), (0.4, 0.1), (0.3, 0.55), (0.12, 0.5)]
        poly(scene, mix(c.light, cloth, 0.2), napkin, (rng.uniform(0.1, 0.6), edge))

    def shadow(x: float, y: float, w: float) -> None:
        oval(scene, mix(cloth, c.dark, 0.6), x - 0.6 * lit * w, y, 1.25 * w, 0.25 * w)

    x, foot, w = rng.uniform(0.25, 0.75), edge + rng.uniform(0.06, 0.14), rng.uniform(0.1, 0.16)
    top = foot - w * rng.uniform(2.0, 3.0)
    pot = pick(rng, c.accent, c.water, c.second, c.light, c.near)
    t = np.linspace(0, 1, 16)
    belly = np.sin(np.pi * t ** rng.uniform(0.6, 1.5)) ** rng.uniform(0.7, 1.6)
    half = np.stack([w * (0.42 + 0.58 * belly), 0 * t], axis=1)
    axis = np.stack([x + 0 * t, foot + (top - foot) * t], axis=1)
    shadow(x, foot, w)
    pots = (mix(pot, c.dark, 0.5), pot, mix(pot, c.light, 0.5))
    for tone, size, shift in zip(pots, (1, 0.72, 0.22), (0, 0.26, 0.45), strict=True):
        ribbon(scene, tone, axis + lit * shift * half, size * half)
    oval(scene, mix(pot, c.dark, 0.6), x, top, half[-1, 0], 0.25 * half[-1, 0])
    if rng.random() < 0.65:
        for bx, by in zip(rng.normal(x, 0.11, 10), abs(rng.normal(0.07, 0.07, 10)), strict=True):
            leaf = mix(c.near, c.dark, rng.uniform(0, 0.6))
            oval(scene, leaf, bx, top - by, 0.07, 0.025, rng.uniform(-1.5, 1.5))
        for _ in range(rng.integers(6, 13)):
            bx, by = rng.normal(x, 0.1), top - abs(rng.normal(0.1, 0.08))
            bloom = pick(rng, c.accent, c.second, c.light, mix(c.accent, c.light, 0.5))
            poly(scene, mix(c.near, c.dark, 0.4), [(x, top), (bx, by), (x + 0.012, top)])
            flower(scene, bloom, bx, by, rng.uniform(0.04, 0.07))
    fruits = c.accent, c.second, mix(c.accent, c.second, 0.5), c.near, mix(c.light, c.second, 0.4)
    basket = pick(rng, *fruits), pick(rng, *fruits)
    for y in np.sort(rng.uniform(edge + 0.12, 0.9, rng.integers(3, 8))):
        u, r = rng.uniform(0.12, 0.88), rng.uniform(0.05, 0.085)
        shadow(u, y + 0.85 * r, r)
        ball(scene, pick(rng, *basket), u, y, r)
        box(scene, c.dark, u - 0.006, y - 1.15 * r, u + 0.006, y - 0.7 * r)


def abstract(scene: Scene) -> None:
    """Compose bands, discs, blocks, rays or curved brush marks."""
    _, c, rng, _ = scene
    ground, kind = pick(rng, *c), rng.choice(["bands", "discs", "blocks", "rays", "gestures"])
    gradient(scene, 0, 1, ground, mix(ground, pick(rng, *c), 0.3))
    if kind == "bands":
        y, inset = 0.06, rng.uniform(0.04, 0.1)
        while y < 0.85:
            h = rng.uniform(0.1, 0.36)
            box(scene, pick(rng, *c), inset, y, 1 - inset, min(y + h, 0.95))
            y += h + 0.04
    elif kind == "discs":
        for r in np.sort(rng.uniform(0.06, 0.32, rng.integers(4, 9)))[::-1]:
            x, y = rng.uniform(0.1, 0.9, 2)
            for k in np.linspace(1, 0.25, rng.integers(2, 5)):
                oval(scene, pick(rng, *c), x, y, r * k, r * k)
    elif kind == "blocks":
        for s in np.sort(rng.uniform(0.1, 0.5, rng.integers(6, 12)))[::-1]:
            slab = [(-1, -0.3), (1, -0.4), (0.9, 0.35), (-0.9, 0.3)]
            scale = (s, s * rng.uniform(0.4, 2))
            poly(scene, pick(rng, *c), slab, rng.uniform(0, 1, 2), scale)
    elif kind == "rays":
        hub = rng.uniform(0.2, 0.8, 2)
        rim = hub + 1.6 * CIRCLE[:: rng.integers(1, 4)]
        for one, two in zip(rim, np.roll(rim, 1, axis=0), strict=True):
            poly(scene, pick(rng, *c), [hub, one, two])
        for r in (0.2, 0.14, 0.07):
            oval(scene, pick(rng, *c), hub[0], hub[1], r, r)
    else:
        t = np.linspace(0, 1, 24)[:, None]
        for _ in range(rng.integers(5, 10)):
            start, way, bend = rng.uniform(0, 1, 2), rng.normal(0, 0.5, 2), rng.normal(0, 0.3, 2)
            path = start + way * (t - 0.5) + bend * np.sin(3 * t + bend)
            across = np.array([-way[1], way[0]]) / np.hypot(*way)
            ribbon(scene, pick(rng, *c), path, across * (0.06 * np.sin(np.pi * t) + 0.02))
