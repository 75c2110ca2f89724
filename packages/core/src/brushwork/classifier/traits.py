"""Estimate the style, the genre and the decade of a painting from the classifier's features.

Each trait has its own linear discriminant analysis of the channel statistics, and its own
calibration. N paintings, T channel statistics, V values of a trait.
"""

import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from brushwork.classifier.answer import TRAITS as TRAITS
from brushwork.classifier.calibration import Calibration, fit_calibration
from brushwork.classifier.discriminants import Discriminants, fit_discriminants, log_likelihoods
from brushwork.metrics.classification import Floats

MIN_PICTURES = 40
"""Fewest training pictures of a value that is learned; each painting is two of them, as it is and
degraded."""


class Trait(NamedTuple):
    """Estimates one property of paintings.

    Attributes:
        values: the V values, sorted.
        discriminants: discriminant analysis with one mean a value.
        calibration: turns the log-likelihoods into probabilities.
    """

    values: tuple[str, ...]
    discriminants: Discriminants
    calibration: Calibration

    def probabilities(self, channel_statistics: Tensor) -> Floats:
        """Compute the probability (N, V) of each value from channel statistics (N, T)."""
        likelihoods = log_likelihoods(channel_statistics, self.discriminants)
        return self.calibration.probabilities(likelihoods)


def decade_of(date: str) -> str:
    """Return the decade of a date, or "" if the date has no year.

    >>> decade_of("1874.0"), decade_of("c.1630-35"), decade_of("19th century")
    ('1870s', '1630s', '')
    """
    year = re.search(r"(?<!\d)(1\d{3}|20\d{2})(?!\d)", date)
    return f"{year[0][:3]}0s" if year else ""


def fit_trait(
    channel_statistics: Tensor,
    values: Sequence[str],
    validation_statistics: Tensor,
    validation_values: Sequence[str],
) -> Trait | None:
    """Learn one property of paintings.

    Args:
        channel_statistics: (N, T) of training pictures.
        values: (N,) of these pictures; "" where unknown. Values of fewer than `MIN_PICTURES`
            pictures are left out.
        validation_statistics: (M, T) of other pictures, which decide the calibration.
        validation_values: (M,) of these.

    Returns:
        The trait; None if fewer than two values have enough pictures, or if no validation picture
        has one of them.
    """
    sizes = Counter(values)
    names = tuple(sorted(v for v, size in sizes.items() if v and size >= MIN_PICTURES))
    label = {name: number for number, name in enumerate(names)}
    rows, validation_rows = (
        [row for row, value in enumerate(column) if value in label]
        for column in (values, validation_values)
    )
    if len(names) < 2 or not validation_rows:
        return None
    labels = torch.tensor([label[values[row]] for row in rows])
    discriminants = fit_discriminants(channel_statistics[rows], labels)
    likelihoods = log_likelihoods(validation_statistics[validation_rows], discriminants)
    validation_labels = np.array([label[validation_values[row]] for row in validation_rows])
    return Trait(names, discriminants, fit_calibration(likelihoods, validation_labels))
