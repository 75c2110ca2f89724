"""Finish a trained classifier: the index of paintings, the discriminant analysis, calibration."""

import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from PIL import Image
from torch import Tensor

from brushwork.classifier.calibration import fit_calibration
from brushwork.classifier.discriminants import (
    Discriminants,
    familiarity,
    fit_discriminants,
    log_likelihoods,
)
from brushwork.classifier.identify import ArtistClassifier
from brushwork.classifier.network import Predictions
from brushwork.classifier.save import (
    KNOWN_RECALL,
    save_calibration,
    save_discriminants,
    save_index,
    validation_report,
)
from brushwork.metrics.classification import threshold_at_recall

if TYPE_CHECKING:
    import pandas as pd


def finish_classifier(
    folder: Path,
    pixels: NDArray[np.uint8],
    table: "pd.DataFrame",
    device: str | torch.device = "cpu",
    *,
    is_writer: bool = True,
    thumbnail_side: int = 64,
    validation_rows: ArrayLike | None = None,
) -> None:
    """Add the index, the discriminant analysis and the final calibration to a checkpoint.

    Args:
        folder: the checkpoint.
        pixels: (M, S, S, 3) uint8, with the side and fit of the classifier.
        table: the paintings of the index, by artist and title; its index is their row in `pixels`.
        device: where to run the network.
        is_writer: whether this process writes. Each process must call this function, because they
            share the predictions.
        thumbnail_side: side of the thumbnails in pixels; 0 for no thumbnails.
        validation_rows: rows that the network was not trained on; the discriminant analysis is
            weighed and calibrated on them. Without them there is no discriminant analysis, and the
            calibration of the network alone stays.

    Raises:
        BrushworkError: the checkpoint cannot be read or written.
    """
    classifier, rows = ArtistClassifier.from_pretrained(folder, device), table.index.to_numpy()
    predictions = classifier.predict_rows(pixels, rows, progress="index" if is_writer else "")
    if not is_writer:
        return
    paintings = list(zip(table["artist"], table["title"], strict=True))
    thumbnails = [thumbnail(pixels[row], thumbnail_side) for row in rows]
    save_index(folder, predictions.features, paintings, thumbnails)
    if validation_rows is None:
        return
    labels = torch.tensor([classifier.artists.index(artist) for artist in table["artist"]])
    is_validation = torch.from_numpy(np.isin(rows, validation_rows))
    discriminants = fit_discriminants(
        predictions.channel_statistics[~is_validation], labels[~is_validation]
    )
    save_discriminants(folder, discriminants)
    validation = Predictions(*(tensor[is_validation] for tensor in predictions))
    calibrate(classifier, folder, discriminants, validation, labels[is_validation])


def calibrate(
    classifier: ArtistClassifier,
    folder: Path,
    discriminants: Discriminants,
    validation: Predictions,
    labels: Tensor,
) -> None:
    """Calibrate network and discriminant analysis together, and set the threshold of "unknown".

    Args:
        classifier: opened from `folder`; it stays as it is.
        folder: the checkpoint to write to.
        discriminants: fitted on other paintings than these.
        validation: predictions for the N validation paintings.
        labels: (N,).
    """
    statistics, y = validation.channel_statistics, labels.numpy()
    likelihoods = log_likelihoods(statistics, discriminants)
    calibration = fit_calibration(validation.logits, y, likelihoods)
    scores = familiarity(statistics, discriminants).double().numpy()
    save_calibration(
        folder,
        classifier.config,
        calibration=calibration,
        threshold=threshold_at_recall(scores, KNOWN_RECALL),
        validation=validation_report(calibration.probabilities(validation.logits, likelihoods), y),
    )


def thumbnail(pixels: NDArray[np.uint8], side: int) -> bytes:
    """Encode a painting (S, S, 3) uint8 as a JPEG of `side` pixels; b"" if `side` is 0."""
    if not side:
        return b""
    file = io.BytesIO()
    small = Image.fromarray(pixels).resize((side, side), Image.Resampling.LANCZOS)
    small.save(file, "JPEG", quality=80)
    return file.getvalue()
