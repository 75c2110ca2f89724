"""Against scikit-learn, and cases that a hand can work out."""

import numpy as np
import pytest
from scipy.optimize import minimize, minimize_scalar
from sklearn import metrics as sk

from brushwork.classifier.calibration import Calibration, fit_calibration, fit_temperature, softmax
from brushwork.errors import BrushworkError
from brushwork.metrics import classification as ours

NUM, ARTISTS = 500, 7


@pytest.fixture(scope="module")
def drawn():
    rng = np.random.default_rng(0)
    labels = rng.integers(ARTISTS, size=NUM)
    logits = 2 * rng.standard_normal((NUM, ARTISTS))
    logits[np.arange(NUM), labels] += 1.5
    return logits, labels


def test_every_number_of_the_report_is_scikit_learns(drawn):
    logits, labels = drawn
    report = ours.classification_report(logits, labels)
    predicted = logits.argmax(1)
    for k in (1, 3, 5):
        expected = sk.top_k_accuracy_score(labels, logits, k=k)
        assert report[f"top{k}"] == pytest.approx(expected, abs=1e-9)
    for kind in ("macro", "weighted"):
        expected = sk.precision_recall_fscore_support(labels, predicted, average=kind)[:3]
        for name, value in zip(("precision", "recall", "f1"), expected, strict=True):
            assert report[f"{kind}_{name}"] == pytest.approx(value, abs=1e-9)


def test_an_artist_that_is_never_named_has_no_precision_as_in_scikit_learn():
    labels, predicted = np.array([0, 1, 2, 2]), np.array([0, 0, 2, 2])
    matrix = ours.confusion_matrix(labels, predicted, 3)
    np.testing.assert_array_equal(matrix, sk.confusion_matrix(labels, predicted))
    expected = sk.precision_recall_fscore_support(labels, predicted, zero_division=0)[:3]
    np.testing.assert_allclose(ours.precision_recall_f1(matrix), expected, atol=1e-12)


def test_auroc_is_scikit_learns_ties_included():
    rng = np.random.default_rng(1)
    known, unknown = rng.integers(2, 9, 80).astype(float), rng.integers(0, 6, 50).astype(float)
    expected = sk.roc_auc_score([1] * 80 + [0] * 50, np.concatenate([known, unknown]))
    assert ours.auroc(known, unknown) == pytest.approx(expected, abs=1e-12)


def test_false_positives_are_scikit_learns_at_the_first_threshold_of_that_recall():
    rng = np.random.default_rng(2)
    known, unknown = rng.normal(1, 1, 200), rng.normal(0, 1, 300)
    false, true, _ = sk.roc_curve(
        [1] * 200 + [0] * 300, np.concatenate([known, unknown]), drop_intermediate=False
    )
    expected = false[np.argmax(true >= 0.95)]
    assert ours.false_positive_rate(known, unknown) == pytest.approx(expected, abs=1e-12)
    assert (known >= ours.threshold_at_recall(known)).mean() == 0.95


def test_risk_is_one_minus_scikit_learns_precision_at_each_threshold():
    rng = np.random.default_rng(3)
    confidence, correct = rng.integers(0, 20, 200) / 20, rng.random(200) < 0.7
    weights = rng.uniform(0.1, 2, 200)
    curve = ours.risk_coverage(confidence, correct, weights)
    precision, _, thresholds = sk.precision_recall_curve(correct, confidence, sample_weight=weights)
    np.testing.assert_allclose(curve.threshold, thresholds[::-1])
    np.testing.assert_allclose(1 - curve.risk, precision[:-1][::-1])
    given = [weights[confidence >= t].sum() / weights.sum() for t in curve.threshold]
    np.testing.assert_allclose(curve.coverage, given)
    least = ours.threshold_at_precision(curve, 0.72)
    reached = np.flatnonzero(precision[:-1] >= 0.72)
    assert least == thresholds[reached[0]]
    assert ours.threshold_at_precision(curve, 1.01) == np.inf


def test_the_temperature_minimises_the_log_loss(drawn):
    logits, labels = drawn
    found = fit_temperature(logits, labels)
    best = minimize_scalar(
        lambda t: sk.log_loss(labels, softmax(logits, t)),
        bounds=(0.05, 20),
        options={"xatol": 1e-9},
    )
    assert found == pytest.approx(best.x, rel=1e-5)


def test_the_calibration_minimises_log_loss_and_prior_together(drawn):
    logits, labels = drawn
    temperature, biases, _ = fit_calibration(logits, labels)

    def objective(theta):
        p = softmax(logits, theta[0], theta[1:])
        return sk.log_loss(labels, p, normalize=False) + (theta[1:] ** 2).sum() / 2

    found = np.array([temperature, *biases])
    start = np.array([1.0] + [0.0] * len(biases))
    best = minimize(objective, start, method="BFGS", options={"gtol": 1e-4})
    assert best.fun < objective(start) - 1
    assert objective(found) <= best.fun + 1e-6
    assert np.abs(biases).max() > 0.01


