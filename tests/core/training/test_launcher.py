"""Processes that end with their launcher; the processes here import no torch."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from brushwork.training import launcher

linux = pytest.mark.skipif(sys.platform != "linux", reason="launchers are found in /proc")

EXPERIMENTS = Path(__file__).parents[3] / "experiments"

LAUNCHER = """
import os, subprocess, sys
environment = {**os.environ, "ACCELERATE_DYNAMO_MODE": "default"}
subprocess.run([sys.executable, *sys.argv[1:]], env=environment)
"""

TRAINING = """
import sys, time
from brushwork.training import launcher
if sys.argv[1] == "orphan":
    print("started", flush=True)
    sys.stdin.readline()
launcher.SECONDS_BETWEEN_CHECKS = 0.01
launcher.follow_launcher()
print("following", len(launcher.find_launchers()), flush=True)
if sys.argv[1] == "deferred":
    with launcher.deferred():
        while not launcher.has_ended():
            time.sleep(0.01)
    print("saved", flush=True)
else:
    time.sleep(60)
"""


@pytest.fixture
def launch(tmp_path):
    """Start a launcher of a launcher, whose last child runs the code above in a given manner."""
    (tmp_path / "launch.py").write_text(LAUNCHER)
    (tmp_path / "training.py").write_text(TRAINING)
    script = str(tmp_path / "training.py")
    started = []

    def launch(manner, num_launchers=1):
        launchers = [str(tmp_path / "launch.py")] * num_launchers
        process = subprocess.Popen(
            [sys.executable, *launchers, script, manner],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield launch
    for process in started:
        process.kill()
        process.communicate()


def read_to_end(process):
    """Read the output of a process and of its children, which ends when the last one ends.

    A child that is not ended sleeps for longer than the timeout.
    """
    return process.communicate("\n", timeout=50)


@linux
@pytest.mark.parametrize("which", [signal.SIGTERM, signal.SIGKILL])
def test_a_process_ends_when_its_launcher_is_killed(launch, which):
    process = launch("plain")
    assert process.stdout.readline() == "following 1\n"
    process.send_signal(which)
    assert "the launcher was stopped" in read_to_end(process)[1]


@linux
def test_it_may_save_first(launch):
    process = launch("deferred")
    assert process.stdout.readline() == "following 1\n"
    process.kill()
    assert read_to_end(process) == ("saved\n", "")


@linux
def test_a_launcher_of_the_launcher_is_followed_too(launch):
    process = launch("plain", num_launchers=2)
    assert process.stdout.readline() == "following 2\n"
    process.kill()
    assert "the launcher was stopped" in read_to_end(process)[1]


@linux
def test_a_launcher_that_is_gone_at_the_start_is_noticed(launch):
    process = launch("orphan")
    assert process.stdout.readline() == "started\n"
    process.kill()
    process.wait()
    out, error = read_to_end(process)
    assert out == "" and "the launcher was stopped" in error


@linux
@pytest.mark.parametrize("script", ["train_gan.py", "train_classifier.py"])
@pytest.mark.parametrize("which", [signal.SIGTERM, signal.SIGKILL])
def test_a_training_ends_while_it_still_imports(script, which, tmp_path):
    """The first package that takes seconds to import is replaced by one that takes a minute."""
    for package in ("accelerate", "numpy", "pandas", "torch", "tyro"):
        slow = "import time; print('importing', flush=True); time.sleep(60)"
        (tmp_path / f"{package}.py").write_text(slow)
    (tmp_path / "launch.py").write_text(LAUNCHER)
    paths = os.environ.get("PYTHONPATH", "")
    process = subprocess.Popen(
        [sys.executable, tmp_path / "launch.py", EXPERIMENTS / script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{paths}"},
    )
    try:
        assert process.stdout.readline() == "importing\n"
        process.send_signal(which)
        assert "the launcher was stopped" in read_to_end(process)[1]
    finally:
        process.kill()
        process.communicate()


def test_a_process_without_a_launcher_follows_none(monkeypatch):
    for name in launcher.LAUNCH_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(launcher, "command_line", lambda _: ["bash"])
    assert launcher.find_launchers() == []
    launcher.follow_launcher()
    assert not launcher.has_ended()


def test_a_module_and_options_of_the_interpreter_are_left_out(monkeypatch):
    monkeypatch.setattr(sys, "orig_argv", ["python", "-u", "-m", "train", "--steps", "3"])
    monkeypatch.setattr(launcher, "command_line", lambda pid: ["x", "train", "--steps", str(pid)])
    monkeypatch.setattr(launcher.os, "getppid", lambda: 3)
    monkeypatch.setattr(launcher, "parent_of", lambda pid: pid + 1)
    assert launcher.find_launchers() == [3]
