"""Finished jobs stay finished, and the trainings share the time that is left."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from brushwork.errors import BrushworkError
from brushwork.reproduction.budget import Job, Journal, seconds_trained


def training(name, folder, share=1, unit="steps", images=10):
    return Job(
        name=name,
        script="train",
        flags=(),
        out=folder / name,
        share=share,
        probe=folder / "probe",
        unit=unit,
        images_per_unit=images,
    )


def evaluation(name, folder):
    return Job(name=name, script="evaluate", flags=(), out=folder)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "probe").mkdir()
    line = json.dumps({"step": 5, "images_per_second": 20.0})
    (tmp_path / "probe" / "metrics.jsonl").write_text(line + "\n")
    return tmp_path


def test_a_training_gets_its_share_of_what_evaluations_leave(folder):
    journal = Journal(folder, {})
    evaluations = [evaluation(name, folder) for name in ("a", "b")]
    journal.note(evaluations[0], seconds=25.0)
    parts = [training("long", folder, 3), training("short", folder), evaluations[1]]
    # 125 seconds less 25 of the other evaluation; three quarters of 100 at 20 images/s, tens.
    assert journal.length(parts[0], parts, 125) == 150
    assert journal.length(parts[0], parts[:1], 9999) == 150, "decided once"
    assert Journal(folder, {}).length(parts[0], parts[:1], 9999) == 150, "and kept"


def test_a_training_that_is_measured_on_its_way_takes_the_time_of_evaluations_too(folder):
    journal = Journal(folder, {})
    journal.note(evaluation("a", folder), seconds=25.0)
    measured = replace(training("measured", folder), evaluations=("evaluate",) * 2)
    assert journal.length(measured, [measured], 150) == 200


def test_a_training_leaves_time_for_what_it_does_besides_training(folder):
    journal = Journal(folder, {})
    for name, overhead in (("a", 10.0), ("b", 20.0), ("c", 90.0)):
        journal.note(training(name, folder), length=1, seconds=100.0, overhead=overhead)
    job = training("next", folder)
    assert journal.length(job, [job], 120) == 200  # the median of the overheads is 20


def test_a_line_that_waited_for_something_does_not_decide_a_length(folder):
    speeds = [3.0, 1.0, 20.0, 20.0, 0.5]
    lines = [json.dumps({"step": i, "images_per_second": v}) for i, v in enumerate(speeds)]
    (folder / "probe" / "metrics.jsonl").write_text("\n".join([*lines, '{"step": 5}']) + "\n")
    part = training("part", folder)
    assert Journal(folder, {}).length(part, [part], 100) == 200


def test_without_time_a_training_is_as_short_as_can_be(folder):
    part, longer = training("late", folder), replace(training("later", folder), min_length=7)
    assert Journal(folder, {}).length(part, [part], -50) == 1
    assert Journal(folder, {}).length(longer, [longer], -50) == 7


def test_a_journal_knows_what_is_finished_and_under_which_settings(folder):
    journal = Journal(folder, {"seed": 0, "out": Path("x")})
    journal.note(training("done", folder), command="uv run it", seconds=3.0)
    journal.note(training("begun", folder), command="uv run that")
    again = Journal(folder, {"seed": 0, "out": Path("x")})
    assert [*again.finished] == ["done"] and again.spent == 3.0
    with pytest.raises(BrushworkError, match="contains results with seed 0, not 1"):
        Journal(folder, {"seed": 1, "out": Path("x")})


def test_a_training_that_was_stopped_is_not_finished(folder):
    part = training("part", folder, unit="epochs")
    with pytest.raises(BrushworkError, match="part was stopped; run the same command"):
        seconds_trained(part, 2)
    part.out.mkdir()
    lines = [{"epoch": 1, "seconds": 4.0}, {"epoch": 2, "seconds": 9.0}]
    (part.out / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert seconds_trained(part, 2) == 9.0
    with pytest.raises(BrushworkError, match="stopped"):
        seconds_trained(part, 3)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"settings": {}, "parts": 1}'])
def test_a_broken_journal_is_one_sentence(folder, content):
    journal = Journal(folder, {})
    journal.file.write_text(content)
    with pytest.raises(BrushworkError, match=r"is broken .*; delete it"):
        Journal(folder, {})
