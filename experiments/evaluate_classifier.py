r"""Measure an artist classifier on training, validation and test paintings.

    uv run experiments/evaluate_classifier.py runs/classifier/classifier --data paintings/
    uv run experiments/evaluate_classifier.py runs/classifier/classifier --data paintings/ \
        --also other_collection/

Several GPUs share the work under `accelerate launch` instead of `uv run`. The folder --out receives
`report.json`, `report.html` (a page with all numbers and figures), a table per artist, the
confusion matrix as CSV and as a figure, the most confident mistakes, and the reliability diagram.
Test paintings by artists that the classifier does not name measure how well it detects strangers,
and risk_coverage.png shows which share of its names is wrong if half of the paintings are theirs.
--also measures a second collection of reproductions in the same way; all its paintings count as
test paintings. --update-card writes the results into the checkpoint's model card.
"""

from collections.abc import Mapping, Sequence
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
from brushwork.classifier.identify import ArtistClassifier, Judgement
from brushwork.classifier.network import Predictions
from brushwork.classifier.strangers import mixed_curve
from brushwork.classifier.traits import Trait, decade_of
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
from settings import Range, check_report_folder, read_flags, report_data

Intervals = dict[str, tuple[float, float]]
UNKNOWN, SECOND = "unknown", "second"
TITLED = ["artist", "title"]
SHOWN_PRECISIONS = (0.8, 0.9)
"""The operating points in the report."""


