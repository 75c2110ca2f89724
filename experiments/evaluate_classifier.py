"""Measure an artist classifier on training, validation and test paintings.

    uv run experiments/evaluate_classifier.py runs/classifier/classifier --data paintings/

Several GPUs share the work under `accelerate launch` instead of `uv run`. The folder --out receives
`report.json`, `report.html` (a page with all numbers and figures), a table per artist, the
confusion matrix as CSV and as a figure, the most confident mistakes, and the reliability diagram.
Test paintings by artists that the classifier was not trained on measure how well it detects
"unknown". --update-card writes the results into the checkpoint's model card.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import numpy as np
import pandas as pd
import tyro
from accelerate import Accelerator
from numpy.typing import NDArray
from PIL import Image

from brushwork.checkpoint import locate, update_config
from brushwork.classifier.calibration import softmax
from brushwork.classifier.card import model_card
from brushwork.classifier.identify import ArtistClassifier
from brushwork.classifier.network import Predictions
from brushwork.data.open import open_data
from brushwork.data.prepared import PreparedPaintings
from brushwork.data.selection import hold_out_validation, select
from brushwork.errors import BrushworkError, report_errors
from brushwork.files import write_json, write_text
from brushwork.metrics import classification as measure
from brushwork.report import figures
from brushwork.report.pages import html_page, text_table
from brushwork.training.distributed import check_launch
from brushwork.training.launcher import follow_launcher
from brushwork.training.threads import use_all_cores
from settings import Range, read_flags, report_data

Intervals = dict[str, tuple[float, float]]


@dataclass(frozen=True)
class Config:
    """Settings: the classifier to measure, and the paintings."""

    classifier: tyro.conf.Positional[str]
    """The classifier's checkpoint folder, or its name on the Hugging Face Hub."""
    data: str = "synthetic"
    """The training data, or other data with the same artists; see --data of train_classifier.py."""
    splits: tuple[Literal["train", "validation", "test"], ...] = ("train", "validation", "test")
    """The splits to measure."""
    views: Literal[0, 1, 2, 10] = 0
    """Views of each painting to average over; 0 for the number in the checkpoint."""
    resamples: Annotated[int, Range(1, 1_000_000)] = 1000
    """Number of bootstrap samples for the 95 % intervals."""
    update_card: bool = False
    """Write the results into the checkpoint, which must be a local folder."""
    out: Path = Path("runs/classifier-evaluation")


class Evaluated(NamedTuple):
    """The predictions of a split.

    Attributes:
        rows: rows (N,) of the paintings in the data.
        labels: the right labels (N,).
        uncalibrated: probabilities (N, K) of the network alone.
        probabilities: calibrated probabilities (N, K).
        known_scores: scores (N,) of `ArtistClassifier.known_score`.
    """

    rows: NDArray[np.int64]
    labels: NDArray[np.int64]
    uncalibrated: NDArray[np.float64]
    probabilities: NDArray[np.float64]
    known_scores: NDArray[np.float64]


