r"""Train a network that enlarges the pictures of a generator and adds the details of paintings.

    accelerate launch experiments/train_enlarger.py --generator runs/landscapes \
        --data paintings/ --genre landscape

A GAN of 64 pixels learns compositions in an hour on a CPU; one of 256 pixels has 16 times the
pixels. This adds the details in 20 minutes. Writes to --out: the trained `generator/`, which
paints and enlarges and opens everywhere like the one of --generator; the generators in the `kept/`
of that run, enlarged; sample grids in `samples/`; `curves.png` and `metrics.jsonl`. --resume
continues a run that was stopped or killed, or trains a finished one longer.
"""

if __name__ == "__main__":
    # Before the imports below, which take seconds: the launcher may be killed meanwhile.
    from brushwork.training.launcher import follow_launcher

    follow_launcher()

import copy
import math
import os
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import set_seed

from brushwork.data.aspects import describe_size
from brushwork.data.batches import share_of, to_unit_range
from brushwork.data.open import open_data
from brushwork.data.selection import select
from brushwork.errors import BrushworkError, report_errors
from brushwork.gan import styled
from brushwork.gan.enlarger import PatchDiscriminator, enlarger_loss, patch_batch
from brushwork.gan.generator import PaintingGenerator
from brushwork.gan.losses import hinge_discriminator_loss
from brushwork.gan.save import save_enlarged
from brushwork.gan.start import initialise_enlarger
from brushwork.metrics.likeness import likeness, look
from brushwork.report import figures
from brushwork.training.distributed import (
    Means,
    any_process,
    average_gradients,
    check_launch,
    value_of_first_process,
)
from brushwork.training.ema import decay_after, update_ema
from brushwork.training.precision import Precision, choose_precision
from brushwork.training.progress import Progress, duration
from brushwork.training.run import STATE, StopSignal, describe_changes, open_run, read_metrics
from brushwork.training.schedule import Decay, learning_rate_factor, scale_learning_rates
from brushwork.training.threads import use_all_cores
from settings import (
    BatchSize,
    Count,
    NotNegative,
    Positive,
    Range,
    Seed,
    Selection,
    as_flags,
    flat,
    launch_command,
    read_flags,
    report_data,
)

# Settings that --resume --change must not change: the weights would not fit, would have another
# meaning, or are those of the run already.
FIXED = ("generator", "factor", "width", "start")

NUM_GENERATED = 2000
"""Pictures of the generator to learn from. Each has many patches."""

NUM_LOOKED_AT = 64


@dataclass(frozen=True)
class Config:
    """Settings of an enlarger's training."""

    generator: str = "runs/gan"
    """The generator whose pictures to enlarge: a run of train_gan.py --model modern, a checkpoint,
    or a name on the Hub."""
    start: str = ""
    """Initialise from the enlarger of this run or checkpoint."""
    # Best the paintings that the generator was trained on; these are the default of train_gan.py.
    selection: Selection = field(default_factory=lambda: Selection(data="synthetic:2000:4"))
    split: Literal["train", "test"] | None = None
    """Train on this split only; by default on both."""
    factor: Literal[2, 4, 8] = 4
    """How many times larger the pictures become. Paintings of fewer pixels than this gives have no
    details to learn."""
    width: Annotated[int, Range(2, 1024)] = 32
    """Channels of the enlarger."""
    patch: Annotated[int, Range(8, 256)] = 16
    """Side of the patches to enlarge, in pixels before enlarging."""
    steps: Count = 10_000
    minutes: NotNegative = 0
    """Training time in minutes, all starts together; above 0, it replaces --steps."""
    batch_size: BatchSize = 8
    """Patches of paintings per step, over all processes; as many of generated pictures."""
    lr: Positive = 1e-4
    """Adam's learning rate of the enlarger; that of the discriminator is four times as high."""
    decay: Decay | None = None
    """Let the learning rate fall to 0 at the end, along a line or half a cosine."""
    ema_half_life: Count = 20_000
    """Half-life, in patches, of the moving average of the enlarger's weights, which is saved."""
    precision: Precision = "auto"
    seed: Seed = 0
    out: Path = Path("runs/enlarged")
    """The run folder."""
    resume: bool = False
    """Continue the run in --out; start a new one if there is none."""
    change: bool = False
    """With --resume, continue with other settings than before."""
    log_every: Count = 10
    """Steps between two lines of metrics.jsonl."""
    sample_every: Count = 1000
    """Steps between two sample grids."""
    save_every: Count = 500
    """Steps between two saves of the state from which --resume continues."""


