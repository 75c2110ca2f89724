"""A long piece of work in parts, each a command: what is finished stays so, and time is shared.

A training is as long as the time that is left allows, by the speed that a short run of it, the
probe, was seen to have. Its length is decided once, when it begins, so that it can be resumed.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median
from typing import Any

from brushwork.errors import BrushworkError
from brushwork.files import write_json
from brushwork.training.run import read_metrics

FILE = "parts.json"


@dataclass(frozen=True)
class Job:
    """One command.

    Attributes:
        name: of the part.
        script: of `experiments/`.
        flags: but for the length of a training.
        out: the folder that it writes.
        share: of a training, its part of the time that all of them get; 0 for anything else.
        probe: the folder of the run whose last speed decides the length.
        unit: of a training or a probe, what its length counts, "epochs" or "steps".
        images: in one of these.
        least: the shortest length.
        also: the scripts of evaluations that it makes on its way, and takes the time of.
    """

    name: str
    script: str
    flags: tuple[str, ...]
    out: Path
    share: float = 0
    probe: Path = Path()
    unit: str = ""
    images: int = 1
    least: int = 1
    also: Sequence[str] = ()


class Journal:
    """`parts.json` of a folder: for each part that began its command, and its seconds at the end.

    Attributes:
        parts: by name, with `command`, `length` of a training, and `seconds` if it is finished.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any]):
        """Begin a journal, or open the one that is there.

        Raises:
            BrushworkError: it was kept under other settings.
        """
        self.file = folder / FILE
        self.settings = json.loads(json.dumps(settings, default=str))
        kept = json.loads(self.file.read_text()) if self.file.exists() else {}
        before = settings_of(folder) or self.settings
        for name in before:
            if before[name] != self.settings.get(name):
                raise BrushworkError(
                    f"{folder} holds results of {name} {before[name]!r}, not "
                    f"{self.settings.get(name)!r}; give the same, or pass another --out"
                )
        self.parts: dict[str, dict[str, Any]] = kept.get("parts", {})

    @property
    def spent(self) -> float:
        """Seconds of the finished parts."""
        return sum(part["seconds"] for part in self.finished.values())

    @property
    def finished(self) -> dict[str, dict[str, Any]]:
        """The parts with their `seconds`, in the order in which they began."""
        return {name: part for name, part in self.parts.items() if "seconds" in part}

    def note(self, part: Job, **values: Any) -> None:
        """Keep something of a part."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self.parts[part.name] = self.parts.get(part.name, {}) | {"script": part.script} | values
        record = {"settings": self.settings, "parts": self.parts}
        write_json(self.file, record)

    def length(self, part: Job, waiting: Sequence[Job], seconds: float) -> int:
        """The length of a training; that which it began with, if it did.

        Args:
            part: the training.
            waiting: all parts that are not finished, this one too.
            seconds: left for all of these. Evaluations and probes take the mean of the finished
                ones of their script, a fiftieth of the time before there are any.
        """
        if "length" in self.parts.get(part.name, {}):
            return self.parts[part.name]["length"]
        took: dict[str, list[float]] = {}
        for entry in self.finished.values():
            if "length" not in entry:
                took.setdefault(entry["script"], []).append(entry["seconds"])
        scripts = [s for p in waiting for s in (p.also if p.share else [p.script])]
        others = sum(mean(took.get(script, [seconds / 50])) for script in scripts)
        share = part.share / sum(other.share for other in waiting)
        lines = [line for line in read_metrics(part.probe) if "images_per_second" in line]
        # Single lines may have waited for something; the first ones are of a cold start.
        speed = median(line["images_per_second"] for line in lines[len(lines) // 2 :])
        length = max(part.least, int(max(0, seconds - others) * share * speed / part.images))
        self.note(part, length=length)
        return length


def settings_of(folder: Path) -> dict[str, Any]:
    """The settings under which a journal was begun; empty where there is none."""
    file = folder / FILE
    return json.loads(file.read_text())["settings"] if file.exists() else {}


def seconds_trained(part: Job, length: int) -> float:
    """The seconds of a finished training over all its starts, by its run folder.

    Raises:
        BrushworkError: it ended before its length, as it does when it is told to stop.
    """
    lines = read_metrics(part.out) if (part.out / "metrics.jsonl").exists() else []
    if not lines or lines[-1][part.unit.removesuffix("s")] < length:
        raise BrushworkError(f"stopped in {part.name}; the same command goes on")
    return max(line.get("seconds", 0) for line in lines)
