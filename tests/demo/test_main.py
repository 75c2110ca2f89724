import os
import signal
import socket
import subprocess
import sys
import time

import httpx
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


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_page_asks_for_its_password_and_stops_while_it_warms_up(number, run_folder, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "brushwork_demo", "--port", str(port), "--auth", "ann:secret"]
    command += ["--generator", str(run_folder / "generator")]
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    page = subprocess.Popen(command, stdout=-1, stderr=-1, text=True, env=environment)
    try:
        while True:
            assert page.poll() is None
            try:
                url = f"http://127.0.0.1:{port}/gradio_api/info"
                assert httpx.get(url, timeout=60).status_code == 401
                break
            except httpx.TransportError:
                time.sleep(0.1)
        page.send_signal(number)
        _, said = page.communicate(timeout=120)
    finally:
        page.kill()
    assert page.returncode == 0 and "Traceback" not in said
    assert not list(tmp_path.iterdir())
