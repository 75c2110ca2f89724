"""The report of 2019 again: what it printed, what is trained in its place, and the page of both.

`experiments/reproduce.py` does the work and leaves it in `runs/` of one folder:

    resnet18, resnet18-report, resnet18-2019        a classifier, and two evaluations of it
    landscapes-dcgan, landscapes-modern             two painters of one subject
    landscapes-report                               both measured against the paintings

and `parts.json`, which tells the command and the seconds of each.
"""

import json
import platform
import statistics
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image

from brushwork.backbones.create import create_backbone
from brushwork.data.prepared import PreparedPaintings
from brushwork.data.select import counts, identifiable, select
from brushwork.errors import BrushworkError
from brushwork.gan.networks import build_networks
from brushwork.machine import num_cores
from brushwork.names import name_key
from brushwork.report import figures
from brushwork.report.pages import Section
from brushwork.spaces import check_names, open_space
from brushwork.training.run import CONFIG, environment, read_metrics

THRESHOLD = 300
"""Training paintings of each artist in the report."""


LEAST_TO_PAINT = 10
"""Paintings to learn to paint from, and to measure against."""


REPORTED = {"resnet18": (0.85, 0.96, 0.98), "resnet34": (0.81, 0.95, 0.98)}
"""Top-1, 3 and 5 accuracy that the report calls the test set's."""


GANS = {"dcgan": "DC-GAN", "modern": "modern GAN"}


ALL_PAINTINGS, REPORTED_EPOCHS = 103_250, 25
"""Of Painter-by-Numbers; and how long the report trained."""


TABLE = {"top1": "top-1", "top3": "top-3", "top5": "top-5", "macro_precision": "macro precision",
         "macro_recall": "macro recall", "macro_f1": "macro F1"}  # fmt: skip


SCORES = {"fid": "FID", "kid": "KID", "is": "inception score", "mode_score": "mode score",
          "mmd": "MMD", "emd": "Wasserstein", "one_nn": "1-NN", "precision": "precision",
          "recall": "recall", "coverage": "coverage", "authenticity": "authenticity"}  # fmt: skip


@dataclass(frozen=True)
class Subject:
    """What two GANs learn to paint: the flags that select it, and in words."""

    flags: tuple[str, ...]
    words: str


def choose_threshold(table: pd.DataFrame, wanted: int | None) -> tuple[int, str]:
    """So many training paintings an artist must have, and why, in words.

    Without a wish it is the report's 300, or what keeps ten artists where fewer than two have 300.

    Raises:
        BrushworkError: too few artists have as many as is wanted; it names what to lower.
    """
    threshold, why = THRESHOLD if wanted is None else wanted, ""
    if wanted is None:
        sizes = counts(identifiable(table, 1).query("split == 'train'"), "artist")
        if sizes.iloc[1] < THRESHOLD:
            threshold = int(sizes.iloc[min(10, len(sizes)) - 1])
            why = f" (fewer than two have the report's {THRESHOLD}; --min-paintings sets another)"
    known = counts(identifiable(table, threshold), "artist")
    return threshold, (
        f"{len(known)} artists have at least {threshold:,} paintings to train on{why}: "
        f"{int(known.sum()):,} paintings."
    )


def choose_subjects(
    table: pd.DataFrame, style: str = "", artist: str = ""
) -> tuple[dict[str, Subject], list[str]]:
    """Landscapes, portraits, one style, one artist and everything, as the report painted.

    Where there is no such genre, or fewer than `LEAST_TO_PAINT` of it, the largest other one is
    taken; of styles and artists the largest, unless named.

    Returns:
        The subjects by name, and what had to be chosen or left out, in words.

    Raises:
        BrushworkError: of the style or artist that was named there are too few, or none.
    """
    subjects: dict[str, Subject] = {}
    notes = []
    sizes = counts(table, "genre")
    genres = {str(genre): int(num) for genre, num in sizes.items() if num >= LEAST_TO_PAINT}
    for name, wanted in (("landscapes", "landscape"), ("portraits", "portrait")):
        same = [genre for genre in genres if name_key(genre) == wanted]
        others = [g for g in genres if name_key(g) not in ("landscape", "portrait")]
        if not (same or others):
            notes.append(
                f"These paintings have no genre of enough paintings in the place of {name}."
            )
            continue
        genre = (same or others)[0]
        if not same:
            notes.append(f"There are no {name}, or too few; {genre!r} is in their place.")
        num = genres.pop(genre)
        subjects[name] = Subject(("--genre", genre), f"genre {genre} ({num:,} paintings)")
    for kind, wanted in (("style", style), ("artist", artist)):
        sizes = counts(table, kind)
        if sizes.empty:
            notes.append(f"These paintings have no {kind}s.")
            continue
        name = wanted or str(sizes.index[0])
        filters: Any = {kind: (name,)}
        num = len(select(table, **filters))  # which refuses a name that is not there
        if num < LEAST_TO_PAINT:
            few = f"{name} has {num} paintings, too few to learn from ({LEAST_TO_PAINT})"
            if wanted:
                raise BrushworkError(f"{few}; choose another --{kind}, or leave it out")
            notes.append(f"No {kind} is painted: {few}.")
            continue
        how = "as asked" if wanted else "the one with the most paintings"
        notes.append(f"One {kind}: {name}, {how}.")
        subjects[f"one-{kind}"] = Subject((f"--{kind}", name), f"{kind} {name} ({num:,} paintings)")
    subjects["everything"] = Subject((), f"everything ({len(table):,} paintings)")
    return subjects, notes


