"""DC-GAN: deep convolutional generator and discriminator (Radford, Metz & Chintala 2015).

N images, Z latent dimensions, H x W size of an image in pixels and S its shorter side, h x w size
of the coarsest feature map (4 x 4 for squares), C channels of the finest layer (`width`).

The networks follow the architecture guidelines of the paper: strided convolutions instead of
pooling, batch normalisation everywhere except at the generator's output and the discriminator's
input, ReLU in the generator with a tanh at its output, LeakyReLU(0.2) in the discriminator. Weights
are initialised from N(0, 0.02). Kernels are 4 x 4 and latents are normal, as in the authors'
released code (the paper does not state the kernel size and draws latents uniformly). C = 64 is the
size of that code; C = 128 gives the 1024 channels of the paper's Figure 1.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from brushwork.data.aspects import Aspect, height_and_width
from brushwork.errors import BrushworkError
from brushwork.training.distributed import BatchNorm2d

SIDES = (32, 64, 128, 256, 512)

COARSEST_SIDE = 4
"""The shorter of h and w."""


@dataclass(frozen=True)
class DCGANConfig:
    """The shape of the generator and of the discriminator; saved with the weights.

    Attributes:
        side: S in pixels, one of `SIDES`.
        latent_dim: Z.
        width: C.
        aspect: W to H, one of `brushwork.data.aspects.Aspect`.

    Raises:
        BrushworkError: `side` is not one of `SIDES`, `latent_dim` or `width` is below 1, or there
            is no such aspect.
    """

    side: int = 64
    latent_dim: int = 100
    width: int = 64
    aspect: Aspect = "1:1"

    def __post_init__(self) -> None:
        check_sizes(self.side, self.latent_dim, self.width, self.aspect)

    @property
    def coarsest(self) -> tuple[int, int]:
        """Height and width of the coarsest feature map, h and w.

        >>> DCGANConfig(aspect="3:2").coarsest
        (4, 6)
        """
        return height_and_width(COARSEST_SIDE, self.aspect)

    @property
    def channels(self) -> list[int]:
        """Channels of each layer, from the finest (side S / 2) to the coarsest (h x w).

        The channels double each time the side halves, up to 16 C.

        >>> DCGANConfig(side=64, width=64).channels
        [64, 128, 256, 512]
        """
        num_layers = int(math.log2(self.side)) - 2
        return [self.width * min(2**i, 16) for i in range(num_layers)]


class Generator(nn.Module):
    """Generator without classes: normal latents (N, Z) to images (N, 3, H, W) in [-1, 1]."""

    def __init__(self, config: DCGANConfig) -> None:
        super().__init__()
        self.config = config
        layers: list[nn.Module] = []
        *finer, coarsest = config.channels
        # "Project and reshape": a 1 x 1 image of Z channels becomes h x w; each layer doubles it.
        layers.append(Projection(config.latent_dim, coarsest, config.coarsest, bias=False))
        channels_in = coarsest
        for channels_out in reversed(finer):
            layers += [BatchNorm2d(channels_in), nn.ReLU(inplace=True)]
            layers.append(DoublingConvolution(channels_in, channels_out))
            channels_in = channels_out
        layers += [BatchNorm2d(channels_in), nn.ReLU(inplace=True)]
        layers += [DoublingConvolution(channels_in, 3), nn.Tanh()]
        self.layers = nn.Sequential(*layers)
        self.apply(initialise_weights)

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:  # noqa: ARG002
        """Generate images.

        Args:
            z: latents (N, Z), standard normal.
            y: ignored, because the model has no classes; every generator accepts labels.

        Returns:
            Images (N, 3, H, W) in [-1, 1].
        """
        return self.layers(z[:, :, None, None])


class Discriminator(nn.Module):
    """Discriminator without classes: images (N, 3, H, W) in [-1, 1] to logits (N,).

    A logit above 0 means real.
    """

    def __init__(self, config: DCGANConfig) -> None:
        super().__init__()
        self.config = config
        layers = downsampling_layers(config.channels, HalvingConvolution)
        layers.append(FullConvolution(config.channels[-1], 1, config.coarsest, bias=False))
        self.layers = nn.Sequential(*layers)
        self.apply(initialise_weights)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:  # noqa: ARG002
        """Classify images as real or fake.

        Args:
            x: images (N, 3, H, W) in [-1, 1].
            y: ignored, because the model has no classes; every discriminator accepts labels.

        Returns:
            Logits (N,), above 0 for real.
        """
        return self.layers(x).flatten()


class Projection(nn.ConvTranspose2d):
    """A transposed convolution of a single place: (N, C, 1, 1) to (N, C', h, w), its kernel's size.

    It is one matrix product. With PyTorch 2.11, the convolution could not be recorded as a CUDA
    graph: it and the compiler disagreed about the order in memory of the result.
    """

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:  # noqa: ARG002
        """Multiply `x` (N, C, 1, 1) by the kernels (C, C', h, w)."""
        C_out, h, w = self.weight.shape[1:]
        products = x.flatten(1) @ self.weight.permute(0, 2, 3, 1).flatten(1)
        return products.view(-1, h, w, C_out).permute(0, 3, 1, 2)


class FullConvolution(nn.Conv2d):
    """A convolution whose kernel covers its whole input: (N, C, h, w) to (N, C', 1, 1).

    It is one matrix product, which on CPUs takes a fraction of a convolution's time.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Multiply feature maps `x` (N, C, h, w) by the kernels (C', C, h, w)."""
        # In this order, tensors in channels-last memory and their gradients are not copied.
        rows, kernels = (t.permute(0, 2, 3, 1).flatten(1) for t in (x, self.weight))
        return F.linear(rows, kernels, self.bias)[:, :, None, None]


# On a CPU, matrix products take a third to nine tenths of the time of convolutions whose larger map
# has at most this many pixels on its shorter side. On larger maps their copies cost more.
MAX_SIDE_OF_PRODUCTS = 8


class HalvingConvolution(nn.Conv2d):
    """A convolution by 4 x 4 that halves both sides: (N, C, 2 H, 2 W) to (N, C', H, W).

    In training on a CPU it is a matrix product if the maps are small.
    """

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__(channels_in, channels_out, 4, stride=2, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve feature maps `x` (N, C, 2 H, 2 W)."""
        is_small = min(x.shape[2:]) <= MAX_SIDE_OF_PRODUCTS
        if self.training and x.device.type == "cpu" and is_small:
            return halve(x, self.weight)
        return super().forward(x)


class DoublingConvolution(nn.ConvTranspose2d):
    """A transposed convolution by 4 x 4 that doubles both sides: (N, C, H, W) to (N, C', 2 H, 2 W).

    In training on a CPU it is a matrix product if the maps are small.
    """

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__(channels_in, channels_out, 4, stride=2, padding=1, bias=False)

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """Convolve feature maps `x` (N, C, H, W)."""
        is_small = 2 * min(x.shape[2:]) <= MAX_SIDE_OF_PRODUCTS
        if self.training and x.device.type == "cpu" and is_small:
            return double(x, self.weight)
        return super().forward(x, output_size)


def halve(x: Tensor, kernels: Tensor) -> Tensor:
    """Convolve by 4 x 4 with stride 2 and padding 1, as one matrix product.

    The product is fast if `x` and `kernels` have their channels last in memory.

    Args:
        x: (N, C, 2 H, 2 W).
        kernels: (C', C, 4, 4).

    Returns:
        (N, C', H, W), with its channels last in memory.
    """
    N, C, H, W = x.shape[0], x.shape[1], x.shape[2] // 2, x.shape[3] // 2
    # Pairs of rows and of columns: a window consists of two by two neighbouring pairs.
    pairs = F.pad(x.permute(0, 2, 3, 1), (0, 0, 1, 1, 1, 1)).view(N, H + 1, 2, W + 1, 2, C)
    parts = [pairs[:, i : i + H, :, j : j + W] for i in (0, 1) for j in (0, 1)]
    windows = torch.stack(parts, 3).view(N, H, 2, 2, 2, W, 2, C)
    windows = windows.permute(0, 1, 5, 3, 2, 4, 6, 7).reshape(N, H, W, 16 * C)
    return F.linear(windows, kernels.permute(0, 2, 3, 1).flatten(1)).permute(0, 3, 1, 2)


def double(x: Tensor, kernels: Tensor) -> Tensor:
    """Convolve transposed by 4 x 4 with stride 2 and padding 1, as one matrix product.

    The product is fast if `x` and `kernels` have their channels last in memory.

    Args:
        x: (N, C, H, W).
        kernels: (C, C', 4, 4).

    Returns:
        (N, C', 2 H, 2 W), with its channels last in memory.
    """
    N, _, H, W = x.shape
    windows = x.permute(0, 2, 3, 1) @ kernels.permute(0, 2, 3, 1).flatten(1)
    windows = windows.view(N, H, W, 2, 2, 2, 2, -1)
    # Each window covers two by two pairs of rows and of columns; windows overlap by one pair.
    pairs = sum(
        F.pad(windows[:, :, :, i, :, j], (0, 0, 0, 0, 0, 0, j, 1 - j, i, 1 - i))
        for i in (0, 1)
        for j in (0, 1)
    )
    assert isinstance(pairs, Tensor)
    padded = pairs.transpose(2, 3).reshape(N, 2 * H + 2, 2 * W + 2, -1)
    return padded[:, 1:-1, 1:-1].permute(0, 3, 1, 2)


def downsampling_layers(
    channels: list[int], convolution: Callable[[int, int], nn.Conv2d]
) -> list[nn.Module]:
    """Build the discriminator's layers from images (N, 3, H, W) to feature maps of h x w.

    Args:
        channels: output channels of each convolution, finest first.
        convolution: makes a convolution that halves both sides, from its numbers of input and
            output channels.
    """
    layers: list[nn.Module] = []
    channels_in = 3
    for channels_out in channels:
        layers.append(convolution(channels_in, channels_out))
        if channels_in != 3:
            layers.append(BatchNorm2d(channels_out))
        layers.append(nn.LeakyReLU(0.2, inplace=True))
        channels_in = channels_out
    return layers


def check_sizes(
    side: int, latent_dim: int, width: int, aspect: Aspect = "1:1", min_width: int = 1
) -> None:
    """Check the sizes of a generator and its discriminator.

    Raises:
        BrushworkError: a size is out of range; the message names the first one.
    """
    if side not in SIDES:
        raise BrushworkError(f"`side` is {side}; choose one of {', '.join(map(str, SIDES))}")
    if latent_dim < 1:
        raise BrushworkError(f"`latent_dim` is {latent_dim}; it must be at least 1")
    if width < min_width:
        raise BrushworkError(f"`width` is {width}; it must be at least {min_width}")
    height_and_width(side, aspect)


def initialise_weights(module: nn.Module) -> None:
    """Initialise one layer as in section 4 of the paper.

    Weights are drawn from N(0, 0.02), scales of batch normalisation from N(1, 0.02).
    """
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
        nn.init.zeros_(module.bias)
