"""Repeat the experiments of the 2019 report on other paintings, and write the results page.

`experiments/reproduce.py` runs the trainings and evaluations, each in a folder of `runs/`:

    resnet18, resnet18-report, resnet18-2019        a classifier, and its two evaluations
    landscapes-dcgan, landscapes-modern             two GANs trained on one subject
    landscapes-report                               the metrics of both

`parts.json` has the command and the seconds of each.
"""

import platform
import statistics
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image

from brushwork.backbones.create import create_backbone
from brushwork.data.prepared import PreparedPaintings
from brushwork.data.selection import counts, identifiable, select
from brushwork.errors import BrushworkError
from brushwork.files import read_json
from brushwork.gan.networks import build_networks
from brushwork.machine import num_cores
from brushwork.names import name_key
from brushwork.report import figures
from brushwork.report.pages import Section
from brushwork.spaces import check_names, open_space
from brushwork.training.run import CONFIG, METRICS, environment, read_metrics

THRESHOLD = 300
"""Training paintings of each artist in the report."""

MIN_OF_SUBJECT = 10
"""Paintings that a GAN's subject must have, to train on and to compare with."""

REPORTED = {"resnet18": (0.85, 0.96, 0.98), "resnet34": (0.81, 0.95, 0.98)}
"""Top-1, top-3 and top-5 accuracy in the report, which calls them test accuracies."""

GANS = {"dcgan": "DC-GAN", "modern": "modern GAN"}

NUM_PAINTINGS_2019 = 103_250
"""Paintings in Painter-by-Numbers."""

NUM_EPOCHS_2019 = 25
"""Epochs of the report's trainings."""

CLASSIFIER_COLUMNS = {
    "top1": "top-1",
    "top3": "top-3",
    "top5": "top-5",
    "macro_precision": "macro precision",
    "macro_recall": "macro recall",
    "macro_f1": "macro F1",
}

GAN_COLUMNS = {
    "fid": "FID",
    "kid": "KID",
    "is": "inception score",
    "mode_score": "mode score",
    "mmd": "MMD",
    "emd": "Wasserstein",
    "one_nn": "1-NN",
    "precision": "precision",
    "recall": "recall",
    "coverage": "coverage",
    "authenticity": "authenticity",
}


@dataclass(frozen=True)
class Subject:
    """A selection of paintings that two GANs are trained on.

    Attributes:
        flags: select the paintings in `train_gan.py` and `evaluate_gan.py`.
        description: description of the paintings, for the results page.
    """

    flags: tuple[str, ...]
    description: str


def choose_threshold(table: pd.DataFrame, min_paintings: int | None) -> tuple[int, str]:
    """Choose how many training paintings an artist needs to be a class of the classifiers.

    Args:
        table: all paintings.
        min_paintings: the user's choice. By default 300, as in the report; if fewer than two
            artists have 300, the number that keeps ten artists.

    Returns:
        The number, and a sentence for the results page.

    Raises:
        BrushworkError: fewer than two artists have that many training paintings.
    """
    threshold = THRESHOLD if min_paintings is None else min_paintings
    reason = ""
    if min_paintings is None:
        sizes = counts(identifiable(table, 1).query("split == 'train'"), "artist")
        if sizes.iloc[1] < THRESHOLD:
            threshold = int(sizes.iloc[min(10, len(sizes)) - 1])
            reason = f" (fewer than two artists have {THRESHOLD}, the report's number)"
    sizes = counts(identifiable(table, threshold), "artist")
    return threshold, (
        f"{len(sizes)} artists have at least {threshold:,} training paintings{reason}; together "
        f"they have {int(sizes.sum()):,} paintings."
    )


