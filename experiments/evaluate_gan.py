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

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro
from accelerate import Accelerator
from PIL import Image

from brushwork.data.open import open_data
from brushwork.data.select import select
from brushwork.errors import BrushworkError, report_errors
from brushwork.files import write_json
from brushwork.gan.evaluate import compare, figures_of, kept_checkpoints, open_pictures
from brushwork.metrics.distances import frechet_of_halves, optimal_transport
from brushwork.metrics.evaluate import require_enough
from brushwork.metrics.pictures import (
    PictureFeatures,
    Pictures,
    cached_picture_features,
    extract_shared,
    selected_pictures,
)
from brushwork.report import figures
from brushwork.report.pages import text_table, write_report
from brushwork.spaces import check_names, open_space
from brushwork.training.distributed import check_launch
from brushwork.training.threads import use_all_cores
from settings import read_flags

# Pixels of the largest fakes that train_gan.py paints, and of paintings as they are prepared by
# default: larger pictures are compared with paintings of this size.
LARGEST = 256
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
    """Compare with these rows only; the others are then held out, for the leak check. What a
    classifier makes of fakes is told beside what it makes of test rows, if there are any."""
    fit: Literal["crop", "squash"] = "crop"
    real: Path | None = None
    """A folder of real images, taken as they are, instead of --data."""
    spaces: tuple[str, ...] = ("pixels",)
    """pixels, inception, inception:FILE, artist:CLASSIFIER (whose hand does it see?), or
    ARCHITECTURE:WEIGHTS of timm; copies are sought in the first."""
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
    optimal_transport()
    if not cfg.fakes or (cfg.kept and len(cfg.fakes) > 1):
        raise BrushworkError(
            f"{len(cfg.fakes)} sets of fakes; name at least one, and with --kept exactly one run"
        )
    accelerator = Accelerator()
    use_all_cores()
    device, is_main = accelerator.device, accelerator.is_main_process
    spaces = [open_space(spec, device) for spec in cfg.spaces]
    check_names([space.name for space in spaces])
    sources = {name: Path(name) for name in cfg.fakes}
    for run in cfg.fakes if cfg.kept else ():
        sources = {f"step {step}": kept for step, kept in kept_checkpoints(run).items()}
    makers = {
        name: open_pictures(source, num=cfg.num_fakes, seed=cfg.seed, device=device)
        for name, source in sources.items()
    }
    reals = {side: open_real(cfg, side) for side in {fakes.side for fakes in makers.values()}}
    for fakes in makers.values():
        require_enough(reals[fakes.side][0].num, fakes.num, cfg.num_pairs)

    # Each process looks at its share of the fakes; the rest takes only one.
    seen = {
        (name, space.name): extract_shared(
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
    halves: dict[str, float] = {}
    for name, fakes in makers.items():
        reports[name] = {}
        for space in spaces:
            real, held_out = (
                PictureFeatures(some, cached_picture_features(some, space, cfg.batch_size))
                if some
                else None
                for some in reals[fakes.side]
            )
            assert real is not None
            of_whom = f"{len(real.features.features):,} real at {fakes.side} pixels in {space.name}"
            if of_whom not in halves:
                halves[of_whom] = frechet_of_halves(real.features.features, cfg.seed)
            painted = PictureFeatures(fakes, seen[name, space.name])
            how = {"num_pairs": cfg.num_pairs, "seed": cfg.seed}
            values, shares = compare(real, painted, space, held_out, **how)
            reports[name] |= values
            if shares:
                most = ", ".join(f"{label} {share:.0%}" for label, share in [*shares.items()][:5])
                notes.append(f"{name} as seen by {space.name}: {most}")
            if space is spaces[0]:
                pictures |= figures_of(real, painted, name)

    notes += [f"FID of two halves of {who}: {fid:.4g}" for who, fid in halves.items()]

    # The report, as a page, as JSON and as a table.
    cfg.out.mkdir(parents=True, exist_ok=True)
    names = [space.name for space in spaces]
    if cfg.kept:
        records = [{"step": int(name.split()[1]), **report} for name, report in reports.items()]
        figures.metric_curves(records, names, cfg.out / "curves.png")
        pictures = {"Metrics over steps": Image.open(cfg.out / "curves.png"), **pictures}
    write_report(cfg.out, "Fakes against real paintings", reports, names, pictures, notes)
    record = {"settings": asdict(cfg), "reports": reports, "notes": notes}
    write_json(cfg.out / "report.json", record)
    print(text_table(reports, names), *notes, f"all in {cfg.out / 'report.html'}", sep="\n")


def open_real(cfg: Config, side: int) -> tuple[Pictures, Pictures | None]:
    """The real paintings, and those held out where --split leaves some."""
    filters = {k: getattr(cfg, k) for k in ("genre", "style", "artist", "min_paintings")}
    if cfg.real:
        if cfg.split or any(filters.values()):
            raise BrushworkError(
                "--real takes all of a folder; leave out --genre, --style, --artist, "
                "--min-paintings and --split, or give --data instead"
            )
        return open_pictures(cfg.real), None
    paintings = open_data(cfg.data)
    # Who has --min-paintings is told from the rows that a GAN with --split train learned from.
    chosen = select(paintings.table, **filters, counted_in="train" if cfg.split else None)
    compared = chosen[chosen["split"] == cfg.split] if cfg.split else chosen
    if compared.empty:
        raise BrushworkError(f"none of the {len(chosen):,} paintings is in --split {cfg.split}")
    pixels = paintings.pixels(min(side, LARGEST), cfg.fit)
    first, others = (
        selected_pictures(
            pixels, rows.index.to_numpy(), f"{paintings.fingerprint} {cfg.fit}", paintings.table
        )
        for rows in (compared, chosen.drop(compared.index))
    )
    return first, others if others.num else None


if __name__ == "__main__":
    with report_errors(Config):
        main(read_flags(Config, __doc__))
