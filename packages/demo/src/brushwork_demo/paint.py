"""Paint pictures from settings, and from recipes.

A recipe is the text that determines one picture. The page's address contains it, so a link shows
the same picture for ever, and neither the server nor the browser has to keep latents.

The latent of a recipe is written as

- `7`: the first latent of seed 7,
- `7.3`: the third variation of it, and `7.3.1` the first variation of that,
- `7@0.2,-0.4`: a step from it in a plane through the latent space (the pad of the page),
- `7@0.2,1.0.3`: the third variation of such a step; written with 1.0, because 1.3 is a number,
- `(7~9*0.5)`: halfway from the latent `7` to the latent `9`.
"""

import math
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import gradio as gr
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from brushwork.errors import BrushworkError
from brushwork.gan.latents import MAX_SEED
from brushwork.gan.sampling import slerp
from brushwork.report.figures import save_animation
from brushwork_demo import serving
from brushwork_demo.models import Models, Painter
from brushwork_demo.serving import PaintRequest
from brushwork_demo.text import colour_words, parse_float, parse_int

ALL_CLASSES = "everything"
MAX_PICTURES = 64
MAX_STOPS = 12
"""Pictures that a latent walk passes through."""
FRAMES_BETWEEN = 24
"""Frames from one picture of a latent walk to the next."""
WALK_SIDE = 384
"""Side in pixels, approximately, of a latent walk's video."""
MAX_RECIPE = 400
"""Characters of a latent in a recipe."""
NUMBER = r"-?[0-9](\.[0-9]{1,6})?"
"""A number in a recipe. It has at most one point, because a further one begins a variation."""
STRENGTH = 0.35
"""Fraction of the way from a picture to a random one at which its variations are."""
REACH = math.radians(75)
"""Angle from the middle of the pad to its edge, at the origin of the latent space."""

Latent = NDArray[np.float32]


def prepare(
    models: Models,
    painter: object,
    seed: object,
    count: object,
    truncation: object,
    stage: object,
    label: object = None,
) -> PaintRequest:
    """Check a visitor's settings and sample the latents of `count` pictures.

    Args:
        models: the models of the page.
        painter: name of a painter; empty for the first one.
        seed: from 0 to `MAX_SEED`.
        count: pictures, from 1 to `MAX_PICTURES`.
        truncation: from 0.05 to 1.
        stage: from 1; None, 0 or "" for the finished generator.
        label: a class; None, "" or `ALL_CLASSES` for all of them.

    Raises:
        BrushworkError: a setting is not valid.
    """
    folder, truncation, label = _checked_settings(models, painter, truncation, stage, label)
    return serving.paint_request(
        folder,
        num=parse_int(count, "count", 1, MAX_PICTURES),
        seed=parse_int(seed, "seed", 0, MAX_SEED),
        truncation=truncation,
        label=label,
    )


def recipe_request(models: Models, recipe: Mapping[str, object]) -> PaintRequest:
    """Read a recipe: a request of one picture.

    Args:
        models: the models of the page.
        recipe: `painter`, `truncation`, `stage` and `label` as for `prepare`, and `seed`, a latent
            as the docstring of this module describes; each may be missing.

    Raises:
        BrushworkError: a part of the recipe is not valid.
    """
    folder, truncation, label = _checked_settings(
        models,
        recipe.get("painter"),
        recipe.get("truncation") or 1.0,
        recipe.get("stage"),
        recipe.get("label"),
    )

    def sample(seed: int) -> tuple[Latent, int]:
        request = serving.paint_request(folder, num=1, seed=seed, label=label)
        return request.z[0], int(request.y[0])

    z, y = read_latent(str(recipe.get("seed") or 0), sample)
    return PaintRequest(folder=folder, z=z[None], y=np.array([y]), truncation=truncation)


def painter_of(models: Models, name: object) -> Painter:
    """Return the painter that a visitor names; the first one for an empty name.

    Raises:
        BrushworkError: there is no painter of this name.
    """
    return models.painter(str(name) if name else None)


