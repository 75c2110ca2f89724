"""How well artists are told apart, how far the probabilities can be trusted, and who is unknown.

N paintings, K artists; `labels` are indices of artists (N,), `probabilities` (N, K) sum to 1 in
each row. Everything is computed in float64.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from brushwork.errors import BrushworkError

Floats = NDArray[np.float64]


Labels = NDArray[np.int64]


class Reliability(NamedTuple):
    """Of the paintings of each bin: how many, their mean confidence, the share named rightly."""

    count: Labels
    confidence: Floats
    accuracy: Floats


def ranks(scores: ArrayLike, labels: ArrayLike) -> Labels:
    """How many artists score above the right one (N,); of equal scores the first counts first.

    >>> ranks([[0.2, 0.5, 0.3], [0.2, 0.5, 0.3]], [1, 0]).tolist()
    [0, 2]
    """
    x, y = as_scores(scores), np.asarray(labels, np.int64)
    own = x[np.arange(len(x)), y][:, None]
    before = (x == own) & (np.arange(x.shape[1]) < y[:, None])
    return ((x > own) | before).sum(1)


def top_k_accuracy(scores: ArrayLike, labels: ArrayLike, k: int = 1) -> float:
    """Share of the paintings whose artist is among the k that score highest."""
    return float((ranks(scores, labels) < k).mean())


def confusion_matrix(labels: ArrayLike, predicted: ArrayLike, num_artists: int) -> Labels:
    """Paintings by their artist (rows) and by whom they are taken for (columns), (K, K).

    >>> confusion_matrix([0, 0, 1], [0, 1, 1], 2).tolist()
    [[1, 1], [0, 1]]
    """
    cells = np.asarray(labels, np.int64) * num_artists + np.asarray(predicted, np.int64)
    return np.bincount(cells, minlength=num_artists**2).reshape(num_artists, num_artists)


def precision_recall_f1(confusion: NDArray[np.integer]) -> tuple[Floats, Floats, Floats]:
    """Of each artist (K,): 0 where nothing was predicted, or there is nothing to find.

    >>> precision_recall_f1(np.array([[1, 1], [0, 1]]))[0].tolist()
    [1.0, 0.5]
    """
    right = np.diag(confusion).astype(np.float64)
    found, there = confusion.sum(0), confusion.sum(1)
    precision, recall = _ratio(right, found), _ratio(right, there)
    return precision, recall, _ratio(2 * right, found + there)


def scores_of(confusion: NDArray[np.integer]) -> dict[str, float]:
    """Precision, recall and F1, as plain means over artists (macro) and by their paintings.

    Artists without a painting, as of a bootstrap sample, are left out of the means.
    """
    there = confusion.sum(1)
    weights = {"macro": (there > 0).astype(np.float64), "weighted": there.astype(np.float64)}
    names = ("precision", "recall", "f1")
    return {
        f"{kind}_{name}": float(values @ weight / weight.sum())
        for kind, weight in weights.items()
        for name, values in zip(names, precision_recall_f1(confusion), strict=True)
    }


def classification_report(scores: ArrayLike, labels: ArrayLike) -> dict[str, float]:
    """Top-1, 3 and 5 accuracy; macro and weighted precision, recall and F1; how many.

    Args:
        scores: (N, K), logits or probabilities.
        labels: (N,).
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
    """Percentile intervals of each number of `classification_report` (Efron 1979).

    The paintings are drawn anew with replacement, so they tell how much another test set of the
    same kind would move the numbers.
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
    """Confidence and accuracy in bins of equal width of the highest probability."""
    p, y = as_scores(probabilities), np.asarray(labels, np.int64)
    best, right = p.max(1), p.argmax(1) == y
    index = np.clip(np.ceil(best * num_bins).astype(int) - 1, 0, num_bins - 1)
    count = np.bincount(index, minlength=num_bins)
    sums = [np.bincount(index, w, num_bins) for w in (best, right.astype(np.float64))]
    return Reliability(count, *(_ratio(total, count) for total in sums))


def expected_calibration_error(
    probabilities: ArrayLike, labels: ArrayLike, num_bins: int = 15
) -> float:
    """Mean gap of confidence and accuracy over the bins of `reliability` (Guo et al. 2017, eq. 3).

    Sure of all, right in half:

    >>> expected_calibration_error([[1.0, 0.0], [1.0, 0.0]], [0, 1])
    0.5
    """
    bins = reliability(probabilities, labels, num_bins)
    gap = np.abs(bins.confidence - bins.accuracy)
    return float((gap * bins.count).sum() / bins.count.sum())


def auroc(known: ArrayLike, unknown: ArrayLike) -> float:
    """Chance that a known artist's painting scores above an unknown one's, ties counted half.

    >>> auroc([3, 2], [1, 2])
    0.875
    """
    x, y = _vector(known, "known"), np.sort(_vector(unknown, "unknown"))
    below = np.searchsorted(y, x, "left") + np.searchsorted(y, x, "right")
    return float(below.mean() / (2 * len(y)))


def threshold_at_recall(known: ArrayLike, recall: float = 0.95) -> float:
    """The score that the share `recall` of the known reach or pass.

    >>> threshold_at_recall([1, 2, 3, 4], recall=0.75)
    2.0
    """
    x = np.sort(_vector(known, "known"))[::-1]
    return float(x[max(int(np.ceil(recall * len(x) - 1e-9)), 1) - 1])


def false_positive_rate(known: ArrayLike, unknown: ArrayLike, recall: float = 0.95) -> float:
    """Share of the unknown taken for known, where the share `recall` of the known is found.

    >>> false_positive_rate([1, 2, 3, 4], [0, 0, 2.5, 5], recall=0.75)
    0.5
    """
    return float((_vector(unknown, "unknown") >= threshold_at_recall(known, recall)).mean())


def most_confused(confusion: NDArray[np.integer], names: list[str] | tuple[str, ...]) -> list:
    """(paintings, artist, taken for) of every confusion that occurs, most frequent first.

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
    x = np.asarray(scores, np.float64)
    if x.ndim != 2 or not x.size or not np.isfinite(x).all():
        raise BrushworkError(
            f"scores are finite numbers (N, K), at least one row, not of shape {x.shape}"
        )
    return x


def _vector(scores: ArrayLike, name: str) -> Floats:
    x = np.asarray(scores, np.float64).ravel()
    if not x.size or not np.isfinite(x).all():
        raise BrushworkError(f"no {name} paintings to compare, or scores that are not finite")
    return x
