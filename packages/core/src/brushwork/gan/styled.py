"""A small style-based GAN for few paintings and little computing (the model "modern").

N images, Z latent dimensions, L levels (one for each side from 4 to S), H x W size of an image in
pixels and S its shorter side, h x w size of the coarsest feature map (4 x 4 for squares), C
channels of the level of side S / 2 (`width`), K classes. With an enlarger, S is in this sense the
side before it (`painted_side`).

The generator follows StyleGAN (Karras et al. 2019) at the cost of a DC-GAN. The style is the
normalised latent plus the embedding of the class label. At each level the style scales and shifts
the channels after batch normalisation. Each level can take another style, which allows style
mixing, truncation towards the mean style, and inversion by optimising the styles. There is no
mapping network from latents to styles: with one, whole trainings ended in a single composition.
The style alone decides the coarsest feature map. Levels repeat pixels and convolve, which avoids
checkerboard patterns (Odena et al. 2016, "Deconvolution and Checkerboard Artifacts"), or are
transposed convolutions, as in DC-GAN.
Skip-layer excitation (FastGAN, Liu et al. 2021, eq. 1) lets each level weight the channels of the
level two steps finer.

The discriminator takes class labels by projection (Miyato & Koyama 2018) and measures how similar
the images of a batch are (Karras et al. 2018, section 3). It uses no pretrained weights; the
discriminator that does is in `brushwork.gan.backbone_discriminator`.

Names of submodules, such as `start`, `levels` and `label`, are names of saved tensors.
"""

import math
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from brushwork.data.aspects import Aspect, height_and_width
from brushwork.errors import BrushworkError
from brushwork.gan.dcgan import (
    COARSEST_SIDE,
    DoublingConvolution,
    FullConvolution,
    check_sizes,
    downsampling_layers,
)
from brushwork.gan.enlarger import FACTORS, Enlarger
from brushwork.gan.upsampling import UpsamplingConvolution
from brushwork.training.distributed import BatchNorm2d

Upsampling = Literal["nearest", "transposed", "mixed", "dcgan"]


