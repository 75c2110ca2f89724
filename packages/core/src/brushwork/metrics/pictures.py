"""Sets of pictures to be measured, of whatever origin: painted, in files, or prepared data."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from PIL import Image

from brushwork.checkpoint import CONFIG
from brushwork.distributed import gather_rows, num_processes
from brushwork.errors import BrushworkError
from brushwork.generator import PaintingGenerator, to_arrays
from brushwork.metrics.evaluate import evaluate, leak_check
from brushwork.metrics.features import (
    Features,
    FeatureSpace,
    cached_features,
    content_fingerprint,
    extract,
    image_files,
    thumbnails,
)

BATCH = 64


@dataclass(frozen=True)
class Pictures:
    """`num` pictures, the first of side `side`; `images(rows)` gives some of them to `extract`."""

    num: int
    side: int
    images: Callable[[Sequence[int]], Iterable[object]]
    fingerprint: str = ""
    """Of their content, where features are worth keeping."""
    training: dict[str, Any] = field(default_factory=dict)
    """What a checkpoint tells of its training."""
    intended: tuple[str, ...] = ()
    """The class that each picture was painted for, where the painter knows classes."""

    def spread(self, most: int) -> list[int]:
        """Rows from all over the set."""
        return np.linspace(0, self.num - 1, min(self.num, most)).astype(int).tolist()

    def thumbnails(self, rows: Sequence[int], side: int) -> np.ndarray:
        """Some pictures squashed to squares to look at: uint8 (M, side, side, 3)."""
        return thumbnails(self.images(rows), side)


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
    if (folder / "generator" / CONFIG).is_file():
        return open_pictures(folder / "generator", num=num, seed=seed, device=device)
    if folder.is_dir() and not (folder / CONFIG).is_file():
        files = image_files(folder)
        try:
            with Image.open(files[0]) as first:
                side = min(first.size)
        except OSError as error:
            raise BrushworkError(f"cannot read {files[0]} as an image; remove it") from error
        return Pictures(
            len(files), side, lambda rows: [files[row] for row in rows], content_fingerprint(files)
        )
    painter = PaintingGenerator.from_pretrained(source, device)
    z, y = painter.latents(num, seed), painter.labels(num, seed=seed)

    def paint(rows: Sequence[int]) -> Iterable[object]:
        for first in range(0, len(rows), BATCH):
            some = list(rows[first : first + BATCH])
            yield to_arrays(painter.paint(z[some], y[some]))

    intended = tuple(painter.classes[i] for i in y) if painter.classes else ()
    training = painter.config.get("training", {})
    return Pictures(num, painter.side, paint, training=training, intended=intended)


def selected_pictures(pixels: np.ndarray, rows: np.ndarray, fingerprint: str) -> Pictures:
    """Some rows of the pixels (N, S, S, 3) of prepared data, read as they are asked for.

    >>> some = selected_pictures(np.zeros((9, 4, 4, 3), np.uint8), np.array([2, 7]), "zeros")
    >>> some.num, some.side, len(list(some.images([1])))
    (2, 4, 1)
    """
    return Pictures(
        len(rows),
        pixels.shape[1],
        lambda chosen: (pixels[rows[row]] for row in chosen),
        f"{fingerprint} {pixels.shape[1]} {rows.tolist()}",
    )


def kept_checkpoints(run: str | Path) -> dict[int, Path]:
    """The painters that a run kept on its way, by step."""
    kept = sorted((Path(run) / "kept").glob(f"step-*/{CONFIG}"))
    if not kept:
        raise BrushworkError(f"{run} kept no checkpoints in kept/; train with a lower --keep-every")
    return {int(file.parent.name.removeprefix("step-")): file.parent for file in kept}


def extract_once(
    pictures: Pictures, space: FeatureSpace, batch_size: int | None = None
) -> Features:
    """Features of pictures that many evaluations need, from the cache after the first of them."""
    return cached_features(
        pictures.images(range(pictures.num)),
        space,
        fingerprint=pictures.fingerprint,
        batch_size=batch_size,
        progress=True,
        total=pictures.num,
    )


def extract_together(
    pictures: Pictures,
    space: FeatureSpace,
    *,
    batch_size: int | None = None,
    progress: bool = False,
) -> Features:
    """Features of all pictures, each seen by one of the processes, in order in every process."""
    world = num_processes()
    mine = range(dist.get_rank() if world > 1 else 0, pictures.num, world)
    options: dict[str, Any] = {"batch_size": batch_size, "progress": progress, "total": len(mine)}
    part = extract(pictures.images(mine), space, **options) if len(mine) else (None, None)
    features, probabilities = (gather_rows(rows) for rows in part)
    assert features is not None
    return Features(features, probabilities)


def evaluator(
    real: Pictures,
    space: FeatureSpace,
    *,
    num: int = 1000,
    seed: int = 0,
    batch_size: int | None = None,
) -> Callable[[PaintingGenerator], dict[str, float]]:
    """A function that measures a painter as it stands, for a training loop to call now and then.

    It paints the same `num` latents each time, and holds the real features ready.
    """
    x = extract_once(real, space, batch_size)

    def measure(painter: PaintingGenerator) -> dict[str, float]:
        y = extract(painter.sample(num, seed=seed, to="array"), space, batch_size=batch_size)
        return evaluate(x, y, space.name) | leak_check(x, y, space.name)

    return measure
