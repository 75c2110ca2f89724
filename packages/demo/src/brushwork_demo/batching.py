"""Dynamic batching: requests that wait while a model computes are computed in one batch next."""

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

# One thread for all models: each thread that calls torch starts its own pool of threads, and two
# batches at the same time would compete for the same cores.
_WORKER = ThreadPoolExecutor(max_workers=1, thread_name_prefix="models")


class Batcher(Generic[Item, Result]):
    """Turn a function of a batch into a function of one item that many threads may call.

    An error in one item fails the whole batch, so check items before the call.

    >>> double = Batcher(lambda numbers: [2 * n for n in numbers], max_batch_size=8)
    >>> double(21)
    42
    """

    def __init__(
        self, function: Callable[[list[Item]], Sequence[Result]], max_batch_size: int
    ) -> None:
        self._function = function
        self._max_batch_size = max_batch_size
        self._waiting: deque[tuple[Item, Future[Result]]] = deque()

    def __call__(self, item: Item) -> Result:
        """Wait for the batch that contains `item` and return its result."""
        return self.submit(item).result()

    def submit(self, item: Item) -> Future[Result]:
        """Add an item to the next batch and return at once."""
        future: Future[Result] = Future()
        self._waiting.append((item, future))
        # ZeroGPU reads from the context which visitor's request the GPU serves.
        _WORKER.submit(copy_context().run, self._compute)
        return future

    def _compute(self) -> None:
        num = min(self._max_batch_size, len(self._waiting))
        if not num:  # an earlier batch contained this call's item
            return
        items, futures = zip(*(self._waiting.popleft() for _ in range(num)), strict=True)
        try:
            results = self._function(list(items))
            if len(results) != num:
                raise ValueError(f"{len(results)} results for {num} items")
        except BaseException as error:
            for future in futures:
                future.set_exception(error)
            return
        for future, result in zip(futures, results, strict=True):
            future.set_result(result)


def run_in_worker(function: Callable[..., Result], *args: object) -> Result:
    """Call a function in the worker thread, without batching."""
    return _WORKER.submit(copy_context().run, function, *args).result()
