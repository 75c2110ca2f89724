"""Evaluate a generator: compare its pictures with real paintings, and report the metrics of a run.

The pictures may also come from a folder of images. N real and M fake pictures, D features of each,
K classes.
"""

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from brushwork.checkpoint import CONFIG, RUN_CHECKPOINTS, locate
from brushwork.errors import BrushworkError
from brushwork.gan.generator import PaintingGenerator
from brushwork.gan.sampling import Sampler, to_arrays
from brushwork.metrics.distances import cmmd, nearest
from brushwork.metrics.evaluate import by_space, class_check, evaluate, label_check, leak_check
from brushwork.metrics.features import CLIP, Features, FeatureSpace, extract
from brushwork.metrics.pictures import (
    COLUMNS,
    PictureFeatures,
    Pictures,
    cached_picture_features,
    extract_shared,
    folder_pictures,
)
from brushwork.names import name_key
from brushwork.report import figures
from brushwork.report.pages import write_report
from brushwork.training.distributed import process_index
from brushwork.training.run import read_metrics

# Pictures that a generator paints at a time.
BATCH = 64

# Bytes of pictures of a generator that are kept in memory: 1,000 of 256 x 256 pixels fit.
MAX_KEPT = 2**28

# Shorter side of the pictures in figures, at most, in pixels.
MAX_SHOWN_SIDE = 128

# Measurements in the table of a run's report, at most.
MAX_COLUMNS = 8


class Comparison(NamedTuple):
    """Result of `compare`.

    Attributes:
        metrics: by name, as `brushwork.metrics.evaluate` names them.
        label_shares: share of the fakes that the space gives each label, largest first; empty if
            the space has no labels.
    """

    metrics: dict[str, float]
    label_shares: dict[str, float]


class Labelled(NamedTuple):
    """Features of paintings, and their known labels: see `Pictures.columns`."""

    features: Features
    columns: Mapping[str, Sequence[str]]


def open_pictures(
    source: str | Path,
    *,
    num: int = 1000,
    seed: int = 0,
    open_generator: Callable[[str | Path], Sampler[Any]] = PaintingGenerator.from_pretrained,
    max_kept: int = MAX_KEPT,
) -> Pictures:
    """Open a generator's checkpoint, the run folder around it, or a folder of images.

    Args:
        source: a folder, or the name of a bundled checkpoint or of one on the Hugging Face Hub.
        num: number of pictures that the generator paints; of a folder, all images that can be
            read are used.
        seed: determines the generated pictures, for any number of processes.
        open_generator: opens a checkpoint; see `brushwork.engine.open_generator`.
        max_kept: see `generated_pictures`.

    Raises:
        BrushworkError: there is no checkpoint and no image that can be read.
    """
    folder = Path(source)
    if folder.is_dir() and not holds_checkpoint(folder):
        return folder_pictures(folder)
    return generated_pictures(open_generator(source), num, seed, max_kept)


def holds_checkpoint(folder: Path) -> bool:
    """Return whether an existing folder is a checkpoint or the folder of a run."""
    return any((folder / name).exists() for name in (CONFIG, *RUN_CHECKPOINTS))


def generated_pictures(
    generator: Sampler[Any], num: int, seed: int = 0, max_kept: int = MAX_KEPT
) -> Pictures:
    """Describe the pictures of `generator.sample(num, seed=seed)`.

    The generator paints them when they are needed; those that fit into `max_kept` bytes stay in
    memory, because each feature space and each figure needs them.
    """
    z, y = generator.latents(num, seed), generator.labels(num, seed=seed)
    kept: dict[int, NDArray[np.uint8]] = {}

    def paint(rows: Sequence[int]) -> Iterable[object]:
        for first in range(0, len(rows), BATCH):
            batch = list(rows[first : first + BATCH])
            found = {row: kept[row] for row in batch if row in kept}
            if missing := [row for row in dict.fromkeys(batch) if row not in found]:
                painted = to_arrays(generator.paint(z[missing], y[missing]))
                found |= dict(zip(missing, painted, strict=True))
                room = max_kept // painted[0].nbytes - len(kept)
                kept.update((row, found[row]) for row in missing[: max(room, 0)])
            yield np.stack([found[row] for row in batch])

    training = generator.config.get("training", {})
    columns = {}
    if generator.classes:
        columns[training.get("condition") or "class"] = [generator.classes[i] for i in y]
    return Pictures(
        num, generator.side, paint, training=training, columns=columns, aspect=generator.aspect
    )