@pytest.mark.parametrize("worth", [1.0, 0.0, -1.0])
def test_a_second_opinion_gets_the_weight_that_fits_best(drawn, worth):
    logits, labels = drawn
    rng = np.random.default_rng(7)
    right = np.eye(logits.shape[1])[labels]
    other = 3 * (worth * right + rng.standard_normal(logits.shape))
    found = fit_calibration(logits, labels, other)

    def objective(theta):
        z = Calibration(theta[0], theta[2:], theta[1]).probabilities(logits, other)
        return sk.log_loss(labels, z, normalize=False) + (theta[2:] ** 2).sum() / 2

    start = np.array([found.temperature, found.lda_weight, *found.biases])
    bounds = [(0.01, 100), (0, None), *[(None, None)] * logits.shape[1]]
    best = minimize(objective, start, method="L-BFGS-B", bounds=bounds, options={"ftol": 1e-13})
    assert objective(start) <= best.fun + 1e-4
    assert (found.lda_weight > 0.05) == (worth > 0) and found.lda_weight >= 0
    alone = fit_calibration(logits, labels)
    assert alone.lda_weight == 0
    assert objective(start) <= objective(np.array([alone.temperature, 0, *alone.biases])) + 1e-6


def test_the_calibration_takes_back_what_was_added_to_honest_logits():
    rng = np.random.default_rng(5)
    logits = rng.standard_normal((50_000, 3)) * 2
    labels = (softmax(logits).cumsum(1) < rng.random((len(logits), 1))).sum(1)
    added = np.array([1.0, 0.0, -1.0])
    temperature, biases, _ = fit_calibration((logits + added) * 1.7, labels)
    assert temperature == pytest.approx(1.7, rel=0.05)
    np.testing.assert_allclose(np.array(biases) - biases[1], -added, atol=0.06)


def test_the_calibration_of_answers_that_are_all_right_is_bounded():
    temperature, biases, _ = fit_calibration(np.eye(3) * 5, np.arange(3))
    assert temperature == pytest.approx(0.01) and np.abs(biases).max() < 1e-3


def test_the_temperature_of_honest_probabilities_is_one():
    rng = np.random.default_rng(3)
    logits = rng.standard_normal((20_000, 4))
    p = softmax(logits)
    labels = (p.cumsum(1) < rng.random((len(p), 1))).sum(1)
    assert fit_temperature(logits, labels) == pytest.approx(1, abs=0.05)
    assert ours.expected_calibration_error(p, labels) < 0.02


def test_calibration_error_of_two_bins_by_hand():
    # Three at 0.9 of which two are right, one at 0.6 that is right: 3/4 |0.9 - 2/3| + 1/4 |0.6 - 1|
    p = [[0.9, 0.1], [0.9, 0.1], [0.9, 0.1], [0.6, 0.4]]
    assert ours.expected_calibration_error(p, [0, 0, 1, 0]) == pytest.approx(0.275)


def test_intervals_hold_the_number_and_narrow_with_more_paintings(drawn):
    logits, labels = drawn
    report = ours.classification_report(logits, labels)
    few = ours.bootstrap_intervals(logits[:100], labels[:100], resamples=200)
    many = ours.bootstrap_intervals(logits, labels, resamples=200)
    for name, (low, high) in many.items():
        assert low <= report[name] <= high
        assert high - low < few[name][1] - few[name][0]
    low, high = many["top1"]
    accuracy = report["top1"]
    assert (high - low) / 2 == pytest.approx(
        1.96 * (accuracy * (1 - accuracy) / NUM) ** 0.5, rel=0.2
    )


@pytest.mark.parametrize("scores", [np.zeros((0, 3)), np.zeros(3), [[np.nan, 1.0]]])
def test_scores_that_are_none_are_refused_in_words(scores):
    with pytest.raises(BrushworkError, match="scores must be a matrix"):
        ours.classification_report(scores, [0])


def test_the_accuracy_with_another_mix_weights_each_artist_by_it():
    labels = np.array([0] * 30 + [1] * 10)
    right = np.arange(40) % 3 > 0
    recalls = {name: (int(n.sum()), float(right[n].mean())) for name, n in
               {"a": labels == 0, "b": labels == 1}.items()}  # fmt: skip
    assert ours.accuracy_with_mix(recalls, recalls) == pytest.approx(right.mean())
    assert ours.accuracy_with_mix(recalls, {"b": (7, 0.0)}) == recalls["b"][1]
