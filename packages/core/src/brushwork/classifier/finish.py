"""Finish a trained classifier: batch norms, index, discriminant analyses, calibration, strangers.

Everything is fitted on paintings as they are and as other collections would show them
(`brushwork.data.degradation`), because users have pictures of other collections.

K artists, B other artists, V validation pictures.
"""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from brushwork import checkpoint
from brushwork.classifier.answer import read_squares
from brushwork.classifier.card import model_card
from brushwork.classifier.discriminants import log_likelihoods
from brushwork.classifier.fit import Fitted, Labelled, fit_answers
from brushwork.classifier.identify import ArtistClassifier
from brushwork.classifier.network import (
    Predictions,
    Rows,
    concatenate,
    freeze_stages,
    normalise,
    trained_norms,
)
from brushwork.classifier.save import (
    read_network,
    save_calibration,
    save_discriminants,
    save_index,
    save_traits,
    validation_report,
)
from brushwork.classifier.traits import TRAITS, Trait, decade_of, fit_trait
from brushwork.data.degradation import Degraded
from brushwork.data.synthetic.other_pictures import KINDS, other_picture
from brushwork.training.ema import refresh_statistics

if TYPE_CHECKING:
    import pandas as pd

NUM_OTHER_PICTURES = 84
"""Pictures that are no paintings, to learn "none of these artists" from."""
SEED = 1
"""Decides how the paintings are degraded; those of other artists by the next seed."""
NUM_REFRESHED, REFRESHED_AT_ONCE = 1024, 64
"""Paintings from which batch-norm statistics are computed, and how many of them in a batch."""
UNFINISHED: dict[str, Any] = {
    "lda_weight": 0.0,
    "strangers": None,
    "operating_points": [],
    "traits": {},
}
"""What `config.json` says of a checkpoint without the files that `finish_classifier` adds."""
MAX_OTHER_ARTISTS, MAX_OTHER_PAINTINGS = 100, 30
"""Most other artists, and most paintings of each, that the discriminant analysis learns."""


def finish_classifier(
    folder: Path,
    pixels: NDArray[np.uint8],
    table: "pd.DataFrame",
    device: str | torch.device = "cpu",
    *,
    is_writer: bool = True,
    thumbnail_side: int = 64,
    validation_rows: ArrayLike | None = None,
    others: "pd.DataFrame | None" = None,
    predictions: tuple[Predictions, Predictions] | None = None,
) -> None:
    """Add the index, the discriminant analyses and the final calibration to a checkpoint.

    Args:
        folder: the checkpoint.
        pixels: (M, S, S, 3) uint8, with the side and fit of the classifier.
        table: the paintings of the index, by artist and title; its index is their row in `pixels`.
            It may also have the columns `style`, `genre` and `date`.
        device: where to run the network.
        is_writer: whether this process writes. Each process must call this function, because they
            share the predictions.
        thumbnail_side: side of the thumbnails in pixels; 0 for no thumbnails.
        validation_rows: rows that the network was not trained on; the discriminant analysis is
            weighed and calibrated on them. Without them there is no discriminant analysis, and the
            calibration of the network alone stays.
        others: paintings by artists whom the classifier does not name. They are examples of
            strangers.
        predictions: the network's predictions of the table's paintings as they are, and of
            `Degraded(pixels, SEED)`; by default they are computed.

    Raises:
        BrushworkError: the checkpoint cannot be read or written.
    """
    classifier, rows = ArtistClassifier.from_pretrained(folder, device), table.index.to_numpy()

    def predict(source: Rows, rows: NDArray[np.int64], what: str) -> Predictions:
        return classifier.predict_rows(source, rows, progress=what if is_writer else "")

    plain, degraded = predictions or (predict(pixels, rows, "index"), None)
    if is_writer:
        paintings = list(zip(table["artist"], table["title"], strict=True))
        thumbnails = [thumbnail(pixels[row], thumbnail_side) for row in rows]
        save_index(folder, plain.features, paintings, thumbnails)
    if validation_rows is None:
        return
    degraded = degraded or predict(Degraded(pixels, SEED), rows, "degraded")
    numbers = np.arange(NUM_OTHER_PICTURES)
    no_paintings = predict(OtherPictures(classifier.side, classifier.fit), numbers, "no paintings")
    drawn = Labelled(no_paintings, torch.from_numpy(numbers % len(KINDS)))
    chosen = choose_others(others)
    strange = None
    if len(chosen):
        other_rows = chosen.index.to_numpy()
        sources: list[Rows] = [pixels, Degraded(pixels, SEED + 1)]
        strange = concatenate([predict(source, other_rows, "others") for source in sources])
    if not is_writer:
        return

    artists = classifier.artists
    labels = torch.tensor([artists.index(artist) for artist in table["artist"]])
    is_validation = torch.from_numpy(np.isin(rows, np.asarray(validation_rows)))
    shown = Labelled(concatenate([plain, degraded]), labels.repeat(2))
    train, validation = shown.take(~is_validation.repeat(2)), shown.take(is_validation.repeat(2))
    other = None
    if strange is not None:
        names = sorted(set(chosen["artist"]))
        numbers = torch.tensor([names.index(artist) for artist in chosen["artist"]])
        other = Labelled(strange, numbers.repeat(2))
    fitted = fit_answers(train, validation, other, drawn, len(artists))
    traits = fit_traits(shown.predictions.channel_statistics, table, is_validation)
    write_answers(classifier, folder, fitted, traits, Labelled(plain, labels).take(is_validation))


