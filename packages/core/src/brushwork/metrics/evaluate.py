"""Every metric of one feature space at once, as the dict that a run logs and a report prints."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

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


# Of equal draws from one distribution a classifier is right half of the time.
HALF_IS_BETTER = frozenset({"one_nn"})


LOWER_IS_BETTER = frozenset({"fid", "kid", "mmd", "emd"})


HIGHER_IS_BETTER = frozenset({"is", "mode_score", "precision", "recall", "density", "coverage"})


# Of `label_check` and `class_check`: how often fakes are of the class they were meant for.
MORE_ARE_RIGHT = frozenset({"agreement", "intended", "cas"})


LEAST = 6
"""Of each side: balls to the fifth nearest neighbour want so many."""


def require_enough(num_real: int, num_fake: int, num_pairs: int = 1000) -> None:
    """Say before the work that there are too few images for all of `METRICS`.

    Raises:
        BrushworkError: there are fewer than `LEAST` of one side, or of those that are paired.

    >>> require_enough(12, 5)
    Traceback (most recent call last):
    brushwork.errors.BrushworkError: metrics need at least 6 fakes, not 5
    """
    numbers = {
        "real images": num_real,
        "fakes": num_fake,
        "images of each side (--num-pairs)": num_pairs,
    }
    for what, num in numbers.items():
        if num < LEAST:
            raise BrushworkError(f"metrics need at least {LEAST} {what}, not {num}")


def evaluate(
    real: Features,
    fake: Features,
    space: str,
    *,
    metrics: Collection[str] | None = None,
    num_pairs: int = 1000,
    seed: int = 0,
) -> dict[str, float]:
    """All of `METRICS`, or those named, with the space in each key and the counts beside them.

    FID, KID, IS and mode score read every image. The others read the distances of all pairs, and
    take `num_pairs` images of each side at most, equally many of both, drawn by `seed` and told as
    `n_pairs`. Without probabilities there is no IS and no mode score.
    """
    chosen: set[str] = set(METRICS) if metrics is None else set(metrics)
    if unknown := sorted(chosen - set(METRICS)):
        raise BrushworkError(f"no metric {unknown[0]!r}; there are {', '.join(METRICS)}")
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
            f"space {space!r} gives no probabilities, which IS and mode score need"
        )
    counts = {"n_real": len(x), "n_fake": len(y)}
    if chosen - {"fid", "kid", "is", "mode_score"}:
        counts["n_pairs"] = min(len(x), len(y), num_pairs)
        values |= _of_pairs(
            _sample(x, counts["n_pairs"], seed), _sample(y, counts["n_pairs"], seed), chosen
        )
    return {f"{name}_{space}": value for name, value in values.items()} | counts


def leak_check(
    train: Features, fake: Features, space: str, held_out: Features | None = None
) -> dict[str, float]:
    """How much of the fakes is copied: `authenticity`, and `copying` given held-out images.

    Both are about 0.5 for paintings that are as new as those of the training set are to each other;
    copies drive authenticity to 0 and copying to 1.
    """
    values = {f"authenticity_{space}": distances.authenticity(train.features, fake.features)}
    if held_out is not None:
        values[f"copying_{space}"] = distances.copying(
            train.features, held_out.features, fake.features
        )
    return values


def label_check(
    fake: Features,
    real: Features,
    labels: Sequence[str],
    expected: Sequence[str],
    space: str,
    intended: Sequence[str] = (),
) -> tuple[dict[str, float], dict[str, float]]:
    """What a classifier sees in the fakes: numbers for the report, and the share of each label.

    Its confidence on the fakes is told beside that on the real images: best such that it was not
    trained on. `expected` are the labels that all fakes were meant for; `intended`, where a painter
    of many classes painted them, is the label that each was meant for.
    """
    if fake.probabilities is None or real.probabilities is None:
        raise BrushworkError(f"space {space!r} gives no probabilities, so it sees no labels")
    ours = scores.predicted_labels(fake.probabilities, labels, expected)
    theirs = scores.predicted_labels(real.probabilities, labels)
    values = {
        "label_entropy": ours.entropy,
        "label_entropy_real": theirs.entropy,
        "confidence": ours.confidence,
        "confidence_real": theirs.confidence,
    }
    if ours.agreement is not None:
        values["agreement"] = ours.agreement
    if intended:
        hits, chance = scores.intended_labels(fake.probabilities, labels, intended)
        values |= {"intended": hits, "intended_by_chance": chance}
    return {f"{name}_{space}": value for name, value in values.items()}, ours.shares


def class_check(
    fake: Features,
    fake_labels: Sequence[str],
    test: Features,
    test_labels: Sequence[str],
    space: str,
    train: tuple[Features, Sequence[str]] | None = None,
) -> dict[str, float]:
    """What fakes teach: `cas`, the accuracy on real paintings of a classifier of fakes.

    Beside it `cas_by_chance`, of always naming the commonest class, and, given real paintings to
    `train` on and their labels, `cas_of_real`, of the same classifier trained on these. See
    `brushwork.metrics.scores.classification_accuracy_score`; all are in [0, 1].
    """
    teachers = {"cas": (fake, fake_labels)} | ({"cas_of_real": train} if train else {})
    values = {
        name: scores.classification_accuracy_score(x.features, labels, test.features, test_labels)
        for name, (x, labels) in teachers.items()
    }
    values["cas_by_chance"] = max(Counter(test_labels).values()) / len(test_labels)
    return {f"{name}_{space}": value for name, value in values.items()}


def best(reports: Mapping[str, Mapping[str, float]], key: str, space: str) -> set[str]:
    """The names of the reports whose number `key` is the best; none where nothing is compared.

    >>> best({"a": {"fid_x": 3.0}, "b": {"fid_x": 2.0}}, "fid_x", "x")
    {'b'}
    """
    metric = key.removesuffix(f"_{space}")
    values = {name: report[key] for name, report in reports.items() if key in report}
    if metric in LOWER_IS_BETTER:
        loss = values
    elif metric in HIGHER_IS_BETTER | MORE_ARE_RIGHT:
        loss = {name: -value for name, value in values.items()}
    elif metric in HALF_IS_BETTER:
        loss = {name: abs(value - 0.5) for name, value in values.items()}
    else:
        return set()
    least = min(loss.values(), default=0.0)
    winners = {name for name, value in loss.items() if value == least}
    return winners if len(winners) < len(values) else set()


def _of_pairs(x: Tensor, y: Tensor, chosen: set[str]) -> dict[str, float]:
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
    return x[
        torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))[:size].to(x.device)
    ]
