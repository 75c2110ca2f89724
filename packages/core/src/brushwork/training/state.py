"""Networks and optimisers as one flat dictionary of named tensors, and back, without pickle."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler
from torch.optim import Optimizer


def pack(
    networks: Mapping[str, nn.Module],
    optimizers: Mapping[str, Optimizer],
    scaler: GradScaler | None = None,
) -> dict[str, Tensor]:
    """Collect every weight, buffer and optimiser moment in one dictionary.

    Returns:
        Tensors by names such as "G/layers.0.weight" or "opt_G/3/exp_avg". They share their memory
        with the networks and optimisers.
    """
    tensors: dict[str, Tensor] = {}
    for name, network in networks.items():
        tensors |= {f"{name}/{key}": value for key, value in network.state_dict().items()}
    for name, optimizer in optimizers.items():
        for index, moments in optimizer.state_dict()["state"].items():
            tensors |= {f"{name}/{index}/{key}": torch.as_tensor(v) for key, v in moments.items()}
    if scaler is not None:
        tensors |= {f"scaler/{key}": torch.tensor(v) for key, v in scaler.state_dict().items()}
    return tensors


def unpack(
    tensors: Mapping[str, Tensor],
    networks: Mapping[str, nn.Module],
    optimizers: Mapping[str, Optimizer],
    scaler: GradScaler | None = None,
) -> None:
    """Load the tensors of `pack` into networks and optimisers of the same shapes.

    Raises:
        RuntimeError: a tensor is missing, superfluous, or has another shape.
    """
    for name, network in networks.items():
        network.load_state_dict(_under(f"{name}/", tensors))
    for name, optimizer in optimizers.items():
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in _under(f"{name}/", tensors).items():
            index, moment = key.split("/")
            parameter = parameters[int(index)]
            if value.dim() and value.shape != parameter.shape:
                raise RuntimeError(f"{name}/{key} has another shape")
            if value.shape == parameter.shape:
                # Fused optimisers step through weights and moments in memory order.
                value = torch.empty_like(parameter, requires_grad=False).copy_(value)
            state.setdefault(int(index), {})[moment] = value
        optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
    # A run that was begun in another precision has no state of a scaler.
    if scaler is not None and (saved := _under("scaler/", tensors)):
        scaler.load_state_dict({k: v.item() for k, v in saved.items()})


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
