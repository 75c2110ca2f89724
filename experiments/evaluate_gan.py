"""Compare fakes (from checkpoints, runs or folders of images) with real paintings.

    uv run experiments/evaluate_gan.py runs/gan --data paintings/ --genre landscape
    uv run experiments/evaluate_gan.py landscapes monet --data paintings/ --spaces artist:artists
    uv run experiments/evaluate_gan.py runs/a runs/b fakes/ --real photographs/ --spaces inception
    uv run experiments/evaluate_gan.py runs/gan --kept --spaces resnet34:resnet34.safetensors

Writes to --out `report.json` with the metrics in each feature space, `report.html` with the tables
and figures in one file, and the figures: real paintings beside fakes, the fakes that are nearest to
paintings, and with --kept the curves of a run. `rejected.csv` lists the files of a folder that
cannot be read, with the reasons. On several GPUs, replace `uv run` by
`accelerate launch`; the processes share the fakes. The features of real paintings are cached.

Compare generators with one command, because every metric depends on the number of pictures. Use
feature spaces that no generator was trained with: the tables of the others come last, and say so.
"""

import csv
import math
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import numpy as np
import torch
import tyro
from accelerate import Accelerator
from PIL import Image

from brushwork.backbones.create import split_spec
from brushwork.data.aspects import Aspect, height_and_width
from brushwork.data.decode import picture_files
from brushwork.data.open import open_data
from brushwork.data.paintings import listed
from brushwork.data.prepared import REJECTED
from brushwork.data.readers import RECORD
from brushwork.data.selection import select
from brushwork.engine import open_generator
from brushwork.errors import BrushworkError, report_errors
from brushwork.files import read_json, write_json
from brushwork.gan.evaluate import (
    compare,
    figures_of,
    holds_checkpoint,
    kept_checkpoints,
    open_pictures,
)
from brushwork.metrics.distances import (
    frechet_at_infinity,
    frechet_floor,
    optimal_transport,
)
from brushwork.metrics.evaluate import by_space, require_enough
from brushwork.metrics.features import (
    CLIP,
    CLIP_ARCHITECTURE,
    DINOV2,
    DINOV2_ARCHITECTURE,
    Features,
    FeatureSpace,
    image_files,
    thumbnails,
)
from brushwork.metrics.motifs import NEIGHBOURS, PATCH, SIDE, RepeatedMotif, repeated_motif
from brushwork.metrics.pictures import (
    PictureFeatures,
    Pictures,
    cached_picture_features,
    extract_shared,
    folder_pictures,
    selected_pictures,
)
from brushwork.metrics.texture import check_side, radial_spectrum
from brushwork.report import figures
from brushwork.report.pages import text_table, write_report
from brushwork.spaces import check_names, open_space
from brushwork.training.distributed import check_launch
from brushwork.training.launcher import follow_launcher
from brushwork.training.threads import use_all_cores
from settings import (
    BatchSize,
    Range,
    Seed,
    Selection,
    check_folder,
    flat,
    read_flags,
    report_data,
)

# The side of the largest fakes that train_gan.py makes, and of paintings as prepare_data.py stores
# them by default. Larger fakes are compared with paintings of this side.
MAX_SIDE = 256

# The shorter side of pictures, and their proportions.
Size = tuple[int, Aspect]

# Bytes of fakes that are kept in memory, of all generators together.
MAX_KEPT = 2**29

# Pictures whose power spectrum and motifs are compared, at most.
NUM_LOOKED_AT = 500

# The highest frequency at which the difference of the power is told, in cycles per pixel: above it,
# pictures have little power, and JPEG files even less.
MAX_FREQUENCY = 0.35

# The record of an evaluation, by which its folder is recognised.
REPORT = "report.json"

# Labels that the notes name for each set of fakes, at most.
MAX_LABELS = 5


