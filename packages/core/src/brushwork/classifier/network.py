"""The network that tells artists apart: a timm backbone and a linear head over named artists.

N images, K artists, D features, S side of an image.
"""

from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm

from brushwork.backbones.create import Network
from brushwork.backbones.lazy_timm import group_parameters
from brushwork.classifier.views import whole_views
from brushwork.errors import BrushworkError
from brushwork.training.distributed import gather_rows, num_processes, process_index


class Predictions(NamedTuple):
    """What a network makes of N paintings: float32, on the CPU."""

    logits: Tensor
    """(N, K)."""
    features: Tensor
    """(N, D) of the last hidden layer."""
    traits: Tensor
    """(N, T) means and standard deviations of the channels at every stage."""


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
def predict_rows(
    network: Network,
    pixels: NDArray[np.uint8],
    rows: NDArray[np.int64],
    mean: list[float],
    std: list[float],
    *,
    num_views: Literal[1, 2, 10] = 1,
    batch_size: int = 16,
    progress: str = "",
) -> Predictions:
    """What a network makes of whole paintings, shared by the processes, each painting once.

    Args:
        network: left in evaluation mode.
        pixels: (M, S, S, 3) uint8.
        rows: which N of the M paintings.
        mean: of the channels; see `input_statistics`.
        std: likewise.
        num_views: see `brushwork.classifier.views.whole_views`; the mean over these is taken.
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
        parts = [Predictions(*(rows[:0] for rows in look(network, one, mean, std)))]
    return Predictions(*(gather_rows(torch.cat(part)) for part in zip(*parts, strict=True)))


def look(
    network: Network,
    images: Tensor,
    mean: list[float],
    std: list[float],
    num_views: Literal[1, 2, 10] = 1,
) -> Predictions:
    """What a network makes of uint8 images (N, 3, S, S): the mean over their views."""
    seen = []
    for view in whole_views(images, num_views):
        maps, stages = _maps_and_stages(network, normalise(view, mean, std))
        features = network.forward_head(maps, pre_logits=True)
        traits = [channel_statistics(stage) for stage in stages] or [features]
        seen.append((network.get_classifier()(features), features, torch.cat(traits, dim=1)))
    return Predictions(
        *(torch.stack(part).float().mean(0).cpu() for part in zip(*seen, strict=True))
    )


def channel_statistics(maps: Tensor) -> Tensor:
    """The mean and the standard deviation of each channel: (N, C, H, W) to (N, 2 C).

    What remains of a painting when it is forgotten where everything is: its manner (Huang &
    Belongie 2017, "Arbitrary Style Transfer", section 4).

    >>> channel_statistics(torch.tensor([[[[1.0, 3.0]], [[5.0, 5.0]]]]))
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
