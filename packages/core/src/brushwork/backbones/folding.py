"""Fold batch norms into the convolutions before them: the same outputs, up to twice as fast."""

import copy
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

Model = TypeVar("Model", bound=nn.Module)


def fold_batch_norms(model: Model, example: Tensor) -> Model:
    """Copy a model for inference and fold its batch norms into convolutions.

    Each batch norm is folded into the convolution that was registered before it. Some networks
    apply the norm before its convolution. Then the outputs for `example` differ, and the function
    returns the model itself.

    Args:
        model: in evaluation mode.
        example: images (N, 3, S, S) to compare the outputs for.

    >>> net = nn.Sequential(nn.Conv2d(3, 2, 1), nn.BatchNorm2d(2)).eval()
    >>> fold_batch_norms(net, torch.zeros(1, 3, 4, 4))[1]
    Identity()
    """
    folded, convolution = copy.deepcopy(model), None
    for name, module in list(folded.named_modules()):
        if isinstance(module, nn.Conv2d):
            convolution = module
        elif isinstance(module, nn.BatchNorm2d) and convolution is not None:
            if module.num_features == convolution.out_channels:
                _fold(convolution, module)
                parent, _, own_name = name.rpartition(".")
                # timm's batch norms contain the activation that follows them.
                activation = getattr(module, "act", None) or nn.Identity()
                setattr(folded.get_submodule(parent), own_name, activation)
            convolution = None
    with torch.inference_mode():
        expected, output = model(example), folded(example)
    error = (output - expected).abs().max()
    return folded if error <= 1e-4 * expected.abs().max() else model


def _fold(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    assert norm.running_mean is not None and norm.running_var is not None
    convolution.weight, convolution.bias = fuse_conv_bn_weights(
        convolution.weight,
        convolution.bias,
        norm.running_mean,
        norm.running_var,
        norm.eps,
        norm.weight,
        norm.bias,
    )
