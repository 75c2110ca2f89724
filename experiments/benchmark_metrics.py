"""Compare the speed of the metrics with clean-fid's, and check that both give the same numbers.

    uv run experiments/benchmark_metrics.py
    uv run experiments/benchmark_metrics.py --num-images 100 --repeats 1   # quick

It times the Fréchet distance between two feature matrices; FID and KID between two folders of PNGs,
through one network; and all metrics of 1,000 fakes, as in an evaluation during training. The two
libraries run alternately. At the end it prints one ratio per comparison; above 1, brushwork is
faster.

It needs SciPy before 1.18, because clean-fid's distance fails with later versions. It writes
nothing.
"""

import platform
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import timm
import torch
from cleanfid import fid as cleanfid
from PIL import Image
from safetensors.torch import save_file
from torch import nn

from brushwork.data.synthetic.artists import draw
from brushwork.errors import report_errors
from brushwork.machine import keep_freed_memory, num_cores
from brushwork.metrics import distances
from brushwork.metrics.evaluate import evaluate
from brushwork.metrics.features import FeatureSpace, extract, image_files, timm_space
from settings import Count, Range, Side, read_flags


@dataclass(frozen=True)
class Config:
    """Settings: what to time, and how often."""

    repeats: Count = 3
    """Runs of each library; the medians are compared."""
    num_images: Annotated[int, Range(2, 1_000_000)] = 1000
    """Images in each folder, and fakes in the evaluation."""
    side: Side = 64
    """Side of these images, in pixels."""
    backbones: tuple[str, ...] = ("tf_efficientnet_lite0", "resnet18")
    """timm architectures for the folders, with random weights; the last one is used for the
    evaluation too."""
    eval_side: Side = 128
    """Side to which the backbone's images are resized in the evaluation, in pixels."""
    parts: tuple[str, ...] = ("frechet", "folders", "evaluation")
    """The comparisons to run."""


def alternate(
    theirs: Callable[[], object], ours: Callable[[], object], repeats: int
) -> tuple[float, float, Any, Any]:
    """Run two functions in turns (A B A B).

    Returns:
        The median seconds of each, and the last result of each.
    """
    times: tuple[list[float], list[float]] = ([], [])
    results: list[Any] = [None, None]
    for _ in range(repeats):
        for side, function in enumerate((theirs, ours)):
            start = time.perf_counter()
            results[side] = function()
            times[side].append(time.perf_counter() - start)
    return statistics.median(times[0]), statistics.median(times[1]), results[0], results[1]


