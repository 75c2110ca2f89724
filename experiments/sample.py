"""Make pictures with a trained generator: single files, a grid, a walk, mixed styles, inversions.

    uv run experiments/sample.py --list
    uv run experiments/sample.py landscapes
    uv run experiments/sample.py runs/gan/generator --num 16 --out paintings/
    uv run experiments/sample.py runs/gan/generator --num 6 --walk walk.mp4
    uv run experiments/sample.py runs/genres/generator --label landscape --truncation 0.7
    uv run experiments/sample.py portraits --mix 4 6
    uv run experiments/sample.py landscapes --invert painting.jpg photograph.png
    uv run experiments/sample.py exported/landscapes

Writes seed-SEED-000.png and so on and grid.png into the folder `--out`. The same seed gives the
same pictures. A generator that export.py exported needs no torch, except for --invert. Each of
these flags makes the script write other files instead:

    --walk    only the animation
    --mix     the pictures, their mixtures seed-SEED-COARSE-FINE.png, and mix.png: the grid
              with the pictures in its margins
    --invert  inversion-000.png and so on, and inversions.png: each given picture beside the
              most similar one that the generator can make
"""

import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import tyro
from numpy.typing import NDArray
from PIL import Image, ImageOps
from tqdm import tqdm

from brushwork.checkpoint import DEMO_ON_PYPI, bundled_checkpoints, is_generator, load_config
from brushwork.data.aspects import describe_size
from brushwork.data.decode import Rejected, to_rgb
from brushwork.engine import Engine, Generator, open_generator
from brushwork.errors import BrushworkError, report_errors
from brushwork.gan.sampling import to_arrays
from brushwork.machine import keep_freed_memory
from brushwork.report import figures
from settings import Count, PositiveShare, Range, Seed, read_flags

if TYPE_CHECKING:
    from brushwork.gan.generator import PaintingGenerator

# The margins of a grid of mixed styles are this many pixels away from it.
MARGIN = 8

# The flags that write other files than single pictures and their grid, and the flags that each of
# them would ignore; those of "" have no effect on single pictures.
IGNORED = {
    "walk": ("level", "steps"),
    "mix": ("num", "frames", "steps"),
    "invert": ("num", "truncation", "frames", "level"),
    "": ("frames", "level", "steps"),
}

# Characters of a line of the classes in --list.
CLASSES_WIDTH = 42


@dataclass(frozen=True)
class Config:
    """Settings: the pictures to make, and the files to write."""

    generator: Annotated[str | None, tyro.conf.Positional] = None
    """A generator's checkpoint: a folder, the name of a bundled generator (see --list), or a name
    on the Hugging Face Hub."""
    list: bool = False
    """List the bundled generators, and do nothing else."""
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
    mix: tuple[Annotated[int, Range(1, 100)], Annotated[int, Range(1, 100)]] | None = None
    """Two numbers COARSE and FINE: mix the styles of COARSE pictures with those of FINE others. The
    coarse styles decide the composition, the fine ones the colours and the brushwork."""
    level: Annotated[int, Range(0, 100)] | None = None
    """With --mix: the first level of the generator that uses the fine styles; all later levels use
    them, too. By default, this is the second half of the levels."""
    invert: tuple[Path, ...] | None = None
    """For each of these pictures, search for the most similar one that the generator can make."""
    steps: Count = 200
    """Steps of the search of --invert."""
    enlarge: Annotated[int, Range(1, 100)] = 1
    """Factor by which grids and the walk are enlarged."""
    engine: Engine = "auto"
    """What computes the pictures: torch, or onnxruntime for a checkpoint of export.py; "auto"
    decides by the checkpoint."""


def main(cfg: Config) -> None:
    """Open the generator, then write what the flags choose."""
    if cfg.list:
        print(table_of_generators())
        return
    if cfg.generator is None:
        raise BrushworkError(
            "no generator is given; pass a checkpoint (`list` shows the bundled ones)"
        )
    check_flags(cfg)
    keep_freed_memory()
    if cfg.invert:
        with writing_errors():
            write_inversions(open_for_search(cfg, cfg.generator), cfg, cfg.invert)
        return
    generator = open_generator(cfg.generator, cfg.engine)
    with writing_errors():
        if cfg.walk:
            write_walk(generator, cfg, cfg.walk)
        elif cfg.mix:
            write_mixtures(generator, cfg, *cfg.mix)
        else:
            write_pictures(generator, cfg)


