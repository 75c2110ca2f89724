"""Processes that are forked where torch is imported already: starting one takes milliseconds.

A process of its own costs up to ten seconds of imports. A `ForkServer` is a process with a single
thread that has imported packages and then waits; for each request it forks a child, which runs a
script, a module or code as its main program. The child is a real process, with its own memory,
files and signals; only the imports are those of the server.
"""

import atexit
import importlib
import logging
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from multiprocessing import Pipe, util
from multiprocessing.connection import Connection
from pathlib import Path

import torch

LATE = ("matplotlib.figure", "ot", "pyarrow.dataset", "torch._dynamo")
"""Packages that scripts import only when they need them, which would take each child seconds."""


class ForkServer:
    """A process that forks children; it ends with the process that made it.

    Args:
        prepare: called once in it.
    """

    def __init__(self, prepare: Callable[[], object] = lambda: None) -> None:
        for package in LATE:
            importlib.import_module(package)
        ours, theirs = Pipe()
        with warnings.catch_warnings():
            # The threads of pytest-xdist, of which Python warns, hold nothing that is used here.
            warnings.simplefilter("ignore", DeprecationWarning)
            process = os.fork()
        if process == 0:
            ours.close()
            prepare()
            serve(theirs)
        theirs.close()
        self.connection = ours

    def ask(self, *request: object) -> object:
        self.connection.send(request)
        return self.connection.recv()

    def start(
        self,
        *line: object,
        environment: Mapping[str, str] | None = None,
        niceness: int = 0,
        fork_children: bool = False,
        without: Sequence[str] | None = None,
    ) -> "Fork":
        """Start a process, which computes with one thread unless its environment says otherwise.

        Sums over more threads are rounded differently, and `run_script` has one thread, too.

        Args:
            line: what would follow "python" in a shell: a script, or -m and a module, or -c and
                code; and its arguments.
            environment: variables in addition to those of this process.
            niceness: how far it gives way to other processes.
            fork_children: whether the Python processes that it starts are forked from it.
            without: packages that it cannot import; it has imported nothing of brushwork then.
        """
        return Fork(
            self,
            [*map(str, line)],
            {**os.environ, "LOCAL_WORLD_SIZE": "1000", **(environment or {})},
            niceness,
            fork_children,
            without,
        )

    def run(self, *line: object, **options) -> "Fork":
        """Start a process and wait for its end."""
        with self.start(*line, **options) as process:
            process.wait(300)
        return process

    def run_two(self, *line: object) -> "list[Fork]":
        """Run two processes of one group, on the CPU, as `accelerate launch` starts them."""
        with socket.socket() as held:
            # The group may listen on this port, but nothing else gets it in the meantime.
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            held.bind(("127.0.0.1", 0))
            return self._run_group(held.getsockname()[1], *line)

    def _run_group(self, port: int, *line: object) -> "list[Fork]":
        group = {
            "WORLD_SIZE": "2",
            "LOCAL_WORLD_SIZE": "2",
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
            "OMP_NUM_THREADS": "1",
            "ACCELERATE_USE_CPU": "true",
            "ACCELERATE_MIXED_PRECISION": "no",
            "ACCELERATE_DYNAMO_BACKEND": "no",
        }
        ranks = [{"RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(2)]
        processes = [self.start(*line, environment=group | rank) for rank in ranks]
        try:
            deadline = time.monotonic() + 300
            while any(process.poll() is None for process in processes):
                if any(process.returncode for process in processes):
                    break  # the other one would wait for ever
                assert time.monotonic() < deadline, "two processes do not end"
                time.sleep(0.02)
        finally:
            for process in processes:
                process.close()
        return processes


class Fork:
    """A process that a `ForkServer` forked, with the names of `subprocess.Popen`.

    Attributes:
        stdout: what it has printed until now.
        stderr: what it has printed until now to stderr.
    """

    def __init__(
        self,
        server: ForkServer,
        line: list[str],
        environment: dict[str, str],
        niceness: int,
        fork_children: bool,
        without: Sequence[str] | None,
    ) -> None:
        self._server = server
        self._folder = tempfile.TemporaryDirectory(prefix="fork-")
        self._files = [str(Path(self._folder.name, name)) for name in ("stdout", "stderr")]
        self._printed = ["", ""]
        self.returncode: int | None = None
        self.pid = server.ask(
            "start", line, environment, Path.cwd(), self._files, niceness, fork_children, without
        )

    @property
    def stdout(self) -> str:
        return self._read(0)

    @property
    def stderr(self) -> str:
        return self._read(1)

    def _read(self, which: int) -> str:
        if self._folder.name and Path(self._files[which]).exists():
            self._printed[which] = Path(self._files[which]).read_text(errors="replace")
        return self._printed[which]

    def poll(self) -> int | None:
        if self.returncode is None:
            self.returncode = self._server.ask("poll", self.pid)
        return self.returncode

    def wait(self, timeout: float) -> int:
        deadline = time.monotonic() + timeout
        while self.poll() is None:
            if time.monotonic() > deadline:
                raise TimeoutError(f"the process does not end:\n{self.stdout}\n{self.stderr}")
            time.sleep(0.01)
        return self.returncode

    def send_signal(self, which: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, which)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def close(self) -> None:
        """Kill it if it has not ended, and remove its files; what it printed is kept."""
        self.kill()
        self.wait(60)
        self.stdout, self.stderr  # noqa: B018
        self._folder.cleanup()

    def __enter__(self) -> "Fork":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def serve(connection: Connection) -> None:
    """Answer requests until the other end is closed; never returns."""
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        while True:
            what, *request = connection.recv()
            if what == "poll":
                ended, status = os.waitpid(request[0], os.WNOHANG)
                connection.send(os.waitstatus_to_exitcode(status) if ended else None)
                continue
            line, environment, folder, files, niceness, fork_children, without = request
            process = os.fork()
            if process == 0:
                connection.close()
                outputs = [os.open(file, os.O_WRONLY | os.O_CREAT, 0o600) for file in files]
                os.nice(niceness)
                os.chdir(folder)
                become(line, environment, os.open(os.devnull, os.O_RDONLY), *outputs,
                       before=partial(forget, without),
                       fork_children=fork_children)  # fmt: skip
            connection.send(process)
    except EOFError:
        pass
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(0)


def forget(packages: Sequence[str] | None) -> None:
    """Drop what is imported of this repository, and make it impossible to import some packages."""
    if packages is None:
        return
    for name in [*sys.modules]:
        if name.partition(".")[0] in ("brushwork", "brushwork_demo", *packages):
            del sys.modules[name]
    sys.modules.update(dict.fromkeys(packages))


def become(
    line: Sequence[str],
    environment: Mapping[str, str] | None,
    *files: int,
    before: Callable[[], object] = lambda: None,
    fork_children: bool = False,
) -> None:
    """Let this process, which was just forked, be a Python that runs a line; never returns.

    Args:
        line: the arguments of Python.
        environment: all variables; None for those that it has.
        files: descriptors of stdin, stdout and stderr; -1 for those that it has.
        before: called first.
        fork_children: whether the Python processes that it starts are forked.
    """
    code = 1
    try:
        for target, file in enumerate(files):
            if file not in (-1, target):
                os.dup2(file, target)
        sys.stdin = open(0, closefd=False)  # noqa: SIM115
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
        before()
        # What pytest has set, and what a fresh process does not have.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        atexit._clear()
        tempfile.tempdir = None
        warnings.resetwarnings()
        logging.getLogger().handlers.clear()
        if environment is not None:
            os.environ.clear()
            os.environ.update(environment)
        torch.set_num_threads(1)
        if fork_children:
            for module in [*sys.modules.values()]:
                if vars(module).get("Popen") is subprocess.Popen and module is not subprocess:
                    module.Popen = ForkingPopen
            subprocess.Popen = ForkingPopen
        code = run_line([part for part in line if part != "-u"])
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    finally:
        try:
            threading._shutdown()  # waits for its threads
            atexit._run_exitfuncs()
            util._exit_function()  # ends the processes that it started by `multiprocessing`
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(code)


def run_line(line: Sequence[str]) -> int:
    """Run what would follow "python" in a shell."""
    kind, rest = line[0], [*line[1:]]
    if kind == "-c":
        sys.argv = [kind, *rest[1:]]
        exec(compile(rest[0], "<string>", "exec"), {"__name__": "__main__"})
    elif kind == "-m":
        sys.argv = rest
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    else:
        sys.argv = [kind, *rest]
        sys.path.insert(0, str(Path(kind).parent))
        runpy.run_path(kind, run_name="__main__")
    return 0


class ForkingPopen(subprocess.Popen):
    """A `subprocess.Popen` that forks, and executes nothing, to start a Python script."""

    def _execute_child(self, args, executable, preexec_fn, close_fds, pass_fds, cwd, env,
                       startupinfo, creationflags, shell, p2cread, p2cwrite, c2pread, c2pwrite,
                       errread, errwrite, restore_signals, gid, gids, uid, umask,
                       start_new_session, *rest):  # fmt: skip
        if not isinstance(args, list | tuple) or args[0] != sys.executable:
            super()._execute_child(
                *(args, executable, preexec_fn, close_fds, pass_fds, cwd, env, startupinfo),
                *(creationflags, shell, p2cread, p2cwrite, c2pread, c2pwrite, errread, errwrite),
                *(restore_signals, gid, gids, uid, umask, start_new_session, *rest),
            )
            return
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if self.pid == 0:

            def before():
                if start_new_session:
                    os.setsid()
                if preexec_fn:
                    preexec_fn()

            become(args[1:], env, p2cread, c2pwrite, errwrite, before=before, fork_children=True)
        self._child_created = True
        self._close_pipe_fds(p2cread, p2cwrite, c2pread, c2pwrite, errread, errwrite)