@dataclass(frozen=True)
class Config:
    """Settings: the classifier to measure, and the paintings."""

    classifier: tyro.conf.Positional[str]
    """The classifier's checkpoint folder, or its name on the Hugging Face Hub."""
    data: str = "synthetic"
    """The training data, or other data with the same artists; see --data of train_classifier.py."""
    splits: tuple[Literal["train", "validation", "test"], ...] = ("train", "validation", "test")
    """The splits to measure."""
    also: str = ""
    """Data of a second collection, to measure too; a classifier must not be trained on it."""
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
        labels: the right labels (N,); -1 for strangers.
        uncalibrated: probabilities (N, K) of the network alone.
        probabilities: calibrated probabilities (N, K) if one of the artists painted the painting.
        judged: probabilities together with that of "none".
        known_scores: scores (N,) of `ArtistClassifier.known_score`.
        traits: for style, genre and decade: probabilities (M, V) and right labels (M,) of the M
            paintings whose value is known to the classifier.
        repeated: (N,) whether a training painting by the same artist has the same title.
    """

    rows: NDArray[np.int64]
    labels: NDArray[np.int64]
    uncalibrated: NDArray[np.float64]
    probabilities: NDArray[np.float64]
    judged: Judgement
    known_scores: NDArray[np.float64]
    traits: dict[str, tuple[NDArray[np.float64], NDArray[np.int64]]]
    repeated: NDArray[np.bool_]


def main(cfg: Config) -> None:
    """Compute the predictions in all processes; measure them and write the report in one."""
    check_launch()
    follow_launcher()
    accelerator = Accelerator()
    use_all_cores()
    check_report_folder(cfg.out, cfg.classifier)
    if not cfg.splits:
        raise BrushworkError("`splits` is empty; name at least one split")
    classifier = ArtistClassifier.from_pretrained(cfg.classifier, accelerator.device)
    paintings = open_data(cfg.data)
    report_data(paintings.describe())
    second = open_data(cfg.also) if cfg.also else None
    if second is not None and not set(second.table["artist"]) & set(classifier.artists):
        raise BrushworkError(
            f"`also` is {cfg.also}, which has no paintings of the classifier's artists; pass "
            "another collection"
        )
    if second is not None and second.fingerprint == classifier.config["training"]["fingerprint"]:
        raise BrushworkError(
            f"`also` is {cfg.also}, which the classifier was trained on; pass another collection"
        )
    is_writer = accelerator.is_main_process
    splits = predict_splits(
        cfg, classifier, paintings, split_rows(classifier, paintings), is_writer
    )
    strangers = {"": splits.pop(UNKNOWN, None)}
    if not splits:
        raise BrushworkError(
            f"{cfg.data} has no {' or '.join(cfg.splits)} paintings of the classifier's artists; "
            "choose other `splits` or other `data`"
        )
    if absent := [split for split in cfg.splits if split not in splits]:
        report_data(
            f"not measured: {', '.join(absent)}, because {cfg.data} has no such paintings of the "
            "classifier's artists"
        )
    if second is not None:
        report_data(second.describe())
        rows = {SECOND: second.table["artist"].isin(classifier.artists).to_numpy().nonzero()[0]}
        rows[UNKNOWN] = np.setdiff1d(np.arange(len(second)), rows[SECOND])
        found = predict_splits(cfg, classifier, second, rows, is_writer)
        strangers[SECOND] = found.pop(UNKNOWN, None)
        splits |= found
    accelerator.end_training()
    if not is_writer:
        return
    strangers_of = {name: strangers[SECOND if name == SECOND else ""] for name in splits}
    reports = {
        name: measure_split(name, split, strangers_of[name], classifier)
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
    predicted = splits[shown].probabilities.argmax(1)
    confusion = measure.confusion_matrix(splits[shown].labels, predicted, len(classifier.artists))
    recalls = {
        name: recall_by_artist(split, classifier.artists)
        for name, split in splits.items()
        if name in ("test", SECOND)
    }
    notes = describe(cfg, classifier, paintings, reports, intervals)
    if len(recalls) == 2 and recalls[SECOND].keys() <= recalls["test"].keys():
        accuracy = measure.accuracy_with_mix(recalls["test"], recalls[SECOND])
        notes.append(f"test, with the second collection's mix of artists: top-1 {accuracy:.3f}")
    confused = measure.most_confused(confusion, classifier.artists)[:5]
    notes.append(
        f"Figures: the {shown} paintings. Most often confused (artist, predicted artist, "
        f"paintings): {'; '.join(f'{a}, {b}, {n}' for n, a, b in confused)}"
    )
    # The JSON first, because `check_report_folder` recognises the folder by it.
    cfg.out.mkdir(parents=True, exist_ok=True)
    write_json(
        cfg.out / "report.json",
        {"settings": asdict(cfg), "reports": reports, "intervals": intervals, "notes": notes},
    )
    write_tables(cfg.out, classifier.artists, confusion)
    drawn = draw_figures(cfg.out, classifier, paintings, splits[shown], confusion)
    drawn |= draw_risk(cfg.out, splits, strangers_of)
    page = html_page("Artist classifier", {"": reports}, drawn, notes)
    write_text(cfg.out / "report.html", page)
    if cfg.update_card:
        config = classifier.config | {
            "results": classifier.config["results"] | reports,
            "recall_by_artist": classifier.config.get("recall_by_artist", {}) | recalls,
        }
        update_config(locate(cfg.classifier), config, model_card(config))
    print(text_table(reports), *notes, f"full report: {cfg.out / 'report.html'}", sep="\n")


def predict_splits(
    cfg: Config,
    classifier: ArtistClassifier,
    paintings: PreparedPaintings,
    rows: Mapping[str, NDArray[np.int64]],
    is_writer: bool,
) -> dict[str, Evaluated]:
    """Predict the chosen splits, the second collection and the strangers.

    Args:
        cfg: the chosen splits.
        classifier: makes the predictions.
        paintings: the data.
        rows: rows of each split in the data; a split without paintings is left out.
        is_writer: whether to show the progress.
    """
    pixels = paintings.pixels(classifier.side, classifier.fit)
    chosen = [name for name in (*cfg.splits, SECOND, UNKNOWN) if len(rows.get(name, ()))]
    return {
        name: evaluate(
            classifier,
            paintings,
            classifier.predict_rows(
                pixels, rows[name], num_views=cfg.views, progress=name if is_writer else ""
            ),
            rows[name],
        )
        for name in chosen
    }


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
    is_validation = hold_out_validation(train, share=0.1, seed=classifier.split_seed)
    if not same_data:
        is_validation &= False
    return {
        "train": train.loc[~is_validation].index.to_numpy(),
        "validation": train.loc[is_validation].index.to_numpy(),
        "test": known.loc[known["split"] == "test"].index.to_numpy(),
        UNKNOWN: others.loc[others["split"] == "test"].index.to_numpy(),
    }


def evaluate(
    classifier: ArtistClassifier,
    paintings: PreparedPaintings,
    predictions: Predictions,
    rows: NDArray[np.int64],
) -> Evaluated:
    """Convert the network's predictions of N paintings to labels, probabilities and scores."""
    label = {artist: number for number, artist in enumerate(classifier.artists)}
    table = paintings.table
    titles = set(zip(*(table.loc[table["split"] == "train", c] for c in TITLED), strict=True))
    chosen = table.loc[rows]
    return Evaluated(
        rows=rows,
        labels=chosen["artist"].map(label).fillna(-1).to_numpy(np.int64),
        uncalibrated=softmax(predictions.logits),
        probabilities=classifier.calibrated(predictions),
        judged=classifier.judge(predictions),
        known_scores=classifier.known_score(predictions),
        traits={
            name: evaluate_trait(trait, predictions, trait_values(chosen, name))
            for name, trait in classifier.traits.items()
        },
        repeated=np.array(
            [
                pair in titles and pair[1] != ""
                for pair in zip(*(chosen[c] for c in TITLED), strict=True)
            ]
        ),
    )


def trait_values(table: pd.DataFrame, name: str) -> list[str]:
    """List the style, genre or decade of each painting; "" where unknown."""
    return [decade_of(date) for date in table["date"]] if name == "decade" else list(table[name])


