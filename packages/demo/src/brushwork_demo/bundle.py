"""Put checkpoints into the package, small enough to be committed: half precision, a few stages."""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors.torch import load_file, save_file

from brushwork import checkpoint
from brushwork.classifier.save import read_index, save_index
from brushwork.errors import BrushworkError
from brushwork_demo.studio import BUNDLED, CURVES, KEPT

if TYPE_CHECKING:
    import pandas as pd

NAMES = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")


def bundle(
    given: str,
    name: str,
    num_stages: int = 4,
    report: Path | None = None,
    about: str | None = None,
    into: Path = BUNDLED,
) -> Path:
    """Copy a checkpoint in half precision, with stages of its run and its measured numbers.

    Args:
        given: a checkpoint's folder or a name on the Hub.
        name: what visitors choose it by; an older one of this name is replaced.
        num_stages: earlier stages to take along from `kept/` beside it, evenly spaced.
        report: `report.json` of `evaluate_gan.py`; the numbers of its first set of fakes are shown.
        about: paintings as `train_classifier.py` takes them, to say a line on each artist from.
        into: the folder of bundled checkpoints.

    Raises:
        BrushworkError: there is no such checkpoint, or no such report.
    """
    if not name or set(name) - NAMES:
        raise BrushworkError(f"name {name!r} is not of small letters, digits and hyphens")
    source, target = checkpoint.locate(given), into / name
    shown: dict[str, Any] = {} if report is None else {"results": _measured(report)}
    if about is not None:
        artists = checkpoint.load_config(source).get("artists", [])
        shown["about_artists"] = lines_on_artists(about, artists)
    finished, target = target, into / f".{name}.new"  # the old one may be the source, too
    shutil.rmtree(target, ignore_errors=True)
    _halve(source, target, shown)
    home = source if (source / CURVES).is_file() else source.parent  # bundled before, or a run's
    run = source.name == "generator" or home == source
    kept = sorted((home / KEPT).glob("step-*")) if run else []
    # The last one that was kept is most often the finished one.
    kept = [stage for stage in kept if _step(stage) != _step(source)]
    num = min(num_stages, len(kept))
    wanted = [kept[round(i * len(kept) / num)] for i in range(num)]
    for stage in wanted:
        _halve(stage, target / KEPT / stage.name)
    curves = home / CURVES
    if curves.is_file():
        lines = curves.read_text().splitlines()
        every = -(-len(lines) // 150)
        (target / CURVES).write_text("\n".join(lines[::every]) + "\n")
    shutil.rmtree(finished, ignore_errors=True)
    return target.rename(finished)


def _step(folder: Path) -> int | None:
    return checkpoint.load_config(folder).get("training", {}).get("step")


def _halve(source: Path, target: Path, shown: Mapping[str, Any] | None = None) -> None:
    """Copy one checkpoint, floating-point weights at 16 bits, files beside the weights as is.

    Of the paintings in a classifier's index only the names go along: the pictures are not ours.
    """
    target.mkdir(parents=True)
    for file in source.iterdir():
        if file.is_file() and file.name not in (checkpoint.WEIGHTS, checkpoint.INDEX):
            shutil.copy(file, target)
    copy_index(source, target)
    config = checkpoint.load_config(source) | dict(shown or {})
    (target / checkpoint.CONFIG).write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n")
    if shown and "results" in shown:
        card = (source / checkpoint.CARD).read_text().rstrip()
        numbers = "".join(f"- `{metric}`: {v:,.4g}\n" for metric, v in shown["results"].items())
        (target / checkpoint.CARD).write_text(f"{card}\n\n## Measured\n\n{numbers}")
    weights = load_file(source / checkpoint.WEIGHTS)
    halved = {k: v.half() if v.is_floating_point() else v for k, v in weights.items()}
    save_file(halved, target / checkpoint.WEIGHTS, metadata={"format": "pt"})


def copy_index(source: Path, target: Path) -> None:
    """Copy a classifier's index, if it has one, without the pictures."""
    if index := read_index(source):
        names = index["paintings"]
        save_index(target, index["features"].float(), names, [b""] * len(names))


def _measured(report: Path) -> dict[str, float]:
    try:
        reports: dict[str, dict[str, Any]] = json.loads(report.read_text())["reports"]
        first = next(iter(reports.values()))
        return {k: v for k, v in first.items() if isinstance(v, int | float)}
    except (OSError, ValueError, KeyError, StopIteration, AttributeError) as error:
        raise BrushworkError(f"{report} is not a report.json of evaluate_gan.py") from error


def lines_on_artists(data: str, artists: Sequence[str]) -> dict[str, str]:
    """What the paintings tell of each artist: style, years, how many there are."""
    from brushwork.data.open import open_data

    table = open_data(data).table
    return {
        str(name): _line(paintings)  # type: ignore[arg-type]
        for name, paintings in table[table["artist"].isin(list(artists))].groupby("artist")
    }


def _line(paintings: "pd.DataFrame") -> str:
    """A line on an artist from a table of the artist's paintings."""
    most = [str(value) for value in paintings["style"].dropna().mode()[:1] if value]
    found = paintings["date"].dropna().astype(str).str.extract(r"(\d{4})")[0].dropna().astype(int)
    years = [f"{found.min()} to {found.max()}"] if len(found) else []
    return "; ".join([*most, *years, f"{len(paintings):,} paintings here"])
