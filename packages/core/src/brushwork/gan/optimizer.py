"""Adam for the two networks of a GAN, of any width."""

from typing import Any

import torch
from torch import nn

from brushwork.gan import backbone_discriminator


def gan_adam(network: nn.Module, lr: float) -> torch.optim.Adam:
    """DC-GAN's Adam (Radford et al. 2015, section 4), whose rate fits the network's width.

    Adam moves a narrow layer's output less, so a network takes 64 / width times the rate of one of
    width 64 (Yang et al. 2022, "Tensor Programs V", table 3). The heads of a discriminator with a
    backbone have their own width, and what judges pixels beside them has its own.

    >>> from brushwork.gan.dcgan import DCGANConfig, Generator
    >>> gan_adam(Generator(DCGANConfig(width=32)), lr=2e-4).defaults["lr"]
    0.0004
    """
    sized: list[tuple[nn.Module, Any]] = [(network, network.config)]
    if isinstance(network, backbone_discriminator.BackboneDiscriminator):
        sized = [(network.heads, network.config), (network.of_pixels, network.of_pixels.config)]
    groups = [{"params": part.parameters(), "lr": lr * 64 / config.width} for part, config in sized]
    return torch.optim.Adam(groups, groups[0]["lr"], (0.5, 0.999), fused=True)
