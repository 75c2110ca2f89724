"""Metrics of artist classification: accuracy, calibration, and detection of unknown artists.

N paintings, K artists. `labels` are indices of artists (N,), `scores` are logits or probabilities
(N, K), and `probabilities` (N, K) sum to 1 in each row. All functions compute in float64.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from brushwork.errors import BrushworkError

Floats = NDArray[np.float64]

Labels = NDArray[np.int64]


class Reliability(NamedTuple):
    """For each bin (B,): number of paintings, mean confidence, and share of correct labels."""

    count: Labels
    confidence: Floats
    accuracy: Floats


class RiskCoverage(NamedTuple):
    """What naming only the most confident answers costs, from the strictest threshold on: (M,)."""

    threshold: Floats
    """Confidences, in falling order; answers with at least this confidence are given."""
    coverage: Floats
    """Share of the answers that are given."""
    risk: Floats
    """Share of the given answers that are wrong."""


def ranks(scores: ArrayLike, labels: ArrayLike) -> Labels:
    """Count, for each painting, the artists with a higher score than the right artist: (N,).

    An artist with the same score and a lower index counts as higher.

    >>> ranks([[0.2, 0.5, 0.3], [0.2, 0.5, 0.3]], [1, 0]).tolist()
    [0, 2]
    """
    x, y = as_scores(scores), np.asarray(labels, np.int64)
    own = x[np.arange(len(x)), y][:, None]
    before = (x == own) & (np.arange(x.shape[1]) < y[:, None])
    return ((x > own) | before).sum(1)


def top_k_accuracy(scores: ArrayLike, labels: ArrayLike, k: int = 1) -> float:
    """Compute the share of paintings whose artist is among the k with the highest scores."""
    return float((ranks(scores, labels) < k).mean())


def confusion_matrix(labels: ArrayLike, predicted: ArrayLike, num_artists: int) -> Labels:
    """Count paintings by their artist (rows) and by the predicted artist (columns), (K, K).

    >>> confusion_matrix([0, 0, 1], [0, 1, 1], 2).tolist()
    [[1, 1], [0, 1]]
    """
    cells = np.asarray(labels, np.int64) * num_artists + np.asarray(predicted, np.int64)
    return np.bincount(cells, minlength=num_artists**2).reshape(num_artists, num_artists)


def precision_recall_f1(confusion: NDArray[np.integer]) -> tuple[Floats, Floats, Floats]:
    """Compute the precision, recall and F1 score of each artist (K,).

    A ratio is 0 if an artist was never predicted, or has no paintings.

    >>> precision_recall_f1(np.array([[1, 1], [0, 1]]))[0].tolist()
    [1.0, 0.5]
    """
    correct = np.diag(confusion).astype(np.float64)
    predicted, actual = confusion.sum(0), confusion.sum(1)
    precision, recall = _ratio(correct, predicted), _ratio(correct, actual)
    return precision, recall, _ratio(2 * correct, predicted + actual)


def scores_of(confusion: NDArray[np.integer]) -> dict[str, float]:
    """Average precision, recall and F1 over artists, equally (macro) and by paintings (weighted).

    Artists without a painting, as in a bootstrap sample, are left out of the means.
    """
    sizes = confusion.sum(1)
    weights = {"macro": (sizes > 0).astype(np.float64), "weighted": sizes.astype(np.float64)}
    names = ("precision", "recall", "f1")
    return {
        f"{kind}_{name}": float(values @ weight / weight.sum())
        for kind, weight in weights.items()
        for name, values in zip(names, precision_recall_f1(confusion), strict=True)
    }


def classification_report(scores: ArrayLike, labels: ArrayLike) -> dict[str, float]:
    """Compute all metrics of identification by name.

    Args:
        scores: logits or probabilities (N, K).
        labels: (N,).

    Returns:
        `top1`, `top3`, `top5`; `precision`, `recall` and `f1`, each with the prefix `macro_` and
        `weighted_`; and `num_paintings`.
    """
    x, y = as_scores(scores), np.asarray(labels, np.int64)
    return _report(ranks(x, y), y, x.argmax(1), x.shape[1]) | {"num_paintings": len(y)}


def bootstrap_intervals(
    scores: ArrayLike,
    labels: ArrayLike,
    *,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> dict[str, tuple[float, float]]:
    """Estimate an interval of each metric of `classification_report` by the bootstrap (Efron 1979).

    Each resample draws the paintings with replacement, so an interval shows how much the metric
    would vary between test sets of the same kind.

    Args:
        scores: logits or probabilities (N, K).
        labels: (N,).
        resamples: number of resamples.
        level: probability that the interval covers, in (0, 1).
        seed: determines the draws.

    Returns:
        The lower and upper percentile of each metric.
    """
    x, y = as_scores(scores), np.asarray(labels, np.int64)
    rank, predicted, rng = ranks(x, y), x.argmax(1), np.random.default_rng(seed)
    draws = [
        _report(rank[i], y[i], predicted[i], x.shape[1])
        for i in (rng.integers(len(y), size=len(y)) for _ in range(resamples))
    ]
    ends = [(1 - level) / 2, (1 + level) / 2]
    intervals = {}
    for name in draws[0]:
        low, high = np.quantile([draw[name] for draw in draws], ends)
        intervals[name] = (float(low), float(high))
    return intervals


def reliability(probabilities: ArrayLike, labels: ArrayLike, num_bins: int = 15) -> Reliability:
    """Compare confidence and accuracy in bins of equal width of the highest probability."""
    p, y = as_scores(probabilities), np.asarray(labels, np.int64)
    confidence, correct = p.max(1), p.argmax(1) == y
    index = np.clip(np.ceil(confidence * num_bins).astype(int) - 1, 0, num_bins - 1)
    count = np.bincount(index, minlength=num_bins)
    sums = [np.bincount(index, w, num_bins) for w in (confidence, correct.astype(np.float64))]
    return Reliability(count, *(_ratio(total, count) for total in sums))


def expected_calibration_error(
    probabilities: ArrayLike, labels: ArrayLike, num_bins: int = 15
) -> float:
    """Average the gap between confidence and accuracy over bins (Guo et al. 2017, eq. 3).

    See `reliability`. A classifier with confidence 1 that is right half of the time:

    >>> expected_calibration_error([[1.0, 0.0], [1.0, 0.0]], [0, 1])
    0.5
    """
    bins = reliability(probabilities, labels, num_bins)
    gap = np.abs(bins.confidence - bins.accuracy)
    return float((gap * bins.count).sum() / bins.count.sum())


def auroc(known: ArrayLike, unknown: ArrayLike) -> float:
    """Compute the probability that a known artist's painting scores above an unknown artist's.

    It is the area under the ROC curve; ties count half.

    Args:
        known: scores of paintings by known artists (N,).
        unknown: scores of paintings by other artists (M,).

    >>> auroc([3, 2], [1, 2])
    0.875
    """
    x, y = _vector(known, "known"), np.sort(_vector(unknown, "unknown"))
    below = np.searchsorted(y, x, "left") + np.searchsorted(y, x, "right")
    return float(below.mean() / (2 * len(y)))


def threshold_at_recall(known: ArrayLike, recall: float = 0.95) -> float:
    """Find the highest threshold for which the recall of the known paintings is at least `recall`.

    >>> threshold_at_recall([1, 2, 3, 4], recall=0.75)
    2.0
    """
    x = np.sort(_vector(known, "known"))[::-1]
    return float(x[max(int(np.ceil(recall * len(x) - 1e-9)), 1) - 1])


def false_positive_rate(known: ArrayLike, unknown: ArrayLike, recall: float = 0.95) -> float:
    """Compute the share of unknown paintings at or above `threshold_at_recall` of the known ones.

    >>> false_positive_rate([1, 2, 3, 4], [0, 0, 2.5, 5], recall=0.75)
    0.5
    """
    return float((_vector(unknown, "unknown") >= threshold_at_recall(known, recall)).mean())


def risk_coverage(
    confidence: ArrayLike, correct: ArrayLike, weights: ArrayLike | None = None
) -> RiskCoverage:
    """Compute the risk at each coverage (El-Yaniv & Wiener 2010, section 2).

    Args:
        confidence: (N,) of the answers.
        correct: (N,) whether each answer is right. For a painting by an unknown artist, every name
            is wrong.
        weights: (N,) how much each painting counts; all the same by default.

    Returns:
        One entry for each different confidence.

    >>> curve = risk_coverage([0.9, 0.8, 0.8, 0.1], [True, True, False, False])
    >>> curve.coverage.tolist(), curve.risk.round(2).tolist()
    ([0.25, 0.75, 1.0], [0.0, 0.33, 0.5])
    """
    x = _vector(confidence, "answered")
    w = np.ones(len(x)) if weights is None else np.asarray(weights, np.float64)
    order = np.argsort(-x, kind="stable")
    x, given = x[order], np.cumsum(w[order])
    wrong = np.cumsum(w[order] * ~np.asarray(correct, bool)[order])
    last = np.append(np.flatnonzero(np.diff(x)), len(x) - 1)  # of answers with equal confidence
    return RiskCoverage(x[last], given[last] / given[-1], wrong[last] / given[last])


def threshold_at_precision(curve: RiskCoverage, precision: float) -> float:
    """Find the lowest threshold for which at least this share of the given answers is right.

    Args:
        curve: see `risk_coverage`.
        precision: between 0 and 1.

    Returns:
        The threshold; infinity if no threshold is strict enough.

    >>> threshold_at_precision(risk_coverage([0.9, 0.8, 0.7], [True, False, True]), 0.6)
    0.7
    """
    enough = np.flatnonzero(1 - curve.risk >= precision - 1e-12)
    return float(curve.threshold[enough[-1]]) if len(enough) else float("inf")


def accuracy_with_mix(
    recalls: Mapping[str, tuple[int, float]], mix: Mapping[str, tuple[int, float]]
) -> float:
    """Compute the accuracy that paintings would have with the mix of artists of other paintings.

    Some artists are easier to recognise than others. So the accuracies of two collections differ
    for two reasons: the reproductions, and how many paintings each artist has. From this number,
    the accuracy of the other collection differs for the first reason only.

    Args:
        recalls: of each artist, the number of paintings and the share that is recognised.
        mix: the same of the other paintings, by some of these artists; only the numbers are used.

    Returns:
        The accuracy.

    >>> accuracy_with_mix({"a": (90, 0.9), "b": (10, 0.1)}, {"b": (5, 0), "a": (5, 1)})
    0.5
    """
    total = sum(num for num, _ in mix.values())
    return sum(num * recalls[artist][1] for artist, (num, _) in mix.items()) / total


def most_confused(
    confusion: NDArray[np.integer], names: list[str] | tuple[str, ...]
) -> list[tuple[int, str, str]]:
    """List all confusions as (number of paintings, artist, predicted artist), most frequent first.

    >>> most_confused(np.array([[5, 2], [0, 3]]), ["Monet", "Sisley"])
    [(2, 'Monet', 'Sisley')]
    """
    off = confusion - np.diag(np.diag(confusion))
    pairs = sorted(zip(*np.nonzero(off), strict=True), key=lambda cell: -off[cell])
    return [(int(off[i, j]), names[int(i)], names[int(j)]) for i, j in pairs]


def _report(rank: Labels, labels: Labels, predicted: Labels, num: int) -> dict[str, float]:
    top = {f"top{k}": float((rank < k).mean()) for k in (1, 3, 5)}
    return top | scores_of(confusion_matrix(labels, predicted, num))


def _ratio(part: NDArray, whole: NDArray) -> Floats:
    return np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)


def as_scores(scores: ArrayLike) -> Floats:
    """Convert scores to a float64 matrix (N, K).

    Raises:
        BrushworkError: it is no matrix, has no rows, or contains NaN or infinity.
    """
    x = np.asarray(scores, np.float64)
    if x.ndim != 2 or not x.size or not np.isfinite(x).all():
        raise BrushworkError(
            f"scores must be a matrix (N, K) of finite numbers with at least one row, not {x.shape}"
        )
    return x


def _vector(scores: ArrayLike, name: str) -> Floats:
    x = np.asarray(scores, np.float64).ravel()
    if not x.size or not np.isfinite(x).all():
        raise BrushworkError(
            f"the {name} paintings need at least one score, and all scores must be finite"
        )
    return x
