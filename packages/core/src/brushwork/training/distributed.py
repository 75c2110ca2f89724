"""Operations over several training processes: gradients, batch statistics and logged means.

The models are not wrapped in `DistributedDataParallel`: a GAN calls its discriminator several
times per step, with frozen weights and with trainable ones, which that wrapper does not support.
As in StyleGAN and EDM, one flat all-reduce averages the gradients before each optimiser step.
"""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, overload

import torch
import torch.distributed as dist
from torch import Tensor, nn

from brushwork.errors import BrushworkError
from brushwork.training import launcher


def num_processes() -> int:
    """Count the processes that train together; 1 without a process group."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def process_index() -> int:
    """Return this process's index, from 0. Process 0 writes the files."""
    return dist.get_rank() if num_processes() > 1 else 0


def check_launch() -> None:
    """Check that the launcher started every process that the user requested.

    `accelerate launch --num_processes 2` on a machine without GPUs silently starts one process. It
    still sets the address of a process group that never forms. A job script may also export such an
    address, for other programs.

    Raises:
        BrushworkError: only one process was started; the message has the command that starts more.
    """
    if "RANK" in os.environ or not {"MASTER_ADDR", "ACCELERATE_DYNAMO_MODE"} <= os.environ.keys():
        return
    parent = os.getppid()
    flag = re.search(r"--num[-_]processes[ =](\d+)", " ".join(launcher.command_line(parent)))
    requests_several = flag is not None and int(flag.group(1)) > 1
    exported = launcher.environment_of(parent).get("MASTER_ADDR")
    if requests_several or exported != os.environ["MASTER_ADDR"]:
        raise BrushworkError(
            "accelerate started one process although several were requested; on CPUs use\n"
            "  ACCELERATE_USE_CPU=true accelerate launch --multi_gpu --num_processes 2 ..."
        )


@torch.no_grad()
def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replace each gradient by its mean over all processes.

    Args:
        parameters: in the same order in every process. Those without a gradient are skipped.
    """
    world = num_processes()
    if world == 1:
        return
    gradients = [p.grad for p in parameters if p.grad is not None]
    flat = torch.cat([g.reshape(-1) for g in gradients])
    dist.all_reduce(flat)
    flat /= world
    for gradient, mean in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(mean.view_as(gradient))


def any_process(here: bool) -> bool:
    """Return whether `here` is true in at least one process.

    Every process must call this at the same step.
    """
    if num_processes() == 1:
        return here
    device = "cuda" if dist.get_backend() == "nccl" else "cpu"
    answer = torch.tensor(float(here), device=device)
    dist.all_reduce(answer)
    return answer.item() > 0


def value_of_first_process(value: Any) -> Any:
    """Return the value that process 0 passed; it can be pickled. Every process must call this."""
    if num_processes() == 1:
        return value
    values = [value]
    dist.broadcast_object_list(values)
    return values[0]


@overload
def gather_rows(mine: Tensor) -> Tensor: ...
@overload
def gather_rows(mine: Tensor | None) -> Tensor | None: ...
def gather_rows(mine: Tensor | None) -> Tensor | None:
    """Gather rows from all processes, in their original order, into every process.

    Args:
        mine: this process's rows, on the CPU: rows `rank`, `rank + world`, ... of all rows; None if
            this process has no rows.

    Returns:
        All rows; None if no process has any.
    """
    world = num_processes()
    if world == 1:
        return mine
    parts: list[Tensor | None] = [None] * world
    dist.all_gather_object(parts, mine)
    return interleave(parts)


def interleave(parts: Sequence[Tensor | None]) -> Tensor | None:
    """Merge the rows of several processes in turn: row i comes from part i % number of parts.

    >>> interleave([torch.tensor([0, 2]), torch.tensor([1])])
    tensor([0, 1, 2])
    """
    filled = [part for part in parts if part is not None]
    if not filled:
        return None
    whole = filled[0].new_empty(sum(map(len, filled)), *filled[0].shape[1:])
    for rank, part in enumerate(filled):
        whole[rank :: len(filled)] = part
    return whole


def gather_with_gradient(mine: Tensor) -> Tensor:
    """Concatenate the rows of all processes; gradients flow to this process's rows only.

    Args:
        mine: (N, ...) with the same N in every process.

    Returns:
        (world x N, ...) in the same order in every process.
    """
    if (world := num_processes()) == 1:
        return mine
    gathered = [torch.empty_like(mine) for _ in range(world)]
    dist.all_gather(gathered, mine.detach())
    gathered[process_index()] = mine
    return torch.cat(gathered)


@torch.no_grad()
def average_statistics(network: nn.Module) -> None:
    """Replace each floating-point buffer by its mean over all processes.

    Use it for batch-norm statistics that each process computed from its own images.
    """
    if (world := num_processes()) == 1:
        return
    for statistics in network.buffers():
        if statistics.is_floating_point():
            dist.all_reduce(statistics)
            statistics /= world


class Means:
    """Running means of named scalars over steps and processes.

    The sums stay on the device, and only `fetch` waits for the device.

    >>> means = Means()
    >>> means.add({"loss": torch.tensor(1.0)})
    >>> means.add({"loss": torch.tensor(2.0)})
    >>> means.fetch()
    {'loss': 1.5}
    """

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._steps = 0

    def add(self, numbers: Mapping[str, Tensor]) -> None:
        """Add the scalars of one step; every step must have the same names."""
        for name, number in numbers.items():
            self._sums[name] = self._sums.get(name, 0) + number.detach()
        self._steps += 1

    @torch.no_grad()
    def fetch(self) -> dict[str, float]:
        """Return the means since the last call and reset the sums.

        Every process must call this at the same step.
        """
        means = torch.stack(list(self._sums.values())) / (self._steps * num_processes())
        if num_processes() > 1:
            dist.all_reduce(means)
        fetched = dict(zip(self._sums, means.tolist(), strict=True))
        self._sums, self._steps = {}, 0
        return fetched


class _SumOverProcesses(torch.autograd.Function):
    """Sum of a tensor over all processes; its gradient is the sum of their gradients."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:  # noqa: ARG004
        total = x.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # noqa: ARG004  # pyright: ignore[reportIncompatibleMethodOverride]
        total = gradient.clone()
        dist.all_reduce(total)
        return total


class BatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation with the statistics of the whole batch, over all processes.

    A single process runs `nn.BatchNorm2d` itself. `nn.SyncBatchNorm` does not serve: it refuses CPU
    tensors. Every process must hold the same number of images.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Normalise `x` (N, C, H, W) by the mean and the biased variance of each channel."""
        world = num_processes()
        if not self.training or world == 1:
            return super().forward(x)

        with torch.autocast(x.device.type, enabled=False):
            x32 = x.float()
            local_var, local_mean = torch.var_mean(x32, dim=(0, 2, 3), correction=0)
            mean = _SumOverProcesses.apply(local_mean) / world
            # The variance within each process lacks the spread of the processes' means.
            var = _SumOverProcesses.apply(local_var + (local_mean - mean).square()) / world
            scale = self.weight * torch.rsqrt(var + self.eps)
            shift = self.bias - mean * scale
            y = torch.addcmul(shift[:, None, None], x32, scale[:, None, None])

        with torch.no_grad():
            count = world * x.numel() // x.shape[1]
            unbiased_var = var * count / (count - 1)
            for running, batch in ((self.running_mean, mean), (self.running_var, unbiased_var)):
                if running is not None:
                    running.lerp_(batch, self.momentum or 0.0)
            if self.num_batches_tracked is not None:
                self.num_batches_tracked.add_(1)
        return y.to(x.dtype)
