"""Compare the training speed of a classifier with the usual PyTorch loop, in images per second.

    uv run experiments/benchmark_classifier.py
    uv run experiments/benchmark_classifier.py --model tf_efficientnet_lite0 --originals paintings/

Three methods alternate (A B C A B C ...), so that a drifting machine speed affects all equally:
    decoding   float32, contiguous, Adam, with a DataLoader over torchvision's ImageFolder, which
               decodes and crops the original files in every epoch, as most public scripts do
    ready      the same step on a batch that is ready, which times the network alone
    ours       the step of `train_classifier.py` with views and moving average, at the same side

Each run is a process of its own, because `ours` changes how the C library keeps memory. Without
--originals, the original files are synthetic paintings with a short side of 1,600 pixels, the size
that museums publish. The script prints the medians and a line `ratio NAME VALUE` for each pair.
"""

import copy
import itertools
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import timm
import torch
from timm.optim import create_optimizer_v2  # pyright: ignore[reportPrivateImportUsage]
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader
from torchvision import datasets, transforms

from brushwork.backbones.create import create_backbone, input_statistics
from brushwork.classifier import network as classifier
from brushwork.classifier.views import TrainingViews, Views
from brushwork.data import synthetic
from brushwork.errors import BrushworkError, report_errors
from brushwork.training.ema import update_ema
from brushwork.training.precision import Precision, choose_precision
from brushwork.training.threads import use_all_cores
from settings import BatchSize, Count, Range, Side, read_flags

WAYS = ("decoding", "ready", "ours")


@dataclass(frozen=True)
class Config:
    """Settings: what to time, and for how long."""

    model: str = "resnet18"
    """Name of any timm network."""
    side: Side = 224
    """Side of the network's inputs, in pixels."""
    batch_size: BatchSize = 32
    steps: Count = 3
    """Timed steps of each method in each round."""
    rounds: Count = 3
    """Rounds; in each, the three methods run one after another."""
    precision: Precision = "auto"
    """Precision of `ours`; the other methods compute in float32."""
    originals: Path | None = None
    """Folder of artist/painting.jpg; by default synthetic paintings are drawn."""
    workers: Annotated[int, Range(0, 1024)] = 2
    """Worker processes of the DataLoader that decodes."""


def usual(cfg: Config, folder: Path, ready: bool) -> Callable[[int], None]:
    """Prepare the loop of PyTorch's ImageNet example; return a function that runs some steps."""
    transform = transforms.Compose(
        [
            transforms.RandomResizedCrop(cfg.side),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ]
    )
    paintings = datasets.ImageFolder(folder, transform)
    # Never ends, so that a small folder is enough: a painting is decoded each time it is drawn.
    endless = torch.utils.data.RandomSampler(paintings, replacement=True, num_samples=10**6)
    batches: Iterator = iter(
        DataLoader(paintings, cfg.batch_size, sampler=endless, num_workers=cfg.workers)
    )
    if ready:
        batches = itertools.repeat(next(batches))
    network = timm.create_model(cfg.model, num_classes=len(paintings.classes))
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)

    def run(steps: int) -> None:
        for images, labels in itertools.islice(batches, steps):
            loss = cross_entropy(network(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    return run


def ours(cfg: Config, folder: Path) -> Callable[[int], None]:
    """Prepare the step of `train_classifier.py`; return a function that runs a number of steps."""
    use_all_cores()
    paintings = datasets.ImageFolder(folder, transforms.Resize((cfg.side, cfg.side)))
    pixels = np.stack([np.asarray(image) for image, _ in paintings])
    labels = np.asarray(paintings.targets)
    num_artists, rows = len(paintings.classes), np.arange(len(pixels))
    views = TrainingViews(
        pixels,
        rows=rows,
        labels=labels,
        num_artists=num_artists,
        batch_size=cfg.batch_size,
        side=lambda _: cfg.side,
        views=Views(),
        seed=0,
    )
    network = create_backbone(cfg.model, num_artists)
    network.to(memory_format=torch.channels_last)
    mean, std = input_statistics(network)
    average = copy.deepcopy(network)
    optimizer = create_optimizer_v2(network, "adamw", 1e-3, weight_decay=0.05, layer_decay=0.8)
    autocast = torch.autocast("cpu", torch.bfloat16, choose_precision(cfg.precision) == "bf16")
    steps_taken = itertools.count()

    def run(steps: int) -> None:
        for step in itertools.islice(steps_taken, steps):
            images, targets = views[step]
            with autocast:
                logits = network(classifier.normalise(images, mean, std))
                loss = cross_entropy(logits, targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            update_ema(average, network, 0.99, statistics=True)

    return run


def images_per_second(
    cfg: Config, folder: Path, way: Literal["decoding", "ready", "ours"]
) -> float:
    """Measure the speed of one method: one step to warm up, then `cfg.steps` timed steps."""
    run = ours(cfg, folder) if way == "ours" else usual(cfg, folder, ready=way == "ready")
    run(1)
    start = time.perf_counter()
    run(cfg.steps)
    return cfg.steps * cfg.batch_size / (time.perf_counter() - start)


def main(cfg: Config) -> None:
    """Write the original files, time the three methods alternately, and print the speeds."""
    if cfg.originals and not cfg.originals.is_dir():
        raise BrushworkError(
            f"no folder {cfg.originals}; `originals` must be a folder of artist/painting.jpg"
        )
    with tempfile.TemporaryDirectory() as scratch:
        folder = cfg.originals or Path(scratch)
        if not cfg.originals:
            write_originals(folder)
        speeds = take_turns(cfg, folder)
    print_speeds(cfg, speeds)


def write_originals(folder: Path) -> None:
    """Draw synthetic paintings of four artists."""
    for i in range(16):
        file = folder / f"artist-{i % 4}" / f"{i}.jpg"
        file.parent.mkdir(exist_ok=True)
        synthetic.draw(i, side=1600).save(file, quality=92)


def take_turns(cfg: Config, folder: Path) -> dict[str, list[float]]:
    """Time the three methods alternately; return the speeds of each, one per round."""
    speeds: dict[str, list[float]] = {way: [] for way in WAYS}
    for _ in range(cfg.rounds):
        for way in WAYS:
            # A new process each time, so that no method profits from what another one left behind.
            with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
                turn = pool.submit(images_per_second, cfg, folder, way)
                speeds[way].append(turn.result())
    return speeds


def print_speeds(cfg: Config, speeds: dict[str, list[float]]) -> None:
    """Print the median speed of each method, and the ratios."""
    precision = choose_precision(cfg.precision)
    print(
        f"{cfg.model}, {cfg.side} pixels, batch {cfg.batch_size}, {torch.get_num_threads()} "
        f"threads; precision of ours: {'float32' if precision == 'no' else precision}"
    )
    for way, values in speeds.items():
        median, low, high = statistics.median(values), min(values), max(values)
        print(f"{way:10} {median:8.1f} images/s ({low:.1f} to {high:.1f})")
    for other in ("decoding", "ready"):
        paired = (a / b for a, b in zip(speeds["ours"], speeds[other], strict=True))
        print(f"ratio ours_over_{other} {statistics.median(paired):.2f}")


if __name__ == "__main__":
    with report_errors(Config):
        main(read_flags(Config, __doc__))
