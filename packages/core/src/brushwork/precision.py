"""Which arithmetic a machine is fast at."""

from typing import Literal

import torch

from brushwork.errors import BrushworkError

Precision = Literal["auto", "no", "bf16", "fp16"]


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
