"""How many processor threads torch computes with."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from brushwork.machine import keep_freed_memory, num_cores


def use_all_cores() -> None:
    """Share the cores among this machine's processes, and keep freed memory for later tensors.

    Accelerate would give each process a single thread.
    """
    keep_freed_memory()
    processes = int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    torch.set_num_threads(max(1, num_cores() // processes))


@contextmanager
def single_thread() -> Iterator[None]:
    """Let torch use one thread inside the block, as matrix decompositions should.

    Their threads wait for one another at every column, which is a little faster on idle cores and
    a hundred times slower on busy ones.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
