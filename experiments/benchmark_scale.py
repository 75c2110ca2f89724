"""Measure time, memory and disk space as a catalogue grows to 100,000 paintings.

    uv run experiments/benchmark_scale.py
    uv run experiments/benchmark_scale.py --sizes 1000 10000 --network classifier

For each size, the script writes a folder like Painter-by-Numbers, with small synthetic paintings
(some hundred files under many names). `prepare_data.py` prepares them, and a tiny network is
trained on them for one epoch at 32 pixels, each in a process of its own. The script prints the
seconds, the peak memory of the process and its descendants, and the disk space per painting. At the
end it divides the memory at the largest size by the memory at the size before; the target is at
most 1.5. `resident` memory is the sum of the peaks of the processes, including mapped files, which
the kernel can drop at any time. `own` memory excludes these files; it is read twenty times a
second. --out receives all results as JSON. Needs Linux.
"""

import csv
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import psutil

from brushwork.data import synthetic
from brushwork.errors import BrushworkError, report_errors
from brushwork.files import write_json
from brushwork.machine import num_cores
from brushwork.training.run import environment
from settings import Count, Side, read_flags

# Memory of the largest size over that of the size before it; more counts as growing.
LIMIT = 1.5

COLUMNS = ("artist", "date", "genre", "style", "title", "in_train", "new_filename")

# The script and the flags of one epoch of a tiny network.
TRAININGS = {
    "gan": [
        *("train_gan", "--model", "dcgan", "--width", "8", "--batch-size", "64"),
        *("--tracker", "None", "--epochs", "1", "--save-every", "1000"),
    ],
    "classifier": [
        *("train_classifier", "--model", "test_resnet", "--weights", "none", "--views", "1"),
        *("--epochs", "1", "--batch-size", "64", "--first-side", "32", "--last-side", "32"),
        *("--min-paintings", "1"),
    ],
}


@dataclass(frozen=True)
class Config:
    """Settings: how many paintings, and which network to train."""

    sizes: tuple[Count, ...] = (1_000, 10_000, 100_000)
    """Numbers of paintings, in rising order."""
    network: Literal["gan", "classifier"] = "gan"
    files: Count = 250
    """Number of different image files, 64 pixels each; all other files are links to them."""
    side: Side = 32
    folder: Path | None = None
    """Folder for temporary files; by default the system's."""
    out: Path = Path("runs/scale.json")


def main(cfg: Config) -> None:
    """Draw paintings, then prepare and train at each size, and compare the memory."""
    if not cfg.sizes or [*cfg.sizes] != sorted({*cfg.sizes}):
        raise BrushworkError(
            f"`sizes` is {' '.join(map(str, cfg.sizes))}; give different numbers in rising order"
        )
    if not Path("/proc/self/status").exists():
        raise BrushworkError("memory is read from /proc, which this system lacks; use Linux")
    rows = []
    with tempfile.TemporaryDirectory(dir=cfg.folder) as scratch:
        files = [draw(index, Path(scratch)) for index in range(min(cfg.files, max(cfg.sizes)))]
        for size in cfg.sizes:
            row = measure_size(cfg, size, files=files, scratch=Path(scratch))
            rows.append(row)
            print(" | ".join(f"{name} {value:,.4g}" for name, value in row.items()), flush=True)
    record = {
        "settings": asdict(cfg),
        "environment": environment(),
        "cores": num_cores(),
        "rows": rows,
        "ratios": compare_memory(rows[-2], rows[-1]) if len(rows) > 1 else {},
    }
    cfg.out.parent.mkdir(parents=True, exist_ok=True)
    write_json(cfg.out, record)


def measure_size(cfg: Config, size: int, files: list[Path], scratch: Path) -> dict[str, float]:
    """Prepare a catalogue of `size` paintings and train on it; return time, memory and disk."""
    source, prepared, run = (scratch / f"{what}-{size}" for what in ("catalogue", "data", "run"))
    write_catalogue(source, files, size)
    side = ("--side", str(cfg.side))
    preparation = measure("prepare_data", "--data", source, "--out", prepared, *side)
    script, *flags = TRAININGS[cfg.network]
    training = measure(script, "--data", prepared, "--out", run, *side, *flags)
    num_bytes = sum(file.stat().st_size for file in prepared.rglob("*") if file.is_file())
    row: dict[str, float] = {"paintings": size, "disk_kB": num_bytes / 1e3 / size}
    row |= {f"prepare_{name}": value for name, value in preparation.items()}
    row |= {f"train_{name}": value for name, value in training.items()}
    return row


def compare_memory(before: dict[str, float], after: dict[str, float]) -> dict[str, float]:
    """Print and return how much more memory one size took than the smaller one before it."""
    ratios = {name: after[name] / before[name] for name in after if name.endswith("MB")}
    for name, ratio in ratios.items():
        print(
            f"ratio {name} {ratio:.2f}, from {before['paintings']:,} to {after['paintings']:,} "
            f"paintings: {'within' if ratio <= LIMIT else 'above'} {LIMIT}"
        )
    return ratios


def draw(index: int, folder: Path) -> Path:
    """Draw a small painting into a file."""
    file = folder / f"drawn-{index}.jpg"
    synthetic.draw(index, side=64).save(file, quality=90)
    return file


def write_catalogue(folder: Path, files: list[Path], size: int) -> None:
    """Write a folder like Painter-by-Numbers: the table, and the pictures in `train` and `test`."""
    for split in ("train", "test"):
        (folder / split).mkdir(parents=True)
    with (folder / "all_data_info.csv").open("w", newline="", encoding="utf-8") as table_file:
        table = csv.writer(table_file)
        table.writerow(COLUMNS)
        for index in range(size):
            description, name = synthetic.describe(index), f"{index}.jpg"
            split = description["split"]
            known = [description[column] for column in COLUMNS[:-2]]
            table.writerow([*known, split == "train", name])
            (folder / split / name).hardlink_to(files[index % len(files)])


def measure(script: str, *flags: str | Path) -> dict[str, float]:
    """Run a script; return its seconds, and the peak memory of it and its descendants, in MB."""
    file = str(Path(__file__).parent / f"{script}.py")
    start, peaks = time.monotonic(), {"resident_MB": 0.0, "own_MB": 0.0}
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            [sys.executable, file, *map(str, flags)], stdout=output, stderr=subprocess.STDOUT
        )
        while process.poll() is None:
            for name, value in memory(process.pid).items():
                peaks[name] = max(peaks[name], value)
            time.sleep(0.05)
        if process.returncode:
            output.seek(0)
            lines = output.read().decode(errors="replace").strip().splitlines()
            raise BrushworkError(f"{script}.py failed: {lines[-1] if lines else 'no message'}")
    return {"seconds": time.monotonic() - start, **peaks}


def memory(pid: int) -> dict[str, float]:
    """Measure a process and its descendants, in MB: peak memory with files, memory without."""
    total = {"resident_MB": 0.0, "own_MB": 0.0}
    # A process may end between two of these lines.
    with suppress(psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
        parent = psutil.Process(pid)
        for process in (parent, *parent.children(recursive=True)):
            status = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")
            lines = status.splitlines()
            used = {name: rest.split() for name, _, rest in (line.partition(":") for line in lines)}
            for name, key in (("resident_MB", "VmHWM"), ("own_MB", "RssAnon")):
                total[name] += int(used[key][0]) * 1024 / 1e6 if key in used else 0
    return total


if __name__ == "__main__":
    with report_errors(Config):
        main(read_flags(Config, __doc__))
