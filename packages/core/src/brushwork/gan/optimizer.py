"""Adam for the two networks of a GAN, with a learning rate that depends on their width."""

from typing import Any

import torch
from torch import nn

from brushwork.gan.backbone_discriminator import BackboneDiscriminator


def gan_adam(network: nn.Module, lr: float) -> torch.optim.Adam:
    """Make DC-GAN's Adam (Radford et al. 2015, section 4) with the learning rate scaled by width.

    Adam changes the output of a narrow layer less than that of a wide one. A network of width C
    therefore takes 64 / C times the learning rate of one of width 64 (Yang et al. 2022, "Tensor
    Programs V", table 3). In a `BackboneDiscriminator` the heads and the pixel discriminator have
    different widths, so each is a parameter group with its own learning rate.

    Args:
        network: a generator or discriminator with a `config.width`.
        lr: the learning rate at width 64.

    >>> from brushwork.gan.dcgan import DCGANConfig, Generator
    >>> gan_adam(Generator(DCGANConfig(width=32)), lr=2e-4).defaults["lr"]
    0.0004
    """
    configs: list[tuple[nn.Module, Any]] = [(network, network.config)]
    if isinstance(network, BackboneDiscriminator):
        configs = [(network.heads, network.config), (network.of_pixels, network.of_pixels.config)]
    groups = [
        {"params": part.parameters(), "lr": lr * 64 / config.width} for part, config in configs
    ]
    return torch.optim.Adam(groups, groups[0]["lr"], betas=(0.5, 0.999), fused=True)
