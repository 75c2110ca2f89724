"""A term of the generator's loss: the Fréchet distance of many fakes to the paintings.

The discriminator classifies single images, so it hardly notices that some kinds of paintings are
never generated. The Fréchet distance of features does (`brushwork.gan.losses.frechet_loss`), but
one batch is too small to estimate their covariance. The features of the fakes of earlier steps are
therefore kept and counted too, without gradients.

N fakes of a step in this process, M fakes that are counted, P paintings, D features.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from brushwork.data.batches import to_unit_range
from brushwork.errors import BrushworkError
from brushwork.gan.backbone_discriminator import BackboneDiscriminator
from brushwork.gan.losses import frechet_loss
from brushwork.training.distributed import gather_with_gradient, process_index

NUM_RECENT = 400
"""Fakes of earlier steps that are counted."""


MAX_PAINTINGS = 2_000
"""Larger selections are sampled: this many paintings are enough for the mean and covariance."""


BATCH_SIZE = 16


class Matching(nn.Module):
    """Loss (a scalar) of fakes (N, 3, H, W) in [-1, 1]: their Fréchet distance to the paintings.

    The loss is M / N times the Fréchet distance. With this factor its gradient, averaged over
    processes, does not shrink with the number of earlier fakes. While M is 1 there is no covariance
    and the loss is 0.

    Every tensor has the same shape at every step, and no value is read by the host, so that a step
    can be a CUDA graph. It is a module so that `recent` and `num_seen` are saved in the state of a
    run.

    Attributes:
        mean: mean of the features of the paintings, (D,).
        root: R, (K, D), with RᵀR the covariance of the features of the paintings.
        recent: features of the last fakes, (`NUM_RECENT`, D). The newest replace the oldest: those
            of fake i of the training are in row i % `NUM_RECENT`.
        num_seen: number of fakes in the training so far, a scalar.
    """

    mean: Tensor
    root: Tensor
    recent: Tensor
    num_seen: Tensor

    def __init__(self, extract: Callable[[Tensor], Tensor], features: Tensor) -> None:
        """Compute the mean and covariance of the paintings' features.

        Args:
            extract: maps images (N, 3, H, W) in [-1, 1] to features (N, D), differentiable.
            features: features of the paintings, from `extract`, (P, D); P is at least 2.
        """
        super().__init__()
        self._extract = extract
        mean = features.mean(0)
        root = (features - mean) / (len(features) - 1) ** 0.5
        # The triangular factor has the same Gram matrix, and only D rows.
        if len(root) > root.shape[1]:
            root = torch.linalg.qr(root, mode="r").R
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("root", root, persistent=False)
        self.register_buffer("recent", features.new_zeros(NUM_RECENT, features.shape[1]))
        self.register_buffer("num_seen", torch.zeros((), dtype=torch.long))

    def forward(self, fakes: Tensor) -> Tensor:
        """Compute the loss and keep the features of these fakes.

        Args:
            fakes: (N, 3, H, W) in [-1, 1]; every process must pass the same number.

        Returns:
            A scalar; gradients reach `fakes` only.
        """
        new = gather_with_gradient(self._extract(fakes))
        rows = torch.arange(NUM_RECENT, device=new.device)
        filled = rows < self.num_seen
        counted = torch.cat([filled.new_ones(len(new)), filled]).to(new.dtype)
        # The loss needs more precision than the networks.
        with torch.autocast(new.device.type, enabled=False):
            features = torch.cat([new, self.recent])
            distance = frechet_loss(features, self.mean, self.root, counted)
            loss = distance * (counted.sum() / len(fakes))
        kept = new.detach()[-NUM_RECENT:]
        places = (self.num_seen + len(new) - len(kept) + rows[: len(kept)]) % NUM_RECENT
        self.recent.index_copy_(0, places, kept)
        self.num_seen += len(new)
        return loss


def match_paintings(
    D: nn.Module,
    pixels: np.ndarray,
    rows: np.ndarray,
    autocast: Callable[..., AbstractContextManager[object]],
    device: torch.device,
) -> Matching:
    """Build the matching loss from the paintings' features in a discriminator's backbone.

    Args:
        D: a `BackboneDiscriminator`.
        pixels: paintings (P, H, W, 3) uint8.
        rows: indices of the paintings to match; if there are more than `MAX_PAINTINGS`, a fixed
            sample of that size is taken.
        autocast: makes the context that sets the precision of the backbone.
        device: the device of `D`.

    Raises:
        BrushworkError: `D` has no backbone, or `rows` has fewer than 2 paintings.
    """
    if not isinstance(D, BackboneDiscriminator):
        raise BrushworkError("`match` compares features of a backbone; set `backbone` as well")
    if len(rows) < 2:
        raise BrushworkError(
            f"`match` needs at least 2 paintings, but only {len(rows)} is selected; select more"
        )
    if len(rows) > MAX_PAINTINGS:
        rows = np.sort(np.random.default_rng(0).choice(rows, MAX_PAINTINGS, replace=False))

    def extract(images: Tensor) -> Tensor:
        with autocast():
            return D.pooled_features(images).float()

    features = []
    with torch.no_grad():
        for start in tqdm(
            range(0, len(rows), BATCH_SIZE),
            desc="features to match",
            unit="batch",
            disable=True if process_index() > 0 else None,  # None: shown on a terminal only
        ):
            batch = torch.from_numpy(pixels[rows[start : start + BATCH_SIZE]]).permute(0, 3, 1, 2)
            features.append(extract(to_unit_range(batch.to(device))))
    return Matching(extract, torch.cat(features)).to(device)
