"""How fast DC-GAN trains here, beside the usual ways, in images per second.

    uv run experiments/benchmark_gan.py
    uv run experiments/benchmark_gan.py --width 64 --originals paintings/train

Three ways take turns (A B C A B C ...), so that a machine whose speed drifts is fair to all:
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
from settings import read_flags


@dataclass(frozen=True)
class Config:
    """What to time, and for how long."""

    side: int = 64
    width: int = 64
    batch_size: int = 64
    steps: int = 4
    """Steps in a row, of each way in each round."""
    rounds: int = 5
    precision: Precision = "auto"
    """Of ours; the tutorial's way is float32."""
    originals: Path | None = None
    """Folder of image files to decode; by default synthetic paintings are drawn."""
    workers: int = 2
    """Of the DataLoader that decodes."""


class Originals(Dataset):
    """Image files as the tutorial prepares them: decode, resize, crop, normalise."""

    def __init__(self, files: list[Path], side: int, num: int):
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
    """The loop of docs.pytorch.org/tutorials/beginner/dcgan_faces_tutorial, for `cfg.steps`."""
    shape = DCGANConfig(cfg.side, 100, cfg.width)
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
            noise = torch.randn(len(real), 100)
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
    """The step of `train_gan.py`, batches, running average and all."""
    G, D = build_networks("dcgan", cfg.side, cfg.width)
    for net in (G, D):
        net.to(memory_format=torch.channels_last)
    ema = copy.deepcopy(G)
    opt_G, opt_D = (gan_adam(net, 2e-4) for net in (G, D))
    objective = Objective("logistic", Augment(policy=()))
    batches = gan_batches(pixels, np.arange(len(pixels)), cfg.batch_size, 100, seed=0, flip=True)

    autocast = torch.autocast("cpu", torch.bfloat16, choose_precision(cfg.precision) == "bf16")

    def run() -> None:
        for step, batch in enumerate(itertools.islice(batches, cfg.steps)):
            with autocast:
                u = augmentation_numbers(step, batch_size=cfg.batch_size, seed=0)
                parts = split_batch(batch, u, num_micro_batches=1, device=torch.device("cpu"))
                fakes = [G(part.z, part.y) for part in parts]
                D.requires_grad_(True)
                opt_D.zero_grad()
                output_D = objective.discriminator(D, parts, fakes, step, torch.Tensor.backward)
                opt_D.step()
                D.requires_grad_(False)
                opt_G.zero_grad()
                objective.generator(D, parts, fakes, output_D, step, torch.Tensor.backward)
                opt_G.step()
            update_ema(ema, G, 0.99)

    return run


def main(cfg: Config) -> None:
    """Make the originals, then time the three ways in turn."""
    with tempfile.TemporaryDirectory() as scratch:
        if cfg.originals:
            files = sorted(
                f for f in cfg.originals.iterdir() if f.suffix.lower() in (".jpg", ".png")
            )
        else:
            files = [Path(scratch) / f"{i}.jpg" for i in range(16)]
            for i, file in enumerate(files):
                synthetic.draw(i, side=1600).save(file, quality=92)
        if not files:
            raise BrushworkError(f"no .jpg or .png files in {cfg.originals}")

        images = Originals(files, cfg.side, num=cfg.batch_size * cfg.steps)
        ready = torch.stack([images[i] for i in range(min(256, len(files)))])
        pixels = ((ready + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
        batch = ready[torch.arange(cfg.batch_size) % len(ready)]
        loader = DataLoader(images, cfg.batch_size, num_workers=cfg.workers)
        ways = {
            "tutorial": tutorial(cfg, lambda: itertools.repeat(batch, cfg.steps)),
            "decoding": tutorial(cfg, lambda: iter(loader)),
            "ours": ours(cfg, np.ascontiguousarray(pixels)),
        }
        speeds: dict[str, list[float]] = {name: [] for name in ways}
        for round_ in range(cfg.rounds + 1):
            for name, run in ways.items():
                began = time.perf_counter()
                run()
                if round_:  # the first warms up
                    elapsed = time.perf_counter() - began
                    speeds[name].append(cfg.steps * cfg.batch_size / elapsed)

    precision = choose_precision(cfg.precision)
    print(
        f"DC-GAN, {cfg.side} pixels, width {cfg.width}, batch {cfg.batch_size}, "
        f"{torch.get_num_threads()} threads; ours in precision {precision} (no: float32)"
    )
    for name, values in speeds.items():
        print(f"{name:10} {statistics.median(values):8.1f} images/s "
              f"({min(values):.1f} to {max(values):.1f})")  # fmt: skip
    for other in ("tutorial", "decoding"):
        paired = (a / b for a, b in zip(speeds["ours"], speeds[other], strict=True))
        print(f"ratio ours_over_{other} {statistics.median(paired):.2f}")


if __name__ == "__main__":
    with report_errors(Config):
        main(read_flags(Config, __doc__))