def choose_subjects(
    table: pd.DataFrame, style: str = "", artist: str = ""
) -> tuple[dict[str, Subject], list[str]]:
    """Choose the GANs' training sets: landscapes, portraits, a style, an artist, all paintings.

    If there are too few landscapes or portraits, the largest other genre replaces them.

    Args:
        table: all paintings.
        style: name of the style; by default the one with the most paintings.
        artist: name of the artist; by default the one with the most paintings.

    Returns:
        The subjects by name, and notes for the results page on what was chosen and left out.

    Raises:
        BrushworkError: the given style or artist is unknown or has too few paintings.
    """
    subjects: dict[str, Subject] = {}
    notes = []
    sizes = counts(table, "genre")
    genres = {str(genre): int(num) for genre, num in sizes.items() if num >= MIN_OF_SUBJECT}
    for name, wanted in (("landscapes", "landscape"), ("portraits", "portrait")):
        same = [genre for genre in genres if name_key(genre) == wanted]
        others = [g for g in genres if name_key(g) not in ("landscape", "portrait")]
        if not (same or others):
            notes.append(f"No genre has enough paintings to replace {name}.")
            continue
        genre = (same or others)[0]
        if not same:
            notes.append(f"There are not enough {name}; the genre {genre!r} replaces them.")
        num = genres.pop(genre)
        subjects[name] = Subject(
            flags=("--genre", genre), description=f"genre {genre} ({num:,} paintings)"
        )
    for kind, wanted in (("style", style), ("artist", artist)):
        sizes = counts(table, kind)
        if sizes.empty:
            notes.append(f"These paintings have no {kind}s.")
            continue
        name = wanted or str(sizes.index[0])
        filters: dict[str, Any] = {kind: (name,)}
        num = len(select(table, **filters))
        if num < MIN_OF_SUBJECT:
            too_few = f"{name} has {num} paintings; a GAN needs at least {MIN_OF_SUBJECT}"
            if wanted:
                raise BrushworkError(f"{too_few}; choose another `{kind}`, or leave `{kind}` out")
            notes.append(f"No {kind} is a subject: {too_few}.")
            continue
        reason = "given on the command line" if wanted else "the one with the most paintings"
        notes.append(f"The {kind} is {name}, {reason}.")
        subjects[f"one-{kind}"] = Subject(
            flags=(f"--{kind}", name), description=f"{kind} {name} ({num:,} paintings)"
        )
    subjects["everything"] = Subject(flags=(), description=f"everything ({len(table):,} paintings)")
    return subjects, notes


def check_names_and_sizes(
    models: Sequence[str], gan_side: int, width: int, spaces: Sequence[str]
) -> None:
    """Check, before hours of work, what the jobs would refuse.

    Args:
        models: names of the classifiers' networks.
        gan_side: side of the GANs' images, in pixels.
        width: width of the GANs.
        spaces: feature spaces in addition to "artist" and "pixels".

    Raises:
        BrushworkError: one of them does not exist.
    """
    build_networks("dcgan", side=gan_side, width=width)
    check_names(["artist", *(open_space(spec).name for spec in ("pixels", *spaces))])
    for name in models:
        create_backbone(name, 2)


def describe_setup(paintings: PreparedPaintings) -> str:
    """Describe the data, the code, the machine and the time of the results in one sentence."""
    git = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=9"]
    try:
        commit = subprocess.run(git, capture_output=True, text=True).stdout.strip()
    except OSError:
        commit = ""
    made = environment()
    cores = num_cores()
    device = made["device"] if made["device"] != "cpu" else _processor()
    versions = ", ".join(f"{name} {made['packages'][name]}" for name in ("brushwork", "torch"))
    return (
        f"{paintings.name}, {len(paintings):,} paintings, fingerprint "
        f"{paintings.fingerprint[:12]}; commit {commit or 'unknown'}; {versions}; {device}, "
        f"{cores} core{'' if cores == 1 else 's'}; {made['started']}."
    )


def _processor() -> str:
    file = Path("/proc/cpuinfo")
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def result_sections(
    folder: Path,
    models: Sequence[str],
    subjects: Mapping[str, Subject],
    parts: Mapping[str, Mapping[str, Any]],
) -> list[Section]:
    """Make the tables and figures of the page from the finished jobs.

    Args:
        folder: the folder of the results; figures are written to its `figures/`.
        models: names of the classifiers' networks.
        subjects: see `choose_subjects`.
        parts: `command` and `seconds` of each finished job, by name.
    """
    (folder / "figures").mkdir(parents=True, exist_ok=True)
    runs = folder / "runs"
    classifiers = _reports(runs, names=models, suffix="report")
    as_in_2019 = _reports(runs, names=models, suffix="2019")
    gans = _reports(runs, names=subjects, suffix="report")
    trainings = [*models, *(f"everything-{gan}" for gan in GANS)]
    sections = [
        _classifiers(runs, classifiers),
        _evaluated_as_in_2019(as_in_2019),
        *(_pictures(folder, name=name, subject=subjects[name]) for name in gans),
        _gan_metrics(gans),
        _metrics_during_training(folder),
        _training_times(runs, trainings),
        _commands(parts),
    ]
    return [section for section in sections if section is not None]


