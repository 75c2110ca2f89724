"""The classifier's network: a timm backbone with a linear head that has one output an artist.

N images, K artists, D features, S side of an image.
"""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm

from brushwork.backbones.create import Backbone, create_backbone, input_statistics, side_options
from brushwork.backbones.folding import fold_batch_norms
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


def fit_to_sides(
    architecture: str,
    side: int,
    training_sides: Sequence[int] = (),
    num_views: Literal[1, 2, 10] = 1,
) -> dict[str, Any]:
    """Find out how timm must build a network so that it takes images of all these sides.

    The network is built with random weights, and run in training and in evaluation mode on two
    black images of each side.

    Args:
        architecture: see `brushwork.backbones.create.create_backbone`.
        side: side of the images in an evaluation, in pixels.
        training_sides: the sides to train on.
        num_views: views in an evaluation.

    Returns:
        The `options` of `create_backbone`; {} for a network that takes any side.

    Raises:
        BrushworkError: timm has no such network, or it does not take one of the sides. The message
            names a side that it takes, if there is one.
    """
    with torch.random.fork_rng(devices=[]):  # what is drawn here must not change the training
        network = create_backbone(architecture, 2)
        native = network.pretrained_cfg["input_size"][-1]
        error: Exception | None = None
        for options in side_options(network, side):
            try:
                tried = create_backbone(architecture, 2, options) if options else network
                _try_sides(tried, side, training_sides, num_views)
                return options
            except Exception as failure:  # each network fails in its own way
                error = error or failure
        reason = (str(error) or type(error).__name__).splitlines()[0]
        problem = f"{architecture} does not take images of these sides ({reason})"
        for only in dict.fromkeys((side, native)):
            # Those for one side come last in the list, and are the likeliest here.
            for options in reversed(side_options(network, only)):
                try:
                    tried = create_backbone(architecture, 2, options) if options else network
                    _try_sides(tried, only, [only], 2)
                except Exception:  # each network fails in its own way
                    continue
                raise BrushworkError(
                    f"{problem}; set `side`, `first_side` and `last_side` to {only} and `views` "
                    "to 1 or 2"
                )
    raise BrushworkError(
        f"{architecture} cannot be trained as a classifier ({reason}); choose another network, "
        "such as resnet18"
    )


def _try_sides(
    network: Backbone, side: int, training_sides: Sequence[int], num_views: Literal[1, 2, 10]
) -> None:
    """Run a network of two classes as in training and evaluation; raise any error if it fails."""
    network.to(memory_format=torch.channels_last)
    statistics = input_statistics(network)
    shapes = {name: buffer.shape for name, buffer in network.named_buffers()}

    def black(side: int) -> Tensor:
        return torch.zeros(2, 3, side, side, dtype=torch.uint8)

    with torch.no_grad():
        set_training(network)
        outputs = [
            network(normalise(black(side), *statistics)) for side in sorted({*training_sides})
        ]
        network.eval()
        # All views of a painting have one of these sides.
        sides = {view.shape[-1] for view in whole_views(black(side), num_views)}
        outputs += [predict(network, black(side), *statistics).logits for side in sorted(sides)]
    for output in outputs:
        if not isinstance(output, Tensor) or output.shape != (2, 2):
            raise BrushworkError("its output is not one logit an artist")
    if shapes != {name: buffer.shape for name, buffer in network.named_buffers()}:
        raise BrushworkError("its buffers change their shapes, so they have no average")


def prepare_inference(network: Backbone, side: int) -> Backbone:
    """Make a network up to twice as fast on CPUs, without gradients.

    Args:
        network: it is set to evaluation mode.
        side: side of its images, in pixels.

    Returns:
        A copy with folded batch norms, or the network itself if they cannot be folded.
    """
    network = network.eval().requires_grad_(False)
    device = next(network.parameters()).device
    generator = torch.Generator().manual_seed(0)
    example = torch.randn(1, 3, side, side, generator=generator).to(device)
    return fold_batch_norms(network, example).to(memory_format=torch.channels_last)


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
    network.requires_grad_(True)
    if num_stages == 0:
        return
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


def trained_norms(network: nn.Module) -> list[nn.BatchNorm2d]:
    """List the batch norms of a network that are not frozen."""
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    return [norm for norm in norms if _is_trained(norm)]


def set_training(network: nn.Module) -> None:
    """Set training mode, except for frozen batch norms."""
    network.train()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.train(_is_trained(module))


def _is_trained(norm: nn.BatchNorm2d) -> bool:
    return norm.weight is None or norm.weight.requires_grad


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


class Rows(Protocol):
    """Square pictures that are read by their rows: an array (M, S, S, 3) uint8, or like one."""

    def __getitem__(self, rows: NDArray[np.int64], /) -> NDArray[np.uint8]:
        """Return pictures (N, S, S, 3) of rows (N,)."""
        ...


@torch.no_grad()
def predict_rows(
    network: Backbone,
    pixels: Rows,
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
        one = torch.from_numpy(pixels[np.zeros(1, np.int64)]).permute(0, 3, 1, 2).to(device)
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

    Raises:
        BrushworkError: the network does not take the corners of the images.
    """
    logits, features, statistics = [], [], []
    for view in whole_views(images, num_views):
        try:
            maps, stages = _maps_and_stages(network, normalise(view, mean, std))
        except (AssertionError, RuntimeError, ValueError) as error:
            if view.shape == images.shape:
                raise
            reason = (str(error) or type(error).__name__).splitlines()[0]
            raise BrushworkError(
                f"{type(network).__name__} does not take views of {view.shape[-1]} pixels "
                f"({reason}); average over 1 or 2 views instead of {num_views}"
            ) from error
        hidden = network.forward_head(maps, pre_logits=True).flatten(1)
        # Not by the last layer alone: some networks have two, and the mean of both is the answer.
        logits.append(network.forward_head(maps))
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


def _maps_and_stages(network: Backbone, x: Tensor) -> tuple[Any, list[Tensor]]:
    """Compute the input of the head, and the last feature maps (N, C, H, W) of each size.

    Transformers have feature maps of one size. Some timm networks do not return the feature maps of
    their stages; for these the list is empty.
    """
    try:
        maps, stages = network.forward_intermediates(x)
    except AttributeError:
        return network.forward_features(x), []
    stages = [stage for stage in stages if stage.ndim == 4]
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
    is_maps = isinstance(maps, Tensor) and maps.ndim == 4
    # Some transformers have their channels last.
    channels = [axis for axis in (1, 3) if is_maps and maps.shape[axis] == network.num_features]
    if not channels:
        raise BrushworkError(
            f"the last stage of {type(network).__name__} has tokens instead of feature maps, so it "
            "has no heat map; use a convolutional backbone such as resnet18"
        )
    area = (2, 3) if channels[0] == 1 else (1, 2)
    with torch.enable_grad():
        maps = maps.detach().clone().requires_grad_()
        logit = network.forward_head(maps)[0, label]
        (gradient,) = torch.autograd.grad(logit, maps)
    weights = gradient.mean(dim=area, keepdim=True)
    return (weights * maps.detach()).sum(channels[0])[0].relu()
