import os
import signal
import socket
import subprocess
import sys

import pytest

from brushwork.errors import BrushworkError
from brushwork_demo import __main__
from brushwork_demo.__main__ import catch_stop_signals, flag_names, main, parser


def run(*flags):
    command = [sys.executable, "-m", "brushwork_demo", *flags]
    return subprocess.run(command, capture_output=True, text=True)


def test_help_names_every_flag_without_opening_a_model():
    done = run("--help")
    assert done.returncode == 0
    for flag in ("--generator", "--classifier", "--host", "--port", "--share", "--auth", "--mcp"):
        assert flag in done.stdout


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--auth", "name"], "--auth is 'name'; it must be NAME:PASSWORD"),
        (["--port", "70000"], "--port is 70000; it must be between 1 and 65535"),
        (["--host", "no.such.host.invalid", "--port", "7860"], "--host is no.such.host.invalid"),
        (["--port", "-1"], "--port is -1; it must be between 1 and 65535"),
        (["bundle", "folder", "name", "--stages", "-1"], "--stages is -1; it must be at least 0"),
        (
            ["--pictures", "real", "space", "export", "x"],
            "--pictures has no effect on space export",
        ),
        (
            ["--auth", "a:b", "bundle", "nowhere", "x"],
            "--auth has no effect on bundle; leave it out",
        ),
        (
            ["--generator", "x", "publish-model", "a", "b/c"],
            "--generator has no effect on publish-",
        ),
        (["--host", "[::1"], "--host is [::1, which is not an address of this machine"),
        (["--host", "192.0.2.1"], "cannot listen on 192.0.2.1 ("),
    ],
)
def test_an_invalid_flag_is_reported_in_one_sentence(flags, message, capsys):
    with pytest.raises(SystemExit) as ended:
        main(flags)
    assert ended.value.code == 1
    printed = capsys.readouterr().err
    assert printed.startswith("error: ") and message in printed
    assert printed.count("\n") == 1


def test_a_port_in_use_is_reported_in_one_sentence(capsys):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(SystemExit):
            main(["--port", str(port)])
    assert capsys.readouterr().err.startswith(f"error: cannot listen on 127.0.0.1:{port} (")


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "localhost", "::1", "[::1]", "::"])
def test_the_address_of_a_host_may_be_of_ipv6(host, loopback):
    if ":" in host and loopback != "::1":
        pytest.skip("this machine has no IPv6")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    __main__._check_address(host, port)
    __main__._check_address(host, None)


def test_checkpoints_before_and_after_the_command_are_exported(monkeypatch, capsys):
    given = []

    def export(folder, generators, classifier):
        given.append((folder, generators, classifier))
        return []

    monkeypatch.setattr("brushwork_demo.space.export", export)
    main(["--generator", "a", "--classifier", "c", "space", "export", "x", "--generator", "b"])
    main(["space", "export", "x"])
    assert given == [("x", ["a", "b"], "c"), ("x", [], None)]
    assert capsys.readouterr().out.startswith("x: 0 files")


def test_parameters_of_core_are_reported_as_flags(monkeypatch, capsys):
    def fail(_args):
        raise BrushworkError("raise `port` of `dry_run`, not `min_paintings`")

    monkeypatch.setattr(__main__, "serve", fail)
    with pytest.raises(SystemExit):
        main([])
    assert capsys.readouterr().err == "error: raise --port of --dry-run, not `min_paintings`\n"
    assert {"generator", "classifier", "stages", "hardware"} <= flag_names(parser())


@pytest.mark.skipif(os.name != "posix", reason="the signals are POSIX signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_signal_is_noted_and_a_second_one_kills(number):
    handlers = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        received = catch_stop_signals()
        signal.raise_signal(number)
        assert received == [number]
        assert signal.getsignal(number) == signal.SIG_DFL
    finally:
        for each, handler in handlers.items():
            signal.signal(each, handler)
