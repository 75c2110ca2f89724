"""All metrics at once: the keys name the space, and the numbers are those of the functions."""

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
    class_check,
    evaluate,
    label_check,
    leak_check,
)
from brushwork.metrics.features import Features
from brushwork.metrics.scores import inception_score, mode_score


def features(n: int, seed: int, probabilities: bool = True) -> Features:
    x = torch.from_numpy(np.random.default_rng(seed).standard_normal((n, 8)).astype(np.float32))
    return Features(x, x.softmax(1) if probabilities else None)


def test_every_metric_names_its_space_and_the_counts_are_told():
    report = evaluate(features(50, 1), features(40, 2), "artist")
    counts = {"n_real": 50, "n_fake": 40, "n_pairs": 40}
    assert {name: report.pop(name) for name in counts} == counts
    assert all(name.endswith("_artist") for name in report)
    assert all(isinstance(value, float) for value in report.values())
    ranked = {name.removesuffix("_artist") for name in report}
    assert ranked >= LOWER_IS_BETTER | HIGHER_IS_BETTER


def test_the_numbers_are_those_of_the_functions():
    real, fake = features(40, 1), features(40, 2)
    assert real.probabilities is not None and fake.probabilities is not None
    report, (x, _), (y, _) = evaluate(real, fake, "s"), real, fake
    assert report["fid_s"] == distances.frechet(x, y)
    assert (report["kid_s"], report["kid_error_s"]) == distances.kid(x, y)
    assert report["is_s"] == inception_score(fake.probabilities).mean
    assert report["mode_score_s"] == mode_score(real.probabilities, fake.probabilities)
    assert report["mmd_s"] == distances.mmd(x, y)
    assert report["emd_s"] == distances.wasserstein(x, y)
    assert tuple(report[f"one_nn{part}_s"] for part in ("", "_real", "_fake")) == distances.one_nn(
        x, y
    )
    assert (report["precision_s"], report["recall_s"]) == distances.precision_recall(x, y)
    assert (report["density_s"], report["coverage_s"]) == distances.density_coverage(x, y)


def test_pairs_are_sampled_alike_by_one_seed():
    real, fake = features(90, 1), features(60, 2)
    first, again, other = (evaluate(real, fake, "s", num_pairs=30, seed=s) for s in (0, 0, 1))
    assert first == again and first["n_pairs"] == 30
    assert first["mmd_s"] != other["mmd_s"] and first["fid_s"] == other["fid_s"]


def test_only_the_named_metrics_are_computed():
    report = evaluate(features(50, 1), features(40, 2), "s", metrics=["fid"])
    assert set(report) == {"fid_s", "n_real", "n_fake"}
    for name in METRICS:
        assert len(evaluate(features(20, 1), features(20, 2), "s", metrics=[name])) > 2


def test_a_space_without_classes_has_no_inception_score():
    real, fake = features(20, 1, probabilities=False), features(20, 2, probabilities=False)
    assert "is_s" not in evaluate(real, fake, "s")
    with pytest.raises(BrushworkError, match="no probabilities"):
        evaluate(real, fake, "s", metrics=["is"])


def test_an_unknown_metric_is_one_sentence():
    with pytest.raises(BrushworkError, match="no metric 'fd'; there are fid"):
        evaluate(features(20, 1), features(20, 2), "s", metrics=["fd"])


def test_the_best_is_lowest_highest_or_nearest_to_a_half_as_the_metric_asks():
    reports = {
        "a": {"fid_s": 1.0, "is_s": 1.0, "one_nn_s": 0.4, "kid_error_s": 1.0, "n_fake": 5},
        "b": {"fid_s": 2.0, "is_s": 2.0, "one_nn_s": 0.7, "kid_error_s": 2.0, "n_fake": 5},
    }
    assert best(reports, "fid_s", "s") == {"a"}
    assert best(reports, "is_s", "s") == {"b"}
    assert best(reports, "one_nn_s", "s") == {"a"}
    assert best(reports, "kid_error_s", "s") == best(reports, "n_fake", "s") == set()
    assert best({"a": reports["a"]}, "fid_s", "s") == set(), "one run is compared with none"


def test_the_leak_check_needs_held_out_images_for_copying():
    train, held_out = features(50, 1), features(30, 2)
    assert leak_check(train, train, "s") == {"authenticity_s": 0}
    assert leak_check(train, train, "s", held_out) == {"authenticity_s": 0, "copying_s": 1}


def test_the_labels_seen_in_fakes_stand_beside_those_of_real_images():
    sure, unsure = torch.eye(2).repeat(3, 1), torch.full((4, 2), 0.5)
    fake, real = Features(sure[:, :1], sure), Features(unsure[:, :1], unsure)
    values, shares = label_check(fake, real, ["Monet", "Degas"], ["Degas"], "artist")
    assert shares == {"Monet": 0.5, "Degas": 0.5}
    assert values == {
        "label_entropy_artist": pytest.approx(np.log(2)),
        "label_entropy_real_artist": 0,
        "confidence_artist": 1,
        "confidence_real_artist": 0.5,
        "agreement_artist": 0.5,
    }
    assert "agreement_artist" not in label_check(fake, real, ["Monet", "Degas"], [], "artist")[0]
    with pytest.raises(BrushworkError, match="sees no labels"):
        label_check(Features(sure), real, ["Monet", "Degas"], [], "artist")


def test_fakes_of_many_classes_are_each_asked_for_their_own():
    eye = Features(torch.zeros(4, 2), torch.eye(2)[[0, 1, 1, 0]])
    own = ["Monet", "Degas", "Degas", "Degas"]
    values, _ = label_check(eye, eye, ["Monet", "Degas"], [], "artist", own)
    assert values["intended_artist"] == 0.75
    assert values["intended_by_chance_artist"] == (2 * 1 + 2 * 3) / 16


def test_what_fakes_teach_stands_beside_what_paintings_teach_and_chance():
    x = torch.tensor([[0.0], [1.0], [9.0], [10.0]])
    good, bad = Features(x), Features(x.flip(0))
    values = class_check(bad, list("aabb"), Features(x[:3]), list("aab"), "s", (good, list("aabb")))
    assert values == {"cas_s": 0, "cas_of_real_s": 1, "cas_by_chance_s": pytest.approx(2 / 3)}
    assert "cas_of_real_s" not in class_check(good, list("aabb"), good, list("aabb"), "s")
    assert best({"a": values, "b": values | {"cas_s": 0.5}}, "cas_s", "s") == {"b"}
