import subprocess
import sys

import pytest


def run(*flags):
    command = [sys.executable, "-m", "brushwork_demo", *flags]
    return subprocess.run(command, capture_output=True, text=True)


def test_help_names_every_flag_without_opening_a_model():
    done = run("--help")
    assert done.returncode == 0
    for flag in ("--generator", "--classifier", "--host", "--port", "--share", "--auth", "--mcp"):
        assert flag in done.stdout


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--auth", "name"], "--auth 'name' is not NAME:PASSWORD"),
        (["--port", "70000"], "--port 70000 is not between 1 and 65535"),
        (["--host", "no.such.host.invalid", "--port", "7860"], "--host no.such.host.invalid"),
    ],
)
def test_a_flag_that_makes_no_sense_is_one_sentence(flags, sentence):
    done = run(*flags)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ") and sentence in done.stderr
    assert "Traceback" not in done.stderr
