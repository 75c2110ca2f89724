"""All metrics at once: their names, and the numbers of the functions that compute them."""

import numpy as np
import pytest
import torch

from brushwork.errors import BrushworkError
from brushwork.metrics import distances
from brushwork.metrics.evaluate import (
    HIGHER_IS_BETTER,
    LOWER_IS_BETTER,
    METRICS,
    best,
    by_space,
    class_check,
    evaluate,
    flat_metrics,
    label_check,
    leak_check,
)
from brushwork.metrics.features import Features
from brushwork.metrics.scores import inception_score, mode_score


def features(n: int, seed: int, probabilities: bool = True) -> Features:
    x = torch.from_numpy(np.random.default_rng(seed).standard_normal((n, 8)).astype(np.float32))
    return Features(x, x.softmax(1) if probabilities else None)


def test_every_metric_has_a_plain_name_and_the_counts_stand_beside_them():
    report = evaluate(features(50, 1), features(40, 2))
    counts = {"n_real": 50, "n_fake": 40, "n_pairs": 40}
    assert {name: report.pop(name) for name in counts} == counts
    assert all(isinstance(value, float) for value in report.values())
    parts = {"kid_error", "one_nn", "one_nn_real", "one_nn_fake"}
    elsewhere = {"fid_infinity", "cmmd"}  # of evaluate_gan.py, and of CLIP's space only
    assert report.keys() == (LOWER_IS_BETTER | HIGHER_IS_BETTER | parts) - elsewhere


def test_the_numbers_are_those_of_the_functions():
    real, fake = features(40, 1), features(40, 2)
    assert real.probabilities is not None and fake.probabilities is not None
    report, (x, _), (y, _) = evaluate(real, fake), real, fake
    assert report["fid"] == distances.frechet(x, y)
    assert (report["kid"], report["kid_error"]) == distances.kid(x, y)
    assert report["is"] == inception_score(fake.probabilities).mean
    assert report["mode_score"] == mode_score(real.probabilities, fake.probabilities)
    assert report["mmd"] == distances.mmd(x, y)
    assert report["emd"] == distances.wasserstein(x, y)
    assert tuple(report[f"one_nn{part}"] for part in ("", "_real", "_fake")) == distances.one_nn(
        x, y
    )
    assert (report["precision"], report["recall"]) == distances.precision_recall(x, y)
    assert (report["density"], report["coverage"]) == distances.density_coverage(x, y)


def test_pairs_are_sampled_alike_by_one_seed():
    real, fake = features(90, 1), features(60, 2)
    first, again, other = (evaluate(real, fake, num_pairs=30, seed=s) for s in (0, 0, 1))
    assert first == again and first["n_pairs"] == 30
    assert first["mmd"] != other["mmd"] and first["fid"] == other["fid"]


def test_only_the_named_metrics_are_computed():
    report = evaluate(features(50, 1), features(40, 2), metrics=["fid"])
    assert set(report) == {"fid", "n_real", "n_fake"}
    for name in METRICS:
        assert len(evaluate(features(20, 1), features(20, 2), metrics=[name])) > 2


def test_a_space_without_classes_has_no_inception_score():
    real, fake = features(20, 1, probabilities=False), features(20, 2, probabilities=False)
    assert not {"is", "mode_score"} & evaluate(real, fake).keys()
    with pytest.raises(BrushworkError, match="need probabilities"):
        evaluate(real, fake, metrics=["is"])


def test_an_unknown_metric_is_one_sentence():
    with pytest.raises(BrushworkError, match="no metric 'fd'; choose from fid"):
        evaluate(features(20, 1), features(20, 2), metrics=["fd"])


def test_the_best_is_the_lowest_the_highest_or_the_nearest_to_a_half():
    assert best({"a": 1.0, "b": 2.0}, "fid") == {"a"}
    assert best({"a": 1.0, "b": 2.0}, "is") == {"b"}
    assert best({"a": 0.4, "b": 0.7}, "one_nn") == {"a"}
    assert best({"a": 1.0, "b": 2.0}, "kid_error") == set(), "it has no better side"
    assert best({"a": 5, "b": 5}, "fid") == set(), "equal values"
    assert best({"a": 1.0}, "fid") == set(), "one value is compared with none"


def test_the_leak_check_needs_held_out_images_for_copying():
    train, held_out = features(50, 1), features(30, 2)
    assert leak_check(train, train) == {"authenticity": 0}
    assert leak_check(train, train, held_out) == {"authenticity": 0, "copying": 1}


def test_the_labels_seen_in_fakes_stand_beside_those_of_real_images():
    sure, unsure = torch.eye(2).repeat(3, 1), torch.full((4, 2), 0.5)
    fake, real = Features(sure[:, :1], sure), Features(unsure[:, :1], unsure)
    values, shares = label_check(fake, real, ["Monet", "Degas"], ["Degas"])
    assert shares == {"Monet": 0.5, "Degas": 0.5}
    assert values == {
        "label_entropy": pytest.approx(np.log(2)),
        "label_entropy_real": 0,
        "confidence": 1,
        "confidence_real": 0.5,
        "agreement": 0.5,
    }
    assert "agreement" not in label_check(fake, real, ["Monet", "Degas"])[0]
    with pytest.raises(BrushworkError, match="needs probabilities"):
        label_check(Features(sure), real, ["Monet", "Degas"])


def test_each_fake_has_its_own_intended_class():
    eye = Features(torch.zeros(4, 2), torch.eye(2)[[0, 1, 1, 0]])
    own = ["Monet", "Degas", "Degas", "Degas"]
    values, _ = label_check(eye, eye, ["Monet", "Degas"], intended=own)
    assert values["intended"] == 0.75
    assert values["intended_by_chance"] == (2 * 1 + 2 * 3) / 16


def test_what_fakes_teach_stands_beside_what_paintings_teach_and_chance():
    x = torch.tensor([[0.0], [1.0], [9.0], [10.0]])
    good, bad = Features(x), Features(x.flip(0))
    values = class_check(bad, list("aabb"), Features(x[:3]), list("aab"), (good, list("aabb")))
    assert values == {"cas": 0, "cas_of_real": 1, "cas_by_chance": pytest.approx(2 / 3)}
    assert "cas_of_real" not in class_check(good, list("aabb"), good, list("aabb"))
    assert best({"a": values["cas"], "b": 0.5}, "cas") == {"b"}


def test_reports_are_turned_from_runs_to_spaces():
    reports = {"a": {"pixels": {"fid": 1.0}, "artist": {"fid": 2.0}}, "b": {"pixels": {"fid": 3.0}}}
    assert by_space(reports) == {
        "pixels": {"a": {"fid": 1.0}, "b": {"fid": 3.0}},
        "artist": {"a": {"fid": 2.0}},
    }


def test_trackers_get_each_number_under_its_space():
    metrics = {"pixels": {"fid": 1.0, "n_real": 9}, "artist": {"fid": 2.0}}
    assert flat_metrics(metrics) == {"pixels/fid": 1.0, "pixels/n_real": 9, "artist/fid": 2.0}