def _reports(runs: Path, names: Iterable[str], suffix: str) -> dict[str, dict[str, Any]]:
    """Read the `report.json` of each finished evaluation, by name of the training."""
    files = {name: runs / f"{name}-{suffix}" / "report.json" for name in names}
    return {name: read_json(file) for name, file in files.items() if file.exists()}


def _classifiers(runs: Path, reports: Mapping[str, Any]) -> Section | None:
    if not reports:
        return None
    rows = [["network", "paintings", *CLASSIFIER_COLUMNS.values(), "n"]]
    for model, report in reports.items():
        for split in ("train", "test"):
            rows.append([model, split, *_classifier_cells(report["reports"][split])])
        if model in REPORTED:
            cells = [f"{value:.2f}" for value in REPORTED[model]]
            empty = [""] * (len(CLASSIFIER_COLUMNS) + 1 - len(cells))
            rows.append([f"{model}, report of 2019", "called test", *cells, *empty])
    intervals = []
    for model, report in reports.items():
        low, high = report["intervals"]["test"]["top1"]
        intervals.append(f"{model} {low:.3f} to {high:.3f}")
    text = [
        "No test painting was used for training or for choosing an epoch or a threshold. The "
        "numbers of the report are for other paintings; it calls them test accuracies, but its "
        "code evaluated training paintings (see the next section).",
        f"95 % intervals of the top-1 accuracy on test paintings: {'; '.join(intervals)}.",
        *(_training_of(model, run=runs / model) for model in reports),
    ]
    return Section("Classifiers", text=text, table=rows)


def _classifier_cells(metrics: Mapping[str, float]) -> list[str]:
    cells = [f"{metrics[key]:.3f}" for key in CLASSIFIER_COLUMNS]
    return [*cells, f"{metrics['num_paintings']:,}"]


def _training_of(model: str, run: Path) -> str:
    settings = read_json(run / CONFIG)["settings"]
    initial = {"none": "random weights", "hub": "ImageNet weights from the Hub"}
    weights = initial.get(settings["weights"], settings["weights"])
    epochs = f"{settings['epochs']} epoch{'' if settings['epochs'] == 1 else 's'}"
    taught = settings["teacher"]
    teachers = [taught] if isinstance(taught, str) else taught  # an older run has at most one
    names = " and ".join(Path(teacher).parent.name for teacher in teachers if teacher)
    distilled = f", distilled from {names}" if names else ""
    return (
        f"{model}: initialised from {weights}, trained for {epochs} on "
        f"{settings['num_paintings']:,} paintings at {settings['side']} pixels{distilled}."
    )


def _evaluated_as_in_2019(reports: Mapping[str, Any]) -> Section | None:
    if not reports:
        return None
    rows = [["network", "evaluation", *CLASSIFIER_COLUMNS.values(), "n"]]
    text = [
        "The code of 2019 evaluated its networks on its training loader: on paintings that they "
        "had been trained on, in random crops of 8 % to 100 % of the area. Its test set combined "
        "test paintings with the artists of training paintings. The table has our classifiers, "
        "evaluated in these ways. A tenth of the training paintings here was used to choose the "
        "epoch, and all others for training."
    ]
    for model, report in reports.items():
        for name, metrics in report["reports"].items():
            rows.append([model, name, *_classifier_cells(metrics)])
        honest = report["reports"]["honest"]["top1"]
        as_in_2019 = report["reports"]["as in 2019"]["top1"]
        text.append(
            f"{model}: top-1 accuracy {as_in_2019:.3f} as in 2019 and {honest:.3f} on test "
            f"paintings, a difference of {100 * (as_in_2019 - honest):+.1f} points."
        )
    return Section("Classifiers evaluated as in 2019", text=text, table=rows)


