"""Batch norms folded into the convolutions before them: the same network, up to twice as fast."""

import copy

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights


def fold_batch_norms(model: nn.Module, example: Tensor) -> nn.Module:
    """A copy for inference, each batch norm folded into the convolution registered before it.

    Where this is not what the network computes (a norm that comes before its convolution), seen by
    the output for `example`, the model itself is returned.

    Args:
        model: in evaluation mode.
        example: (N, 3, S, S), such as it will see.

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
                # timm's norms hold the activation after them.
                rest = getattr(module, "act", None) or nn.Identity()
                setattr(folded.get_submodule(parent), own_name, rest)
            convolution = None
    with torch.inference_mode():
        expected, got = model(example), folded(example)
    error = (got - expected).abs().max()
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