def main(cfg: Config) -> None:
    """Train the enlarger and write the run folder."""
    check_launch()
    precision = choose_precision(cfg.precision)

    # Open generator and data first, so that a wrong path leaves no run folder behind.
    generator = PaintingGenerator.from_pretrained(cfg.generator)
    network = network_to_enlarge(generator, cfg)
    paintings = open_data(cfg.selection.data)
    report_data(paintings.describe(generator.side * cfg.factor))
    selected = select(paintings.table, **cfg.selection.filters(), split=cfg.split)
    rows = selected.index.to_numpy()

    # Paintings in the size of the generator's pictures and in that of the enlarged ones, cut to
    # proportions as in the generator's training.
    fit = generator.config["training"].get("fit", "crop")
    small = paintings.pixels(generator.side, fit, generator.aspect)  # (M, H, W, 3) uint8
    large = paintings.pixels(generator.side * cfg.factor, fit, generator.aspect)

    # Generate pictures to learn from. The samples have other latents.
    generated = generator.sample(NUM_GENERATED, seed=(cfg.seed + 1) % 2**32, to="array")

    # Accelerate chooses the device and joins the processes; each trains on a slice of every batch.
    accelerator = Accelerator(mixed_precision=precision)
    device = accelerator.device
    world = accelerator.num_processes
    share = share_of(cfg.batch_size, process=accelerator.process_index, world=world)
    use_all_cores()

    # Build the networks; the seed determines their weights and all later random numbers.
    set_seed(cfg.seed)
    E = styled.new_enlarger(network.config.with_enlarger(cfg.factor, cfg.width))
    D = PatchDiscriminator()
    if cfg.start and not (cfg.out / STATE).exists():  # a resumed run has its own weights
        initialise_enlarger(cfg.start, E, D)
    average = copy.deepcopy(E).to(device)
    for part in (E, D):
        accelerator.prepare_model(part.to(memory_format=torch.channels_last), evaluation_mode=True)
    # With spectral normalisation the discriminator learns slowly: with equal rates, the enlarger
    # gets away with grain. (Two time scales: Heusel et al. 2017; these rates: SAGAN, Zhang et al.
    # 2019.)
    opt_E, opt_D = (
        accelerator.prepare(torch.optim.Adam(n.parameters(), lr, (0.5, 0.99), fused=True))
        for n, lr in ((E, cfg.lr), (D, 4 * cfg.lr))
    )

    settings = flat(cfg) | {
        "data": paintings.name,
        "fingerprint": paintings.fingerprint,
        "num_paintings": len(rows),
        "precision": precision,
    }
    run = open_run(
        cfg.out,
        settings,
        resume=cfg.resume,
        expected_bytes=4 * 10 * sum(p.numel() for p in [*E.parameters(), *network.parameters()]),
        is_writer=accelerator.is_main_process,
        change=cfg.change,
        fixed=FIXED,
    )
    networks = {"E": E, "D": D, "average": average}
    optimizers = {"opt_E": opt_E, "opt_D": opt_D}
    run.restore(networks, optimizers, accelerator.scaler)

    # Prepare the samples.
    enlarged = PaintingGenerator(styled.with_enlarger(network, average).to(device), {})
    shown = enlarged.latents(NUM_LOOKED_AT, seed=cfg.seed), enlarged.labels(NUM_LOOKED_AT)
    spread = rows[np.linspace(0, len(rows) - 1, min(len(rows), NUM_LOOKED_AT)).astype(int)]
    of_paintings = look(to_unit_range(torch.from_numpy(large[spread]).permute(0, 3, 1, 2)))

    # Say what will happen.
    num_steps = math.inf if cfg.minutes else cfg.steps
    limit = 60 * cfg.minutes or math.inf  # seconds
    size = describe_size(generator.side * cfg.factor, generator.aspect)
    length = duration(limit) if cfg.minutes else f"{cfg.steps:,} steps"
    accelerator.print(f"{len(rows):,} paintings on {world} x {device}, precision {precision}")
    if run.changed:
        accelerator.print(describe_changes(run))
    accelerator.print(
        f"training an enlarger to {size} for {length}\n"
        "once a minute, a line compares the enlarged pictures with the paintings (100 %: as in the "
        f"paintings); the pictures are in {cfg.out / 'samples'}\nCtrl-C saves the state and stops"
    )

    # Train from the step of the restored state; `step` is the number of steps done.
    step = run.step
    # A run has at least one step, also if the start took longer than the limit.
    finished = step >= num_steps or (step > 0 and any_process(run.seconds() >= limit))
    stopping = False
    share_of_time = value_of_first_process(run.seconds() / limit)
    means = Means()
    with (
        StopSignal() as stop,
        Progress(num_steps, limit, step, run.seconds(), visible=run.is_writer) as progress,
    ):
        while not finished and not stopping:
            factor = learning_rate_factor(
                step, num_steps, warmup=0, decay=cfg.decay, share_of_time=share_of_time
            )
            for optimizer in (opt_E, opt_D):
                scale_learning_rates(optimizer, factor)

            # Cut patches, and enlarge those of paintings and of generated pictures.
            patches = patch_batch(
                large,
                small,
                generated,
                rows,
                step=step,
                batch_size=cfg.batch_size,
                side=cfg.patch,
                seed=cfg.seed,
                share=share,
            ).to(device)
            with accelerator.autocast():
                fakes = E(
                    torch.cat([patches.small, patches.generated]), patches.noise
                )  # (2 B, 3, F P, F P)

            # Discriminator: tell patches of paintings from enlarged ones.
            D.requires_grad_(True)
            opt_D.zero_grad()
            with accelerator.autocast():
                real_logits, fake_logits = D(patches.real), D(fakes.detach())
            loss_D = hinge_discriminator_loss(real_logits.float(), fake_logits.float())
            accelerator.backward(loss_D)
            average_gradients(D.parameters())
            opt_D.step()

            # Enlarger: make details that look painted and belong to the picture.
            D.requires_grad_(False)
            opt_E.zero_grad()
            with accelerator.autocast():
                fake_logits = D(fakes)
            loss = enlarger_loss(fake_logits, fakes, patches)
            accelerator.backward(loss.total())
            average_gradients(E.parameters())
            opt_E.step()

            # Update the moving average and the means to log.
            step += 1
            images_seen = run.images_seen(step, cfg.batch_size)
            ema_decay = decay_after(images_seen, cfg.batch_size, cfg.ema_half_life)
            update_ema(average, E, ema_decay)
            values = {name: value.detach() for name, value in loss._asdict().items()}
            means.add({"loss_D": loss_D.detach(), "loss_G": loss.total().detach()} | values)
            progress.update(step, run.seconds())

            # Several processes must stop at the same step, so they compare their signals and
            # clocks here; a single process stops after any step.
            finished = step >= num_steps or (world == 1 and run.seconds() >= limit)
            if step % cfg.log_every == 0 or finished or (world == 1 and stop):
                stopping = any_process(bool(stop))
                finished = finished or any_process(run.seconds() >= limit)
                share_of_time = value_of_first_process(run.seconds() / limit)
                run.log(step, cfg.batch_size, means.fetch())
                if any_process(progress.is_due()) or finished:
                    of_fakes = look(enlarged.paint(*shown))
                    progress.report(str(likeness(of_fakes, of_paintings)))

            # Write samples and the state to resume from.
            if run.is_writer and step % cfg.sample_every == 0:
                write_samples(enlarged, shown, cfg.out, step)
            if finished or stopping or step % cfg.save_every == 0:
                run.save_state(
                    step,
                    networks=networks,
                    optimizers=optimizers,
                    scaler=accelerator.scaler,
                    images=images_seen,
                )

    # Write the last samples, the enlarged generator and those of its training, and the curves.
    accelerator.end_training()
    if run.is_writer:
        write_samples(enlarged, shown, cfg.out, step)
        average = average.cpu()
        for name, folder in checkpoints(cfg.generator):
            save_enlarged(folder, average, cfg.out / name, settings, step)
        draw_curves(cfg.out)
        print(describe_end(cfg, step, finished, launch=launch_command(world, device.type)))


