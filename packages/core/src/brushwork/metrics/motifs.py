"""Find motifs that return at one place of many fakes, such as a sun or a sail.

Features of networks hardly change with the place of a motif, and metrics of sets compare whole
pictures. A generator may therefore stamp a motif into half of its pictures, and no metric tells.

N pictures of each kind, H x W pixels of a picture, P places of patches, D numbers of a patch.
"""

from typing import NamedTuple

import torch
from torch import Tensor

SIDE = 64
"""Shorter side of the pictures that are compared, in pixels."""

PATCH, STRIDE = 16, 8
"""Side of a patch, and the distance of two patches, in pixels."""

NEIGHBOURS = 3
"""A motif must return in so many other pictures."""

QUANTILE = 0.99
"""Only this share of real patches are less alike than a patch that counts as repeated."""

MIN_DEVIATION = 8.0
"""Flatter patches, such as skies, are no motifs; in levels of 0 to 255."""


class RepeatedMotif(NamedTuple):
    """The place at which most fakes repeat a motif.

    Attributes:
        share: share of the fakes that repeat a motif at this place.
        share_of_real: the largest such share, at any place, of real pictures: what chance gives.
        top: row of the patch's upper edge, in pixels.
        left: column of its left edge.
        rows: the fakes that repeat a motif there, the most alike first.
    """

    share: float
    share_of_real: float
    top: int
    left: int
    rows: list[int]


def repeated_motif(real: Tensor, fake: Tensor) -> RepeatedMotif:
    """Find the place at which most fakes repeat a motif more than real pictures do.

    A patch is as repeated as it is like its `NEIGHBOURS`-th nearest patch at the same place of
    other pictures (the cosine of their pixels, each without its mean colour). It counts as a
    repeated motif if that is more than in `QUANTILE` of the first half of the real pictures, at
    this place. The other half of the real pictures shows what share is chance.

    Args:
        real: real pictures, uint8 (2 N, 3, H, W); N is more than `NEIGHBOURS`.
        fake: fakes, uint8 (M, 3, H, W); N of them are used if there are more, so that
            both have as many pictures in which a patch can return.
    """
    num = len(real) // 2
    references = repetition(patches(real[:num]))
    limits = references.quantile(QUANTILE, dim=1, keepdim=True)  # (P, 1)
    others = repetition(patches(real[num : 2 * num]))
    values = repetition(patches(fake[:num]))
    repeated = values > limits  # (P, N)
    shares = repeated.float().mean(1)
    place = int(shares.argmax())
    per_row = (fake.shape[-1] - PATCH) // STRIDE + 1
    order = values[place].argsort(descending=True).tolist()
    return RepeatedMotif(
        share=shares[place].item(),
        share_of_real=(others > limits).float().mean(1).max().item(),
        top=place // per_row * STRIDE,
        left=place % per_row * STRIDE,
        rows=[row for row in order if repeated[place, row]],
    )


def patches(images: Tensor) -> Tensor:
    """Cut pictures (N, 3, H, W) into normalised patches (P, N, D); flat ones are 0."""
    cut = images.float().unfold(2, PATCH, STRIDE).unfold(3, PATCH, STRIDE)  # (N, 3, h, w, 16, 16)
    cut = cut.permute(2, 3, 0, 1, 4, 5).flatten(4).flatten(0, 1)  # (P, N, 3, D / 3)
    cut = cut - cut.mean(3, keepdim=True)
    cut = cut * (cut.std((2, 3), keepdim=True) >= MIN_DEVIATION)
    return torch.nn.functional.normalize(cut.flatten(2), dim=2)


def repetition(patches: Tensor) -> Tensor:
    """Compute how much each patch is like others at its place: (P, N, D) to (P, N) in [-1, 1]."""
    similarities = patches @ patches.transpose(1, 2)
    similarities.diagonal(dim1=1, dim2=2).fill_(-1)
    return similarities.topk(NEIGHBOURS, dim=2).values[:, :, -1]
