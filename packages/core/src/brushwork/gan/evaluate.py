"""Sets of pictures to be measured, of whatever origin: painted, in files, or prepared data."""

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image

from brushwork.checkpoint import CONFIG, OF_RUNS
from brushwork.errors import BrushworkError
from brushwork.gan.generator import PaintingGenerator, to_arrays
from brushwork.metrics.distances import nearest
from brushwork.metrics.evaluate import class_check, evaluate, label_check, leak_check
from brushwork.metrics.features import (
    Features,
    FeatureSpace,
    content_fingerprint,
    extract,
    image_files,
)
from brushwork.metrics.pictures import PictureFeatures, Pictures, cached_picture_features
from brushwork.report import figures
from brushwork.training.distributed import process_index
from brushwork.training.run import read_metrics

if TYPE_CHECKING:
    pass
from brushwork.metrics.pictures import COLUMNS, extract_shared
from brushwork.report.pages import write_report


def training_report(
    run: str | Path,
    painter: PaintingGenerator,
    real: Pictures,
    space: FeatureSpace,
    num: int = 1000,
    seed: int = 0,
) -> None:
    """Write `report/` into a run whose painter was measured on its way; nothing if it was not.

    Curves of the metrics over the epochs, the numbers of eight moments at most, and `num` fakes of
    the painter beside the real paintings and beside the nearest of them.
    """
    folder, known = Path(run) / "report", f"fid_{space.name}"
    records = [line for line in read_metrics(run) if known in line]
    if not records:
        return
    folder.mkdir(exist_ok=True)
    figures.metric_curves(records, [space.name], folder / "curves.png", x="epoch")
    fakes = generated_pictures(painter, num, seed)
    y = extract(fakes.images(range(num)), space, progress=True, total=num)
    pictures = {"Metrics over epochs": Image.open(folder / "curves.png")}
    pictures |= figures_of(
        PictureFeatures(real, cached_picture_features(real, space)),
        PictureFeatures(fakes, y),
        "the painter's",
    )
    moments = np.linspace(0, len(records) - 1, min(len(records), 8)).astype(int)
    reports = {
        f"step {records[i]['step']:,}": {k: v for k, v in records[i].items() if k != "step"}
        for i in moments
    }
    notes = [f"{num} fakes of the averaged weights each time, in the space {space.name!r}."]
    write_report(folder, f"Training of {Path(run).name}", reports, [space.name], pictures, notes)


BATCH = 64


def open_pictures(
    source: str | Path, *, num: int = 1000, seed: int = 0, device: str | torch.device = "cpu"
) -> Pictures:
    """Open a generator's checkpoint, the run folder around it, or a folder of images.

    Args:
        source: a folder, or the name of a checkpoint on the Hugging Face Hub.
        num: pictures to paint; of a folder, all are taken.
        seed: of the painter; the same seed paints the same pictures in any number of processes.
        device: where to paint.
    """
    folder = Path(source)
    if folder.is_dir() and not {CONFIG, *OF_RUNS} & {inside.name for inside in folder.iterdir()}:
        files = image_files(folder)
        try:
            with Image.open(files[0]) as first:
                side = min(first.size)
        except (OSError, Image.DecompressionBombError) as error:
            raise BrushworkError(f"cannot read {files[0]} as an image; remove it") from error
        return Pictures(
            len(files), side, lambda rows: [files[row] for row in rows], content_fingerprint(files)
        )
    return generated_pictures(PaintingGenerator.from_pretrained(source, device), num, seed)


def generated_pictures(painter: PaintingGenerator, num: int, seed: int = 0) -> Pictures:
    """The pictures of `painter.sample(num, seed=seed)`, painted as they are asked for."""
    z, y = painter.latents(num, seed), painter.labels(num, seed=seed)

    def paint(rows: Sequence[int]) -> Iterable[object]:
        for first in range(0, len(rows), BATCH):
            some = list(rows[first : first + BATCH])
            yield to_arrays(painter.paint(z[some], y[some]))

    training = painter.config.get("training", {})
    meant = [painter.classes[i] for i in y] if painter.classes else []
    columns = {training.get("condition") or "class": meant} if meant else {}
    return Pictures(num, painter.side, paint, training=training, columns=columns)


def kept_checkpoints(run: str | Path) -> dict[int, Path]:
    """The painters that a run kept on its way, by step."""
    kept = sorted((Path(run) / "kept").glob(f"step-*/{CONFIG}"))
    if not kept:
        raise BrushworkError(f"{run} kept no checkpoints in kept/; train with a lower --keep-every")
    return {int(file.parent.name.removeprefix("step-")): file.parent for file in kept}


