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


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BRUSHWORK_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def test_both_scripts_are_measured(forked, tmp_path):
    out = tmp_path / "out" / "scale.json"
    line = [benchmark_scale.__file__, "--sizes", 20, "--files", 5, "--folder", tmp_path]
    done = forked.run(*line, "--out", out, fork_children=True)
    assert done.returncode == 0, done.stderr
    record = json.loads(out.read_text())
    (row,) = record["rows"]
    assert row["paintings"] == 20 and row["disk_kB"] > 32 * 32 * 3 / 1e3
    for script in ("prepare", "train"):
        assert row[f"{script}_seconds"] > 0
        assert row[f"{script}_resident_MB"] > row[f"{script}_own_MB"] > 10
    assert record["ratios"] == {}
    assert not [*tmp_path.glob("tmp*")]


def test_two_sizes_are_compared(tmp_path, monkeypatch, capsys):
    def measure(script, *flags):
        prepared = Path(flags[3] if script == "prepare_data" else flags[1])
        prepared.mkdir(exist_ok=True)
        megabytes = {"data-40": 100, "data-80": 110}[prepared.name]
        if script == "train_gan":
            megabytes **= 2
        return {"seconds": 1, "resident_MB": megabytes, "own_MB": 10}

    monkeypatch.setattr(benchmark_scale, "measure", measure)
    out = tmp_path / "scale.json"
    benchmark_scale.main(benchmark_scale.Config(sizes=(40, 80), files=5, folder=tmp_path, out=out))
    record = json.loads(out.read_text())
    assert [row["paintings"] for row in record["rows"]] == [40, 80]
    assert record["ratios"] == pytest.approx(
        {
            "prepare_resident_MB": 1.1,
            "prepare_own_MB": 1,
            "train_resident_MB": 1.21,
            "train_own_MB": 1,
        }
    )
    printed = capsys.readouterr().out
    assert "ratio train_resident_MB 1.21, from 40 to 80 paintings: within 1.5" in printed


def test_sizes_that_do_not_rise_are_refused(tmp_path):
    with pytest.raises(BrushworkError, match="`sizes` is 10 10; give different numbers"):
        benchmark_scale.main(benchmark_scale.Config(sizes=(10, 10), out=tmp_path / "x.json"))
