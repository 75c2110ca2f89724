"""Views of paintings: random crops for training, whole paintings for evaluation.

Each training view is a pure function of the seed and of its position in training. So a resumed run,
several processes and several loading workers all produce the same views.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from brushwork.data.batches import (
    DEGRADATIONS,
    MIXES,
    VIEWS,
    batch_positions,
    random_numbers,
)
from brushwork.data.degradation import degrade
from brushwork.machine import num_cores

AugmentName = Literal["none", "trivial", "rand"]
Mix = Literal["none", "mixup", "cutmix"]

SIDE_STAGES = 4
"""Number of sides that the training views have, one after another."""


@dataclass(frozen=True)
class Views:
    """Settings of the training views.

    Attributes:
        min_area: the smallest share of a painting's area in a random crop. Small crops are
            enlarged, which destroys brushwork.
        degrade: share of the paintings that are shown as another collection would show them; see
            `brushwork.data.degradation`.
        augment: "trivial" for one random operation (Müller & Hutter 2021), "rand" for two
            (Cubuk et al. 2020).
        mix: "mixup" blends two paintings (Zhang et al. 2018); "cutmix" pastes a piece of one into
            the other (Yun et al. 2019). The targets are mixed too.
        label_smoothing: share of the target that is spread evenly over all artists.
    """

    min_area: float = 0.5
    degrade: float = 0.0
    augment: AugmentName = "none"
    mix: Mix = "none"
    label_smoothing: float = 0.0


class TrainingViews(Dataset):
    """The batches of training by step: views (N, 3, S, S) uint8 and targets (N, K) that sum to 1.

    Args:
        pixels: (M, P, P, 3) uint8, usually memory-mapped.
        rows: indices (R,) in `pixels` of the paintings to train on.
        labels: (R,) the artist of each of these rows.
        num_artists: K.
        batch_size: paintings in the global batch.
        side: function from a step to S.
        views: settings of the views.
        seed: together with the step, it decides everything random.
        share: the part of every batch that this process trains on.
    """

    def __init__(
        self,
        pixels: NDArray[np.uint8],
        rows: NDArray[np.int64],
        labels: NDArray[np.int64],
        num_artists: int,
        batch_size: int,
        side: Callable[[int], int],
        views: Views,
        seed: int,
        share: slice = slice(None),
    ) -> None:
        from torchvision.transforms import v2  # takes seconds to import; only training needs it

        self.pixels, self.rows, self.labels = pixels, rows, labels
        self.num_artists, self.batch_size, self.side = num_artists, batch_size, side
        self.views, self.seed, self.share = views, seed, share
        self._augment = {
            "none": v2.Identity(),
            "trivial": v2.TrivialAugmentWide(interpolation=v2.InterpolationMode.BILINEAR),
            "rand": v2.RandAugment(interpolation=v2.InterpolationMode.BILINEAR),
        }[views.augment]
        self._mix = {
            "none": None,
            "mixup": v2.MixUp(alpha=0.2, num_classes=num_artists),
            "cutmix": v2.CutMix(alpha=1.0, num_classes=num_artists),
        }[views.mix]

    def __getitem__(self, step: int) -> tuple[Tensor, Tensor]:
        """Make this process's share of the batch of a step."""
        from torchvision.transforms import v2

        places = np.arange(self.batch_size)[self.share]
        positions = batch_positions(step, self.batch_size, len(self.rows), self.seed)[self.share]
        crop = v2.RandomResizedCrop(self.side(step), (self.views.min_area, 1.0), antialias=True)
        with torch.random.fork_rng(devices=[]):
            images = []
            for place, position in zip(places, positions, strict=True):
                index = step * self.batch_size + int(place)
                _seed(self.seed, VIEWS, index)
                painting = self._painting(int(self.rows[position]), index)
                image = self._augment(crop(torch.from_numpy(painting).permute(2, 0, 1)))
                images.append(image.flip(2) if torch.rand(()) < 0.5 else image)
            batch = torch.stack(images)
            labels = torch.from_numpy(self.labels[positions])
            targets = torch.nn.functional.one_hot(labels, self.num_artists).float()
            if self._mix is not None:
                _seed(self.seed, MIXES, step)
                mixed, targets = self._mix(batch.float(), labels)
                batch = mixed.round_().clamp_(0, 255).to(torch.uint8)
        smooth = self.views.label_smoothing
        return batch, targets * (1 - smooth) + smooth / self.num_artists

    def _painting(self, row: int, index: int) -> NDArray[np.uint8]:
        """Copy a painting, and degrade it or not: (P, P, 3)."""
        rng = random_numbers(self.seed, DEGRADATIONS, index)
        painting = self.pixels[row].copy()
        return degrade(painting, rng) if rng.random() < self.views.degrade else painting


def read_ahead(views: TrainingViews, steps: range, device: torch.device) -> Iterable[Any]:
    """Load the batches of some steps.

    For a GPU, worker processes load them ahead. On CPUs all cores are busy with training, so this
    process loads them itself.
    """
    on_cpu = device.type == "cpu"
    workers = 0 if on_cpu else min(8, num_cores())
    return DataLoader(views, None, sampler=steps, num_workers=workers, pin_memory=not on_cpu)


def side_schedule(
    first: int, last: int, num_steps: int, stages: int = SIDE_STAGES, multiple: int = 32
) -> Callable[[int], int]:
    """Let the side of the views grow in equal stages (Tan & Le 2021, section 4.2).

    Args:
        first: side in the first stage, in pixels.
        last: side in the last stage, at least `first`.
        num_steps: steps of the whole training.
        stages: number of stages, at least 2.
        multiple: sides between the first and the last are multiples of this.

    Returns:
        A function from a step to the side.

    >>> side = side_schedule(128, 224, num_steps=8)
    >>> [side(step) for step in range(8)]
    [128, 128, 160, 160, 192, 192, 224, 224]
    """

    def side(step: int) -> int:
        stage = min(step * stages // max(num_steps, 1), stages - 1)
        if stage in (0, stages - 1):
            return last if stage else first
        exact = first + (last - first) * stage / (stages - 1)
        return min(max(round(exact / multiple) * multiple, first), last)

    return side


def whole_views(images: Tensor, num_views: Literal[1, 2, 10]) -> list[Tensor]:
    """Make the views that an evaluation averages over.

    Args:
        images: (N, 3, S, S).
        num_views: 1 for the whole paintings; 2 for these and their mirror images; 10 for the four
            corners and the middle (7/8 of the side) and their mirror images.

    Returns:
        `num_views` batches of N images each.

    >>> [tuple(view.shape) for view in whole_views(torch.zeros(1, 3, 8, 8), 10)][-1]
    (1, 3, 7, 7)
    """
    if num_views == 1:
        return [images]
    if num_views == 2:
        return [images, images.flip(3)]
    side = images.shape[-1]
    part = round(side * 0.875)
    top, middle = side - part, (side - part) // 2
    corners: Sequence[tuple[int, int]] = [(0, 0), (0, top), (top, 0), (top, top), (middle, middle)]
    crops = [images[..., y : y + part, x : x + part] for y, x in corners]
    return [view for crop in crops for view in (crop, crop.flip(3))]


def _seed(seed: int, stream: int, index: int) -> None:
    torch.manual_seed(int(random_numbers(seed, stream, index).integers(2**63)))
