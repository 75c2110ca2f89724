"""The monitor of a run: what it writes at which step, and the metrics that it returns."""

import copy
import json
import re

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from brushwork.errors import BrushworkError
from brushwork.gan.dcgan import DCGANConfig, Generator
from brushwork.gan.evaluate import compare, generated_pictures
from brushwork.gan.generator import PaintingGenerator
from brushwork.gan.monitor import Monitor
from brushwork.metrics.features import extract, pixels
from brushwork.metrics.pictures import PictureFeatures, selected_pictures

SETTINGS = {
    "data": "noise",
    "num_paintings": 30,
    "fingerprint": "0",
    "batch_size": 10,
    "seed": 4,
    "eval_space": "pixels:8",
    "eval_fakes": 20,
    "eval_every": 1,
}


@pytest.fixture(scope="module")
def paintings():
    names = ["artist", "style", "genre", "split"]
    table = pd.DataFrame([["x"] * 3 + ["train"]] * 30, columns=names)
    array = np.random.default_rng(0).integers(0, 256, (30, 32, 32, 3), dtype=np.uint8)
    return selected_pictures(array, np.arange(30), "noise", table)


@pytest.fixture
def network():
    torch.manual_seed(0)
    return Generator(DCGANConfig(side=32, width=2))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("BRUSHWORK_CACHE", str(tmp_path / "cache"))
    (tmp_path / "run" / "samples").mkdir(parents=True)
    return tmp_path / "run"


def test_each_step_writes_what_it_should(folder, network, paintings):
    monitor = Monitor(folder, network, SETTINGS, paintings)
    assert monitor.record(1) == {} and monitor.record(2, show=True) == {}
    assert monitor.record(3, keep=True) == {}
    assert {str(f.relative_to(folder)) for f in folder.rglob("*.*")} == {
        "samples/step-000002.png",
        *(f"kept/step-000003/{name}" for name in ("config.json", "model.safetensors", "README.md")),
    }
    with Image.open(folder / "samples/step-000002.png") as samples:
        expected = np.asarray(monitor.generator.grid(monitor.generator.latents(256, 4)[:64]))
        assert np.array_equal(np.asarray(samples), expected)


def test_metrics_are_nested_by_space_and_are_those_of_the_averaged_weights(
    folder, network, paintings
):
    monitor = Monitor(folder, network, SETTINGS, paintings)
    measured = monitor.record(1, measure=True)
    assert measured.keys() == {"metrics", "eval_seconds"} and measured["eval_seconds"] > 0
    fakes = generated_pictures(PaintingGenerator(network, {}), 20, 4)
    space = pixels(8)
    real, fake = (
        PictureFeatures(some, extract(some.images(range(some.num)), space))
        for some in (paintings, fakes)
    )
    assert measured["metrics"] == {"pixels": compare(real, fake, space, seed=4).metrics}


