"""What FID measures as a part of G's loss: the distance of all fakes to all paintings.

A discriminator looks at pictures one by one, and hardly tells that some kinds of painting are never
painted. The Fréchet distance of features does (`brushwork.gan.losses.frechet_loss`), but a batch is too
small for their covariance, so the fakes of the last steps count too; only those of this step pass
a gradient on.

N fakes, M fakes that count, S side of an image, D features.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager

import numpy as np
import torch
from torch import Tensor, nn

from brushwork.data.batches import to_unit_range
from brushwork.errors import BrushworkError
from brushwork.gan.backbone_discriminator import BackboneDiscriminator
from brushwork.gan.losses import frechet_loss
from brushwork.training.distributed import gather_with_gradient, process_index

RECENT = 400
"""Fakes of earlier steps that count beside those of a step."""


MOST_PAINTINGS = 2_000
"""Of more paintings, a sample tells means and covariance."""


BATCH = 16


class Matching(nn.Module):
    """Fakes (N, 3, S, S) in [-1, 1] to the distance, as a loss; it remembers recent features.

    The loss is M / N times the Fréchet distance, N the fakes of this process, so that its gradient,
    averaged over processes, is as large as if only this step's counted; 0 of the first fake alone.
    """

    mean: Tensor
    root: Tensor
    recent: Tensor
    num_recent: Tensor

    def __init__(self, see: Callable[[Tensor], Tensor], features: Tensor):
        """Begin without any fakes.

        Args:
            see: images (N, 3, S, S) in [-1, 1] to features (N, D), differentiable.
            features: what it makes of paintings, (P, D).
        """
        super().__init__()
        self._see = see
        mean = features.mean(0)
        root = (features - mean) / (len(features) - 1) ** 0.5
        # The triangular factor of many paintings has the same Gram matrix, and only D rows.
        if len(root) > root.shape[1]:
            root = torch.linalg.qr(root, mode="r").R
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("root", root, persistent=False)
        self.register_buffer("recent", features.new_zeros(RECENT, features.shape[1]))
        self.register_buffer("num_recent", torch.zeros((), dtype=torch.long))

    def forward(self, fakes: Tensor) -> Tensor:
        """(N, 3, S, S) in [-1, 1] -> a number; every process brings equally many fakes."""
        now = gather_with_gradient(self._see(fakes))
        features = torch.cat([now, self.recent[: int(self.num_recent)]])
        loss = features.new_zeros(())
        if len(features) > 1:  # one alone has no covariance
            loss = frechet_loss(features, self.mean, self.root) * (len(features) / len(fakes))
        kept = features.detach()[:RECENT]
        self.recent[: len(kept)] = kept
        self.num_recent.fill_(len(kept))
        return loss


def match_paintings(
    D: nn.Module,
    pixels: np.ndarray,
    rows: np.ndarray,
    autocast: Callable[..., AbstractContextManager[object]],
    device: torch.device,
) -> Matching:
    """Look at the paintings that fakes shall match, with the backbone of a discriminator.

    Args:
        D: of `brushwork.gan.backbone_discriminator`.
        pixels: (P, S, S, 3) uint8.
        rows: which of them; a sample of `MOST_PAINTINGS`, if there are more.
        autocast: the precision in which to look.
        device: where `D` is.

    Raises:
        BrushworkError: D has no backbone, or there is a single painting.
    """
    if not isinstance(D, BackboneDiscriminator):
        raise BrushworkError("--match compares what a backbone sees; give a --backbone, too")
    if len(rows) < 2:
        raise BrushworkError("a single painting has no covariance to --match; choose more")
    if len(rows) > MOST_PAINTINGS:
        rows = np.sort(np.random.default_rng(0).choice(rows, MOST_PAINTINGS, replace=False))

    def see(images: Tensor) -> Tensor:
        with autocast():
            return D.hidden(images).float()

    from tqdm import tqdm

    firsts = tqdm(range(0, len(rows), BATCH), "to match", unit="batch", disable=process_index() > 0)
    parts = []
    with torch.no_grad():
        for first in firsts:
            some = torch.from_numpy(pixels[rows[first : first + BATCH]]).permute(0, 3, 1, 2)
            parts.append(see(to_unit_range(some.to(device))))
    return Matching(see, torch.cat(parts)).to(device)
