"""Fit answers on drawn features: artists are normal distributions, each with its own mean."""

import numpy as np
import pytest
import torch

from brushwork.classifier.discriminants import familiarity, log_likelihoods
from brushwork.classifier.fit import Labelled, fit_answers, leave_artists_out
from brushwork.classifier.network import Predictions
from brushwork.classifier.strangers import strangeness

K, B, D = 4, 10, 24
MEANS = torch.randn(K + B + 3, D, generator=torch.Generator().manual_seed(0)) * 1.6


def pictures(labels, seed):
    """Draw pictures of these labels; the network is unsure of them."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.as_tensor(labels)
    features = MEANS[labels] + torch.randn(len(labels), D, generator=generator)
    logits = torch.randn(len(labels), K, generator=generator)
    logits += 2.0 * (labels[:, None] == torch.arange(K))
    return Labelled(Predictions(logits, features, features), labels)


def drawn(num, first_kind=0):
    """Pictures that are no paintings, of five kinds: far from everything."""
    generator, kinds = torch.Generator().manual_seed(9), torch.arange(num) % 5
    features = 10 * torch.randn(99, D, generator=generator)[kinds + first_kind]
    features += torch.randn(num, D, generator=generator)
    return Labelled(Predictions(torch.zeros(num, K), features, features), kinds)


def other_artists(num):
    """Draw paintings by the B other artists, `num` of each."""
    return Labelled(
        pictures(np.repeat(np.arange(K, K + B), num), 1).predictions,
        torch.arange(B).repeat_interleave(num),
    )


@pytest.fixture(scope="module", params=["others", "artists only"])
def fitted(request):
    others = other_artists(12) if request.param == "others" else None
    train, validation = (pictures(np.tile(np.arange(K), n), n) for n in (50, 40))
    return fit_answers(train, validation, others, drawn(20), K)


def none_of(fitted, predictions):
    likelihoods = log_likelihoods(predictions.channel_statistics, fitted.discriminants).numpy()
    probabilities = fitted.calibration.probabilities(predictions.logits, likelihoods[:, :K])
    known = familiarity(predictions.channel_statistics, fitted.discriminants, K)
    scores = strangeness(predictions.logits, probabilities, likelihoods, known)
    return fitted.strangers.probability(scores), probabilities


def test_a_stranger_is_more_probably_none_than_a_painting_of_an_artist(fitted):
    """The three last artists occur in no fit."""
    known = none_of(fitted, pictures(np.tile(np.arange(K), 30), 5).predictions)[0]
    strange = none_of(fitted, pictures(np.repeat(np.arange(K + B, K + B + 3), 40), 6).predictions)[
        0
    ]
    assert np.median(known) < 0.4 and np.median(strange) > 0.7


@pytest.mark.parametrize("first_kind", [0, 50])
def test_no_name_is_given_to_a_picture_that_is_no_painting(fitted, first_kind):
    """Neither to one of the kinds that were learned nor to one of others."""
    none, probabilities = none_of(fitted, drawn(50, first_kind).predictions)
    assert (none > (1 - none) * probabilities.max(1)).all()


def test_the_analysis_knows_the_kinds_of_drawn_pictures(fitted):
    classes = len(fitted.discriminants.means)
    assert classes in (K + 5, K + B + 5)
    found = log_likelihoods(drawn(50).predictions.channel_statistics, fitted.discriminants)
    assert (found.argmax(1) == classes - 5 + torch.arange(50) % 5).all()


def test_operating_points_are_fitted(fitted):
    assert [p for p, _ in fitted.operating_points][:2] == [0.5, 0.6]


def test_no_one_is_left_out_of_two_artists():
    two = pictures([0, 1] * 20, 0)
    logits = two.predictions.logits[:, :2]
    two = two._replace(predictions=two.predictions._replace(logits=logits))
    none = drawn(5)
    none = none._replace(predictions=none.predictions._replace(logits=torch.zeros(5, 2)))
    fitted = fit_answers(two, two, None, none, 2)
    assert fitted.strangers is None and fitted.operating_points == []


def test_each_other_artist_is_left_out_once():
    train, validation = (pictures(np.tile(np.arange(K), n), n) for n in (20, 10))
    others = other_artists(3)
    calibration = fit_answers(train, validation, others, drawn(5), K).calibration
    parts = list(leave_artists_out(train, validation, others, drawn(5), calibration, K))
    assert sum(len(strange.confidence) for _, strange in parts) == len(others.labels)
    assert all(len(known.confidence) == len(validation.labels) for known, _ in parts)
    assert not np.concatenate([strange.correct for _, strange in parts]).any()