@dataclass(frozen=True)
class RealConfig:
    """The real paintings that the fakes are compared with."""

    split: Literal["train", "test"] | None = None
    """Use only this split. The other split is then held out, to detect copies of training
    paintings. If there is a test split, a classifier's results on it are shown beside those on the
    fakes."""
    fit: Literal["crop", "squash"] = "crop"
    """Give paintings the fakes' proportions: crop the centre, or squash the whole painting."""
    real: Path | None = None
    """Use all images of this folder instead of --data."""


@dataclass(frozen=True)
class MeasurementConfig:
    """The feature spaces, and how many pictures are compared."""

    spaces: tuple[str, ...] = ("pixels", "texture")
    """Feature spaces: pixels, texture (statistics of colours, edges and scales, of images reduced
    to 64 pixels; texture:SIDE for another side), inception, dinov2, clip, each of these three with
    :FILE (its weights), artist:CLASSIFIER, or ARCHITECTURE:WEIGHTS of timm, where WEIGHTS is hub
    (timm's weights), a file or a package. The figures show nearest neighbours in the first one."""
    fetch: bool = False
    """Download the weights of inception (91 MB), dinov2 or clip (1.2 GB each) if they are
    absent."""
    num_fakes: Annotated[int, Range(1, 10_000_000)] = 1000
    """Number of pictures that each generator paints."""
    num_pairs: Annotated[int, Range(1, 1_000_000)] = 1000
    """Real images, and as many fakes, for the metrics that compare all pairs; FID and KID use all
    images."""
    kept: bool = False
    """Measure all checkpoints in `kept/` of one run, and draw the metrics as curves."""
    seed: Seed = 0
    batch_size: BatchSize | None = None
    """Pictures in one forward pass of a network; the default depends on the device."""


@dataclass(frozen=True)
class Config:
    """Settings of an evaluation."""

    fakes: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="FAKES")]
    """Checkpoints, also exported ones, run folders, names of bundled generators, or folders of
    images."""
    selection: Selection = field(default_factory=Selection)
    paintings: RealConfig = field(default_factory=RealConfig)
    measurement: MeasurementConfig = field(default_factory=MeasurementConfig)
    out: Path = Path("runs/evaluation")
    """Folder for the report: new, empty, or that of an earlier report."""


class RealPaintings(NamedTuple):
    """The paintings to compare with, and those of the other split, if there are any."""

    compared: Pictures
    held_out: Pictures | None


class RealFeatures(NamedTuple):
    """The features of `RealPaintings` in one feature space."""

    compared: PictureFeatures
    held_out: PictureFeatures | None


class Look(NamedTuple):
    """What a person may see in the fakes, and features of networks hardly show.

    Attributes:
        spectrum: power of the fakes divided by that of the paintings, by frequency in cycles per
            pixel.
        motif: the motif that returns at one place of most fakes; None for too few pictures.
        examples: fakes with that motif, which is framed.
    """

    spectrum: dict[float, float]
    motif: RepeatedMotif | None
    examples: Image.Image | None


class Evaluation(NamedTuple):
    """Results of all sets of fakes.

    Attributes:
        reports: metrics by name of the set and feature space.
        looks: the power spectrum and the most repeated motif of each set.
        trained_with: the sets of fakes that were trained with each feature space.
        pictures: figures by caption.
        notes: sentences on the results.
    """

    reports: dict[str, dict[str, dict[str, float]]]
    looks: dict[str, Look]
    trained_with: dict[str, list[str]]
    pictures: dict[str, Image.Image]
    notes: list[str]


