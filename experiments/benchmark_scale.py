"""Whether time, memory and disk stay in proportion as a catalogue grows to 100,000 paintings.

    uv run experiments/benchmark_scale.py
    uv run experiments/benchmark_scale.py --sizes 1000 10000 --network classifier

For each size, Painter-by-Numbers as Kaggle unpacks it, of small synthetic paintings (some hundred
files under many names) is prepared by `prepare_data.py`, and a tiny network trained for one epoch
at 32 pixels, each in a process of its own. Prints the seconds, the peak memory of the process and
all that it started, and the disk that a painting takes; then how much more memory the largest size
took than the one before, which shall be at most 1.5 times. Memory is told as `resident`, the sum of
the peaks of the processes, in which files count that are mapped and that the kernel can drop at any
time, and as `own`, without these, looked at twenty times a second. Writes it all to --out as JSON
too. Needs Linux.
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
from settings import read_flags

LIMIT = 1.5
COLUMNS = ("artist", "date", "genre", "style", "title", "in_train", "new_filename")
TINY = {
    "gan": ("train_gan", "--width", "8", "--batch-size", "64", "--tracker", "None", "--epochs", "1",
            "--save-every", "1000"),
    "classifier": ("train_classifier", "--model", "test_resnet", "--weights", "none", "--epochs",
                   "1", "--batch-size", "64", "--first-side", "32", "--last-side", "32", "--views",
                   "1", "--min-paintings", "1"),
}  # fmt: skip


@dataclass(frozen=True)
class Config:
    """How many paintings, and what is trained."""

    sizes: tuple[int, ...] = (1_000, 10_000, 100_000)
    """In rising order."""
    network: Literal["gan", "classifier"] = "gan"
    files: int = 250
    """Different paintings, 64 pixels each; the others are links to them."""
    side: int = 32
    folder: Path | None = None
    """Where to work; by default a temporary folder."""
    out: Path = Path("runs/scale.json")


def main(cfg: Config) -> None:
    """Draw, then prepare and train at each size."""
    if not cfg.sizes or [*cfg.sizes] != sorted({*cfg.sizes}):
        raise BrushworkError(f"--sizes {' '.join(map(str, cfg.sizes))} must rise")
    if not Path("/proc/self/status").exists():
        raise BrushworkError("memory is read from /proc, which this system lacks; use Linux")
    rows = []
    with tempfile.TemporaryDirectory(dir=cfg.folder) as scratch:
        drawn = [draw(index, Path(scratch)) for index in range(min(cfg.files, max(cfg.sizes)))]
        for size in cfg.sizes:
            source, prepared = Path(scratch) / f"catalogue-{size}", Path(scratch) / f"data-{size}"
            write_catalogue(source, drawn, size)
            side = ("--side", str(cfg.side))
            script, *tiny = TINY[cfg.network]
            preparation = measure("prepare_data", "--data", source, "--out", prepared, *side)
            run = Path(scratch) / f"run-{size}"
            training = measure(script, "--data", prepared, "--out", run, *side, *tiny)
            kilobytes = sum(f.stat().st_size for f in prepared.rglob("*") if f.is_file()) / 1e3
            rows.append({"paintings": size, "disk_kB": kilobytes / size}
                        | {f"prepare_{name}": value for name, value in preparation.items()}
                        | {f"train_{name}": value for name, value in training.items()})  # fmt: skip
            print(
                " | ".join(f"{name} {value:,.4g}" for name, value in rows[-1].items()), flush=True
            )

    # The ratios that shall be near 1.
    ratios = {}
    for before, after in zip(rows[-2:-1], rows[-1:], strict=True):
        for name in after:
            if name.endswith("MB"):
                ratios[name] = after[name] / before[name]
                verdict = "within" if ratios[name] <= LIMIT else "above"
                print(f"ratio {name} at {after['paintings']:,} over {before['paintings']:,} "
                      f"{ratios[name]:.2f}, {verdict} {LIMIT}")  # fmt: skip
    cores = num_cores()
    record = {"settings": asdict(cfg), "environment": environment(), "cores": cores}
    cfg.out.parent.mkdir(parents=True, exist_ok=True)
    write_json(cfg.out, record | {"rows": rows, "ratios": ratios})


def draw(index: int, folder: Path) -> Path:
    """A small painting, as a file."""
    file = folder / f"drawn-{index}.jpg"
    synthetic.draw(index, side=64).save(file, quality=90)
    return file


def write_catalogue(folder: Path, drawn: list[Path], size: int) -> None:
    """Painter-by-Numbers of so many paintings: the table, and `train` and `test`."""
    for split in ("train", "test"):
        (folder / split).mkdir(parents=True)
    with (folder / "all_data_info.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(COLUMNS)
        for index in range(size):
            known, name = synthetic.describe(index), f"{index}.jpg"
            split = known["split"]
            table.writerow([*(known[column] for column in COLUMNS[:-2]), split == "train", name])
            (folder / split / name).hardlink_to(drawn[index % len(drawn)])


def measure(script: str, *flags: str | Path) -> dict[str, float]:
    """Run a script: its seconds, and the peak memory of its process and those below it, in MB."""
    file = str(Path(__file__).parent / f"{script}.py")
    start, peaks = time.monotonic(), {"resident_MB": 0.0, "own_MB": 0.0}
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            [sys.executable, file, *map(str, flags)], stdout=said, stderr=subprocess.STDOUT
        )
        while process.poll() is None:
            for name, value in memory(process.pid).items():
                peaks[name] = max(peaks[name], value)
            time.sleep(0.05)
        if process.returncode:
            said.seek(0)
            words = said.read().decode(errors="replace").strip().splitlines()
            raise BrushworkError(f"{script} failed: {words[-1] if words else 'without a word'}")
    return {"seconds": time.monotonic() - start, **peaks}


def memory(pid: int) -> dict[str, float]:
    """Memory of a process and of those below it: the sum of their peaks, and what is theirs now."""
    total = {"resident_MB": 0.0, "own_MB": 0.0}
    with suppress(psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):  # it just ended
        parent = psutil.Process(pid)
        for process in (parent, *parent.children(recursive=True)):
            lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
            used = {name: rest.split() for name, _, rest in (line.partition(":") for line in lines)}
            for name, key in (("resident_MB", "VmHWM"), ("own_MB", "RssAnon")):
                total[name] += int(used[key][0]) * 1024 / 1e6 if key in used else 0
    return total


if __name__ == "__main__":
    with report_errors(Config):
        main(read_flags(Config, __doc__))
