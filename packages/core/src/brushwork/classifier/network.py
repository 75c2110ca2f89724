"""The classifier's network: a timm backbone with a linear head that has one output an artist.

N images, K artists, D features, S side of an image.
"""

from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm

from brushwork.backbones.create import Backbone
from brushwork.backbones.lazy_timm import group_parameters
from brushwork.classifier.views import whole_views
from brushwork.errors import BrushworkError
from brushwork.training.distributed import gather_rows, num_processes, process_index


class Predictions(NamedTuple):
    """The outputs of a network for N paintings: float32, on the CPU."""

    logits: Tensor
    """(N, K)."""
    features: Tensor
    """(N, D) of the last hidden layer."""
    channel_statistics: Tensor
    """(N, T) means and standard deviations of the channels of every stage."""


def normalise(images: Tensor, mean: list[float], std: list[float]) -> Tensor:
    """Convert images to a backbone's inputs.

    Args:
        images: uint8 (N, 3, S, S).
        mean: mean of each channel, for pixels in [0, 1].
        std: standard deviation of each channel, for pixels in [0, 1].

    Returns:
        float32 (N, 3, S, S), in the memory format channels_last.

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


def freeze_stages(network: Backbone, num_stages: int) -> None:
    """Freeze the first stages of a backbone; the stem is the first.

    This saves much of the training time, because the first stages have the largest feature maps.
    Pretrained weights hardly change there. `set_training` also freezes their batch-norm statistics.

    Args:
        network: all its other parameters become trainable.
        num_stages: 0 to freeze nothing.

    Raises:
        BrushworkError: the backbone has too few stages.
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


def set_training(network: nn.Module) -> None:
    """Set training mode, except for frozen batch norms."""
    network.train()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d) and not module.weight.requires_grad:
            module.eval()


def artist_weights(labels: Tensor, num_artists: int, balance: float) -> Tensor:
    """Weigh artists in the loss: an artist of n paintings has a weight of n to the power -balance.

    Args:
        labels: (N,) of the training paintings.
        num_artists: K.
        balance: 0 to give all paintings the same weight, 1 to give all artists the same.

    Returns:
        (K,); the mean over paintings is 1.

    >>> artist_weights(torch.tensor([0, 0, 0, 1]), 2, balance=1.0).tolist()
    [0.6666666865348816, 2.0]
    """
    size = torch.bincount(labels, minlength=num_artists).clamp(min=1).float()
    weight = size**-balance
    return weight * size.sum() / (weight * size).sum()


@torch.no_grad()
def predict_rows(
    network: Backbone,
    pixels: NDArray[np.uint8],
    rows: NDArray[np.int64],
    mean: list[float],
    std: list[float],
    *,
    num_views: Literal[1, 2, 10] = 1,
    batch_size: int = 16,
    progress: str = "",
) -> Predictions:
    """Run a network on rows of prepared pixels; the processes share the work.

    Args:
        network: it is left in evaluation mode.
        pixels: (M, S, S, 3) uint8.
        rows: indices (N,) of paintings in `pixels`.
        mean: mean of each channel; see `brushwork.backbones.create.input_statistics`.
        std: standard deviation of each channel.
        num_views: views to average over; see `brushwork.classifier.views.whole_views`.
        batch_size: paintings in a batch.
        progress: title of the progress bar; "" for no bar.

    Returns:
        The predictions of all N rows, in every process.
    """
    network.eval()
    device = next(network.parameters()).device
    mine = rows[process_index() :: num_processes()]
    batches = []
    starts = range(0, len(mine), batch_size)
    for start in tqdm(starts, desc=progress, unit="batch", disable=not progress, leave=False):
        images = torch.from_numpy(pixels[mine[start : start + batch_size]]).permute(0, 3, 1, 2)
        batches.append(predict(network, images.to(device), mean, std, num_views))
    # A process without rows must join the gathering too, with empty tensors of the right widths.
    if not batches:
        one = torch.from_numpy(pixels[:1]).permute(0, 3, 1, 2).to(device)
        batches = [Predictions(*(tensor[:0] for tensor in predict(network, one, mean, std)))]
    return Predictions(*(gather_rows(tensor) for tensor in concatenate(batches)))


