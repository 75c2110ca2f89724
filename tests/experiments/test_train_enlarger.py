"""Training an enlarger, tiny: in this process, and as processes where these are what is tested."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from brushwork.errors import BrushworkError
from brushwork.gan.generator import PaintingGenerator
from brushwork.training.run import Run, read_metrics
from experiments import train_enlarger
from settings import read_flags

SCRIPT = Path(__file__).parents[2] / "experiments" / "train_enlarger.py"
TINY = [
    *("--data", "synthetic:60", "--factor", "2", "--width", "4", "--patch", "8"),
    *("--batch-size", "4", "--log-every", "1", "--save-every", "2"),
]


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    """A cache folder of this module, in which the synthetic paintings are prepared once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BRUSHWORK_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("CUDA_VISIBLE_DEVICES", "")
        yield


@pytest.fixture(scope="module")
def generator(tmp_path_factory, run_script):
    """A run of train_gan.py with two generators in kept/."""
    out = tmp_path_factory.mktemp("gan") / "small"
    run_script(
        "train_gan",
        *("--data", "synthetic:60", "--side", 32, "--width", 4, "--batch-size", 4, "--steps", 4),
        *("--keep-every", 2, "--tracker", "None", "--condition", "genre", "--out", out),
        draws=False,
    )
    return out


@pytest.fixture(scope="module")
def train(generator, run_script):
    """Train in this process."""

    def train(out, *flags):
        run_script("train_enlarger", "--generator", generator, *TINY, "--out", out, *flags)
        return out

    return train


def test_a_run_that_was_resumed_after_its_last_step_has_samples(train, finished, tmp_path):
    shutil.copytree(finished, tmp_path / "run")
    (tmp_path / "run" / "samples" / "step-000006.png").unlink()
    train(tmp_path / "run", "--steps", 4, "--sample-every", 3, "--resume")
    assert (tmp_path / "run" / "samples" / "step-000006.png").stat().st_size > 1000


def test_the_largest_seed_can_be_used(train, tmp_path):
    out = train(tmp_path / "run", "--steps", 1, "--seed", 2**32 - 1)
    assert (out / "generator" / "model.safetensors").is_file()


@pytest.fixture(scope="module")
def finished(train, tmp_path_factory):
    return train(tmp_path_factory.mktemp("enlarged") / "run", "--steps", 6, "--sample-every", 3)


def weights(run):
    return load_file(run / "state.safetensors")


def test_a_run_leaves_generators_samples_curves_and_metrics(finished, generator):
    for name in ("generator", "kept/step-000002", "kept/step-000004"):
        enlarged, small = (
            PaintingGenerator.from_pretrained(run / name) for run in (finished, generator)
        )
        assert (enlarged.side, small.side) == (64, 32)
        assert enlarged.classes == small.classes
        large, before = (g.sample(3, seed=5, to="array") for g in (enlarged, small))
        for a, b in zip(large, before, strict=True):
            reduced = np.asarray(Image.fromarray(a).resize((32, 32), Image.Resampling.BOX))
            assert np.abs(reduced.astype(int) - b).mean() < 20  # of 255: the same picture
    assert {file.name for file in (finished / "samples").iterdir()} == {
        "step-000003.png", "step-000006.png",
    }  # fmt: skip
    assert (finished / "curves.png").stat().st_size > 1000
    lines = read_metrics(finished)
    assert [line["step"] for line in lines] == [1, 2, 3, 4, 5, 6]
    assert {"loss_D", "loss_G", "adversarial", "details", "reduced"} < lines[0].keys()
    config = json.loads((finished / "generator" / "config.json").read_text())
    assert config["training"]["step"] == 4 and config["training"]["enlarger"]["step"] == 6


