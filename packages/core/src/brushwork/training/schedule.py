"""Early stopping."""

from collections.abc import Sequence


def is_over(scores: Sequence[float], patience: int) -> bool:
    """Return whether the best epoch is at least `patience` epochs ago; never if `patience` is 0.

    Args:
        scores: one for each epoch so far; higher is better.
        patience: epochs to wait for a better score.

    >>> is_over([0.5, 0.7, 0.6, 0.7], patience=2), is_over([0.5, 0.7, 0.6], patience=2)
    (True, False)
    """
    return bool(scores) and 0 < patience <= len(scores) - 1 - scores.index(max(scores))
