"""The probability that none of a classifier's artists painted a picture.

Several scores say how strange a picture is. A logistic regression combines them. It is fitted on
validation paintings, on paintings by artists whom the network does not name and the discriminant
analysis was not fitted on, and on pictures that are no paintings. Without such artists, its weights
are those of an experiment (`typical_strangers`). The scores are those of Hendrycks & Gimpel
2017 (the highest probability), Liu et al. 2020 (the energy) and Ren et al. 2021 (the relative
Mahalanobis distance); the combination follows Hendrycks et al. 2019 ("Deep Anomaly Detection with
Outlier Exposure") in that it learns from outliers.

N pictures, K artists, B other classes that the discriminant analysis also knows (other artists,
kinds of pictures that are no paintings), S scores.
"""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch.nn.functional import binary_cross_entropy_with_logits

from brushwork.metrics.classification import (
    Floats,
    RiskCoverage,
    as_scores,
    risk_coverage,
    threshold_at_precision,
)

PRECISIONS = (0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 0.98)
"""The precisions that `operating_points` looks for."""

PRIOR = 1.0
"""Strength of the normal prior of the weights, in units of the standardised scores."""

TYPICAL_WEIGHTS, TYPICAL_BIAS = (0.7, 0.3, 0.3, 0.0, 0.0), -0.5
"""Of the standardised scores: a fit, rounded, of the first four to 485 validation paintings and to
700 paintings by ten artists whom a network of 30 artists had never seen."""


class Strangers(NamedTuple):
    """Turns scores of strangeness into the probability of "none of these artists"."""

    means: list[float]
    """(S,) subtracted from the scores."""
    scales: list[float]
    """(S,) the scores are then divided by these."""
    weights: list[float]
    """(S,) of the standardised scores."""
    bias: float

    def probability(self, scores: ArrayLike) -> Floats:
        """Compute the probability (N,) of "none" from scores (N, S)."""
        z = (np.asarray(scores, np.float64) - self.means) / self.scales
        return np.exp(-np.logaddexp(0, -(z @ self.weights + self.bias)))


def strangeness(
    logits: ArrayLike,
    probabilities: ArrayLike,
    log_likelihoods: ArrayLike,
    familiarity: ArrayLike,
) -> Floats:
    """Compute the scores (N, S) that the probability of "none" depends on.

    Args:
        logits: (N, K) of the network.
        probabilities: (N, K) calibrated.
        log_likelihoods: (N, K + B) of the discriminant analysis, other classes last.
        familiarity: (N,) see `brushwork.classifier.discriminants.familiarity`.

    Returns:
        Minus the familiarity; minus the energy of the logits; minus the logarithm of the highest
        probability; the distance to the nearest artist's mean; and, if B is not 0, how much
        likelier the other classes are.
    """
    z, p = np.asarray(logits, np.float64), np.asarray(probabilities, np.float64)
    likelihoods = np.asarray(log_likelihoods, np.float64)
    artists, others = np.split(likelihoods, [z.shape[1]], axis=1)
    columns = [
        -np.asarray(familiarity, np.float64),
        -np.logaddexp.reduce(z, axis=1),
        -np.log(p.max(1)),
        np.sqrt(-2 * artists.max(1)),
    ]
    if others.shape[1]:
        columns.append(others.max(1) - artists.max(1))
    return np.stack(columns, axis=1)


def fit_strangers(known: ArrayLike, strangers: ArrayLike, weights: ArrayLike) -> Strangers:
    """Fit the probability of "none" by logistic regression.

    Both sides count the same: the probability is for a picture that is as likely by one of the
    artists as not.

    Args:
        known: scores (N, S) of paintings by the artists.
        strangers: scores (M, S) of pseudo-strangers.
        weights: (M,) how much each pseudo-stranger counts among them.
    """
    x = np.concatenate([as_scores(known), as_scores(strangers)])
    num_known = len(np.asarray(known))
    w = np.asarray(weights, np.float64)
    shares = np.concatenate([np.full(num_known, 1 / num_known), w / w.sum()]) * len(x) / 2
    means, scales = x[:num_known].mean(0), x[:num_known].std(0) + 1e-9
    z = torch.from_numpy((x - means) / scales)
    is_stranger = torch.arange(len(x)) >= num_known
    weight = torch.zeros(x.shape[1], dtype=torch.float64, requires_grad=True)
    bias = torch.zeros((), dtype=torch.float64, requires_grad=True)
    search = torch.optim.LBFGS([weight, bias], max_iter=500, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        search.zero_grad()
        loss = binary_cross_entropy_with_logits(
            z @ weight + bias, is_stranger.double(), torch.from_numpy(shares), reduction="sum"
        )
        loss = loss + PRIOR * weight.square().sum() / 2
        loss.backward()
        return loss

    search.step(loss)
    return Strangers(means.tolist(), scales.tolist(), weight.tolist(), bias.item())


def typical_strangers(known: ArrayLike) -> Strangers:
    """Take the weights and the bias that suited strangers whom a network had never seen.

    Without other artists there is nothing to fit them on: artists who are left out of the
    discriminant analysis are still known to the network, whose energy tells them apart more easily
    than real strangers. It would get too large a weight.

    Args:
        known: scores (N, 5) of paintings by the artists.
    """
    x = as_scores(known)
    scales = x.std(0) + 1e-9
    return Strangers(x.mean(0).tolist(), scales.tolist(), [*TYPICAL_WEIGHTS], TYPICAL_BIAS)


def mixed_curve(
    known_confidence: ArrayLike, correct: ArrayLike, stranger_confidence: ArrayLike
) -> RiskCoverage:
    """Compute risk and coverage if half of the pictures are by strangers (every name is wrong).

    Args:
        known_confidence: (N,) the highest probability of an artist, "none" being possible, for
            paintings by the artists.
        correct: (N,) whether this artist is the right one.
        stranger_confidence: (M,) the same for strangers.
    """
    known, strangers = (np.asarray(x, np.float64) for x in (known_confidence, stranger_confidence))
    weights = [np.full(len(known), 1 / len(known)), np.full(len(strangers), 1 / len(strangers))]
    return risk_coverage(
        np.concatenate([known, strangers]),
        np.concatenate([np.asarray(correct, bool), np.zeros(len(strangers), bool)]),
        np.concatenate(weights),
    )


def operating_points(curve: RiskCoverage) -> list[tuple[float, float]]:
    """List the precisions that can be reached, and the lowest threshold of confidence for each."""
    points = [(precision, threshold_at_precision(curve, precision)) for precision in PRECISIONS]
    return [(precision, threshold) for precision, threshold in points if np.isfinite(threshold)]
