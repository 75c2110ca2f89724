"""classifier.finish."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from brushwork import checkpoint
from brushwork.classifier.calibration import fit_calibration
from brushwork.classifier.discriminants import familiarity, fit_discriminants, log_likelihoods
from brushwork.metrics import classification

if TYPE_CHECKING:
    import pandas as pd
from brushwork.classifier.identify import ArtistClassifier
from brushwork.classifier.save import (
    model_card,
    replace_tensors,
    save_index,
    small_jpeg,
    validation_report,
)


def index_paintings(
    folder: Path,
    pixels: NDArray[np.uint8],
    table: "pd.DataFrame",
    device: str | torch.device = "cpu",
    is_writer: bool = True,
    thumbnail_side: int = 64,
    aside: ArrayLike | None = None,
) -> None:
    """Add the index of paintings to a checkpoint, and what their traits tell of an artist.

    By the traits of the paintings it tells "unknown", and calibrates anew: a linear discriminant
    analysis of them is a second opinion, worth as much as the paintings kept aside say. Every
    process takes its share of the looking.

    Args:
        folder: of the checkpoint.
        pixels: (M, S, S, 3) uint8, of its side and fit.
        table: the paintings to find again, with their row in the pixels as index.
        device: where to look.
        is_writer: one process writes.
        thumbnail_side: pixels of the small pictures; 0 for none.
        aside: rows of the paintings that were not trained on, 95 % of which shall pass as known;
            without them, the network alone tells artists, and its best probability "unknown".
    """
    known, rows = ArtistClassifier.from_pretrained(folder, device), table.index.to_numpy()
    seen = known.predict_rows(pixels, rows, progress="index" if is_writer else "")
    if is_writer:
        size = (thumbnail_side, thumbnail_side)
        small = [small_jpeg(pixels[row], size) if thumbnail_side else b"" for row in rows]
        save_index(
            folder, seen.features, list(zip(table["artist"], table["title"], strict=True)), small
        )
    if is_writer and aside is not None:
        learned = torch.from_numpy(~np.isin(rows, aside))
        labels = torch.tensor([known.artists.index(artist) for artist in table["artist"]])
        discriminants = fit_discriminants(seen.traits[learned], labels[learned])
        traits, logits, y = seen.traits[~learned], seen.logits[~learned], labels[~learned]
        likelihoods = log_likelihoods(traits, discriminants)
        calibration = fit_calibration(logits, y, likelihoods)
        validation = validation_report(calibration.probabilities(logits, likelihoods), y.numpy())
        known_by = familiarity(traits, discriminants).double().numpy()
        config = {
            **known.config,
            **calibration._asdict(),
            "threshold": classification.threshold_at_recall(known_by, 0.95),
            "results": known.config["results"] | {"validation": validation},
        }
        replace_tensors(folder / checkpoint.DISCRIMINANTS, discriminants._asdict())
        checkpoint.update_config(folder, config, model_card(config))
