"""classifier.calibration."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch.nn.functional import cross_entropy

from brushwork.metrics.classification import Floats, as_scores


def softmax(logits: ArrayLike, temperature: float = 1.0, biases: ArrayLike = 0.0) -> Floats:
    """Probabilities (N, K) of logits divided by a temperature, with biases (K,) added to that."""
    z = np.asarray(logits, np.float64) / temperature + np.asarray(biases, np.float64)
    e = np.exp(z - z.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def fit_temperature(logits: ArrayLike, labels: ArrayLike) -> float:
    """The temperature at which the probabilities fit best (Guo et al. 2017, section 4.2).

    The negative log-likelihood is convex in 1/T; its slope is the mean logit expected less the mean
    logit of the right artist, and bisected. Between 0.01 and 100.

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
    """How scores become log-probabilities: logits / T + weight * log-likelihoods + biases."""

    temperature: float
    biases: list[float]
    lda_weight: float = 0.0
    """Of another opinion's log-likelihoods (N, K); 0 where there is none."""

    def probabilities(self, logits: ArrayLike, log_likelihoods: ArrayLike | None = None) -> Floats:
        """Scores (N, K) to probabilities (N, K) that can be believed."""
        biases = np.asarray(self.biases, np.float64)
        if log_likelihoods is not None:
            biases = biases + self.lda_weight * np.asarray(log_likelihoods, np.float64)
        return softmax(logits, self.temperature, biases)


def fit_calibration(
    logits: ArrayLike, labels: ArrayLike, log_likelihoods: ArrayLike | None = None
) -> Calibration:
    """The calibration at which the probabilities fit best.

    Bias-corrected temperature scaling (Alexandari et al. 2020, section 2.2): some artists are named
    too readily, others too rarely. The biases are held back by a standard normal prior, since few
    paintings of each artist are kept aside. The temperature stays between 0.01 and 100. A second
    opinion is given the weight, at least 0, that it deserves beside the first.

    Args:
        logits: (N, K) of paintings that were not trained on.
        labels: (N,)
        log_likelihoods: (N, K) by which another model tells the artists.
    """
    z, y = torch.from_numpy(as_scores(logits)), torch.tensor(np.asarray(labels, np.int64))
    given = log_likelihoods is not None
    others = torch.from_numpy(as_scores(log_likelihoods)) if given else torch.zeros_like(z)
    sharpness = torch.tensor(-np.log(fit_temperature(z, y)), requires_grad=True)
    weight = torch.tensor(0.0, dtype=torch.float64, requires_grad=given)
    biases = torch.zeros(z.shape[1], dtype=torch.float64, requires_grad=True)
    parameters = [sharpness, biases, *([weight] if given else [])]
    search = torch.optim.LBFGS(
        parameters, max_iter=500, tolerance_grad=1e-9, line_search_fn="strong_wolfe"
    )

    def loss() -> torch.Tensor:
        scaled = z * sharpness.clamp(np.log(0.01), np.log(100)).exp() + weight * others + biases
        loss = cross_entropy(scaled, y, reduction="sum") + biases.square().sum() / 2
        for parameter, gradient in zip(
            parameters, torch.autograd.grad(loss, parameters), strict=True
        ):
            parameter.grad = gradient
        return loss

    search.step(loss)
    if weight.item() < 0:  # worse than no opinion; the loss is convex, so none is best
        return fit_calibration(logits, labels)
    scale = float(np.clip(np.exp(sharpness.item()), 0.01, 100))
    return Calibration(1 / scale, biases.tolist(), weight.item())
