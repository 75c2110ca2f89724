"""Compare the training speed of a classifier with the usual PyTorch loop, in images per second.

    uv run experiments/benchmark_classifier.py
    uv run experiments/benchmark_classifier.py --model tf_efficientnet_lite0 --originals paintings/

Three methods alternate (A B C A B C ...), so that a drifting machine speed affects all equally:
    decoding   float32, contiguous, Adam, with a DataLoader over torchvision's ImageFolder, which
               decodes and crops the original files in every epoch, as most public scripts do
    ready      the same step on a batch that is ready, which times the network alone
    ours       the step of `train_classifier.py` with views and moving average, at the same side

Each method has a process of its own, because `ours` changes how the C library keeps memory. Without
--originals, the original files are synthetic paintings with a short side of 1,600 pixels, the size
that museums publish. The script prints the medians, a line `ratio NAME VALUE` for each pair, and
the share of the machine's arithmetic that `ours` reaches.
"""

import copy
import itertools
import statistics
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Annotated, Literal, get_args

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
from speed import (
    count_flops,
    device,
    matmul_peak,
    own_process,
    place,
    roofline,
    seconds_of,
    take_turns,
)

Way = Literal["decoding", "ready", "ours"]


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

    def decode(steps: int) -> Iterator:
        """Draw from the folder with replacement, so that a small one is enough."""
        num = cfg.batch_size * steps
        drawn = torch.utils.data.RandomSampler(paintings, replacement=True, num_samples=num)
        loader = DataLoader(paintings, cfg.batch_size, sampler=drawn, num_workers=cfg.workers)
        return ((images.to(device()), labels.to(device())) for images, labels in loader)

    batch = next(decode(1)) if ready else None
    network = timm.create_model(cfg.model, num_classes=len(paintings.classes)).to(device())
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)

    def run(steps: int) -> None:
        for images, labels in itertools.repeat(batch, steps) if batch else decode(steps):
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
    network = create_backbone(cfg.model, num_artists).to(device())
    network.to(memory_format=torch.channels_last)
    mean, std = input_statistics(network)
    average = copy.deepcopy(network)
    optimizer = create_optimizer_v2(network, "adamw", 1e-3, weight_decay=0.05, layer_decay=0.8)
    uses_bf16 = choose_precision(cfg.precision) == "bf16"
    autocast = torch.autocast(device().type, torch.bfloat16, uses_bf16)
    steps_taken = itertools.count()

    def run(steps: int) -> None:
        for step in itertools.islice(steps_taken, steps):
            images, targets = (part.to(device()) for part in views[step])
            with autocast:
                logits = network(classifier.normalise(images, mean, std))
                loss = cross_entropy(logits, targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            update_ema(average, network, 0.99, statistics=True)

    return run


# The next functions run in the process of one method. That of `ours` also measures the roofline.


@cache
def build(cfg: Config, folder: Path, way: Way) -> Callable[[int], None]:
    """Prepare a method; return a function that runs a number of steps."""
    return ours(cfg, folder) if way == "ours" else usual(cfg, folder, ready=way == "ready")


def images_per_second(cfg: Config, folder: Path, way: Way) -> float:
    """Time some steps of a method, which is prepared at the first call."""
    run = build(cfg, folder, way)
    return cfg.steps * cfg.batch_size / seconds_of(lambda: run(cfg.steps))


def arithmetic(cfg: Config, folder: Path) -> tuple[float, float]:
    """Count the operations of a step of ours, and measure the machine's peak per second."""
    run = build(cfg, folder, "ours")
    return count_flops(lambda: run(1)), matmul_peak(choose_precision(cfg.precision))


def main(cfg: Config) -> None:
    """Write the original files, time the three methods alternately, and print the speeds."""
    if cfg.originals and not cfg.originals.is_dir():
        raise BrushworkError(
            f"no folder {cfg.originals}; `originals` must be a folder of artist/painting.jpg"
        )
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as stack:
        folder = cfg.originals or Path(scratch)
        if not cfg.originals:
            write_originals(folder)
        processes: dict[Way, Executor] = {
            way: stack.enter_context(own_process()) for way in get_args(Way)
        }

        def measure(way: Way) -> float:
            return processes[way].submit(images_per_second, cfg, folder, way).result()

        speeds = take_turns({way: partial(measure, way) for way in processes}, cfg.rounds)
        print_speeds(cfg, speeds)
        flops, peak = processes["ours"].submit(arithmetic, cfg, folder).result()
        print(roofline(flops, cfg.batch_size / statistics.median(speeds["ours"]), peak))


def write_originals(folder: Path) -> None:
    """Draw synthetic paintings of four artists."""
    for i in range(16):
        file = folder / f"artist-{i % 4}" / f"{i}.jpg"
        file.parent.mkdir(exist_ok=True)
        synthetic.draw(i, side=1600).save(file, quality=92)


def print_speeds(cfg: Config, speeds: Mapping[str, list[float]]) -> None:
    """Print the median speed of each method, and the ratios."""
    precision = choose_precision(cfg.precision)
    print(
        f"{cfg.model}, {cfg.side} pixels, batch {cfg.batch_size}, {place()}; "
        f"precision of ours: {'float32' if precision == 'no' else precision}"
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