def title_of_recipe(models: Models, recipe: Mapping[str, object]) -> str:
    """Return the title of a recipe's picture: that of its painter, or of the artist it names.

    Raises:
        BrushworkError: there is no such painter.
    """
    painter = painter_of(models, recipe.get("painter"))
    label = recipe.get("label")
    if label in serving.classes(painter.stages[-1]):  # a link may name anything
        return f"In the manner of {label}"
    return models.titles[painter.name]


def _checked_settings(
    models: Models, painter: object, truncation: object, stage: object, label: object
) -> tuple[Path, float, str | None]:
    """Return the checkpoint folder, the truncation and the class of a visitor's settings."""
    chosen = painter_of(models, painter)
    num_stages = len(chosen.stages)
    finished = stage in (None, 0, "0", "")
    folder = chosen.stage(None if finished else parse_int(stage, "stage", 1, num_stages))
    value = parse_float(truncation, "truncation", 0.05, 1.0)
    if label in (None, "", ALL_CLASSES):
        return folder, value, None
    classes = serving.classes(folder)
    if str(label) not in classes:
        known = f"choose one of {', '.join(classes[:20])}" if classes else "it has no classes"
        raise BrushworkError(f"painter {chosen.name} has no class {str(label)[:40]!r}; {known}")
    return folder, value, str(label)


def read_latent(text: str, sample: Callable[[int], tuple[Latent, int]]) -> tuple[Latent, int]:
    """Compute the latent that a text describes (see the docstring of this module).

    Args:
        text: at most `MAX_RECIPE` characters.
        sample: returns the latent (Z,) and the class of a seed.

    Returns:
        The latent (Z,) and the class. A mixture has the class of its nearer end.

    Raises:
        BrushworkError: the text cannot be read.
    """
    if len(text) > MAX_RECIPE:
        raise BrushworkError("this picture has too many ancestors; start again from another one")
    place = 0

    def take(pattern: str) -> str:
        nonlocal place
        found = re.compile(pattern).match(text, place)
        if not found:
            raise BrushworkError(
                f"the picture {text[:40]!r} cannot be read; check its link, or give a number from "
                f"0 to {MAX_SEED:,}"
            )
        place = found.end()
        return found[0]

    def number(low: float, high: float) -> float:
        return parse_float(take(NUMBER), "a place in the link", low, high)

    def latent() -> tuple[Latent, int]:
        start = place
        if text[place : place + 1] == "(":
            take(r"\(")
            one, one_class = latent()
            take("~")
            other, other_class = latent()
            take(r"\*")
            fraction = number(0, 1)
            take(r"\)")
            z = between(one, other, fraction)
            y = one_class if fraction < 0.5 else other_class
        else:
            z, y = sample(parse_int(take("[0-9]{1,10}"), "seed", 0, MAX_SEED))
        while text[place : place + 1] in (".", "@"):
            if take("[.@]") == ".":
                take("[0-9]{1,3}")
                stream = random_stream(text[start:place])
                z = between(z, stream.standard_normal(len(z), np.float32), STRENGTH)
            else:
                stream = random_stream(text[start:place])
                x = number(-1, 1)
                take(",")
                z = moved(z, stream, x, number(-1, 1))
        return z, y

    z, y = latent()
    if place < len(text):
        take("$")
    return z, y


def in_words(text: object) -> str:
    """Say in a few words which picture the latent of a recipe is, for its caption.

    >>> [in_words(text) for text in ("7", "7.3.1", "7@0.2,-0.4", "(7~9*0.5)")]
    ['picture 7', 'a variation of picture 7', 'near picture 7', 'a mixture of two pictures']
    """
    seed = str(text or 0)
    whole = re.match(r"\d+", seed)
    if whole is None:
        return "a mixture of two pictures"
    if whole.end() == len(seed):
        return f"picture {seed}"
    return f"{'near' if '@' in seed else 'a variation of'} picture {whole[0]}"


