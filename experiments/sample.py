"""Make pictures with a trained generator: single files, a grid, or an animated walk between them.

    uv run experiments/sample.py runs/gan/generator --num 16 --out paintings/
    uv run experiments/sample.py runs/gan/generator --num 6 --walk walk.mp4
    uv run experiments/sample.py runs/genres/generator --label landscape --truncation 0.7

Writes seed-SEED-000.png and so on and grid.png into the folder `--out`; with `--walk`, it writes
only the animation. The same seed gives the same pictures.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from PIL import Image
from tqdm import tqdm

from brushwork.errors import BrushworkError, report_errors
from brushwork.gan.generator import PaintingGenerator
from brushwork.report import figures
from settings import PositiveShare, Range, Seed, read_flags


@dataclass(frozen=True)
class Config:
    """Settings: the pictures to make, and the files to write."""

    generator: Annotated[str, tyro.conf.Positional]
    """A generator's checkpoint: a folder, or a name on the Hugging Face Hub."""
    num: Annotated[int, Range(1, 1_000_000)] = 16
    """Number of pictures."""
    label: str | None = None
    """A genre, style or artist, for a generator that was trained with classes; by default, each
    picture's class is random."""
    seed: Seed = 0
    """The same seed gives the same pictures."""
    truncation: PositiveShare = 1.0
    """Truncation, above 0, at most 1. Lower values give less variety and fewer failures."""
    out: Path = Path("paintings")
    """Folder for the pictures and their grid."""
    walk: Path | None = None
    """Write an animated walk through the pictures to this .gif or .mp4 file, instead of single
    pictures."""
    frames: Annotated[int, Range(1, 10_000)] = 24
    """Frames of the walk from one picture to the next."""
    enlarge: Annotated[int, Range(1, 100)] = 1
    """Factor by which the grid and the walk are enlarged."""


def main(cfg: Config) -> None:
    """Open the generator, then write pictures or a walk."""
    generator = PaintingGenerator.from_pretrained(cfg.generator)
    try:
        if cfg.walk:
            write_walk(generator, cfg, cfg.walk)
        else:
            write_pictures(generator, cfg)
    except OSError as error:
        raise BrushworkError(
            f"cannot write the pictures ({error}); pass another `out` or `walk`"
        ) from error


def write_pictures(generator: PaintingGenerator, cfg: Config) -> None:
    """Write each picture and the grid of all."""
    arrays = generator.sample(
        cfg.num, label=cfg.label, seed=cfg.seed, truncation=cfg.truncation, to="array"
    )
    cfg.out.mkdir(parents=True, exist_ok=True)
    for i, array in enumerate(arrays):
        Image.fromarray(array).save(cfg.out / f"seed-{cfg.seed}-{i:03d}.png")
    enlarged = arrays.repeat(cfg.enlarge, axis=1).repeat(cfg.enlarge, axis=2)
    figures.grid(enlarged).save(cfg.out / "grid.png")
    print(f"wrote {cfg.num} pictures and grid.png to {cfg.out}")


def write_walk(generator: PaintingGenerator, cfg: Config, file: Path) -> None:
    """Write the walk frame by frame, so that a long one needs little memory as an MP4."""
    frames = generator.walk(
        cfg.num, cfg.frames, label=cfg.label, seed=cfg.seed, truncation=cfg.truncation
    )
    file.parent.mkdir(parents=True, exist_ok=True)
    progress = tqdm(enlarge(frames, cfg.enlarge), total=cfg.num * cfg.frames, unit="frame")
    figures.save_animation(progress, file)
    print(f"wrote the walk to {file}")


def enlarge(pictures: Iterator[Image.Image], times: int) -> Iterator[Image.Image]:
    """Repeat every pixel `times` by `times`."""
    for picture in pictures:
        yield picture.resize(
            (picture.width * times, picture.height * times), Image.Resampling.NEAREST
        )


if __name__ == "__main__":
    with report_errors(Config):
        main(read_flags(Config, __doc__))
