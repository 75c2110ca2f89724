"""Draw the latents and labels of a seed with NumPy: the same numbers with torch and without it.

N pictures, Z latent numbers, K classes.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from brushwork.errors import BrushworkError, check_whole
from brushwork.names import did_you_mean

MAX_SEED = 2**32 - 1

# Truncation moves styles towards their mean over this many latents.
NUM_MEAN_LATENTS = 4096


def draw_latents(num: int, latent_dim: int, seed: int = 0) -> NDArray[np.float32]:
    """Draw latents (N, Z) from the standard normal distribution.

    The first latents of a seed are the same for every `num`.

    Args:
        num: N, at least 1.
        latent_dim: Z.
        seed: from 0 to 2**32 - 1; the same seed gives the same latents on every machine.

    Raises:
        BrushworkError: `num` or `seed` is out of range.
    """
    return _random_numbers(num, seed).standard_normal((num, latent_dim), dtype=np.float32)


def draw_labels(
    num: int, classes: Sequence[str], label: str | None = None, seed: int = 0
) -> NDArray[np.int64]:
    """Make labels (N,) for a generator; all are 0 for a generator without classes.

    Args:
        num: N, at least 1.
        classes: the generator's classes, in the order of the labels.
        label: one of `classes`, for all N; None draws each label at random, uniformly.
        seed: determines the random labels; from 0 to 2**32 - 1.

    Raises:
        BrushworkError: there is no such class, or `num` or `seed` is out of range.
    """
    rng = _random_numbers(num, seed)
    if label is not None and label not in classes:
        hint = did_you_mean(str(label), classes)
        if not hint and classes:
            hint = f"; choose one of {', '.join(classes[:20])}"
        elif not hint:
            hint = "; it was trained without classes, so leave out `label`"
        raise BrushworkError(f"the generator has no class {label!r}{hint}")
    if label is not None:
        return np.full(num, classes.index(label), np.int64)
    return rng.integers(max(1, len(classes)), size=num)


def check_truncation(truncation: float) -> float:
    """Return the truncation.

    Raises:
        BrushworkError: it is out of range.
    """
    if not 0 < truncation <= 1:
        raise BrushworkError(f"`truncation` is {truncation:g}; it must be above 0 and at most 1")
    return truncation


def check_level(level: int, num_levels: int) -> None:
    """Check the level at which `mix` changes from the styles of A to those of B.

    Raises:
        BrushworkError: it is out of range.
    """
    check_whole("level", level, 0, num_levels)


def _random_numbers(num: int, seed: int) -> np.random.Generator:
    """Make the source of random numbers for `num` pictures.

    Raises:
        BrushworkError: `num` or `seed` is out of range.
    """
    check_whole("num", num, 1)
    check_whole("seed", seed, 0, MAX_SEED)
    return np.random.default_rng(seed)