def predict(
    network: Backbone,
    images: Tensor,
    mean: list[float],
    std: list[float],
    num_views: Literal[1, 2, 10] = 1,
) -> Predictions:
    """Run a network on a batch of images and average over their views.

    Args:
        network: in evaluation mode.
        images: uint8 (N, 3, S, S), on the network's device.
        mean: mean of each channel; see `brushwork.backbones.create.input_statistics`.
        std: standard deviation of each channel.
        num_views: see `brushwork.classifier.views.whole_views`.
    """
    logits, features, statistics = [], [], []
    for view in whole_views(images, num_views):
        maps, stages = _maps_and_stages(network, normalise(view, mean, std))
        hidden = network.forward_head(maps, pre_logits=True)
        logits.append(network.get_classifier()(hidden))
        features.append(hidden)
        by_stage = [channel_statistics(stage) for stage in stages] or [hidden]
        statistics.append(torch.cat(by_stage, dim=1))
    return Predictions(
        logits=torch.stack(logits).float().mean(0).cpu(),
        features=torch.stack(features).float().mean(0).cpu(),
        channel_statistics=torch.stack(statistics).float().mean(0).cpu(),
    )


def concatenate(batches: list[Predictions]) -> Predictions:
    """Join the predictions of several batches, of which there is at least one."""
    return Predictions(*(torch.cat(tensors) for tensors in zip(*batches, strict=True)))


def channel_statistics(maps: Tensor) -> Tensor:
    """Compute the mean and the standard deviation of each channel: (N, C, H, W) to (N, 2 C).

    These statistics do not depend on positions in the painting, so they describe its style (Huang
    & Belongie 2017, "Arbitrary Style Transfer", section 4).

    >>> channel_statistics(torch.tensor([[[[1.0, 3.0]], [[5.0, 5.0]]]]))
    tensor([[2., 5., 1., 0.]])
    """
    variance, mean = torch.var_mean(maps.float(), dim=(2, 3), correction=0)
    return torch.cat([mean, variance.sqrt()], dim=1)


def _maps_and_stages(network: Backbone, x: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Compute the input of the head, and the last feature maps (N, C, H, W) of each size.

    Transformers have feature maps of one size. Some timm networks do not return the feature maps of
    their stages; for these the list is empty.
    """
    try:
        maps, stages = network.forward_intermediates(x)
    except AttributeError:
        return network.forward_features(x), []
    return maps, list({stage.shape[-1]: stage for stage in stages}.values())


def grad_cam(network: Backbone, x: Tensor, label: int) -> Tensor:
    """Compute a heat map of the evidence for a label: Grad-CAM (Selvaraju et al. 2017).

    The feature maps of the last stage are weighted by the mean gradient of the label's logit (eqs.
    1 and 2).

    Args:
        network: in evaluation mode.
        x: one normalised image (1, 3, S, S).
        label: from 0 to K - 1.

    Returns:
        The heat map (h, w), in the resolution of the last stage. Its values are at least 0.

    Raises:
        BrushworkError: the last stage has tokens instead of feature maps.
    """
    with torch.no_grad():
        maps = network.forward_features(x)
    if maps.ndim != 4 or maps.shape[1] != network.num_features:
        raise BrushworkError(
            f"the last stage of {type(network).__name__} has tokens instead of feature maps, so it "
            "has no heat map; use a convolutional backbone such as resnet18"
        )
    with torch.enable_grad():
        maps = maps.detach().clone().requires_grad_()
        logit = network.forward_head(maps)[0, label]
        (gradient,) = torch.autograd.grad(logit, maps)
    weights = gradient.mean(dim=(2, 3), keepdim=True)
    return (weights * maps.detach()).sum(1)[0].relu()
