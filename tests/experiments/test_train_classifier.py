"""Training, evaluating and identifying, tiny: once by the real command lines, else in process."""

import csv
import json
import os
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
from safetensors.torch import load_file, save_file

from brushwork import ArtistClassifier
from brushwork.data.prepare import prepare
from brushwork.data.prepared import open_prepared
from brushwork.data.sources.synthetic import synthetic_paintings
from brushwork.errors import BrushworkError
from brushwork.metrics.classification import classification_report
from brushwork.training.run import read_metrics
from experiments import evaluate_as_2019, evaluate_classifier, identify, train_classifier

ROOT = Path(__file__).parents[2]
TINY = {"min_paintings": 2, "model": "test_resnet", "weights": "none", "side": 64,
        "first_side": 32, "last_side": 64, "batch_size": 8, "epochs": 2, "precision": "no",
        "views": 1}  # fmt: skip


def command(data, out, **settings):
    flags = [f"--{k.replace('_', '-')}={v}" for k, v in (TINY | settings).items()]
    script = ROOT / "experiments" / "train_classifier.py"
    return [sys.executable, str(script), f"--data={data}", f"--out={out}", *flags]


def train(data, out, **settings):
    config = train_classifier.Config(data=str(data), out=out, **(TINY | settings))
    train_classifier.main(config)
    return out


def same(a, b):
    a, b = (load_file(run / "state.safetensors") for run in (a, b))
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.fixture(scope="module")
def run(prepared_folder, tmp_path_factory):
    return train(prepared_folder, tmp_path_factory.mktemp("classifier") / "run")


def test_a_run_leaves_a_classifier_that_knows_its_artists_and_paintings(run, prepared_folder):
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
    assert (run / "curves.png").exists()


def test_stopped_and_resumed_it_ends_with_the_same_weights(run, prepared_folder, tmp_path):
    out = tmp_path / "run"
    line = command(prepared_folder, out, resume=True)
    line[-1] = "--resume"
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    process = subprocess.Popen(line, env=environment, stdout=subprocess.PIPE, text=True,
                               stderr=subprocess.PIPE)  # fmt: skip
    while not (out / "metrics.jsonl").exists() and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=120)
    assert process.returncode == 0
    train(prepared_folder, out, resume=True)
    assert same(out, run)
    assert [m["loss"] for m in read_metrics(out)][-1] > 0


def test_two_processes_share_the_paintings_of_one(run, prepared_folder, tmp_path):
    """Batch norms differ, so the curves do; each painting kept aside counts once all the same."""
    line = command(prepared_folder, tmp_path / "two", epochs=1)
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes",
              "2", "--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no",
              "--main_process_port", "0"]  # fmt: skip
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "ACCELERATE_USE_CPU": "true"}
    done = subprocess.run([*launch, *line[1:]], env=environment, capture_output=True, text=True,
                          timeout=300)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "on 2 x cpu" in done.stdout
    one, two = (ArtistClassifier.from_pretrained(r / "classifier") for r in (run, tmp_path / "two"))
    counts = [k.config["results"]["validation"]["num_paintings"] for k in (one, two)]
    assert counts[0] == counts[1]


@pytest.mark.parametrize(
    "settings",
    [
        {"augment": "trivial", "mix": "cutmix", "balance": 0.5, "freeze": 1, "ema_half_life": 0},
        {"optimizer": "adam", "layer_decay": 1.0, "min_area": 0.08, "label_smoothing": 0.0,
         "mix": "mixup", "augment": "rand", "patience": 1, "views": 10},
    ],
)  # fmt: skip
def test_every_part_of_the_recipe_trains(prepared_folder, tmp_path, settings):
    out = train(prepared_folder, tmp_path / "run", epochs=1, **settings)
    assert np.isfinite(read_metrics(out)[0]["loss"])


def test_a_training_that_lost_its_patience_does_not_go_on(prepared_folder, tmp_path):
    """No rate, no progress: the first epoch stays the best."""
    patient = {"epochs": 4, "patience": 1, "lr": 1e-12, "ema_half_life": 0}
    out = train(prepared_folder, tmp_path / "run", **patient)
    before = read_metrics(out)
    assert len(before) == 2
    train(prepared_folder, tmp_path / "run", **patient, resume=True)
    assert read_metrics(out) == before


