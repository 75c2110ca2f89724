"""What a person reads while a training runs, with a clock that the test sets."""

import math

import pytest

from brushwork.training import progress
from brushwork.training.progress import Progress


@pytest.fixture
def clock(monkeypatch):
    """The monotonic clock; set its first item."""
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def train(shown, steps, seconds_per_step=1.0):
    for step in range(1, steps + 1):
        shown.update(step, step * seconds_per_step)


def test_the_whole_time_is_measured_once_after_the_first_steps(capsys):
    with Progress(600, math.inf, step=0, seconds=0) as shown:
        train(shown, 12)
        assert capsys.readouterr().out == ""
        train(shown, 100)
        printed = capsys.readouterr().out
        assert printed == "it will take about 10 min, estimated from the first steps\n"
        assert shown.state() == "step 100 of 600, about 8 min left"


def test_slow_steps_are_measured_sooner(capsys):
    with Progress(600, math.inf, step=0, seconds=0) as shown:
        train(shown, 4, seconds_per_step=30)
    assert "about 4 h 58 min" in capsys.readouterr().out


def test_a_limit_of_time_decides_what_is_left_and_is_not_measured():
    with Progress(math.inf, limit=120, step=0, seconds=0) as shown:
        train(shown, 60)
        assert shown.state() == "step 60, about 1 min left"
    with Progress(10**6, limit=120, step=0, seconds=0) as shown:
        train(shown, 60)
        assert shown.state() == "step 60 of 1,000,000, about 1 min left"


def test_a_resumed_training_measures_its_own_speed():
    with Progress(1000, math.inf, step=900, seconds=9 * 3600) as shown:
        for step in range(901, 941):
            shown.update(step, 9 * 3600 + step - 900)
        assert shown.state() == "step 940 of 1,000, about 1 min left"


def test_a_line_is_due_every_minute_in_the_first_process_only(clock, capsys):
    with (
        Progress(100, math.inf, step=0, seconds=0) as shown,
        Progress(100, math.inf, step=0, seconds=0, visible=False) as hidden,
    ):
        due = []
        for second in range(0, 200, 10):
            clock[0] = second
            if shown.is_due():
                due.append(second)
                shown.report("blurred")
            assert not hidden.is_due()
        hidden.say("nothing")
    assert due == [60, 120, 180]
    assert capsys.readouterr().out == "step 0 of 100: blurred\n" * 3


def test_lines_that_take_long_come_rarely(clock):
    with Progress(100, math.inf, step=0, seconds=0) as shown:
        clock[0] = 60
        assert shown.is_due()
        clock[0] = 65  # the work for the line took five seconds
        shown.report("blurred")
        clock[0] = 565 - 1
        assert not shown.is_due()
        clock[0] = 565
        assert shown.is_due()


def test_a_log_file_gets_no_bar(capsys):
    with Progress(10_000, math.inf, step=0, seconds=0) as shown:
        train(shown, 9_000, seconds_per_step=0.5)
    printed = capsys.readouterr()
    assert printed.err == "" and len(printed.out.splitlines()) == 1