def main(cfg: Config) -> None:
    """Compute the predictions in all processes; measure them and write the report in one."""
    check_launch()
    follow_launcher()
    accelerator = Accelerator()
    use_all_cores()
    classifier = ArtistClassifier.from_pretrained(cfg.classifier, accelerator.device)
    paintings = open_data(cfg.data)
    report_data(paintings.describe())
    predictions, rows = predict_splits(cfg, classifier, paintings, accelerator.is_main_process)
    accelerator.end_training()
    if not accelerator.is_main_process:
        return
    splits = {
        name: evaluate(classifier, paintings, predictions[name], rows[name])
        for name in cfg.splits
        if name in predictions
    }
    if not splits:
        raise BrushworkError(
            f"{cfg.data} has no {' or '.join(cfg.splits)} paintings of the classifier's artists; "
            "choose other `splits` or other `data`"
        )
    unknown_scores = (
        classifier.known_score(predictions["unknown"]) if "unknown" in predictions else None
    )
    reports = {
        name: measure_split(name, split, classifier.threshold, unknown_scores)
        for name, split in splits.items()
    }
    intervals: dict[str, Intervals] = {
        name: measure.bootstrap_intervals(
            split.probabilities, split.labels, resamples=cfg.resamples
        )
        for name, split in splits.items()
    }

    # Tables and figures show the strictest split: test, else validation, else train.
    shown = [name for name in ("train", "validation", "test") if name in splits][-1]
    cfg.out.mkdir(parents=True, exist_ok=True)
    confusion = write_tables(cfg.out, classifier, splits[shown])
    drawn = draw_figures(cfg.out, classifier, paintings, splits[shown], confusion)
    notes = describe(cfg, classifier, paintings, reports, intervals)
    confused = measure.most_confused(confusion, classifier.artists)[:5]
    notes.append(
        f"Figures: the {shown} paintings. Most often confused (artist, predicted artist, "
        f"paintings): {'; '.join(f'{a}, {b}, {n}' for n, a, b in confused)}"
    )
    page = html_page("Artist classifier", {"": reports}, drawn, notes)
    write_text(cfg.out / "report.html", page)
    write_json(
        cfg.out / "report.json",
        {"settings": asdict(cfg), "reports": reports, "intervals": intervals, "notes": notes},
    )
    if cfg.update_card:
        results = classifier.config["results"] | reports
        config = classifier.config | {"results": results}
        update_config(locate(cfg.classifier), config, model_card(config))
    print(text_table(reports), *notes, f"full report: {cfg.out / 'report.html'}", sep="\n")


def predict_splits(
    cfg: Config, classifier: ArtistClassifier, paintings: PreparedPaintings, is_writer: bool
) -> tuple[dict[str, Predictions], dict[str, NDArray[np.int64]]]:
    """Predict the chosen splits and the paintings by unknown artists.

    Returns:
        Predictions and rows by split; a split without paintings is left out.
    """
    pixels = paintings.pixels(classifier.side, classifier.fit)
    parts = split_rows(classifier, paintings)
    rows = {name: parts[name] for name in (*cfg.splits, "unknown") if len(parts[name])}
    predictions = {
        name: classifier.predict_rows(
            pixels, rows[name], num_views=cfg.views, progress=name if is_writer else ""
        )
        for name in rows
    }
    return predictions, rows


def split_rows(
    classifier: ArtistClassifier, paintings: PreparedPaintings
) -> dict[str, NDArray[np.int64]]:
    """Split the rows of the classifier's artists as in its training.

    Returns:
        Rows by name: train, validation, test, and `unknown` for test rows of other artists. Data
        that the classifier was not trained on has no validation rows.
    """
    training, table = classifier.config["training"], paintings.table
    same_data = paintings.fingerprint == training["fingerprint"]
    if same_data:  # the classifier may have been trained on some genres or styles only
        table = select(table, genre=training.get("genre", ()), style=training.get("style", ()))
    known = table.loc[table["artist"].isin(classifier.artists)]
    others = table.loc[~table["artist"].isin(classifier.artists) & (table["artist"] != "")]
    train = known.loc[known["split"] == "train"]
    is_validation = hold_out_validation(train, share=0.1, seed=training["seed"])
    if not same_data:
        is_validation &= False
    return {
        "train": train.loc[~is_validation].index.to_numpy(),
        "validation": train.loc[is_validation].index.to_numpy(),
        "test": known.loc[known["split"] == "test"].index.to_numpy(),
        "unknown": others.loc[others["split"] == "test"].index.to_numpy(),
    }


def evaluate(
    classifier: ArtistClassifier,
    paintings: PreparedPaintings,
    predictions: Predictions,
    rows: NDArray[np.int64],
) -> Evaluated:
    """Convert the network's predictions of N paintings to labels, probabilities and scores."""
    label = {artist: number for number, artist in enumerate(classifier.artists)}
    return Evaluated(
        rows=rows,
        labels=paintings.table["artist"].loc[rows].map(label).to_numpy(),
        uncalibrated=softmax(predictions.logits),
        probabilities=classifier.calibrated(predictions),
        known_scores=classifier.known_score(predictions),
    )