def kept_checkpoints(run: str | Path) -> dict[int, Path]:
    """List the generators that a run kept during training, by step.

    Args:
        run: the run folder, or the name of a bundled checkpoint.

    Raises:
        BrushworkError: there is no such run, or it kept none.
    """
    folder = Path(run) if Path(run).is_dir() else locate(run)
    kept = sorted((folder / "kept").glob(f"step-*/{CONFIG}"))
    if not kept:
        raise BrushworkError(
            f"no checkpoints in {folder / 'kept'}; train with a lower `keep_every` to keep some"
        )
    return {int(file.parent.name.removeprefix("step-")): file.parent for file in kept}


def compare(
    real: PictureFeatures,
    fakes: PictureFeatures,
    space: FeatureSpace,
    held_out: PictureFeatures | None = None,
    *,
    num_pairs: int = 1000,
    seed: int = 0,
) -> Comparison:
    """Compute all metrics of one set of fakes in one feature space.

    These are the metrics of `evaluate` and `leak_check`; in CLIP's space `cmmd`; the metrics of
    `label_check`, if the space has labels; and those of `class_check`, if some real paintings have
    the generator's classes. The last two use real paintings of the test split if there are any,
    because the classifier was not trained on these.

    Args:
        real: the real paintings.
        fakes: the pictures of one generator.
        space: the feature space in which all features were computed.
        held_out: the paintings of the other split, if `real` has one split only.
        num_pairs: see `evaluate`.
        seed: see `evaluate`.
    """
    metrics = evaluate(real.features, fakes.features, num_pairs=num_pairs, seed=seed)
    if space.name == CLIP:
        metrics["cmmd"] = cmmd(real.features.features, fakes.features.features)
    # A generator that was trained on one split can have copied paintings of that split only.
    trained_on = fakes.pictures.training.get("split")
    if held_out and trained_on and trained_on in held_out.pictures.columns.get("split", ()):
        metrics |= leak_check(train=held_out.features, fake=fakes.features, held_out=real.features)
    else:
        metrics |= leak_check(
            train=real.features,
            fake=fakes.features,
            held_out=held_out.features if held_out else None,
        )

    sets = [real, held_out] if held_out else [real]
    train, test = (_rows_of_split(sets, split) for split in ("train", "test"))
    test = test or Labelled(real.features, real.pictures.columns)
    classes_of_fakes = fakes.pictures.columns
    shares: dict[str, float] = {}
    if space.labels:
        values, shares = label_check(
            fake=fakes.features,
            real=test.features,
            labels=space.labels,
            expected=_expected_labels(fakes.pictures, space.labels),
            intended=next(
                (column for column in classes_of_fakes.values() if {*column} <= {*space.labels}),
                (),
            ),
        )
        metrics |= values
    for kind, classes in classes_of_fakes.items():
        named = {*classes}
        test_of_classes = _rows_of_classes(test, kind, named)
        if test_of_classes is None:
            continue
        train_of_classes = (
            _rows_of_classes(train, kind, named, most=len(classes), seed=seed) if train else None
        )
        metrics |= class_check(
            fake=fakes.features,
            fake_labels=classes,
            test=test_of_classes[0],
            test_labels=test_of_classes[1],
            train=train_of_classes,
        )
    return Comparison(metrics, shares)


def evaluator(
    real: Pictures,
    space: FeatureSpace,
    *,
    num: int = 1000,
    seed: int = 0,
    batch_size: int | None = None,
) -> Callable[[PaintingGenerator], dict[str, dict[str, float]]]:
    """Make a function that evaluates a generator, for a training loop.

    Every process calls the function. Each computes the features of its share of the fakes, which
    have the same seed every time; the first process compares them with the real paintings.

    Args:
        real: the real paintings; their features are computed once.
        space: the feature space.
        num: number of fakes.
        seed: determines the generated pictures.
        batch_size: pictures in one call of `space.embed`.

    Returns:
        A function that returns the metrics by the name of the space, in the first process, and an
        empty dictionary in the others.
    """

    @cache
    def real_features() -> PictureFeatures:
        return PictureFeatures(real, cached_picture_features(real, space, batch_size))

    def measure(generator: PaintingGenerator) -> dict[str, dict[str, float]]:
        pictures = generated_pictures(generator, num, seed)
        fakes = PictureFeatures(pictures, extract_shared(pictures, space, batch_size=batch_size))
        if process_index() != 0:
            return {}
        return {space.name: compare(real_features(), fakes, space, seed=seed).metrics}

    return measure


