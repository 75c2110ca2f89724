"""Processes that decode, apart from the one that trains.

They are plain `python` children that import Pillow and NumPy only: neither torch nor the script
that started them, as multiprocessing's would. A file that kills its decoder costs a process and,
if it does so again alone in a fresh one, that one painting; the others don't notice.
"""

import os
import pickle
import queue
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress

from brushwork.data.decode import Limits, Rejected, to_jpeg
from brushwork.data.readers import Reader
from brushwork.errors import BrushworkError

ROWS_PER_MESSAGE = 8


MAX_MEMORY = 4 << 30  # bytes that one worker may allocate, a net below the limits in pixels


Answer = bytes | Rejected


Decode = Callable[[Sequence[int]], Iterator[Answer]]


class Worker:
    """One decoding process, started when it is first needed and again after it died."""

    def __init__(self, reader: Reader, side: int, limits: Limits) -> None:
        self.setup = pickle.dumps((reader, side, limits))
        self.process: subprocess.Popen[bytes] | None = None
        self.closed = False

    def decode(self, rows: Sequence[int]) -> list[Answer]:
        """The JPEG of each row, or why there is none."""
        with suppress(EOFError, OSError, pickle.UnpicklingError):
            return self._ask(rows)
        if self.closed:
            return []
        status = self.stop()
        if len(rows) > 1:
            return [answer for row in rows for answer in self.decode([row])]
        with suppress(EOFError, OSError, pickle.UnpicklingError):
            return self._ask(rows)
        self.stop()
        return [Rejected(f"its decoder died twice (exit status {status})")]

    def _ask(self, rows: Sequence[int]) -> list[Answer]:
        process = self.process = self.process or self._start()
        assert process.stdin and process.stdout
        pickle.dump(list(rows), process.stdin)
        process.stdin.flush()
        return pickle.load(process.stdout)

    def _start(self) -> subprocess.Popen[bytes]:
        start = f"import sys; sys.path[:] = {sys.path!r}; "
        start += "from brushwork.data.decoder_pool import serve; serve()"
        with tempfile.TemporaryFile() as errors:
            process = subprocess.Popen(
                [sys.executable, "-c", start],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,  # Ctrl-C is for the parent to handle
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
                said = errors.read().decode(errors="replace").strip().rpartition("\n")[2]
                raise BrushworkError(f"a decoding process did not start: {said}") from None
        return process

    def stop(self) -> int:
        """End the process, if there is one, and give its exit status."""
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
def decoding(reader: Reader, side: int, limits: Limits, workers: int) -> Iterator[Decode]:
    """A function from row numbers to their answers, in order, spread over `workers` processes."""
    pool = [Worker(reader, side, limits) for _ in range(workers)]
    idle: queue.SimpleQueue[Worker] = queue.SimpleQueue()
    for worker in pool:
        idle.put(worker)

    def run(rows: Sequence[int]) -> list[Answer]:
        worker = idle.get()
        try:
            return worker.decode(rows)
        finally:
            idle.put(worker)

    threads = ThreadPoolExecutor(workers, thread_name_prefix="decode")

    def decode(rows: Sequence[int]) -> Iterator[Answer]:
        # A window keeps the finished pictures few when the disk is slower than the decoders.
        waiting: deque[Future[list[Answer]]] = deque()
        for first in range(0, len(rows), ROWS_PER_MESSAGE):
            waiting.append(threads.submit(run, rows[first : first + ROWS_PER_MESSAGE]))
            if len(waiting) > 2 * workers:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()

    try:
        yield decode
    finally:
        for worker in pool:
            worker.closed = True
            if worker.process:
                worker.process.kill()
        threads.shutdown(cancel_futures=True)
        for worker in pool:
            worker.stop()


def serve() -> None:
    """The life of a decoding process: rows in on stdin, answers out on stdout."""
    _limit_memory(MAX_MEMORY)
    tasks, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a C library prints must not get between the answers
    with suppress(EOFError, BrokenPipeError):
        reader, side, limits = pickle.load(tasks)
        rows: list[int] = []
        while True:
            pickle.dump([_answer(reader, row, side, limits) for row in rows], answers)
            answers.flush()
            rows = pickle.load(tasks)


def _answer(reader: Reader, row: int, side: int, limits: Limits) -> Answer:
    try:
        return to_jpeg(reader(row), side, limits)
    except Rejected as reason:
        return reason
    except Exception as error:  # the file went away, or the dataset can't be read here
        return Rejected(str(error) or type(error).__name__)


def _limit_memory(num_bytes: int) -> None:
    with suppress(ImportError, ValueError, OSError):  # not every system has it
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (num_bytes, num_bytes))
