import threading
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar

import pytest

from brushwork_demo.batching import Batcher, run_in_worker


def test_items_that_wait_during_a_computation_form_the_next_batch():
    sizes, busy = [], threading.Event()

    def double(numbers):
        sizes.append(len(numbers))
        busy.wait(5)
        return [2 * n for n in numbers]

    batcher = Batcher(double, max_batch_size=4)
    with ThreadPoolExecutor(9) as visitors:
        answers = [visitors.submit(batcher, n) for n in range(9)]
        while len(batcher._waiting) + sum(sizes) < 9:
            pass
        busy.set()
        assert [answer.result(5) for answer in answers] == [2 * n for n in range(9)]
    assert max(sizes) == 4 and len(sizes) < 9


def test_an_error_reaches_every_caller_of_the_batch_and_not_the_next_one():
    def fail_on_zero(numbers):
        return [1 // n for n in numbers]

    batcher = Batcher(fail_on_zero, max_batch_size=4)
    with pytest.raises(ZeroDivisionError):
        batcher(0)
    assert batcher(1) == 1


def test_too_few_results_are_an_error_and_no_caller_waits_for_ever():
    with pytest.raises(ValueError, match="0 results for 1"):
        Batcher(lambda _: [], max_batch_size=4)(1)


def test_the_worker_runs_in_the_context_of_the_request():
    visitor = ContextVar("visitor", default="nobody")
    visitor.set("Berthe")
    assert run_in_worker(visitor.get) == "Berthe"
    assert Batcher(lambda items: [visitor.get() for _ in items], max_batch_size=4)(0) == "Berthe"
