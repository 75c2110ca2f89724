"""Compare the training speed of DC-GAN with the usual PyTorch loops, in images per second.

    uv run experiments/benchmark_gan.py
    uv run experiments/benchmark_gan.py --width 64 --originals paintings/train

Three methods alternate (A B C A B C ...), so that a drifting machine speed affects all equally:
    tutorial   the training step of PyTorch's DC-GAN tutorial, on tensors that are ready
    decoding   the same step, fed by a DataLoader that decodes and resizes the original files,
               as most public scripts do
    ours       `train_gan.py`'s step, fed from the memory-mapped pixels
Without --originals, the original files are synthetic paintings of the size that museums publish
(1,600 pixels at the short side). Prints the medians, and a line `ratio NAME VALUE` for each pair.
"""

import copy
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from brushwork.data import synthetic
from brushwork.data.batches import gan_batches
from brushwork.errors import BrushworkError, report_errors
from brushwork.gan.augment import Augment, augmentation_numbers
from brushwork.gan.dcgan import DCGANConfig, Discriminator, Generator
from brushwork.gan.networks import build_networks
from brushwork.gan.objective import Objective, split_batch
from brushwork.gan.optimizer import gan_adam
from brushwork.training.ema import update_ema
from brushwork.training.precision import Precision, choose_precision
from settings import BatchSize, Count, Range, read_flags

LATENT_DIM = 100  # as in the tutorial


@dataclass(frozen=True)
class Config:
    """Settings: what to time, and for how long."""

    side: Annotated[int, Range(32, 256)] = 64
    width: Annotated[int, Range(1, 1024)] = 64
    batch_size: BatchSize = 64
    steps: Count = 4
    """Timed steps of each method in each round."""
    rounds: Count = 5
    precision: Precision = "auto"
    """Precision of `ours`; the other methods compute in float32."""
    originals: Path | None = None
    """Folder of image files to decode; by default synthetic paintings are drawn."""
    workers: Annotated[int, Range(0, 1024)] = 2
    """Worker processes of the DataLoader that decodes."""


class Originals(Dataset):
    """Image files, prepared as in the tutorial: decode, resize, crop, normalise."""

    def __init__(self, files: list[Path], side: int, num: int) -> None:
        self.files, self.num = files, num
        self.transform = transforms.Compose(
            [
                transforms.Resize(side),
                transforms.CenterCrop(side),
                transforms.ToTensor(),
                transforms.Normalize((0.5,) * 3, (0.5,) * 3),
            ]
        )

    def __len__(self) -> int:
        return self.num

    def __getitem__(self, index: int) -> Tensor:
        with Image.open(self.files[index % len(self.files)]) as image:
            return torch.as_tensor(self.transform(image.convert("RGB")))


def tutorial(cfg: Config, make_batches: Callable[[], Iterator[Tensor]]) -> Callable[[], None]:
    """Prepare the loop of docs.pytorch.org/tutorials/beginner/dcgan_faces_tutorial."""
    shape = DCGANConfig(side=cfg.side, latent_dim=LATENT_DIM, width=cfg.width)
    netG, netD = Generator(shape), nn.Sequential(Discriminator(shape), nn.Sigmoid())
    criterion = nn.BCELoss()
    optimizerD = torch.optim.Adam(netD.parameters(), lr=2e-4, betas=(0.5, 0.999))
    optimizerG = torch.optim.Adam(netG.parameters(), lr=2e-4, betas=(0.5, 0.999))

    def run() -> None:
        for real in make_batches():
            netD.zero_grad()
            label = torch.full((len(real),), 1.0)
            errD_real = criterion(netD(real), label)
            errD_real.backward()
            noise = torch.randn(len(real), LATENT_DIM)
            fake = netG(noise)
            label.fill_(0.0)
            errD_fake = criterion(netD(fake.detach()), label)
            errD_fake.backward()
            optimizerD.step()
            netG.zero_grad()
            label.fill_(1.0)
            errG = criterion(netD(fake), label)
            errG.backward()
            optimizerG.step()

    return run