def test_a_report_is_made_of_the_lines_that_have_metrics(folder, network, paintings):
    monitor = Monitor(folder, network, SETTINGS, paintings)
    lines = [
        {"step": 1, "epoch": 0.5, "loss_D": 0.7, "loss_G": 0.8, "D(x)": 0.6, "D(G(z))": 0.4},
        {"step": 1, "epoch": 0.5, "fid_pixels": 123.0},  # of a run begun with an earlier version
        {"step": 2, "epoch": 1.0, **monitor.record(2, measure=True)},
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    raw = copy.deepcopy(network)
    monitor.finish(2, raw)
    for name in ("generator", "generator_raw"):
        assert PaintingGenerator.from_pretrained(folder / name).side == 32
    assert {f.name for f in (folder / "report").iterdir()} == {
        "report.html",
        "curves.png",
        *(f"figure-{number:02}.png" for number in range(3)),
    }
    page = (folder / "report" / "report.html").read_text()
    assert "<th>step 2, epoch 1</th>" in page and "<th>step 1" not in page and ">123<" not in page
    assert f"<th>fid</th><td>{lines[2]['metrics']['pixels']['fid']:.4g}</td>" in page


def test_a_run_without_metrics_has_curves_and_no_report(folder, network, paintings):
    (folder / "metrics.jsonl").write_text('{"step": 1, "loss_D": 0.7, "loss_G": 0.8}\n')
    Monitor(folder, network, SETTINGS | {"eval_every": 0}, paintings).finish(1, network)
    assert (folder / "curves.png").exists() and not (folder / "report").exists()


def test_too_few_fakes_are_refused_only_if_they_will_be_measured(folder, network, paintings):
    few = SETTINGS | {"eval_fakes": 5}
    with pytest.raises(BrushworkError, match="5 fakes"):
        Monitor(folder, network, few, paintings)
    Monitor(folder, network, few | {"eval_every": 0}, paintings)


def test_the_best_generator_by_the_chosen_metric_stays_when_others_are_deleted(
    folder, network, paintings, monkeypatch
):
    settings = SETTINGS | {"keep": "best", "keep_by": "coverage", "keep_last": 2}
    monitor = Monitor(folder, network, settings, paintings)
    for step, coverage in enumerate([0.3, 0.6, 0.6, 0.5], start=1):
        measured_as(monitor, step, monkeypatch, coverage=coverage, fid=10.0 - step)
    kept = {path.name for path in (folder / "kept").iterdir()}
    assert kept == {"best", "step-000003", "step-000004"}
    assert step_of_best(folder) == 2
    assert monitor.describe_best() == (
        f"the generator with the best coverage, of step 2, is in {folder / 'kept/best'}"
    )


def test_best_is_chosen_anew_where_none_was_kept_or_by_another_metric(
    folder, network, paintings, monkeypatch
):
    def continued(**settings):
        return Monitor(folder, network, SETTINGS | {"keep_by": "fid"} | settings, paintings)

    measured_as(continued(keep="every"), 1, monkeypatch, coverage=0.9, fid=1.0)
    by_fid, by_coverage = continued(keep="best"), continued(keep="best", keep_by="coverage")
    assert "no generator was kept for its" in by_fid.describe_best()
    measured_as(by_fid, 2, monkeypatch, coverage=0.1, fid=3.0)
    assert step_of_best(folder) == 2
    assert by_fid.describe_best() == (
        f"{folder / 'kept/best'} is the generator of step 2; that of step 1 had a better fid, but "
        "was not kept"
    )
    measured_as(by_fid, 3, monkeypatch, coverage=0.2, fid=2.0)
    assert step_of_best(folder) == 3, "better than the one that was kept"
    assert "no generator was kept for its" in by_coverage.describe_best()
    measured_as(by_coverage, 4, monkeypatch, coverage=0.1, fid=9.0)
    assert step_of_best(folder) == 4
    in_texture = continued(keep="best", keep_by="coverage", eval_space="texture")
    assert "kept for its coverage in texture yet" in in_texture.describe_best()


def test_best_is_recognised_in_a_space_with_a_long_path(
    folder, network, paintings, tmp_path, monkeypatch
):
    settings = SETTINGS | {"keep": "best", "keep_by": "fid"}
    monitor = Monitor(folder, network, settings, paintings)
    monitor.settings["eval_space"] = f"artist:{tmp_path}"
    for step, fid in enumerate([2.0, 3.0], start=1):
        measured_as(monitor, step, monkeypatch, fid=fid)
    assert step_of_best(folder) == 1


def measured_as(monitor, step, monkeypatch, **metrics):
    """Record a step at which the generator has these metrics, as a training does."""
    metrics = {monitor.space.name: metrics | {"n_fake": monitor.num_fakes}}
    monkeypatch.setattr(monitor, "_measure", lambda _: metrics)
    measured = monitor.record(step, keep=True, measure=True)
    with (monitor.folder / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({"step": step, **measured}) + "\n")


def step_of_best(folder):
    return PaintingGenerator.from_pretrained(folder / "kept/best").config["training"]["step"]


def test_a_look_compares_the_samples_with_the_training_set(folder, network, paintings):
    settings = SETTINGS | {"eval_every": 0}
    monitor = Monitor(folder, network, settings, paintings)
    assert re.match(r"colours \d+ % \(different\)", str(monitor.look()))
    # Its own samples as the training set; the first look has refreshed its batch norms.
    samples = selected_pictures(monitor.generator.sample(64, seed=4, to="array"), np.arange(64), "")
    found = Monitor(folder, network, settings, samples).look()
    assert found == pytest.approx((1, 1, 1, 1), abs=0.05)


def test_the_preview_shows_each_painting_beside_distortions_of_it(folder, network, paintings):
    Monitor(folder, network, SETTINGS, paintings).preview(("translation",))
    with Image.open(folder / "samples/augmented.png") as sheet:
        picture = np.asarray(sheet)
    shown, second = picture[2:34, 2:34], picture[2:34, 36:68]
    first = next(iter(paintings.images([0])))
    assert np.array_equal(shown, first)
    assert not np.array_equal(second, first)
    # A shifted picture has the pixels of the first one, but at another place.
    colours = [part.reshape(-1, 3) @ [1, 256, 65536] for part in (shown, second)]
    assert len(np.intersect1d(*colours)) > 500