def network_to_enlarge(generator: PaintingGenerator, cfg: Config) -> styled.Generator:
    """Return the generator's network, which can be enlarged.

    Raises:
        BrushworkError: it is a DC-GAN, is enlarged already, or is smaller than a patch.
    """
    network = generator.network
    if not isinstance(network, styled.Generator):
        raise BrushworkError(
            f"{cfg.generator} is a DC-GAN, which cannot be enlarged; train a generator with "
            "`model` modern"
        )
    if network.enlarger is not None:
        raise BrushworkError(
            f"{cfg.generator} has an enlarger already; give the generator that it was made from"
        )
    if network.config.side < cfg.patch:
        raise BrushworkError(
            f"`patch` is {cfg.patch}; the pictures of {cfg.generator} have only "
            f"{network.config.side} pixels"
        )
    return network


def write_samples(
    enlarged: PaintingGenerator, shown: tuple[torch.Tensor, torch.Tensor], out: Path, step: int
) -> None:
    """Write a grid of 16 enlarged pictures, of latents (N, Z) and classes (N,)."""
    enlarged.grid(*(part[:16] for part in shown)).save(out / f"samples/step-{step:06d}.png")


def checkpoints(generator: str) -> Iterator[tuple[str, str | Path]]:
    """Yield the name and the path of a run's generator and of those in its `kept/`."""
    yield "generator", generator
    for config in sorted(Path(generator).glob("kept/*/config.json")):
        yield f"kept/{config.parent.name}", config.parent