def compare(
    real: PictureFeatures,
    fakes: PictureFeatures,
    space: FeatureSpace,
    held_out: PictureFeatures | None = None,
    *,
    num_pairs: int = 1000,
    seed: int = 0,
) -> tuple[dict[str, float], dict[str, float]]:
    """All that one space tells of fakes: numbers for the report, and the share of each label seen.

    Distances and scores, the leak check, and, as far as the space and the painter know classes,
    `label_check` and `class_check`. Real paintings of the test split, if there are any, are those
    that these two look at: an `ArtistClassifier` was not trained on them.

    Args:
        real: what the fakes are compared with.
        fakes: of one painter.
        space: where both were seen.
        held_out: the paintings of the other split, if only one is compared with.
        num_pairs: see `evaluate`.
        seed: likewise.
    """
    x, y = real.features, fakes.features
    values = evaluate(x, y, space.name, num_pairs=num_pairs, seed=seed)
    # A painter that was trained on the other split can have copied from that one only.
    trained_on = fakes.pictures.training.get("split")
    if held_out and trained_on and trained_on in held_out.pictures.columns.get("split", ()):
        values |= leak_check(held_out.features, y, space.name, x)
    else:
        values |= leak_check(x, y, space.name, held_out.features if held_out else None)
    everything = [real, held_out] if held_out else [real]
    train, test = (_of_split(everything, split) for split in ("train", "test"))
    test = test or (x, real.pictures.columns)
    meant = fakes.pictures.columns
    shares: dict[str, float] = {}
    if space.labels:
        intended = next((m for m in meant.values() if {*m} <= {*space.labels}), ())
        wanted = _expected(fakes.pictures, space.labels)
        seen, shares = label_check(y, test[0], space.labels, wanted, space.name, intended)
        values |= seen
    for kind, labels in meant.items():
        asked = _of_classes(test, kind, {*labels})
        taught = train and _of_classes(train, kind, {*labels}, most=len(labels), seed=seed)
        if asked:
            values |= class_check(y, labels, *asked, space.name, taught)
    return values, shares


def figures_of(real: PictureFeatures, fakes: PictureFeatures, name: str) -> dict[str, Image.Image]:
    """Figures by caption: reals beside fakes; and the fakes nearest to reals, beside these."""
    side = min(fakes.pictures.side, 128)
    paintings, painted = real.pictures, fakes.pictures
    beside = figures.real_beside_fake(
        paintings.thumbnails(paintings.spread(64), side),
        painted.thumbnails(painted.spread(64), side),
    )
    distance, row = nearest(
        fakes.features.features, real.features.features, k=min(3, paintings.num)
    )
    closest = distance[:, 0].argsort()[:8].tolist()
    copied = figures.neighbours(
        painted.thumbnails(closest, side),
        np.stack([paintings.thumbnails(row[fake].tolist(), side) for fake in closest]),
    )
    return {
        f"Real paintings, and {name}": beside,
        f"The pictures of {name} that are nearest to paintings, and these": copied,
    }


def evaluator(
    real: Pictures,
    space: FeatureSpace,
    *,
    num: int = 1000,
    seed: int = 0,
    batch_size: int | None = None,
) -> Callable[[PaintingGenerator], dict[str, float]]:
    """A function that measures a painter as it stands, for a training loop to call now and then.

    All processes call it and look at their share of the same `num` fakes each time; the first then
    compares them with the real features, which it takes once, and the others get no numbers.
    """

    @cache
    def seen_real() -> PictureFeatures:
        return PictureFeatures(real, cached_picture_features(real, space, batch_size))

    def measure(painter: PaintingGenerator) -> dict[str, float]:
        fakes = generated_pictures(painter, num, seed)
        y = extract_shared(fakes, space, batch_size=batch_size)
        return (
            {}
            if process_index()
            else compare(seen_real(), PictureFeatures(fakes, y), space, seed=seed)[0]
        )

    return measure


Labelled = tuple[Features, Mapping[str, Sequence[str]]]


def _of_split(sets: Sequence[PictureFeatures], split: str) -> Labelled | None:
    """The paintings of a split, in whichever set they are; None where there are none."""
    rows = [
        [i for i, of in enumerate(seen.pictures.columns.get("split", ())) if of == split]
        for seen in sets
    ]
    found = [(seen, some) for seen, some in zip(sets, rows, strict=True) if some]
    if not found:
        return None
    x, p = (
        [part[some] for seen, some in found if (part := seen.features[which]) is not None]
        for which in (0, 1)
    )
    columns = {
        name: [seen.pictures.columns[name][i] for seen, some in found for i in some]
        for name in COLUMNS
    }
    return Features(torch.cat(x), torch.cat(p) if p else None), columns


def _of_classes(
    paintings: Labelled, kind: str, classes: set[str], most: int | None = None, seed: int = 0
) -> tuple[Features, list[str]] | None:
    """Paintings of these classes, `most` at random, and the class of each; None if of one class."""
    (x, _), columns = paintings
    labels = columns.get(kind, ())
    rows = [i for i, label in enumerate(labels) if label in classes]
    rows = random.Random(seed).sample(rows, min(len(rows), most or len(rows)))
    named = [labels[i] for i in rows]
    return (Features(x[rows]), named) if len({*named}) > 1 else None


def _expected(fakes: Pictures, labels: Sequence[str]) -> list[str]:
    """The labels that all of a painter's training paintings had, by whichever spelling."""
    from brushwork.names import name_key  # pandas, which metrics do without

    chosen = {
        name_key(name)
        for kind in ("artist", "genre", "style")
        for name in fakes.training.get(kind) or ()
    }
    return [label for label in labels if name_key(label) in chosen]