def check(models: Sequence[str], gan_side: int, width: int, spaces: Sequence[str]) -> None:
    """Refuse at once what a part would refuse after hours.

    Raises:
        BrushworkError: there is no such classifier, GAN or feature space.
    """
    build_networks("dcgan", gan_side, width)
    check_names(["artist", *(open_space(spec).name for spec in ("pixels", *spaces))])
    for name in models:
        create_backbone(name, 2)


def about(paintings: PreparedPaintings) -> str:
    """Data, code, machine and time of the numbers, in words."""
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
        f"{cores} core{'s' * (cores != 1)}; {made['started']}."
    )


def _processor() -> str:
    file = Path("/proc/cpuinfo")
    lines = file.read_text().splitlines() if file.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def sections(
    folder: Path, models: Sequence[str], subjects: Mapping[str, Subject], parts: Mapping[str, Any]
) -> list[Section]:
    """Tables and figures of the page, of what is in `folder` by now.

    Args:
        folder: as above; the figures are written to `figures/` in it.
        models: names of the classifiers.
        subjects: see `choose_subjects`.
        parts: `command` and `seconds` of each finished part, by name.
    """
    (folder / "figures").mkdir(parents=True, exist_ok=True)
    runs = folder / "runs"
    known = {m: _report(runs / f"{m}-report") for m in models}
    cheated = {m: _report(runs / f"{m}-2019") for m in models}
    painted = {s: _report(runs / f"{s}-report") for s in subjects}
    made = [
        _identified(runs, {m: report for m, report in known.items() if report}),
        _evaluated_as_reported({m: report for m, report in cheated.items() if report}),
        *(_painted(folder, name, subject) for name, subject in subjects.items() if painted[name]),
        _measured({s: report for s, report in painted.items() if report}),
        _on_the_way(folder),
        _cost(runs, [*models, *(f"everything-{gan}" for gan in GANS)]),
        Section(
            "Commands",
            ["Each part alone, and the seconds that it took here:"],
            [
                ["part", "seconds"],
                *([name, f"{part['seconds']:,.0f}"] for name, part in parts.items()),
            ],
            commands=[str(part["command"]) for part in parts.values()],
        ),
    ]
    return [section for section in made if section is not None]


def _report(folder: Path) -> dict[str, Any]:
    file = folder / "report.json"
    return json.loads(file.read_text()) if file.exists() else {}


def _identified(runs: Path, known: Mapping[str, Any]) -> Section | None:
    rows = [["network", "paintings", *TABLE.values(), "n"]]
    for model, report in known.items():
        for split in ("train", "test"):
            numbers = report["reports"][split]
            shown = [f"{numbers[key]:.3f}" for key in TABLE]
            rows.append([model, split, *shown, f"{numbers['num_paintings']:,}"])
        if model in REPORTED:
            shown = [f"{value:.2f}" for value in REPORTED[model]]
            empty = [""] * (len(TABLE) - len(shown) + 1)
            rows.append([f"{model}, report of 2019", "called test", *shown, *empty])
    intervals = "; ".join(
        f"{model} {low:.3f} to {high:.3f}"
        for model, report in known.items()
        for low, high in [report["intervals"]["test"]["top1"]]
    )
    text = [
        "Test paintings were neither trained on nor used to choose anything. The report's numbers "
        "are of other paintings and, though called test, of its training loader: see the next "
        "section.",
        f"95 % intervals of the top-1 accuracy on test paintings: {intervals}.",
        *(_how_it_learned(model, runs / model) for model in known),
    ]
    return Section("Who painted it? The report's table", text, rows) if known else None


def _how_it_learned(model: str, run: Path) -> str:
    how = json.loads((run / CONFIG).read_text())["settings"]
    began = {"none": "random weights", "hub": "ImageNet weights from the Hub"}
    epochs = f"{how['epochs']} epoch{'s' * (how['epochs'] != 1)}"
    taught = f", taught by {Path(how['teacher']).parent.name}" * bool(how["teacher"])
    return (
        f"{model}: from {began.get(how['weights'], how['weights'])}, {epochs} of "
        f"{how['num_paintings']:,} paintings at {how['side']} pixels{taught}."
    )


