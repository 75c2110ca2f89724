"""What several processes must agree on: batch statistics and gradients.

The models are not wrapped in `DistributedDataParallel`: a GAN calls its discriminator several
times per step, with and without its weights frozen, which that wrapper does not allow. As in
StyleGAN and EDM, the gradients are averaged in one flat all-reduce before each optimiser step.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import overload

import torch
import torch.distributed as dist
from torch import Tensor, nn

from brushwork.errors import BrushworkError


def num_processes() -> int:
    """How many processes train together (1 when there is no process group)."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def process_index() -> int:
    """Which of these processes this is, from 0 (the one that writes)."""
    return dist.get_rank() if num_processes() > 1 else 0


def check_launch() -> None:
    """Refuse to train alone when several processes were asked for.

    `accelerate launch --num_processes 2` on a machine without GPUs starts one process and says
    nothing; it leaves the address of a group that never forms.

    Raises:
        BrushworkError: with the command that does start several.
    """
    if "MASTER_ADDR" in os.environ and "RANK" not in os.environ:
        raise BrushworkError(
            "accelerate started a single process though several were asked for; on CPUs use\n"
            "  ACCELERATE_USE_CPU=true accelerate launch --multi_gpu --num_processes 2 ..."
        )


@torch.no_grad()
def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replace each gradient by its mean over all processes; nothing to do in a single one."""
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
    """Whether something is so in any of the processes; all must ask at the same step."""
    if num_processes() == 1:
        return here
    device = "cuda" if dist.get_backend() == "nccl" else "cpu"
    answer = torch.tensor(float(here), device=device)
    dist.all_reduce(answer)
    return answer.item() > 0


@overload
def gather_rows(mine: Tensor) -> Tensor: ...
@overload
def gather_rows(mine: Tensor | None) -> Tensor | None: ...
def gather_rows(mine):
    """Rows that were dealt out to the processes in turn, all of them in order in every process.

    Args:
        mine: rows `rank`, `rank + world`, ... of the whole, on the CPU; None for none of them.

    Returns:
        The whole; None where nobody has any.
    """
    world = num_processes()
    if world == 1:
        return mine
    parts: list[Tensor | None] = [None] * world
    dist.all_gather_object(parts, mine)
    return interleave(parts)


def interleave(parts: Sequence[Tensor | None]) -> Tensor | None:
    """Rows dealt out to processes in turn, in one matrix again.

    >>> interleave([torch.tensor([0, 2]), torch.tensor([1])])
    tensor([0, 1, 2])
    """
    dealt = [part for part in parts if part is not None]
    if not dealt:
        return None
    whole = dealt[0].new_empty(sum(map(len, dealt)), *dealt[0].shape[1:])
    for rank, part in enumerate(dealt):
        whole[rank :: len(dealt)] = part
    return whole


def gather_with_gradient(mine: Tensor) -> Tensor:
    """Rows of all processes, in the same order in each; gradients reach this one's alone.

    Every process must bring equally many.
    """
    if (world := num_processes()) == 1:
        return mine
    theirs = [torch.empty_like(mine) for _ in range(world)]
    dist.all_gather(theirs, mine.detach())
    theirs[process_index()] = mine
    return torch.cat(theirs)


@torch.no_grad()
def average_statistics(network: nn.Module) -> None:
    """Replace batch-norm statistics, of which each process kept its own, by their mean."""
    if (world := num_processes()) == 1:
        return
    for statistics in network.buffers():
        if statistics.is_floating_point():
            dist.all_reduce(statistics)
            statistics /= world


class Means:
    """Means of numbers over the steps since they were last fetched, and over all processes.

    The sums stay on the device: only `fetch` waits for it.

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
        """One step's numbers, scalars; the same names at every step."""
        for name, number in numbers.items():
            self._sums[name] = self._sums.get(name, 0) + number.detach()
        self._steps += 1

    @torch.no_grad()
    def fetch(self) -> dict[str, float]:
        """The means, which then begin anew; every process must call it at the same step."""
        means = torch.stack(list(self._sums.values())) / (self._steps * num_processes())
        if num_processes() > 1:
            dist.all_reduce(means)
        fetched = dict(zip(self._sums, means.tolist(), strict=True))
        self._sums, self._steps = {}, 0
        return fetched


class _SumOverProcesses(torch.autograd.Function):
    """The sum of a tensor over all processes; its gradient is the sum of the gradients."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:  # noqa: ARG004
        total = x.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:  # noqa: ARG004  # pyright: ignore[reportIncompatibleMethodOverride]
        total = gradient.clone()
        dist.all_reduce(total)
        return total


class BatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation whose statistics are those of the whole batch, over all processes.

    One process runs `nn.BatchNorm2d` itself. `nn.SyncBatchNorm` would do the same on GPUs, but
    refuses CPU tensors. Every process must hold equally many images.
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
            # Variances around each process's own mean miss how far those means lie apart.
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
