"""Train a DC-GAN to paint, on a genre, a style, an artist or everything.

    accelerate launch experiments/train_gan.py
    accelerate launch experiments/train_gan.py --data paintings/ --genre landscape --epochs 60

The run folder (--out) receives `samples/` (the same latents, again and again), `generator/` (the
painter: the running average of the weights), `generator_raw/` (the weights as they are), `kept/`
(the painter every --keep-every steps), `metrics.jsonl`, `curves.png`, TensorBoard's log, and
`config.json` and `state.safetensors`: what was done, and where --resume goes on.
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
from brushwork.data.batches import gan_batches, to_unit_range
from brushwork.data.prepared import open_data
from brushwork.data.select import select
from brushwork.distributed import average_gradients, check_launch, use_all_cores
from brushwork.ema import decay_after, update_ema
from brushwork.errors import errors_in_words
from brushwork.generator import PaintingGenerator, save_generator, to_arrays
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
    width: int = 32
    """Channels of the finest layer: 64 in the authors' code, 128 in the paper's figure."""
    latent_dim: int = 100

    steps: int = 500
    epochs: float = 0
    """If given, decides the number of steps instead."""
    batch_size: int = 64
    """Paintings per step, over all processes."""
    accumulate: int = 1
    """Pass the batch through D in so many parts, to save memory."""
    lr: float = 2e-4
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
    tracker: Literal["tensorboard", "wandb", "mlflow", "none"] = "tensorboard"


def main(cfg: Config) -> None:
    """Data, networks, run folder; then the loop."""
    # Data first, so that a wrong path leaves no run folder behind.
    check_launch()
    shape = DCGANConfig(cfg.side, cfg.latent_dim, cfg.width)
    precision = choose_precision(cfg.precision)
    paintings = open_data(cfg.data)
    filters = {k: getattr(cfg, k) for k in ("genre", "style", "artist", "split", "min_paintings")}
    rows = select(paintings.table, **filters).index.to_numpy()
    pixels = paintings.pixels(cfg.side, cfg.fit)  # (M, S, S, 3) uint8
    steps = math.ceil(cfg.epochs * len(rows) / cfg.batch_size) if cfg.epochs else cfg.steps

    # Devices, processes and precision are Accelerate's; the seed decides all the rest.
    tracker = None if cfg.tracker == "none" else cfg.tracker
    accelerator = Accelerator(mixed_precision=precision, log_with=tracker, project_dir=cfg.out)
    device, process = accelerator.device, (accelerator.process_index, accelerator.num_processes)
    use_all_cores()
    set_seed(cfg.seed)

    # Networks, the running average of G, and an optimiser each.
    G, D = Generator(shape).train(), Discriminator(shape).train()
    ema = copy.deepcopy(G).to(device)
    for net in (G, D):
        accelerator.prepare_model(net.to(memory_format=torch.channels_last), evaluation_mode=True)
    opt_G, opt_D = (
        accelerator.prepare(torch.optim.Adam(net.parameters(), cfg.lr, (0.5, 0.999), fused=True))
        for net in (G, D)
    )
    state = {"G": G, "D": D, "ema": ema}, {"opt_G": opt_G, "opt_D": opt_D}, accelerator.scaler

    # The run folder, or the one to continue.
    known = {"num_paintings": len(rows), "fingerprint": paintings.fingerprint}
    settings = asdict(cfg) | known | {"data": paintings.name, "precision": precision}
    num_weights = sum(p.numel() for net in (G, D) for p in net.parameters())
    num_bytes = 4 * num_weights * (10 + steps // cfg.keep_every)
    run = open_run(cfg.out, settings, cfg.resume, num_bytes, accelerator.is_main_process)
    run.restore(*state)
    accelerator.init_trackers("brushwork", config={k: str(v) for k, v in settings.items()})
    accelerator.print(
        f"{len(rows):,} paintings of {paintings.name} at {cfg.side} pixels; steps {run.step} to "
        f"{steps} on {process[1]} x {device}, precision {precision}; writing {cfg.out}"
    )
    if len(rows) < 100:
        accelerator.print("warning: so few paintings are soon learnt by heart; look for copies")

    painter = PaintingGenerator(ema, {})
    same_latents = painter.latents(64, seed=cfg.seed)
    recipe = cfg.batch_size, cfg.latent_dim, cfg.seed, cfg.flip
    batches = gan_batches(pixels, rows, *recipe, first_step=run.step, process=process)
    step, logged, stopping = run.step, run.step, False
    totals, losses_D = torch.zeros(4, device=device), []
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
            beliefs = real_logits.sigmoid().mean(), fake_logits.sigmoid().mean()
            totals += torch.stack([loss_D, loss_G, *beliefs]).detach()
            bar.update()

            # The numbers of the last steps, fetched from the device once in a while; then all
            # processes learn together whether one of them was told to stop.
            stopping = bool(stop) and process[1] == 1
            if step % cfg.log_every == 0 or step == steps or stopping:
                numbers = torch.cat([totals / (step - logged), totals.new_tensor([bool(stop)])])
                *numbers, stops = torch.as_tensor(accelerator.reduce(numbers, "mean")).tolist()
                values = dict(zip(("loss_D", "loss_G", "D(x)", "D(G(z))"), numbers, strict=True))
                values = run.log(step, cfg.batch_size, values | {"epoch": images / len(rows)})
                accelerator.log(values, step)
                bar.set_postfix(values)
                totals, logged, stopping = torch.zeros_like(totals), step, stops > 0
                losses_D.append(values["loss_D"])
                if has_collapsed(losses_D):
                    bar.write(f"warning: D has won by step {step}; go back to a kept checkpoint")
                    losses_D.clear()

            # Pictures, painters to go back to, and the state to go on from.
            last = step == steps or stopping
            if run.is_writer and (step % cfg.sample_every == 0 or last):
                pictures = to_arrays(painter.paint(same_latents))
                figures.grid(pictures).save(cfg.out / f"samples/step-{step:06d}.png")
            if run.is_writer and step % cfg.keep_every == 0:
                kept = cfg.out / f"kept/step-{step:06d}"
                save_generator(ema, kept, settings, step, "averaged")
            if step % cfg.save_every == 0 or last:
                run.save_state(step, *state)

    # What remains: the painter, as average and as is, and the curves.
    accelerator.end_training()
    if run.is_writer:
        save_generator(ema, cfg.out / "generator", settings, step, "averaged")
        save_generator(G, cfg.out / "generator_raw", settings, step, "raw")
        panels = {"loss": ["loss_D", "loss_G"], "D's belief": ["D(x)", "D(G(z))"]}
        figures.curves(read_metrics(cfg.out), panels, cfg.out / "curves.png")
        if step < steps:
            print(f"stopped at step {step} of {steps}; the same command with --resume goes on")
        print(f"pictures in {cfg.out / 'samples'}, painter in {cfg.out / 'generator'}")


if __name__ == "__main__":
    with errors_in_words():
        main(tyro.cli(Config, description=__doc__))
