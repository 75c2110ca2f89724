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
import zlib
from collections.abc import Callable, Collection, Mapping
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
from brushwork.files import atomic_write, lock, read_json, write_json, write_text
from brushwork.training import launcher
from brushwork.training.distributed import value_of_first_process
from brushwork.training.state import pack, unpack

# Settings that a resumed run may always change, besides those that end in "_every".
MAY_CHANGE = (
    *("out", "resume", "change", "tracker"),
    *("steps", "epochs", "minutes"),
    *("keep", "keep_by", "keep_last"),
    "recipe",  # the settings that it stands for are compared
)

CONFIG, METRICS, STATE = "config.json", "metrics.jsonl", "state.safetensors"


class Run:
    """An open run folder; `open_run` makes it.

    Attributes:
        folder: the run folder.
        is_writer: whether this process writes into the folder.
        step: steps taken when the state was last saved.
        changed: settings that differ from those of the saved run, by name: the value before and the
            value now. Empty unless `change` was passed to `open_run`.
        records: the lines of `metrics.jsonl` up to that step.
    """

    def __init__(self, folder: Path, is_writer: bool, lock: FileLock | None = None) -> None:
        self.folder, self._lock = folder, lock  # the lock is held while the run is open
        self.is_writer = is_writer
        self.changed: dict[str, tuple[Any, Any]] = {}
        self._config: dict[str, Any] | None = None  # to write once the state is restored
        self._has_state = (folder / STATE).exists()
        self.step, self._images, self._seconds, self._tensors = _read_state(folder / STATE)
        lines = _metrics_with_steps(folder / METRICS)
        self.records = [record for _, record in lines if record["step"] <= self.step]
        self._began = self._last_time = time.monotonic()
        self._first_step = self._last_step = self.step

    def restore(
        self,
        networks: Mapping[str, nn.Module],
        optimizers: Mapping[str, Optimizer],
        scaler: GradScaler | None = None,
    ) -> None:
        """Load the saved state, if there is one, into freshly built networks and optimisers.

        In a run with changed settings, a network that the saved run did not have keeps its weights.

        Raises:
            BrushworkError: the state does not fit them.
        """
        if self._tensors:
            if self.changed:
                networks = {name: n for name, n in networks.items() if self._has_saved(name)}
            try:
                unpack(self._tensors, networks, optimizers, scaler)
            except (RuntimeError, LookupError, ValueError) as error:
                reason = " ".join(str(error).split())[:200]
                raise BrushworkError(
                    f"{self.folder / STATE} does not fit these settings ({reason}); "
                    f"{_way_on(self.folder)}"
                ) from error
        self._tensors = {}
        if self._config is not None:
            write_json(self.folder / CONFIG, self._config)
            self._config = None

    def seconds(self) -> float:
        """Return the seconds of training so far, over all starts."""
        return self._seconds + time.monotonic() - self._began

    def images_seen(self, step: int, batch_size: int) -> int:
        """Count the images of `step` steps, also if the batch size was changed between them.

        Args:
            step: steps done, at least as many as at the last start.
            batch_size: images per step since the last start.
        """
        before = self._first_step * batch_size if self._images is None else self._images
        return before + (step - self._first_step) * batch_size

    def _has_saved(self, network: str) -> bool:
        return any(name.startswith(f"{network}/") for name in self._tensors)

    def log(self, step: int, batch_size: int, values: Mapping[str, float]) -> dict[str, float]:
        """Append a line of numbers and the speed since the last call to `metrics.jsonl`.

        Args:
            step: steps taken.
            batch_size: images per step, over all processes.
            values: numbers by name.

        Returns:
            `values` with `images_per_second` and `seconds` (of training, over all starts).

        Raises:
            BrushworkError: a value is NaN or infinite; the last saved state, if any, is kept.
        """
        if not all(map(math.isfinite, values.values())):
            raise self._diverged(f"the metrics of step {step} contain NaN or infinity: {values}")
        now = time.monotonic()
        speed = (step - self._last_step) * batch_size / (now - self._last_time)
        self._last_step, self._last_time = step, now
        line = {**values, "images_per_second": speed, "seconds": self.seconds()}
        return self.note(step, line)

    def note(self, step: int, values: Mapping[str, Any]) -> dict[str, Any]:
        """Append a line of values to `metrics.jsonl` unchanged, such as an evaluation's metrics.

        Call it before the state of that step is saved: a resumed run drops the lines after its
        state. The `eval_seconds` among the values do not count in the next speed of `log`.

        Returns:
            `values`.

        Raises:
            BrushworkError: the file cannot be written.
        """
        self._last_time += values.get("eval_seconds", 0)
        if self.is_writer:
            try:
                with (self.folder / METRICS).open("a", encoding="utf-8") as file:
                    file.write(json.dumps({"step": step, **values}) + "\n")
            except OSError as error:
                raise BrushworkError(
                    f"cannot write the metrics of step {step} ({error}); free some space and run "
                    "the same command with `resume`"
                ) from error
        return dict(values)

    def save_state(
        self,
        step: int,
        networks: Mapping[str, nn.Module],
        optimizers: Mapping[str, Optimizer],
        scaler: GradScaler | None = None,
        images: int | None = None,
    ) -> None:
        """Save the state from which training continues after `step` steps, in place of the last.

        Args:
            step: steps taken.
            networks: as in `restore`.
            optimizers: as in `restore`.
            scaler: as in `restore`.
            images: images seen, for `images_seen` after a change of the batch size.

        Raises:
            BrushworkError: a tensor is not finite, or the file cannot be written; the last saved
                state, if any, is kept.
        """
        tensors = pack(networks, optimizers, scaler)
        for name, tensor in tensors.items():
            if tensor.is_floating_point() and not tensor.isfinite().all():
                raise self._diverged(f"{name} contains NaN or infinity after step {step}")
        if self.is_writer:
            tensors = {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}
            metadata = {
                "step": str(step),
                "seconds": str(self.seconds()),
                "crc32": str(_checksum(tensors)),
            } | ({} if images is None else {"images": str(images)})
            try:
                with atomic_write(self.folder / STATE) as partial:
                    save_file(tensors, partial, metadata)
                    with partial.open("rb+") as file:
                        os.fsync(file.fileno())
            except (OSError, SafetensorError) as error:
                kept = (
                    f"{self.folder} keeps the state of step {self.step}; free some space and "
                    "continue with `resume`"
                    if self._has_state
                    else "no state is saved yet; free some space and start again with `resume`"
                )
                raise BrushworkError(
                    f"cannot write the state of step {step} ({error}); {kept}"
                ) from error
        self.step, self._has_state = step, True

    def _diverged(self, problem: str) -> BrushworkError:
        if not self._has_state:
            return BrushworkError(
                f"{problem}; no state is saved yet: start again in another `out` with a lower `lr` "
                "or with `precision` no"
            )
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
    change: bool = False,
    fixed: Collection[str] = (),
    implied: Callable[[Mapping[str, Any]], Mapping[str, Any]] = lambda _settings: {},
) -> Run:
    """Start a run in `folder`, or continue the one that it contains.

    Every process calls it.

    Args:
        folder: the run folder; it is created, with its parent folders, if it does not exist.
        settings: everything that determines the results. They are written to `config.json`, with
            the library versions, the kind of machine and the command of the first start and of
            the last. A resumed run must have the same settings, except those in `MAY_CHANGE` and
            those whose names end in "_every".
        resume: continue from the last saved state. A folder without a run starts a new one.
        expected_bytes: size of what the run will write, compared with the free space.
        is_writer: True in the one process that writes; the others only read the state.
        change: continue with these settings although they differ from those of the run. The
            differences are in the `changed` of the result, and `restore` adds them to the list
            `changes` of `config.json`, with the step.
        fixed: settings that must not differ even with `change`.
        implied: takes the settings that an older run recorded, and returns those that did not
            exist then, unless they are false, or that had another form.

    Raises:
        BrushworkError: the folder contains a run and `resume` is False; another process is
            training in the folder; the folder cannot be written or has too little space; or the
            settings of its run differ from `settings`, or a file of its run is broken.
    """
    if change and not resume:
        raise BrushworkError("`change` is only for a run that is continued; add `resume`")
    folder = Path(folder)
    if is_writer:
        run = _open_to_write(folder, settings, resume, expected_bytes, change, fixed, implied)
    else:
        run = Run(folder, is_writer=False)
    if change:
        run.changed = value_of_first_process(run.changed)
    return run


