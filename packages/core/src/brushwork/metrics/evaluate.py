"""Compute all metrics in one feature space, and find the best value of each metric.

Results are nested: a set of fakes has a dictionary for each feature space, which contains the
metrics and the numbers of images. A report of several sets of fakes has one such entry for each:

    {"runs/gan": {"pixels": {"fid": 12.5, "kid": 0.01, "n_real": 1000, "n_fake": 1000}}}
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence

import torch
from torch import Tensor

from brushwork.errors import BrushworkError
from brushwork.metrics import distances, scores
from brushwork.metrics.features import Features

METRICS = (
    "fid",
    "kid",
    "is",
    "mode_score",
    "mmd",
    "emd",
    "one_nn",
    "precision_recall",
    "density_coverage",
)

# The 1-NN classifier is right half of the time on two samples of one distribution.
HALF_IS_BETTER = frozenset({"one_nn"})

LOWER_IS_BETTER = frozenset({"fid", "fid_infinity", "kid", "mmd", "cmmd", "emd"})

HIGHER_IS_BETTER = frozenset({"is", "mode_score", "precision", "recall", "density", "coverage"})

# Accuracies of `label_check` and `class_check`; higher is better.
CLASS_ACCURACIES = frozenset({"agreement", "intended", "cas"})

# Density and coverage look at the five nearest neighbours of an image.
MIN_IMAGES = 6


def require_enough(num_real: int, num_fake: int, num_pairs: int = 1000) -> None:
    """Check, before long work, that there are enough images for all of `METRICS`.

    Args:
        num_real: number of real images.
        num_fake: number of fakes.
        num_pairs: see `evaluate`.

    Raises:
        BrushworkError: one of the numbers is below `MIN_IMAGES`.

    >>> require_enough(12, 5)
    Traceback (most recent call last):
    brushwork.errors.BrushworkError: there are 5 fakes, but the metrics need at least 6; add more
    """
    for images, num in {"real images": num_real, "fakes": num_fake}.items():
        if num < MIN_IMAGES:
            raise BrushworkError(
                f"there are {num} {images}, but the metrics need at least {MIN_IMAGES}; add more"
            )
    if num_pairs < MIN_IMAGES:
        raise BrushworkError(f"`num_pairs` is {num_pairs}; it must be at least {MIN_IMAGES}")


def evaluate(
    real: Features,
    fake: Features,
    *,
    metrics: Collection[str] | None = None,
    num_pairs: int = 1000,
    seed: int = 0,
) -> dict[str, float]:
    """Compare fakes with real images by all of `METRICS`, or by some of them.

    FID, KID, inception score and mode score use every image. The other metrics use the distances
    of all pairs of images, so they use a random sample of the real images and one of the fakes.

    Args:
        real: features of the real images (N, D), and probabilities if the space has classes.
        fake: features of the fakes (M, D), from the same space.
        metrics: names from `METRICS`; all by default, without the inception score and the mode
            score if there are no probabilities.
        num_pairs: largest size of these samples; both have the same size.
        seed: determines the sample.

    Returns:
        The value of each metric, and `n_real`, `n_fake` and `n_pairs`, the numbers of images.

    Raises:
        BrushworkError: a name is not in `METRICS`, or a named metric needs probabilities.
    """
    chosen: set[str] = set(METRICS) if metrics is None else set(metrics)
    if unknown := sorted(chosen - set(METRICS)):
        raise BrushworkError(f"no metric {unknown[0]!r}; choose from {', '.join(METRICS)}")
    x, y = distances.feature_pair(real.features, fake.features)
    values: dict[str, float] = {}
    if "fid" in chosen:
        values["fid"] = distances.frechet(x, y)
    if "kid" in chosen:
        values["kid"], values["kid_error"] = distances.kid(x, y)
    if real.probabilities is not None and fake.probabilities is not None:
        if "is" in chosen:
            values["is"] = scores.inception_score(fake.probabilities).mean
        if "mode_score" in chosen:
            values["mode_score"] = scores.mode_score(real.probabilities, fake.probabilities)
    elif metrics is not None and chosen & {"is", "mode_score"}:
        raise BrushworkError(
            "'is' and 'mode_score' need probabilities, and this feature space has no classes; "
            "leave them out of `metrics` or use another space"
        )
    counts = {"n_real": len(x), "n_fake": len(y)}
    if chosen - {"fid", "kid", "is", "mode_score"}:
        size = counts["n_pairs"] = min(len(x), len(y), num_pairs)
        values |= _metrics_of_pairs(_sample(x, size, seed), _sample(y, size, seed), chosen)
    return values | counts


def leak_check(
    train: Features, fake: Features, held_out: Features | None = None
) -> dict[str, float]:
    """Measure how many fakes are copies of training images.

    Both values are about 0.5 for fakes that are as new as other paintings of the same kind.

    Args:
        train: features of the training images (N, D).
        fake: features of the fakes (M, D).
        held_out: features of real images that were not trained on (H, D).

    Returns:
        `authenticity`, which is 0 if all fakes are copies; and, if `held_out` is given, `copying`,
        which is 1 if all fakes are copies.
    """
    values = {"authenticity": distances.authenticity(train.features, fake.features)}
    if held_out is not None:
        values["copying"] = distances.copying(train.features, held_out.features, fake.features)
    return values


def label_check(
    fake: Features,
    real: Features,
    labels: Sequence[str],
    expected: Sequence[str] = (),
    intended: Sequence[str] = (),
) -> tuple[dict[str, float], dict[str, float]]:
    """Measure which labels a classifier gives to the fakes, and how confident it is.

    Args:
        fake: features and probabilities (M, K) of the fakes.
        real: features and probabilities of real images, ideally of images that the classifier was
            not trained on.
        labels: names of the K classes.
        expected: labels that are right for every fake.
        intended: the right label of each fake (M,), for a generator with several classes.

    Returns:
        Metrics, and the share of the fakes with each label, largest first. The metrics are
        `label_entropy` and `confidence` of the fakes; `label_entropy_real` and `confidence_real` of
        the real images; `agreement`, if labels are `expected`; `intended` and
        `intended_by_chance`, if labels are `intended`. See `brushwork.metrics.scores`.

    Raises:
        BrushworkError: there are no probabilities.
    """
    if fake.probabilities is None or real.probabilities is None:
        raise BrushworkError(
            "the label check needs probabilities, and this feature space has no classes; "
            "use the space of a classifier"
        )
    of_fakes = scores.predicted_labels(fake.probabilities, labels, expected)
    of_reals = scores.predicted_labels(real.probabilities, labels)
    values = {
        "label_entropy": of_fakes.entropy,
        "label_entropy_real": of_reals.entropy,
        "confidence": of_fakes.confidence,
        "confidence_real": of_reals.confidence,
    }
    if of_fakes.agreement is not None:
        values["agreement"] = of_fakes.agreement
    if intended:
        share, chance = scores.intended_labels(fake.probabilities, labels, intended)
        values |= {"intended": share, "intended_by_chance": chance}
    return values, of_fakes.shares


def class_check(
    fake: Features,
    fake_labels: Sequence[str],
    test: Features,
    test_labels: Sequence[str],
    train: tuple[Features, Sequence[str]] | None = None,
) -> dict[str, float]:
    """Measure how well a classifier that is trained on fakes names the class of real images.

    Args:
        fake: features of the fakes (M, D).
        fake_labels: the class that each fake was generated for (M,).
        test: features of real images (N, D).
        test_labels: the class of each of them (N,).
        train: features and classes of other real images, to train a second classifier on.

    Returns:
        Accuracies in [0, 1]: `cas`, see `brushwork.metrics.scores.classification_accuracy_score`;
        `cas_by_chance`, the accuracy of always naming the most frequent class; and, with `train`,
        `cas_of_real`, the accuracy of a classifier that is trained on real images.
    """
    training_sets = {"cas": (fake, fake_labels)} | ({"cas_of_real": train} if train else {})
    values = {
        name: scores.classification_accuracy_score(x.features, labels, test.features, test_labels)
        for name, (x, labels) in training_sets.items()
    }
    values["cas_by_chance"] = max(Counter(test_labels).values()) / len(test_labels)
    return values


def best(values: Mapping[str, float], metric: str) -> set[str]:
    """Find the best values of a metric.

    Args:
        values: the metric's value by any name, such as a run's.
        metric: name of the metric, which determines whether low or high values are better.

    Returns:
        The names of the best values; none if all values are equal, if there is only one value, or
        if neither low nor high values are better.

    >>> best({"a": 3.0, "b": 2.0}, "fid")
    {'b'}
    """
    if metric not in LOWER_IS_BETTER | HIGHER_IS_BETTER | CLASS_ACCURACIES | HALF_IS_BETTER:
        return set()
    loss = {name: _badness(value, metric) for name, value in values.items()}
    least = min(loss.values(), default=0.0)
    winners = {name for name, value in loss.items() if value == least}
    return winners if len(winners) < len(values) else set()


def improves(value: float, earlier: Iterable[float], metric: str) -> bool:
    """Return whether a value of a metric is better than all earlier ones.

    Args:
        value: the new value.
        earlier: the earlier values; without any, the new one is the best.
        metric: name of the metric, which determines whether low or high values are better.

    >>> improves(2.0, [3.0, 2.5], "fid"), improves(2.0, [3.0, 2.5], "coverage")
    (True, False)
    """
    return all(_badness(value, metric) < _badness(other, metric) for other in earlier)


def by_space(
    reports: Mapping[str, Mapping[str, Mapping[str, float]]],
) -> dict[str, dict[str, Mapping[str, float]]]:
    """Turn {name: {space: {metric: value}}} into {space: {name: {metric: value}}}.

    >>> by_space({"a": {"pixels": {"fid": 3.0}}, "b": {"pixels": {"fid": 2.0}}})
    {'pixels': {'a': {'fid': 3.0}, 'b': {'fid': 2.0}}}
    """
    spaces = dict.fromkeys(space for report in reports.values() for space in report)
    return {
        space: {name: report[space] for name, report in reports.items() if space in report}
        for space in spaces
    }


def flat_metrics(metrics: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Flatten metrics by space to names "space/metric", for experiment trackers.

    >>> flat_metrics({"pixels": {"fid": 3.0, "kid": 0.1}})
    {'pixels/fid': 3.0, 'pixels/kid': 0.1}
    """
    return {
        f"{space}/{metric}": value
        for space, values in metrics.items()
        for metric, value in values.items()
    }


def _badness(value: float, metric: str) -> float:
    """Turn a metric into a number of which low values are better."""
    if metric in LOWER_IS_BETTER:
        return value
    return abs(value - 0.5) if metric in HALF_IS_BETTER else -value


def _metrics_of_pairs(x: Tensor, y: Tensor, chosen: set[str]) -> dict[str, float]:
    d = distances.pairwise(x, y)
    values: dict[str, float] = {}
    if "mmd" in chosen:
        values["mmd"] = distances.mmd(x, y, distances=d)
    if "emd" in chosen:
        values["emd"] = distances.wasserstein(x, y, distances=d)
    if "one_nn" in chosen:
        values["one_nn"], values["one_nn_real"], values["one_nn_fake"] = distances.one_nn(
            x, y, distances=d
        )
    if "precision_recall" in chosen:
        values["precision"], values["recall"] = distances.precision_recall(x, y, distances=d)
    if "density_coverage" in chosen:
        values["density"], values["coverage"] = distances.density_coverage(x, y, distances=d)
    return values


def _sample(x: Tensor, size: int, seed: int) -> Tensor:
    if len(x) == size:
        return x
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))
    return x[order[:size].to(x.device)]