def test_a_student_learns_from_a_teachers_answers(run, prepared_folder, tmp_path):
    taught = train(prepared_folder, tmp_path / "run", epochs=1, teacher=str(run / "classifier"))
    assert read_metrics(taught)[0]["loss"] > 0


@pytest.mark.parametrize(
    ("mistake", "words"),
    [
        ({"min_paintings": 1000}, "lower --min-paintings"),
        ({"model": "resnet_18"}, "did you mean"),
        ({"weights": "nowhere.pth"}, "no weights at nowhere.pth"),
        ({"freeze": 40}, "choose between 0 and"),
        ({"epochs": 0}, "`epochs` is 0"),
        ({"data": "nowhere/at/all"}, "nowhere/at/all"),
    ],
)
def test_a_mistake_is_said_before_anything_is_written(prepared_folder, tmp_path, mistake, words):
    settings = {"data": prepared_folder} | mistake
    with pytest.raises(BrushworkError, match=re.escape(words)):
        train(out=tmp_path / "run", **settings)
    assert not (tmp_path / "run").exists()


@pytest.fixture(scope="module")
def report(run, prepared_folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("evaluation")
    config = evaluate_classifier.Config(
        str(run / "classifier"), data=str(prepared_folder), resamples=50, out=out
    )
    evaluate_classifier.main(config)
    return out


def test_the_report_holds_what_was_asked_for(run, report):
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
    seen = known.predict_rows(paintings.pixels(64, "squash"), test.index.to_numpy())
    labels = [known.artists.index(artist) for artist in test["artist"]]
    expected = classification_report(known.calibrated(seen), labels)
    numbers = json.loads((report / "report.json").read_text())["reports"]["test"]
    assert {name: numbers[name] for name in expected} == pytest.approx(expected)
    rows = list(csv.reader((report / "confusion.csv").read_text().splitlines()))
    assert sum(int(cell) for row in rows[1:] for cell in row[1:]) == len(test)


def test_unknown_artists_are_those_of_the_data_that_it_does_not_know(prepared_folder, tmp_path):
    few = train(prepared_folder, tmp_path / "run", epochs=1, min_paintings=7)
    known = ArtistClassifier.from_pretrained(few / "classifier")
    parts = evaluate_classifier.split_rows(known, open_prepared(prepared_folder))
    table = open_prepared(prepared_folder).table
    assert len(parts["unknown"])
    assert not set(table["artist"][parts["unknown"]]) & set(known.artists)
    assert set(table["split"][parts["unknown"]]) == {"test"}


def test_a_folder_of_pictures_becomes_a_table_with_the_bad_ones_and_their_reasons(run, tmp_path):
    folder, out = tmp_path / "in", tmp_path / "out.csv"
    (folder / "sub").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for i in range(5):
        pixels = rng.integers(0, 256, (50, 70, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "sub" / f"ä {i}.png")
    (folder / "broken.jpg").write_bytes(b"\xff\xd8 no")
    (folder / "empty.png").touch()
    (folder / "notes.txt").write_text("not a picture")
    config = identify.Config(folder, str(run / "classifier"), out, batch_size=2)
    identify.main(config)
    rows = {
        row["file"]: row for row in csv.DictReader(out.read_text(encoding="utf-8").splitlines())
    }
    assert len(rows) == 7 and rows["empty.png"]["error"] == "empty file"
    assert rows["broken.jpg"]["error"] and not rows["broken.jpg"]["artist"]
    good = rows["sub/ä 0.png"]
    answer = ArtistClassifier.from_pretrained(run / "classifier").identify(folder / "sub/ä 0.png")
    assert good["artist"] == answer.artist
    assert good["artist_1"] == answer.candidates[0].artist
    assert float(good["probability_1"]) == pytest.approx(answer.candidates[0].probability, abs=1e-3)
    sheet = out.with_suffix(".html").read_text(encoding="utf-8")
    assert sheet.count("<figure") == 5 and sheet.count("data:image/jpeg") == 10

    # Stopped in the middle of a line, and begun again: the same table, nothing looked at twice.
    whole = out.read_text(encoding="utf-8")
    lines = whole.splitlines(keepends=True)
    out.write_text("".join(lines[:4]) + lines[4][:9], encoding="utf-8")
    identify.main(config)
    assert out.read_text(encoding="utf-8") == whole
    assert out.with_suffix(".html").read_text(encoding="utf-8").count("<figure") == 5


def test_a_table_is_of_one_folder_and_one_classifier(run, tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        Image.new("RGB", (20, 20)).save(tmp_path / name / "1.png")
    named = {"classifier": str(run / "classifier"), "out": tmp_path / "o.csv", "sheet": False}
    identify.main(identify.Config(tmp_path / "a", **named))
    with pytest.raises(BrushworkError, match="made with another folder; pass another --out"):
        identify.main(identify.Config(tmp_path / "b", **named))
    other = tmp_path / "other"
    shutil.copytree(run / "classifier", other)
    weights = load_file(other / "model.safetensors")
    save_file({name: 1.5 * value for name, value in weights.items()}, other / "model.safetensors")
    with pytest.raises(BrushworkError, match="another weights"):
        identify.main(identify.Config(tmp_path / "a", **named | {"classifier": str(other)}))


@pytest.mark.skipif(os.name != "posix", reason="names of other systems are text")
def test_a_name_that_is_no_text_is_kept_byte_for_byte(run, tmp_path):
    (tmp_path / "in").mkdir()
    Image.new("RGB", (20, 20)).save(tmp_path / "in" / "a.png")
    (tmp_path / "in" / "a.png").rename(tmp_path / "in" / os.fsdecode(b"C\xe9zanne.png"))
    config = identify.Config(tmp_path / "in", str(run / "classifier"), tmp_path / "o.csv")
    for _ in range(2):
        identify.main(config)
        assert config.out.read_bytes().count(b"\nC\xe9zanne.png,") == 1


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"folder": Path("nowhere")}, "no folder nowhere"),
        ({"out": Path("x.txt")}, "must end in .csv"),
        ({"classifier": "./nowhere"}, "no checkpoint folder"),
    ],
)
def test_mistakes_in_identifying_are_one_sentence(tmp_path, settings, words):
    Image.new("RGB", (20, 20)).save(tmp_path / "a.png")
    given = {"folder": tmp_path, "classifier": "./nowhere", "out": tmp_path / "o.csv"} | settings
    with pytest.raises(BrushworkError, match=re.escape(words)):
        identify.main(identify.Config(**given))


