"""A run: one folder that says what was done, and from which training goes on after any kill.

    config.json        the settings, versions, data and seed: all that is needed to repeat it
    metrics.jsonl      one line of numbers each time the script logs
    state.safetensors  weights, averages and optimiser state at the last save; replaced whole
    samples/           pictures of its progress; and what else the script writes

Batches and latents are functions of the seed and the step (`brushwork.data.batches`), so the state
holds no random state: a resumed run takes the same steps as one that was never stopped.
"""

import json
import math
import os
import platform
import shutil
import signal
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from filelock import FileLock, Timeout
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler
from torch.optim import Optimizer

from brushwork.errors import BrushworkError
from brushwork.files import atomic_write, lock, write_json, write_text
from brushwork.training.state import pack, unpack

# Settings that a resumed run may be given anew: how long, how often, and where to.
MAY_CHANGE = ("out", "resume", "tracker", "steps", "epochs")


CONFIG, METRICS, STATE = "config.json", "metrics.jsonl", "state.safetensors"


class Run:
    """An open run folder; made by `open_run`.

    Attributes:
        step: steps taken at the last saved state.
        records: the lines of `metrics.jsonl` up to there.
    """

    def __init__(self, folder: Path, is_writer: bool, lock: FileLock | None = None):
        self.folder, self._lock = folder, lock  # which is held as long as the run is open
        self.is_writer = is_writer
        self.step, self._seconds, self._tensors = _read_state(folder / STATE)
        lines = read_metrics(folder) if (folder / METRICS).exists() else []
        self.records = [line for line in lines if line["step"] <= self.step]
        self._began = self._last_time = time.monotonic()
        self._last_step = self.step

    def restore(
        self,
        networks: Mapping[str, nn.Module],
        optimizers: Mapping[str, Optimizer],
        scaler: GradScaler | None = None,
    ) -> None:
        """Put the saved state, if there is one, into freshly built networks and optimisers."""
        if self._tensors:
            unpack(self._tensors, networks, optimizers, scaler)
            self._tensors = {}

    def log(self, step: int, batch_size: int, values: Mapping[str, float]) -> dict[str, float]:
        """Append a line of numbers to `metrics.jsonl`, with the speed since the last one.

        Returns:
            `values` with `images_per_second` and `seconds` (of training, over all its starts).

        Raises:
            BrushworkError: a value is NaN or infinite; the last good state is kept.
        """
        if not all(map(math.isfinite, values.values())):
            raise self._lost(f"the numbers of step {step} hold NaN or infinity: {dict(values)}")
        now = time.monotonic()
        speed = (step - self._last_step) * batch_size / (now - self._last_time)
        self._last_step, self._last_time = step, now
        line = {**values, "images_per_second": speed, "seconds": self._elapsed()}
        return self.note(step, line)

    def note(self, step: int, values: Mapping[str, float]) -> dict[str, float]:
        """Append a line of numbers as they are, such as metrics of what was trained.

        Before the state of that step is saved: a resumed run drops the lines after its state.
        Their `eval_seconds`, if they tell any, are left out of the speed that `log` tells next.

        Returns:
            `values`.
        """
        self._last_time += values.get("eval_seconds", 0)
        if self.is_writer:
            with (self.folder / METRICS).open("a") as file:
                file.write(json.dumps({"step": step, **values}) + "\n")
        return dict(values)

    def save_state(
        self,
        step: int,
        networks: Mapping[str, nn.Module],
        optimizers: Mapping[str, Optimizer],
        scaler: GradScaler | None = None,
    ) -> None:
        """Keep what training needs to go on after `step` steps; replaces the last state at once.

        Raises:
            BrushworkError: a tensor is not finite (the last good state is kept), or the disk
                refuses.
        """
        tensors = pack(networks, optimizers, scaler)
        for name, tensor in tensors.items():
            if tensor.is_floating_point() and not tensor.isfinite().all():
                raise self._lost(f"{name} holds NaN or infinity after step {step}")
        if self.is_writer:
            metadata = {"step": str(step), "seconds": str(self._elapsed())}
            try:
                with atomic_write(self.folder / STATE) as partial:
                    save_file({k: t.contiguous() for k, t in tensors.items()}, partial, metadata)
                    with partial.open("rb+") as file:
                        os.fsync(file.fileno())
            except (OSError, SafetensorError) as error:
                raise BrushworkError(
                    f"cannot write the state of step {step} ({error}); the state of step "
                    f"{self.step} is kept in {self.folder}; make room and --resume"
                ) from error
        self.step = step

    def _elapsed(self) -> float:
        return self._seconds + time.monotonic() - self._began

    def _lost(self, what: str) -> BrushworkError:
        return BrushworkError(
            f"{what}; the last good state, of step {self.step}, is kept in {self.folder}: "
            "--resume from it, or begin again with a lower --lr or --precision no"
        )


