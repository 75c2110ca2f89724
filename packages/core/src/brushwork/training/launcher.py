"""End a process together with its launcher: `accelerate launch`, `torchrun` or `uv run`.

A launcher that is killed leaves the process that it started alive. The system then gives the
process another parent, and a training would continue without an owner.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

# `accelerate launch` or `torchrun` sets one of these variables in each process that it starts.
LAUNCH_VARIABLES = ("ACCELERATE_DYNAMO_MODE", "TORCHELASTIC_RUN_ID")

SECONDS_BETWEEN_CHECKS = 0.5

_ended = threading.Event()
_watch: threading.Thread | None = None
_num_deferrals = 0


def follow_launcher() -> None:
    """End this process when its launcher ends; without a launcher, do nothing.

    From now on a thread checks every half second whether the launcher is alive. When it is not,
    the process receives a SIGTERM, or, inside a block of `deferred`, `has_ended` becomes true. If
    the launcher ended before this call, the process receives a SIGTERM at once.

    This module imports little, so a script can call this before the imports that take seconds.
    """
    global _watch
    if _watch is not None:
        return
    launchers = find_launchers()
    if _is_launched() and not _may_be_launcher(os.getppid()):
        _end()
    if launchers:
        _watch = threading.Thread(
            target=_follow, args=(launchers,), name="follow-launcher", daemon=True
        )
        _watch.start()


def has_ended() -> bool:
    """Return whether the launcher that `follow_launcher` follows has ended."""
    return _ended.is_set()


@contextmanager
def deferred() -> Iterator[None]:
    """Let this process live on inside the block when its launcher ends; see `has_ended`."""
    global _num_deferrals
    _num_deferrals += 1
    try:
        yield
    finally:
        _num_deferrals -= 1


def find_launchers() -> list[int]:
    """List the process ids of this process's launchers, the nearest one first.

    The command line of a launcher ends with the script and its flags, as does that of a launcher
    of the launcher, such as `uv run accelerate launch train.py --steps 3`.
    """
    script = _own_arguments()
    launchers, pid = [], os.getppid()
    while script and command_line(pid)[-len(script) :] == script:
        launchers.append(pid)
        pid = parent_of(pid)
    return launchers or ([pid] if _is_launched() else [])


def command_line(pid: int) -> list[str]:
    """Read the arguments of a process; none where the system does not show them."""
    return _read_strings(Path(f"/proc/{pid}/cmdline"))


def environment_of(pid: int) -> dict[str, str]:
    """Read the variables that a process started with; none where the system hides them."""
    return dict(
        variable.split("=", 1)
        for variable in _read_strings(Path(f"/proc/{pid}/environ"))
        if "=" in variable
    )


def parent_of(pid: int) -> int:
    """Return the parent of a process, 0 if it is unknown."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        fields = status.rpartition(")")[2].split()
        return int(fields[1])
    except (OSError, IndexError, ValueError):
        return 0


def _read_strings(file: Path) -> list[str]:
    try:
        return [os.fsdecode(part) for part in file.read_bytes().split(b"\0")[:-1]]
    except OSError:
        return []


def _own_arguments() -> list[str]:
    """Return the script and its flags, without the interpreter and the interpreter's options."""
    arguments = sys.orig_argv[1:]
    while arguments and arguments[0].startswith("-"):
        if arguments[0] == "-c":
            return []
        arguments = arguments[1:]
    return arguments


def _is_launched() -> bool:
    return any(name in os.environ for name in LAUNCH_VARIABLES)


def _may_be_launcher(pid: int) -> bool:
    """Return False for the process that adopts the children of a launcher that was killed."""
    script, arguments = _own_arguments(), command_line(pid)
    if not script or not arguments:
        return pid != 1
    is_below_launcher = any(name in environment_of(pid) for name in LAUNCH_VARIABLES)
    return script[0] in arguments or is_below_launcher


def _follow(launchers: list[int]) -> None:
    while _ancestors(len(launchers)) == launchers:
        time.sleep(SECONDS_BETWEEN_CHECKS)
    _ended.set()
    if not _num_deferrals:
        _end()


def _end() -> None:
    with suppress(OSError):
        print("the launcher was stopped, so this process ends, too", file=sys.stderr, flush=True)
    os.kill(os.getpid(), signal.SIGTERM)


def _ancestors(num: int) -> list[int]:
    pids = [os.getppid()]
    while len(pids) < num:
        pids.append(parent_of(pids[-1]))
    return pids
