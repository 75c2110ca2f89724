"""Early stopping, and the learning rate over the steps of a training."""

import math
from collections.abc import Sequence
from typing import Literal

from torch.optim import Optimizer

Decay = Literal["linear", "cosine"]


def is_over(scores: Sequence[float], patience: int) -> bool:
    """Return whether the best epoch is at least `patience` epochs ago; never if `patience` is 0.

    Args:
        scores: one for each epoch so far; higher is better.
        patience: epochs to wait for a better score.

    >>> is_over([0.5, 0.7, 0.6, 0.7], patience=2), is_over([0.5, 0.7, 0.6], patience=2)
    (True, False)
    """
    return bool(scores) and 0 < patience <= len(scores) - 1 - scores.index(max(scores))


def learning_rate_factor(
    step: int,
    num_steps: float,
    warmup: int = 0,
    decay: Decay | None = None,
    share_of_time: float = 0.0,
) -> float:
    """Compute the factor of the learning rate at one step.

    It rises linearly to 1 over the first `warmup` steps (Goyal et al. 2017, section 2.2). After
    these it stays 1, or falls towards 0 at the end, as a line or as half a cosine (Loshchilov &
    Hutter 2017, eq. 5, without restarts). Without a limit of the time it depends on the step alone,
    so a resumed run needs no state of a schedule.

    Args:
        step: steps done before this one.
        num_steps: steps of the whole training; infinite if only the time is limited.
        warmup: number of steps in which the factor rises.
        decay: the form of the fall; None for a constant factor after the warm-up.
        share_of_time: how much of the time is over, in [0, 1], if the time is limited.

    Returns:
        At most 1, and above 0 until the steps or the time are over.

    >>> [learning_rate_factor(step, 6, warmup=2, decay="linear") for step in range(6)]
    [0.5, 1.0, 1.0, 0.75, 0.5, 0.25]
    """
    if step < warmup:
        return (step + 1) / warmup
    if decay is None:
        return 1.0
    done = min(1.0, max(share_of_time, (step - warmup) / max(1, num_steps - warmup)))
    return 1 - done if decay == "linear" else (1 + math.cos(math.pi * done)) / 2


def scale_learning_rates(optimizer: Optimizer, factor: float) -> None:
    """Set the learning rate of each parameter group to its initial value times `factor`."""
    for group in optimizer.param_groups:
        group["lr"] = group.setdefault("initial_lr", group["lr"]) * factor
