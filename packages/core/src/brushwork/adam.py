"""Adam for the two networks of a GAN, of any width."""

import torch
from torch import nn


def gan_adam(network: nn.Module, lr: float, width: int) -> torch.optim.Adam:
    """DC-GAN's Adam (Radford et al. 2015, section 4), whose rate fits the network's width.

    Adam moves a narrow layer's output less, so a network takes 64 / width times the rate of one of
    width 64 (Yang et al. 2022, "Tensor Programs V", table 3).

    >>> gan_adam(nn.Linear(1, 1), lr=2e-4, width=32).defaults["lr"]
    0.0004
    """
    return torch.optim.Adam(network.parameters(), lr * 64 / width, (0.5, 0.999), fused=True)