def _pictures(folder: Path, name: str, subject: Subject) -> Section:
    # Figures 1 and 3 of an evaluation are the fakes with their nearest paintings.
    figure_numbers = {"dcgan": 0, "modern": 2}
    shown = {}
    for gan, number in figure_numbers.items():
        file = folder / "figures" / f"{name}-{gan}.jpg"
        picture = Image.open(folder / "runs" / f"{name}-report" / f"figure-{number:02d}.png")
        picture.convert("RGB").save(file, quality=92)
        last = read_metrics(folder / "runs" / f"{name}-{gan}")[-1]
        length = f"{last['step']:,} steps, {last['epoch']:.1f} epochs"
        shown[f"{GANS[gan]} ({length}): real on the left, fake on the right"] = file
    return Section(f"Real and fake paintings: {subject.description}", figures=shown)


def _gan_metrics(reports: Mapping[str, Any]) -> Section | None:
    if not reports:
        return None
    rows = [["GAN", "space", *GAN_COLUMNS.values(), "n real", "n fake"]]
    for name, report in reports.items():
        for gan, spaces in zip(GANS.values(), report["reports"].values(), strict=True):
            for space, metrics in spaces.items():
                values = [metrics.get(key) for key in GAN_COLUMNS]
                cells = ["" if value is None else f"{value:.4g}" for value in values]
                sizes = [f"{metrics[key]:,}" for key in ("n_real", "n_fake")]
                rows.append([f"{name}, {gan}", space, *cells, *sizes])
    # One space after another: metrics of different spaces cannot be compared.
    spaces = list(dict.fromkeys(row[1] for row in rows[1:]))
    rows[1:] = sorted(rows[1:], key=lambda row: spaces.index(row[1]))
    text = [
        "The space artist has the features of the first classifier above, so its metrics can be "
        "compared within this page only. The space pixels does not recognise what is painted. "
        "Every metric depends on the number of images.",
        "Lower is better for FID, KID, MMD and Wasserstein; 0.5 is best for 1-NN; higher is better "
        "for the others. An authenticity near 0 means that the fakes are copies.",
    ]
    return Section("GAN metrics", text=text, table=rows)


def _metrics_during_training(folder: Path) -> Section | None:
    records = {}
    for gan, title in GANS.items():
        run = folder / "runs" / f"everything-{gan}"
        lines = read_metrics(run) if (run / METRICS).exists() else []
        records[title] = [line for line in lines if "metrics" in line]
    records = {title: lines for title, lines in records.items() if lines}
    if not records:
        return None
    file = folder / "figures" / "curves.png"
    figures.compared_curves(records, space="artist", file=file)
    text = [
        "The two GANs that are trained on everything, evaluated in the space artist during "
        "training, with averaged weights."
    ]
    return Section(
        "GAN metrics during training", text=text, figures={"Metrics over the epochs": file}
    )


def _training_times(runs: Path, names: Sequence[str]) -> Section | None:
    rows = [
        ["training", "images/s here", "minutes per epoch", f"hours for {NUM_EPOCHS_2019} epochs"]
    ]
    for name in names:
        if not (runs / name / METRICS).exists():
            continue
        lines = [line for line in read_metrics(runs / name) if "images_per_second" in line]
        speed = statistics.median(line["images_per_second"] for line in lines)
        minutes = NUM_PAINTINGS_2019 / speed / 60
        hours = minutes * NUM_EPOCHS_2019 / 60
        rows.append([name, f"{speed:,.0f}", f"{minutes:,.1f}", f"{hours:,.1f}"])
    if len(rows) == 1:
        return None
    text = [
        f"Estimated for all {NUM_PAINTINGS_2019:,} paintings of Painter-by-Numbers from the median "
        "speed of each training on this machine. Artists above a threshold have fewer paintings, "
        "and so does a GAN's genre, style or artist.",
        "With several GPUs the same command starts each training with accelerate launch, which "
        "divides every batch among them; at best this divides the time by their number, which was "
        "not measured here.",
    ]
    return Section(f"Training time for {NUM_PAINTINGS_2019:,} paintings", text=text, table=rows)


def _commands(parts: Mapping[str, Mapping[str, Any]]) -> Section:
    seconds = [[name, f"{part['seconds']:,.0f}"] for name, part in parts.items()]
    return Section(
        "Commands",
        text=["Each of these commands can be run alone. The table has the seconds it took here."],
        table=[["part", "seconds"], *seconds],
        commands=[str(part["command"]) for part in parts.values()],
    )
