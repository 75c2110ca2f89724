"""The models behind the page: which there are, opened when wanted, a few at a time.

The functions that compute take names and numbers, never models: on ZeroGPU they run in another
process, which opens its own.
"""

import json
import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from brushwork import checkpoint
from brushwork.errors import BrushworkError
from brushwork.gan.generator import PaintingGenerator, to_arrays
from brushwork.gan.networks import ARCHITECTURES
from brushwork_demo.together import Together, alone

if TYPE_CHECKING:
    from brushwork.classifier.identify import ArtistClassifier, Identification, Neighbour

BUNDLED = Path(__file__).parent / "checkpoints"
KEPT = "kept"
CURVES = "metrics.jsonl"
MOST_OPEN = 8
"""Generators in memory at once, the stages of a training counted one by one."""

Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(frozen=True)
class Painter:
    """A generator that visitors can choose."""

    name: str
    stages: tuple[Path, ...]
    """Checkpoints of its training, earliest first; the last is the finished one."""
    epochs: tuple[float, ...]
    """How long each had trained."""
    config: dict[str, Any]
    curves: tuple[dict[str, float], ...]
    """Lines of its run's `metrics.jsonl`, if that is there."""

    @property
    def side(self) -> int:
        """Of its pictures, in pixels."""
        return self.config["model"]["side"]

    def stage(self, number: int | None) -> Path:
        """The checkpoint of a stage, 1 for the earliest; None for the finished one.

        Raises:
            BrushworkError: there is no such stage.
        """
        if number is None:
            return self.stages[-1]
        if not 1 <= number <= len(self.stages):
            raise BrushworkError(
                f"no stage {number} of {self.name}; it has stages 1 to {len(self.stages)}"
            )
        return self.stages[number - 1]


@dataclass(frozen=True)
class Studio:
    """What this page was started with."""

    painters: dict[str, Painter]
    classifier: Path | None

    def painter(self, name: str | None) -> Painter:
        """A painter by name; the first one if None.

        Raises:
            BrushworkError: nobody has this name.
        """
        if name is None:
            return next(iter(self.painters.values()))
        if name not in self.painters:
            known = ", ".join(self.painters)
            raise BrushworkError(f"no painter {str(name)[:40]!r}; there are {known}")
        return self.painters[name]


def open_studio(generators: Sequence[str] = (), classifier: str | None = None) -> Studio:
    """Find the models to show; those that are bundled where none is named.

    Args:
        generators: folders or names on the Hugging Face Hub.
        classifier: likewise.

    Raises:
        BrushworkError: one of them is not there, or cannot be opened.
    """
    bundled = [checkpoint.locate(file.parent) for file in sorted(BUNDLED.glob("*/config.json"))]
    kinds = {folder: is_generator(checkpoint.load_config(folder)) for folder in bundled}
    painters: dict[str, Painter] = {}
    for given in generators or [folder for folder in bundled if kinds[folder]]:
        painter = _find_painter(given)
        if painter.name in painters:
            painter = _renamed(painter, painters)
        painters[painter.name] = painter
    if not painters:
        raise BrushworkError(f"no generators in {BUNDLED}; name one with --generator")
    if classifier is not None:
        folder = checkpoint.locate(classifier)
        if is_generator(checkpoint.load_config(folder)):
            raise BrushworkError(f"{classifier} is no artist classifier; is it for --generator?")
        return Studio(painters, folder)
    return Studio(painters, next((folder for folder in bundled if not kinds[folder]), None))


def is_generator(config: dict[str, Any]) -> bool:
    """Whether a checkpoint's configuration is a painter's."""
    return config.get("architecture") in ARCHITECTURES


def _find_painter(given: str | Path) -> Painter:
    folder = checkpoint.locate(given)
    config = checkpoint.load_config(folder)
    if not is_generator(config):
        raise BrushworkError(f"{given} is no painting generator; is it for --classifier?")
    in_a_run = folder.name == "generator"
    name = folder.parent.name if in_a_run else Path(given).name
    beside = folder.parent if in_a_run else folder
    kept = sorted(f.parent for f in beside.glob(f"{KEPT}/step-*/{checkpoint.CONFIG}"))
    stages = {_epochs(checkpoint.load_config(stage)): stage for stage in kept}
    stages[_epochs(config)] = folder
    epochs = sorted(stages)
    curves = beside / CURVES
    lines = curves.read_text().splitlines() if curves.is_file() else []
    return Painter(
        name=name or folder.name,
        stages=tuple(stages[epoch] for epoch in epochs),
        epochs=tuple(epochs),
        config=config,
        curves=tuple(json.loads(line) for line in lines),
    )


def _epochs(config: dict[str, Any]) -> float:
    return float(config.get("training", {}).get("epochs", 0))


def _renamed(painter: Painter, taken: dict[str, Painter]) -> Painter:
    stem = re.sub(r" \d+$", "", painter.name)
    number = next(n for n in range(2, len(taken) + 3) if f"{stem} {n}" not in taken)
    return replace(painter, name=f"{stem} {number}")