@dataclass(frozen=True)
class StyledConfig:
    """The shape of the generator and of the discriminator; saved with the weights.

    Attributes:
        side: S in pixels, one of `brushwork.gan.dcgan.SIDES`; with an enlarger, `enlargement` times
            one of these.
        latent_dim: Z.
        width: C.
        classes: names of the K classes, in the order of the labels; () for a GAN without classes.
        full_side: whether the generator has a level of side S, with C / 2 channels, unless
            `upsampling` is "dcgan". Generators that were trained before this level existed do not
            have it.
        aspect: W to H, one of `brushwork.data.aspects.Aspect`.
        enlargement: how many times larger the images are than those of the levels: 1 without an
            enlarger, or one of `brushwork.gan.enlarger.FACTORS`.
        enlarger_width: channels of the enlarger; 0 without one.
        upsampling: which levels of the generator double the sides by a transposed convolution:
            "nearest", none, they repeat pixels before they convolve; "transposed", all; "mixed",
            all but the finest; "dcgan", all, and so is the layer that makes the pixels from the
            level of side S / 2. With another last layer, portraits are outlined blobs after
            short trainings.
        depth: 1, or 2 for a second convolution at each level of the generator but the finest, and
            residual blocks in the discriminator.

    Raises:
        BrushworkError: `painted_side` is not one of `SIDES`, `latent_dim` is below 1, `width` is
            below 2, or there is no such aspect, enlargement, upsampling or depth.
    """

    side: int = 64
    latent_dim: int = 100
    width: int = 32
    classes: tuple[str, ...] = ()
    full_side: bool = True
    aspect: Aspect = "1:1"
    enlargement: int = 1
    enlarger_width: int = 0
    upsampling: Upsampling = "nearest"
    depth: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "classes", tuple(self.classes))  # JSON has lists, not tuples
        if self.enlargement not in (1, *FACTORS):
            known = ", ".join(map(str, FACTORS))
            raise BrushworkError(f"`enlargement` is {self.enlargement}; choose 1, {known}")
        if self.upsampling not in get_args(Upsampling):
            known = ", ".join(get_args(Upsampling))
            raise BrushworkError(f"`upsampling` is {self.upsampling!r}; choose from {known}")
        if self.depth not in (1, 2):
            raise BrushworkError(f"`depth` is {self.depth}; it must be 1 or 2")
        if self.side % self.enlargement:
            raise BrushworkError(f"`side` is {self.side}, no multiple of {self.enlargement}")
        check_sizes(self.painted_side, self.latent_dim, self.width, self.aspect, min_width=2)

    @property
    def painted_side(self) -> int:
        """The shorter side of the images before they are enlarged.

        >>> StyledConfig(side=256, enlargement=4).painted_side
        64
        """
        return self.side // self.enlargement

    def without_enlarger(self) -> "StyledConfig":
        """Return the shape of the levels alone."""
        return replace(self, side=self.painted_side, enlargement=1, enlarger_width=0)

    def with_enlarger(self, factor: int, width: int) -> "StyledConfig":
        """Return the shape with an enlarger of this factor and width."""
        side = self.painted_side * factor
        return replace(self, side=side, enlargement=factor, enlarger_width=width)

    @property
    def coarsest(self) -> tuple[int, int]:
        """Height and width of the coarsest feature map, h and w.

        >>> StyledConfig(aspect="2:3").coarsest
        (6, 4)
        """
        return height_and_width(COARSEST_SIDE, self.aspect)

    @property
    def channels(self) -> list[int]:
        """Channels of each level, from half of the painted side to side 4.

        >>> StyledConfig(side=64, width=32).channels
        [32, 64, 128, 256]
        """
        return [self.width * min(2**i, 16) for i in range(int(math.log2(self.painted_side)) - 2)]

    @property
    def generator_channels(self) -> list[int]:
        """Channels of each level of the generator, from the finest to the coarsest.

        >>> StyledConfig(side=64, width=32).generator_channels
        [16, 32, 64, 128, 256]
        """
        return [self.width // 2, *self.channels] if self.has_full_level else self.channels

    @property
    def has_full_level(self) -> bool:
        """Whether the generator has a level of side S."""
        return self.full_side and self.upsampling != "dcgan"

    @property
    def num_levels(self) -> int:
        """L, the number of styles of an image."""
        return len(self.generator_channels)


class Generator(nn.Module):
    """Generator: normal latents (N, Z) and class labels (N,) to images (N, 3, H, W) in [-1, 1]."""

    def __init__(self, config: StyledConfig) -> None:
        super().__init__()
        self.config = config
        Z, (coarsest, *finer) = config.latent_dim, config.generator_channels[::-1]
        self.label = nn.Embedding(len(config.classes), Z) if config.classes else None
        self.start = nn.Linear(Z, coarsest * math.prod(config.coarsest))
        self.start_norm = StyledBatchNorm(coarsest, Z)
        self.levels = nn.ModuleList()
        channels_in = coarsest
        for i, channels_out in enumerate(finer):
            is_finest = config.has_full_level and i == len(finer) - 1
            repeats = config.upsampling == "nearest" or (config.upsampling == "mixed" and is_finest)
            depth = 1 if is_finest else config.depth
            self.levels.append(Level(channels_in, channels_out, Z, repeats=repeats, depth=depth))
            channels_in = channels_out
        skips = list(zip(config.channels[::-1], config.channels[-3::-1], strict=False))
        self.excitations = nn.ModuleList(
            SkipLayerExcitation(channels_coarse, channels_fine, config.coarsest, is_coarsest=i == 0)
            for i, (channels_coarse, channels_fine) in enumerate(skips)
        )
        if config.has_full_level:
            self.to_rgb = nn.Conv2d(channels_in, 3, 3, padding=1, bias=False)
        elif config.upsampling == "dcgan":
            self.to_rgb = DoublingConvolution(channels_in, 3)
        else:
            self.to_rgb = UpsamplingConvolution(channels_in, 3)
        self.apply(initialise_weights)
        # Latents have deviation 1, so embeddings of 0.1 would hardly change the style.
        if self.label is not None:
            nn.init.normal_(self.label.weight, 0.0, 0.5)
        self.enlarger = new_enlarger(config) if config.enlargement > 1 else None

    def styles(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """Map latents to styles.

        Args:
            z: latents (N, Z); only their direction matters.
            y: class labels (N,), required if there are classes.

        Returns:
            Styles (N, L, Z), the same for each level.
        """
        w = F.normalize(z, dim=1) * math.sqrt(z.shape[1])
        if self.label is not None:
            assert y is not None, "this generator has classes: `y` is required"
            w = w + self.label(y)
        return w[:, None].expand(-1, self.config.num_levels, -1)

    def paint(self, styles: Tensor) -> Tensor:
        """Generate images (N, 3, H, W) in [-1, 1] from styles (N, L, Z)."""
        w = styles.unbind(1)
        x = self.start(w[0]).unflatten(1, (-1, *self.config.coarsest))
        xs = [F.leaky_relu(self.start_norm(x, w[0]), 0.2)]
        for i, level in enumerate(self.levels):
            x = level(xs[-1], w[i + 1])
            if 1 <= i <= len(self.excitations):
                x = self.excitations[i - 1](xs[i - 1], x)
            xs.append(x)
        images = self.to_rgb(xs[-1]).tanh()
        return images if self.enlarger is None else self.enlarger(images).clamp(-1, 1)

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """Generate images.

        Args:
            z: latents (N, Z), standard normal.
            y: class labels (N,), required if there are classes.

        Returns:
            Images (N, 3, H, W) in [-1, 1].
        """
        return self.paint(self.styles(z, y))


def new_enlarger(config: StyledConfig) -> Enlarger:
    """Build the untrained enlarger of a generator of this shape."""
    size = height_and_width(config.painted_side, config.aspect)
    return Enlarger(config.enlargement, config.enlarger_width, size)


def with_enlarger(network: Generator, enlarger: Enlarger) -> Generator:
    """Put a trained enlarger behind a generator without one.

    Args:
        network: the generator; it stays as it is.
        enlarger: shared with the result, not copied.
    """
    whole = Generator(network.config.with_enlarger(enlarger.factor, enlarger.width))
    whole.enlarger = None
    whole.load_state_dict(network.state_dict())
    whole.enlarger = enlarger
    return whole


class Discriminator(nn.Module):
    """Discriminator: images (N, 3, H, W) in [-1, 1] and class labels (N,) to logits (N,).

    A logit above 0 means real.
    """

    def __init__(self, config: StyledConfig) -> None:
        super().__init__()
        self.config = config
        channels_in = config.channels[-1]
        # Not the matrix products of DC-GAN: in a step of this GAN they win nothing.
        halving = partial(nn.Conv2d, kernel_size=4, stride=2, padding=1, bias=False)
        if config.depth == 1:
            after_first = downsampling_layers(config.channels, halving)[1:]
        else:
            blocks = [ResidualBlock(a, b) for a, b in pairwise(config.channels)]
            after_first = [nn.LeakyReLU(0.2, inplace=True), *blocks]
        # Biases make thresholds. Without them, batch normalisation would cancel the contrast of
        # a batch: the discriminator could not see it, and fakes would be black and white.
        self.layers = nn.Sequential(nn.Conv2d(3, config.width, 4, 2, 1), *after_first)
        self.logit = FullConvolution(channels_in + 1, 1, config.coarsest, bias=False)
        K = len(config.classes)
        self.label = nn.Embedding(K, channels_in) if K else None
        self.apply(initialise_weights)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Classify images as real or fake.

        Args:
            x: images (N, 3, H, W) in [-1, 1].
            y: class labels (N,), required if there are classes.

        Returns:
            Logits (N,), above 0 for real.
        """
        h = self.layers(x)  # (N, C', h, w)
        deviation = minibatch_deviation(h)[:, None, None, None].expand(-1, 1, *h.shape[2:])
        logits = self.logit(torch.cat([h, deviation], 1)).flatten()
        if self.label is not None:
            logits = logits + class_projection(self.label, h, y)
        return logits


class Level(nn.Module):
    """One level of the generator: feature maps (N, C, H, W), styles (N, Z) to (N, C', 2 H, 2 W).

    Args:
        channels_in: C.
        channels_out: C'.
        style_dim: Z.
        repeats: whether the level repeats pixels and convolves; otherwise it is a transposed
            convolution.
        depth: 1, or 2 for a second convolution after it.
    """

    def __init__(
        self, channels_in: int, channels_out: int, style_dim: int, *, repeats: bool, depth: int
    ) -> None:
        super().__init__()
        up = UpsamplingConvolution if repeats else DoublingConvolution
        self.up = up(channels_in, channels_out)
        self.norm = StyledBatchNorm(channels_out, style_dim)
        self.refine, self.refine_norm = None, None
        if depth == 2:
            self.refine = nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False)
            self.refine_norm = StyledBatchNorm(channels_out, style_dim)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """Double the sides of `x` (N, C, H, W), normalise it, and apply the style `w` (N, Z)."""
        x = F.leaky_relu(self.norm(self.up(x), w), 0.2)
        if self.refine is None or self.refine_norm is None:
            return x
        return F.leaky_relu(self.refine_norm(self.refine(x), w), 0.2)


class ResidualBlock(nn.Module):
    """Two convolutions beside one: feature maps (N, C, 2 H, 2 W) to (N, C', H, W).

    As in FastGAN's discriminator (Liu et al. 2021), without its spectral norms.
    """

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(channels_in, channels_out, 4, stride=2, padding=1, bias=False),
            BatchNorm2d(channels_out),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False),
            BatchNorm2d(channels_out),
            nn.LeakyReLU(0.2, inplace=True),
        )
        self.side = nn.Sequential(
            nn.AvgPool2d(2),
            nn.Conv2d(channels_in, channels_out, 1, bias=False),
            BatchNorm2d(channels_out),
            nn.LeakyReLU(0.2, inplace=True),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Average both paths of feature maps `x` (N, C, 2 H, 2 W)."""
        return (self.main(x) + self.side(x)) / 2


class StyledBatchNorm(nn.Module):
    """Batch normalisation with a scale and a shift computed from the style.

    Conditional instance normalisation (Dumoulin et al. 2017) with statistics of the batch.
    """

    def __init__(self, channels: int, style_dim: int) -> None:
        super().__init__()
        self.norm = BatchNorm2d(channels)
        self.style = nn.Linear(style_dim, 2 * channels)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """Normalise feature maps `x` (N, C, H, W); scale and shift them by styles `w` (N, Z)."""
        scale, shift = self.style(w)[:, :, None, None].chunk(2, dim=1)
        return torch.addcmul(shift, self.norm(x), 1 + scale)


class SkipLayerExcitation(nn.Module):
    """Skip-layer excitation: a coarse feature map weights the channels of a fine one.

    FastGAN (Liu et al. 2021), equation 1. The weights go from 0 to 2.
    """

    def __init__(
        self,
        channels_coarse: int,
        channels_fine: int,
        coarsest: tuple[int, int],
        is_coarsest: bool,
    ) -> None:
        super().__init__()
        self.weigh = nn.Sequential(
            nn.Identity() if is_coarsest else nn.AdaptiveAvgPool2d(coarsest),
            FullConvolution(channels_coarse, channels_fine, coarsest),
            nn.LeakyReLU(0.1),
            FullConvolution(channels_fine, channels_fine, 1),
            nn.Sigmoid(),
        )

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        """Weight `fine` (N, C', H', W') by `coarse` (N, C, H, W); returns (N, C', H', W')."""
        return fine * (2 * self.weigh(coarse))


def class_projection(embedding: nn.Embedding, h: Tensor, y: Tensor | None) -> Tensor:
    """Compute the class term of a projection discriminator (Miyato & Koyama 2018, equation 4).

    Args:
        embedding: the embedding of the K classes, each (C,).
        h: feature maps (N, C, H, W).
        y: class labels (N,); required.

    Returns:
        Inner products (N,) of the class embeddings and the mean features, to be added to logits.
    """
    assert y is not None, "this discriminator has classes: `y` is required"
    return (embedding(y) * h.mean((2, 3))).sum(1)


def minibatch_deviation(h: Tensor, group_size: int = 4) -> Tensor:
    """Measure how much images differ from the other images of their group.

    The standard deviation within a group, averaged over features (Karras et al. 2018, section 3).
    It lets the discriminator notice a generator whose fakes are all similar.

    Args:
        h: features (N, ...) of consecutive images.
        group_size: consecutive images in a group; the largest divisor of N up to this is taken.

    Returns:
        The mean deviation of each image's group, (N,).

    >>> minibatch_deviation(torch.tensor([[1.0], [3.0], [5.0], [5.0]]), group_size=2)
    tensor([1.0000e+00, 1.0000e+00, 1.0000e-04, 1.0000e-04])
    """
    group_size = max(size for size in range(1, group_size + 1) if len(h) % size == 0)
    # Groups are consecutive images, so that each lies within the batch share of one process.
    groups = h.float().reshape(len(h) // group_size, group_size, -1)
    variance = (groups - groups.mean(1, keepdim=True)).square().mean(1)  # var() is slow here
    deviation = (variance + 1e-8).sqrt().mean(1)
    return deviation.repeat_interleave(group_size).to(h.dtype)


def initialise_weights(module: nn.Module) -> None:
    """Initialise one layer: as in DC-GAN, with class embeddings from N(0, 0.1).

    Weights are drawn from N(0, 0.02), scales of batch normalisation from N(1, 0.02). Larger class
    embeddings would dominate the discriminator's logit at the start.
    """
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.Embedding):
        nn.init.normal_(module.weight, 0.0, 0.1)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
        nn.init.zeros_(module.bias)
