import threading
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar

import pytest

from brushwork_demo.together import Together, alone


def test_what_waits_while_something_is_computed_is_computed_together():
    sizes, busy = [], threading.Event()

    def double(numbers):
        sizes.append(len(numbers))
        busy.wait(5)
        return [2 * n for n in numbers]

    together = Together(double, most=4)
    with ThreadPoolExecutor(9) as visitors:
        answers = [visitors.submit(together, n) for n in range(9)]
        while len(together._waiting) + sum(sizes) < 9:
            pass
        busy.set()
        assert [answer.result(5) for answer in answers] == [2 * n for n in range(9)]
    assert max(sizes) == 4 and len(sizes) < 9


def test_a_failure_reaches_everyone_who_waited_and_the_next_is_served():
    def fail_on_zero(numbers):
        return [1 // n for n in numbers]

    together = Together(fail_on_zero, most=4)
    with pytest.raises(ZeroDivisionError):
        together(0)
    assert together(1) == 1


def test_too_few_results_are_an_error_and_not_a_visitor_who_waits_for_ever():
    with pytest.raises(ValueError, match="0 results for 1"):
        Together(lambda _: [], most=4)(1)


def test_the_worker_sees_whose_request_it_is():
    visitor = ContextVar("visitor", default="nobody")
    visitor.set("Berthe")
    assert alone(visitor.get) == "Berthe"
    assert Together(lambda items: [visitor.get() for _ in items], most=4)(0) == "Berthe"