def device() -> torch.device:
    """A GPU where there is one (on ZeroGPU it appears so from the start)."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def on_gpu(function: Function) -> Function:
    """Ask ZeroGPU for a GPU during each call; nothing where its package is not installed."""
    try:
        import spaces  # pyright: ignore[reportMissingImports]
    except ImportError:
        return function
    return spaces.GPU(function, duration=20)


@lru_cache(maxsize=MOST_OPEN)
def open_generator(folder: Path) -> PaintingGenerator:
    """A generator from its folder, or from the few that are kept open."""
    return PaintingGenerator.from_pretrained(folder, device())


@lru_cache(maxsize=1)
def open_classifier(folder: Path) -> "ArtistClassifier":
    """The artist classifier of the page."""
    from brushwork.classifier.identify import ArtistClassifier

    return ArtistClassifier.from_pretrained(folder, device=device())


@dataclass(frozen=True)
class Order:
    """Pictures to be painted."""

    folder: Path
    """Of the generator."""
    z: NDArray[np.float32]
    """Latents (N, Z)."""
    y: NDArray[np.int64]
    """Classes (N,)."""
    truncation: float


@on_gpu
def _paint_batch(orders: list[Order]) -> list[NDArray[np.uint8]]:
    alike: dict[tuple[Path, float], list[int]] = defaultdict(list)
    for i, order in enumerate(orders):
        alike[order.folder, order.truncation].append(i)
    painted: dict[int, NDArray[np.uint8]] = {}
    for (folder, truncation), places in alike.items():
        z = torch.from_numpy(np.concatenate([orders[i].z for i in places]))
        y = torch.from_numpy(np.concatenate([orders[i].y for i in places]))
        arrays = to_arrays(open_generator(folder).paint(z, y, truncation))
        ends = np.cumsum([len(orders[i].z) for i in places])[:-1]
        painted |= dict(zip(places, np.split(arrays, ends), strict=True))
    return [painted[i] for i in range(len(orders))]


@on_gpu
def _identify_batch(orders: "list[tuple[Path, Image.Image]]") -> "list[Identification]":
    folder = orders[0][0]  # a page has one classifier
    return open_classifier(folder).identify([image for _, image in orders])


@on_gpu
def _explain(folder: Path, image: Image.Image, artist: str | None) -> NDArray[np.float32]:
    return open_classifier(folder).explain(image, artist)


@on_gpu
def _nearest(folder: Path, image: Image.Image, k: int) -> "list[Neighbour]":
    return open_classifier(folder).nearest(image, k=k)


_paint = Together(_paint_batch, most=16)
_identify = Together(_identify_batch, most=4)


def classes(folder: Path) -> tuple[str, ...]:
    """What a generator can be asked for by name; () where it paints one thing."""
    return open_generator(folder).classes


def order(folder: Path, num: int, seed: int, truncation: float, label: str | None = None) -> Order:
    """Draw what a generator starts from; the first pictures are the same whatever the number.

    Args:
        folder: of the generator.
        num: of pictures.
        seed: the same seed gives the same pictures.
        truncation: 1 for all the variety that was learned.
        label: one of its classes; None for all of them.

    Raises:
        BrushworkError: a number is out of range, or there is no such class.
    """
    painter = open_generator(folder)
    z = painter.latents(num, seed).numpy()
    return Order(folder, z, painter.labels(num, label, seed).numpy(), truncation)


def paint(order: Order) -> NDArray[np.uint8]:
    """Pictures (N, S, S, 3), painted together with what other visitors ask for."""
    return _paint(order)


def identify(folder: Path, image: Image.Image) -> "Identification":
    """Who may have painted it, together with what other visitors ask."""
    return _identify((folder, image))


def artists(folder: Path) -> tuple[str, ...]:
    """Whom the classifier knows."""
    return open_classifier(folder).artists


def explain(folder: Path, image: Image.Image, artist: str | None = None) -> NDArray[np.float32]:
    """Where the classifier looked, (H, W) in [0, 1]."""
    return alone(_explain, folder, image, artist)


def nearest(folder: Path, image: Image.Image, k: int = 5) -> "list[Neighbour]":
    """The known paintings that look most alike to the classifier."""
    return alone(_nearest, folder, image, k)


def open_painters(studio: Studio) -> None:
    """Open the generators that visitors will ask for first.

    Raises:
        BrushworkError: a checkpoint is broken.
    """
    for painter in [*studio.painters.values()][:MOST_OPEN]:
        open_generator(painter.stages[-1])


def warm_up(studio: Studio) -> None:
    """Open the classifier, which takes seconds, and let every model compute once."""
    for painter in [*studio.painters.values()][:MOST_OPEN]:
        paint(order(painter.stages[-1], 16, 0, 1.0))
    if studio.classifier:
        import brushwork.classifier.identify  # noqa: F401  (here, so that the worker is free to paint)

        side = alone(open_classifier, studio.classifier).side
        identify(studio.classifier, Image.new("RGB", (side, side), "grey"))
