"""Open the models of a page and compute with them: generate, identify, explain, find neighbours.

The functions that compute take checkpoint folders, not opened models: on ZeroGPU they run in
another process, which opens its own models.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from brushwork import engine
from brushwork.classifier.answer import Identification, Neighbour, Picture
from brushwork.errors import BrushworkError
from brushwork.gan.latents import draw_labels, draw_latents
from brushwork.gan.sampling import to_arrays
from brushwork_demo.batching import Batcher, run_in_worker
from brushwork_demo.models import Models

PIXELS_AT_ONCE = 16 * 256**2
"""Pixels that a generator computes at a time: the server keeps the memory of its largest batch."""
MAX_OPEN = 8
"""Generators in memory at the same time; each stage of a training counts as one."""

_engine: engine.Engine = "auto"  # `open_models` sets it before the page is served

Function = TypeVar("Function", bound=Callable[..., Any])


def on_gpu(function: Function) -> Function:
    """Request a GPU of ZeroGPU for each call, if the package `spaces` is installed."""
    try:
        import spaces  # pyright: ignore[reportMissingImports]
    except ImportError:
        return function
    return spaces.GPU(function, duration=20)


@lru_cache(maxsize=MAX_OPEN)
def open_generator(folder: Path) -> engine.Generator:
    """Open a generator; the last `MAX_OPEN` generators stay in memory."""
    return engine.open_generator(folder, _engine, device="auto")


@lru_cache(maxsize=1)
def open_classifier(folder: Path) -> engine.Classifier:
    """Open the artist classifier of the page and keep it in memory."""
    return engine.open_classifier(folder, _engine, device="auto")


@dataclass(frozen=True)
class PaintRequest:
    """The input of a generator for N images."""

    folder: Path
    """Checkpoint folder of the generator."""
    z: NDArray[np.float32]
    """Latents (N, Z)."""
    y: NDArray[np.int64]
    """Class labels (N,)."""
    truncation: float
    """Above 0 and at most 1."""


@on_gpu
def _paint_batch(requests: list[PaintRequest]) -> list[NDArray[np.uint8]]:
    groups: dict[tuple[Path, float], list[int]] = defaultdict(list)
    for i, request in enumerate(requests):
        groups[request.folder, request.truncation].append(i)
    painted: dict[int, NDArray[np.uint8]] = {}
    for (folder, truncation), indices in groups.items():
        z = np.concatenate([requests[i].z for i in indices])
        y = np.concatenate([requests[i].y for i in indices])
        generator = open_generator(folder)
        num = max(1, PIXELS_AT_ONCE // generator.side**2)
        parts = [slice(start, start + num) for start in range(0, len(z), num)]
        arrays = np.concatenate(
            [to_arrays(generator.paint(z[part], y[part], truncation)) for part in parts]
        )
        ends = np.cumsum([len(requests[i].z) for i in indices])[:-1]
        painted |= dict(zip(indices, np.split(arrays, ends), strict=True))
    return [painted[i] for i in range(len(requests))]


@on_gpu
def _identify_batch(requests: list[tuple[Path, Picture]]) -> list[Identification]:
    folder = requests[0][0]  # a page has one classifier
    return open_classifier(folder).identify([image for _, image in requests])


@on_gpu
def _explain(folder: Path, image: Picture, artist: str | None) -> NDArray[np.float32]:
    return open_classifier(folder).explain(image, artist)


@on_gpu
def _nearest(folder: Path, image: Picture, k: int) -> list[Neighbour]:
    return open_classifier(folder).nearest(image, k=k)


_paint = Batcher(_paint_batch, max_batch_size=16)
_identify = Batcher(_identify_batch, max_batch_size=4)


def classes(folder: Path) -> tuple[str, ...]:
    """List the classes of a generator; () for a generator without classes."""
    return open_generator(folder).classes


def paint_request(
    folder: Path, num: int, seed: int, truncation: float = 1.0, label: str | None = None
) -> PaintRequest:
    """Sample latents and labels; the first ones do not depend on `num`.

    Args:
        folder: checkpoint folder of the generator.
        num: images.
        seed: the same seed gives the same latents and labels.
        truncation: above 0 and at most 1; 1 keeps all variety.
        label: one of the generator's classes; None samples among all of them.

    Raises:
        BrushworkError: a number is out of range, or there is no such class.
    """
    generator = open_generator(folder)
    return PaintRequest(
        folder=folder,
        z=draw_latents(num, generator.latent_dim, seed),
        y=draw_labels(num, generator.classes, label, seed),
        truncation=truncation,
    )


def paint(request: PaintRequest) -> NDArray[np.uint8]:
    """Generate images (N, S, S, 3), in one batch with the requests of other visitors."""
    return _paint(request)


def paint_each(requests: Sequence[PaintRequest]) -> list[NDArray[np.uint8]]:
    """Generate the images of several requests, in as few batches as possible."""
    return [future.result() for future in [_paint.submit(request) for request in requests]]


def identify(folder: Path, image: Picture) -> Identification:
    """Identify the artist of a painting, in one batch with the requests of other visitors."""
    return _identify((folder, image))


def artists(folder: Path) -> tuple[str, ...]:
    """List the artists of a classifier."""
    return open_classifier(folder).artists


def explain(folder: Path, image: Picture, artist: str | None = None) -> NDArray[np.float32]:
    """Compute the evidence map for an artist, (H, W) in [0, 1]; None for the likeliest artist."""
    return run_in_worker(_explain, folder, image, artist)


def nearest(folder: Path, image: Picture, k: int = 5) -> list[Neighbour]:
    """Find the `k` training paintings with the most similar features."""
    return run_in_worker(_nearest, folder, image, k)


def open_models(models: Models, chosen: engine.Engine = "auto") -> str:
    """Open all checkpoints once, so that a broken one is refused before the page is served.

    The classifier and the finished generators of the first `MAX_OPEN` painters stay in memory.

    Args:
        models: the models of the page.
        chosen: what computes; see `brushwork.engine`.

    Returns:
        What computes which models, to print.

    Raises:
        BrushworkError: a checkpoint is broken, or does not hold what the engine needs.
    """
    global _engine
    _engine = chosen
    painters = [*models.painters.values()]
    earlier = [stage for painter in painters for stage in painter.stages[:-1]]
    for folder in [*earlier, *(painter.stages[-1] for painter in reversed(painters))]:
        with explain_broken(folder):
            open_generator(folder)
    if models.classifier:
        with explain_broken(models.classifier):
            # In the worker, so that torch, if it computes, starts one pool of threads only.
            run_in_worker(open_classifier, models.classifier)
    folders = {name: painter.stages[-1] for name, painter in models.painters.items()}
    if models.classifier:
        folders["the classifier"] = models.classifier
    computed: dict[str, list[str]] = defaultdict(list)
    for name, folder in folders.items():
        computed["onnxruntime" if engine.uses_onnx(folder, chosen) else "torch"].append(name)
    return "; ".join(f"{name} computes {', '.join(names)}" for name, names in computed.items())


@contextmanager
def explain_broken(folder: Path) -> Iterator[None]:
    """Turn any error of a broken checkpoint into a `BrushworkError`."""
    try:
        yield
    except BrushworkError:
        raise
    except Exception as error:
        reason = str(error).partition("\n")[0]
        raise BrushworkError(
            f"cannot open the checkpoint {folder} ({type(error).__name__}: {reason}); copy or "
            "download it again"
        ) from error


def warm_up(models: Models) -> None:
    """Let every model compute once."""
    for painter in [*models.painters.values()][:MAX_OPEN]:
        paint(paint_request(painter.stages[-1], num=16, seed=0))
    if models.classifier:
        side = run_in_worker(open_classifier, models.classifier).side
        identify(models.classifier, Image.new("RGB", (side, side), "grey"))
