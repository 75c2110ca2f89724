"""Exponential moving average of a network's weights."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

# The average forgets faster while training is young: its half-life is at most this share of the
# images seen so far (StyleGAN2's ramp-up).
RAMP_UP = 0.05


def decay_after(images_seen: int, batch_size: int, half_life: float) -> float:
    """How much of the average survives one step.

    Args:
        images_seen: real images that training has used, this step's included.
        batch_size: images in this step.
        half_life: images after which a weight counts half.

    >>> round(decay_after(images_seen=1_000_000, batch_size=64, half_life=64), 3)
    0.5
    """
    half_life = min(half_life, images_seen * RAMP_UP)
    return 0.5 ** (batch_size / max(half_life, 1e-8))


@torch.no_grad()
def update_ema(
    average: nn.Module, model: nn.Module, decay: float, statistics: bool = False
) -> None:
    """Move the weights of `average` towards `model`'s: w <- decay w + (1 - decay) w'.

    Batch-norm statistics are averaged too with `statistics`, as is usual for classifiers, and else
    left alone: see `refresh_statistics`.
    """
    old: list[Tensor] = list(average.parameters())
    new: list[Tensor] = list(model.parameters())
    if statistics:
        old += [b for b in average.buffers() if b.is_floating_point()]
        new += [b for b in model.buffers() if b.is_floating_point()]
    torch._foreach_lerp_(old, new, 1 - decay)  # pyright: ignore[reportPrivateImportUsage]


@torch.no_grad()
def refresh_statistics(average: nn.Module, inputs: Sequence[tuple[Tensor, ...]]) -> None:
    """Set the batch-norm statistics of a network to those that its own weights give.

    The average of statistics over training is not the statistics of the average (Izmailov et al.
    2018, "Averaging Weights Leads to Wider Optima", section 3.2); the pictures come out grey.

    Args:
        average: left in evaluation mode.
        inputs: what each forward pass is given: latents, or latents and labels; the statistics are
            the mean over these.
    """
    norms = [m for m in average.modules() if isinstance(m, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    average.train()
    for norm in norms:
        norm.reset_running_stats()
    for i, batch in enumerate(inputs):
        for norm in norms:
            norm.momentum = 1 / (i + 1)
        average(*batch)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    average.eval()
