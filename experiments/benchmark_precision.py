r"""Compare the precisions of an export with torch: accuracy and Fréchet distance.

    uv run experiments/benchmark_precision.py --data paintings/
    uv run experiments/benchmark_precision.py --data paintings/ --generators landscapes \
        --classifier ""

Exports the classifier and each generator in fp32, fp16 and int8. The classifier identifies the test
paintings of its artists: the script prints its accuracy, the share of paintings that get a name,
and, against torch, the largest difference of a probability and the number of other answers. Each
generator paints the same seeds: the script prints the Fréchet distance to the paintings of its
training set in the spaces texture and pixels, and the largest difference of a pixel in [-1, 1] to
torch's. All distances of a table have the same number of pictures.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro
from numpy.typing import NDArray
from tqdm import tqdm

from brushwork.checkpoint import graph_of, locate
from brushwork.classifier.identifier import Scores
from brushwork.data.open import open_data
from brushwork.data.prepared import PreparedPaintings
from brushwork.data.selection import select
from brushwork.engine import Classifier, Generator, open_classifier, open_generator
from brushwork.errors import BrushworkError, report_errors
from brushwork.export import change_precision, export
from brushwork.gan.evaluate import generated_pictures
from brushwork.metrics import classification as measure
from brushwork.metrics.distances import frechet
from brushwork.metrics.features import extract
from brushwork.metrics.pictures import cached_picture_features, selected_pictures
from brushwork.report.pages import text_table
from brushwork.spaces import open_space
from brushwork.training.threads import use_all_cores
from settings import Range, Seed, read_flags, report_data

PRECISIONS = ("fp32", "fp16", "int8")
SPACES = ("texture", "pixels")
BATCH = 16


@dataclass(frozen=True)
class Config:
    """Settings: the checkpoints, the paintings, and how many are compared."""

    data: str = "synthetic"
    """Paintings with those that the models were trained on; see --data of train_classifier.py."""
    classifier: str = "artists"
    """Checkpoint of a classifier; "" for none."""
    generators: Annotated[tuple[str, ...], tyro.conf.arg(metavar="CHECKPOINTS")] = (
        "landscapes",
        "monet",
        "portraits",
        "in-the-manner-of",
    )
    """Checkpoints of generators; none to leave them out."""
    num_paintings: Annotated[int, Range(1, 1_000_000)] = 1_000_000
    """Test paintings that the classifier identifies, at most."""
    num_fakes: Annotated[int, Range(2, 1_000_000)] = 1000
    """Pictures that each generator paints."""
    seed: Seed = 0
    """Determines the pictures, and which test paintings are identified."""


def main(cfg: Config) -> None:
    """Measure the classifier, then each generator, with torch and in each precision."""
    use_all_cores()
    paintings = open_data(cfg.data)
    report_data(paintings.describe())
    if cfg.classifier:
        print(measure_classifier(cfg, paintings), end="\n\n")
    for generator in cfg.generators:
        print(measure_generator(cfg, generator, paintings), end="\n\n")


@contextmanager
def all_precisions(source: str) -> Iterator[dict[str, Path]]:
    """Export a checkpoint; the folders of torch and of each precision exist inside the block."""
    folder = locate(source)
    if graph_of(folder):
        raise BrushworkError(f"{source} is exported already; pass the checkpoint it was made from")
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        export(folder, place / "fp32", "fp32")
        for precision in PRECISIONS[1:]:
            change_precision(place / "fp32", place / precision, precision)
        yield {"torch": folder} | {name: place / name for name in PRECISIONS}


def measure_classifier(cfg: Config, paintings: PreparedPaintings) -> str:
    """Identify test paintings with each engine, and compare the answers; return a table."""
    with all_precisions(cfg.classifier) as folders:
        first = open_classifier(folders["torch"])
        rows, labels = held_out_rows(cfg, first, paintings)
        pixels = paintings.pixels(first.side, first.fit)
        scores = {}
        for name, folder in folders.items():
            classifier = open_classifier(folder)
            starts = tqdm(range(0, len(rows), BATCH), name, leave=False)
            scores[name] = [
                classifier.scores_of(np.array(pixels[rows[i : i + BATCH]])) for i in starts
            ]
        sizes = {name: megabytes(folder) for name, folder in folders.items()}
    judged = {name: judge(first, parts) for name, parts in scores.items()}
    reports = {}
    for name, (probabilities, shares, answers) in judged.items():
        correct = probabilities.argmax(1) == labels
        named = answers >= 0
        reports[name] = {
            "top1": float(correct.mean()),
            "calibration_error": measure.expected_calibration_error(probabilities, labels),
            "named": float(named.mean()),
            "right_names": float(correct[named].mean()) if named.any() else 1.0,
            "largest_difference": float(np.abs(shares - judged["torch"][1]).max()),
            "other_answers": int((answers != judged["torch"][2]).sum()),
            "megabytes": sizes[name],
        }
    return text_table(reports, f"{cfg.classifier}, {len(rows):,} test paintings")


def held_out_rows(
    cfg: Config, classifier: Classifier, paintings: PreparedPaintings
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Choose test paintings of the classifier's artists: rows (N,) and labels (N,)."""
    table = paintings.table
    table = table[(table["split"] == "test") & table["artist"].isin(classifier.artists)]
    if table.empty:
        raise BrushworkError(
            f"`data` {cfg.data} has no test paintings of the classifier's artists; pass the "
            "paintings that it was trained on"
        )
    table = table.sample(min(len(table), cfg.num_paintings), random_state=cfg.seed).sort_index()
    labels = [classifier.artists.index(artist) for artist in table["artist"]]
    return table.index.to_numpy(), np.array(labels, np.int64)


