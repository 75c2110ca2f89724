"""Train a DC-GAN to paint, on a genre, a style, an artist or everything.

    accelerate launch experiments/train_gan.py
    accelerate launch experiments/train_gan.py --data paintings/ --genre landscape --epochs 60

--out receives `samples/`, `generator/` (the running average of the weights, to paint with),
`generator_raw/` (the weights as they are), `kept/` (the painter every --keep-every steps),
`metrics.jsonl`, `curves.png`, TensorBoard's log, and what --resume goes on from.
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

from brushwork import figures
from brushwork.data.batches import gan_batches, share_of, to_unit_range
from brushwork.data.prepared import open_data
from brushwork.data.select import select
from brushwork.distributed import Means, any_process, average_gradients, check_launch, use_all_cores
from brushwork.ema import decay_after, refresh_statistics, update_ema
from brushwork.errors import errors_in_words, require_positive
from brushwork.generator import PaintingGenerator, save_generator
from brushwork.losses import discriminator_loss, generator_loss, has_collapsed
from brushwork.models.dcgan import DCGANConfig, Discriminator, Generator
from brushwork.precision import Precision, choose_precision
from brushwork.run import StopSignal, open_run, read_metrics

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
    min_paintings: int = 0
    """Leave out artists with fewer paintings in the selection."""
    split: Literal["train", "test"] | None = None
    """Learn from these rows only."""
    fit: Literal["crop", "squash"] = "crop"
    """How a painting becomes square: its centre, or all of it."""
    flip: bool = True
    """Mirror paintings at random."""
    side: int = 64
    """Pixels: 32, 64, 128 or 256."""
    width: int = 16
    """Channels of the finest layer: 64 in the authors' code, 128 in the paper's figure."""
    steps: int = 1500
    epochs: float = 0
    """If given, decides the number of steps instead."""
    batch_size: int = 32
    """Paintings per step, over all processes; 128 in the paper."""
    accumulate: int = 1
    """Pass the batch through D in so many parts, to save memory."""
    lr: float = 2e-4
    """Adam's at width 64; a network of another width takes 64 / width times as much."""
    ema_half_life: int = 10_000
    """Images after which a weight counts half in the running average."""
    precision: Precision = "auto"
    """auto: bf16 where the processor has it, else float32."""
    seed: int = 0
    out: Path = Path("runs/gan")
    resume: bool = False
    """Go on with the run in --out, if there is one."""
    log_every: int = 10
    sample_every: int = 100
    save_every: int = 200
    keep_every: int = 500
    tracker: Literal["tensorboard", "wandb", "mlflow"] | None = "tensorboard"