def draw_curves(out: Path) -> None:
    """Draw the losses and distances into `curves.png`."""
    lines = read_metrics(out)
    panels = {
        "loss": ("loss_D", "loss_G"),
        "mean distance of pixels, at most 2": ("details", "reduced"),
    }
    figures.curves(
        {
            title: {name: [(line["step"], line[name]) for line in lines] for name in names}
            for title, names in panels.items()
        },
        out / "curves.png",
    )


def describe_end(cfg: Config, step: int, finished: bool, launch: str) -> str:
    """Write where the pictures are, and commands that a person can run next.

    Args:
        cfg: the settings.
        step: steps done.
        finished: whether the training reached its end; otherwise a signal stopped it.
        launch: the start of the command that continues.
    """
    out, script = cfg.out, Path(os.path.relpath(__file__))
    longer: dict[str, float] = {}
    if finished:
        longer = {"minutes": 2 * cfg.minutes} if cfg.minutes else {"steps": 2 * step}
    sample, generator = script.with_name("sample.py"), out / "generator"
    more = ["uv", "run", sample, generator, "--num", 16, "--out", out / "pictures"]
    page = ["uv", "run", "brushwork-demo", "--generator", generator]
    commands = {
        "make more pictures": shlex.join(map(str, more)),
        "train longer" if finished else "continue the training": (
            f"{launch} {script} {as_flags(cfg, resume=True, change=False, **longer)}"
        ),
        "open the generator in a web page": shlex.join(map(str, page)),
    }
    return "\n".join(
        [
            f"{out}: {'finished' if finished else 'stopped'} at step {step:,}",
            f"the last pictures are in {out / f'samples/step-{step:06d}.png'}",
            f"commands to {', to '.join(commands)}:",
            *(f"  {command}" for command in commands.values()),
        ]
    )


if __name__ == "__main__":
    with report_errors(Config):
        main(read_flags(Config, __doc__))
