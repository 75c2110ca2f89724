"""Exponential moving average (EMA) of a network's weights.

No library serves: timm's `ModelEmaV3` raises its decay by a fixed power of the step, and torch's
`AveragedModel` leaves the decay to its user; neither has StyleGAN2's ramp-up by images seen.
"""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

# Early in training the half-life is at most this share of the images seen so far (StyleGAN2's
# ramp-up), so that the average forgets the first, random weights quickly.
RAMP_UP = 0.05


def decay_after(images_seen: int, batch_size: int, half_life: float) -> float:
    """Compute the decay of the average for one step.

    Args:
        images_seen: real images that training has used, including this step's.
        batch_size: images in this step.
        half_life: images after which the weight of an old value in the average has halved.

    Returns:
        The factor of the old average, from 0 to 1.

    >>> round(decay_after(images_seen=1_000_000, batch_size=64, half_life=64), 3)
    0.5
    """
    half_life = min(half_life, images_seen * RAMP_UP)
    return 0.5 ** (batch_size / max(half_life, 1e-8))


@torch.no_grad()
def update_ema(
    average: nn.Module, model: nn.Module, decay: float, statistics: bool = False
) -> None:
    """Move the weights of `average` towards those of `model`: w <- decay w + (1 - decay) w'.

    Args:
        average: a copy of `model`, changed in place.
        model: the network in training.
        decay: from 0 to 1; see `decay_after`.
        statistics: also average the batch-norm statistics, as is usual for classifiers. Otherwise
            they stay as they are; see `refresh_statistics`.
    """
    old: list[Tensor] = list(average.parameters())
    new: list[Tensor] = list(model.parameters())
    if statistics:
        old += [b for b in average.buffers() if b.is_floating_point()]
        new += [b for b in model.buffers() if b.is_floating_point()]
    torch._foreach_lerp_(old, new, 1 - decay)  # pyright: ignore[reportPrivateImportUsage]


@torch.no_grad()
def refresh_statistics(
    average: nn.Module,
    inputs: Iterable[tuple[Tensor, ...]],
    norms: Sequence[nn.BatchNorm2d] | None = None,
) -> None:
    """Recompute the batch-norm statistics of a network from its own weights.

    The average of statistics over training differs from the statistics of the averaged weights
    (Izmailov et al. 2018, "Averaging Weights Leads to Wider Optima", section 3.2); with the former
    a generator's pictures are grey.

    Args:
        average: the network; it is left in evaluation mode.
        inputs: arguments of each forward pass, such as (latents,) or (latents, labels). The
            statistics are the mean over these passes.
        norms: batch norms of the network; by default all.
    """
    if norms is None:
        norms = [module for module in average.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    average.eval()  # no dropout, which would draw random numbers
    for norm in norms:
        norm.train()
        norm.reset_running_stats()
    for i, batch in enumerate(inputs):
        for norm in norms:
            norm.momentum = 1 / (i + 1)
        average(*batch)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    average.eval()
