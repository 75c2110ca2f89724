"""Train, evaluate and identify with tiny settings: one run is trained and shared."""

import csv
import json
import math
import re
import shlex
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import load_file
from timm.optim import create_optimizer_v2

from brushwork import ArtistClassifier
from brushwork.backbones.create import create_backbone
from brushwork.data.preparation import prepare
from brushwork.data.prepared import open_prepared
from brushwork.data.sources.synthetic import synthetic_paintings
from brushwork.errors import BrushworkError
from brushwork.metrics.classification import accuracy_with_mix, classification_report
from brushwork.training.run import Run, read_metrics
from experiments import evaluate_classifier, train_classifier
from settings import flat, read_flags

ROOT = Path(__file__).parents[2]
TINY = {"min_paintings": 2, "model": "test_resnet", "weights": "none", "side": 64,
        "first_side": 32, "last_side": 64, "batch_size": 8, "epochs": 2, "precision": "no",
        "views": 1}  # fmt: skip


def flags_of(settings):
    """Write settings as flags; True is a flag without a value, and a tuple repeats the flag."""
    flags = []
    for name, value in settings.items():
        flag = f"--{name.replace('_', '-')}"
        if value is True:
            flags.append(flag)
            continue
        for item in value if isinstance(value, tuple) else (value,):
            flags += [flag, str(item)]
    return flags


def command(data, out, **settings):
    script = ROOT / "experiments" / "train_classifier.py"
    flags = flags_of({"data": data, "out": out} | TINY | settings)
    return [script, *flags]


@pytest.fixture(scope="module")
def train(run_script):
    def train(data, out, draws=False, **settings):
        flags = flags_of({"data": data, "out": out, "tracker": "None"} | TINY | settings)
        run_script("train_classifier", *flags, draws=draws)
        return out

    return train