def _evaluated_as_reported(cheated: Mapping[str, Any]) -> Section | None:
    rows = [["network", "evaluation", *TABLE.values(), "n"]]
    text = [
        "The code of 2019 measured its networks on its training loader: paintings that they had "
        "learned from, in random crops of 8 % to 100 % of the area. Its test set would have paired "
        "test paintings with the artists of training rows. Ours, evaluated in these ways (a tenth "
        "of its training paintings chose the epoch, all others it learned from):"
    ]
    for model, report in cheated.items():
        numbers = report["reports"]
        for name, values in numbers.items():
            shown = [f"{values[key]:.3f}" for key in TABLE]
            rows.append([model, name, *shown, f"{values['num_paintings']:,}"])
        honest, as_2019 = (numbers[name]["top1"] for name in ("honest", "as in 2019"))
        text.append(
            f"{model}: top-1 {as_2019:.3f} as in 2019, {honest:.3f} on test paintings; "
            f"the difference is {100 * (as_2019 - honest):+.1f} points."
        )
    return Section("What the evaluation of 2019 makes of ours", text, rows) if cheated else None


def _painted(folder: Path, name: str, subject: Subject) -> Section:
    shown = {}
    for gan, number in zip(GANS, (0, 2), strict=True):  # 1 and 3 are the nearest paintings
        file = folder / "figures" / f"{name}-{gan}.jpg"
        picture = Image.open(folder / "runs" / f"{name}-report" / f"figure-{number:02d}.png")
        picture.convert("RGB").save(file, quality=92)
        last = read_metrics(folder / "runs" / f"{name}-{gan}")[-1]
        when = f"after {last['step']:,} steps, {last['epoch']:.1f} epochs"
        shown[f"{GANS[gan]} {when}: real on the left, fake on the right"] = file
    return Section(f"Real and fake: {subject.words}", figures=shown)


def _measured(painted: Mapping[str, Any]) -> Section | None:
    spaces = dict.fromkeys(
        key.removeprefix("fid_")
        for report in painted.values()
        for numbers in report["reports"].values()
        for key in numbers
        if key.startswith("fid_")
    )
    rows = [["painter", "space", *SCORES.values(), "n real", "n fake"]]
    for space in spaces:
        for name, report in painted.items():
            for gan, numbers in zip(GANS.values(), report["reports"].values(), strict=True):
                values = [numbers.get(f"{key}_{space}") for key in SCORES]
                shown = ["" if value is None else f"{value:.4g}" for value in values]
                size = [f"{numbers[key]:,}" for key in ("n_real", "n_fake")]
                rows.append([f"{name}, {gan}", space, *shown, *size])
    text = [
        "The space artist is that of the first classifier above, so its numbers compare within "
        "this page only; pixels is blind to what is painted. All move with the number of pictures. "
        "Lower is better for FID, KID, MMD and Wasserstein, one half for 1-NN, higher for the "
        "others. "
        "Authenticity near 0 means copies."
    ]
    return Section("How good are the fakes?", text, rows) if painted else None


def _on_the_way(folder: Path) -> Section | None:
    runs = {
        words: [line for line in read_metrics(run) if "fid_artist" in line]
        for gan, words in GANS.items()
        if (run := folder / "runs" / f"everything-{gan}").is_dir()
    }
    runs = {words: records for words, records in runs.items() if records}
    if not runs:
        return None
    file = folder / "figures" / "curves.png"
    figures.compared_curves(runs, "artist", file)
    text = ["Of everything, in the space artist, the fakes of the averaged weights each time."]
    return Section("The metrics over the epochs", text, figures={"Metrics over epochs": file})


def _cost(runs: Path, names: Sequence[str]) -> Section | None:
    rows = [["training", "images/s here", "minutes an epoch", f"hours of {REPORTED_EPOCHS} epochs"]]
    for name in names:
        if not (runs / name / "metrics.jsonl").exists():
            continue
        lines = [line for line in read_metrics(runs / name) if "images_per_second" in line]
        pace = statistics.median(line["images_per_second"] for line in lines)
        minutes = ALL_PAINTINGS / pace / 60
        hours = minutes * REPORTED_EPOCHS / 60
        rows.append([name, f"{pace:,.0f}", f"{minutes:,.1f}", f"{hours:,.1f}"])
    text = [
        f"Reckoned from the median speed of each training here: {ALL_PAINTINGS:,} paintings (all "
        "of Painter-by-Numbers; the artists above a threshold have fewer) divided by images/s. "
        "A painter of a genre, a style or an artist costs its share of everything. "
        "With several GPUs the same command starts each training through accelerate launch, "
        "which shares every batch among them; at best the time is divided by their number, which "
        "was not measured here."
    ]
    return Section(f"What {ALL_PAINTINGS:,} paintings would cost", text, rows) if rows[1:] else None
