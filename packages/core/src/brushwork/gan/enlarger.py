"""Enlarge generated pictures with a network that learned from paintings how details look.

A GAN of small pictures learns in an hour on a CPU where sky, woods and water are; four times the
side has sixteen times the pixels. The details can be learned apart, from pairs of a painting
and its reduced copy, of which each painting gives thousands. Generating small pictures first and
adding the details with further networks is the approach of LAPGAN (Denton et al. 2015, "Deep
Generative Image Models using a Laplacian Pyramid of Adversarial Networks"). Network and losses are
those of super-resolution (Ledig et al. 2017, "Photo-Realistic Single Image Super-Resolution Using a
Generative Adversarial Network"), without its pretrained network. Half of each batch are reduced
paintings, half are pictures of the generator: the enlarger must give those details, too.

B pairs of a batch, N images, F the factor of enlargement, H x W size of a small image in pixels,
P side of a small square patch, C channels (`width`).

Names of submodules, such as `first` and `blocks`, are names of saved tensors.
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from brushwork.data.batches import AUGMENTATION, batch_positions, random_numbers, to_unit_range
from brushwork.gan.losses import hinge_generator_loss
from brushwork.gan.upsampling import UpsamplingConvolution

FACTORS = (2, 4, 8)

NUM_BLOCKS = 6
"""Residual blocks of the enlarger at the size of the small images."""


class Enlarger(nn.Module):
    """Enlarge images (N, 3, H, W) in [-1, 1] to (N, 3, F H, F W), of about the same range.

    A new enlarger interpolates; training adds the details. They depend on noise, too. From a smooth
    image alone the network could only make regular details: it hatched skies and woods with fine
    parallel lines. After training the noise is the same for all images, like a canvas.

    Args:
        factor: F, one of `FACTORS`.
        width: C, at least 2.
        size: H and W.
    """

    noise: Tensor

    def __init__(self, factor: int, width: int, size: tuple[int, int]) -> None:
        super().__init__()
        self.factor, self.width = factor, width
        self.register_buffer("noise", torch.randn(1, 1, *size))
        self.first = nn.Conv2d(4, width, 3, padding=1)
        self.blocks = nn.Sequential(*[ResidualBlock(width) for _ in range(NUM_BLOCKS)])
        half = width // 2
        levels: list[nn.Module] = []
        for level in range(int(math.log2(factor))):
            levels += [UpsamplingConvolution(half if level else width, half), nn.LeakyReLU(0.2)]
            if level:
                levels += [nn.Conv2d(half, half, 3, padding=1), nn.LeakyReLU(0.2)]
            else:
                levels += [ResidualBlock(half)]
        self.levels = nn.Sequential(*levels)
        self.to_rgb = nn.Conv2d(half, 3, 3, padding=1)
        for parameter in self.to_rgb.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor, noise: Tensor | None = None) -> Tensor:
        """Enlarge images.

        Args:
            x: (N, 3, H, W) in [-1, 1]; with `noise` of any size.
            noise: standard normal, (N, 1, H, W); None takes the one of the network.
        """
        if noise is None:
            noise = self.noise.expand(x.shape[0], -1, -1, -1)  # exports have no len(x)
        h = self.first(torch.cat([x, noise], 1))
        details = self.to_rgb(self.levels(h + self.blocks(h)))
        return details + F.interpolate(x, scale_factor=self.factor, mode="bicubic")


class ResidualBlock(nn.Module):
    """Two convolutions whose result is added to their input: (N, C, H, W) to (N, C, H, W)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(channels, channels, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Transform feature maps `x` (N, C, H, W)."""
        return x + 0.5 * self.layers(x)


class PatchDiscriminator(nn.Module):
    """Discriminator of details: images (N, 3, H, W) in [-1, 1] to logits (N, 1, H / 8, W / 8).

    A logit above 0 means that the surroundings of its place look painted (Isola et al. 2017,
    "Image-to-Image Translation with Conditional Adversarial Networks", section 3.2.2). Spectral
    normalisation (Miyato et al. 2018) limits how fast the logits change with the image.
    """

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        channels = [width, 2 * width, 4 * width]
        layers: list[nn.Module] = [spectral_norm(nn.Conv2d(3, width, 3, padding=1))]
        layers.append(nn.LeakyReLU(0.2))
        for channels_in, channels_out in zip([width, *channels], channels, strict=False):
            layers.append(spectral_norm(nn.Conv2d(channels_in, channels_out, 4, 2, 1)))
            layers.append(nn.LeakyReLU(0.2))
        layers.append(spectral_norm(nn.Conv2d(channels[-1], channels[-1], 3, padding=1)))
        layers.append(nn.LeakyReLU(0.2))
        layers.append(spectral_norm(nn.Conv2d(channels[-1], 1, 3, padding=1)))
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Classify each part of images `x` (N, 3, H, W) as painted or not."""
        return self.layers(x)


class Patches(NamedTuple):
    """The patches of one step, in [-1, 1].

    Attributes:
        large: of paintings, (B, 3, F P, F P).
        small: the same parts of the reduced paintings, (B, 3, P, P).
        generated: of generated pictures, (B, 3, P, P).
        others: of other places of the paintings, (B, 3, F P, F P).
        noise: standard normal, (2 B, 1, P, P), for `small` and then `generated`.
    """

    large: Tensor
    small: Tensor
    generated: Tensor
    others: Tensor
    noise: Tensor

    @property
    def real(self) -> Tensor:
        """What the discriminator takes as painted, (2 B, 3, F P, F P)."""
        return torch.cat([self.large, self.others])

    def to(self, device: torch.device) -> "Patches":
        """Move the patches to a device, channels last in memory."""
        return Patches(*(t.to(device, memory_format=torch.channels_last) for t in self))


def patch_batch(
    large: NDArray[np.uint8],
    small: NDArray[np.uint8],
    generated: NDArray[np.uint8],
    rows: NDArray[np.int64],
    *,
    step: int,
    batch_size: int,
    side: int,
    seed: int,
    share: slice = slice(None),
) -> Patches:
    """Choose the patches of a step, half of them mirrored; a function of the seed and the step.

    Args:
        large: paintings (M, F H, F W, 3).
        small: the same paintings, reduced, (M, H, W, 3).
        generated: pictures (G, H, W, 3).
        rows: the paintings to use, (R,).
        step: from 0.
        batch_size: B.
        side: P, at most the smaller one of H and W.
        seed: determines everything together with `step`.
        share: the part of the batch that this process trains on.
    """
    factor = large.shape[1] // small.shape[1]
    rng = random_numbers(seed, AUGMENTATION, step)
    corners = rng.integers((np.array(small.shape[1:3]) - side) + 1, size=(3, batch_size, 2))
    mirrored = rng.random((3, batch_size)) < 0.5
    pictures = rng.integers(len(generated), size=batch_size)
    noise = rng.standard_normal((2, batch_size, 1, side, side), dtype=np.float32)
    paintings = rows[batch_positions(step, batch_size, len(rows), seed)]

    def cut(images: NDArray[np.uint8], chosen: NDArray[np.int64], which: int, by: int) -> Tensor:
        """Cut patches of `by` times the side and the corners."""
        patches = []
        for i in range(batch_size)[share]:
            top, left = by * corners[which, i]
            patch = images[chosen[i], top : top + by * side, left : left + by * side]
            patches.append(patch[:, ::-1] if mirrored[which, i] else patch)
        return to_unit_range(torch.from_numpy(np.stack(patches)).permute(0, 3, 1, 2))

    return Patches(
        large=cut(large, paintings, 0, factor),
        small=cut(small, paintings, 0, 1),
        generated=cut(generated, pictures, 1, 1),
        others=cut(large, paintings, 2, factor),
        noise=torch.from_numpy(noise[:, share]).flatten(0, 1),
    )


class EnlargerLoss(NamedTuple):
    """The parts of the enlarger's loss, each a scalar.

    Attributes:
        adversarial: see `brushwork.gan.losses.hinge_generator_loss`.
        details: mean distance of enlarged paintings to the paintings.
        reduced: mean distance of enlarged images, reduced again, to the images before.
    """

    adversarial: Tensor
    details: Tensor
    reduced: Tensor

    def total(self) -> Tensor:
        """Add the parts with their weights."""
        return 0.05 * self.adversarial + self.details + 5 * self.reduced


def enlarger_loss(logits: Tensor, enlarged: Tensor, patches: Patches) -> EnlargerLoss:
    """Compute the loss of the enlarger.

    Distances to the paintings alone would make the details vague, because many different details
    are possible: the discriminator asks for definite ones. Reduced again, an enlarged image should
    be the image before, so that the enlarger neither changes colours nor composition.

    Args:
        logits: the discriminator's logits of `enlarged`, of any shape.
        enlarged: the enlarged small and then generated patches (2 B, 3, F P, F P).
        patches: what was enlarged, and the paintings.
    """
    enlarged = enlarged.float()
    before = torch.cat([patches.small, patches.generated])
    return EnlargerLoss(
        adversarial=hinge_generator_loss(logits.float()),
        details=(enlarged[: len(patches.large)] - patches.large).abs().mean(),
        reduced=(reduce(enlarged, before.shape[-1]) - before).abs().mean(),
    )


def reduce(images: Tensor, side: int) -> Tensor:
    """Reduce square images (N, 3, S, S) to (N, 3, side, side), as the paintings are reduced."""
    return F.interpolate(images, (side, side), mode="bicubic", antialias=True)
