"""The script by its real command line, tiny."""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from brushwork.data.open import open_data
from brushwork.errors import BrushworkError
from brushwork.gan.evaluate import open_pictures
from brushwork.gan.generator import PaintingGenerator
from brushwork.gan.networks import build_networks
from brushwork.metrics import distances
from brushwork.metrics.features import extract, pixels
from brushwork.metrics.pictures import selected_pictures
from brushwork.training.run import read_metrics
from experiments import train_gan

ROOT = Path(__file__).parents[2]
TINY = ["--side", "32", "--width", "2", "--batch-size", "8", "--tracker", "None"]


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    cache = tmp_path_factory.mktemp("cache")
    return {**os.environ, "BRUSHWORK_CACHE": str(cache), "CUDA_VISIBLE_DEVICES": ""}


def command(out, *flags):
    script = [sys.executable, str(ROOT / "experiments" / "train_gan.py"), "--data", "synthetic:60"]
    return [*script, "--out", str(out), *TINY, *map(str, flags)]


def train(environment, out, *flags, launcher=()):
    line = command(out, *flags)
    line = [*launcher, *line[1:]] if launcher else line
    return subprocess.run(line, env=environment, capture_output=True, text=True, timeout=300)


def weights(run):
    return load_file(run / "state.safetensors")


def assert_same(a, b, **tolerance):
    assert a.keys() == b.keys()
    for name in a:
        torch.testing.assert_close(a[name], b[name], **(tolerance or {"rtol": 0, "atol": 0}))


MODERN = ["--model", "modern", "--condition", "genre", "--augment", "ada"]
PROJECTED = [*MODERN, "--backbone", "resnet18:none", "--loss", "hinge", "--match", "0.1",
             "--genre", "landscape", "--genre", "portrait", "--others", "0.5"]  # fmt: skip


@pytest.fixture(scope="module")
def finished(environment, tmp_path_factory):
    """A run of 30 steps that nobody stopped."""
    out = tmp_path_factory.mktemp("finished") / "run"
    done = train(environment, out, "--steps", 30, "--save-every", 7, "--keep-every", 10,
                 "--log-every", 1, "--sample-every", 15)  # fmt: skip
    assert done.returncode == 0, done.stderr
    return out


def test_a_run_leaves_pictures_painters_curves_and_what_repeats_it(finished):
    assert {f.name for f in (finished / "samples").iterdir()} == {
        "step-000015.png", "step-000030.png",
    }  # fmt: skip
    assert {f.name for f in (finished / "kept").iterdir()} == {
        "step-000010", "step-000020", "step-000030",
    }  # fmt: skip
    for painter in ("generator", "generator_raw"):
        assert (finished / painter / "model.safetensors").exists()
    with Image.open(finished / "samples" / "step-000030.png") as grid:
        assert grid.size == (8 * 34 + 2,) * 2
    lines = read_metrics(finished)
    assert [line["step"] for line in lines] == list(range(1, 31))
    assert {"loss_D", "loss_G", "D(x)", "D(G(z))", "epoch", "images_per_second"} <= lines[0].keys()
    config = json.loads((finished / "config.json").read_text())
    assert config["settings"]["num_paintings"] == 60
    assert (finished / "curves.png").exists()


def test_the_averaged_painter_differs_from_the_raw_one(finished):
    average, raw = (
        load_file(finished / n / "model.safetensors") for n in ("generator", "generator_raw")
    )
    assert any(not torch.equal(average[name], raw[name]) for name in average)


