"""A pool of processes that decode pictures and survive files that crash a decoder.

multiprocessing and concurrent.futures do not serve here: their children import torch and the
script that started them, and one crashed child breaks the whole pool.

The processes here are plain `python` children that import Pillow and NumPy only. When a file
crashes its process, the file is decoded again in a new process. If it crashes that one too, this
one painting is rejected. So is a painting that takes too long: its process is killed.
"""

import math
import os
import pickle
import queue
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from threading import Event, Thread

from brushwork.data.decode import Limits, Rejected, to_jpeg
from brushwork.data.readers import Reader
from brushwork.errors import BrushworkError

ROWS_PER_MESSAGE = 8


MAX_SECONDS = 60.0  # of one picture


MAX_MEMORY = 4 << 30  # bytes that one worker may allocate, in case the limits in pixels fail


Decoded = bytes | Rejected
"""A JPEG, or the reason why there is none."""


Decode = Callable[[Sequence[int]], Iterator[Decoded]]
"""A function from row numbers to their JPEGs or reasons of rejection, in the same order."""


class Worker:
    """One decoding process; it starts when it is first needed, and again after a crash."""

    def __init__(self, reader: Reader, side: int, limits: Limits, max_seconds: float) -> None:
        self.setup = pickle.dumps((reader, side, limits))
        self.max_seconds = max_seconds
        self.process: subprocess.Popen[bytes] | None = None
        self.closed = False
        self.num_rows = 0  # rows that the process was given so far
        self.row_since = math.inf  # when it began with the last of them
        self.late_row = 0  # number of the last row that took too long

    def decode(self, rows: Sequence[int]) -> list[Decoded]:
        """Decode rows; a row that takes too long, or crashes the process twice, is rejected."""
        decoded: list[Decoded] = []
        crashed_at = -1
        while len(decoded) < len(rows):
            try:
                for answer in self._send(rows[len(decoded) :]):
                    decoded.append(answer)
            except (EOFError, OSError, pickle.UnpicklingError):
                if self.closed:
                    return []
                status = self.stop()
                if self.late_row == self.num_rows:
                    limit = f"{self.max_seconds:g} s"
                    reason = f"decoding takes more than {limit}"
                    decoded.append(Rejected(reason, "raise `max_seconds`"))
                elif crashed_at == len(decoded):
                    reason = f"the decoder crashed twice on this file (exit status {status})"
                    decoded.append(Rejected(reason))
                else:
                    crashed_at = len(decoded)
        return decoded

    def _send(self, rows: Sequence[int]) -> Iterator[Decoded]:
        """Send rows to the process, started if there is none, and wait for each result."""
        process = self.process = self.process or self._start()
        assert process.stdin and process.stdout
        pickle.dump(list(rows), process.stdin)
        process.stdin.flush()
        try:
            for _ in rows:
                self.num_rows += 1
                self.row_since = time.monotonic()
                yield pickle.load(process.stdout)
        finally:
            self.row_since = math.inf

    def kill_if_late(self) -> None:
        """End the process if its present row takes too long; another thread calls this."""
        row, since, process = self.num_rows, self.row_since, self.process
        if process and time.monotonic() - since > self.max_seconds and row == self.num_rows:
            self.late_row = row
            process.kill()

    def _start(self) -> subprocess.Popen[bytes]:
        """Start a process and wait until it has received its reader."""
        start = f"import sys; sys.path[:] = {sys.path!r}; "
        start += "from brushwork.data.decoder_pool import serve; serve()"
        with tempfile.TemporaryFile() as errors:
            process = subprocess.Popen(
                [sys.executable, "-c", start],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,  # Ctrl-C then reaches the parent only
                env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            )
            assert process.stdin and process.stdout
            try:
                process.stdin.write(self.setup)
                process.stdin.flush()
                pickle.load(process.stdout)
            except (EOFError, OSError, pickle.UnpicklingError):
                process.kill()
                process.communicate()
                errors.seek(0)
                last_line = errors.read().decode(errors="replace").strip().rpartition("\n")[2]
                raise BrushworkError(f"a decoding process did not start: {last_line}") from None
        return process

    def stop(self) -> int:
        """End the process, if there is one, and return its exit status."""
        if self.process is None:
            return 0
        process, self.process = self.process, None
        for pipe in (process.stdin, process.stdout):
            with suppress(OSError):
                if pipe:
                    pipe.close()
        with suppress(subprocess.TimeoutExpired):
            return process.wait(timeout=1)
        process.kill()
        return process.wait()


@contextmanager
def decoding(
    reader: Reader, side: int, limits: Limits, workers: int, max_seconds: float = MAX_SECONDS
) -> Iterator[Decode]:
    """Provide a function that decodes rows, spread over several processes.

    Args:
        reader: reads the picture of a row; each process receives a pickled copy.
        side: short side of the JPEGs; see `to_jpeg`.
        limits: limits of a picture's size; larger pictures are rejected.
        workers: number of processes, at least 1.
        max_seconds: longest time to decode one picture; a picture that takes longer is rejected.

    Yields:
        A function that takes row numbers and returns, in the same order, a JPEG or the reason of
        the rejection for each. It works until the `with` block ends.
    """
    pool = [Worker(reader, side, limits, max_seconds) for _ in range(workers)]
    idle: queue.SimpleQueue[Worker] = queue.SimpleQueue()
    for worker in pool:
        idle.put(worker)

    def run(rows: Sequence[int]) -> list[Decoded]:
        worker = idle.get()
        try:
            return worker.decode(rows)
        finally:
            idle.put(worker)

    threads = ThreadPoolExecutor(workers, thread_name_prefix="decode")

    def decode(rows: Sequence[int]) -> Iterator[Decoded]:
        # A short queue: finished pictures would fill the memory if the disk is slow.
        waiting: deque[Future[list[Decoded]]] = deque()
        for first in range(0, len(rows), ROWS_PER_MESSAGE):
            waiting.append(threads.submit(run, rows[first : first + ROWS_PER_MESSAGE]))
            if len(waiting) > 2 * workers:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()

    ended = Event()

    def watch() -> None:
        while not ended.wait(min(1.0, max_seconds / 4)):
            for worker in pool:
                worker.kill_if_late()

    Thread(target=watch, name="decode-time-limit", daemon=True).start()
    try:
        yield decode
    finally:
        ended.set()
        for worker in pool:
            worker.closed = True
            if worker.process:
                worker.process.kill()
        threads.shutdown(cancel_futures=True)
        for worker in pool:
            worker.stop()


def serve() -> None:
    """Run a decoding process: read row numbers from stdin and write JPEGs or reasons to stdout."""
    limit_memory(MAX_MEMORY)
    tasks, results = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a C library prints must not be mixed with the results
    with suppress(EOFError, BrokenPipeError):
        reader, side, limits = pickle.load(tasks)
        pickle.dump("ready", results)
        results.flush()
        while True:
            for row in pickle.load(tasks):
                pickle.dump(_decode(reader, row, side, limits), results)
                results.flush()


def _decode(reader: Reader, row: int, side: int, limits: Limits) -> Decoded:
    """Decode one row; whatever goes wrong becomes a reason."""
    try:
        return to_jpeg(reader(row), side, limits)
    except Rejected as reason:
        return reason
    except Exception as error:  # the file was deleted, or the dataset cannot be read
        return Rejected(str(error) or type(error).__name__)


def limit_memory(num_bytes: int) -> None:
    """Limit how much memory this process may allocate, on systems that can."""
    with suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (num_bytes, num_bytes))
