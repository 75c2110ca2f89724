"""Scores of fakes from a classifier's probabilities: inception score, mode score, predicted labels.

N real and M fake images, K classes; every row holds the probabilities of one image and sums to 1.
Computed in float64; 0 log 0 is 0.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from brushwork.errors import BrushworkError
from brushwork.metrics.distances import as_matrix, feature_pair


class Spread(NamedTuple):
    """Mean and standard deviation over splits."""

    mean: float
    std: float


class Predicted(NamedTuple):
    """What a classifier sees in a set of images: see `predicted_labels`."""

    shares: dict[str, float]
    entropy: float
    confidence: float
    agreement: float | None


def inception_score(probabilities: Tensor | ArrayLike, *, splits: int = 1) -> Spread:
    """IS = exp E KL(p(y|x) ‖ p(y)): high where predictions are sharp and varied.

    Salimans et al. 2016, section 4. From 1, where all images look alike to the classifier, to K.
    `splits` contiguous parts are scored apart (published numbers: 10 of 5,000 images); a part of
    few images scores too low, for its own p(y) follows them.

    >>> round(inception_score(torch.eye(4)).mean, 9)
    4.0
    """
    p = _probabilities(probabilities, "fake probabilities")
    if not 1 <= splits <= len(p):
        raise BrushworkError(f"cannot split {len(p)} images into {splits} parts")
    bounds = [i * len(p) // splits for i in range(splits + 1)]
    scores = torch.stack(
        [
            _relative_entropy(part, part.mean(0)).mean().exp()
            for part in (p[a:b] for a, b in pairwise(bounds))
        ]
    )
    return Spread(scores.mean().item(), scores.std(correction=0).item())


def mode_score(real: Tensor | ArrayLike, fake: Tensor | ArrayLike) -> float:
    """exp(E KL(p(y|x) ‖ p_g) - KL(p_g ‖ p_r)): an inception score that missing classes lower.

    After Che et al. 2017, who compare both terms with the training marginal p_r. That is the
    inception score again, for E KL(p(y|x) ‖ q) - KL(p_g ‖ q) = E KL(p(y|x) ‖ p_g) whatever q. This
    form (Xu et al. 2018, section 2, with its slip mended) equals the inception score where the
    fakes' marginal p_g is the reals' p_r, and is less where it is not.

    Fakes sure of one of two classes, reals of both alike: exp(0 - log 2) = ½.

    >>> round(mode_score(torch.eye(2), torch.tensor([[1.0, 0.0]])), 9)
    0.5
    """
    p = _probabilities(real, "real probabilities")
    q = _probabilities(fake, "fake probabilities").to(p.device)
    if p.shape[1] != q.shape[1]:
        raise BrushworkError(
            f"real images have {p.shape[1]} probabilities and fake images {q.shape[1]}; "
            "take both from one classifier"
        )
    marginal = q.mean(0)
    sharpness = _relative_entropy(q, marginal).mean()
    return (sharpness - _relative_entropy(marginal, p.mean(0))).exp().item()


def predicted_labels(
    probabilities: Tensor | ArrayLike, names: Sequence[str], expected: Sequence[str] = ()
) -> Predicted:
    """Whom the classifier takes for the painter of the images.

    `shares`: of the images, by likeliest label, largest first, without labels seen in none;
    `entropy`: of these shares in nats, from 0 for one label to log K;
    `confidence`: mean largest probability, to compare with that on real held-out paintings;
    `agreement`: share of images given one of the `expected` labels, None where none are named.

    >>> p = torch.tensor([[0.75, 0.25], [0.75, 0.25], [1.0, 0.0], [0.0, 1.0]])
    >>> seen = predicted_labels(p, ["Monet", "Degas"], expected=["Monet"])
    >>> seen.shares, round(seen.entropy, 4), seen.confidence, seen.agreement
    ({'Monet': 0.75, 'Degas': 0.25}, 0.5623, 0.875, 0.75)
    """
    p = _probabilities(probabilities, "probabilities")
    if len(names) != p.shape[1]:
        raise BrushworkError(
            f"{p.shape[1]} probabilities an image, but {len(names)} names of labels"
        )
    unknown = sorted(set(expected) - set(names))
    if unknown:
        raise BrushworkError(
            f"the classifier knows no {unknown[0]!r}; it knows {len(names)} labels"
        )
    best, label = p.max(1)
    counts = torch.bincount(label, minlength=len(names)).tolist()
    order = sorted(range(len(names)), key=lambda i: -counts[i])
    shares = {names[i]: counts[i] / len(p) for i in order if counts[i]}
    return Predicted(
        shares=shares,
        entropy=-sum(s * math.log(s) for s in shares.values()) + 0.0,
        confidence=best.mean().item(),
        agreement=sum(shares.get(name, 0.0) for name in set(expected)) if expected else None,
    )


def intended_labels(
    probabilities: Tensor | ArrayLike, names: Sequence[str], intended: Sequence[str]
) -> tuple[float, float]:
    """Share of images given the label that each was painted for, and what chance would give.

    Chance is the mean share if the same answers were dealt out to the images at random.

    >>> p = torch.tensor([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.6, 0.4]])
    >>> intended_labels(p, ["landscape", "portrait"], ["landscape"] * 2 + ["portrait"] * 2)
    (0.75, 0.5)
    """
    given = [names[i] for i in _probabilities(probabilities, "probabilities").argmax(1).tolist()]
    hits = sum(a == b for a, b in zip(given, intended, strict=True))
    by_chance = sum(given.count(name) * list(intended).count(name) for name in names)
    return hits / len(given), by_chance / len(given) ** 2


def classification_accuracy_score(
    fake: Tensor | ArrayLike,
    fake_labels: Sequence[str],
    real: Tensor | ArrayLike,
    real_labels: Sequence[str],
    *,
    ridge: float = 1.0,
) -> float:
    """Accuracy on real images of a classifier trained on fakes alone (Ravuri & Vinyals 2019).

    For fakes with labels: of a conditional GAN, or of several, each trained on one artist. The
    classifier is least squares on standardised features, in closed form, with a `ridge` penalty.
    Compare with the same on as many real images: fakes that miss what tells artists apart,
    or most of an artist's variety, do worse.

    Args:
        fake: features (M, D).
        fake_labels: of each.
        real: features (N, D) of the same space.
        real_labels: of each; a label that no fake has can't be predicted, and counts as wrong.
        ridge: how strongly to shrink.

    >>> x = [[0.0], [1.0], [9.0], [10.0]]
    >>> classification_accuracy_score(x, list("aabb"), [[2.0], [8.0], [7.0]], list("aba"))
    0.6666666666666666
    """
    y, x = feature_pair(real, fake)
    if len(fake_labels) != len(x) or len(real_labels) != len(y):
        raise BrushworkError(
            f"{len(fake_labels)} and {len(real_labels)} labels "
            f"for {len(x)} fakes and {len(y)} real images"
        )
    names = sorted(set(fake_labels))
    index = torch.tensor([names.index(label) for label in fake_labels], device=x.device)
    target = torch.nn.functional.one_hot(index, len(names)).to(x)
    mean, std = x.mean(0), x.std(0, correction=0).clamp(min=1e-12)
    z = (x - mean) / std
    penalty = ridge * torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
    weights = torch.linalg.solve(z.T @ z + penalty, z.T @ (target - target.mean(0)))
    best = ((y - mean) / std @ weights + target.mean(0)).argmax(1).tolist()
    return sum(names[i] == label for i, label in zip(best, real_labels, strict=True)) / len(y)


def _relative_entropy(p: Tensor, q: Tensor) -> Tensor:
    """KL(p ‖ q) over the last axis: (..., K) and (K,) to (...)."""
    return (torch.xlogy(p, p) - torch.xlogy(p, q)).sum(-1)


def _probabilities(x: Tensor | ArrayLike, name: str) -> Tensor:
    p = as_matrix(x, name)
    off = (p.sum(1) - 1).abs().max().item()
    if p.min().item() < 0 or off > 1e-2:  # a softmax in half precision is off by 1e-3
        raise BrushworkError(
            f"{name} must be at least 0 and sum to 1 in each row (off by {off:.2g}); "
            "apply a softmax"
        )
    return p