def same(a, b):
    a, b = (load_file(run / "state.safetensors") for run in (a, b))
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.fixture(scope="module")
def run(train, prepared_folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("classifier") / "run"
    return train(prepared_folder, out, tracker="tensorboard", draws=True)


def test_a_run_writes_a_classifier_with_its_artists_and_an_index_of_paintings(run, prepared_folder):
    known = ArtistClassifier.from_pretrained(run / "classifier")
    table = open_prepared(prepared_folder).table
    assert set(known.artists) <= set(table["artist"]) and list(known.artists) == sorted(
        known.artists
    )
    neighbour = known.nearest(open_prepared(prepared_folder).image(0), k=1)[0]
    assert neighbour.artist == table["artist"][0] and neighbour.title == table["title"][0]
    lines = read_metrics(run)
    assert [line["epoch"] for line in lines] == [1, 2]
    best = max(line["val_top1"] for line in lines)
    assert known.config["training"]["val_top1"] == best
    assert (run / "curves.png").stat().st_size > 5000
    assert list((run / "brushwork").glob("events.*"))


def test_a_run_that_a_signal_stopped_resumes_to_the_same_weights(
    train, run, forked, prepared_folder, tmp_path
):
    out = tmp_path / "run"
    environment = {"CUDA_VISIBLE_DEVICES": ""}
    line = command(prepared_folder, out, resume=True)
    with forked.start(*line, environment=environment, niceness=5) as process:
        while not (out / "metrics.jsonl").exists() and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        process.wait(120)
    assert process.returncode == 0, process.stderr
    train(prepared_folder, out, resume=True)
    assert same(out, run)
    assert [m["loss"] for m in read_metrics(out)][-1] > 0


def test_a_finished_run_that_is_resumed_is_finished_again(run, train, prepared_folder, tmp_path):
    out = tmp_path / "run"
    shutil.copytree(run, out)
    (out / "classifier" / "discriminants.safetensors").unlink()
    train(prepared_folder, out, resume=True, tracker="tensorboard")
    for name in ("model", "discriminants"):
        first, again = (load_file(r / "classifier" / f"{name}.safetensors") for r in (run, out))
        assert all(torch.equal(first[key], again[key]) for key in first), name


def test_two_processes_share_the_paintings_of_one(
    run, forked, prepared_folder, tmp_path, monkeypatch
):
    """Batch norms differ, so the curves do too; but each validation painting counts once."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    first, second = forked.run_two(*command(prepared_folder, tmp_path / "two", epochs=1))
    assert first.returncode == second.returncode == 0, first.stderr + second.stderr
    assert "on 2 x cpu" in first.stdout
    one, two = (ArtistClassifier.from_pretrained(r / "classifier") for r in (run, tmp_path / "two"))
    counts = [k.config["results"]["validation"]["num_paintings"] for k in (one, two)]
    assert counts[0] == counts[1]


@pytest.mark.parametrize(
    "settings",
    [
        {"augment": "trivial", "mix": "cutmix", "balance": 0.5, "freeze": 1, "ema_half_life": 0},
        {"optimizer": "adam", "layer_decay": 1.0, "min_area": 0.08, "label_smoothing": 0.0,
         "mix": "mixup", "augment": "rand", "patience": 1, "views": 10, "genre": "landscape",
         "min_paintings": 1},
    ],
)  # fmt: skip
def test_every_part_of_the_recipe_trains(train, prepared_folder, tmp_path, settings):
    out = train(prepared_folder, tmp_path / "run", epochs=1, **settings)
    assert np.isfinite(read_metrics(out)[0]["loss"])


def test_a_run_whose_patience_has_ended_does_not_resume(train, prepared_folder, tmp_path):
    """With a learning rate of almost 0, the first epoch stays the best."""
    settings = {"epochs": 4, "patience": 1, "lr": 1e-12, "ema_half_life": 0}
    out = train(prepared_folder, tmp_path / "run", **settings)
    before = read_metrics(out)
    assert len(before) == 2
    train(prepared_folder, tmp_path / "run", **settings, resume=True)
    assert read_metrics(out) == before


@pytest.mark.parametrize(
    ("settings", "epochs", "longer"),
    [
        ({"epochs": 6}, 6, {"epochs": 12}),
        ({"epochs": 1, "minutes": 5}, 1, {"epochs": 2, "minutes": 10}),  # the epochs ended it
        ({"epochs": 30, "minutes": 5}, 3.2, {"epochs": 30, "minutes": 10}),
        ({"epochs": 6, "patience": 1}, 3, {"epochs": 6, "patience": 2, "change": True}),
    ],
)
def test_the_suggested_command_trains_longer_whatever_ended_the_training(settings, epochs, longer):
    cfg = read_flags(train_classifier.Config, None, flags_of(settings))
    text = train_classifier.describe_next(cfg, "uv run", finished=True, epochs=epochs)
    command = shlex.split(next(line for line in text.splitlines() if "--resume" in line))
    suggested = flat(read_flags(train_classifier.Config, None, command[3:]))
    expected = flat(cfg) | longer | {"resume": True}
    assert suggested == expected


def test_minutes_end_a_training_within_an_epoch_and_leave_a_classifier(
    train, prepared_folder, tmp_path, monkeypatch, capsys
):
    """With a clock by which each step takes six seconds: three steps, and then two more."""
    since_start, step = [0], train_classifier.training_step

    def step_and_count(*arguments):
        since_start[0] += 6
        return step(*arguments)

    monkeypatch.setattr(train_classifier, "training_step", step_and_count)
    monkeypatch.setattr(Run, "seconds", lambda run: run._seconds + since_start[0])
    out = train(prepared_folder, tmp_path / "run", minutes=0.3, epochs=9, batch_size=4)
    (line,) = read_metrics(out)
    assert line["step"] == 3 and 0 < line["epoch"] < 1
    printed = capsys.readouterr().out
    assert "top-1 accuracy on the validation paintings" in printed and "--minutes 0.6" in printed
    assert ArtistClassifier.from_pretrained(out / "classifier").config["results"]
    since_start[0] = 0
    changed = {"epochs": 9, "batch_size": 4, "resume": True, "lr": 1e-4, "minutes": 0.5}
    with pytest.raises(BrushworkError, match=r"lr was 0\.001 and is now 0\.0001; .* add `change`"):
        train(prepared_folder, out, **changed)
    train(prepared_folder, out, **changed, change=True)
    assert [line["step"] for line in read_metrics(out)] == [3, 5]
    assert "changed at step 3: lr from 0.001 to 0.0001" in capsys.readouterr().out


def test_a_student_learns_from_its_teachers(train, run, prepared_folder, tmp_path):
    def learn(name, *teachers):
        out = train(prepared_folder, tmp_path / name, epochs=1, teacher=teachers)
        card = (out / "classifier" / "README.md").read_text()
        return read_metrics(out)[0]["loss"], card

    teacher = str(run / "classifier")
    other = train(prepared_folder, tmp_path / "other", epochs=1, seed=3) / "classifier"
    one, card_of_one = learn("one", teacher)
    same, _ = learn("same", teacher, teacher)
    two, card_of_two = learn("two", teacher, str(other))
    assert same == pytest.approx(one, rel=1e-4) and two != pytest.approx(one, rel=1e-4)
    assert f"with {run.name}/classifier as teacher" in card_of_one
    assert f"with {run.name}/classifier and other/classifier as teachers" in card_of_two


def test_a_run_that_recorded_its_one_teacher_as_text_is_resumed(
    run, train, prepared_folder, tmp_path
):
    out, teacher = tmp_path / "run", str(run / "classifier")
    train(prepared_folder, out, epochs=1, teacher=(teacher,))
    config = json.loads((out / "config.json").read_text())
    config["settings"]["teacher"] = teacher
    (out / "config.json").write_text(json.dumps(config))
    train(prepared_folder, out, epochs=2, teacher=(teacher,), resume=True)
    assert [line["epoch"] for line in read_metrics(out)] == [1, 2]


@pytest.mark.parametrize("model", ["test_resnet", "test_vit"])
def test_a_frozen_network_gets_a_last_layer_and_is_finished(
    run_script, prepared_folder, tmp_path, monkeypatch, model
):
    """The same command continues with the features that it finds, to the same weights."""
    out, kept = tmp_path / "run", ("min_paintings", "weights", "side", "views")
    settings = {"data": prepared_folder, "out": out, "tracker": "None", "freeze": "all"}
    settings |= {name: TINY[name] for name in kept} | {"model": model}
    run_script("train_classifier", *flags_of(settings))
    known = ArtistClassifier.from_pretrained(out / "classifier")
    paintings = open_prepared(prepared_folder)
    rows = np.flatnonzero(paintings.table["split"] == "train")[:3]
    found = known.predict_rows(paintings.pixels(64, "squash"), rows)
    saved = load_file(out / "features" / "plain.safetensors")
    torch.testing.assert_close(saved["features"][:3], found.features, rtol=1e-3, atol=1e-4)
    assert known.discriminants is not None and known.nearest(paintings.image(0), k=1)
    (line,) = read_metrics(out)
    assert line["val_top1"] == known.config["training"]["val_top1"]
    assert "only the last layer" in (out / "classifier" / "README.md").read_text()

    weights = load_file(out / "classifier" / "model.safetensors")
    torch.manual_seed(0)
    backbone = create_backbone(model, len(known.artists)).state_dict()
    changed = {name for name in weights if not torch.equal(weights[name], backbone[name])}
    last = "fc" if model == "test_resnet" else "head"
    assert changed == {f"{last}.weight", f"{last}.bias"}
    monkeypatch.setattr(train_classifier, "predict_rows", lambda *_, **__: pytest.fail("again"))
    monkeypatch.setattr(train_classifier, "finish_classifier", lambda *_, **__: None)
    run_script("train_classifier", *flags_of(settings), "--resume")
    again = load_file(out / "classifier" / "model.safetensors")
    assert all(torch.equal(weights[name], again[name]) for name in weights)


def test_filters_apply_before_artists_are_chosen(prepared_folder):
    flags = ["--data", prepared_folder, "--genre", "landscape", "--min-paintings", 1, "--side", 64]
    cfg = read_flags(train_classifier.Config, None, [*map(str, flags)])
    data = train_classifier.open_paintings(cfg)
    table = open_prepared(prepared_folder).table
    landscapes = table[table["genre"] == "landscape"]
    assert set(table.loc[data.split.table.index, "genre"]) == {"landscape"}
    for artist, number in data.split.training["artist"].value_counts().items():
        own = landscapes[landscapes["artist"] == artist]
        assert number == (own["split"] == "train").sum()


def test_settings_keep_the_names_that_older_runs_recorded():
    settings = flat(train_classifier.Config())
    assert settings["min_paintings"] == 300
    assert settings.keys() == {
        "data", "genre", "style", "artist", "min_paintings", "fit", "model", "weights", "teacher",
        "side", "first_side", "last_side", "epochs", "batch_size", "optimizer", "lr", "freeze",
        "layer_decay", "weight_decay", "min_area", "degrade", "augment", "mix", "label_smoothing",
        "balance",
        "ema_half_life", "views", "patience", "precision", "seed", "tracker", "out", "resume",
        "minutes", "change", "split_seed",
    }  # fmt: skip


def test_the_seed_does_not_decide_which_paintings_are_held_out(prepared_folder):
    def held_out(**settings):
        flags = flags_of({"data": prepared_folder, "min_paintings": 1, "side": 64, **settings})
        cfg = read_flags(train_classifier.Config, None, flags)
        return set(train_classifier.open_paintings(cfg).split.validation.index)

    assert held_out(seed=1) == held_out(seed=2) != held_out(split_seed=1)


def test_an_evaluation_finds_the_paintings_that_were_held_out(run, prepared_folder, tmp_path):
    """Older checkpoints have one seed for everything."""
    copy, paintings = tmp_path / "classifier", open_prepared(prepared_folder)
    shutil.copytree(run / "classifier", copy)

    def held_out(**training):
        config = json.loads((copy / "config.json").read_text())
        config["training"] = {k: v for k, v in config["training"].items() if k != "split_seed"}
        config["training"] |= training
        (copy / "config.json").write_text(json.dumps(config))
        known = ArtistClassifier.from_pretrained(copy)
        return evaluate_classifier.split_rows(known, paintings)["validation"].tolist()

    assert held_out(seed=1) == held_out(seed=2, split_seed=1) != held_out(seed=1, split_seed=0)


def test_a_teacher_must_not_know_the_paintings_that_are_held_out(
    run, train, prepared_folder, tmp_path
):
    teacher = str(run / "classifier")
    with pytest.raises(BrushworkError, match=r"trained on some .* set `split_seed` to 0"):
        train(prepared_folder, tmp_path / "run", teacher=teacher, split_seed=1)
    genres = sorted(set(open_prepared(prepared_folder).table["genre"]))
    data = {"genre": genres[0], "min_paintings": 1}
    known = train(prepared_folder, tmp_path / "few", epochs=1, **data) / "classifier"
    assert train(prepared_folder, tmp_path / "taught", epochs=1, teacher=str(known), **data)


def test_an_older_run_is_resumed_with_the_split_that_it_had(run, train, prepared_folder, tmp_path):
    """It recorded one seed, which decided the split, too."""
    out = tmp_path / "run"
    shutil.copytree(run, out)
    config = json.loads((out / "config.json").read_text())
    del config["settings"]["split_seed"]
    (out / "config.json").write_text(json.dumps(config))
    changed = {"resume": True, "change": True, "seed": 3, "epochs": 2}
    with pytest.raises(BrushworkError, match="split_seed was 0 and is now 3"):
        train(prepared_folder, out, split_seed=3, **changed)
    train(prepared_folder, out, split_seed=0, **changed)


@pytest.mark.parametrize("num_steps", [1, 18, 100, 1230])
def test_the_learning_rate_depends_on_the_step_alone(num_steps):
    """It rises for 5 % of the steps, then falls as half a cosine (Loshchilov & Hutter, eq. 5)."""
    network = timm.create_model("test_resnet", num_classes=2)

    def schedule():
        optimizer = create_optimizer_v2(network, "adamw", lr=0.5, layer_decay=0.8)
        return train_classifier.cosine_schedule(optimizer, lr=0.5, num_steps=num_steps)

    def rates(schedule, step):
        schedule.step_update(step)
        return [group["lr"] for group in schedule.optimizer.param_groups]

    def cosine(step):
        rise = 0.05 * num_steps
        return 0.5 * (1 + math.cos(math.pi * (step - rise) / (num_steps - rise)))

    whole, scales = schedule(), [g["lr_scale"] for g in schedule().optimizer.param_groups]
    assert len(set(scales)) > 3
    curve = [rates(whole, step) for step in range(num_steps)]
    for step in {0, num_steps // 30, num_steps // 2, num_steps - 1}:
        assert curve[step] == rates(schedule(), step), "a resumed run"
    factors = [rate[-1] / 0.5 for rate in curve]
    np.testing.assert_allclose(curve, np.outer(factors, scales) * 0.5)
    first = math.ceil(0.05 * num_steps)
    expected = [cosine(step) for step in range(first, num_steps)]
    np.testing.assert_allclose(factors[first:], expected, atol=1e-12)
    assert factors[0] > 0 and factors[:first] == sorted(factors[:first])
    assert max(factors) <= 1 and factors[-1] > 0


@pytest.mark.parametrize(
    ("mistake", "words"),
    [
        ({"min_paintings": 1000}, "lower `min_paintings`"),
        ({"model": "resnet_18"}, "did you mean"),
        ({"weights": "nowhere.pth"}, "no weights at nowhere.pth"),
        ({"freeze": 40}, "choose between 0 and"),
        ({"first_side": 64, "last_side": 32}, "set `first_side` to at most 32"),
        ({"freeze": "all", "minutes": 3}, "`epochs`, `minutes`, `batch_size`, `precision` out"),
        ({"epochs": 0}, "`epochs` is 0"),
        ({"data": "nowhere/at/all"}, "nowhere/at/all"),
        ({"data": "nowhere/at/all", "model": "resnet_18"}, "nowhere/at/all"),
        ({"genre": "landscpe"}, "did you mean 'landscape'"),
        ({"tracker": "mlflow"}, "`tracker` is mlflow, which is not installed"),
    ],
)
def test_a_mistake_is_reported_before_anything_is_written(
    train, prepared_folder, tmp_path, monkeypatch, mistake, words
):
    monkeypatch.setattr(
        "brushwork.training.trackers.find_spec", lambda name: None if name == "mlflow" else name
    )
    settings = {"data": prepared_folder} | mistake
    with pytest.raises(BrushworkError, match=re.escape(words)):
        train(out=tmp_path / "run", **settings)
    assert not (tmp_path / "run").exists()


def test_a_training_without_validation_paintings_is_refused(train, tmp_path):
    for split in ("train", "test"):
        for artist in ("A", "B"):
            folder = tmp_path / "split" / split / artist
            folder.mkdir(parents=True)
            Image.new("RGB", (40, 40), "red").save(folder / "a.png")
    with pytest.raises(BrushworkError, match="no artist has two training paintings"):
        train(tmp_path / "split", tmp_path / "run", min_paintings=1)
    assert not (tmp_path / "run").exists()


def test_a_network_that_does_not_fit_is_refused_before_paintings_are_decoded(
    train, tmp_path, monkeypatch
):
    monkeypatch.setattr("brushwork.data.open.prepare", lambda *_, **__: pytest.fail("decoded"))
    with pytest.raises(BrushworkError, match="did you mean"):
        train(data="synthetic:7", out=tmp_path / "run", model="resnet_18")


@pytest.fixture(scope="module")
def report(run_script, run, prepared_folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("evaluation")
    flags = flags_of({"data": prepared_folder, "resamples": 50, "out": out})
    run_script("evaluate_classifier", run / "classifier", *flags)
    return out


def test_a_second_collection_without_the_artists_is_refused(
    run_script, run, prepared_folder, tmp_path
):
    other = tmp_path / "other" / "Nobody"
    other.mkdir(parents=True)
    Image.new("RGB", (40, 40)).save(other / "a.png")
    flags = flags_of({"also": other.parent, "out": tmp_path / "out"})
    with pytest.raises(BrushworkError, match=r"`also` is .*, which has no paintings of the"):
        run_script("evaluate_classifier", run / "classifier", *flags)
    flags = flags_of({"also": prepared_folder, "out": tmp_path / "out"})
    with pytest.raises(BrushworkError, match="which the classifier was trained on"):
        run_script("evaluate_classifier", run / "classifier", *flags)


@pytest.mark.parametrize("script", ["evaluate_classifier", "evaluate_as_2019"])
def test_an_evaluation_replaces_only_one_of_the_same_classifier(run_script, run, tmp_path, script):
    def refused(out):
        with pytest.raises(BrushworkError) as error:
            run_script(script, run / "classifier", "--out", out)
        return str(error.value)

    (tmp_path / "file").write_text("mine")
    assert "file, which is a file" in refused(tmp_path / "file")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "artists.csv").write_text("name,price")
    assert "which holds other files" in refused(tmp_path / "mine")
    for content in ("{", "[]", '{"settings": {}}'):
        (tmp_path / "mine" / "report.json").write_text(content)
        assert "which holds other files" in refused(tmp_path / "mine")
    (tmp_path / "mine" / "report.json").write_text('{"settings": {"classifier": "another"}}')
    assert "which holds an evaluation of another" in refused(tmp_path / "mine")


def test_splits_that_other_data_does_not_have_are_said(run_script, run, tmp_path, capsys):
    prepare(synthetic_paintings(90), tmp_path / "others", side=64, workers=1, progress=False)
    flags = flags_of({"data": tmp_path / "others", "resamples": 2, "out": tmp_path / "out"})
    run_script("evaluate_classifier", run / "classifier", *flags, "--splits", "validation", "test")
    assert "not measured: validation, because" in capsys.readouterr().out
    same = run / "classifier" / ".." / "classifier"
    run_script("evaluate_classifier", same, *flags, "--splits", "test")
    assert "not measured" not in capsys.readouterr().out


def test_the_report_has_the_results_of_each_split(run, report):
    assert {f.name for f in report.iterdir()} == {
        "report.json", "report.html", "artists.csv", "confusion.csv", "confusion.png",
        "reliability.png", "mistakes.png",
    }  # fmt: skip
    record = json.loads((report / "report.json").read_text())
    assert set(record["reports"]) == {"train", "validation", "test"}
    for numbers in record["reports"].values():
        assert {"top1", "top3", "top5", "macro_f1", "weighted_recall", "calibration_error",
                "calibration_error_before"} <= numbers.keys()  # fmt: skip
    validation = ArtistClassifier.from_pretrained(run / "classifier").config["results"][
        "validation"
    ]
    ours = record["reports"]["validation"]
    assert {name: ours[name] for name in validation} == pytest.approx(validation, abs=1e-6)
    low, high = record["intervals"]["test"]["top1"]
    assert low <= record["reports"]["test"]["top1"] <= high


def test_the_test_numbers_are_those_of_the_test_rows(report, run, prepared_folder):
    known = ArtistClassifier.from_pretrained(run / "classifier")
    paintings = open_prepared(prepared_folder)
    table = paintings.table
    test = table[(table["split"] == "test") & table["artist"].isin(known.artists)]
    predictions = known.predict_rows(paintings.pixels(64, "squash"), test.index.to_numpy())
    labels = [known.artists.index(artist) for artist in test["artist"]]
    expected = classification_report(known.calibrated(predictions), labels)
    numbers = json.loads((report / "report.json").read_text())["reports"]["test"]
    assert {name: numbers[name] for name in expected} == pytest.approx(expected)
    rows = list(csv.reader((report / "confusion.csv").read_text().splitlines()))
    assert sum(int(cell) for row in rows[1:] for cell in row[1:]) == len(test)


def test_unknown_artists_are_those_that_the_classifier_was_not_trained_on(
    train, prepared_folder, tmp_path
):
    few = train(prepared_folder, tmp_path / "run", epochs=1, min_paintings=7)
    known = ArtistClassifier.from_pretrained(few / "classifier")
    parts = evaluate_classifier.split_rows(known, open_prepared(prepared_folder))
    table = open_prepared(prepared_folder).table
    assert len(parts["unknown"])
    assert not set(table["artist"][parts["unknown"]]) & set(known.artists)
    assert set(table["split"][parts["unknown"]]) == {"test"}


def test_strangers_and_a_second_collection_are_in_the_report(
    run_script, train, prepared_folder, tmp_path
):
    few = train(prepared_folder, tmp_path / "run", epochs=1, min_paintings=7)
    second = tmp_path / "second"
    prepare(synthetic_paintings(90), second, side=64, workers=1, progress=False)
    flags = flags_of({"data": prepared_folder, "also": second, "resamples": 2})
    flags += ["--splits", "test", "--out", str(tmp_path / "report")]
    run_script("evaluate_classifier", few / "classifier", *flags, "--update-card")
    numbers = json.loads((tmp_path / "report" / "report.json").read_text())["reports"]
    assert numbers.keys() == {"test", "second"}
    table = open_prepared(second).table
    known = ArtistClassifier.from_pretrained(few / "classifier")
    is_known = table["artist"].isin(known.artists)
    assert numbers["second"]["num_paintings"] == is_known.sum()
    assert numbers["second"]["num_unknown"] == (~is_known).sum()
    for report in numbers.values():
        named, strange = report["known_recall"], report["taken_for_known"]
        assert report["right_names"] <= named / max(named + strange, 1e-9) + 1e-9
    assert (tmp_path / "report" / "risk_coverage.png").stat().st_size > 1000
    card = (few / "classifier" / "README.md").read_text()
    assert "| second collection |" in card and "AUROC" in card
    artist = known.artists[0]
    rows = np.flatnonzero(table["artist"] == artist)
    predictions = known.predict_rows(open_prepared(second).pixels(64, "squash"), rows)
    recall = (known.calibrated(predictions).argmax(1) == 0).mean()
    assert known.config["recall_by_artist"]["second"][artist] == [len(rows), pytest.approx(recall)]
    assert re.search(rf"^\| {artist} \|.*\| {len(rows)} \| {recall:.2f} \|$", card, re.M)
    recalls = known.config["recall_by_artist"]
    assert recalls["second"].keys() == recalls["test"].keys()
    accuracy = accuracy_with_mix(recalls["test"], recalls["second"])
    assert f"mix of artists, their top-1 would be {accuracy:.3f}." in card


def test_a_card_of_a_copy_is_updated_and_nothing_else(
    run_script, run, prepared_folder, tmp_path, monkeypatch
):
    monkeypatch.setattr(evaluate_classifier, "draw_figures", lambda *_: {})
    copy = tmp_path / "classifier"
    shutil.copytree(run / "classifier", copy)
    flags = flags_of({"data": prepared_folder, "resamples": 2, "out": tmp_path / "evaluation"})
    run_script("evaluate_classifier", copy, *flags, "--splits", "test", "--update-card")
    card = (copy / "README.md").read_text()
    assert "| validation |" in card and "| test |" in card and "split: test" in card
    assert "## Recall by artist" in card
    before = ArtistClassifier.from_pretrained(run / "classifier").config
    after = ArtistClassifier.from_pretrained(copy).config
    assert after.pop("results").keys() == {"validation", "test"} and before.pop("results")
    assert after.pop("recall_by_artist").keys() == {"test"}
    assert after == before


def test_the_evaluation_of_2019_stands_beside_the_honest_one(
    run_script, run, report, prepared_folder, tmp_path
):
    flags = flags_of({"data": prepared_folder, "out": tmp_path})
    run_script("evaluate_as_2019", run / "classifier", *flags)
    numbers = json.loads((tmp_path / "report.json").read_text())["reports"]
    honest = json.loads((report / "report.json").read_text())["reports"]
    assert numbers["honest"].items() <= honest["test"].items()
    table = open_prepared(prepared_folder).table
    train, test = (table[table["split"] == split] for split in ("train", "test"))
    assert numbers["as in 2019"]["num_paintings"] == len(train)
    assert numbers["test in crops"]["num_paintings"] == len(test)

    # The labels that the test set of 2019 had: those of the first training rows.
    known = ArtistClassifier.from_pretrained(run / "classifier")
    pixels = open_prepared(prepared_folder).pixels(64, "squash")
    predictions = known.predict_rows(pixels, test.index.to_numpy())
    labels = [known.artists.index(artist) for artist in train["artist"][: len(test)]]
    assert numbers["labels of 2019"] == classification_report(known.calibrated(predictions), labels)


def test_the_evaluation_of_2019_needs_the_training_data(run_script, run, tmp_path):
    prepare(synthetic_paintings(20), tmp_path / "others", side=64, workers=1, progress=False)
    with pytest.raises(BrushworkError, match="was not trained on"):
        run_script("evaluate_as_2019", run / "classifier", "--data", tmp_path / "others")