def evaluate_trait(
    trait: Trait, predictions: Predictions, values: list[str]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Compute probabilities (M, V) and right labels (M,) of the paintings with a known value."""
    rows = [row for row, value in enumerate(values) if value in trait.values]
    labels = np.array([trait.values.index(values[row]) for row in rows], np.int64)
    return trait.probabilities(predictions.channel_statistics[rows]), labels


def measure_split(
    name: str, split: Evaluated, strangers: Evaluated | None, classifier: ArtistClassifier
) -> dict[str, float]:
    """Measure accuracy, calibration, style, genre, decade, and what is said of strangers.

    Args:
        name: name of the split; strangers are not compared with training paintings.
        split: the predictions of the split.
        strangers: predictions of paintings by artists whom the classifier does not name.
        classifier: has the operating points.
    """
    report = measure.classification_report(split.probabilities, split.labels) | {
        "calibration_error_before": measure.expected_calibration_error(
            split.uncalibrated, split.labels
        ),
        "calibration_error": measure.expected_calibration_error(split.probabilities, split.labels),
    }
    if name == "test" and 0 < split.repeated.sum() < len(split.repeated):
        new = ~split.repeated
        report |= {
            "top1_new_titles": measure.top_k_accuracy(
                split.probabilities[new], split.labels[new], 1
            ),
            "num_new_titles": int(new.sum()),
        }
    for trait, (probabilities, labels) in split.traits.items():
        if len(labels):
            report |= {
                f"{trait}_top1": measure.top_k_accuracy(probabilities, labels, 1),
                f"{trait}_calibration_error": measure.expected_calibration_error(
                    probabilities, labels
                ),
                f"{trait}_num_paintings": len(labels),
            }
    if strangers is None or name == "train":
        return report
    known_scores, unknown_scores = split.known_scores, strangers.known_scores
    report |= {
        "auroc_unknown": measure.auroc(known_scores, unknown_scores),
        "false_positive_rate_at_95_recall": measure.false_positive_rate(
            known_scores, unknown_scores
        ),
        "taken_for_known": float(strangers.judged.known.mean()),
        "known_recall": float(split.judged.known.mean()),
        "num_unknown": len(unknown_scores),
        "right_names": right_names(split, split.judged.known, strangers.judged.known),
    }
    confidence, strange = (part.judged.probabilities.max(1) for part in (split, strangers))
    for precision, threshold in classifier.operating_points:
        if precision in SHOWN_PRECISIONS:
            report |= {
                f"right_names_at_{precision:g}": right_names(
                    split, confidence >= threshold, strange >= threshold
                ),
                f"named_at_{precision:g}": float((confidence >= threshold).mean()),
            }
    return report


def recall_by_artist(split: Evaluated, artists: Sequence[str]) -> dict[str, tuple[int, float]]:
    """Compute for each artist with paintings in the split: their number, and the share found."""
    correct = split.probabilities.argmax(1) == split.labels
    of_artist = {artist: split.labels == label for label, artist in enumerate(artists)}
    return {
        artist: (int(own.sum()), float(correct[own].mean()))
        for artist, own in of_artist.items()
        if own.any()
    }


def right_names(
    split: Evaluated, named: NDArray[np.bool_], named_strangers: NDArray[np.bool_]
) -> float:
    """Compute the share of right names if half of the paintings are by strangers.

    Args:
        split: paintings by the artists.
        named: (N,) which of them get a name.
        named_strangers: (M,) which paintings by strangers get one.

    Returns:
        The share; 1 if there is no name at all.
    """
    correct = split.probabilities.argmax(1) == split.labels
    total = named.mean() + named_strangers.mean()
    return float((named & correct).mean() / total) if total else 1.0


def write_tables(out: Path, artists: Sequence[str], confusion: NDArray[np.integer]) -> None:
    """Write the confusion matrix (K, K) to `confusion.csv`, and scores to `artists.csv`."""
    pd.DataFrame(confusion, [*artists], [*artists]).to_csv(out / "confusion.csv")
    precision, recall, f1 = measure.precision_recall_f1(confusion)
    per_artist = pd.DataFrame(
        {"paintings": confusion.sum(1), "precision": precision, "recall": recall, "f1": f1},
        index=pd.Index([*artists], name="artist"),
    )
    per_artist.sort_values("f1").to_csv(out / "artists.csv", float_format="%.4f")


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


def draw_risk(
    out: Path, splits: Mapping[str, Evaluated], strangers: Mapping[str, Evaluated | None]
) -> dict[str, Image.Image]:
    """Draw the risk of a wrong name against the share of paintings that get one.

    Returns:
        The figure by its caption; empty if there are no strangers.
    """
    curves = {}
    for name, split in splits.items():
        others = strangers[name]
        if others is not None and name != "train":
            correct = split.probabilities.argmax(1) == split.labels
            confidences = (part.judged.probabilities.max(1) for part in (split, others))
            known, strange = confidences
            curves[name] = mixed_curve(known, correct, strange)
    if not curves:
        return {}
    figures.risk_coverage(curves, out / "risk_coverage.png")
    caption = "Wrong names and named paintings, half of the paintings by strangers"
    return {caption: Image.open(out / "risk_coverage.png")}


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
        f"{calibration.lda_weight:.3f}"
    ]
    if classifier.operating_points:
        points = (f"{p:g} from {threshold:.3f}" for p, threshold in classifier.operating_points)
        notes.append(f"operating points (precision, least probability): {', '.join(points)}")
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
