"""Fit everything that turns a network's predictions into answers.

The discriminant analysis is fitted on training paintings, and on pictures that are no paintings;
calibration, the probability of "none" and the operating points on validation paintings.

K artists, B other artists, N pictures, S scores of strangeness.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from brushwork.classifier.calibration import Calibration, fit_calibration
from brushwork.classifier.discriminants import (
    Discriminants,
    familiarity,
    fit_discriminants,
    log_likelihoods,
)
from brushwork.classifier.network import Predictions
from brushwork.classifier.strangers import (
    Strangers,
    fit_strangers,
    mixed_curve,
    operating_points,
    strangeness,
    typical_strangers,
)
from brushwork.metrics.classification import Floats, threshold_at_recall

DRAWN_SHARE = 0.1
"""How much the pictures count that are no paintings, compared with all paintings by strangers."""
EVEN = 0.5
"""The threshold of the known score where this is 1 minus the probability of "none"."""
NUM_FOLDS = 5
"""Groups of artists that are left out in turn, to be strangers."""


class Labelled(NamedTuple):
    """Predictions of N pictures and their labels (N,), from 0 on."""

    predictions: Predictions
    labels: Tensor

    def take(self, rows: Tensor) -> "Labelled":
        """Select pictures by their numbers, or by a mask."""
        return Labelled(Predictions(*(t[rows] for t in self.predictions)), self.labels[rows])


class Fitted(NamedTuple):
    """What `fit_answers` learns of a network's predictions; see `ArtistClassifier`."""

    discriminants: Discriminants
    calibration: Calibration
    threshold: float
    strangers: Strangers | None
    operating_points: list[tuple[float, float]]


class Scored(NamedTuple):
    """Pictures that were judged while some artists were left out.

    Attributes:
        strangeness: scores (N, S).
        confidence: (N,) the highest probability if one of the artists painted the picture.
        correct: (N,) whether this artist is the right one.
    """

    strangeness: Floats
    confidence: Floats
    correct: np.ndarray


def fit_answers(
    train: Labelled,
    validation: Labelled,
    others: Labelled | None,
    drawn: Labelled,
    num_artists: int,
) -> Fitted:
    """Fit the discriminant analysis, the calibration and the probability of "none".

    Args:
        train: training paintings of the K artists.
        validation: their validation pictures.
        others: paintings by B other artists; None for none. Fewer than `NUM_FOLDS` other artists
            are too few to learn from, and are not used.
        drawn: pictures that are no paintings, with their kinds as labels. The discriminant analysis
            learns these kinds as further classes, so that pictures unlike all paintings count as
            strange.
        num_artists: K.
    """
    if others is not None and int(others.labels.max()) + 1 < NUM_FOLDS:
        others = None
    discriminants = _fit_discriminants(train, others, drawn)
    statistics = validation.predictions.channel_statistics
    likelihoods = log_likelihoods(statistics, discriminants)[:, :num_artists]
    calibration = fit_calibration(validation.predictions.logits, validation.labels, likelihoods)
    scores = familiarity(statistics, discriminants, num_artists).double().numpy()
    threshold = threshold_at_recall(scores)

    trials = list(leave_artists_out(train, validation, others, drawn, calibration, num_artists))
    if not trials:
        return Fitted(discriminants, calibration, threshold, None, [])
    known, strange = (_join(side) for side in zip(*trials, strict=True))
    if others is None:
        strangers = typical_strangers(_score(*validation, discriminants, calibration).strangeness)
    else:
        nothing = _score(drawn.predictions, None, discriminants, calibration)
        weights = np.append(
            np.ones(len(strange.confidence)),
            np.full(
                len(nothing.confidence),
                DRAWN_SHARE * len(strange.confidence) / max(len(nothing.confidence), 1),
            ),
        )
        strangers = fit_strangers(
            known.strangeness, np.concatenate([strange.strangeness, nothing.strangeness]), weights
        )
    confidences = [
        side.confidence * (1 - strangers.probability(side.strangeness)) for side in (known, strange)
    ]
    points = operating_points(mixed_curve(confidences[0], known.correct, confidences[1]))
    return Fitted(discriminants, calibration, EVEN, strangers, points)


