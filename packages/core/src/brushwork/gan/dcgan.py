"""DC-GAN: deep convolutional generator and discriminator (Radford, Metz & Chintala 2015).

N images, Z latent numbers, S side of an image, C channels at the finest layer (`width`).

The architecture guidelines of the paper: strided convolutions only, batch normalisation
everywhere but at G's output and D's input, ReLU in G with a tanh at the end, LeakyReLU(0.2) in D.
Weights start from N(0, 0.02). Kernels are 4 x 4 and latents normal, as in the authors' released
code (the paper leaves the kernel open and draws its latents uniformly); C = 64 is that code's
size, and C = 128 gives the 1024 channels of the paper's Figure 1.
"""

import math
from dataclasses import dataclass

from torch import Tensor, nn

from brushwork.errors import BrushworkError
from brushwork.training.distributed import BatchNorm2d

SIDES = (32, 64, 128, 256)


@dataclass(frozen=True)
class DCGANConfig:
    """The shape of both networks; saved with the weights.

    Raises:
        BrushworkError: `side` is not 32, 64, 128 or 256, or a size is not positive.
    """

    side: int = 64
    latent_dim: int = 100
    width: int = 64

    def __post_init__(self) -> None:
        check_shape(self.side, self.latent_dim, self.width)

    @property
    def channels(self) -> list[int]:
        """Channels from the finest layer (side S / 2) to the coarsest (4 x 4).

        They double at each halving, up to 16 C.

        >>> DCGANConfig(side=64, width=64).channels
        [64, 128, 256, 512]
        """
        num_layers = int(math.log2(self.side)) - 2
        return [self.width * min(2**i, 16) for i in range(num_layers)]


class Generator(nn.Module):
    """Latents (N, Z), normal, to images (N, 3, S, S) in [-1, 1]."""

    def __init__(self, config: DCGANConfig):
        super().__init__()
        self.config = config
        layers: list[nn.Module] = []
        # "Project and reshape": a 1 x 1 latent image becomes 4 x 4; each later layer doubles it.
        channels_in, stride, padding = config.latent_dim, 1, 0
        for channels_out in reversed(config.channels):
            layers += [
                nn.ConvTranspose2d(channels_in, channels_out, 4, stride, padding, bias=False),
                BatchNorm2d(channels_out),
                nn.ReLU(inplace=True),
            ]
            channels_in, stride, padding = channels_out, 2, 1
        layers += [nn.ConvTranspose2d(channels_in, 3, 4, 2, 1, bias=False), nn.Tanh()]
        self.layers = nn.Sequential(*layers)
        self.apply(initialise)

    def forward(self, z: Tensor, y: None = None) -> Tensor:  # noqa: ARG002
        """(N, Z) -> (N, 3, S, S) in [-1, 1]; it knows no classes, so `y` is None."""
        return self.layers(z[:, :, None, None])


class Discriminator(nn.Module):
    """Images (N, 3, S, S) in [-1, 1] to logits (N,): above 0 for real."""

    def __init__(self, config: DCGANConfig):
        super().__init__()
        self.config = config
        layers = halving_layers(config.channels)
        layers.append(nn.Conv2d(config.channels[-1], 1, 4, bias=False))
        self.layers = nn.Sequential(*layers)
        self.apply(initialise)

    def forward(self, x: Tensor, y: None = None) -> Tensor:  # noqa: ARG002
        """(N, 3, S, S) in [-1, 1] -> logits (N,); it knows no classes, so `y` is None."""
        return self.layers(x).flatten()


def halving_layers(channels: list[int]) -> list[nn.Module]:
    """D's layers from pixels to side 4, each half the side of the one before."""
    layers: list[nn.Module] = []
    channels_in = 3
    for channels_out in channels:
        layers.append(nn.Conv2d(channels_in, channels_out, 4, 2, 1, bias=False))
        if channels_in != 3:
            layers.append(BatchNorm2d(channels_out))
        layers.append(nn.LeakyReLU(0.2, inplace=True))
        channels_in = channels_out
    return layers


def check_shape(side: int, latent_dim: int, width: int, least_width: int = 1) -> None:
    """Refuse shapes that cannot be built.

    Raises:
        BrushworkError: the first rule that is broken.
    """
    if side not in SIDES:
        raise BrushworkError(
            f"side {side} is not one that can be painted; "
            f"choose one of {', '.join(map(str, SIDES))}"
        )
    if latent_dim < 1 or width < least_width:
        raise BrushworkError(
            f"latent_dim {latent_dim} must be at least 1 and width {width} at least {least_width}"
        )


def initialise(module: nn.Module) -> None:
    """Section 4 of the paper: weights from N(0, 0.02); batch-norm gains around 1."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
        nn.init.zeros_(module.bias)