def refresh_norms(
    folder: Path, pixels: NDArray[np.uint8], rows: NDArray[np.int64], device: str | torch.device
) -> None:
    """Compute the batch-norm statistics of a checkpoint anew, from whole training paintings.

    In training, the network sees crops of a smaller side and mixtures of paintings, whose
    statistics differ from those of the whole paintings that it is asked about (Touvron et al. 2019,
    "Fixing the train-test resolution discrepancy"). Frozen batch norms stay as they are.

    Args:
        folder: the checkpoint; it is replaced.
        pixels: (M, S, S, 3) uint8, with the side and fit of the classifier.
        rows: (R,) the training paintings; up to `NUM_REFRESHED` of them are seen, each as it is and
            degraded.
        device: where to run the network.

    Raises:
        BrushworkError: the checkpoint cannot be read or written.
    """
    config = checkpoint.load_config(folder)
    network = read_network(folder, config)
    freeze_stages(network, int(config["training"].get("freeze", 0)))
    norms = trained_norms(network)
    if not norms:
        return
    network.to(device)
    spread = rows[np.linspace(0, len(rows) - 1, min(len(rows), NUM_REFRESHED)).astype(int)]
    num_batches = max(len(spread) // REFRESHED_AT_ONCE, 1)
    sources: list[Rows] = [pixels, Degraded(pixels, SEED)]
    # Neighbours in the table are alike, so that a batch takes every n-th painting.
    batches = [(source, spread[i::num_batches]) for source in sources for i in range(num_batches)]

    def inputs() -> Iterator[tuple[Tensor]]:
        for source, batch in tqdm(batches, desc="batch norms", unit="batch", leave=False):
            images = torch.from_numpy(source[batch]).permute(0, 3, 1, 2).to(device)
            yield (normalise(images, config["mean"], config["std"]),)

    refresh_statistics(network, inputs(), norms)
    # The run may have finished before; its analyses are fitted anew, and measured anew.
    config |= UNFINISHED | {"results": {"validation": config["results"]["validation"]}}
    config.pop("recall_by_artist", None)
    checkpoint.save(network, folder, config, model_card(config))


def write_answers(
    classifier: ArtistClassifier,
    folder: Path,
    fitted: Fitted,
    traits: dict[str, Trait],
    validation: Labelled,
) -> None:
    """Write what was fitted into a checkpoint.

    Args:
        classifier: opened from `folder`; it stays as it is.
        folder: the checkpoint to write to.
        fitted: from `fit_answers`.
        traits: from `fit_traits`.
        validation: the V validation paintings as they are, for the results in the card.
    """
    statistics = validation.predictions.channel_statistics
    likelihoods = log_likelihoods(statistics, fitted.discriminants)[:, : len(classifier.artists)]
    probabilities = fitted.calibration.probabilities(validation.predictions.logits, likelihoods)
    save_discriminants(folder, fitted.discriminants)
    if traits:
        save_traits(folder, traits)
    save_calibration(
        folder,
        classifier.config,
        calibration=fitted.calibration,
        threshold=fitted.threshold,
        validation=validation_report(probabilities, validation.labels.numpy()),
        strangers=fitted.strangers,
        operating_points=fitted.operating_points,
        traits=traits,
    )


class OtherPictures:
    """Pictures that are no paintings, drawn when they are read: rows (N,) to (N, S, S, 3).

    They are encoded as JPEG, as paintings and the pictures of `identify` are.
    """

    def __init__(self, side: int, fit: Literal["crop", "squash"]) -> None:
        self.side = side
        self.fit: Literal["crop", "squash"] = fit

    def __getitem__(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Draw the pictures of rows (N,)."""
        drawn = [other_picture(int(row), self.side) for row in rows]
        return read_squares(drawn, self.side, self.fit)


def choose_others(others: "pd.DataFrame | None") -> "pd.DataFrame":
    """Choose up to `MAX_OTHER_PAINTINGS` paintings of the `MAX_OTHER_ARTISTS` largest artists."""
    import pandas as pd

    if others is None or others.empty:
        return pd.DataFrame({"artist": []})
    sizes = others["artist"].value_counts(sort=True)
    chosen = others.loc[others["artist"].isin(list(sizes.index[:MAX_OTHER_ARTISTS]))]
    return chosen.groupby("artist").head(MAX_OTHER_PAINTINGS)


def fit_traits(
    statistics: Tensor, table: "pd.DataFrame", is_validation: Tensor
) -> dict[str, Trait]:
    """Fit style, genre and decade, as far as the table has these columns.

    Args:
        statistics: (2 M, T) channel statistics of the M paintings of the table, as they are and
            then degraded.
        table: the paintings.
        is_validation: (M,) whether each one decides the calibration, instead of being learned.
    """
    columns = {name: list(table[name]) for name in ("style", "genre") if name in table}
    if "date" in table:
        columns["decade"] = [decade_of(date) for date in table["date"]]
    is_learned = (~is_validation).repeat(2)
    traits = {}
    for name in TRAITS:
        values = columns.get(name, []) * 2
        if not values:
            continue
        learned, held_out = (
            [values[int(row)] for row in mask.nonzero()] for mask in (is_learned, ~is_learned)
        )
        trait = fit_trait(statistics[is_learned], learned, statistics[~is_learned], held_out)
        if trait is not None:
            traits[name] = trait
    return traits


def thumbnail(pixels: NDArray[np.uint8], side: int) -> bytes:
    """Encode a painting (S, S, 3) uint8 as a JPEG of `side` pixels; b"" if `side` is 0."""
    if not side:
        return b""
    file = io.BytesIO()
    small = Image.fromarray(pixels).resize((side, side), Image.Resampling.LANCZOS)
    small.save(file, "JPEG", quality=80)
    return file.getvalue()
