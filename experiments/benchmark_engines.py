"""Compare the engine without torch (`brushwork.runtime`) with torch: start, memory, throughput.

    uv run experiments/benchmark_engines.py
    uv run experiments/benchmark_engines.py --rounds 3 --generator portraits

Exports the generator and the classifier first. Each measurement is a fresh process: the seconds
from its start to its first identification, or to its first sixteen pictures, then the pictures a
second while it continues, and the most memory that it ever held. The engines take turns (A B A B
...). The script prints medians and a line `ratio NAME VALUE` (above 1: the engine without torch is
ahead). --python takes another environment for it, such as one without torch.
"""

import json
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from brushwork.classifier.save import locate_classifier
from brushwork.data.synthetic import draw
from brushwork.engine import Engine
from brushwork.errors import BrushworkError, report_errors
from brushwork.export import Precision, export
from brushwork.machine import num_cores
from settings import Count, Positive, read_flags

NUM_PICTURES = 16

# Runs in the measured process. VmHWM is the most resident memory of a process.
MEASURED = """
import json, sys, time
start = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + int(
    open("/proc/self/stat").read().rpartition(")")[2].split()[19]) / 100
engine, task, checkpoint, picture, seconds = sys.argv[1:]
from brushwork.engine import open_classifier, open_generator
if task == "identify":
    model = open_classifier(checkpoint, engine)
    work, num = lambda: model.identify([picture] * 16), 16
    model.identify(picture)
else:
    model = open_generator(checkpoint, engine)
    work, num = lambda: model.sample(16), 16
    work()
first = time.time() - start
begin, rounds = time.time(), 0
while rounds == 0 or time.time() - begin < float(seconds):
    work()
    rounds += 1
rate = rounds * num / (time.time() - begin)
memory = int(open("/proc/self/status").read().partition("VmHWM:")[2].split()[0]) / 1024
print(json.dumps({"seconds": first, "rate": rate, "megabytes": memory}))
"""


@dataclass(frozen=True)
class Config:
    """Settings: what to measure, and how often."""

    generator: str = "landscapes"
    """Checkpoint of a generator."""
    classifier: str | None = None
    """Checkpoint of a classifier; by default the bundled one."""
    precision: Precision = "fp16"
    """How the exported weights are stored."""
    rounds: Count = 5
    """Processes of each engine and task."""
    seconds: Positive = 5
    """Seconds for which each process continues."""
    python: str = sys.executable
    """The Python of the engine without torch."""


def main(cfg: Config) -> None:
    """Export both checkpoints, measure each engine in turn, print medians and ratios."""
    print(f"{num_cores()} cores, {cfg.precision}, {cfg.rounds} processes of each kind")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        sources = {"identify": str(locate_classifier(cfg.classifier)), "paint": cfg.generator}
        for task, source in sources.items():
            export(source, place / task, cfg.precision)
        draw(0).save(place / "picture.png")
        for task, source in sources.items():
            found: dict[Engine, list[dict[str, float]]] = {"torch": [], "onnx": []}
            for _ in range(cfg.rounds):
                found["torch"].append(measure(cfg, "torch", task, source, place))
                found["onnx"].append(measure(cfg, "onnx", task, str(place / task), place))
            show(task, found)


def measure(cfg: Config, engine: Engine, task: str, source: str, place: Path) -> dict[str, float]:
    """Measure one engine in a fresh process."""
    python = cfg.python if engine == "onnx" else sys.executable
    arguments = [engine, task, source, str(place / "picture.png"), str(cfg.seconds)]
    done = subprocess.run(
        [python, "-c", MEASURED, *arguments], capture_output=True, text=True, cwd=place
    )
    if done.returncode != 0:
        raise BrushworkError(f"{engine} could not {task}: {done.stderr.strip()[-300:]}")
    return json.loads(done.stdout)


def show(task: str, found: dict[Engine, list[dict[str, float]]]) -> None:
    """Print the medians of both engines and their ratios."""
    medians = {
        engine: {name: statistics.median(one[name] for one in runs) for name in runs[0]}
        for engine, runs in found.items()
    }
    first = "identification" if task == "identify" else f"{NUM_PICTURES} pictures"
    for engine, values in medians.items():
        print(
            f"{engine:>6}: first {first} after {values['seconds']:.2f} s, then "
            f"{values['rate']:.1f} pictures/s; at most {values['megabytes']:.0f} MB"
        )
    torch, onnx = medians["torch"], medians["onnx"]
    print(f"ratio {task}_start {torch['seconds'] / onnx['seconds']:.2f}")
    print(f"ratio {task}_throughput {onnx['rate'] / torch['rate']:.2f}")
    print(f"ratio {task}_memory {torch['megabytes'] / onnx['megabytes']:.2f}")


if __name__ == "__main__":
    with report_errors(Config):
        main(read_flags(Config, __doc__))