def _open_to_write(
    folder: Path,
    settings: Mapping[str, Any],
    resume: bool,
    expected_bytes: int,
    change: bool,
    fixed: Collection[str],
    implied: Callable[[Mapping[str, Any]], Mapping[str, Any]],
) -> Run:
    config_file, now = folder / CONFIG, environment()
    changed = {}
    has_run = config_file.exists() or (resume and (folder / STATE).exists())
    record: dict[str, Any] = {"settings": dict(settings), "environment": now}
    if config_file.exists():
        if not resume:
            raise BrushworkError(
                f"{folder} already contains a run; add `resume` to continue it, or pass another "
                "`out`"
            )
        before = _read_config(config_file)
        changed = _differences({**before["settings"], **implied(before["settings"])}, settings)
        _check_allowed(changed, change, fixed, folder)
        record |= {"environment": before.get("environment"), "resumed": now}
        record |= {"changes": before["changes"]} if "changes" in before else {}
    elif has_run:
        # The user deleted a broken config.json, as its message says.
        record["resumed"] = now
    elif folder.is_dir() and any(not f.name.startswith(".") for f in folder.iterdir()):
        raise BrushworkError(f"{folder} contains other files; pass an empty or new folder as `out`")

    _make_writable(folder, expected_bytes)
    try:  # a launcher that was killed may have left its training alive
        held = lock(folder / ".lock")
    except Timeout:
        raise BrushworkError(
            f"another process is training in {folder}; stop that process or pass another `out`"
        ) from None
    run = Run(folder, is_writer=True, lock=held)  # before config.json changes, if a file is broken
    if changed:  # config.json changes only when the state fits the new settings
        run.changed = changed
        record["changes"] = [
            *(record.get("changes") or []),
            {"step": run.step, "settings": {name: list(pair) for name, pair in changed.items()}},
        ]
        run._config = record
    else:
        write_json(config_file, record)
    (folder / "samples").mkdir(exist_ok=True)
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


