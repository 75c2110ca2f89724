"""How fast to learn at each step."""

import math
from collections.abc import Sequence


def warm_up_and_cosine(step: int, num_steps: int, warm_up: float = 0.05) -> float:
    """Factor of the learning rate: a straight rise, then half a cosine down to 0.

    Goyal et al. 2017 (section 2.2) and Loshchilov & Hutter 2017 (eq. 5, without restarts).

    Args:
        step: from 0.
        num_steps: of the whole training.
        warm_up: share of it in which the rate rises.

    >>> [round(warm_up_and_cosine(step, 10, warm_up=0.2), 2) for step in (0, 1, 2, 6, 9)]
    [0.5, 1.0, 1.0, 0.5, 0.04]
    """
    rise = warm_up * num_steps
    if step < rise:
        return min((step + 1) / rise, 1.0)
    return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(num_steps - rise, 1)))


def is_over(scores: Sequence[float], patience: int) -> bool:
    """Whether the best epoch was `patience` epochs ago, or more; with a patience of 0 it never is.

    >>> is_over([0.5, 0.7, 0.6, 0.7], patience=2), is_over([0.5, 0.7, 0.6], patience=2)
    (True, False)
    """
    return bool(scores) and 0 < patience <= len(scores) - 1 - scores.index(max(scores))