def judge(
    classifier: Classifier, parts: list[Scores]
) -> tuple[NDArray[np.floating], NDArray[np.floating], NDArray[np.int64]]:
    """Join the scores of batches.

    Returns:
        Probabilities (N, K) if one of the artists painted each painting; all probabilities of an
        answer in one row, also those of "none", style, genre and decade; and the answers (N,): a
        label, or -1 for unknown.
    """
    given_known = np.concatenate([part.probabilities for part in parts])
    shares, answers = [], []
    for part in parts:
        probabilities, none, known = classifier.judge_scores(part)
        shares.append(np.hstack([probabilities, none[:, None], *part.traits.values()]))
        answers.append(np.where(known, probabilities.argmax(1), -1))
    return given_known, np.concatenate(shares), np.concatenate(answers)


def measure_generator(cfg: Config, source: str, paintings: PreparedPaintings) -> str:
    """Paint with each engine, and compare the pictures with paintings; return a table."""
    with all_precisions(source) as folders:
        generators = {name: open_generator(folder) for name, folder in folders.items()}
        sizes = {name: megabytes(folder) for name, folder in folders.items()}
    first = generators["torch"]
    real = training_set(first, paintings)
    z, y = first.latents(BATCH, cfg.seed), first.labels(BATCH, seed=cfg.seed)
    images = {
        name: np.asarray(generator.paint(np.asarray(z), np.asarray(y)))
        for name, generator in generators.items()
    }
    reports: dict[str, dict[str, float]] = {name: {} for name in generators}
    for spec in SPACES:
        space = open_space(spec)
        expected = cached_picture_features(real, space).features
        for name, generator in generators.items():
            fakes = generated_pictures(generator, cfg.num_fakes, cfg.seed)
            found = extract(fakes.images(range(cfg.num_fakes)), space, total=cfg.num_fakes)
            reports[name][f"frechet_{spec}"] = frechet(expected, found.features)
    for name, report in reports.items():
        report["largest_difference"] = float(np.abs(images[name] - images["torch"]).max())
        report["megabytes"] = sizes[name]
    return text_table(reports, f"{source}, {cfg.num_fakes:,} fakes, {real.num:,} paintings")


def training_set(generator: Generator, paintings: PreparedPaintings) -> Any:
    """Open the paintings that a generator was trained on."""
    training = generator.config.get("training", {})
    filters = {}
    for column in ("genre", "style", "artist"):
        names = training.get(column) or ()
        filters[column] = (names,) if isinstance(names, str) else tuple(names)
    chosen = select(
        paintings.table, **filters, min_paintings=int(training.get("min_paintings") or 0)
    )
    return selected_pictures(
        paintings.pixels(generator.side, "crop", generator.aspect),
        rows=chosen.index.to_numpy(),
        fingerprint=f"{paintings.fingerprint} crop",
    )


def megabytes(folder: Path) -> float:
    """Add the sizes of a checkpoint's weights and graphs."""
    files = [*folder.glob("*.onnx"), *folder.glob("*.safetensors")]
    return sum(file.stat().st_size for file in files) / 1e6


if __name__ == "__main__":
    with report_errors(Config):
        main(read_flags(Config, __doc__))