def main(cfg: Config) -> None:
    """Open the pictures, compute their features, compare them, and write the report."""
    check_launch()
    follow_launcher()
    optimal_transport()
    accelerator = Accelerator()
    use_all_cores()

    # Open everything first, so that mistakes are reported before long work.
    check_out(cfg.out)
    check_real(cfg)
    spaces = open_spaces(cfg.measurement, accelerator.device)
    kept = kept_steps(cfg)
    sources = kept or {name: Path(name) for name in cfg.fakes}
    fakes = {
        name: open_pictures(
            source,
            num=cfg.measurement.num_fakes,
            seed=cfg.measurement.seed,
            open_generator=partial(open_generator, device=str(accelerator.device)),
            max_kept=MAX_KEPT // len(sources),
        )
        for name, source in sources.items()
    }
    sizes = dict.fromkeys(map(size_of, fakes.values()))
    reals = {size: open_real(cfg, *size) for size in sizes}
    for pictures in fakes.values():
        real = reals[size_of(pictures)].compared
        require_enough(real.num, pictures.num, cfg.measurement.num_pairs)
        check_side(min(real.side, pictures.side))
    if accelerator.is_main_process:
        report_folders(cfg, fakes, reals)

    # All processes share the fakes; the first one does the rest.
    features = {
        (name, space.name): extract_shared(
            pictures,
            space,
            batch_size=cfg.measurement.batch_size,
            progress=accelerator.is_main_process,
        )
        for name, pictures in fakes.items()
        for space in spaces
    }
    accelerator.end_training()
    if accelerator.is_main_process:
        evaluation = compare_all(cfg, fakes, features, reals, spaces)
        write(cfg, evaluation, has_steps=bool(kept))


def open_spaces(cfg: MeasurementConfig, device: torch.device) -> list[FeatureSpace]:
    """Open the feature spaces: at least one, and with different names."""
    if not cfg.spaces:
        raise BrushworkError("`spaces` is empty; name at least one feature space")
    spaces = [open_space(spec, device, fetch=cfg.fetch) for spec in cfg.spaces]
    check_names([space.name for space in spaces])
    return spaces


def kept_steps(cfg: Config) -> dict[str, Path]:
    """List the kept checkpoints of the run by "step N", if these are measured."""
    if not cfg.fakes:
        raise BrushworkError(
            "no fakes to measure; give at least one checkpoint, run or folder of images"
        )
    if not cfg.measurement.kept:
        return {}
    run, *others = cfg.fakes
    if others:
        raise BrushworkError(f"`kept` measures one run, not {len(cfg.fakes)}; pass a single run")
    return {f"step {step}": folder for step, folder in kept_checkpoints(run).items()}


def size_of(pictures: Pictures) -> Size:
    """Return the shorter side of pictures, and their proportions."""
    return pictures.side, pictures.aspect


def check_real(cfg: Config) -> None:
    """Check that --real is a folder of images, and that no flag selects paintings in it."""
    folder = cfg.paintings.real
    if folder is None:
        return
    if cfg.paintings.split or any(cfg.selection.filters().values()):
        raise BrushworkError(
            "`real` uses all images of a folder; leave out `genre`, `style`, `artist`, "
            "`min_paintings` and `split`, or use `data` instead"
        )
    if holds_checkpoint(folder):
        raise BrushworkError(
            f"`real` is {folder}, which holds a checkpoint; pass a folder of images"
        )
    image_files(folder)


def open_real(cfg: Config, side: int, aspect: Aspect) -> RealPaintings:
    """Open the real paintings, in the size of the fakes."""
    split, fit = cfg.paintings.split, cfg.paintings.fit
    if cfg.paintings.real is not None:
        return RealPaintings(folder_pictures(cfg.paintings.real), None)
    paintings = open_data(cfg.selection.data)
    report_data(paintings.describe())
    # Both splits have the artists that a GAN which is trained with --split train has.
    counted_in = "train" if split else None
    chosen = select(paintings.table, **cfg.selection.filters(), counted_in=counted_in)
    compared = chosen[chosen["split"] == split] if split else chosen
    if compared.empty:
        raise BrushworkError(
            f"none of the {len(chosen):,} selected paintings is in `split` {split}; leave `split` "
            "out"
        )
    pixels = paintings.pixels(min(side, MAX_SIDE), fit, aspect)
    first, others = (
        selected_pictures(
            pixels,
            rows=table.index.to_numpy(),
            fingerprint=f"{paintings.fingerprint} {fit}",
            table=paintings.table,
        )
        for table in (compared, chosen.drop(compared.index))
    )
    return RealPaintings(first, others if others.num else None)


