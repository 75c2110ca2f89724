"""Measure fakes against real paintings: checkpoints, runs or folders of images, side by side.

    uv run experiments/evaluate_gan.py runs/gan --data paintings/ --genre landscape
    uv run experiments/evaluate_gan.py runs/a runs/b fakes/ --real photographs/ --spaces inception
    uv run experiments/evaluate_gan.py runs/gan --kept --spaces resnet34:resnet34.safetensors

On several GPUs put `accelerate launch` in place of `uv run`; each picture is seen once. Writes to
--out `report.json`, `report.html` (all in one file) and its figures: reals beside fakes, the fakes
nearest to a training painting and, with --kept, curves over the steps of a run. The features of
real paintings are cached. Compare runs by one command: every metric moves with the number of
pictures.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import tyro
from accelerate import Accelerator
from PIL import Image

from brushwork import figures
from brushwork.data.prepared import open_data
from brushwork.data.select import select
from brushwork.distributed import check_launch, use_all_cores
from brushwork.errors import BrushworkError, errors_in_words
from brushwork.metrics.distances import nearest
from brushwork.metrics.evaluate import evaluate, label_check, leak_check
from brushwork.metrics.features import FeatureSpace, open_space
from brushwork.metrics.pictures import (
    Pictures,
    extract_once,
    extract_together,
    kept_checkpoints,
    open_pictures,
    selected_pictures,
)
from brushwork.report import html_page, text_table

Names = Annotated[tuple[str, ...], tyro.conf.UseAppendAction]


@dataclass(frozen=True)
class Config:
    """What to measure, against what, and in which spaces."""

    fakes: Annotated[tuple[str, ...], tyro.conf.Positional]
    """Checkpoints, run folders, folders of images; several are compared."""
    data: str = "synthetic"
    """The real paintings, as train_gan takes them, reduced to the side of the fakes."""
    genre: Names = ()
    """Only this genre; repeat the flag for several. Likewise --style and --artist."""
    style: Names = ()
    artist: Names = ()
    min_paintings: int = 0
    split: Literal["train", "test"] | None = None
    """Compare with these rows only; the others are then held out, for the leak check."""
    fit: Literal["crop", "squash"] = "crop"
    real: Path | None = None
    """A folder of real images, taken as they are, instead of --data."""
    spaces: tuple[str, ...] = ("pixels",)
    """pixels, inception, inception:FILE, or ARCHITECTURE:WEIGHTS of timm; copies are sought in the
    first."""
    num_fakes: int = 1000
    """Pictures to paint with each checkpoint."""
    num_pairs: int = 1000
    """Images of each side whose distances to all others are taken; FID and KID take all."""
    kept: bool = False
    """Measure every checkpoint that the one run kept, and draw curves."""
    seed: int = 0
    batch_size: int | None = None
    """Images that a network sees at once; what suits the device by default."""
    out: Path = Path("runs/evaluation")


def main(cfg: Config) -> None:
    """Open everything; look at the fakes together; then compare, draw and write alone."""
    check_launch()
    if not cfg.fakes or (cfg.kept and len(cfg.fakes) > 1):
        raise BrushworkError(
            f"{len(cfg.fakes)} sets of fakes; name at least one, and with --kept exactly one run"
        )
    accelerator = Accelerator()
    use_all_cores()
    device, is_main = accelerator.device, accelerator.is_main_process
    spaces = [open_space(spec, device) for spec in cfg.spaces]
    sources = {name: Path(name) for name in cfg.fakes}
    for run in cfg.fakes if cfg.kept else ():
        sources = {f"step {step}": kept for step, kept in kept_checkpoints(run).items()}
    makers = {
        name: open_pictures(source, num=cfg.num_fakes, seed=cfg.seed, device=device)
        for name, source in sources.items()
    }
    reals = {side: open_real(cfg, side) for side in {fakes.side for fakes in makers.values()}}

    # Each process looks at its share of the fakes; the rest takes only one.
    seen = {
        (name, space.name): extract_together(
            fakes, space, batch_size=cfg.batch_size, progress=is_main
        )
        for name, fakes in makers.items()
        for space in spaces
    }
    accelerator.end_training()
    if not is_main:
        return

    reports: dict[str, dict[str, float]] = {}
    pictures: dict[str, Image.Image] = {}
    notes = [f"Real: {cfg.real or cfg.data} {' '.join(cfg.genre + cfg.style + cfg.artist)}"]
    for name, fakes in makers.items():
        real, held_out = reals[fakes.side]
        reports[name] = {}
        for space in spaces:
            x, y = extract_once(real, space, cfg.batch_size), seen[name, space.name]
            unseen = extract_once(held_out, space, cfg.batch_size) if held_out else None
            reports[name] |= leak_check(x, y, space.name, unseen)
            reports[name] |= evaluate(x, y, space.name, num_pairs=cfg.num_pairs, seed=cfg.seed)
            if space.labels:
                intended = fakes.intended if {*fakes.intended} <= {*space.labels} else ()
                values, shares = label_check(
                    y, unseen or x, space.labels, expected(fakes, space), space.name, intended
                )
                reports[name] |= values
                most = ", ".join(f"{label} {share:.0%}" for label, share in [*shares.items()][:5])
                notes.append(f"{name} as seen by {space.name}: {most}")
        side = min(fakes.side, 128)
        pictures[f"Real paintings, and {name}"] = figures.real_beside_fake(
            real.thumbnails(real.spread(64), side), fakes.thumbnails(fakes.spread(64), side)
        )
        x, y = extract_once(real, spaces[0], cfg.batch_size), seen[name, spaces[0].name]
        distance, row = nearest(y.features, x.features, k=min(3, real.num))
        closest = distance[:, 0].argsort()[:8].tolist()
        pictures[f"The pictures of {name} that are nearest to paintings, and these"] = (
            figures.neighbours(
                fakes.thumbnails(closest, side),
                np.stack([real.thumbnails(row[fake].tolist(), side) for fake in closest]),
            )
        )

    # The report, as a page, as JSON and as a table.
    cfg.out.mkdir(parents=True, exist_ok=True)
    names = [space.name for space in spaces]
    if cfg.kept:
        records = [{"step": int(name.split()[1]), **report} for name, report in reports.items()]
        panels = {
            metric: keys
            for metric in ("fid", "kid", "is", "mode_score", "one_nn", "precision", "coverage")
            if (
                keys := [
                    f"{metric}_{space}" for space in names if f"{metric}_{space}" in records[0]
                ]
            )
        }
        figures.curves(records, panels, cfg.out / "curves.png")
        pictures = {"Metrics over steps": Image.open(cfg.out / "curves.png"), **pictures}
    for number, picture in enumerate(pictures.values()):
        picture.save(cfg.out / f"figure-{number:02d}.png")
    page = html_page("Fakes against real paintings", reports, names, pictures, notes)
    (cfg.out / "report.html").write_text(page)
    record = {"settings": asdict(cfg), "reports": reports, "notes": notes}
    (cfg.out / "report.json").write_text(json.dumps(record, indent=2, default=str) + "\n")
    print(text_table(reports, names), *notes, f"all in {cfg.out / 'report.html'}", sep="\n")


def open_real(cfg: Config, side: int) -> tuple[Pictures, Pictures | None]:
    """The real paintings, and those held out where --split leaves some."""
    if cfg.real:
        return open_pictures(cfg.real), None
    paintings = open_data(cfg.data)
    pixels = paintings.pixels(side, cfg.fit)
    filters = {k: getattr(cfg, k) for k in ("genre", "style", "artist", "min_paintings")}
    parts = []
    for split in (cfg.split, {"train": "test", "test": "train"}.get(cfg.split or "")):
        rows = select(paintings.table, **filters, split=split).index.to_numpy()
        parts.append(selected_pictures(pixels, rows, f"{paintings.fingerprint} {cfg.fit}"))
    return parts[0], parts[1] if cfg.split else None


def expected(fakes: Pictures, space: FeatureSpace) -> list[str]:
    """The labels that a checkpoint was trained on, if the space knows them."""
    chosen = [n for kind in ("artist", "genre", "style") for n in fakes.training.get(kind) or ()]
    return [name for name in chosen if name in space.labels]


if __name__ == "__main__":
    with errors_in_words():
        main(tyro.cli(Config, description=__doc__))
