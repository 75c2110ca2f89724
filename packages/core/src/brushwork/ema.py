"""Exponential moving average of a network's weights."""

import torch
from torch import nn

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
def update_ema(average: nn.Module, model: nn.Module, decay: float) -> None:
    """Move `average` towards `model`: w <- decay w + (1 - decay) w', running statistics too."""
    pairs = list(zip(average.state_dict().values(), model.state_dict().values(), strict=True))
    moving = [(a, m) for a, m in pairs if a.is_floating_point()]
    torch._foreach_lerp_(  # pyright: ignore[reportPrivateImportUsage]
        [a for a, _ in moving], [m for _, m in moving], 1 - decay
    )
    for a, m in pairs:
        if not a.is_floating_point():
            a.copy_(m)