def ours(cfg: Config, pixels: np.ndarray) -> Callable[[], None]:
    """Prepare the step of `train_gan.py`, with its batches and its moving average."""
    G, D = build_networks("dcgan", side=cfg.side, width=cfg.width)
    for network in (G, D):
        network.to(memory_format=torch.channels_last)
    ema = copy.deepcopy(G)
    opt_G, opt_D = gan_adam(G, lr=2e-4), gan_adam(D, lr=2e-4)
    objective = Objective(loss="logistic", augment=Augment(policy=()))
    batches = gan_batches(
        pixels,
        rows=np.arange(len(pixels)),
        batch_size=cfg.batch_size,
        latent_dim=LATENT_DIM,
        seed=0,
        flip=True,
    )
    uses_bf16 = choose_precision(cfg.precision) == "bf16"
    autocast = torch.autocast("cpu", dtype=torch.bfloat16, enabled=uses_bf16)
    backward = torch.Tensor.backward

    def run() -> None:
        for step, batch in enumerate(itertools.islice(batches, cfg.steps)):
            with autocast:
                parts = split_batch(
                    batch,
                    u=augmentation_numbers(step, batch_size=cfg.batch_size, seed=0),
                    num_micro_batches=1,
                    device=torch.device("cpu"),
                )
                fakes = [G(part.z, part.y) for part in parts]
                D.requires_grad_(True)
                opt_D.zero_grad()
                output_D = objective.discriminator(D, parts, fakes, step=step, backward=backward)
                opt_D.step()
                D.requires_grad_(False)
                opt_G.zero_grad()
                objective.generator(D, parts, fakes, output_D, step=step, backward=backward)
                opt_G.step()
            update_ema(ema, G, decay=0.99)

    return run


def main(cfg: Config) -> None:
    """Write the original files, then time the three methods alternately."""
    with tempfile.TemporaryDirectory() as scratch:
        files = original_files(cfg, Path(scratch))
        images = Originals(files, cfg.side, num=cfg.batch_size * cfg.steps)
        ready = torch.stack([images[i] for i in range(min(256, len(files)))])
        pixels = ((ready + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
        batch = ready[torch.arange(cfg.batch_size) % len(ready)]
        loader = DataLoader(images, cfg.batch_size, num_workers=cfg.workers)
        methods = {
            "tutorial": tutorial(cfg, lambda: itertools.repeat(batch, cfg.steps)),
            "decoding": tutorial(cfg, lambda: iter(loader)),
            "ours": ours(cfg, np.ascontiguousarray(pixels)),
        }
        speeds: dict[str, list[float]] = {name: [] for name in methods}
        for round_number in range(cfg.rounds + 1):
            for name, run in methods.items():
                start = time.perf_counter()
                run()
                seconds = time.perf_counter() - start
                if round_number > 0:  # the first round is slower: caches are cold
                    speeds[name].append(cfg.steps * cfg.batch_size / seconds)
    print_speeds(cfg, speeds)


def original_files(cfg: Config, scratch: Path) -> list[Path]:
    """List the files of --originals, or draw synthetic paintings of 1,600 pixels."""
    if cfg.originals is None:
        files = [scratch / f"{i}.jpg" for i in range(16)]
        for i, file in enumerate(files):
            synthetic.draw(i, side=1600).save(file, quality=92)
        return files
    suffixes = (".jpg", ".png")
    files = sorted(f for f in cfg.originals.iterdir() if f.suffix.lower() in suffixes)
    if not files:
        raise BrushworkError(
            f"no .jpg or .png files in {cfg.originals}; pass another folder as `originals`"
        )
    return files


def print_speeds(cfg: Config, speeds: dict[str, list[float]]) -> None:
    """Print the median speed of each method in images per second, and the ratios."""
    precision = choose_precision(cfg.precision)
    print(
        f"DC-GAN, {cfg.side} pixels, width {cfg.width}, batch {cfg.batch_size}, "
        f"{torch.get_num_threads()} threads; "
        f"precision of ours: {'float32' if precision == 'no' else precision}"
    )
    for name, values in speeds.items():
        print(
            f"{name:10} {statistics.median(values):8.1f} images/s "
            f"({min(values):.1f} to {max(values):.1f})"
        )
    for other in ("tutorial", "decoding"):
        ratios = [a / b for a, b in zip(speeds["ours"], speeds[other], strict=True)]
        print(f"ratio ours_over_{other} {statistics.median(ratios):.2f}")


if __name__ == "__main__":
    with report_errors(Config):
        main(read_flags(Config, __doc__))
