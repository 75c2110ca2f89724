"""Make training batches: paintings, latents and random numbers as functions of seed and step.

No random state passes from one step to the next. So a resumed run gets the same batches as a run
that was never stopped. Several processes together get the same batches as a single process: each
takes its slice of the global batch.
"""

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from brushwork.errors import BrushworkError

# One independent stream of random numbers for each purpose.
ORDER, FLIPS, LATENTS, AUGMENTATION, VIEWS, MIXES, DEGRADATIONS = range(7)


def random_numbers(seed: int, stream: int, index: int) -> np.random.Generator:
    """Make the random number generator of one stream at one step (or epoch).

    Args:
        seed: the run's seed, at least 0.
        stream: one of `ORDER`, `FLIPS`, `LATENTS`, `AUGMENTATION`, `VIEWS`, `MIXES` and
            `DEGRADATIONS`.
        index: the step or the epoch, at least 0.
    """
    return np.random.default_rng((seed, stream, index))


@lru_cache(maxsize=4)
def _order(seed: int, epoch: int, num_paintings: int) -> NDArray[np.int64]:
    """Shuffle the positions of the paintings for one epoch."""
    return random_numbers(seed, ORDER, epoch).permutation(num_paintings)


def batch_positions(step: int, batch_size: int, num_paintings: int, seed: int) -> NDArray[np.int64]:
    """Choose the paintings of a step; each comes once per epoch, in a new order every epoch.

    One batch may end an epoch and begin the next. So no painting is left out, and a batch may be
    larger than the training set.

    Args:
        step: from 0.
        batch_size: the global batch B.
        num_paintings: M, at least 1.
        seed: with the epoch, decides the order.

    Returns:
        Positions (B,) in 0 to M - 1.

    >>> first, second = (batch_positions(step, 3, 6, seed=0) for step in (0, 1))
    >>> sorted(np.concatenate([first, second]).tolist())
    [0, 1, 2, 3, 4, 5]
    """
    stream = np.arange(step * batch_size, (step + 1) * batch_size)
    epochs = stream // num_paintings
    return np.concatenate(
        [
            _order(seed, int(epoch), num_paintings)[stream[epochs == epoch] % num_paintings]
            for epoch in np.unique(epochs)
        ]
    )


def latents(step: int, batch_size: int, latent_dim: int, seed: int) -> Tensor:
    """Draw the standard normal latents (B, Z) of a step: float32, on the CPU."""
    rng = random_numbers(seed, LATENTS, step)
    return torch.from_numpy(rng.standard_normal((batch_size, latent_dim), dtype=np.float32))


def share_of(batch_size: int, process: int, world: int) -> slice:
    """Find the slice of a global batch that one process trains on.

    Args:
        batch_size: the global batch B.
        process: the number of this process, from 0.
        world: number of processes that share the batch.

    Raises:
        BrushworkError: the slices would differ in size or have fewer than the 2 paintings that
            batch normalisation needs.

    >>> share_of(64, process=1, world=2)
    slice(32, 64, None)
    """
    size, left_over = divmod(batch_size, world)
    if left_over or size < 2:
        raise BrushworkError(
            f"`batch_size` is {batch_size}; it must be a multiple of the {world} processes and "
            f"give each at least 2 paintings"
        )
    return slice(process * size, (process + 1) * size)


def to_unit_range(images: Tensor) -> Tensor:
    """Convert uint8 images of any shape to float32 in [-1, 1]."""
    return images.float().div_(127.5).sub_(1.0)


def to_uint8(images: Tensor) -> Tensor:
    """Convert images in [-1, 1] of any shape to uint8, rounded: the inverse of `to_unit_range`."""
    return images.float().add(1.0).mul_(127.5).round_().clamp_(0, 255).to(torch.uint8)