def measure_split(
    name: str,
    split: Evaluated,
    threshold: float,
    unknown_scores: NDArray[np.float64] | None,
) -> dict[str, float]:
    """Measure accuracy, calibration, and the detection of unknown artists.

    Args:
        name: name of the split; unknown artists are not compared with training paintings.
        split: the predictions of the split.
        threshold: paintings with a lower score are "unknown".
        unknown_scores: scores (U,) of paintings by unknown artists, if there are any.
    """
    report = measure.classification_report(split.probabilities, split.labels) | {
        "calibration_error_before": measure.expected_calibration_error(
            split.uncalibrated, split.labels
        ),
        "calibration_error": measure.expected_calibration_error(split.probabilities, split.labels),
    }
    if unknown_scores is None or name == "train":
        return report
    known_scores = split.known_scores
    return report | {
        "auroc_unknown": measure.auroc(known_scores, unknown_scores),
        "false_positive_rate_at_95_recall": measure.false_positive_rate(
            known_scores, unknown_scores
        ),
        "taken_for_known": float((unknown_scores >= threshold).mean()),
        "known_recall": float((known_scores >= threshold).mean()),
        "num_unknown": len(unknown_scores),
    }


def write_tables(out: Path, classifier: ArtistClassifier, split: Evaluated) -> NDArray[np.integer]:
    """Write `confusion.csv` and `artists.csv`; return the confusion matrix (K, K)."""
    artists, predicted = classifier.artists, split.probabilities.argmax(1)
    confusion = measure.confusion_matrix(split.labels, predicted, len(artists))
    pd.DataFrame(confusion, artists, artists).to_csv(out / "confusion.csv")
    precision, recall, f1 = measure.precision_recall_f1(confusion)
    per_artist = pd.DataFrame(
        {"paintings": confusion.sum(1), "precision": precision, "recall": recall, "f1": f1},
        index=pd.Index(artists, name="artist"),
    )
    per_artist.sort_values("f1").to_csv(out / "artists.csv", float_format="%.4f")
    return confusion


def draw_figures(
    out: Path,
    classifier: ArtistClassifier,
    paintings: PreparedPaintings,
    split: Evaluated,
    confusion: NDArray[np.integer],
) -> dict[str, Image.Image]:
    """Draw the confusion matrix, the reliability diagram and the most confident mistakes.

    Returns:
        The figures by caption, which are also written as PNG files.
    """
    artists, probabilities, labels = classifier.artists, split.probabilities, split.labels
    figures.confusion(confusion, artists, out / "confusion.png")
    bins = {
        "uncalibrated": measure.reliability(split.uncalibrated, labels),
        "calibrated": measure.reliability(probabilities, labels),
    }
    figures.reliability(bins, out / "reliability.png")
    files = {"Confusion matrix": "confusion.png", "Reliability": "reliability.png"}

    wrong = np.flatnonzero(probabilities.argmax(1) != labels)
    worst = wrong[np.argsort(-probabilities[wrong].max(1))][:24]
    if len(worst):
        captions = [
            f"{artists[labels[i]]}\n"
            f"predicted: {artists[probabilities[i].argmax()]} ({probabilities[i].max():.0%})"
            for i in worst
        ]
        pixels = paintings.pixels(classifier.side, classifier.fit)
        figures.captioned(pixels[split.rows[worst]], captions, out / "mistakes.png")
        files["Most confident mistakes"] = "mistakes.png"
    return {caption: Image.open(out / file) for caption, file in files.items()}


def describe(
    cfg: Config,
    classifier: ArtistClassifier,
    paintings: PreparedPaintings,
    reports: Mapping[str, Mapping[str, float]],
    intervals: Mapping[str, Intervals],
) -> list[str]:
    """Write one sentence on the classifier, and one on the accuracy on each split."""
    calibration = classifier.calibration
    notes = [
        f"{cfg.classifier} on {paintings.name}: {len(classifier.artists)} artists, temperature "
        f"{calibration.temperature:.3f}, weight of the discriminant analysis "
        f"{calibration.lda_weight:.3f}, threshold of unknown {classifier.threshold:.3f}"
    ]
    for name, report in reports.items():
        low, high = intervals[name]["top1"]
        f1_low, f1_high = intervals[name]["macro_f1"]
        notes.append(
            f"{name}: top-1 {report['top1']:.3f} (95 % interval {low:.3f} to {high:.3f}), "
            f"macro F1 {report['macro_f1']:.3f} ({f1_low:.3f} to {f1_high:.3f})"
        )
    return notes


if __name__ == "__main__":
    with report_errors(Config):
        main(read_flags(Config, __doc__))
