"""Set the number of processor threads that torch computes with."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from brushwork.machine import keep_freed_memory, num_cores


def use_all_cores() -> None:
    """Divide the cores among this machine's training processes, and keep freed memory.

    Accelerate would give each process a single thread.
    """
    keep_freed_memory()
    processes = int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    torch.set_num_threads(max(1, num_cores() // processes))


@contextmanager
def single_thread() -> Iterator[None]:
    """Limit torch to one thread inside the block; meant for matrix decompositions.

    In a decomposition with several threads, the threads wait for one another at every column.
    Several threads are a little faster on idle cores and a hundred times slower on busy ones.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