def open_run(
    folder: str | Path,
    settings: Mapping[str, Any],
    resume: bool = False,
    expected_bytes: int = 0,
    is_writer: bool = True,
) -> Run:
    """Begin a run in `folder`, or take up the one that is there.

    Args:
        folder: made with its parents.
        settings: what decides the run's results. Written to `config.json` with the versions of the
            libraries, the machine's kind and the command, of the first start and of the last. A
            resumed run must have the same, but for `MAY_CHANGE` and whatever ends in `_every`.
        resume: go on from the last saved state. A folder without a run begins one.
        expected_bytes: what the run will write; checked against the free space now.
        is_writer: one process writes; the others pass False and only read the state.

    Raises:
        BrushworkError: the folder holds a run and `resume` is False, or another process is training
            in it; or it cannot be written, has too little room, or holds a run with other settings
            or a broken state.
    """
    folder = Path(folder)
    if not is_writer:
        return Run(folder, is_writer=False)
    config_file, now = folder / CONFIG, environment()
    record = {"settings": dict(settings), "environment": now}
    if config_file.exists():
        if not resume:
            raise BrushworkError(
                f"{folder} already holds a run; add --resume to continue it or pass another --out"
            )
        before = json.loads(config_file.read_text())
        _check_same(before["settings"], settings, folder)
        record |= {"environment": before["environment"], "resumed": now}
    elif folder.is_dir() and any(not f.name.startswith(".") for f in folder.iterdir()):
        raise BrushworkError(f"{folder} holds other files; pass an empty or new folder as --out")

    _make_writable(folder, expected_bytes)
    try:  # a launcher that was killed may have left its training alive
        held = lock(folder / ".lock")
    except Timeout:
        raise BrushworkError(f"another process is training in {folder}; stop it first") from None
    write_json(config_file, record)
    (folder / "samples").mkdir(exist_ok=True)
    run = Run(folder, True, held)
    _forget_metrics_after(run.step, folder / METRICS)
    return run


def environment() -> dict[str, Any]:
    """Versions, machine and command, as they are recorded in a run."""
    packages = ("brushwork", "torch", "torchvision", "accelerate", "numpy", "pillow")
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in packages},
        "machine": platform.machine(),
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
    }


def _check_same(old: dict[str, Any], new: Mapping[str, Any], folder: Path) -> None:
    new = json.loads(json.dumps(new, default=str))
    changed = [
        f"{name} was {old.get(name)!r} and is now {new.get(name)!r}"
        for name in sorted({*old, *new} - set(MAY_CHANGE))
        if not name.endswith("_every")
        and old.get(name) != new.get(name)
        # A run begun before there was a setting did without what it does.
        and (name in old or new[name])
    ]
    if changed:
        raise BrushworkError(
            f"{folder} holds a run with other settings: {'; '.join(changed)}; "
            "give the same ones to continue it, or pass another --out"
        )


def _read_state(file: Path) -> tuple[int, float, dict[str, Tensor]]:
    if not file.exists():
        return 0, 0.0, {}
    try:
        with safe_open(file, "pt") as state:
            metadata = state.metadata()
            tensors = {name: state.get_tensor(name) for name in state.keys()}  # noqa: SIM118
        return int(metadata["step"]), float(metadata["seconds"]), tensors
    except (OSError, SafetensorError, KeyError) as error:
        raise BrushworkError(
            f"{file} is broken ({error}); pass another --out to begin anew"
        ) from error


def _make_writable(folder: Path, expected_bytes: int) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".probe"
        probe.touch()
        probe.unlink()
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise BrushworkError(f"cannot write to {folder} ({error}); pass another --out") from error
    if free < expected_bytes:
        raise BrushworkError(
            f"{folder} has {free / 1e9:.1f} GB free and the run will write about "
            f"{expected_bytes / 1e9:.1f} GB; make room, pass another --out, or keep fewer "
            "checkpoints with a higher --keep-every"
        )


def _forget_metrics_after(step: int, file: Path) -> None:
    """Drop the lines of steps that the resumed run will take again, and a line cut by a kill."""
    if not file.exists():
        return
    kept = []
    for line in file.read_text().splitlines(keepends=True):
        try:
            if line.endswith("\n") and json.loads(line)["step"] <= step:
                kept.append(line)
        except ValueError:
            continue
    write_text(file, "".join(kept))


def read_metrics(folder: str | Path) -> list[dict[str, Any]]:
    """The lines of a run's `metrics.jsonl`, oldest first; a line cut short by a kill is left out.

    Raises:
        BrushworkError: there is no such file.
    """
    file = Path(folder) / METRICS
    if not file.exists():
        raise BrushworkError(f"no {METRICS} in {folder}; give the folder of a run")
    return [json.loads(line) for line in file.read_text().splitlines() if line.endswith("}")]


class StopSignal:
    """Notes Ctrl-C and SIGTERM, so that a loop can save and leave; a second one stops at once.

    >>> with StopSignal() as stop:
    ...     signal.raise_signal(signal.SIGTERM)
    ...     bool(stop)
    True
    """

    def __enter__(self) -> "StopSignal":
        self._noted = False
        self._before = {
            which: signal.signal(which, self._note) for which in (signal.SIGINT, signal.SIGTERM)
        }
        return self

    def _note(self, which: int, _: FrameType | None) -> None:
        self._noted = True
        signal.signal(which, self._before[signal.Signals(which)])

    def __bool__(self) -> bool:
        return self._noted

    def __exit__(self, *_: object) -> None:
        for which, handler in self._before.items():
            signal.signal(which, handler)