def test_stopped_and_resumed_it_ends_with_the_same_weights(train, finished, tmp_path, monkeypatch):
    save = Run.save_state

    def save_and_stop(self, step, **state):
        save(self, step, **state)
        if step == 4:
            raise KeyboardInterrupt

    out = tmp_path / "run"
    monkeypatch.setattr(Run, "save_state", save_and_stop)
    with pytest.raises(KeyboardInterrupt):
        train(out, "--steps", 6, "--sample-every", 3)
    monkeypatch.undo()
    train(out, "--steps", 6, "--sample-every", 3, "--resume")
    expected = weights(finished)
    found = weights(out)
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        if "seconds" not in name and "metadata" not in name:
            assert torch.equal(value, found[name]), name
    assert [line["step"] for line in read_metrics(out)] == [1, 2, 3, 4, 5, 6]


def test_two_processes_follow_one(generator, train, forked, tmp_path):
    flags = ["--steps", "3", "--precision", "no"]
    train(tmp_path / "one", *flags)
    line = ["--generator", generator, *TINY, "--out", tmp_path / "two", *flags]
    first, second = forked.run_two(SCRIPT, *map(str, line))
    assert first.returncode == second.returncode == 0, first.stderr + second.stderr
    assert (first.stdout + second.stdout).count("on 2 x cpu") == 1
    one, two = (
        [[line[name] for name in ("loss_D", "loss_G")] for line in read_metrics(tmp_path / name)]
        for name in ("one", "two")
    )
    np.testing.assert_allclose(one, two, atol=1e-4)


def test_minutes_end_a_run_and_the_last_lines_are_commands(train, tmp_path, capsys):
    minutes = 1e-9  # they have passed before the first step
    out = train(tmp_path / "run", "--minutes", minutes)
    text = capsys.readouterr().out
    assert "finished at step 1\n" in text
    [line] = [line for line in text.splitlines() if "--resume" in line]
    flags = line.split("train_enlarger.py ")[1].split()
    cfg = read_flags(train_enlarger.Config, None, flags)
    assert cfg.resume and cfg.out == out and cfg.minutes == 2 * minutes


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--generator", "nowhere"], "nowhere"),
        (["--data", "nowhere/at/all"], "nowhere/at/all"),
        (["--genre", "landscap"], "did you mean 'landscape'"),
        (["--patch", 64], "only 32 pixels"),
        (["--batch-size", 1], "at least 2"),
        (["--steps", 0], "`steps`"),
        (["--change"], "add `resume`"),
    ],
)
def test_a_mistake_is_reported_before_anything_is_written(train, tmp_path, flags, words):
    with pytest.raises(BrushworkError, match=re.escape(words)):
        train(tmp_path / "run", *flags)
    assert not (tmp_path / "run").exists()


def test_generators_that_cannot_be_enlarged_are_refused(train, finished, checkpoints, tmp_path):
    with pytest.raises(BrushworkError, match="is a DC-GAN, which cannot be enlarged"):
        train(tmp_path / "run", "--generator", checkpoints["dcgan"])
    with pytest.raises(BrushworkError, match="has an enlarger already"):
        train(tmp_path / "run", "--generator", finished)


def test_a_run_starts_from_another_and_goes_on(train, finished, tmp_path):
    out = train(tmp_path / "run", "--start", finished, "--steps", 1, "--lr", 1e-9)
    for name, value in weights(finished).items():
        if name.startswith(("E/", "D/")) and name.endswith(("weight", "bias", "original")):
            torch.testing.assert_close(weights(out)[name], value, atol=1e-4, rtol=0)
    assert train(out, "--start", finished, "--steps", 2, "--resume", "--change")
    assert [line["step"] for line in read_metrics(out)] == [1, 2]


def test_an_enlarger_of_another_size_or_none_is_no_start(train, finished, generator, tmp_path):
    with pytest.raises(BrushworkError, match="`width` 4, not 6; pass the same"):
        train(tmp_path / "run", "--start", finished, "--width", 6)
    with pytest.raises(BrushworkError, match="has no enlarger to start from"):
        train(tmp_path / "run", "--start", generator)
    assert not (tmp_path / "run").exists()


def test_another_generator_is_no_change_of_a_run(train, finished, checkpoints):
    with pytest.raises(BrushworkError, match="generator"):
        train(finished, "--generator", checkpoints["modern"], "--resume", "--change")