def test_killed_at_any_moment_and_resumed_it_ends_with_the_same_weights(
    environment, finished, tmp_path
):
    out, rng, kills = tmp_path / "run", random.Random(0), 0
    flags = ["--steps", 30, "--save-every", 1, "--keep-every", 10, "--log-every", 1,
             "--sample-every", 15, "--resume"]  # fmt: skip
    while kills < 3:
        process = subprocess.Popen(command(out, *flags), env=environment, stderr=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL)  # fmt: skip
        # Let it take some steps, then kill it somewhere in a step, a log or a save.
        before = len((out / "metrics.jsonl").read_text()) if (out / "metrics.jsonl").exists() else 0
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and process.poll() is None:
            file = out / "metrics.jsonl"
            if file.exists() and file.stat().st_size > before + 200:
                break
            time.sleep(0.005)
        time.sleep(rng.random() * 0.05)
        process.kill()
        kills += process.wait() == -signal.SIGKILL
        if process.returncode == 0:
            break
    assert kills >= 1
    done = train(environment, out, *flags)
    assert done.returncode == 0, done.stderr
    assert_same(weights(out), weights(finished))
    assert [m["loss_D"] for m in read_metrics(out)] == [m["loss_D"] for m in read_metrics(finished)]
    for name in ("samples/step-000030.png", "kept/step-000020/model.safetensors"):
        assert (out / name).read_bytes() == (finished / name).read_bytes()


def test_a_run_begins_as_another_and_goes_on_when_that_is_gone(environment, finished, tmp_path):
    many = shutil.copytree(finished, tmp_path / "many")
    few = ["--genre", "landscape", "--start", many, "--log-every", 1, "--resume"]
    for name, lengths in (("at-once", [4]), ("in-two", [2, 4])):
        for steps in lengths:
            done = train(environment, tmp_path / name, *few, "--steps", steps)
            assert done.returncode == 0, done.stderr
            if steps == 2:
                shutil.rmtree(many)
    assert_same(weights(tmp_path / "at-once"), weights(tmp_path / "in-two"))
    card = (tmp_path / "in-two" / "generator" / "README.md").read_text()
    assert "begun as " in card and str(tmp_path.parent) not in card
    before, after = (weights(run)["D/layers.0.weight"] for run in (finished, tmp_path / "in-two"))
    anew = build_networks("dcgan", 32, 2)[1].layers[0].weight
    assert (after - before).abs().mean() < 0.5 * (after - anew).abs().mean()


@pytest.mark.parametrize("flags", [MODERN, PROJECTED], ids=["modern", "projected"])
def test_a_modern_gan_resumes_to_the_same_weights_probability_and_all(environment, tmp_path, flags):
    flags = [*flags, "--save-every", 6, "--log-every", 1]
    for out, steps in (("whole", 18), ("halves", 6), ("halves", 18)):
        done = train(environment, tmp_path / out, *flags, "--steps", steps, "--resume")
        assert done.returncode == 0, done.stderr
    assert_same(weights(tmp_path / "halves"), weights(tmp_path / "whole"))
    assert "augment/probability" in weights(tmp_path / "whole")
    painter = PaintingGenerator.from_pretrained(tmp_path / "whole" / "generator")
    assert "landscape" in painter.classes
    assert painter.sample(2, label="landscape", to="array").shape == (2, 32, 32, 3)


EVALUATE = ["--eval-every", 4, "--eval-fakes", 30, "--save-every", 3, "--eval-space", "pixels:8"]


def metrics(run):
    """Steps and numbers of the lines that measure the painter."""
    lines = [line for line in read_metrics(run) if "fid_pixels" in line]
    return [{k: v for k, v in line.items() if k != "eval_seconds"} for line in lines]


@pytest.fixture(scope="module")
def measured(environment, tmp_path_factory):
    out = tmp_path_factory.mktemp("measured") / "run"
    done = train(environment, out, *MODERN, *EVALUATE, "--steps", 10)
    assert done.returncode == 0, done.stderr
    return out


