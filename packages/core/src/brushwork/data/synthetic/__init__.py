"""Paintings drawn by code: the default data, which every copy of brushwork has.

Invented artists, each with palettes and a way of handling paint, paint landscapes, portraits, still
lifes and abstract pictures. `scenes` composes a painting in plain shapes (`shapes`) from its
artist's palette; `handling` then turns the shapes into paint: strokes laid over it, each in the
colour below its middle and finer ones over the details (Hertzmann 1998), or washes, hatching and
outlines. `artists` has the artists, and draws.
"""

from brushwork.data.synthetic.artists import PAINTERS, describe, draw

__all__ = ["PAINTERS", "describe", "draw"]