def _differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """List the settings that a run may not silently change: the value before and the value now."""
    new = json.loads(json.dumps(new, default=str))
    return {
        name: (old.get(name), new.get(name))
        for name in sorted({*old, *new} - set(MAY_CHANGE))
        if not name.endswith("_every")
        and old.get(name) != new.get(name)
        # A run that is older than a setting was trained without it.
        and (name in old or new[name])
    }


def _check_allowed(
    changed: Mapping[str, tuple[Any, Any]], change: bool, fixed: Collection[str], folder: Path
) -> None:
    refused = changed.keys() & set(fixed) if change else changed.keys()
    if not refused:
        return
    shown = "; ".join(
        f"{name} was {old!r} and is now {new!r}"
        for name, (old, new) in changed.items()
        if name in refused
    )
    if changed.keys() & set(fixed):
        way = "pass the same settings to continue it, or pass another `out`"
    else:
        way = (
            "pass the same settings to continue it, add `change` to continue it with these, or "
            "pass another `out`"
        )
    raise BrushworkError(f"{folder} contains a run with other settings: {shown}; {way}")


def describe_changes(run: Run) -> str:
    """Write the changed settings of a resumed run in one line; "" if there are none."""
    changes = [f"{name} from {old} to {new}" for name, (old, new) in run.changed.items()]
    return f"changed at step {run.step:,}: {', '.join(changes)}" if changes else ""


def _read_config(file: Path) -> dict[str, Any]:
    try:
        record = read_json(file)
        if isinstance(record, dict) and isinstance(record.get("settings"), dict):
            return record
        problem = "it has no settings"
    except (OSError, ValueError) as error:
        problem = str(error)
    raise BrushworkError(
        f"{file} is broken ({problem}); delete it to continue the run with the settings of this "
        "command, or pass another `out`"
    )


