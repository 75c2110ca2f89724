"""Run folders: settings, metrics and state of a training that can be killed and resumed.

    config.json        settings, library versions, data and seed: enough to repeat the run
    metrics.jsonl      one JSON object per line, written whenever the script logs
    state.safetensors  weights, averages and optimiser state of the last save; replaced as a whole
    samples/           pictures made during training

Batches and latents are functions of the seed and the step (`brushwork.data.batches`), so the state
contains no random state: a resumed run takes the same steps as one that was never stopped.
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

# Settings that a resumed run may change, besides those that end in "_every".
MAY_CHANGE = ("out", "resume", "tracker", "steps", "epochs")

CONFIG, METRICS, STATE = "config.json", "metrics.jsonl", "state.safetensors"


class Run:
    """An open run folder; `open_run` makes it.

    Attributes:
        folder: the run folder.
        is_writer: whether this process writes into the folder.
        step: steps taken when the state was last saved.
        records: the lines of `metrics.jsonl` up to that step.
    """

    def __init__(self, folder: Path, is_writer: bool, lock: FileLock | None = None) -> None:
        self.folder, self._lock = folder, lock  # the lock is held while the run is open
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
        """Load the saved state, if there is one, into freshly built networks and optimisers."""
        if self._tensors:
            unpack(self._tensors, networks, optimizers, scaler)
            self._tensors = {}

    def log(self, step: int, batch_size: int, values: Mapping[str, float]) -> dict[str, float]:
        """Append a line of numbers and the speed since the last call to `metrics.jsonl`.

        Args:
            step: steps taken.
            batch_size: images per step, over all processes.
            values: numbers by name.

        Returns:
            `values` with `images_per_second` and `seconds` (of training, over all starts).

        Raises:
            BrushworkError: a value is NaN or infinite; the last good state is kept.
        """
        if not all(map(math.isfinite, values.values())):
            raise self._diverged(f"the metrics of step {step} contain NaN or infinity: {values}")
        now = time.monotonic()
        speed = (step - self._last_step) * batch_size / (now - self._last_time)
        self._last_step, self._last_time = step, now
        line = {**values, "images_per_second": speed, "seconds": self._elapsed()}
        return self.note(step, line)

    def note(self, step: int, values: Mapping[str, Any]) -> dict[str, Any]:
        """Append a line of values to `metrics.jsonl` unchanged, such as an evaluation's metrics.

        Call it before the state of that step is saved: a resumed run drops the lines after its
        state. The `eval_seconds` among the values do not count in the next speed of `log`.

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
        """Save the state from which training continues after `step` steps, in place of the last.

        Raises:
            BrushworkError: a tensor is not finite, or the file cannot be written; the last good
                state is kept.
        """
        tensors = pack(networks, optimizers, scaler)
        for name, tensor in tensors.items():
            if tensor.is_floating_point() and not tensor.isfinite().all():
                raise self._diverged(f"{name} contains NaN or infinity after step {step}")
        if self.is_writer:
            metadata = {"step": str(step), "seconds": str(self._elapsed())}
            try:
                with atomic_write(self.folder / STATE) as partial:
                    save_file({k: t.contiguous() for k, t in tensors.items()}, partial, metadata)
                    with partial.open("rb+") as file:
                        os.fsync(file.fileno())
            except (OSError, SafetensorError) as error:
                raise BrushworkError(
                    f"cannot write the state of step {step} ({error}); {self.folder} keeps the "
                    f"state of step {self.step}; free some space and continue with `resume`"
                ) from error
        self.step = step

    def _elapsed(self) -> float:
        return self._seconds + time.monotonic() - self._began

    def _diverged(self, problem: str) -> BrushworkError:
        return BrushworkError(
            f"{problem}; {self.folder} keeps the last good state, of step {self.step}: continue "
            "from it with `resume`, or start again with a lower `lr` or with `precision` no"
        )


def open_run(
    folder: str | Path,
    settings: Mapping[str, Any],
    resume: bool = False,
    expected_bytes: int = 0,
    is_writer: bool = True,
) -> Run:
    """Start a run in `folder`, or continue the one that it contains.

    Args:
        folder: the run folder; it is created, with its parent folders, if it does not exist.
        settings: everything that determines the results. They are written to `config.json`, with
            the library versions, the kind of machine and the command of the first start and of
            the last. A resumed run must have the same settings, except those in `MAY_CHANGE` and
            those whose names end in "_every".
        resume: continue from the last saved state. A folder without a run starts a new one.
        expected_bytes: size of what the run will write, compared with the free space.
        is_writer: True in the one process that writes; the others only read the state.

    Raises:
        BrushworkError: the folder contains a run and `resume` is False; another process is
            training in the folder; the folder cannot be written or has too little space; or the
            settings of its run differ from `settings`, or the state of its run is broken.
    """
    folder = Path(folder)
    if not is_writer:
        return Run(folder, is_writer=False)
    config_file, now = folder / CONFIG, environment()
    record = {"settings": dict(settings), "environment": now}
    if config_file.exists():
        if not resume:
            raise BrushworkError(
                f"{folder} already contains a run; add `resume` to continue it, or pass another "
                "`out`"
            )
        before = json.loads(config_file.read_text())
        _check_same(before["settings"], settings, folder)
        record |= {"environment": before["environment"], "resumed": now}
    elif folder.is_dir() and any(not f.name.startswith(".") for f in folder.iterdir()):
        raise BrushworkError(f"{folder} contains other files; pass an empty or new folder as `out`")

    _make_writable(folder, expected_bytes)
    try:  # a launcher that was killed may have left its training alive
        held = lock(folder / ".lock")
    except Timeout:
        raise BrushworkError(
            f"another process is training in {folder}; stop that process or pass another `out`"
        ) from None
    write_json(config_file, record)
    (folder / "samples").mkdir(exist_ok=True)
    run = Run(folder, is_writer=True, lock=held)
    _forget_metrics_after(run.step, folder / METRICS)
    return run


def environment() -> dict[str, Any]:
    """Describe the library versions, the machine and the command, as a run records them."""
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
        # A run that is older than a setting was trained without it.
        and (name in old or new[name])
    ]
    if changed:
        raise BrushworkError(
            f"{folder} contains a run with other settings: {'; '.join(changed)}; "
            "pass the same settings to continue it, or pass another `out`"
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
            f"{file} is broken ({error}); pass another `out` to start a new run"
        ) from error


def _make_writable(folder: Path, expected_bytes: int) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".probe"
        probe.touch()
        probe.unlink()
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise BrushworkError(f"cannot write to {folder} ({error}); pass another `out`") from error
    if free < expected_bytes:
        raise BrushworkError(
            f"{folder} has {free / 1e9:.1f} GB free and the run will write about "
            f"{expected_bytes / 1e9:.1f} GB; free some space, pass another `out`, or keep fewer "
            "checkpoints with a higher `keep_every`"
        )


def _forget_metrics_after(step: int, file: Path) -> None:
    """Delete the lines of steps that the resumed run will repeat, and a line cut by a kill."""
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
    """Read the lines of a run's `metrics.jsonl`, oldest first, except a line cut by a kill.

    Raises:
        BrushworkError: the folder has no such file.
    """
    file = Path(folder) / METRICS
    if not file.exists():
        raise BrushworkError(f"no {METRICS} in {folder}; pass the folder of a run")
    return [json.loads(line) for line in file.read_text().splitlines() if line.endswith("}")]


class StopSignal:
    """Record of Ctrl-C and SIGTERM inside a block, so that a loop can save its state and end.

    It is true after the first signal. A second signal has its usual effect.

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
