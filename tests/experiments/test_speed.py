"""What the training benchmarks measure with, and the run file that calls them on a GPU, tiny."""

import os
import re
import shlex
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from torch import nn

import speed
from brushwork.data import synthetic
from experiments import benchmark_gan

ROOT = Path(__file__).parents[2]
draw = synthetic.draw


@pytest.mark.parametrize(
    ("layer", "macs_per_image"),
    [
        (nn.Conv2d(4, 6, 3, padding=1), 8 * 8 * 4 * 6 * 9),
        (nn.Conv2d(4, 4, 3, padding=1, groups=4), 8 * 8 * 4 * 9),
        (nn.Conv2d(4, 6, 4, stride=2, padding=1), 4 * 4 * 4 * 6 * 16),
        (nn.ConvTranspose2d(4, 6, 4, stride=2, padding=1), 8 * 8 * 4 * 6 * 16),
    ],
    ids=["convolution", "depthwise", "strided", "transposed"],
)
@pytest.mark.parametrize("input_gradient", [False, True])
def test_each_gradient_of_a_convolution_costs_as_much_as_the_convolution(
    layer, macs_per_image, input_gradient
):
    x = torch.randn(2, 4, 8, 8, requires_grad=input_gradient)
    flops = speed.count_flops(lambda: layer(x).sum().backward())
    assert flops == 2 * 2 * macs_per_image * (3 if input_gradient else 2)


def test_methods_take_turns_and_the_first_round_does_not_count():
    calls = []
    methods = {name: lambda name=name: calls.append(name) or len(calls) for name in "AB"}
    assert speed.take_turns(methods, rounds=2) == {"A": [3, 5], "B": [4, 6]}
    assert "".join(calls) == "ABABAB"


def test_the_peak_is_the_speed_of_a_matrix_product(monkeypatch):
    monkeypatch.setattr(speed, "MATRIX_SIDES", {"cpu": 10})
    monkeypatch.setattr(speed, "device", lambda: torch.device("cpu"))
    monkeypatch.setattr(speed, "seconds_of", lambda run: float(len(run())))
    assert speed.matmul_peak("no") == 2 * 10**3 / 10


def test_captured_training_that_differs_from_eager_is_an_error(capsys):
    benchmark_gan.report_difference(1e-4, steps=50)
    assert "difference captured_to_eager 1.0e-04 after 50 steps" in capsys.readouterr().out
    for value in (2e-3, float("nan")):
        with pytest.raises(benchmark_gan.BrushworkError, match="`capture` off"):
            benchmark_gan.report_difference(value, steps=50)


@pytest.fixture(scope="module")
def commands(tmp_path_factory):
    """The scripts and flags that gpu.sh runs with SMALL=1, by part."""
    out = tmp_path_factory.mktemp("gpu") / "out"
    tiny = {"SMALL": "1", "PYTHON": "echo ratio", "BACKBONE": "test_resnet:none"}
    line = ["bash", ROOT / "experiments/runs/gpu.sh", out]
    printed = subprocess.check_output(line, env=os.environ | tiny, text=True)
    parts = {file.stem: file.read_text() for file in out.glob("*.txt")}
    # At the end, it prints the ratios of all parts; here, these are the commands.
    assert sorted(printed.splitlines()[-8:]) == sorted(parts[name].strip() for name in PARTS)
    # The same command starts no part a second time.
    again = subprocess.check_output(line, env=os.environ | tiny, text=True)
    assert again == "\n".join(printed.splitlines()[-8:]) + "\n"
    return {
        name: re.fullmatch(r"ratio experiments/(\w+)\.py (.*)", command.strip()).groups()
        for name, command in parts.items()
    }


BATCHES = (16, 64, 128)
MODERN = tuple(f"modern-{side}-{batch}" for side in (64, 256) for batch in BATCHES)
PARTS = ("dcgan-64", *MODERN, "classifier")


@pytest.fixture
def run_part(commands, run_script, monkeypatch, tmp_path):
    """Run a part in this process: its methods in threads, on small paintings."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setenv("BRUSHWORK_CACHE", str(tmp_path))
    monkeypatch.setattr(synthetic, "draw", lambda index, side: draw(index, side=side // 25))
    monkeypatch.setattr(speed, "MATRIX_SIDES", {"cpu": 64})

    def run(part):
        script, flags = commands[part]
        if script.startswith("benchmark"):
            process = f"experiments.{script}.own_process"
            monkeypatch.setattr(process, lambda: ThreadPoolExecutor(1))
        run_script(script, *shlex.split(flags))

    return run


@pytest.mark.parametrize(
    ("part", "others"),
    [
        ("dcgan-64", ["tutorial", "decoding"]),
        ("modern-64-16", ["plain"]),
        ("classifier", ["decoding", "ready"]),
    ],
)
def test_a_benchmark_prints_ratios_and_the_share_of_the_peak(run_part, part, others, capsys):
    run_part(part)
    printed = capsys.readouterr().out
    assert re.findall(r"^ratio ours_over_(\w+) \d+\.\d\d$", printed, re.M) == others
    speeds = re.findall(r"^(\w+) +([\d.]+) images/s", printed, re.M)
    assert [name for name, _ in speeds] == [*others, "ours"]
    assert all(float(images) > 0 for _, images in speeds)
    roofline = r"^([\d.]+) GFLOP per step; [\d,]+ of [\d,]+ GFLOP/s of a matrix product: \d+ %$"
    (flops,) = re.findall(roofline, printed, re.M)
    assert float(flops) > 0


def test_the_parts_differ_in_side_and_batch_size(commands):
    assert [part for part in PARTS if "--side 256" in commands[part][1]] == [*MODERN[3:]]
    for part, batch in zip(MODERN, BATCHES * 2, strict=True):
        assert f"--batch-size {batch} " in commands[part][1]
