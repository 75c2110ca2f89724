"""A small modern GAN, for few paintings and little computing.

N images, Z latent numbers, L levels (one for each side from 4 to S / 2), S side of an image, C
channels at the finest level (`width`), K classes.

G is StyleGAN's idea (Karras et al. 2019) at the cost of a DC-GAN: the latent, with what stands for
the class added, is a style; at each level the style scales and shifts the channels after their
batch normalisation, and may be another one (style mixing), be drawn towards the mean (truncation),
or be optimised (projection). The coarsest level is laid out by its style alone, so no network maps
latents to styles first: with one, whole trainings ended in a single composition. Levels enlarge
before they convolve, which leaves no checkerboards (Odena et al. 2016, "Deconvolution and
Checkerboard Artifacts"). Skip-layer excitation (FastGAN, Liu et al. 2021, eq. 1) lets each level
weigh the channels of the level two finer.

D knows classes by projection (Miyato & Koyama 2018) and sees how alike the pictures of a batch are
(Karras et al. 2018, section 3). It needs no pretrained weights; with these, take the one of
`brushwork.gan.backbone_discriminator`.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from brushwork.gan.dcgan import check_shape, halving_layers
from brushwork.training.distributed import BatchNorm2d


@dataclass(frozen=True)
class StyledConfig:
    """The shape of both networks; saved with the weights.

    Raises:
        BrushworkError: `side` is not 32, 64, 128 or 256, or a size is not positive.
    """

    side: int = 64
    latent_dim: int = 100
    width: int = 32
    classes: tuple[str, ...] = ()
    """What the networks are told to tell apart, in the order of the labels; () for nothing."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "classes", tuple(self.classes))  # JSON knows only lists
        check_shape(self.side, self.latent_dim, self.width, least_width=2)

    @property
    def channels(self) -> list[int]:
        """Channels from the finest level (side S / 2) to the coarsest (4 x 4).

        >>> StyledConfig(side=64, width=32).channels
        [32, 64, 128, 256]
        """
        return [self.width * min(2**i, 16) for i in range(self.num_levels)]

    @property
    def num_levels(self) -> int:
        """L: how many styles a picture takes."""
        return int(math.log2(self.side)) - 2


