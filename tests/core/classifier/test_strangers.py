import numpy as np
import pytest
from scipy.special import expit, log_softmax, logsumexp
from sklearn.linear_model import LogisticRegression

from brushwork.classifier.strangers import (
    PRECISIONS,
    TYPICAL_BIAS,
    TYPICAL_WEIGHTS,
    Strangers,
    fit_strangers,
    mixed_curve,
    operating_points,
    strangeness,
    typical_strangers,
)

RNG = np.random.default_rng(0)


def test_the_scores_are_those_of_their_papers():
    logits, likelihoods = RNG.normal(size=(5, 3)), -RNG.uniform(1, 9, (5, 5))
    probabilities, familiarity = np.exp(log_softmax(logits, 1)), RNG.normal(size=5)
    scores = strangeness(logits, probabilities, likelihoods, familiarity)
    assert scores.shape == (5, 5)
    np.testing.assert_allclose(scores[:, 0], -familiarity)
    np.testing.assert_allclose(scores[:, 1], -logsumexp(logits, axis=1))
    np.testing.assert_allclose(scores[:, 2], -log_softmax(logits, 1).max(1))
    np.testing.assert_allclose(scores[:, 3] ** 2, -2 * likelihoods[:, :3].max(1))
    np.testing.assert_allclose(scores[:, 4], likelihoods[:, 3:].max(1) - likelihoods[:, :3].max(1))
    assert strangeness(logits, probabilities, likelihoods[:, :3], familiarity).shape == (5, 4)


def test_the_fit_is_scikit_learns_logistic_regression_with_balanced_sides():
    known, strange = RNG.normal(size=(60, 2)), RNG.normal(1, 1, (20, 2))
    weights = RNG.uniform(0.5, 2, 20)
    found = fit_strangers(known, strange, weights)
    x = (np.concatenate([known, strange]) - known.mean(0)) / known.std(0)
    shares = np.concatenate([np.full(60, 1 / 60), weights / weights.sum()]) * 40
    expected = LogisticRegression(C=1.0, tol=1e-8).fit(x, [0] * 60 + [1] * 20, shares)
    np.testing.assert_allclose(found.weights, expected.coef_[0], atol=1e-3)
    assert found.bias == pytest.approx(expected.intercept_[0], abs=1e-3)
    probability = found.probability(strange)
    np.testing.assert_allclose(probability, expected.predict_proba(x[60:])[:, 1], atol=1e-3)


def test_typical_strangers_standardise_the_scores_of_known_paintings():
    known = RNG.normal(3, 2, size=(60, 5))
    z = (known - known.mean(0)) / known.std(0)
    expected = expit(z @ TYPICAL_WEIGHTS + TYPICAL_BIAS)
    np.testing.assert_allclose(typical_strangers(known).probability(known), expected, rtol=1e-6)


def test_the_farthest_picture_is_certainly_none_without_overflow():
    strangers = Strangers([0.0], [1.0], [2.0], -1.0)
    np.testing.assert_allclose(strangers.probability([[1e9], [-1e9], [0.5]]), [1, 0, expit(0)])


def test_strangers_count_as_much_as_the_artists_paintings():
    """One of four strangers gets a name, and three of four paintings, one of them a wrong one."""
    curve = mixed_curve([0.9, 0.8, 0.7, 0.1], [True, True, False, True], [0.75, 0.2, 0.2, 0.2])
    at = curve.threshold.tolist().index(0.7)
    assert curve.coverage[at] == pytest.approx((3 / 4 + 1 / 4) / 2)
    assert curve.risk[at] == pytest.approx(1 - 2 / 4)


def test_an_operating_point_reaches_its_precision_and_the_next_lower_threshold_does_not():
    known, strange = RNG.beta(4, 2, 300), RNG.beta(2, 3, 200)
    correct = RNG.random(300) < 0.3 + 0.7 * known
    points = operating_points(mixed_curve(known, correct, strange))
    assert points and all(precision in PRECISIONS for precision, _ in points)
    thresholds = [threshold for _, threshold in points]
    assert thresholds == sorted(thresholds)
    for precision, threshold in points:
        named, named_strange = known >= threshold, strange >= threshold
        right = (named & correct).mean() / (named.mean() + named_strange.mean())
        assert right >= precision - 1e-9
    assert operating_points(mixed_curve([0.5], [False], [0.9])) == []
