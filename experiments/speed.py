"""Not a script: how the training benchmarks measure time, arithmetic and the peak of the machine.

N images of a step.
"""

import multiprocessing
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from math import prod
from typing import Any, TypeVar

import torch
from torch.utils.flop_counter import FlopCounterMode


def own_process() -> Executor:
    """Start a process of its own for one method.

    Methods differ in what they change in their process, such as the number of threads and how the
    C library keeps memory.
    """
    return ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))


def device() -> torch.device:
    """Choose the GPU if there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def place() -> str:
    """Name the GPU, or count the threads."""
    if device().type == "cuda":
        return torch.cuda.get_device_name()
    return f"{torch.get_num_threads()} threads"


# Sides of the square matrices whose product is timed.
MATRIX_SIDES = {"cpu": 2048, "cuda": 8192}

Name = TypeVar("Name", bound=str)
Value = TypeVar("Value")


def take_turns(methods: Mapping[Name, Callable[[], Value]], rounds: int) -> dict[Name, list[Value]]:
    """Call every method once per round, A B A B, so that a drifting machine affects all equally.

    Args:
        methods: by name; each returns what it measured.
        rounds: number of rounds, without a first one that warms up and does not count.

    Returns:
        The measured values of each method, one for each round.
    """
    values: dict[Name, list[Value]] = {name: [] for name in methods}
    for round_number in range(rounds + 1):
        for name, measure in methods.items():
            value = measure()
            if round_number > 0:
                values[name].append(value)
    return values


def seconds_of(run: Callable[[], object]) -> float:
    """Measure the wall-clock seconds of a call, until the device has finished its work."""
    synchronize()
    start = time.perf_counter()
    run()
    synchronize()
    return time.perf_counter() - start


def synchronize() -> None:
    """Wait until the GPU, if there is one, has finished its work."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def count_flops(run: Callable[[], object]) -> int:
    """Count the floating-point operations of the convolutions and matrix products of a call.

    Element-wise operations, normalisation and optimisers are not counted. A multiplication and an
    addition are two operations.

    >>> x = torch.ones(2, 3)
    >>> count_flops(lambda: x @ x.T)
    24
    """
    backward: dict[Any, Any] = {
        torch.ops.aten.convolution_backward: _convolution_backward_flops,
    }
    with FlopCounterMode(display=False, custom_mapping=backward) as counter:
        run()
    return counter.get_total_flops()


def _convolution_backward_flops(
    grad_shape: Sequence[int],
    x_shape: Sequence[int],
    w_shape: Sequence[int],
    _bias: Any,
    _stride: Any,
    _padding: Any,
    _dilation: Any,
    transposed: bool,
    _output_padding: Any,
    _groups: int,
    output_mask: Sequence[bool],
    **_: Any,
) -> int:
    """Count the gradients of a convolution: each of the two costs as much as the convolution.

    Torch's own count of the weights' gradient ignores groups: that of a depthwise convolution would
    be as many times too high as there are channels.
    """
    positions = prod((x_shape if transposed else grad_shape)[2:])
    return 2 * x_shape[0] * positions * prod(w_shape) * sum(output_mask[:2])


def matmul_peak(precision: str, repeats: int = 5) -> float:
    """Measure the speed of a large matrix product on this machine, with the threads of torch.

    Args:
        precision: "no" for float32 (on a GPU with TF32, which convolutions use), "bf16" or "fp16".
        repeats: the fastest of this many products counts.

    Returns:
        Floating-point operations per second.
    """
    dtype = {"no": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
    side = MATRIX_SIDES[device().type]
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = True
    a, b = (torch.randn(side, side, device=device()).to(dtype) for _ in range(2))
    fastest = min(seconds_of(lambda: a @ b) for _ in range(repeats + 1))
    torch.backends.cuda.matmul.allow_tf32 = before
    return 2 * side**3 / fastest


def roofline(flops: float, seconds: float, peak: float) -> str:
    """Write the arithmetic of a step, the peak of the machine, and the share of it that is reached.

    Args:
        flops: floating-point operations of a step.
        seconds: time of a step.
        peak: operations per second of a matrix product.

    >>> roofline(3e11, seconds=0.5, peak=1.2e12)
    '300 GFLOP per step; 600 of 1,200 GFLOP/s of a matrix product: 50 %'
    """
    reached = flops / seconds
    return (
        f"{flops / 1e9:,.4g} GFLOP per step; {reached / 1e9:,.0f} of {peak / 1e9:,.0f} GFLOP/s of "
        f"a matrix product: {reached / peak:.0%}".replace("%", " %")
    )
