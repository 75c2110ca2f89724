"""Which arithmetic a machine is fast at."""

from typing import Literal

import torch
from torch import nn

from brushwork.errors import BrushworkError

Precision = Literal["auto", "no", "bf16", "fp16"]


def choose_precision(asked: Precision, network: nn.Module | None = None) -> str:
    """The precision to train in: "no" (float32), "bf16" or "fp16".

    "auto" is bf16 where the processor has it (GPUs since Ampere; CPUs with AVX-512 BF16 or AMX),
    else float32: elsewhere PyTorch emulates bf16, many times slower than float32. So it is on CPUs
    for a network of depthwise convolutions, which have no fast bf16 kernel: EfficientNet-Lite0 at
    224 trains 1.6 times as fast in float32.

    Args:
        asked: what the user wants.
        network: what will be trained.

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
        fast = fast and not any(
            isinstance(m, nn.Conv2d) and 1 < m.groups == m.in_channels
            for m in (network.modules() if network is not None else ())
        )
    return "bf16" if fast else "no"
