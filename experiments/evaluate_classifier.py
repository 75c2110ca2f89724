"""Measure an artist classifier on paintings that it never learned from, and on those it did.

    uv run experiments/evaluate_classifier.py runs/classifier/classifier --data paintings/

On several GPUs put `accelerate launch` in place of `uv run`; each painting is seen once. Writes to
--out `report.json`, `report.html` (all in one file), a table per artist, the confusion matrix as
CSV and figure, the most confident mistakes, and the reliability diagram. The unknown artists are
those of the data that the classifier does not know: how well it tells them from those it does.
Put the numbers into the checkpoint's model card with --update-card.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import tyro
from accelerate import Accelerator
from PIL import Image

from brushwork.checkpoint import locate, update_config
from brushwork.classifier.calibration import softmax
from brushwork.classifier.identify import ArtistClassifier
from brushwork.classifier.network import Predictions
from brushwork.classifier.save import model_card
from brushwork.data.open import open_data
from brushwork.data.prepared import PreparedPaintings
from brushwork.data.select import hold_out_validation
from brushwork.errors import BrushworkError, report_errors
from brushwork.files import write_json
from brushwork.metrics import classification as measure
from brushwork.report import figures
from brushwork.report.pages import html_page, text_table
from brushwork.training.distributed import check_launch
from brushwork.training.threads import use_all_cores
from settings import read_flags


@dataclass(frozen=True)
class Config:
    """Which classifier, on which paintings."""

    classifier: tyro.conf.Positional[str]
    """Its folder, or a name on the Hub."""
    data: str = "synthetic"
    """As train_classifier takes it: the same data, or others with the same artists."""
    splits: tuple[Literal["train", "validation", "test"], ...] = ("train", "validation", "test")
    views: Literal[0, 1, 2, 10] = 0
    """Views to average; 0 for as many as the classifier was chosen with."""
    resamples: int = 1000
    """Of the paintings, for the 95 % intervals."""
    update_card: bool = False
    """Write the numbers into the checkpoint, a local folder."""
    out: Path = Path("runs/classifier-evaluation")


def main(cfg: Config) -> None:
    """Look at all paintings together; then measure, draw and write alone."""
    check_launch()
    accelerator = Accelerator()
    use_all_cores()
    is_main = accelerator.is_main_process
    known = ArtistClassifier.from_pretrained(cfg.classifier, accelerator.device)
    paintings = open_data(cfg.data)
    pixels = paintings.pixels(known.side, known.fit)
    parts = split_rows(known, paintings)
    seen: dict[str, tuple[Predictions, np.ndarray]] = {}
    for name in (*cfg.splits, "unknown"):
        if len(rows := parts[name]):
            looked_at = known.predict_rows(
                pixels, rows, cfg.views, progress=name if is_main else ""
            )
            seen[name] = looked_at, rows
    accelerator.end_training()
    if not is_main:
        return
    if not set(seen) & set(cfg.splits):
        raise BrushworkError(
            f"{cfg.data} has no {' or '.join(cfg.splits)} paintings of its artists"
        )

    # Numbers of each split, with intervals; what calibration changed; who is told from strangers.
    index = {artist: label for label, artist in enumerate(known.artists)}
    reports: dict[str, dict[str, float]] = {}
    intervals: dict[str, dict[str, tuple[float, float]]] = {}
    for name in cfg.splits:
        if name not in seen:
            continue
        looked_at, rows = seen[name]
        y = paintings.table["artist"].loc[rows].map(index).to_numpy()
        before, after = softmax(looked_at.logits), known.calibrated(looked_at)
        reports[name] = measure.classification_report(after, y) | {
            "calibration_error_before": measure.expected_calibration_error(before, y),
            "calibration_error": measure.expected_calibration_error(after, y),
        }
        intervals[name] = measure.bootstrap_intervals(after, y, resamples=cfg.resamples)
        if "unknown" in seen and name != "train":
            ours, strangers = (known.known_score(seen[who][0]) for who in (name, "unknown"))
            reports[name] |= {
                "auroc_unknown": measure.auroc(ours, strangers),
                "false_positive_rate_at_95_recall": measure.false_positive_rate(ours, strangers),
                "taken_for_known": float((strangers >= known.threshold).mean()),
                "known_recall": float((ours >= known.threshold).mean()),
                "num_unknown": len(strangers),
            }

    # Pictures and tables of the strictest split that was measured.
    cfg.out.mkdir(parents=True, exist_ok=True)
    strictest = [name for name in ("train", "validation", "test") if name in reports][-1]
    looked_at, rows = seen[strictest]
    y = paintings.table["artist"].loc[rows].map(index).to_numpy()
    before, after = softmax(looked_at.logits), known.calibrated(looked_at)
    confusion = measure.confusion_matrix(y, after.argmax(1), len(known.artists))
    pd.DataFrame(confusion, known.artists, known.artists).to_csv(cfg.out / "confusion.csv")
    columns = zip(
        ("precision", "recall", "f1"), measure.precision_recall_f1(confusion), strict=True
    )
    per_artist = pd.DataFrame(dict(columns), index=pd.Index(known.artists, name="artist"))
    per_artist.insert(0, "paintings", confusion.sum(1))
    per_artist.sort_values("f1").to_csv(cfg.out / "artists.csv", float_format="%.4f")
    figures.confusion(confusion, known.artists, cfg.out / "confusion.png")
    calibration = {"as trained": before, "calibrated": after}
    bins = {name: measure.reliability(p, y) for name, p in calibration.items()}
    figures.reliability(bins, cfg.out / "reliability.png")
    wrong = np.flatnonzero(after.argmax(1) != y)
    worst = wrong[np.argsort(-after[wrong].max(1))][:24]
    captions = [
        f"{known.artists[y[i]]}\n"
        f"taken for {known.artists[after[i].argmax()]} ({after[i].max():.0%})"
        for i in worst
    ]
    if len(worst):
        figures.captioned(pixels[rows[worst]], captions, cfg.out / "mistakes.png")

    notes = [
        f"{cfg.classifier} on {paintings.name}; {len(known.artists)} artists, "
        f"temperature {known.calibration.temperature:.3f}, weight of the discriminant analysis "
        f"{known.calibration.lda_weight:.3f}, threshold of unknown {known.threshold:.3f}",
        *(
            f"{name}: top-1 {reports[name]['top1']:.3f} (95 % interval {low:.3f} to {high:.3f}), "
            f"macro F1 {reports[name]['macro_f1']:.3f} ({f1_low:.3f} to {f1_high:.3f})"
            for name, between in intervals.items()
            for (low, high), (f1_low, f1_high) in [(between["top1"], between["macro_f1"])]
        ),
        f"Figures: the {strictest} paintings. Most confused: "
        + "; ".join(
            f"{a} for {b} {n}" for n, a, b in measure.most_confused(confusion, known.artists)[:5]
        ),
    ]
    drawn = {"Confusion": "confusion.png", "Reliability": "reliability.png"}
    drawn |= {"The most confident mistakes": "mistakes.png"} if len(worst) else {}
    pictures = {title: Image.open(cfg.out / file) for title, file in drawn.items()}
    page = html_page("Who painted this?", reports, [], pictures, notes)
    (cfg.out / "report.html").write_text(page)
    record = {"settings": asdict(cfg), "reports": reports, "intervals": intervals, "notes": notes}
    write_json(cfg.out / "report.json", record)
    if cfg.update_card:
        config = known.config | {"results": known.config["results"] | reports}
        update_config(locate(cfg.classifier), config, model_card(config))
    print(text_table(reports, []), *notes, f"all in {cfg.out / 'report.html'}", sep="\n")


def split_rows(known: ArtistClassifier, paintings: PreparedPaintings) -> dict[str, np.ndarray]:
    """Rows of the known artists by split, validation as in training; test rows of others."""
    table = paintings.table
    ours = table.loc[table["artist"].isin(known.artists)]
    train = ours.loc[ours["split"] == "train"]
    aside = hold_out_validation(train, share=0.1, seed=known.config["training"]["seed"])
    if paintings.fingerprint != known.config["training"]["fingerprint"]:
        aside &= False  # other data: it learned from none of these rows
    strangers = table.loc[~table["artist"].isin(known.artists) & (table["artist"] != "")]
    return {
        "train": train.loc[~aside].index.to_numpy(),
        "validation": train.loc[aside].index.to_numpy(),
        "test": ours.loc[ours["split"] == "test"].index.to_numpy(),
        "unknown": strangers.loc[strangers["split"] == "test"].index.to_numpy(),
    }


if __name__ == "__main__":
    with report_errors(Config):
        main(read_flags(Config, __doc__))
