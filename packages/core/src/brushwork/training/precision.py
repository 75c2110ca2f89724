"""Which arithmetic a machine is fast at."""

from collections.abc import Callable
from functools import partial
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor, nn

from brushwork.errors import BrushworkError

Precision = Literal["auto", "no", "bf16", "fp16"]


Network = TypeVar("Network", bound=nn.Module)


def choose_precision(asked: Precision) -> str:
    """The precision to train in: "no" (float32), "bf16" or "fp16".

    "auto" is bf16 where the processor has it (GPUs since Ampere; CPUs with AVX-512 BF16 or AMX),
    else float32: elsewhere PyTorch emulates bf16, many times slower than float32.

    Raises:
        BrushworkError: fp16 without a GPU, where its gradients cannot be scaled.
    """
    if asked == "fp16" and not torch.cuda.is_available():
        raise BrushworkError("--precision fp16 needs a GPU; use bf16 or no")
    if asked != "auto":
        return asked
    if torch.cuda.is_available():
        fast = torch.cuda.get_device_capability() >= (8, 0)
    else:
        cpu = torch.cpu.get_capabilities()
        fast = cpu.get("avx512_bf16", False) or cpu.get("amx_bf16", False)
    return "bf16" if fast else "no"


def depthwise_in_float32(network: Network) -> Network:
    """The same network, fast in bf16 on CPUs, which have no such kernel of a depthwise gradient.

    Wherever gradients will pass through them, depthwise convolutions compute in float32 even under
    autocast; all else is as it was. EfficientNet-Lite0 trains at 160 pixels in 0.63 of float32's
    time (AVX-512 BF16), without this in 1.3 of it.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and 1 < module.groups == module.in_channels:
            forward: Any = partial(_float32_for_gradients, module.forward)
            module.forward = forward
    return network


def _float32_for_gradients(convolve: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    learns = torch.is_grad_enabled() and x.requires_grad
    if x.device.type != "cpu" or not learns or not torch.is_autocast_enabled("cpu"):
        return convolve(x)
    with torch.autocast("cpu", enabled=False):
        return convolve(x.float()).to(torch.get_autocast_dtype("cpu"))