def leave_artists_out(
    train: Labelled,
    validation: Labelled,
    others: Labelled | None,
    drawn: Labelled,
    calibration: Calibration,
    num_artists: int,
) -> Iterator[tuple[Scored, Scored]]:
    """Judge paintings by artists whom the discriminant analysis does not know.

    Groups of the other artists are left out in turn; without other artists, groups of the K artists
    are. The network was trained on these, so they are a little too easy. Nothing can be left out of
    two artists.

    Yields:
        The validation pictures of the artists that are left, and the pictures of those left out.
    """
    if others is not None:
        fold_of = torch.arange(int(others.labels.max()) + 1) % NUM_FOLDS
        for fold in range(NUM_FOLDS):
            is_out = fold_of[others.labels] == fold
            numbers = (fold_of != fold).cumsum(0) - 1  # of those that stay
            kept = others.take(~is_out)
            kept = kept._replace(labels=numbers[kept.labels])
            discriminants = _fit_discriminants(train, kept, drawn)
            yield (
                _score(*validation, discriminants, calibration),
                _score(others.take(is_out).predictions, None, discriminants, calibration),
            )
        return
    folds = min(NUM_FOLDS, num_artists)
    fold_of = torch.arange(num_artists) % folds
    for fold in range(folds if num_artists > 2 else 0):
        stays = fold_of != fold
        numbers = stays.cumsum(0) - 1
        discriminants = _fit_discriminants(_of_artists(train, stays, numbers), None, drawn)
        left = calibration._replace(biases=np.asarray(calibration.biases)[stays.numpy()].tolist())
        known = _of_artists(validation, stays, numbers)
        strange = validation.take(~stays[validation.labels])
        logits = strange.predictions.logits[:, stays]
        yield (
            _score(*known, discriminants, left),
            _score(strange.predictions._replace(logits=logits), None, discriminants, left),
        )


def _of_artists(pictures: Labelled, stays: Tensor, numbers: Tensor) -> Labelled:
    """Keep the pictures and the logits of some artists, and number these artists anew."""
    kept = pictures.take(stays[pictures.labels])
    logits = kept.predictions.logits[:, stays]
    return Labelled(kept.predictions._replace(logits=logits), numbers[kept.labels])


def _fit_discriminants(train: Labelled, others: Labelled | None, drawn: Labelled) -> Discriminants:
    """Fit the analysis to the artists, then the other artists, then the kinds of drawn pictures."""
    parts = [part for part in (train, others, drawn) if part is not None]
    statistics = torch.cat([part.predictions.channel_statistics for part in parts])
    labels, first = [], 0
    for part in parts:
        labels.append(part.labels + first)
        first += int(part.labels.max()) + 1
    return fit_discriminants(statistics, torch.cat(labels))


def _score(
    predictions: Predictions,
    labels: Tensor | None,
    discriminants: Discriminants,
    calibration: Calibration,
) -> Scored:
    """Judge pictures with these labels; None if they are by none of the artists."""
    statistics, num_artists = predictions.channel_statistics, predictions.logits.shape[1]
    likelihoods = log_likelihoods(statistics, discriminants).numpy()
    probabilities = calibration.probabilities(predictions.logits, likelihoods[:, :num_artists])
    return Scored(
        strangeness(
            predictions.logits,
            probabilities,
            likelihoods,
            familiarity(statistics, discriminants, num_artists),
        ),
        probabilities.max(1),
        probabilities.argmax(1) == (-1 if labels is None else labels.numpy()),
    )


def _join(parts: tuple[Scored, ...]) -> Scored:
    return Scored(*(np.concatenate(column) for column in zip(*parts, strict=True)))
