import subprocess
import sys
from pathlib import Path

import pytest
from tests.core.data.pictures import plain_paintings

from brushwork.data.decode import Limits, Rejected
from brushwork.data.decoder_pool import Worker, decoding
from brushwork.errors import BrushworkError

DEADLY = '''
import os
import signal
import sys
import time

from PIL import Image

class Reader:
    """Row 5 kills whoever reads it, row 9 raises, row 11 prints, row 45 takes ten minutes."""

    def __call__(self, row):
        if row == 5:
            os.kill(os.getpid(), signal.SIGKILL)
        if row == 9:
            raise RuntimeError("row nine")
        if row == 11:
            os.write(1, b"a decoder that prints")
        if row == 45:
            time.sleep(600)
        if row == 13 and "torch" in sys.modules:
            raise RuntimeError("torch is here")
        return Image.new("RGB", (32, 32), (row, row, row))
'''


@pytest.fixture
def deadly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "deadly.py").write_text(DEADLY)
    monkeypatch.syspath_prepend(tmp_path)
    import deadly  # pyright: ignore[reportMissingImports]

    yield deadly.Reader()
    del sys.modules["deadly"]


def test_a_row_that_kills_its_decoder_costs_that_row_only(deadly):
    with decoding(deadly, 32, Limits(), workers=2) as decode:
        answers = list(decode(range(40)))
    assert len(answers) == 40
    refused = {row: str(a) for row, a in enumerate(answers) if isinstance(a, Rejected)}
    assert refused == {5: "the decoder crashed twice on this file (exit status -9)", 9: "row nine"}


def test_a_row_that_takes_too_long_costs_that_row_only(deadly):
    with decoding(deadly, 32, Limits(), workers=1, max_seconds=1) as decode:
        answers = list(decode(range(40, 50)))
    refused = {row: str(a) for row, a in enumerate(answers, 40) if isinstance(a, Rejected)}
    assert refused == {45: "decoding takes more than 1 s; raise `max_seconds`"}
    assert len(answers) == 10


def test_the_order_and_the_bytes_do_not_depend_on_the_number_of_workers(tmp_path: Path):
    reader = plain_paintings(tmp_path, 40).read
    results = []
    for num_workers in (1, 3):
        with decoding(reader, 16, Limits(), num_workers) as decode:
            results.append(list(decode(range(40))))
    assert results[0] == results[1]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux bounds a process's memory")
def test_a_decoder_s_memory_is_bounded():
    script = "from brushwork.data.decoder_pool import limit_memory as l; l(1 << 28); bytes(1 << 29)"
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert "MemoryError" in ended.stderr


def test_leaving_early_leaves_no_process_behind(deadly):
    started = []
    original = Worker._start

    def start(self):
        started.append(original(self))
        return started[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Worker, "_start", start)
        with pytest.raises(KeyboardInterrupt), decoding(deadly, 32, Limits(), workers=2) as decode:
            next(decode(range(200)))
            raise KeyboardInterrupt
    assert started
    assert all(process.poll() is not None for process in started)


def test_a_decoder_that_cannot_start_is_said_so(deadly, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "path", [])
    with (
        decoding(deadly, 32, Limits(), workers=1) as decode,
        pytest.raises(BrushworkError, match="did not start"),
    ):
        list(decode(range(3)))