def test_the_painter_is_measured_on_its_way_and_reported(measured):
    lines = metrics(measured)
    assert [line["step"] for line in lines] == [4, 8, 10]
    expected = {"epoch", "kid_pixels", "one_nn_pixels", "authenticity_pixels", "cas_pixels"}
    assert expected <= lines[0].keys() and lines[0]["n_fake"] == 30
    assert lines[0]["epoch"] == pytest.approx(4 * 8 / 60)
    files = {file.name for file in (measured / "report").iterdir()}
    assert files == {"report.html", "curves.png", *(f"figure-0{i}.png" for i in range(3))}
    page = (measured / "report" / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 3
    assert not re.search(r'(src|href)="(?!data:)', page), "everything is in the one file"
    assert "step 10" in page and "fid_pixels" in page


def test_the_last_measurement_is_of_the_painter_that_is_left(measured, environment, monkeypatch):
    monkeypatch.setenv("BRUSHWORK_CACHE", environment["BRUSHWORK_CACHE"])
    paintings = open_data("synthetic:60")
    real = selected_pictures(paintings.pixels(32), np.arange(60), "60", paintings.table)
    fakes = open_pictures(measured, num=30, seed=0)
    x, y = (extract(some.images(range(some.num)), pixels(8)).features for some in (real, fakes))
    last = metrics(measured)[-1]
    assert last["fid_pixels"] == pytest.approx(distances.frechet(x, y), rel=1e-6)


def test_a_resumed_run_is_measured_at_the_same_steps_once(environment, measured, tmp_path):
    # The state of step 3 is older than the measurement of step 4, which is then made anew.
    out = tmp_path / "run"
    for steps in (3, 10):
        done = train(environment, out, *MODERN, *EVALUATE, "--steps", steps, "--resume")
        assert done.returncode == 0, done.stderr
        if steps == 3:
            with (out / "metrics.jsonl").open("a") as file:
                file.write('{"step": 4, "fid_pixels": 0.0}\n')
    assert [line["step"] for line in metrics(out)] == [3, 4, 8, 10]
    assert metrics(out)[1:] == metrics(measured)


def test_two_processes_measure_what_one_does_and_end(environment, tmp_path):
    flags = ["--steps", 4, "--precision", "no", "--lr", 2e-4 * 2 / 64, *EVALUATE]
    for name, launcher in (("one", ()), ("two", LAUNCH_TWO)):
        done = train({**environment, "ACCELERATE_USE_CPU": "true"}, tmp_path / name, *flags,
                     launcher=launcher)  # fmt: skip
        assert done.returncode == 0, done.stderr
    (one,), (two,) = (metrics(tmp_path / name) for name in ("one", "two"))
    assert one["n_fake"] == two["n_fake"] == 30
    assert one["fid_pixels"] == pytest.approx(two["fid_pixels"], rel=0.02)
    assert (tmp_path / "two" / "report" / "report.html").exists()


@pytest.mark.parametrize("which", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_signal_saves_and_leaves_cleanly(environment, tmp_path, which):
    out = tmp_path / "run"
    line = command(out, "--steps", 10**5, "--save-every", 10**5, "--keep-every", 10**5)
    process = subprocess.Popen(line, env=environment, stdout=subprocess.PIPE, text=True,
                               stderr=subprocess.DEVNULL)  # fmt: skip
    while not (out / "metrics.jsonl").exists() and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(which)
    printed, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "--resume goes on" in printed
    assert (out / "state.safetensors").exists() and (out / "generator").is_dir()


LAUNCH_TWO = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes",
              "2", "--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no",
              "--main_process_port", "0"]  # fmt: skip


# A backbone of random weights blows up the last bit of gradients about twice at each step: fewer
# steps are compared, and the networks without Adam's moments.
@pytest.mark.parametrize(
    ("flags", "steps"),
    [([], 20), ([*MODERN, "--loss", "hinge"], 20), (PROJECTED, 4)],
    ids=["dcgan", "modern", "projected"],
)
def test_two_processes_follow_one(environment, tmp_path, flags, steps):
    # 2e-4 at this width, as the paper's: what differs in the last bit is not blown up in 20 steps.
    flags = [*flags, "--steps", steps, "--log-every", 1, "--precision", "no"]
    flags += ["--lr", 2e-4 * 2 / 64]
    one = train(environment, tmp_path / "one", *flags)
    assert one.returncode == 0, one.stderr
    two = train({**environment, "ACCELERATE_USE_CPU": "true"}, tmp_path / "two", *flags,
                launcher=LAUNCH_TWO)  # fmt: skip
    assert two.returncode == 0, two.stderr
    assert "on 2 x cpu" in two.stdout
    curves = (
        [(m["loss_D"], m["loss_G"]) for m in read_metrics(tmp_path / n)] for n in ("one", "two")
    )
    np.testing.assert_allclose(*curves, atol=1e-4)
    ends = [weights(tmp_path / n) for n in ("one", "two")]
    if flags[: len(PROJECTED)] == PROJECTED:
        ends = [{k: v for k, v in end.items() if not k.startswith("opt_")} for end in ends]
        assert any(k.startswith("D/heads") for k in ends[0])
    assert_same(*ends, rtol=1e-3, atol=1e-3)


def test_a_launch_that_would_run_one_process_of_two_is_refused(environment, tmp_path):
    launch = [a for a in LAUNCH_TWO if a != "--multi_gpu"]
    done = train(environment, tmp_path / "run", "--steps", 2, launcher=launch)
    assert done.returncode != 0
    assert "accelerate launch --multi_gpu" in done.stderr
    assert not (tmp_path / "run").exists()


def test_accumulating_takes_smaller_parts_and_still_trains(environment, tmp_path):
    done = train(environment, tmp_path / "run", "--steps", 2, "--accumulate", 2, "--save-every", 1)
    assert done.returncode == 0, done.stderr


def test_losses_that_are_no_longer_numbers_stop_the_run_in_words(environment, tmp_path):
    done = train(environment, tmp_path / "run", "--steps", 40, "--lr", "1e30", "--log-every", 1)
    assert done.returncode == 1
    assert "NaN" in done.stderr and "lower --lr" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("mistake", "words"),
    [
        ({"genre": ("landscap",)}, "did you mean 'landscape'"),
        ({"side": 48}, "choose one of 32, 64, 128, 256"),
        ({"data": "nowhere/at/all"}, "nowhere/at/all"),
        ({"batch_size": 1}, "at least 2"),
        ({"min_paintings": 10_000}, "lower --min-paintings"),
        ({"precision": "fp16"}, "needs a GPU"),
        ({"steps": 0}, "--steps"),
        ({"save_every": 0}, "--save-every"),
        ({"condition": "genre"}, "`condition` needs `model` modern"),
        ({"eval_space": "pixel"}, "no feature space 'pixel'"),
        ({"eval_fakes": 0}, "--eval-fakes"),
        ({"start": "nowhere"}, "nowhere"),
        ({"match": 0.1}, "set `backbone`"),
        ({"others": 0.1}, "all paintings are selected"),
        ({"seed": -1}, "--seed"),
        ({"epochs": -1}, "--epochs"),
        ({"eval_every": 5, "eval_fakes": 5}, "at least 6 fakes, not 5"),
    ],
)
def test_a_mistake_is_said_before_anything_is_written(
    environment, monkeypatch, tmp_path, mistake, words
):
    monkeypatch.setenv("BRUSHWORK_CACHE", environment["BRUSHWORK_CACHE"])
    settings = {"data": "synthetic:60", "side": 32, "width": 2, "out": tmp_path / "run"} | mistake
    with pytest.raises(BrushworkError, match=re.escape(words)):
        train_gan.main(train_gan.Config(**settings))
    assert not (tmp_path / "run").exists()


def test_a_second_run_in_the_same_folder_is_refused(environment, finished):
    before = sorted(finished.rglob("*"))
    done = train(environment, finished, "--steps", 30)
    assert done.returncode == 1 and "add --resume" in done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(finished.rglob("*")) == before
