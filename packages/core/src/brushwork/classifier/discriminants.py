"""Linear discriminant analysis of channel statistics, to identify artists and detect unknown ones.

The score of "unknown" is the relative Mahalanobis distance (Ren et al. 2021, "A Simple Fix to
Mahalanobis Distance for Improving Near-OOD Detection", eq. 3): the distance of features to one
artist's paintings minus their distance to all paintings together. A direction in which the artists'
means do not differ contributes the same to both distances, so it cancels out. The K - 1 directions
of Fisher's linear discriminants remain, and only these are saved.

N paintings, D features, K artists, R = K - 1 directions.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from brushwork.errors import BrushworkError

RIDGE = 0.1
"""Share of each feature's variance that is added to it. With few paintings, most directions would
have no variance otherwise."""


class Discriminants(NamedTuple):
    """Fisher's linear discriminants, float32."""

    center: Tensor
    """(D,) the mean of all paintings."""
    directions: Tensor
    """(D, R) scaled so that an artist's paintings have variance 1 along each, and uncorrelated."""
    means: Tensor
    """(K, R) of each artist's paintings along the directions."""
    variance: Tensor
    """(R,) of all paintings along the directions, at least 1."""


def fit_discriminants(features: Tensor, labels: Tensor) -> Discriminants:
    """Compute Fisher's linear discriminants of labelled features.

    Args:
        features: (N, D).
        labels: (N,) from 0 to K - 1, each at least once.

    Raises:
        BrushworkError: a label is missing, or a feature is not finite.
    """
    x, K = features.double(), int(labels.max()) + 1
    counts = torch.bincount(labels, minlength=K)
    if not (counts > 0).all() or not x.isfinite().all():
        raise BrushworkError(
            "cannot fit the discriminant analysis: an artist has no painting, or a feature is NaN "
            "or infinite; check the paintings and the network"
        )
    center = x.mean(0)
    means = torch.stack([x[labels == label].mean(0) for label in range(K)]) - center
    within = (x - center - means[labels]).T
    within = within @ within.T / len(x)
    own = within.diagonal()
    within += torch.diag(RIDGE * own + 1e-6 * own.mean().clamp(min=1e-12))
    # Whitening by the covariance within artists leaves the directions of the artists' means.
    L = torch.linalg.cholesky(within)
    weighted = (means * (counts / len(x)).sqrt()[:, None]).T  # (D, K)
    U, S, _ = torch.linalg.svd(torch.linalg.solve_triangular(L, weighted, upper=False), False)
    directions = torch.linalg.solve_triangular(L.T, U[:, : K - 1], upper=True)
    tensors = center, directions, means @ directions, 1 + S[: K - 1] ** 2
    return Discriminants(*(tensor.float().contiguous() for tensor in tensors))


def familiarity(
    features: Tensor, discriminants: Discriminants, num_artists: int | None = None
) -> Tensor:
    """Compute minus the least relative Mahalanobis distance to an artist.

    Args:
        features: (N, D).
        discriminants: discriminants of D features.
        num_artists: only the first artists count; all by default.

    Returns:
        (N,) float32; above 0 if one artist explains a painting better than all paintings together.

    Raises:
        BrushworkError: the numbers of features differ.

    >>> x = torch.tensor([[-2.0], [-1.0], [1.0], [2.0]])
    >>> discriminants = fit_discriminants(x, torch.tensor([0, 0, 1, 1]))
    >>> features = torch.tensor([[1.5], [0.0]])
    >>> [round(value, 1) for value in familiarity(features, discriminants).tolist()]
    [0.9, -8.2]
    """
    u = _project(features, discriminants)
    nearest = log_likelihoods(features, discriminants)[:, :num_artists].amax(1)
    return (u.square() / discriminants.variance).sum(1) + 2 * nearest


def log_likelihoods(features: Tensor, discriminants: Discriminants) -> Tensor:
    """Compute the log-likelihood of features for each artist by linear discriminant analysis.

    Each artist's paintings are normally distributed around their own mean, with one covariance for
    all artists.

    Args:
        features: (N, D).
        discriminants: discriminants of D features.

    Returns:
        (N, K), up to a constant for each painting.

    Raises:
        BrushworkError: the numbers of features differ.
    """
    u = _project(features, discriminants)
    return -(u[:, None] - discriminants.means).square().sum(2) / 2


def _project(features: Tensor, discriminants: Discriminants) -> Tensor:
    if features.shape[1] != len(discriminants.center):
        raise BrushworkError(
            f"each image has {features.shape[1]} features, but the discriminant analysis was made "
            f"for {len(discriminants.center)}; run train_classifier.py --resume to rebuild it"
        )
    return (features - discriminants.center) @ discriminants.directions
