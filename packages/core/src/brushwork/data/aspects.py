"""The proportions of pictures: width to height.

S side of a picture: its shorter side, in pixels.
"""

from typing import Literal, get_args

from brushwork.errors import BrushworkError

Aspect = Literal["1:1", "3:2", "2:3"]
"""Width to height. Landscapes are often 3:2, portraits 2:3."""


def height_and_width(side: int, aspect: Aspect | str = "1:1") -> tuple[int, int]:
    """Compute the height and the width of pictures, in pixels.

    Args:
        side: S, even unless the picture is a square.
        aspect: width to height.

    Raises:
        BrushworkError: `aspect` is not one of `Aspect`.

    >>> height_and_width(64, "3:2"), height_and_width(64, "2:3"), height_and_width(64)
    ((64, 96), (96, 64), (64, 64))
    """
    if aspect not in get_args(Aspect):
        raise BrushworkError(
            f"`aspect` is {aspect!r}; choose one of {', '.join(get_args(Aspect))} (width to height)"
        )
    width, height = map(int, aspect.split(":"))
    short = min(width, height)
    return side * height // short, side * width // short


def aspect_of(height: int, width: int) -> Aspect:
    """Find the proportions of pictures; "1:1" for those that have none of `Aspect`.

    >>> aspect_of(64, 96), aspect_of(64, 90)
    ('3:2', '1:1')
    """
    side = min(height, width)
    known = (aspect for aspect in get_args(Aspect) if aspect != "1:1")
    return next((a for a in known if height_and_width(side, a) == (height, width)), "1:1")


def describe_size(side: int, aspect: Aspect | str = "1:1") -> str:
    """Write the size of pictures for people: the side of squares, else width and height.

    >>> describe_size(64), describe_size(64, "3:2")
    ('64 pixels', '96 x 64 pixels')
    """
    height, width = height_and_width(side, aspect)
    return f"{side} pixels" if height == width else f"{width} x {height} pixels"
