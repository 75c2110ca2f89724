"""The scale test, tiny: what it measures, and what it says of it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from brushwork.errors import BrushworkError
from experiments import benchmark_scale

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux")


def test_memory_counts_a_process_and_those_that_it_started():
    hold = "x = b'x' * 60_000_000; print(1, flush=True); input()"
    child = f"import subprocess, sys; {hold.removesuffix('; input()')}"
    child += f"; subprocess.run([sys.executable, '-c', {hold!r}])"
    with subprocess.Popen([sys.executable, "-c", child], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True) as process:  # fmt: skip
        assert process.stdout and process.stdin
        assert [process.stdout.readline() for _ in range(2)] == ["1\n", "1\n"]
        used = benchmark_scale.memory(process.pid)
        process.communicate("\n")
    assert 120 < used["own_MB"] < 180 and used["resident_MB"] > used["own_MB"]
    assert benchmark_scale.memory(process.pid) == {"resident_MB": 0, "own_MB": 0}


def test_two_sizes_are_measured_and_compared(tmp_path, capsys):
    config = benchmark_scale.Config(
        sizes=(40, 80), files=5, folder=tmp_path, out=tmp_path / "out" / "scale.json"
    )
    benchmark_scale.main(config)
    record = json.loads(config.out.read_text())
    assert [row["paintings"] for row in record["rows"]] == [40, 80]
    assert all(row["disk_kB"] > 32 * 32 * 3 / 1e3 for row in record["rows"])
    first, second = (row["train_resident_MB"] for row in record["rows"])
    assert record["ratios"]["train_resident_MB"] == second / first
    assert f"{second / first:.2f}, within 1.5" in capsys.readouterr().out
    assert not [*tmp_path.glob("tmp*")]


def test_sizes_that_do_not_rise_are_refused(tmp_path):
    with pytest.raises(BrushworkError, match="--sizes 10 10 must rise"):
        benchmark_scale.main(benchmark_scale.Config(sizes=(10, 10), out=tmp_path / "x.json"))
