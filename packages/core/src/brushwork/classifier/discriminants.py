"""How much a painting looks like those of the artists that a classifier knows.

Relative Mahalanobis distance (Ren et al. 2021, "A Simple Fix to Mahalanobis Distance for Improving
Near-OOD Detection", eq. 3): how much nearer features are to one artist's paintings than to all
paintings taken together. What every painting varies in cancels out, so all of it happens in the
K - 1 directions of Fisher's linear discriminants, and that is all that is kept.

N paintings, D features, K artists, R = K - 1 directions.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from brushwork.errors import BrushworkError

# Of its own variance, added to every feature's: few paintings leave most directions without one.
RIDGE = 0.1


class Discriminants(NamedTuple):
    """What `familiarity` needs: float32, in this order."""

    center: Tensor
    """(D,) the mean of all paintings."""
    directions: Tensor
    """(D, R), scaled so that an artist's own paintings vary by 1 along each, uncorrelated."""
    means: Tensor
    """(K, R) of each artist's paintings along these."""
    variance: Tensor
    """(R,) of all paintings along these: at least 1."""


def fit_discriminants(features: Tensor, labels: Tensor) -> Discriminants:
    """Fisher's linear discriminants of labelled features.

    Args:
        features: (N, D).
        labels: (N,) from 0 to K - 1, every one of them at least once.

    Raises:
        BrushworkError: a label is missing, or features are not finite.
    """
    x, K = features.double(), int(labels.max()) + 1
    counts = torch.bincount(labels, minlength=K)
    if not (counts > 0).all() or not x.isfinite().all():
        raise BrushworkError("discriminants need finite features of every artist")
    center = x.mean(0)
    means = torch.stack([x[labels == label].mean(0) for label in range(K)]) - center
    within = (x - center - means[labels]).T
    within = within @ within.T / len(x)
    own = within.diagonal()
    within += torch.diag(RIDGE * own + 1e-6 * own.mean().clamp(min=1e-12))
    # In coordinates where an artist's paintings vary alike in all directions, the means tell them.
    L = torch.linalg.cholesky(within)
    weighted = (means * (counts / len(x)).sqrt()[:, None]).T  # (D, K)
    U, S, _ = torch.linalg.svd(torch.linalg.solve_triangular(L, weighted, upper=False), False)
    directions = torch.linalg.solve_triangular(L.T, U[:, : K - 1], upper=True)
    parts = center, directions, means @ directions, 1 + S[: K - 1] ** 2
    return Discriminants(*(part.float().contiguous() for part in parts))


def familiarity(features: Tensor, known: Discriminants) -> Tensor:
    """Minus the least relative Mahalanobis distance to an artist: (N, D) -> (N,).

    Above 0, a painting is better explained by one artist than by paintings at large.

    Raises:
        BrushworkError: the features are others than the discriminants were learned from.

    >>> x = torch.tensor([[-2.0], [-1.0], [1.0], [2.0]])
    >>> known = fit_discriminants(x, torch.tensor([0, 0, 1, 1]))
    >>> [round(value, 1) for value in familiarity(torch.tensor([[1.5], [0.0]]), known).tolist()]
    [0.9, -8.2]
    """
    u = _along(features, known)
    return (u.square() / known.variance).sum(1) + 2 * log_likelihoods(features, known).amax(1)


def log_likelihoods(features: Tensor, known: Discriminants) -> Tensor:
    """How likely features are of each artist's paintings: (N, D) -> (N, K), up to a constant.

    Linear discriminant analysis: each artist's paintings are normally distributed about their mean,
    all alike. The constant is another one for each painting.

    Raises:
        BrushworkError: the features are others than the discriminants were learned from.
    """
    u = _along(features, known)
    return -(u[:, None] - known.means).square().sum(2) / 2


def _along(features: Tensor, known: Discriminants) -> Tensor:
    if features.shape[1] != len(known.center):
        raise BrushworkError(
            f"{features.shape[1]} features cannot be compared with {len(known.center)} learned "
            "ones; train the classifier's last step anew"
        )
    return (features - known.center) @ known.directions
