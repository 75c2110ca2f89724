"""Evaluate a classifier as the code of 2019 did, and correctly, side by side.

    uv run experiments/evaluate_as_2019.py runs/classifier/classifier --data paintings/

The code of 2019 had two mistakes. Its test loop read the training loader: paintings that the
network was trained on, in random crops. And its test set took the artists from the training rows,
so the test loader would have had wrong labels for most paintings. `report.json` in --out contains:
    honest           test paintings, whole
    test in crops    test paintings in random crops: the effect of the crops alone
    trained on       training paintings, whole: the effect of training paintings alone
    as in 2019       training paintings in random crops
    labels of 2019   test paintings, whole, with the artists of the first training rows
"""

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import tyro
from accelerate import Accelerator
from numpy.typing import NDArray
from tqdm import trange

from brushwork.classifier.identify import ArtistClassifier
from brushwork.classifier.network import Predictions, concatenate, predict
from brushwork.classifier.views import TrainingViews, Views
from brushwork.data.open import open_data
from brushwork.data.prepared import PreparedPaintings
from brushwork.data.selection import select
from brushwork.errors import BrushworkError, report_errors
from brushwork.files import write_json
from brushwork.metrics.classification import classification_report
from brushwork.report.pages import text_table
from brushwork.training.distributed import check_launch
from brushwork.training.launcher import follow_launcher
from brushwork.training.threads import use_all_cores
from settings import BatchSize, Seed, check_report_folder, read_flags, report_data

CROPS = Views(min_area=0.08)  # the default of torchvision's RandomResizedCrop


@dataclass(frozen=True)
class Config:
    """Settings: the classifier to evaluate, and the paintings."""

    classifier: tyro.conf.Positional[str]
    """The classifier's checkpoint folder, or its name on the Hugging Face Hub."""
    data: str = "synthetic"
    """The data that the classifier was trained on; see --data of train_classifier.py."""
    batch_size: BatchSize = 32
    """Crops in a batch."""
    seed: Seed = 0
    """Decides the random crops."""
    out: Path = Path("runs/evaluation-2019")


class Labelled(NamedTuple):
    """Predictions for N paintings, and their labels (N,)."""

    predictions: Predictions
    labels: NDArray[np.int64]

    def first(self, num: int) -> "Labelled":
        """Keep the first `num` paintings."""
        return Labelled(Predictions(*(part[:num] for part in self.predictions)), self.labels[:num])


def main(cfg: Config) -> None:
    """Predict training and test paintings, whole and in crops; compare with different labels."""
    check_launch()
    follow_launcher()
    accelerator = Accelerator()
    use_all_cores()
    check_report_folder(cfg.out, cfg.classifier)
    classifier = ArtistClassifier.from_pretrained(cfg.classifier, accelerator.device)
    paintings = open_training_data(cfg, classifier)
    pixels = paintings.pixels(classifier.side, classifier.fit)
    rows = split_rows(classifier, paintings)
    whole, crops = {}, {}
    for split in ("train", "test"):
        labels = artist_labels(classifier, paintings, rows[split])
        predictions = classifier.predict_rows(pixels, rows[split], progress=split)
        whole[split] = Labelled(predictions, labels)
        crops[split] = predict_crops(
            classifier, pixels, rows[split], labels, batch_size=cfg.batch_size, seed=cfg.seed
        )
    accelerator.end_training()
    if not accelerator.is_main_process:
        return

    num = min(len(rows["train"]), len(rows["test"]))
    wrong_labels = whole["train"].labels[:num]
    evaluations = {
        "honest": whole["test"],
        "test in crops": crops["test"],
        "trained on": whole["train"],
        "as in 2019": crops["train"],
        "labels of 2019": whole["test"].first(num)._replace(labels=wrong_labels),
    }
    reports = {
        name: classification_report(classifier.calibrated(each.predictions), each.labels)
        for name, each in evaluations.items()
    }
    cfg.out.mkdir(parents=True, exist_ok=True)
    write_json(cfg.out / "report.json", {"settings": asdict(cfg), "reports": reports})
    print(text_table(reports), f"full report: {cfg.out / 'report.json'}", sep="\n")


def open_training_data(cfg: Config, classifier: ArtistClassifier) -> PreparedPaintings:
    """Open the data, which must be the classifier's training data.

    Raises:
        BrushworkError: it is other data, so which paintings the network was trained on is unknown.
    """
    paintings = open_data(cfg.data)
    report_data(paintings.describe())
    if paintings.fingerprint != classifier.config["training"]["fingerprint"]:
        raise BrushworkError(
            f"{cfg.classifier} was not trained on {cfg.data}; pass the classifier's training data "
            "as `data`"
        )
    return paintings


def split_rows(
    classifier: ArtistClassifier, paintings: PreparedPaintings
) -> dict[str, NDArray[np.int64]]:
    """Split the rows of the classifier's artists into train (with validation) and test."""
    training = classifier.config["training"]
    table = select(
        paintings.table, genre=training.get("genre", ()), style=training.get("style", ())
    )
    table = table.loc[table["artist"].isin(classifier.artists)]
    return {split: table.index[table["split"] == split].to_numpy() for split in ("train", "test")}


def artist_labels(
    classifier: ArtistClassifier, paintings: PreparedPaintings, rows: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return the artists of N rows as labels (N,) of the classifier."""
    label = {artist: number for number, artist in enumerate(classifier.artists)}
    return paintings.table["artist"].loc[rows].map(label).to_numpy()


def predict_crops(
    classifier: ArtistClassifier,
    pixels: NDArray[np.uint8],
    rows: NDArray[np.int64],
    labels: NDArray[np.int64],
    *,
    batch_size: int,
    seed: int,
) -> Labelled:
    """Predict one random crop of each of N rows; their order is shuffled."""
    views = TrainingViews(
        pixels,
        rows=rows,
        labels=labels,
        num_artists=len(classifier.artists),
        batch_size=batch_size,
        side=lambda _: classifier.side,
        views=CROPS,
        seed=seed,
    )
    device = next(classifier.network.parameters()).device
    mean, std = classifier.config["mean"], classifier.config["std"]
    predictions, targets = [], []
    with torch.no_grad():
        for step in trange(math.ceil(len(rows) / batch_size), desc="crops"):
            images, target = views[step]
            predictions.append(predict(classifier.network, images.to(device), mean, std))
            targets.append(target.argmax(1))
    return Labelled(concatenate(predictions), torch.cat(targets).numpy()).first(len(rows))


if __name__ == "__main__":
    with report_errors(Config):
        main(read_flags(Config, __doc__))
