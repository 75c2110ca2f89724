import errno
import subprocess
import sys
from dataclasses import dataclass, field
from typing import Annotated

import pytest

from brushwork.errors import (
    BrushworkError,
    as_flags,
    field_names,
    report_errors,
    require_positive,
)


@dataclass(frozen=True)
class Size:
    num_steps: int = 1


@dataclass(frozen=True)
class Selection:
    min_paintings: int = 0
    size: Size = field(default_factory=Size)


@dataclass(frozen=True)
class Config:
    out: Annotated[str, "a folder"] = ""
    label: str | None = None
    selection: Selection = field(default_factory=Selection)


def test_an_error_becomes_one_sentence_and_status_1(capsys):
    with pytest.raises(SystemExit) as stop, report_errors():
        raise BrushworkError("no data in x; write it first")
    assert stop.value.code == 1
    assert capsys.readouterr() == ("", "error: no data in x; write it first\n")


def test_other_exceptions_keep_their_traceback():
    with pytest.raises(ZeroDivisionError), report_errors(Config):
        raise ZeroDivisionError


@pytest.mark.parametrize("buffered", [True, False])
@pytest.mark.parametrize("lines", [1, 10_000])
def test_a_reader_that_has_gone_is_no_traceback(buffered, lines):
    code = (
        "import sys; from brushwork.errors import report_errors\n"
        f"with report_errors():\n  sys.stdin.read()\n  for i in range({lines}): print(i)"
    )
    flags = [] if buffered else ["-u"]
    pipe = subprocess.PIPE
    script = subprocess.Popen(
        [sys.executable, *flags, "-c", code], stdin=pipe, stdout=pipe, stderr=pipe
    )
    script.stdout.close()
    script.stdin.close()
    assert script.wait(60) == 1
    with script.stderr:
        assert script.stderr.read() == b""


def test_another_broken_pipe_keeps_its_traceback():
    with pytest.raises(BrokenPipeError), report_errors():
        raise BrokenPipeError


def test_a_place_that_cannot_be_written_is_one_sentence(capsys):
    with pytest.raises(SystemExit) as end, report_errors():
        raise OSError(errno.ENOSPC, "No space left on device", "out/report.json")
    assert end.value.code == 1
    assert capsys.readouterr().err == (
        "error: cannot write out/report.json: No space left on device\n"
    )
    with pytest.raises(SystemExit), report_errors():
        raise OSError(errno.ENOSPC, "No space left on device")  # of `write`
    assert capsys.readouterr().err == "error: cannot write a file: No space left on device\n"
    with pytest.raises(SystemExit), report_errors():
        raise OSError(errno.EACCES, "Permission denied", "paintings/table.csv")
    assert capsys.readouterr().err == "error: cannot open paintings/table.csv: Permission denied\n"
    with pytest.raises(FileNotFoundError), report_errors():
        raise FileNotFoundError(errno.ENOENT, "No such file", "a bug")


def test_ctrl_c_is_one_line_and_the_status_that_shells_expect(capsys):
    with pytest.raises(SystemExit) as end, report_errors():
        raise KeyboardInterrupt
    assert end.value.code == 130
    assert capsys.readouterr().err == "stopped by Ctrl-C\n"


def test_the_flags_of_nested_groups_are_found_and_the_groups_are_no_flags():
    assert field_names(Config) == {"out", "label", "min_paintings", "num_steps"}


def test_parameters_of_groups_are_shown_as_flags(capsys):
    message = "lower `min_paintings`, `num_steps` or `label`; `selection` and `pip install x` stay"
    with pytest.raises(SystemExit), report_errors(Config):
        raise BrushworkError(message)
    assert capsys.readouterr().err == (
        "error: lower --min-paintings, --num-steps or --label; `selection` and `pip install x` "
        "stay\n"
    )


def test_a_function_without_flags_shows_parameters_as_they_are(capsys):
    with pytest.raises(SystemExit), report_errors():
        raise BrushworkError("lower `min_paintings`")
    assert capsys.readouterr().err == "error: lower `min_paintings`\n"


def test_a_name_that_contains_a_flag_is_not_a_flag():
    assert as_flags("`out_of_memory` at out", {"out"}) == "`out_of_memory` at out"


@pytest.mark.parametrize("value", [0, -1, -0.5, float("nan")])
def test_a_setting_must_be_above_zero(value):
    with pytest.raises(BrushworkError, match=rf"^`lr` is {value:g}; it must be above 0$"):
        require_positive({"steps": 1, "lr": value}, "steps", "lr")


def test_settings_in_range_pass_and_unnamed_ones_are_not_checked():
    require_positive({"lr": 1e-9, "seed": -1}, "lr")