def check_out(out: Path) -> None:
    """Check that --out is new, empty, or the folder of an earlier evaluation."""
    check_folder(out)
    inside = {file.name for file in out.glob("[!.]*")}
    rejected = out / REJECTED
    header = rejected.read_bytes().partition(b"\n")[0].strip() if rejected.exists() else b""
    # An evaluation that was interrupted has left the list of files that cannot be read, at most.
    is_earlier = is_report(out / REPORT) or inside <= {REJECTED}
    is_other = holds_checkpoint(out) or RECORD in inside or header not in (b"", b"source,reason")
    if is_other or not is_earlier:
        raise BrushworkError(f"`out` is {out}, which holds other files; pass another folder")


def is_report(file: Path) -> bool:
    """Return whether a file is the record of an evaluation by this script."""
    try:
        record = read_json(file)
    except (OSError, ValueError):
        return False
    return isinstance(record, dict) and "num_fakes" in (record.get("settings") or ())


def report_folders(
    cfg: Config, fakes: Mapping[str, Pictures], reals: Mapping[Size, RealPaintings]
) -> None:
    """Print how many pictures of each folder are used, and list those that cannot be read."""
    sets = [(str(cfg.paintings.real), next(iter(reals.values())).compared), *fakes.items()]
    folders = {name: pictures for name, pictures in sets if pictures.left_out is not None}
    rejected = cfg.out / REJECTED
    rejected.unlink(missing_ok=True)  # that of an earlier evaluation, see `check_out`
    rows = [row for pictures in folders.values() for row in (pictures.left_out or {}).items()]
    if rows:
        cfg.out.mkdir(parents=True, exist_ok=True)
        with rejected.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file:
            csv.writer(file).writerows([("source", "reason"), *rows])
    for name, pictures in folders.items():
        report_data(describe_folder(name, pictures, rejected))


def describe_folder(name: str, pictures: Pictures, rejected: Path) -> str:
    """Say how many pictures of a folder are used, and how many files are left out and why."""
    left_out = pictures.left_out or {}
    text = f"{name}: {pictures.num:,} pictures used, {len(left_out):,} left out"
    if left_out:
        counts = Counter(left_out.values()).most_common()
        reasons = listed([f"{num:,} {reason}" for reason, num in counts])
        text += f" ({reasons}; listed in {rejected})"
    ignored = picture_files(name)[1]
    return text + "".join(f"; ignored {num:,} {reason}" for reason, num in ignored.items())


def compare_all(
    cfg: Config,
    fakes: Mapping[str, Pictures],
    features: Mapping[tuple[str, str], Features],
    reals: Mapping[Size, RealPaintings],
    spaces: Sequence[FeatureSpace],
) -> Evaluation:
    """Compare each set of fakes with the real paintings in each space.

    Args:
        cfg: the script's settings.
        fakes: sets of fakes by name.
        features: features of the fakes, by name and space.
        reals: real paintings by the size of the fakes.
        spaces: the feature spaces.
    """
    real_features = {
        (size, space.name): features_of(paintings, space, cfg.measurement.batch_size)
        for size, paintings in reals.items()
        for space in spaces
    }
    floors = {
        (size, space, num): frechet_floor(real.features.features, num, cfg.measurement.seed)
        for (size, space), (real, _) in real_features.items()
        for num in {pictures.num for pictures in fakes.values() if size_of(pictures) == size}
    }
    reports: dict[str, dict[str, dict[str, float]]] = {}
    shown: dict[str, Image.Image] = {}
    label_notes = []
    for name, pictures in fakes.items():
        reports[name] = {}
        for space in spaces:
            real = real_features[size_of(pictures), space.name]
            fake = PictureFeatures(pictures, features[name, space.name])
            comparison = compare(
                real.compared,
                fake,
                space,
                real.held_out,
                num_pairs=cfg.measurement.num_pairs,
                seed=cfg.measurement.seed,
            )
            floor = floors[size_of(pictures), space.name, pictures.num]
            at_infinity = frechet_at_infinity(
                real.compared.features.features, fake.features.features, cfg.measurement.seed
            )
            reports[name][space.name] = with_floor(comparison.metrics, floor, at_infinity)
            if comparison.label_shares:
                label_notes.append(
                    f"Labels of {name} by {space.name}: {percentages(comparison.label_shares)}."
                )
            if space is spaces[0]:
                shown |= figures_of(real.compared, fake, name)
    looks = {
        name: look_at(reals[size_of(pictures)].compared, pictures, cfg.measurement.seed)
        for name, pictures in fakes.items()
    }
    shown |= {
        f"Fakes of {name} with the motif that is repeated most": look.examples
        for name, look in looks.items()
        if look.examples
    }
    trained_with = {space.name: trained_in(space.name, fakes) for space in spaces}
    selected = cfg.selection.genre + cfg.selection.style + cfg.selection.artist
    source = str(cfg.paintings.real or cfg.selection.data)
    notes = [
        f"Real paintings: {', '.join([source, *selected])}.",
        "fid_floor estimates the FID of as many fresh paintings as there are fakes; fid_to_floor "
        "is the FID divided by it. fid_infinity estimates the FID of infinitely many fakes.",
        *label_notes,
        *(note_on_spectrum(name, look.spectrum) for name, look in looks.items()),
        *(
            note_on_motif(name, look.motif, fakes[name].aspect)
            for name, look in looks.items()
            if look.motif
        ),
    ]
    return Evaluation(reports, looks, trained_with, shown, notes)