def training_report(
    run: str | Path,
    generator: PaintingGenerator,
    real: Pictures,
    space: FeatureSpace,
    num: int = 1000,
    seed: int = 0,
) -> None:
    """Write a run's `report/`: curves of the metrics, a table of some of them, and figures.

    It writes nothing if the run has no metrics in this space.

    Args:
        run: the run folder.
        generator: the final generator, for the figures.
        real: the training set.
        space: the feature space in which the metrics were computed.
        num: number of fakes; the figure shows those that are nearest to paintings.
        seed: determines the generated pictures.
    """
    folder = Path(run) / "report"
    records = [line for line in read_metrics(run) if space.name in line.get("metrics", {})]
    if not records:
        return
    folder.mkdir(exist_ok=True)
    figures.metric_curves(records, folder / "curves.png", x="epoch")
    pictures = generated_pictures(generator, num, seed)
    fakes = extract(pictures.images(range(num)), space, progress=True, total=num)
    shown = {"Metrics over epochs": Image.open(folder / "curves.png")} | figures_of(
        real=PictureFeatures(real, cached_picture_features(real, space)),
        fakes=PictureFeatures(pictures, fakes),
        name="the final generator",
    )
    chosen = np.linspace(0, len(records) - 1, min(len(records), MAX_COLUMNS)).astype(int)
    reports = {
        f"step {record['step']:,}, epoch {record['epoch']:.3g}": record["metrics"]
        for record in (records[i] for i in chosen)
    }
    notes = [f"Each column: {num} fakes of the averaged weights, in the space {space.name!r}."]
    write_report(folder, f"Training of {Path(run).name}", by_space(reports), shown, notes)


def figures_of(real: PictureFeatures, fakes: PictureFeatures, name: str) -> dict[str, Image.Image]:
    """Draw two figures: real paintings beside fakes, and the fakes that are nearest to paintings.

    Args:
        real: the real paintings.
        fakes: the pictures of one generator.
        name: name of the generator, for the captions.

    Returns:
        The figures by caption.
    """
    size = min(fakes.pictures.side, MAX_SHOWN_SIDE), fakes.pictures.aspect
    side_by_side = figures.real_beside_fake(
        real=real.pictures.thumbnails(real.pictures.spread(64), *size),
        fake=fakes.pictures.thumbnails(fakes.pictures.spread(64), *size),
    )
    distances, rows = nearest(
        queries=fakes.features.features,
        references=real.features.features,
        k=min(3, real.pictures.num),
    )
    closest = distances[:, 0].argsort()[:8].tolist()
    copies = figures.neighbours(
        fake=fakes.pictures.thumbnails(closest, *size),
        nearest=np.stack(
            [real.pictures.thumbnails(rows[fake].tolist(), *size) for fake in closest]
        ),
    )
    return {
        f"Real paintings on the left, fakes of {name} on the right": side_by_side,
        f"Fakes of {name} that are nearest to paintings, each beside these paintings": copies,
    }


def _rows_of_split(sets: Sequence[PictureFeatures], split: str) -> Labelled | None:
    """Collect the paintings of a split from all sets; None if there are none."""
    found = [
        (some, rows)
        for some in sets
        if (rows := [i for i, s in enumerate(some.pictures.columns.get("split", ())) if s == split])
    ]
    if not found:
        return None
    features = torch.cat([some.features.features[rows] for some, rows in found])
    probabilities = [
        some.features.probabilities[rows]
        for some, rows in found
        if some.features.probabilities is not None
    ]
    columns = {
        name: [some.pictures.columns[name][row] for some, rows in found for row in rows]
        for name in COLUMNS
    }
    return Labelled(
        Features(features, torch.cat(probabilities) if probabilities else None), columns
    )


def _rows_of_classes(
    paintings: Labelled, kind: str, classes: set[str], most: int | None = None, seed: int = 0
) -> tuple[Features, list[str]] | None:
    """Choose the paintings of some classes, at random if there are more than `most`.

    Args:
        paintings: from which to choose.
        kind: the column that gives the classes, such as "artist".
        classes: names in this column.
        most: number of paintings, at most.
        seed: determines the choice.

    Returns:
        Their features and the class of each; None if they have fewer than two classes.
    """
    column = paintings.columns.get(kind, ())
    rows = [row for row, label in enumerate(column) if label in classes]
    rows = random.Random(seed).sample(rows, min(len(rows), most or len(rows)))
    labels = [column[row] for row in rows]
    return (Features(paintings.features.features[rows]), labels) if len({*labels}) > 1 else None


def _expected_labels(fakes: Pictures, labels: Sequence[str]) -> list[str]:
    """Find the labels to which the generator's training set was limited, in any spelling."""
    chosen = {
        name_key(name)
        for kind in ("artist", "genre", "style")
        for name in fakes.training.get(kind) or ()
    }
    return [label for label in labels if name_key(label) in chosen]
