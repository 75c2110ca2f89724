"""Scores of fakes from a classifier: inception score, mode score, labels, class accuracy.

N real and M fake images, K classes. Each row of `probabilities` belongs to one image and sums to 1.
All functions compute in float64, with 0 log 0 = 0.
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
from brushwork.names import did_you_mean


class Spread(NamedTuple):
    """Mean and standard deviation of a score over several parts of the images."""

    mean: float
    std: float


class Predicted(NamedTuple):
    """Labels that a classifier gives to a set of images.

    Attributes:
        shares: share of the images by label, largest first, without labels that no image has.
        entropy: entropy of the shares in nats, between 0 and log K.
        confidence: mean of the largest probability of each image.
        agreement: share of images with an expected label; None if no label is expected.
    """

    shares: dict[str, float]
    entropy: float
    confidence: float
    agreement: float | None


def inception_score(probabilities: Tensor | ArrayLike, *, splits: int = 1) -> Spread:
    """Compute the inception score exp E KL(p(y|x) ‖ p(y)) (Salimans et al. 2016, section 4).

    It is high if each prediction is sharp and the predictions differ: between 1, if all images have
    the same prediction, and K.

    Args:
        probabilities: class probabilities of the fakes (M, K).
        splits: number of contiguous parts that are scored separately; published numbers use 10
            parts of 5,000 images. Parts of few images score too low.

    >>> round(inception_score(torch.eye(4)).mean, 9)
    4.0
    """
    p = _probabilities(probabilities, "fake probabilities")
    if not 1 <= splits <= len(p):
        raise BrushworkError(
            f"`splits` is {splits}; it must be between 1 and the number of images, {len(p)}"
        )
    bounds = [i * len(p) // splits for i in range(splits + 1)]
    scores = torch.stack(
        [
            _relative_entropy(part, part.mean(0)).mean().exp()
            for part in (p[a:b] for a, b in pairwise(bounds))
        ]
    )
    return Spread(scores.mean().item(), scores.std(correction=0).item())


def mode_score(real: Tensor | ArrayLike, fake: Tensor | ArrayLike) -> float:
    """Compute the mode score, an inception score that is lower if classes are missing.

    exp(E KL(p(y|x) ‖ p_g) - KL(p_g ‖ p_r)), with the marginals p_g of the fakes and p_r of the real
    images. Che et al. 2017 compare both terms with p_r, but that is the inception score again,
    because E KL(p(y|x) ‖ q) - KL(p_g ‖ q) = E KL(p(y|x) ‖ p_g) for every q. This is the form of Xu
    et al. 2018, section 2, with its error corrected. It equals the inception score if p_g = p_r and
    is smaller otherwise.

    Args:
        real: probabilities of the real images (N, K).
        fake: probabilities of the fakes (M, K).

    All fakes are certainly of one class, and the real images of two: exp(0 - log 2) = ½.

    >>> round(mode_score(torch.eye(2), torch.tensor([[1.0, 0.0]])), 9)
    0.5
    """
    p = _probabilities(real, "real probabilities")
    q = _probabilities(fake, "fake probabilities").to(p.device)
    if p.shape[1] != q.shape[1]:
        raise BrushworkError(
            f"real images have {p.shape[1]} classes and fakes {q.shape[1]}; "
            "take the probabilities of both from one classifier"
        )
    marginal = q.mean(0)
    sharpness = _relative_entropy(q, marginal).mean()
    return (sharpness - _relative_entropy(marginal, p.mean(0))).exp().item()


def predicted_labels(
    probabilities: Tensor | ArrayLike, names: Sequence[str], expected: Sequence[str] = ()
) -> Predicted:
    """Find the most probable label of each image, and summarise these labels.

    Args:
        probabilities: (M, K).
        names: names of the K labels.
        expected: labels that are right for every image.

    Raises:
        BrushworkError: the numbers of names and probabilities differ, or an expected label is not
            among the names.

    >>> p = torch.tensor([[0.75, 0.25], [0.75, 0.25], [1.0, 0.0], [0.0, 1.0]])
    >>> labels = predicted_labels(p, ["Monet", "Degas"], expected=["Monet"])
    >>> labels.shares, round(labels.entropy, 4), labels.confidence, labels.agreement
    ({'Monet': 0.75, 'Degas': 0.25}, 0.5623, 0.875, 0.75)
    """
    p = _probabilities(probabilities, "probabilities")
    if len(names) != p.shape[1]:
        raise BrushworkError(
            f"each image has {p.shape[1]} probabilities, but there are {len(names)} names; pass "
            "one name for each label"
        )
    unknown = sorted(set(expected) - set(names))
    if unknown:
        raise BrushworkError(
            f"no label {unknown[0]!r} among the {len(names)} labels of the classifier"
            f"{did_you_mean(unknown[0], names)}"
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
    """Compute the share of fakes that are given their intended label, and the share by chance.

    Chance is the expected share if the same predictions were assigned to the images at random.

    Args:
        probabilities: (M, K).
        names: names of the K labels.
        intended: the label that each fake was generated for (M,).

    >>> p = torch.tensor([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.6, 0.4]])
    >>> intended_labels(p, ["landscape", "portrait"], ["landscape"] * 2 + ["portrait"] * 2)
    (0.75, 0.5)
    """
    p = _probabilities(probabilities, "probabilities")
    predicted = [names[i] for i in p.argmax(1).tolist()]
    hits = sum(a == b for a, b in zip(predicted, intended, strict=True))
    by_chance = sum(predicted.count(name) * list(intended).count(name) for name in names)
    return hits / len(predicted), by_chance / len(predicted) ** 2


def classification_accuracy_score(
    fake: Tensor | ArrayLike,
    fake_labels: Sequence[str],
    real: Tensor | ArrayLike,
    real_labels: Sequence[str],
    *,
    ridge: float = 1.0,
) -> float:
    """Train a classifier on fakes, and compute its accuracy on real images (Ravuri & Vinyals 2019).

    The fakes need labels: they come from a conditional GAN, or from several GANs of one class each.
    The classifier is ridge regression on standardised features, in closed form. Compare the result
    with that of a classifier trained on equally many real images: it is lower if the fakes lack
    what distinguishes the classes, or lack variety within a class.

    Args:
        fake: features (M, D).
        fake_labels: the class of each fake (M,).
        real: features (N, D) of the same space.
        real_labels: the class of each real image (N,); a class that no fake has counts as wrong.
        ridge: penalty on the squared weights.

    >>> x = [[0.0], [1.0], [9.0], [10.0]]
    >>> classification_accuracy_score(x, list("aabb"), [[2.0], [8.0], [7.0]], list("aba"))
    0.6666666666666666
    """
    y, x = feature_pair(real, fake)
    if len(fake_labels) != len(x) or len(real_labels) != len(y):
        raise BrushworkError(
            f"there are {len(fake_labels)} labels for {len(x)} fakes and {len(real_labels)} for "
            f"{len(y)} real images; pass one label for each image"
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
    """Compute KL(p ‖ q) over the last axis: (..., K) and (K,) to (...)."""
    return (torch.xlogy(p, p) - torch.xlogy(p, q)).sum(-1)


def _probabilities(x: Tensor | ArrayLike, name: str) -> Tensor:
    p = as_matrix(x, name)
    off = (p.sum(1) - 1).abs().max().item()
    if p.min().item() < 0 or off > 1e-2:  # a softmax in half precision is off by 1e-3
        raise BrushworkError(
            f"{name} must be at least 0 and sum to 1 in each row (a sum is off by {off:.2g}); "
            "apply a softmax to logits first"
        )
    return p