def test_the_evaluation_of_2019_stands_beside_the_honest_one(
    run, report, prepared_folder, tmp_path
):
    settings = {"data": str(prepared_folder), "out": tmp_path}
    evaluate_as_2019.main(evaluate_as_2019.Config(str(run / "classifier"), **settings))
    numbers = json.loads((tmp_path / "report.json").read_text())["reports"]
    honest = json.loads((report / "report.json").read_text())["reports"]
    assert numbers["honest"].items() <= honest["test"].items()
    table = open_prepared(prepared_folder).table
    train, test = (table[table["split"] == split] for split in ("train", "test"))
    assert numbers["as in 2019"]["num_paintings"] == len(train)
    assert numbers["test in crops"]["num_paintings"] == len(test)

    # The labels that its test set would have had: those of the first training rows.
    known = ArtistClassifier.from_pretrained(run / "classifier")
    pixels = open_prepared(prepared_folder).pixels(64, "squash")
    seen = known.predict_rows(pixels, test.index.to_numpy())
    labels = [known.artists.index(artist) for artist in train["artist"][: len(test)]]
    assert numbers["labels of 2019"] == classification_report(known.calibrated(seen), labels)


def test_of_other_paintings_nobody_knows_which_were_trained_on(run, tmp_path):
    prepare(synthetic_paintings(20), tmp_path / "others", side=64, workers=1, progress=False)
    config = evaluate_as_2019.Config(str(run / "classifier"), data=str(tmp_path / "others"))
    with pytest.raises(BrushworkError, match="was trained on other paintings"):
        evaluate_as_2019.main(config)
