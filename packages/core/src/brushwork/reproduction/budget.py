"""Jobs of a long computation: which are finished, and how long each training may be.

A training is as long as the remaining time allows, at the speed that a short run, the probe,
measured. The length is decided once, when the training starts, so that it can be resumed.

No library serves: workflow tools such as Snakemake or Luigi skip finished jobs, but do not divide
the remaining time among the others.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median
from typing import Any, Literal

from brushwork.errors import BrushworkError
from brushwork.files import read_json, write_json
from brushwork.training.run import METRICS, read_metrics

FILE = "parts.json"

# Before any evaluation or probe is finished, one is expected to take this share of the time left.
EXPECTED_SHARE = 1 / 50


@dataclass(frozen=True)
class Job:
    """One command: a training, a probe or an evaluation.

    Attributes:
        name: unique among the jobs.
        script: name of the script in `experiments/`, without ".py".
        flags: all flags except the length of a training.
        out: the folder that the command writes.
        share: trainings divide the time in proportion to this; 0 for a probe or an evaluation.
        probe: run folder of the probe, a short run whose speed decides the length of a training.
        unit: unit of the length of a training or a probe; "" for an evaluation.
        images_per_unit: real images in one epoch or step.
        min_length: the shortest length, in units.
        evaluations: scripts whose time is added to the time of a training that evaluates itself.
    """

    name: str
    script: str
    flags: tuple[str, ...]
    out: Path
    share: float = 0
    probe: Path = Path()
    unit: Literal["epochs", "steps", ""] = ""
    images_per_unit: int = 1
    min_length: int = 1
    evaluations: Sequence[str] = ()


class Journal:
    """The file `parts.json`: which jobs were started and which are finished.

    Attributes:
        parts: by job name: `script`, `command`, the `length` of a training, and, once the job is
            finished, its `seconds`. Of these, the `overhead` of a training or a probe is what it
            took to start, to open the data and to write the results.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        """Open the journal in a folder, or prepare a new one.

        Args:
            folder: the folder of the results.
            settings: everything that determines the results.

        Raises:
            BrushworkError: the journal in the folder has other settings, or is broken.
        """
        self.file = folder / FILE
        self.settings = json.loads(json.dumps(settings, default=str))
        kept = _read_journal(self.file)
        before = kept.get("settings", self.settings)
        for name in before:
            if before[name] != self.settings.get(name):
                raise BrushworkError(
                    f"{folder} contains results with {name} {before[name]!r}, not "
                    f"{self.settings.get(name)!r}; pass the same settings, or another `out`"
                )
        self.parts: dict[str, dict[str, Any]] = kept.get("parts", {})

    @property
    def spent(self) -> float:
        """Seconds that the finished jobs took together."""
        return sum(part["seconds"] for part in self.finished.values())

    @property
    def finished(self) -> dict[str, dict[str, Any]]:
        """The records of the finished jobs, in the order in which they were started."""
        return {name: part for name, part in self.parts.items() if "seconds" in part}

    def note(self, job: Job, **values: Any) -> None:
        """Add values to the record of a job, and write the file."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self.parts[job.name] = self.parts.get(job.name, {}) | {"script": job.script} | values
        write_json(self.file, {"settings": self.settings, "parts": self.parts})

    def length(self, job: Job, waiting: Sequence[Job], seconds_left: float) -> int:
        """Decide the length of a training; a training that was started keeps its length.

        The evaluations and probes that wait are expected to take the mean time of the finished ones
        with the same script. The trainings divide the rest by their shares.
        From its part a training subtracts the median overhead of the finished trainings and probes.

        Args:
            job: the training.
            waiting: all unfinished jobs, including this one.
            seconds_left: time for all of them.

        Returns:
            Epochs or steps, at least `job.min_length`.
        """
        if "length" in self.parts.get(job.name, {}):
            return self.parts[job.name]["length"]
        seconds: dict[str, list[float]] = {}
        for part in self.finished.values():
            if "length" not in part:
                seconds.setdefault(part["script"], []).append(part["seconds"])
        scripts = [
            script
            for other in waiting
            for script in (other.evaluations if other.share else [other.script])
        ]
        expected = [seconds_left * EXPECTED_SHARE]
        reserved = sum(mean(seconds.get(script, expected)) for script in scripts)
        share = job.share / sum(other.share for other in waiting)
        overheads = [p["overhead"] for p in self.finished.values() if "overhead" in p]
        training_seconds = max(0, seconds_left - reserved) * share
        training_seconds -= median(overheads) if overheads else 0
        length = int(training_seconds * _speed(job.probe) / job.images_per_unit)
        length = max(job.min_length, length)
        self.note(job, length=length)
        return length


def _speed(run: Path) -> float:
    """Compute the median speed of a run in images per second.

    The median ignores single lines that waited for another program, and the first half of the
    lines is ignored because a start is slow.
    """
    lines = [line for line in read_metrics(run) if "images_per_second" in line]
    return median(line["images_per_second"] for line in lines[len(lines) // 2 :])


def settings_of(folder: Path) -> dict[str, Any]:
    """Read the settings of the journal in a folder; {} without a journal."""
    return _read_journal(folder / FILE).get("settings", {})


def _read_journal(file: Path) -> dict[str, Any]:
    if not file.exists():
        return {}
    try:
        record = read_json(file)
        if all(isinstance(record[name], dict) for name in ("settings", "parts")):
            return record
        problem = "it is not a journal"
    except (OSError, ValueError, LookupError, TypeError) as error:
        problem = str(error)
    raise BrushworkError(
        f"{file} is broken ({problem}); delete it to evaluate again and to resume the trainings, "
        "or pass another `out`"
    )


def seconds_trained(job: Job, length: int) -> float:
    """Read from its run folder how many seconds a finished training took, over all starts.

    Args:
        job: the training.
        length: epochs or steps that it must have reached.

    Raises:
        BrushworkError: the training was stopped before that length.
    """
    lines = read_metrics(job.out) if (job.out / METRICS).exists() else []
    if not lines or lines[-1][job.unit.removesuffix("s")] < length:
        raise BrushworkError(f"{job.name} was stopped; run the same command to continue")
    return max(line.get("seconds", 0) for line in lines)
