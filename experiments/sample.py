"""Paint with a trained generator: single pictures, a grid, or a walk from picture to picture.

    uv run experiments/sample.py runs/gan/generator --num 16 --out paintings/
    uv run experiments/sample.py runs/gan/generator --num 6 --walk walk.mp4
    uv run experiments/sample.py runs/genres/generator --label landscape --truncation 0.7

Writes `--out`/seed-SEED-000.png and so on, `grid.png` beside them, and the walk where `--walk`
says (.gif or .mp4). The same seed paints the same pictures.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro
from PIL import Image
from tqdm import tqdm

from brushwork.errors import BrushworkError, report_errors
from brushwork.gan.generator import PaintingGenerator
from brushwork.report import figures
from settings import read_flags


@dataclass(frozen=True)
class Config:
    """What to paint, and where to."""

    generator: Annotated[str, tyro.conf.Positional]
    """A generator's checkpoint: a folder, or a name on the Hugging Face Hub."""
    num: int = 16
    """How many pictures."""
    label: str | None = None
    """What to paint, where the generator was trained on several: a genre, a style or an artist."""
    seed: int = 0
    truncation: float = 1.0
    """Above 0, at most 1; less is less varied, with fewer failures."""
    out: Path = Path("paintings")
    """Folder for the pictures and their grid."""
    walk: Path | None = None
    """Write a walk through the pictures here instead, .gif or .mp4."""
    frames: int = 24
    """Frames from one picture of the walk to the next."""
    enlarge: int = 1
    """Show every pixel of the grid and the walk as so many by so many."""


def main(cfg: Config) -> None:
    """Paint, then write."""
    if cfg.enlarge < 1 or cfg.frames < 1:
        raise BrushworkError(
            f"--enlarge {cfg.enlarge} and --frames {cfg.frames} must be at least 1"
        )
    painter = PaintingGenerator.from_pretrained(cfg.generator)
    how: dict[str, Any] = {"label": cfg.label, "seed": cfg.seed, "truncation": cfg.truncation}
    try:
        if cfg.walk:
            frames = painter.walk(cfg.num, cfg.frames, **how)
            larger = (_enlarged(frame, cfg.enlarge) for frame in frames)
            cfg.walk.parent.mkdir(parents=True, exist_ok=True)
            progress = tqdm(larger, total=cfg.num * cfg.frames, unit="frame")
            figures.save_animation(progress, cfg.walk)
            print(f"walk: {cfg.walk}")
            return
        arrays = painter.sample(cfg.num, **how, to="array")
        cfg.out.mkdir(parents=True, exist_ok=True)
        for i, array in enumerate(arrays):
            Image.fromarray(array).save(cfg.out / f"seed-{cfg.seed}-{i:03d}.png")
        larger = arrays.repeat(cfg.enlarge, axis=1).repeat(cfg.enlarge, axis=2)
        figures.grid(larger).save(cfg.out / "grid.png")
        print(f"{cfg.num} pictures and grid.png: {cfg.out}")
    except OSError as error:
        raise BrushworkError(f"cannot write the pictures: {error}") from error


def _enlarged(picture: Image.Image, times: int) -> Image.Image:
    size = (picture.width * times, picture.height * times)
    return picture.resize(size, Image.Resampling.NEAREST)


if __name__ == "__main__":
    with report_errors(Config):
        main(read_flags(Config, __doc__))
