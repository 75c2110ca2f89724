"""Many visitors, one worker: what waits while something is computed is computed together next."""

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

# One thread for all models: each thread that calls torch would keep its own pool of threads, and
# two batches at once would only take each other's cores.
_WORKER = ThreadPoolExecutor(max_workers=1, thread_name_prefix="models")


class Together(Generic[Item, Result]):
    """Turns a function of a batch into one of a single item, for many callers at once.

    A mistake in one item would spoil the batch for the others, so check items before.

    >>> double = Together(lambda numbers: [2 * n for n in numbers], most=8)
    >>> double(21)
    42
    """

    def __init__(self, function: Callable[[list[Item]], Sequence[Result]], most: int):
        self._function = function
        self._most = most
        self._waiting: deque[tuple[Item, Future[Result]]] = deque()

    def __call__(self, item: Item) -> Result:
        """The result for `item`, once its turn has come."""
        future: Future[Result] = Future()
        self._waiting.append((item, future))
        # The context tells ZeroGPU whose request it is that a GPU is lent to.
        _WORKER.submit(copy_context().run, self._work)
        return future.result()

    def _work(self) -> None:
        num = min(self._most, len(self._waiting))
        if not num:  # an earlier turn took this one's item along
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


def alone(function: Callable[..., Result], *args: object) -> Result:
    """Call a function of a model in the worker, for what is not worth a batch."""
    return _WORKER.submit(copy_context().run, function, *args).result()