class Generator(nn.Module):
    """Latents (N, Z), normal, and labels (N,) to images (N, 3, S, S) in [-1, 1]."""

    def __init__(self, config: StyledConfig):
        super().__init__()
        self.config = config
        Z, (coarsest, *finer) = config.latent_dim, config.channels[::-1]
        self.label = nn.Embedding(len(config.classes), Z) if config.classes else None
        self.start = nn.Linear(Z, coarsest * 4 * 4)
        self.start_norm = StyledNorm(coarsest, Z)
        self.levels = nn.ModuleList()
        channels_in = coarsest
        for channels_out in finer:
            self.levels.append(Level(channels_in, channels_out, Z))
            channels_in = channels_out
        sides = list(zip(config.channels[::-1], config.channels[-3::-1], strict=False))
        self.excitations = nn.ModuleList(Excitation(low, high) for low, high in sides)
        self.to_rgb = enlarging(channels_in, 3)
        self.apply(initialise)
        if self.label is not None:  # to be told apart beside latents that vary by 1
            nn.init.normal_(self.label.weight, 0.0, 0.5)

    def styles(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """(N, Z), labels (N,) -> (N, L, Z): the same style for each level."""
        w = F.normalize(z, dim=1) * math.sqrt(z.shape[1])
        if self.label is not None:
            assert y is not None, "this generator paints classes: it needs labels"
            w = w + self.label(y)
        return w[:, None].expand(-1, self.config.num_levels, -1)

    def paint(self, styles: Tensor) -> Tensor:
        """(N, L, Z) -> (N, 3, S, S) in [-1, 1]."""
        w = styles.unbind(1)
        x = self.start(w[0]).view(len(styles), -1, 4, 4)
        xs = [F.leaky_relu(self.start_norm(x, w[0]), 0.2)]
        for i, level in enumerate(self.levels):
            x = level(xs[-1], w[i + 1])
            if i >= 1:
                x = self.excitations[i - 1](xs[i - 1], x)
            xs.append(x)
        return self.to_rgb(xs[-1]).tanh()

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """(N, Z), labels (N,) if there are classes -> (N, 3, S, S) in [-1, 1]."""
        return self.paint(self.styles(z, y))


class Discriminator(nn.Module):
    """Images (N, 3, S, S) in [-1, 1] and labels (N,) to logits (N,): above 0 for real."""

    def __init__(self, config: StyledConfig):
        super().__init__()
        self.config = config
        channels_in = config.channels[-1]
        self.layers = nn.Sequential(*halving_layers(config.channels))
        self.logit = nn.Conv2d(channels_in + 1, 1, 4, bias=False)
        K = len(config.classes)
        self.label = nn.Embedding(K, channels_in) if K else None
        self.apply(initialise)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """(N, 3, S, S) in [-1, 1], labels (N,) if there are classes -> logits (N,)."""
        h = self.layers(x)  # (N, C', 4, 4)
        alike = batch_deviation(h)[:, None, None, None].expand(-1, 1, 4, 4)
        logits = self.logit(torch.cat([h, alike], 1)).flatten()
        if self.label is not None:
            logits = logits + projection(self.label, h, y)
        return logits


def enlarging(channels_in: int, channels_out: int) -> nn.Sequential:
    """Features (N, C, H, W) to (N, C', 2 H, 2 W)."""
    convolution = nn.Conv2d(channels_in, channels_out, 3, 1, 1, bias=False)
    return nn.Sequential(nn.Upsample(scale_factor=2, mode="nearest"), convolution)


class Level(nn.Module):
    """Features (N, C, H, W), style (N, Z) to (N, C', 2 H, 2 W)."""

    def __init__(self, channels_in: int, channels_out: int, style_dim: int):
        super().__init__()
        self.up = enlarging(channels_in, channels_out)
        self.norm = StyledNorm(channels_out, style_dim)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """Enlarge, normalise, style."""
        return F.leaky_relu(self.norm(self.up(x), w), 0.2)


class StyledNorm(nn.Module):
    """Batch normalisation whose scale and shift the style decides (Dumoulin et al. 2017)."""

    def __init__(self, channels: int, style_dim: int):
        super().__init__()
        self.norm = BatchNorm2d(channels)
        self.style = nn.Linear(style_dim, 2 * channels)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """(N, C, H, W), (N, Z) -> (N, C, H, W)."""
        scale, shift = self.style(w)[:, :, None, None].chunk(2, dim=1)
        return torch.addcmul(shift, self.norm(x), 1 + scale)


class Excitation(nn.Module):
    """Skip-layer excitation: coarse features weigh the channels of fine ones (Liu et al. 2021)."""

    def __init__(self, channels_low: int, channels_high: int):
        super().__init__()
        self.weigh = nn.Sequential(
            nn.AdaptiveAvgPool2d(4),
            nn.Conv2d(channels_low, channels_high, 4),
            nn.LeakyReLU(0.1),
            nn.Conv2d(channels_high, channels_high, 1),
            nn.Sigmoid(),
        )

    def forward(self, low: Tensor, high: Tensor) -> Tensor:
        """(N, C, H, W), (N, C', H', W') -> (N, C', H', W')."""
        return high * (2 * self.weigh(low))


def projection(label: nn.Embedding, h: Tensor, y: Tensor | None) -> Tensor:
    """How far features (N, C, H, W) point to their classes (N,): (N,), to be added to a logit.

    Miyato & Koyama 2018, equation 4.
    """
    assert y is not None, "this discriminator judges classes: it needs labels"
    return (label(y) * h.mean((2, 3))).sum(1)


def batch_deviation(h: Tensor, group: int = 4) -> Tensor:
    """How much pictures differ from the others of their group: (N, ...) -> (N,).

    The mean, over features, of the standard deviation within a group of up to `group` pictures
    (Karras et al. 2018, section 3): fakes that are all alike give themselves away.

    >>> batch_deviation(torch.tensor([[1.0], [3.0], [5.0], [5.0]]), group=2)
    tensor([1.0000e+00, 1.0000e+00, 1.0000e-04, 1.0000e-04])
    """
    group = max(g for g in range(1, group + 1) if len(h) % g == 0)
    groups = h.float().reshape(len(h) // group, group, -1)  # neighbours: a process has them all
    variance = (groups - groups.mean(1, keepdim=True)).square().mean(1)  # var() is slow here
    deviation = (variance + 1e-8).sqrt().mean(1)
    return deviation.repeat_interleave(group).to(h.dtype)


def initialise(module: nn.Module) -> None:
    """As DC-GAN: weights from N(0, 0.02), batch-norm gains around 1.

    Classes begin close together, from N(0, 0.1): else what they add drowns the logit in D.
    """
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.Embedding):
        nn.init.normal_(module.weight, 0.0, 0.1)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
        nn.init.zeros_(module.bias)
