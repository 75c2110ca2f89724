"""Copy checkpoints into the package in half precision, so that they are small enough to commit."""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors.torch import load_file, save_file

from brushwork import checkpoint
from brushwork.classifier.save import read_index, save_index
from brushwork.errors import BrushworkError
from brushwork.files import atomic_folder, atomic_write, write_json, write_text
from brushwork.gan.latents import MAX_SEED
from brushwork.gan.save import model_card
from brushwork.runtime.graphs import load_arrays
from brushwork_demo.models import BUNDLED, CURVES, KEPT

if TYPE_CHECKING:
    import pandas as pd

NAME_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")
MAX_CURVE_POINTS = 150
INDICES = (checkpoint.INDEX, checkpoint.GRAPH_INDEX)


def bundle(
    folder_or_hub_id: str,
    name: str,
    num_stages: int = 4,
    report: Path | None = None,
    about: str | None = None,
    cover: int | None = None,
    appearance: str = "",
    into: Path = BUNDLED,
) -> Path:
    """Copy a checkpoint in half precision, with earlier stages of its run and its metrics.

    Args:
        folder_or_hub_id: a checkpoint folder, the name of a bundled one or a name on the Hub.
        name: the model's name on the page; an older bundle of this name is replaced.
        num_stages: number of checkpoints to copy from `kept/` beside it, evenly spaced.
        report: `report.json` of `evaluate_gan.py`; the metrics of its first set of fakes are shown.
        about: data as for --data of `train_classifier.py`, from which to describe each artist.
        cover: seed of the picture that stands for a generator on the page; 0 if there is none.
        appearance: what a generator's pictures show, and what is wrong with them, for its card.
        into: the folder of bundled checkpoints.

    Returns:
        The folder of the bundled checkpoint.

    Raises:
        BrushworkError: the checkpoint, the report or the name cannot be used, the seed is out of
            range, or an argument is for checkpoints of the other kind.
    """
    if not name or set(name) - NAME_CHARACTERS:
        raise BrushworkError(
            f"the name is {name!r}; it may contain only lower-case letters, digits and hyphens"
        )
    source = checkpoint.locate(folder_or_hub_id)
    config = checkpoint.load_config(source)
    if checkpoint.is_generator(config):
        kind, other, unfit = "generator", "classifiers", {"about": about}
    else:
        kind, other = "classifier", "generators"
        unfit = {"report": report, "cover": cover, "appearance": appearance or None}
    for argument, value in unfit.items():
        if value is not None:
            raise BrushworkError(f"{source} is a {kind}; `{argument}` is for {other} only")
    if cover is not None and not 0 <= cover <= MAX_SEED:
        raise BrushworkError(f"`cover` is {cover}; it must be between 0 and {MAX_SEED}")
    additions: dict[str, Any] = {} if cover is None else {"cover_seed": cover}
    if report is not None:
        additions["results"] = _metrics(report)
    if appearance:
        additions["appearance"] = appearance
    if about is not None:
        additions["about_artists"] = describe_artists(about, config.get("artists", []))
    # A bundled checkpoint has its curves and stages inside, a run beside its generator.
    home = source if (source / CURVES).is_file() else source.parent
    curves = home / CURVES
    with atomic_folder(into / name) as staging:  # the older bundle may be the source
        _copy_halved(source, staging, additions)
        if source.name == "generator" or home == source:
            for stage in _stages(home / KEPT, finished=source, num=num_stages):
                _copy_halved(stage, staging / KEPT / stage.name)
        # The curves of a run of train_enlarger.py are not those of a GAN.
        if curves.is_file() and "enlarger" not in config.get("training", {}):
            lines = curves.read_text(encoding="utf-8").splitlines()
            every = -(-len(lines) // MAX_CURVE_POINTS)
            (staging / CURVES).write_text("\n".join(lines[::every]) + "\n", encoding="utf-8")
    return into / name


def _stages(kept: Path, finished: Path, num: int) -> list[Path]:
    """Choose evenly spaced checkpoints from `kept`, without the step of the finished one."""
    last = _step(finished)
    earlier = [folder for folder in sorted(kept.glob("step-*")) if _step(folder) != last]
    num = min(num, len(earlier))
    return [earlier[round(i * len(earlier) / num)] for i in range(num)]


def _step(folder: Path) -> int | None:
    return checkpoint.load_config(folder).get("training", {}).get("step")


def _copy_halved(source: Path, target: Path, additions: Mapping[str, Any] | None = None) -> None:
    """Copy one checkpoint with its floating-point weights in 16 bits; an exported one as it is.

    Args:
        source: the checkpoint folder.
        target: created with its parents.
        additions: keys added to `config.json`; with one that the model card of a generator shows,
            the card is written again.
    """
    target.mkdir(parents=True, exist_ok=True)
    for file in source.iterdir():
        if file.is_file() and file.name not in (checkpoint.WEIGHTS, *INDICES):
            shutil.copy(file, target)
    copy_index(source, target)
    config = checkpoint.load_config(source) | dict(additions or {})
    if (source / checkpoint.WEIGHTS).is_file():  # otherwise it is an exported checkpoint
        weights = load_file(source / checkpoint.WEIGHTS)
        halved = {k: v.half() if v.is_floating_point() else v for k, v in weights.items()}
        with atomic_write(target / checkpoint.WEIGHTS) as temporary:
            save_file(halved, temporary, metadata={"format": "pt"})
        config[checkpoint.DIGEST] = checkpoint.weights_digest(target)
    write_json(target / checkpoint.CONFIG, config)
    if additions and {"results", "appearance"} & additions.keys():
        write_text(target / checkpoint.CARD, model_card(config))


def copy_index(source: Path, target: Path) -> None:
    """Copy a classifier's index, if it has one, without the thumbnails.

    The thumbnails are left out because the licence of the paintings may not allow publishing them.
    """
    if index := read_index(source):
        titles = index["paintings"]
        save_index(target, index["features"].float(), titles, [b""] * len(titles))
    if arrays := load_arrays(source / checkpoint.GRAPH_INDEX):
        arrays |= {name: np.zeros_like(arrays[name]) for name in ("thumbnails", "ends")}
        np.savez_compressed(target / checkpoint.GRAPH_INDEX, **arrays)  # type: ignore[arg-type]


def _metrics(report: Path) -> dict[str, float]:
    """Read the metrics of the first set of fakes, with names such as `fid_pixels` and `n_fake`."""
    metrics: dict[str, float] = {}
    try:
        reports: dict[str, dict[str, Any]] = json.loads(report.read_text(encoding="utf-8"))[
            "reports"
        ]
        for key, value in next(iter(reports.values())).items():
            if isinstance(value, dict):  # the metrics in one feature space
                for metric, number in value.items():
                    metrics[metric if metric.startswith("n_") else f"{metric}_{key}"] = number
            else:  # reports of older versions have numbers here
                metrics[key] = value
    except (OSError, ValueError, KeyError, StopIteration, AttributeError) as error:
        raise BrushworkError(
            f"{report} is not a report of evaluate_gan.py; pass the report.json that it wrote"
        ) from error
    return {name: number for name, number in metrics.items() if isinstance(number, int | float)}


def describe_artists(data: str, artists: Sequence[str]) -> dict[str, str]:
    """Write a line about each artist from a table of paintings: style, years, number of paintings.

    It also prints how many paintings are used, and what is left out.

    Args:
        data: paintings as `train_classifier.py` takes them.
        artists: names; those without paintings in the data are left out.
    """
    from brushwork.data.open import open_data

    paintings = open_data(data)
    print(paintings.describe())
    table = paintings.table
    return {
        str(name): _line(paintings)  # type: ignore[arg-type]
        for name, paintings in table[table["artist"].isin(list(artists))].groupby("artist")
    }


def _line(paintings: "pd.DataFrame") -> str:
    styles = [str(value) for value in paintings["style"].dropna().mode()[:1] if value]
    found = paintings["date"].dropna().astype(str).str.extract(r"(\d{4})")[0].dropna().astype(int)
    years = [f"{found.min()} to {found.max()}"] if len(found) else []
    return "; ".join([*styles, *years, f"{len(paintings):,} paintings in the data set"])
