"""Make the batches of a GAN's training, with all random numbers of their steps.

Everything is a function of the seed and the step, as in `brushwork.data.batches`. The random
numbers of many steps go to the device together, and the paintings stay there if they fit.

N images of a micro-batch, B images of a batch, K steps of a block, Z latent dimensions.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from brushwork.data.batches import (
    FLIPS,
    batch_positions,
    latents,
    random_numbers,
    to_unit_range,
)
from brushwork.gan.augment import augmentation_numbers

BLOCK = 32
"""K, steps whose random numbers are drawn and copied together."""


MAX_SHARE_OF_MEMORY = 0.25
"""Share of a GPU's free memory that the paintings may take."""


class MicroBatch(NamedTuple):
    """A part of a batch on the device.

    Attributes:
        real: selected paintings (N, 3, H, W) in [-1, 1].
        z: latents (N, Z).
        y: class labels (N,); painting i and fake i have the same label.
        u: uniform numbers for the augmentation, (N, passes, numbers per image); see
            `brushwork.gan.augment.augmentation_numbers`. The passes are those of the real images,
            of the fakes and of the unselected paintings.
        others: unselected paintings (N, 3, H, W) in [-1, 1] as extra negatives, or None.
    """

    real: Tensor
    z: Tensor
    y: Tensor
    u: Tensor
    others: Tensor | None = None


class Draws(NamedTuple):
    """The random numbers of one step, or of K steps with K in front of each shape.

    Attributes:
        places: places of the paintings in the training set, (B,).
        flips: whether to mirror each painting, (B,).
        z: latents (B, Z).
        u: (B, passes, numbers per image).
        others: places of the unselected paintings, (B,), or (0,) if none are used.
    """

    places: Tensor
    flips: Tensor
    z: Tensor
    u: Tensor
    others: Tensor


def gan_batches(
    pixels: NDArray[np.uint8],
    rows: NDArray[np.int64],
    batch_size: int,
    latent_dim: int,
    seed: int,
    flip: bool,
    device: torch.device,
    num_micro_batches: int = 1,
    share: slice = slice(None),
    first_step: int = 0,
    labels: NDArray[np.int64] | None = None,
    others: NDArray[np.int64] | None = None,
) -> Iterator[list[MicroBatch]]:
    """Yield endless batches for a GAN, each split into micro-batches on the device.

    Paintings that do not fit into the device's memory are read by a thread, one step ahead.

    Args:
        pixels: (M, H, W, 3) uint8, usually memory-mapped.
        rows: (R,) the rows of `pixels` to train on.
        batch_size: the global batch B.
        latent_dim: Z.
        seed: with the step, decides order, flips, latents and distortions.
        flip: mirror each painting left to right with probability one half.
        device: the device of the networks.
        num_micro_batches: at least 1.
        share: the slice of every batch that this process trains on; see
            `brushwork.data.batches.share_of`.
        first_step: the step of the first batch.
        labels: (R,) the class of each of `rows`; all 0 if not given.
        others: more rows of `pixels`; every batch then also has paintings of these.

    Yields:
        Micro-batches that together are the batch. A latent is used with the label of the painting
        at the same position, so fakes have each class as often as reals have.
    """
    stored = rows if others is None else np.concatenate([rows, others])
    resident = fits(device, num_bytes=len(stored) * pixels[0].nbytes)
    on_device = torch.from_numpy(pixels[stored]).to(device) if resident else None
    classes = torch.from_numpy(np.zeros(len(rows), np.int64) if labels is None else labels)
    classes = classes.to(device)

    def draw(step: int) -> Draws:
        flipped = random_numbers(seed, FLIPS, step).random(batch_size) < 0.5
        theirs = np.zeros(0, np.int64)
        if others is not None:
            theirs = len(rows) + batch_positions(step, batch_size, len(others), seed)
        draws = Draws(
            places=torch.from_numpy(batch_positions(step, batch_size, len(rows), seed)),
            flips=torch.from_numpy(flipped & flip),
            z=latents(step, batch_size, latent_dim, seed),
            u=augmentation_numbers(step, batch_size=batch_size, seed=seed),
            others=torch.from_numpy(theirs),
        )
        return Draws(*(column[share] for column in draws))

    def draw_block(first: int) -> list[Draws]:
        return [draw(step) for step in range(first, first + BLOCK)]

    def read(draws: Draws) -> list[Tensor]:
        """Read the paintings of a step, and the others if there are any."""
        images = []
        for places in (draws.places, draws.others):
            if len(places) > 0:
                if on_device is None:
                    chosen = torch.from_numpy(pixels[stored[places.numpy()]])
                else:
                    chosen = on_device[places]
                mirrored = torch.where(draws.flips[:, None, None, None], chosen.flip(2), chosen)
                images.append(mirrored.permute(0, 3, 1, 2))
        return images

    with ThreadPoolExecutor(1, thread_name_prefix="gan-batches") as reader:
        step, next_block = first_step, reader.submit(draw_block, first_step)
        while True:
            block, step = next_block.result(), step + BLOCK
            next_block = reader.submit(draw_block, step)
            next_images = reader.submit(read, block[0]) if on_device is None else None
            for i, draws in enumerate(copy_block(block, device)):
                if next_images is None:
                    images = read(draws)
                else:
                    images = [to_device(image, device) for image in next_images.result()]
                    if i + 1 < BLOCK:
                        next_images = reader.submit(read, block[i + 1])
                yield split(images, draws, classes[draws.places], num_micro_batches)


def fits(device: torch.device, num_bytes: int) -> bool:
    """Return whether paintings of this size should stay in the memory of a GPU."""
    if device.type != "cuda":
        return False
    free, _ = torch.cuda.mem_get_info(device)
    return num_bytes <= MAX_SHARE_OF_MEMORY * free


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """Copy a tensor from the CPU; on a GPU, without waiting for the copy."""
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor


def copy_block(block: list[Draws], device: torch.device) -> list[Draws]:
    """Copy the random numbers of K steps to the device together."""
    columns = [to_device(torch.stack(column), device) for column in zip(*block, strict=True)]
    return [Draws(*step) for step in zip(*columns, strict=True)]


def split(
    images: list[Tensor], draws: Draws, y: Tensor, num_micro_batches: int
) -> list[MicroBatch]:
    """Split a batch into micro-batches.

    Args:
        images: paintings (B, 3, H, W) uint8 and, optionally, as many unselected ones.
        draws: the random numbers of the step.
        y: class labels (B,).
        num_micro_batches: at least 1.
    """
    columns = (column.chunk(num_micro_batches) for column in (draws.z, y, draws.u, *images))
    return [
        MicroBatch(to_unit_range(real), z, y, u, *map(to_unit_range, others))
        for z, y, u, real, *others in zip(*columns, strict=True)
    ]
