"""Inception and mode score, and the labels seen in the fakes, against closed forms."""

import math

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

from brushwork.errors import BrushworkError
from brushwork.metrics.scores import (
    classification_accuracy_score,
    inception_score,
    mode_score,
    predicted_labels,
)


def predictions(n: int, k: int, seed: int, sharpness: float = 2.0) -> np.ndarray:
    logits = sharpness * np.random.default_rng(seed).standard_normal((n, k))
    p = np.exp(logits)
    return p / p.sum(1, keepdims=True)


def test_inception_score_equals_the_published_loop():
    p, scores = predictions(103, 7, 0), []
    for i in range(5):
        part = p[i * 103 // 5 : (i + 1) * 103 // 5]
        kl = part * (np.log(part) - np.log(part.mean(0, keepdims=True)))
        scores.append(np.exp(kl.sum(1).mean()))
    ours = inception_score(p, splits=5)
    assert ours == pytest.approx((np.mean(scores), np.std(scores)), rel=1e-12)


def test_inception_score_goes_from_one_to_the_number_of_classes():
    assert inception_score(torch.full((9, 5), 0.2)).mean == pytest.approx(1)
    assert inception_score(torch.eye(5).repeat(3, 1)).mean == pytest.approx(5)
    assert inception_score(torch.eye(5)[:1]).mean == 1


def test_mode_score_is_the_inception_score_where_marginals_agree():
    p = predictions(60, 6, 1)
    assert mode_score(p[::-1], p) == pytest.approx(inception_score(p).mean, rel=1e-12)


def test_mode_score_falls_when_classes_are_missed_and_inception_score_need_not():
    real = torch.eye(6).repeat(10, 1)
    scores = [mode_score(real, torch.eye(6)[:k]) for k in range(1, 7)]
    # Sure of k classes of six: exp(log k - log(6 / k)) = k² / 6.
    assert scores == pytest.approx([k * k / 6 for k in range(1, 7)])


def test_mode_score_of_a_class_that_no_real_image_has_is_zero():
    assert mode_score(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.5, 0.5]])) == 0


def test_the_form_against_the_training_marginal_says_nothing_new():
    fake, q = predictions(40, 5, 2), predictions(40, 5, 3).mean(0)
    per_image = (fake * np.log(fake / q)).sum(1).mean()
    marginal = (fake.mean(0) * np.log(fake.mean(0) / q)).sum()
    assert math.exp(per_image - marginal) == pytest.approx(inception_score(fake).mean, rel=1e-12)


def test_predicted_labels_of_one_painter():
    p = torch.tensor([[0.0, 1.0, 0.0]] * 4)
    seen = predicted_labels(p, ["a", "b", "c"], expected=["a", "c"])
    assert seen.shares == {"b": 1.0} and seen.entropy == 0 and seen.confidence == 1
    assert seen.agreement == 0
    assert predicted_labels(p, ["a", "b", "c"]).agreement is None


@pytest.mark.parametrize("score", [inception_score, lambda p: mode_score(p, p)])
def test_what_is_no_probability_is_one_sentence(score):
    with pytest.raises(BrushworkError, match="softmax"):
        score(np.array([[2.0, -1.0]]))
    with pytest.raises(BrushworkError, match="softmax"):
        score(np.array([[0.4, 0.4]]))
    with pytest.raises(BrushworkError, match="NaN"):
        score(np.array([[np.nan, 1.0]]))
    with pytest.raises(BrushworkError, match="empty"):
        score(np.zeros((0, 3)))


def test_bad_settings_are_one_sentence():
    p = predictions(4, 3, 0)
    with pytest.raises(BrushworkError, match="`splits` is 5"):
        inception_score(p, splits=5)
    with pytest.raises(BrushworkError, match="one classifier"):
        mode_score(p, predictions(4, 2, 0))
    with pytest.raises(BrushworkError, match="2 names"):
        predicted_labels(p, ["a", "b"])
    with pytest.raises(BrushworkError, match="no label 'd' among the"):
        predicted_labels(p, ["a", "b", "c"], expected=["d"])


def test_a_classifier_of_fakes_equals_scikit_learns_ridge():
    rng, labels = np.random.default_rng(0), np.array(["a", "b", "c"] * 30)
    means = {name: rng.standard_normal(6) for name in "abc"}
    x, y = (np.stack([means[n] + rng.standard_normal(6) for n in labels]) for _ in range(2))
    scaler = StandardScaler().fit(x)
    theirs = Ridge(alpha=2.0).fit(scaler.transform(x), labels[:, None] == list("abc"))
    guess = np.array(list("abc"))[theirs.predict(scaler.transform(y)).argmax(1)]
    ours = classification_accuracy_score(x, list(labels), y, list(labels), ridge=2.0)
    assert ours == pytest.approx((guess == labels).mean()) and 0.5 < ours < 1


def test_a_classifier_of_fakes_sees_a_missing_artist_and_constant_features():
    x = np.array([[0.0, 5], [1, 5], [9, 5], [10, 5]])
    score = classification_accuracy_score(x, list("aabb"), x, list("aabc"))
    assert score == 0.75
    with pytest.raises(BrushworkError, match="3 labels for 4 fakes and 4 for 4 real images"):
        classification_accuracy_score(x, list("aab"), x, list("aabb"))