def main(cfg: Config) -> None:
    """Data first, so that a wrong path leaves no run folder behind."""
    check_launch()
    require_positive(cfg, "steps", "accumulate", "lr", "ema_half_life")
    require_positive(cfg, "log_every", "sample_every", "save_every", "keep_every")
    shape = DCGANConfig(side=cfg.side, width=cfg.width)
    precision = choose_precision(cfg.precision)
    paintings = open_data(cfg.data)
    filters = {k: getattr(cfg, k) for k in ("genre", "style", "artist", "split", "min_paintings")}
    rows = select(paintings.table, **filters).index.to_numpy()
    pixels = paintings.pixels(cfg.side, cfg.fit)  # (M, S, S, 3) uint8
    steps = math.ceil(cfg.epochs * len(rows) / cfg.batch_size) if cfg.epochs else cfg.steps

    # Devices, processes and precision are Accelerate's; the seed decides all the rest.
    accelerator = Accelerator(mixed_precision=precision, log_with=cfg.tracker, project_dir=cfg.out)
    device, world = accelerator.device, accelerator.num_processes
    share = share_of(cfg.batch_size, accelerator.process_index, world)
    use_all_cores()
    set_seed(cfg.seed)

    # Networks, the running average of G, and an optimiser each.
    G, D = Generator(shape).train(), Discriminator(shape).train()
    ema = copy.deepcopy(G).to(device)
    for net in (G, D):
        accelerator.prepare_model(net.to(memory_format=torch.channels_last), evaluation_mode=True)
    lr = cfg.lr * 64 / cfg.width  # Adam moves a narrow layer's output less (Yang et al. 2022)
    opt_G, opt_D = (
        accelerator.prepare(torch.optim.Adam(net.parameters(), lr, (0.5, 0.999), fused=True))
        for net in (G, D)
    )
    state = {"G": G, "D": D, "ema": ema}, {"opt_G": opt_G, "opt_D": opt_D}, accelerator.scaler

    # The run folder, or the one to continue.
    known = {"num_paintings": len(rows), "fingerprint": paintings.fingerprint}
    settings = asdict(cfg) | known | {"data": paintings.name, "precision": precision}
    num_weights = sum(p.numel() for p in G.parameters()) * (10 + steps // cfg.keep_every)
    run = open_run(cfg.out, settings, cfg.resume, 4 * num_weights, accelerator.is_main_process)
    run.restore(*state)
    accelerator.init_trackers("brushwork", config={k: str(v) for k, v in settings.items()})
    accelerator.print(f"{len(rows):,} paintings on {world} x {device}, precision {precision}")

    painter = PaintingGenerator(ema, {})
    same_latents = painter.latents(256, seed=cfg.seed).to(device)
    how = cfg.batch_size, shape.latent_dim, cfg.seed, cfg.flip, share
    batches = gan_batches(pixels, rows, *how, first_step=run.step)
    step, stopping, means, losses_D = run.step, False, Means(), []
    with StopSignal() as stop, tqdm(total=steps, initial=step, disable=not run.is_writer) as bar:
        while step < steps and not stopping:
            real, z = (part.to(device, non_blocking=True) for part in next(batches))
            real = to_unit_range(real)  # (N, 3, S, S) in [-1, 1]
            fakes = [G(part) for part in z.chunk(cfg.accumulate)]

            # Discriminator: tell real from fake.
            D.requires_grad_(True)
            opt_D.zero_grad()
            for x, fake in zip(real.chunk(cfg.accumulate), fakes, strict=True):
                real_logits, fake_logits = D(x), D(fake.detach())
                loss_D = discriminator_loss(real_logits, fake_logits)
                accelerator.backward(loss_D * len(x) / len(real))
            average_gradients(D.parameters())
            opt_D.step()

            # Generator: fool the discriminator, whose own gradients nobody needs now.
            D.requires_grad_(False)
            opt_G.zero_grad()
            for fake in fakes:
                loss_G = generator_loss(D(fake))
                accelerator.backward(loss_G * len(fake) / len(real))
            average_gradients(G.parameters())
            opt_G.step()

            step += 1
            images = step * cfg.batch_size
            update_ema(ema, G, decay_after(images, cfg.batch_size, cfg.ema_half_life))
            p_real, p_fake = real_logits.sigmoid().mean(), fake_logits.sigmoid().mean()
            means.add({"loss_D": loss_D, "loss_G": loss_G, "D(x)": p_real, "D(G(z))": p_fake})
            bar.update()

            # Numbers are fetched once in a while; then all processes learn whether to stop.
            stopping = bool(stop) and world == 1
            if step % cfg.log_every == 0 or step == steps or stopping:
                stopping = any_process(bool(stop))
                values = run.log(
                    step, cfg.batch_size, means.fetch() | {"epoch": images / len(rows)}
                )
                accelerator.log(values, step)
                bar.set_postfix(values)
                losses_D.append(values["loss_D"])
                if has_collapsed(losses_D):
                    bar.write(f"warning: D has won by step {step}; go back to a kept checkpoint")

            # Pictures, painters to go back to, and the state to go on from.
            last = step == steps or stopping
            showing, keeping = last or step % cfg.sample_every == 0, step % cfg.keep_every == 0
            if showing or keeping:
                refresh_statistics(ema, same_latents.split(64))
            if run.is_writer and showing:
                painter.grid(same_latents[:64]).save(cfg.out / f"samples/step-{step:06d}.png")
            if run.is_writer and keeping:
                save_generator(ema, cfg.out / f"kept/step-{step:06d}", settings, step, "averaged")
            if step % cfg.save_every == 0 or last:
                run.save_state(step, *state)

    # What remains: the painter, as average and as is, and the curves.
    accelerator.end_training()
    if run.is_writer:
        save_generator(ema, cfg.out / "generator", settings, step, "averaged")
        save_generator(G, cfg.out / "generator_raw", settings, step, "raw")
        figures.gan_curves(read_metrics(cfg.out), cfg.out / "curves.png")
        left = "" if step == steps else f" of {steps}; the same command with --resume goes on"
        print(f"{cfg.out}: samples/ and generator/ as of step {step}{left}")


if __name__ == "__main__":
    with errors_in_words():
        main(tyro.cli(Config, description=__doc__))