def relu_features(n: int, d: int, seed: int) -> np.ndarray:
    """Make correlated, non-negative features (n, d), like those of a network's last layer."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, d)) @ np.random.default_rng(0).standard_normal((d, d)) / d**0.5
    return np.maximum(x + 0.1 * seed, 0)


def print_row(name: str, theirs: float, ours: float, note: str) -> str:
    """Print a line of the table, and return the line of its ratio."""
    print(f"{name:<24}{theirs:>11.2f} s{ours:>10.2f} s{theirs / ours:>9.1f}x   {note}", flush=True)
    return f"ratio {name} {theirs / ours:.2f}"


def main(cfg: Config) -> None:
    """Run the comparisons and print the table."""
    warnings.simplefilter("ignore")  # clean-fid's calls to what SciPy deprecates
    keep_freed_memory()  # as evaluate_gan.py does; both libraries profit
    cores = num_cores()
    print(f"{cores} cores, {torch.get_num_threads()} threads, float32 networks, float64 distances,")
    print(f"{platform.machine()}, torch {torch.__version__}, medians of {cfg.repeats} runs each\n")
    print(f"{'':<24}{'clean-fid':>13}{'brushwork':>12}{'ratio':>10}")
    ratios: list[str] = []

    # The distance alone: from means and covariances for clean-fid, from features for brushwork.
    for n in (1000, 5000) if "frechet" in cfg.parts else ():
        x, y = relu_features(n, 2048, 1), relu_features(n, 2048, 2)
        moments: Any = [m for f in (x, y) for m in (f.mean(0), np.cov(f, rowvar=False))]
        theirs, ours, a, b = alternate(
            lambda moments=moments: cleanfid.frechet_distance(*moments),
            lambda x=x, y=y: distances.frechet(x, y),
            cfg.repeats,
        )
        difference = abs(a / b - 1)
        ratios.append(
            print_row(f"frechet_{n}", theirs, ours, f"D = 2048, difference {difference:.0e}")
        )

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for name, first in (("real", 0), ("fake", cfg.num_images)):
            write_paintings(folder / name, range(first, first + cfg.num_images), cfg.side)

        # From folders to distances: FID for clean-fid, FID and KID for brushwork.
        for backbone in cfg.backbones if "folders" in cfg.parts else ():
            network: Any = random_network(backbone, folder)
            space = timm_space(backbone, folder / f"{backbone}.safetensors", side=299)
            theirs, ours, a, b = alternate(
                lambda network=network: cleanfid.compute_fid(
                    str(folder / "real"),
                    str(folder / "fake"),
                    custom_feat_extractor=plain_extractor(network),
                    device=torch.device("cpu"),
                    num_workers=cores or 1,
                    verbose=False,
                ),
                lambda space=space: fid_and_kid(folder, space),
                cfg.repeats,
            )
            note = f"FID difference {abs(a / b[0] - 1):.0e}; ours with KID"
            ratios.append(print_row(f"folders_{backbone}", theirs, ours, note))

        # All metrics of new fakes; the features of the real paintings are known.
        if "evaluation" in cfg.parts:
            random_network(cfg.backbones[-1], folder)
            weights = folder / f"{cfg.backbones[-1]}.safetensors"
            space = timm_space(cfg.backbones[-1], weights, side=cfg.eval_side)
            real = extract(folder / "real", space)
            fakes = np.stack([np.asarray(Image.open(f)) for f in image_files(folder / "fake")])
            seconds, numbers = [], 0
            for _ in range(cfg.repeats):
                start = time.perf_counter()
                numbers = len(evaluate(real, extract(fakes, space)))
                seconds.append(time.perf_counter() - start)
            print(
                f"\nall {numbers} values of {len(fakes)} fakes, {space.name} at {space.side}: "
                f"{statistics.median(seconds):.1f} s"
            )
            ratios.append(f"ratio evaluation_in_30s {30 / statistics.median(seconds):.2f}")
    print("\n" + "\n".join(ratios))


def random_network(backbone: str, folder: Path) -> nn.Module:
    """Make a timm network with random weights, and write them into the folder."""
    torch.manual_seed(0)
    network = timm.create_model(backbone, pretrained=False).eval()
    save_file(network.state_dict(), folder / f"{backbone}.safetensors")
    return network


def plain_extractor(network: Any) -> Callable[[torch.Tensor], torch.Tensor]:
    """Make clean-fid's custom feature extractor from the same network."""
    mean, std = (
        255 * torch.tensor(network.pretrained_cfg[name])[:, None, None] for name in ("mean", "std")
    )

    def extractor(images: torch.Tensor) -> torch.Tensor:
        hidden = network.forward_features((images - mean) / std)
        return network.forward_head(hidden, pre_logits=True)

    return extractor


def fid_and_kid(folder: Path, space: FeatureSpace) -> tuple[float, distances.Estimate]:
    """Compute FID and KID between the folders by brushwork."""
    x, y = (extract(folder / name, space).features for name in ("real", "fake"))
    return distances.frechet(x, y), distances.kid(x, y)


def write_paintings(folder: Path, indices: range, side: int) -> None:
    """Write synthetic paintings as PNG files."""
    folder.mkdir()

    def write(index: int) -> None:
        draw(index, side=side).save(folder / f"{index:05}.png")

    with ThreadPoolExecutor() as pool:
        list(pool.map(write, indices))


if __name__ == "__main__":
    with report_errors(Config):
        main(read_flags(Config, __doc__))