def random_stream(text: str) -> np.random.Generator:
    """Return a source of random numbers that a text determines; never that of a seed alone."""
    return np.random.default_rng(list(text.encode()))


def between(start: Latent, end: Latent, fraction: float) -> Latent:
    """Interpolate between two latents (Z,) along the arc of a circle."""
    return slerp(start, end, np.array([[fraction]], np.float32))[0]


def moved(z: Latent, stream: np.random.Generator, x: float, y: float) -> Latent:
    """Turn a latent (Z,) by (x, y), each in [-1, 1], towards two random directions.

    The length of the latent is kept, because the generator was trained on latents of about one
    length.
    """
    along = z / np.linalg.norm(z)
    right, up = stream.standard_normal((2, len(z)))
    right -= right @ along * along
    right /= np.linalg.norm(right)
    up -= up @ along * along + up @ right * right
    up /= np.linalg.norm(up)
    direction = right * x + up * y
    distance = math.hypot(x, y)
    if distance == 0:
        return z
    angle = distance * REACH
    turned = z * math.cos(angle) + direction / distance * np.linalg.norm(z) * math.sin(angle)
    return turned.astype(np.float32)


def pictures(request: PaintRequest, title: str) -> list[tuple[Image.Image, str]]:
    """Generate the pictures of a request, each with its text for screen readers."""
    arrays = serving.paint(request)
    return [(Image.fromarray(array), described(array, title)) for array in arrays]


def described(array: NDArray[np.uint8], title: str) -> str:
    """Say what a picture (H, W, 3) shows: what its painter paints, and its colours."""
    half = len(array) // 2
    above, below = colour_words(array[:half]), colour_words(array[half:])
    colours = f"mostly {above}" if above == below else f"{above} above, {below} below"
    return f"{title}, a generated picture: {colours}"


def walk(request: PaintRequest, file: Path, progress: gr.Progress) -> None:
    """Write a latent walk through the pictures of a request and back to the first, as MP4.

    All frames have the class of the first picture. A request of one picture gives a walk through
    three variations of it.
    """
    stops = request.z[:MAX_STOPS]
    if len(stops) < 2:
        stream = np.random.default_rng(list(request.z[0].tobytes()))
        others = stream.standard_normal((3, stops.shape[1]), np.float32)
        near = slerp(stops.repeat(3, axis=0), others, np.full((3, 1), STRENGTH, np.float32))
        stops = np.concatenate([stops, near])
    fractions = np.linspace(0, 1, FRAMES_BETWEEN + 1, dtype=np.float32)[:-1, None]
    y = request.y[[0] * FRAMES_BETWEEN]

    def frames() -> Iterator[Image.Image]:
        for i, start in enumerate(stops):
            progress((i, len(stops)), desc="Painting the video", unit="pictures")
            z = slerp(start, stops[(i + 1) % len(stops)], fractions)
            for array in serving.paint(replace(request, z=z, y=y)):
                yield enlarged(array, WALK_SIDE)

    save_animation(frames(), file)


def enlarged(array: NDArray[np.uint8], side: int) -> Image.Image:
    """Enlarge a picture (H, W, 3) by a whole factor to at most `side` pixels, smoothly."""
    picture = Image.fromarray(array)
    factor = max(1, side // max(picture.size))
    size = (picture.width * factor, picture.height * factor)
    return picture.resize(size, Image.Resampling.BICUBIC)


def stacked(images: list[Image.Image]) -> NDArray[np.uint8]:
    """Stack images of one size to an array (N, H, W, 3)."""
    return np.stack([np.asarray(image) for image in images])


def walk_file() -> Path:
    """Create an empty file for a video in the server's folder of temporary files."""
    with tempfile.NamedTemporaryFile(prefix="walk-", suffix=".mp4", delete=False) as file:
        return Path(file.name)