def check_flags(cfg: Config) -> None:
    """Check that at most one flag decides what is written, and that none would be ignored."""
    given, default = vars(cfg), vars(Config())
    chosen = [name for name in IGNORED if name and given[name] is not None]
    if len(chosen) > 1:
        raise BrushworkError("only one of `walk`, `mix` and `invert` can be used; drop the others")
    if cfg.invert == ():
        raise BrushworkError("`invert` names no picture; pass at least one file")
    mode = "".join(chosen)
    if ignored := [f"`{name}`" for name in IGNORED[mode] if given[name] != default[name]]:
        where = f"with `{mode}`" if mode else "for single pictures"
        raise BrushworkError(
            f"{', '.join(ignored)} would be ignored {where}; leave out what is ignored"
        )


@contextmanager
def writing_errors() -> Iterator[None]:
    """Turn an error of the file system into a `BrushworkError`."""
    try:
        yield
    except OSError as error:
        raise BrushworkError(
            f"cannot write the pictures ({error}); pass another `out` or `walk`"
        ) from error


def open_for_search(cfg: Config, generator: str) -> "PaintingGenerator":
    """Open the generator of --invert, on a GPU if there is one: only this search is slow.

    All else gives the same bytes on every machine.
    """
    if cfg.engine == "onnx":
        raise BrushworkError("`invert` needs gradients; use `engine` torch")
    import torch

    from brushwork.gan.generator import PaintingGenerator

    device = "cuda" if torch.cuda.is_available() else "cpu"
    return PaintingGenerator.from_pretrained(generator, device)


def table_of_generators() -> str:
    """List the bundled generators: name, training set, side in pixels and classes."""
    from brushwork.gan.save import names_of

    rows = [("name", "trained on", "side", ["classes"])]
    for name, folder in bundled_checkpoints().items():
        config = load_config(folder)
        if not is_generator(config):
            continue
        training, classes = config["training"], config["model"].get("classes") or ()
        selected = [names_of(training, kind) for kind in ("genre", "style", "artist")]
        paints = ", ".join(filter(None, selected)) or "all paintings"
        if classes:
            paints = f"{len(classes)} {training.get('condition') or 'label'}s"
        unbroken = ", ".join(name.replace(" ", "\xa0") for name in classes)
        lines = [line.replace("\xa0", " ") for line in textwrap.wrap(unbroken, CLASSES_WIDTH)]
        model = config["model"]
        size = describe_size(model["side"], model.get("aspect", "1:1")).removesuffix(" pixels")
        rows.append((name, paints, size, lines or ["none"]))
    if len(rows) == 1:
        raise BrushworkError(
            f"there are no bundled generators, because {DEMO_ON_PYPI} is not installed; install it"
        )
    first, second, third = (max(len(row[column]) for row in rows) for column in range(3))
    return "\n".join(
        f"{name:<{first}}  {paints:<{second}}  {side:>{third}}  {line}"
        for row in rows
        for (name, paints, side), line in zip(
            [row[:3], *[("", "", "")] * (len(row[3]) - 1)], row[3], strict=True
        )
    )


def write_pictures(generator: Generator, cfg: Config) -> None:
    """Write each picture and the grid of all."""
    arrays = generator.sample(
        cfg.num, label=cfg.label, seed=cfg.seed, truncation=cfg.truncation, to="array"
    )
    cfg.out.mkdir(parents=True, exist_ok=True)
    for i, array in enumerate(arrays):
        Image.fromarray(array).save(cfg.out / f"seed-{cfg.seed}-{i:03d}.png")
    figures.grid(enlarged(arrays, cfg.enlarge)).save(cfg.out / "grid.png")
    print(f"wrote {cfg.num} pictures and grid.png to {cfg.out}")


def write_walk(generator: Generator, cfg: Config, file: Path) -> None:
    """Write the walk frame by frame, so that a long one needs little memory as an MP4."""
    frames = generator.walk(
        cfg.num, cfg.frames, label=cfg.label, seed=cfg.seed, truncation=cfg.truncation
    )
    file.parent.mkdir(parents=True, exist_ok=True)
    progress = tqdm(enlarge(frames, cfg.enlarge), total=cfg.num * cfg.frames, unit="frame")
    figures.save_animation(progress, file)
    print(f"wrote the walk to {file}")