def with_floor(metrics: Mapping[str, float], floor: float, at_infinity: float) -> dict[str, float]:
    """Add the FID of fresh paintings, the ratio to it, and the FID of infinitely many fakes."""
    fid = metrics["fid"]
    added = {"fid_floor": floor, "fid_to_floor": fid / max(floor, 1e-9)}
    return {"fid": fid, **added, "fid_infinity": at_infinity, **metrics}


def trained_in(space: str, fakes: Mapping[str, Pictures]) -> list[str]:
    """List the sets of fakes whose discriminator used the network of a feature space."""
    backbones = {
        name: str(pictures.training.get("backbone") or "") for name, pictures in fakes.items()
    }
    network = {DINOV2: DINOV2_ARCHITECTURE, CLIP: CLIP_ARCHITECTURE}.get(space, space)
    return [name for name, spec in backbones.items() if spec and network == split_spec(spec)[0]]


def look_at(real: Pictures, fakes: Pictures, seed: int) -> Look:
    """Compare the power spectra, and find the motif that the fakes repeat most."""
    side, aspect = min(real.side, fakes.side), fakes.aspect
    num = min(NUM_LOOKED_AT, real.num // 2, fakes.num)
    # Paintings are often sorted by artist, and each half of them must be like the other.
    chosen = {
        "real": random.Random(seed).sample(range(real.num), 2 * num),
        "fake": range(num),
    }
    arrays = {
        "real": real.thumbnails(chosen["real"], side, aspect),
        "fake": fakes.thumbnails(chosen["fake"], side, aspect),
    }
    power = {name: radial_spectrum(to_tensor(array)) for name, array in arrays.items()}
    ratios = (power["fake"] / power["real"].clamp(min=1e-12)).tolist()
    spectrum = {cycles / side: ratio for cycles, ratio in enumerate(ratios, 1)}
    if num <= NEIGHBOURS:
        return Look(spectrum, None, None)
    small = {name: thumbnails(array, SIDE, aspect) for name, array in arrays.items()}
    motif = repeated_motif(to_tensor(small["real"]), to_tensor(small["fake"]))
    examples = None
    if motif.rows:
        examples = figures.framed(small["fake"][motif.rows[:16]], motif.top, motif.left, PATCH)
    return Look(spectrum, motif, examples)


def to_tensor(images: np.ndarray) -> torch.Tensor:
    """View arrays (N, H, W, 3) as a tensor (N, 3, H, W)."""
    return torch.from_numpy(images).permute(0, 3, 1, 2)


def note_on_motif(name: str, motif: RepeatedMotif, aspect: Aspect) -> str:
    """Write how many fakes repeat a motif, and how many paintings do by chance."""
    height, width = height_and_width(SIDE, aspect)
    return (
        f"Motifs of {name}: {motif.share:.0%} of the fakes repeat a motif at one place, "
        f"{motif.left} to {motif.left + PATCH} of {width} pixels from the left and {motif.top} to "
        f"{motif.top + PATCH} of {height} from the top; {motif.share_of_real:.0%} of the "
        "paintings do so by chance."
    )


def note_on_spectrum(name: str, ratios: Mapping[float, float]) -> str:
    """Write at which frequency the power of the fakes differs most from that of the paintings."""
    told = {f: max(ratio, 1e-6) for f, ratio in ratios.items() if f <= MAX_FREQUENCY}
    worst = max(told, key=lambda frequency: abs(math.log(told[frequency])))
    return (
        f"Power spectrum of {name}: up to {MAX_FREQUENCY} cycles per pixel, the largest difference "
        f"is {told[worst]:.2f} times the power of the paintings, at {worst:.2g}."
    )


def features_of(
    paintings: RealPaintings, space: FeatureSpace, batch_size: int | None
) -> RealFeatures:
    """Compute the features of the real paintings in one space, or take them from the cache."""

    def features(pictures: Pictures) -> PictureFeatures:
        return PictureFeatures(pictures, cached_picture_features(pictures, space, batch_size))

    held_out = paintings.held_out
    return RealFeatures(features(paintings.compared), features(held_out) if held_out else None)


def percentages(shares: Mapping[str, float]) -> str:
    """Write the largest shares as text."""
    return ", ".join(f"{label} {share:.0%}" for label, share in [*shares.items()][:MAX_LABELS])


def write(cfg: Config, evaluation: Evaluation, has_steps: bool) -> None:
    """Write the report as a page and as JSON, and print its tables.

    Args:
        cfg: the script's settings.
        evaluation: the results.
        has_steps: whether the sets of fakes are "step N" of one run, to draw as curves.
    """
    cfg.out.mkdir(parents=True, exist_ok=True)
    # First, so that the same command can replace a report that was not written to its end.
    record = {
        "settings": flat(cfg),
        "reports": evaluation.reports,
        "spectra": {name: look.spectrum for name, look in evaluation.looks.items()},
        "motifs": {
            name: look.motif._asdict() for name, look in evaluation.looks.items() if look.motif
        },
        "notes": evaluation.notes,
    }
    write_json(cfg.out / REPORT, record)
    pictures = evaluation.pictures
    if has_steps:
        records = [
            {"step": int(name.removeprefix("step ")), "metrics": report}
            for name, report in evaluation.reports.items()
        ]
        figures.metric_curves(records, cfg.out / "curves.png")
        pictures = {"Metrics over steps": Image.open(cfg.out / "curves.png")} | pictures
    spectrum = cfg.out / "spectrum.png"
    title = "power of the fakes / power of the paintings"
    lines = {name: [*look.spectrum.items()] for name, look in evaluation.looks.items()}
    figures.curves({title: lines}, spectrum, x="cycles per pixel")
    pictures = pictures | {"Power spectrum; 1 is as in the paintings": Image.open(spectrum)}
    # The tables of spaces that no generator was trained with come first.
    by_name = by_space(evaluation.reports)
    tables = {
        f"{space} (in the training of {', '.join(trained)})" if trained else space: by_name[space]
        for space, trained in sorted(
            evaluation.trained_with.items(), key=lambda item: bool(item[1])
        )
    }
    write_report(
        cfg.out,
        title="Fakes compared with real paintings",
        tables=tables,
        pictures=pictures,
        notes=evaluation.notes,
    )
    for space, reports in tables.items():
        print(text_table(reports, space), end="\n\n")
    print(*evaluation.notes, f"full report: {cfg.out / 'report.html'}", sep="\n")


if __name__ == "__main__":
    with report_errors(Config):
        main(read_flags(Config, __doc__))