def _read_state(file: Path) -> tuple[int, int | None, float, dict[str, Tensor]]:
    if not file.exists():
        return 0, 0, 0.0, {}
    try:
        with safe_open(file, "pt") as state:
            metadata = state.metadata() or {}
            tensors = {name: state.get_tensor(name) for name in state.keys()}  # noqa: SIM118
        if "crc32" in metadata and int(metadata["crc32"]) != _checksum(tensors):
            raise ValueError("its content has changed since it was written")
        images = int(metadata["images"]) if "images" in metadata else None
        return int(metadata["step"]), images, float(metadata["seconds"]), tensors
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        problem = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise BrushworkError(f"{file} is broken ({problem}); {_way_on(file.parent)}") from error


def _checksum(tensors: Mapping[str, Tensor]) -> int:
    """Compute the CRC-32 of the tensors' names and bytes."""
    value = 0
    for name in sorted(tensors):
        value = zlib.crc32(tensors[name].reshape(-1).view(torch.uint8).numpy().data, value)
        value = zlib.crc32(name.encode(), value)
    return value


def _way_on(folder: Path) -> str:
    """Say how to continue without the state of a run."""
    kept = sorted(config.parent for config in folder.glob(f"kept/*/{CONFIG}"))
    initialise = f", which `start` {kept[-1]} can initialise" if kept else ""
    return f"pass another `out` to start a new run{initialise}"


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
    kept = [line for line, record in _metrics_with_steps(file) if record["step"] <= step]
    write_text(file, "".join(f"{line}\n" for line in kept))


def read_metrics(folder: str | Path) -> list[dict[str, Any]]:
    """Read the lines of a run's `metrics.jsonl`, oldest first, except a last line cut by a kill.

    Raises:
        BrushworkError: the folder has no such file, or a line is broken that is not the last one.
    """
    file = Path(folder) / METRICS
    if not file.exists():
        raise BrushworkError(f"no {METRICS} in {folder}; pass the folder of a run")
    return [record for _, record in _metrics_lines(file)]


def _metrics_lines(file: Path) -> list[tuple[str, dict[str, Any]]]:
    """Read the lines and their records, except a last line that was not written to its end."""
    try:
        lines = file.read_bytes().split(b"\n")
    except OSError as error:
        raise BrushworkError(f"cannot read {file} ({error}); pass another `out`") from error
    read: list[tuple[str, dict[str, Any]]] = []
    last = max((number for number, line in enumerate(lines) if line.strip()), default=-1)
    for number, line in enumerate(lines[: last + 1]):
        try:
            text = line.decode()
            record = json.loads(text)
            if not isinstance(record, dict):
                raise ValueError("it is not a JSON object")
            read.append((text, record))
        except ValueError as error:
            if number == last:
                break
            raise _broken_line(file, number, str(error)) from error
    return read


def _metrics_with_steps(file: Path) -> list[tuple[str, dict[str, Any]]]:
    """Read the lines and their records, each of which must have a step; none without a file."""
    lines = _metrics_lines(file) if file.exists() else []
    for number, (_, record) in enumerate(lines):
        if not isinstance(record.get("step"), int):
            raise _broken_line(file, number, "it has no step")
    return lines


def _broken_line(file: Path, number: int, problem: str) -> BrushworkError:
    return BrushworkError(
        f"line {number + 1} of {file} is broken ({problem}); delete this line and run the same "
        "command again"
    )


class StopSignal:
    """Record of Ctrl-C and SIGTERM inside a block, so that a loop can save its state and end.

    It is true after the first signal, and when the launcher has ended; see
    `brushwork.training.launcher`. A second signal has its usual effect.

    >>> with StopSignal() as stop:
    ...     signal.raise_signal(signal.SIGTERM)
    ...     bool(stop)
    True
    """

    def __enter__(self) -> "StopSignal":
        self._noted = False
        self._deferred = launcher.deferred()
        self._deferred.__enter__()
        self._before = {
            which: signal.signal(which, self._note) for which in (signal.SIGINT, signal.SIGTERM)
        }
        return self

    def _note(self, which: int, _: FrameType | None) -> None:
        self._noted = True
        signal.signal(which, self._before[signal.Signals(which)])

    def __bool__(self) -> bool:
        return self._noted or launcher.has_ended()

    def __exit__(self, *_: object) -> None:
        for which, handler in self._before.items():
            signal.signal(which, handler)
        self._deferred.__exit__(None, None, None)
