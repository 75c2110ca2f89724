"""Put checkpoints into the package, small enough to be committed: half precision, a few stages."""

import json
import shutil
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file

from brushwork import checkpoint
from brushwork.errors import BrushworkError
from brushwork_demo.studio import BUNDLED, CURVES, KEPT

NAMES = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")


def bundle(
    given: str,
    name: str,
    num_stages: int = 4,
    report: Path | None = None,
    into: Path = BUNDLED,
) -> Path:
    """Copy a checkpoint in half precision, with stages of its run and its measured numbers.

    Args:
        given: a checkpoint's folder or a name on the Hub.
        name: what visitors choose it by; an older one of this name is replaced.
        num_stages: earlier stages to take along from `kept/` beside it, evenly spaced.
        report: `report.json` of `evaluate_gan.py`; the numbers of its first set of fakes are shown.
        into: the folder of bundled checkpoints.

    Raises:
        BrushworkError: there is no such checkpoint, or no such report.
    """
    if not name or set(name) - NAMES:
        raise BrushworkError(f"name {name!r} is not of small letters, digits and hyphens")
    source, target = checkpoint.locate(given), into / name
    numbers = None if report is None else _measured(report)
    shutil.rmtree(target, ignore_errors=True)
    _halve(source, target, numbers)
    kept = sorted((source.parent / KEPT).glob("step-*")) if source.name == "generator" else []
    # The last one that was kept is most often the finished one.
    kept = [stage for stage in kept if _step(stage) != _step(source)]
    wanted = [kept[round(i * len(kept) / num_stages)] for i in range(min(num_stages, len(kept)))]
    for stage in wanted:
        _halve(stage, target / KEPT / stage.name)
    curves = source.parent / CURVES
    if curves.is_file():
        lines = curves.read_text().splitlines()
        every = -(-len(lines) // 150)
        (target / CURVES).write_text("\n".join(lines[::every]) + "\n")
    return target


def _step(folder: Path) -> int | None:
    return checkpoint.load_config(folder).get("training", {}).get("step")


def _halve(source: Path, target: Path, results: dict[str, float] | None = None) -> None:
    """Copy one checkpoint, floating-point weights at 16 bits, files beside the weights as is."""
    target.mkdir(parents=True)
    for file in source.iterdir():
        if file.is_file() and file.name != checkpoint.WEIGHTS:
            shutil.copy(file, target)
    config = checkpoint.load_config(source)
    if results is not None:
        config["results"] = results
        (target / checkpoint.CONFIG).write_text(json.dumps(config, indent=2, ensure_ascii=False))
        card = (source / checkpoint.CARD).read_text().rstrip()
        numbers = "".join(f"- `{metric}`: {value:,.4g}\n" for metric, value in results.items())
        (target / checkpoint.CARD).write_text(f"{card}\n\n## Measured\n\n{numbers}")
    weights = load_file(source / checkpoint.WEIGHTS)
    halved = {k: v.half() if v.is_floating_point() else v for k, v in weights.items()}
    save_file(halved, target / checkpoint.WEIGHTS, metadata={"format": "pt"})


def _measured(report: Path) -> dict[str, float]:
    try:
        reports: dict[str, dict[str, Any]] = json.loads(report.read_text())["reports"]
        first = next(iter(reports.values()))
        return {k: v for k, v in first.items() if isinstance(v, int | float)}
    except (OSError, ValueError, KeyError, StopIteration, AttributeError) as error:
        raise BrushworkError(f"{report} is not a report.json of evaluate_gan.py") from error
