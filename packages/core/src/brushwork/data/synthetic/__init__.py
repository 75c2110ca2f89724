"""Paintings that are drawn by code: the default data, which needs no files.

Ten invented artists paint landscapes, portraits, still lifes and abstract pictures. Each artist has
palettes and a way to handle paint, so that a classifier can learn to tell them apart.

`scenes` composes a painting from plain `shapes` in the colours of a palette. `handling` turns this
composition into paint: with brush strokes, each in the colour below its middle and finer ones over
details (Hertzmann 1998, "Painterly Rendering with Curved Brush Strokes of Multiple Sizes"), or with
washes, hatching and outlines. `artists` defines the artists, and draws a painting by its number.

A painting depends on its number and the seed only, not on how many there are. It is the same
picture at every side.
"""

from brushwork.data.synthetic.artists import GENRES, describe, draw

__all__ = ["GENRES", "describe", "draw"]
