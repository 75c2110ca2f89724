import numpy as np
import pytest
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from brushwork.classifier.discriminants import (
    RIDGE,
    familiarity,
    fit_discriminants,
    log_likelihoods,
)
from brushwork.errors import BrushworkError


def groups(num, dim, artists, seed=0):
    rng = np.random.default_rng(seed)
    spread = rng.standard_normal((dim, dim)) / dim**0.5
    labels = rng.integers(artists, size=num)
    labels[:artists] = np.arange(artists)
    centres = rng.standard_normal((artists, dim))
    return (centres[labels] + 0.5 * rng.standard_normal((num, dim)) @ spread).astype(
        np.float32
    ), labels


@pytest.mark.parametrize(("num", "dim"), [(300, 10), (40, 64)])  # few paintings, many features
def test_it_is_the_relative_mahalanobis_distance_of_the_paper(num, dim):
    x, y = groups(num, dim, artists=5)
    queries = groups(20, dim, artists=5, seed=1)[0]
    # Ren et al. 2021, eq. 3, with whole covariance matrices.
    means = np.stack([x[y == k].mean(0) for k in range(5)]).astype(np.float64)
    within = np.cov((x - means[y]).T, bias=True)
    own = np.diag(within)
    ridge = np.diag(RIDGE * own + 1e-6 * own.mean())
    inverse = np.linalg.inv(within + ridge)
    inverse_of_all = np.linalg.inv(np.cov(x.T.astype(np.float64), bias=True) + ridge)

    def distance(q, mean, metric):
        return np.einsum("nd,de,ne->n", q - mean, metric, q - mean)

    of_all = distance(queries, x.mean(0), inverse_of_all)
    relative = np.stack([distance(queries, mean, inverse) - of_all for mean in means])
    found = familiarity(
        torch.from_numpy(queries), fit_discriminants(*map(torch.from_numpy, (x, y)))
    )
    np.testing.assert_allclose(found, -relative.min(0), rtol=1e-3, atol=1e-2)


def test_its_directions_are_scikit_learns(monkeypatch):
    monkeypatch.setattr("brushwork.classifier.discriminants.RIDGE", 0.0)
    x, y = groups(400, 8, artists=3)
    ours = fit_discriminants(*map(torch.from_numpy, (x, y))).directions.numpy()
    theirs = LinearDiscriminantAnalysis(solver="eigen").fit(x, y).scalings_[:, :2]
    cosines = (ours / np.linalg.norm(ours, axis=0)).T @ (theirs / np.linalg.norm(theirs, axis=0))
    np.testing.assert_allclose(np.abs(np.diag(cosines)), 1, atol=1e-3)


def test_its_likelihoods_are_scikit_learns(monkeypatch):
    monkeypatch.setattr("brushwork.classifier.discriminants.RIDGE", 0.0)
    x, y = groups(400, 8, artists=3)
    queries = groups(20, 8, artists=3, seed=1)[0]
    theirs = LinearDiscriminantAnalysis(solver="lsqr").fit(x, y)
    found = log_likelihoods(
        torch.from_numpy(queries), fit_discriminants(*map(torch.from_numpy, (x, y)))
    )
    found = found.numpy() + np.log(theirs.priors_)
    expected = theirs.decision_function(queries)
    centred = (scores - scores.mean(1, keepdims=True) for scores in (found, expected))
    np.testing.assert_allclose(*centred, rtol=1e-3, atol=0.1)


def test_strangers_are_less_familiar():
    x, y = groups(500, 12, artists=4)
    discriminants = fit_discriminants(*map(torch.from_numpy, (x[:400], y[:400])))
    same = familiarity(torch.from_numpy(x[400:]), discriminants)
    strange = familiarity(torch.from_numpy(x[400:, ::-1].copy()), discriminants)
    assert same.median() > strange.quantile(0.95)


def test_an_artist_without_paintings_is_refused():
    with pytest.raises(BrushworkError, match="an artist has no painting"):
        fit_discriminants(torch.zeros(2, 3), torch.tensor([0, 2]))