def write_mixtures(generator: Generator, cfg: Config, num_coarse: int, num_fine: int) -> None:
    """Write the pictures whose styles are mixed, the mixtures, and the grid of all.

    Args:
        generator: a generator with styles.
        cfg: the script's settings.
        num_coarse: number of pictures that give the coarse styles: the first ones of the seed.
        num_fine: number of pictures that give the fine styles: those after them.
    """
    num = num_coarse + num_fine
    z, y = generator.latents(num, cfg.seed), generator.labels(num, cfg.label, cfg.seed)
    pairs = [(i, j) for i in range(num_coarse) for j in range(num_coarse, num)]
    coarse, fine = map(list, zip(*pairs, strict=True))
    level = generator.num_levels // 2 if cfg.level is None else cfg.level
    styles = generator.mix(z[coarse], z[fine], level, y[coarse], y[fine], cfg.truncation)
    mixed = to_arrays(generator.paint_styles(styles))
    pictures = to_arrays(generator.paint(z, y, cfg.truncation))

    cfg.out.mkdir(parents=True, exist_ok=True)
    for i, array in enumerate(pictures):
        Image.fromarray(array).save(cfg.out / f"seed-{cfg.seed}-{i:03d}.png")
    for (i, j), array in zip(pairs, mixed, strict=True):
        Image.fromarray(array).save(cfg.out / f"seed-{cfg.seed}-{i:03d}-{j:03d}.png")
    pictures, mixed = (enlarged(arrays, cfg.enlarge) for arrays in (pictures, mixed))
    grid_with_margins(pictures[:num_coarse], pictures[num_coarse:], mixed).save(cfg.out / "mix.png")
    print(
        f"wrote {num} pictures, {len(pairs)} mixtures and mix.png to {cfg.out}; in mix.png, the "
        f"coarse styles (levels below {level} of {generator.num_levels}) are those of the left "
        "margin, the fine styles those of the top margin"
    )


def grid_with_margins(
    left: NDArray[np.uint8], top: NDArray[np.uint8], inside: NDArray[np.uint8]
) -> Image.Image:
    """Draw a grid of R x C images with an image in front of each row and above each column.

    Args:
        left: (R, H, W, 3).
        top: (C, H, W, 3).
        inside: (R * C, H, W, 3), row by row.
    """
    columns = len(top)
    parts = [figures.grid(left, 1), figures.grid(top, columns), figures.grid(inside, columns)]
    x, y = parts[0].width + MARGIN, parts[1].height + MARGIN
    sheet = Image.new("RGB", (x + parts[1].width, y + parts[0].height), "white")
    for part, corner in zip(parts, [(0, y), (x, 0), (x, y)], strict=True):
        sheet.paste(part, corner)
    return sheet


def write_inversions(generator: "PaintingGenerator", cfg: Config, files: Sequence[Path]) -> None:
    """Write the picture that is most similar to each given one, and the grid of the pairs."""
    from brushwork.gan.invert import invert

    # Before the long search.
    given = [read(file, max(generator.height, generator.width)) for file in files]
    cfg.out.mkdir(parents=True, exist_ok=True)
    pairs = []
    for i, (file, picture) in enumerate(zip(files, given, strict=True)):
        with tqdm(total=cfg.steps, desc=file.name, unit="step") as bar:

            def show(_step: int, loss: float, _picture: Image.Image, bar: tqdm = bar) -> None:
                bar.set_postfix_str(f"difference {loss:.3g}", refresh=False)
                bar.update()

            found = invert(generator, picture, cfg.steps, show, label=cfg.label, seed=cfg.seed)
        found.picture.save(cfg.out / f"inversion-{i:03d}.png")
        pairs += [ImageOps.fit(picture, found.picture.size), found.picture]
    arrays = enlarged(np.stack(pairs), cfg.enlarge)
    figures.grid(arrays, columns=2).save(cfg.out / "inversions.png")
    print(f"wrote {len(given)} pictures and inversions.png to {cfg.out}")


def read(file: Path, side: int) -> Image.Image:
    """Read a picture of any kind, its short side reduced to `side` pixels.

    Raises:
        BrushworkError: it cannot be read.
    """
    try:
        return to_rgb(file, side)
    except Rejected as error:
        raise BrushworkError(
            f"cannot read {file}: {error.reason}; pass another picture to `invert`"
        ) from error


def enlarged(arrays: NDArray[np.uint8], times: int) -> NDArray[np.uint8]:
    """Repeat every pixel of images (N, H, W, 3) `times` by `times`."""
    return arrays.repeat(times, axis=1).repeat(times, axis=2)


def enlarge(pictures: Iterator[Image.Image], times: int) -> Iterator[Image.Image]:
    """Repeat every pixel `times` by `times`."""
    for picture in pictures:
        yield picture.resize(
            (picture.width * times, picture.height * times), Image.Resampling.NEAREST
        )


if __name__ == "__main__":
    with report_errors(Config):
        main(read_flags(Config, __doc__))
