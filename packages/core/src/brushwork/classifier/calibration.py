"""Calibrate a classifier: turn its logits into probabilities that match its accuracy."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch.nn.functional import cross_entropy

from brushwork.metrics.classification import Floats, as_scores


def softmax(logits: ArrayLike, temperature: float = 1.0, biases: ArrayLike = 0.0) -> Floats:
    """Compute probabilities: the softmax of logits / temperature + biases.

    Args:
        logits: (N, K).
        temperature: above 0.
        biases: (K,), or a number.

    Returns:
        Probabilities (N, K), float64.
    """
    z = np.asarray(logits, np.float64) / temperature + np.asarray(biases, np.float64)
    e = np.exp(z - z.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def fit_temperature(logits: ArrayLike, labels: ArrayLike) -> float:
    """Find the temperature with the least negative log-likelihood (Guo et al. 2017, section 4.2).

    The negative log-likelihood is convex in 1/T. Its slope is the expected logit minus the mean
    logit of the correct artist. Bisection finds where the slope is zero.

    Args:
        logits: (N, K) of paintings that the network was not trained on.
        labels: (N,).

    Returns:
        The temperature, between 0.01 and 100.

    >>> round(fit_temperature([[2.0, 0.0]] * 4, [0, 0, 0, 1]), 4)  # 2 / log 3
    1.8205
    """
    z, y = as_scores(logits), np.asarray(labels, np.int64)
    own = z[np.arange(len(z)), y].mean()
    low, high = np.log(0.01), np.log(100.0)
    for _ in range(60):
        middle = (low + high) / 2
        expected = (softmax(z, float(np.exp(middle))) * z).sum(1).mean()
        low, high = (middle, high) if expected > own else (low, middle)
    return float(np.exp((low + high) / 2))


class Calibration(NamedTuple):
    """Turns scores into probabilities.

    Probabilities are softmax(logits / temperature + lda_weight * log_likelihoods + biases).
    """

    temperature: float
    biases: list[float]
    """(K,) one for each artist."""
    lda_weight: float = 0.0
    """Weight of the discriminant analysis's log-likelihoods (N, K); 0 without this analysis."""

    def probabilities(self, logits: ArrayLike, log_likelihoods: ArrayLike | None = None) -> Floats:
        """Compute calibrated probabilities (N, K) of logits (N, K) and log-likelihoods (N, K)."""
        biases = np.asarray(self.biases, np.float64)
        if log_likelihoods is not None:
            biases = biases + self.lda_weight * np.asarray(log_likelihoods, np.float64)
        return softmax(logits, self.temperature, biases)


def fit_calibration(
    logits: ArrayLike, labels: ArrayLike, log_likelihoods: ArrayLike | None = None
) -> Calibration:
    """Find the calibration with the least negative log-likelihood.

    This is bias-corrected temperature scaling (Alexandari et al. 2020, section 2.2), because a
    network predicts some artists too often and others too rarely. Each artist has few validation
    paintings, so the biases have a standard normal prior.

    Args:
        logits: (N, K) of paintings that the network was not trained on.
        labels: (N,).
        log_likelihoods: (N, K) of the same paintings by a second model; their weight is fitted too.

    Returns:
        A temperature between 0.01 and 100, K biases, and a weight of at least 0.
    """
    z, y = torch.from_numpy(as_scores(logits)), torch.tensor(np.asarray(labels, np.int64))
    has_likelihoods = log_likelihoods is not None
    others = torch.from_numpy(as_scores(log_likelihoods)) if has_likelihoods else z.new_zeros(())
    log_sharpness = torch.tensor(-np.log(fit_temperature(z, y)), requires_grad=True)
    weight = torch.tensor(0.0, dtype=torch.float64, requires_grad=has_likelihoods)
    biases = torch.zeros(z.shape[1], dtype=torch.float64, requires_grad=True)
    parameters = [log_sharpness, biases, *([weight] if has_likelihoods else [])]
    search = torch.optim.LBFGS(
        parameters, max_iter=500, tolerance_grad=1e-9, line_search_fn="strong_wolfe"
    )

    def loss() -> torch.Tensor:
        scaled = z * log_sharpness.clamp(np.log(0.01), np.log(100)).exp() + weight * others + biases
        loss = cross_entropy(scaled, y, reduction="sum") + biases.square().sum() / 2
        gradients = torch.autograd.grad(loss, parameters)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient
        return loss

    search.step(loss)
    if weight.item() < 0:  # the loss is convex, so the best allowed weight is 0
        return fit_calibration(logits, labels)
    sharpness = float(np.clip(np.exp(log_sharpness.item()), 0.01, 100))
    return Calibration(1 / sharpness, biases.tolist(), weight.item())
