"""Each distance against an independent reference, a closed form, and degenerate input."""

import math
import sys

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist
from scipy.stats import norm
from sklearn.model_selection import LeaveOneOut, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier

from brushwork.errors import BrushworkError
from brushwork.metrics import distances as D

PAIRED = [
    D.frechet,
    D.kid,
    D.mmd,
    D.wasserstein,
    D.one_nn,
    D.precision_recall,
    D.density_coverage,
    D.authenticity,
]


def features(n: int, d: int, seed: int, shift: float = 0.0) -> np.ndarray:
    """Correlated, skewed and partly constant, as the features of a ReLU network are."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, d)) @ np.random.default_rng(0).standard_normal((d, d)) / d**0.5
    x = np.maximum(x + shift, 0)
    x[:, : d // 8] = 0
    return x.astype(np.float32)


def clean_fid():
    return pytest.importorskip("cleanfid.fid", reason="clean-fid is not installed")


@pytest.mark.filterwarnings("ignore")  # clean-fid's own, and SciPy's about sqrtm(disp=)
@pytest.mark.parametrize(("n", "m", "d"), [(300, 300, 64), (60, 80, 128), (500, 90, 100)])
def test_frechet_equals_clean_fid(n, m, d):
    x, y = features(n, d, 1).astype(np.float64), features(m, d, 2, 0.3).astype(np.float64)
    fid = clean_fid()
    try:
        reference = fid.fid_from_feats(x, y)
    except TypeError:
        pytest.skip("clean-fid's own FID fails with SciPy 1.18 and later")
    # Its sqrtm of a singular product is itself only good to the square root of rounding.
    assert D.frechet(x, y) == pytest.approx(reference, rel=1e-6)


@pytest.mark.parametrize(("n", "d"), [(40, 200), (200, 40)])
def test_frechet_equals_the_eigenvalue_form(n, d):
    x, y = features(n, d, 1).astype(np.float64), features(n + 7, d, 2, 0.3).astype(np.float64)
    a, b = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    overlap = np.sqrt(np.linalg.eigvals(a @ b).astype(complex)).real.sum()
    expected = ((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(a) + np.trace(b) - 2 * overlap
    assert D.frechet(x, y) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("power", [0, 1, 3])
@pytest.mark.parametrize(("n", "d"), [(60, 90), (150, 50)])
@pytest.mark.parametrize("scale", [1e-3, 1.1, 4])
def test_frechet_keeps_its_digits_on_any_spectrum(power, n, d, scale):
    rng, decay = np.random.default_rng(0), np.arange(1, d + 1.0) ** -power
    x, y = rng.standard_normal((n, d)) * decay, scale * rng.standard_normal((n, d)) * decay
    a, b = ((m - m.mean(0)) / math.sqrt(n - 1) for m in (x, y))
    overlap = np.linalg.svd(a @ b.T, compute_uv=False).sum()
    expected = ((x.mean(0) - y.mean(0)) ** 2).sum() + (a**2).sum() + (b**2).sum() - 2 * overlap
    assert D.frechet(x, y) == pytest.approx(expected, rel=1e-7)


def test_frechet_does_not_care_which_side_of_n_equals_d_it_is_on():
    x, y = features(50, 50, 1), features(50, 50, 2)
    padded = [np.pad(m, ((0, 0), (0, 30))) for m in (x, y)]
    assert D.frechet(x, y) == pytest.approx(D.frechet(*padded), rel=1e-9)


@pytest.mark.parametrize(("num_real", "num_fake", "dimensions"), [(900, 400, 30), (300, 300, 400)])
def test_the_floor_is_about_the_distance_of_fresh_samples(num_real, num_fake, dimensions):
    rng = np.random.default_rng(0)
    scales = np.logspace(0, -2, dimensions)
    real, *fresh = (rng.normal(size=(n, dimensions)) * scales for n in (num_real, *6 * [num_fake]))
    expected = np.mean([D.frechet(real, sample) for sample in fresh])
    assert D.frechet_floor(real, num_fake) == pytest.approx(expected, rel=0.2)
    assert D.frechet_floor(real, num_fake, seed=9) != D.frechet_floor(real, num_fake)


def test_equal_or_few_images_have_a_floor():
    assert D.frechet_floor(np.ones((8, 3)), 5) == 0
    assert np.isfinite(D.frechet_floor(np.random.default_rng(0).normal(size=(6, 4)), 10))


@pytest.mark.parametrize(("num", "dimensions"), [(400, 20), (300, 500)])
def test_the_distance_at_infinity_is_nearer_to_that_of_many_fakes(num, dimensions):
    rng = np.random.default_rng(0)
    scales = np.logspace(0, -2, dimensions)
    real, many = (rng.normal(shift, size=(20_000, dimensions)) * scales for shift in (0, 0.1))
    expected = D.frechet(real, many)
    samples = [many[rng.permutation(len(many))[:num]] for _ in range(12)]
    plain = np.mean([D.frechet(real, sample) for sample in samples])
    at_infinity = np.mean([D.frechet_at_infinity(real, sample) for sample in samples])
    assert abs(at_infinity - expected) < 0.4 * (plain - expected)


def test_few_equal_fakes_have_a_distance_at_infinity():
    real = np.random.default_rng(0).normal(size=(6, 4))
    assert D.frechet_at_infinity(real, np.ones((4, 4))) == pytest.approx(
        D.frechet(real, np.ones((4, 4)))
    )
    with pytest.raises(BrushworkError, match="at least 4 fakes, not 3"):
        D.frechet_at_infinity(real, real[:3])


def test_cmmd_is_that_of_its_authors_and_does_not_depend_on_the_blocks(monkeypatch):
    """With their formula, from github.com/google-research/google-research/tree/master/cmmd."""
    rng = np.random.default_rng(0)
    x, y = (rng.normal(shift, size=(n, 8)) for shift, n in ((0, 30), (0.5, 20)))
    x, y = (m / np.linalg.norm(m, axis=1, keepdims=True) for m in (x, y))

    def mean_kernel(a, b):
        squares = -2 * a @ b.T + (a**2).sum(1)[:, None] + (b**2).sum(1)[None]
        return np.mean(np.exp(-squares / (2 * 10**2)))

    expected = 1000 * (mean_kernel(x, x) + mean_kernel(y, y) - 2 * mean_kernel(x, y))
    assert D.cmmd(x, y) == pytest.approx(expected, rel=1e-9)
    monkeypatch.setattr(D, "BLOCK", 50)
    assert D.cmmd(x, y) == pytest.approx(expected, rel=1e-9)
    assert D.cmmd(x, y) == pytest.approx(1000 * D.mmd(x, y, bandwidth=10, unbiased=False), rel=1e-9)


def test_frechet_of_commuting_covariances_is_the_difference_of_roots():
    x = torch.tensor([[1.0, 0], [-1, 0], [0, 1], [0, -1]], dtype=torch.float64)
    scale = torch.tensor([2.0, 5.0], dtype=torch.float64)
    variance = 2 / 3
    expected = variance * ((1 - scale) ** 2).sum().item() + 9 + 16
    shift = torch.tensor([3.0, 4.0], dtype=torch.float64)
    assert D.frechet(x, x * scale + shift) == pytest.approx(expected, rel=1e-12)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("d", [3, 64])
def test_kid_equals_clean_fid_on_the_same_subsets(d):
    x, y = features(130, d, 1).astype(np.float64), features(90, d, 2, 0.3).astype(np.float64)
    fid = clean_fid()
    np.random.seed(3)
    reference = fid.kernel_distance(x, y, num_subsets=20, max_subset_size=50)
    ours = D.kid(x, y, subset_size=50, num_subsets=20, seed=3)
    assert ours.value == pytest.approx(reference, rel=1e-6)
    # Where one subset is the whole set, so is the full estimate.
    same = fid.kernel_distance(x[:90], y, num_subsets=1)
    assert D.kid(x[:90], y).value == pytest.approx(same, rel=1e-6)


def test_kid_by_hand():
    x, y = np.array([[1.0, 2], [3, 4], [0, 1]]), np.array([[2.0, 0], [1, 1]])

    def k(a, b):
        return (a @ b / 2 + 1) ** 3

    xx = np.mean([k(x[i], x[j]) for i in range(3) for j in range(3) if i != j])
    xy = np.mean([k(a, b) for a in x for b in y])
    assert D.kid(x, y).value == pytest.approx(xx + k(y[0], y[1]) - 2 * xy, rel=1e-12)


def test_kid_is_unbiased_and_its_error_is_its_spread():
    draws = [
        D.kid(features(60, 16, 2 * seed), features(90, 16, 2 * seed + 1, 0.2))
        for seed in range(200)
    ]
    truth = D.kid(features(4000, 16, 9001), features(4000, 16, 9002, 0.2))
    values, errors = (np.array(column) for column in zip(*draws, strict=True))
    assert abs(values.mean() - truth.value) < 4 * values.std() / math.sqrt(len(values))
    assert errors.mean() == pytest.approx(values.std(), rel=0.15)


def test_kid_of_equal_distributions_is_zero_within_its_error():
    value, error = D.kid(features(500, 32, 1), features(400, 32, 2))
    assert abs(value) < 3 * error


def test_blocks_do_not_change_anything(monkeypatch):
    x, y = features(70, 16, 1), features(50, 16, 2, 0.2)

    def everything():
        d, near = D.pairwise(x, y), D.nearest(x, y, k=3)
        return [*D.kid(x, y), *d, *near]

    whole = everything()
    monkeypatch.setattr(D, "BLOCK", 300)
    for a, b in zip(whole, everything(), strict=True):
        assert np.allclose(a, b, rtol=1e-9, atol=1e-12)


def test_distances_equal_scipy_and_copies_are_at_zero():
    x, y = features(30, 40, 1) + 100, features(20, 40, 2) + 100
    y[3] = x[5]
    d = D.pairwise(x, y)
    assert np.allclose(d.cross, cdist(x, y), rtol=1e-7, atol=0)
    assert d.cross[5, 3] == 0
    assert (d.real.diagonal() == 0).all() and (d.fake.diagonal() == 0).all()


@pytest.mark.parametrize("unbiased", [True, False])
def test_mmd_by_hand(unbiased):
    x, y = features(12, 5, 1).astype(np.float64), features(9, 5, 2, 0.4).astype(np.float64)
    pooled = np.concatenate((x, y))
    spread = cdist(pooled, pooled)
    sigma = np.sort(spread[np.triu_indices(21, 1)])[(21 * 20 // 2 - 1) // 2]

    def kernel(a, b):
        return np.exp(-(cdist(a, b) ** 2) / (2 * sigma**2))

    def within(a):
        k, n = kernel(a, a), len(a)
        return (k.sum() - n) / (n * (n - 1)) if unbiased else k.mean()

    expected = within(x) + within(y) - 2 * kernel(x, y).mean()
    assert D.mmd(x, y, unbiased=unbiased) == pytest.approx(expected, rel=1e-9)
    assert D.mmd(x, y, bandwidth=sigma, unbiased=unbiased) == pytest.approx(expected, rel=1e-9)


def test_mmd_of_two_gaussians_is_its_closed_form():
    x = norm.ppf((np.arange(1000) + 0.5) / 1000)[:, None]
    # With σ = 1 and unit variances: 2 (1 - exp(-μ² / 6)) / √3.
    expected = 2 * (1 - math.exp(-1 / 6)) / math.sqrt(3)
    assert D.mmd(x, x + 1, bandwidth=1.0) == pytest.approx(expected, rel=0.01)


def test_wasserstein_equals_the_assignment_of_least_cost():
    x, y = features(40, 8, 1), features(40, 8, 2, 0.5)
    cost = cdist(x, y)
    expected = cost[linear_sum_assignment(cost)].mean()
    assert D.wasserstein(x, y) == pytest.approx(expected, rel=1e-6)


def test_wasserstein_of_sets_of_different_size():
    x = np.array([[0.0], [0.0], [4.0], [4.0]])
    assert D.wasserstein(x, np.array([[0.0], [2.0]])) == pytest.approx(1.0)
    assert D.wasserstein(x, np.array([[1.0]])) == pytest.approx((1 + 1 + 3 + 3) / 4)


def test_wasserstein_of_a_shift_is_the_shift():
    x = features(50, 6, 1).astype(np.float64)
    assert D.wasserstein(x, x + 0.25) == pytest.approx(0.25 * math.sqrt(6), rel=1e-9)


def test_wasserstein_without_pot_is_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "ot", None)
    with pytest.raises(BrushworkError, match=r"brushwork\[metrics\]"):
        D.wasserstein(np.eye(3), np.eye(3))


def test_one_nn_equals_scikit_learn():
    x, y = features(60, 10, 1), features(60, 10, 2, 0.1)
    labels = np.repeat([0, 1], 60)
    guess = cross_val_predict(
        KNeighborsClassifier(1), np.concatenate((x, y)), labels, cv=LeaveOneOut()
    )
    right = guess == labels
    assert D.one_nn(x, y) == pytest.approx((right.mean(), right[:60].mean(), right[60:].mean()))


def test_one_nn_has_chance_level_at_unequal_sizes():
    assert D.one_nn(features(900, 4, 1), features(300, 4, 2)).accuracy == pytest.approx(
        0.5, abs=0.05
    )


def test_one_nn_sees_copies_and_collapse():
    x = features(100, 8, 1)
    assert D.one_nn(x, x) == (0, 0, 0)
    collapsed = np.repeat(features(5, 8, 2), 20, axis=0) + 1e-3 * features(100, 8, 3)
    accuracy, real, fake = D.one_nn(x, collapsed)
    assert fake == 1 and real < 1 and accuracy == (real + fake) / 2


def test_precision_and_recall_by_the_definition():
    x, y, k = features(40, 4, 1).astype(float), features(30, 4, 2, 0.3).astype(float), 3

    def share_inside(points, centres):
        radii = [np.sort(np.linalg.norm(centres - c, axis=1))[k] for c in centres]
        return np.mean(
            [
                any(np.linalg.norm(p - c) <= r for c, r in zip(centres, radii, strict=True))
                for p in points
            ]
        )

    assert D.precision_recall(x, y, k=k) == (share_inside(y, x), share_inside(x, y))


def test_density_and_coverage_by_the_definition():
    x, y, k = features(40, 4, 1).astype(float), features(30, 4, 2, 0.3).astype(float), 5
    radii = np.array([np.sort(np.linalg.norm(x - c, axis=1))[k] for c in x])
    inside = cdist(x, y) < radii[:, None]
    expected = inside.sum() / (k * 30), inside.any(1).mean()
    assert D.density_coverage(x, y, k=k) == pytest.approx(expected)


def test_identical_sets():
    x = features(80, 100, 1)
    again = x[::-1].copy()  # other rows, so that rounding differs
    assert D.frechet(x, again) == pytest.approx(0, abs=1e-6)
    assert D.mmd(x, again, unbiased=False) == pytest.approx(0, abs=1e-12)
    assert D.mmd(x, again) < 0 and D.kid(x, again).value < 0  # unbiased: the diagonal is left out
    assert D.wasserstein(x, again) == 0
    assert D.one_nn(x, again) == (0, 0, 0)
    assert D.precision_recall(x, again) == (1, 1)
    assert D.density_coverage(x, again) == (1, 1)
    assert D.authenticity(x, again) == 0


def test_constant_images():
    x, other = np.ones((9, 4)), np.full((9, 4), 3.0)
    assert D.frechet(x, x) == 0 and D.frechet(x, other) == pytest.approx(16)
    assert D.kid(x, x).value == 0
    assert D.mmd(x, x) == 0
    assert D.mmd(x, other) == pytest.approx(2 - 2 * math.exp(-0.5))
    assert D.wasserstein(x, other) == pytest.approx(4)
    assert D.one_nn(x, x).accuracy == 0.5 and D.one_nn(x, other).accuracy == 1
    assert D.precision_recall(x, x) == (1, 1) and D.precision_recall(x, other) == (0, 0)
    with pytest.raises(BrushworkError, match="exact copies"):
        D.density_coverage(x, x)


def test_one_image():
    one, many = np.ones((1, 4)), features(10, 4, 1)
    assert D.wasserstein(one, one) == 0
    for metric in (D.frechet, D.kid, D.mmd, D.one_nn, D.precision_recall, D.density_coverage):
        with pytest.raises(BrushworkError, match="need"):
            metric(one, many)


@pytest.mark.parametrize("metric", PAIRED)
def test_bad_features_are_one_sentence(metric):
    good, bad = features(10, 4, 1), features(10, 4, 2)
    bad[3, 1] = np.nan
    with pytest.raises(BrushworkError, match="NaN or infinity for 1 of 10"):
        metric(good, bad)
    bad[3, 1] = -np.inf
    with pytest.raises(BrushworkError, match="NaN or infinity for 1 of 10"):
        metric(bad, good)
    with pytest.raises(BrushworkError, match="4 features and fake images 3"):
        metric(good, good[:, :3])
    with pytest.raises(BrushworkError, match="empty"):
        metric(good, good[:0])
    with pytest.raises(BrushworkError, match="must be a matrix"):
        metric(good, good[0])


def test_bad_settings_are_one_sentence(monkeypatch):
    x = features(10, 4, 1)
    for call in (
        lambda: D.kid(x, x, subset_size=1),
        lambda: D.kid(x, x, subset_size=5, num_subsets=0),
        lambda: D.mmd(x, x, bandwidth=0.0),
        lambda: D.nearest(x, x, k=11),
        lambda: D.precision_recall(x, x, k=0),
        lambda: D.precision_recall(x, x, k=10),
        lambda: D.density_coverage(x, x, k=10),
    ):
        with pytest.raises(BrushworkError):
            call()
    monkeypatch.setattr(D, "MAX_DISTANCES", 100)
    with pytest.raises(BrushworkError, match="random sample"):
        D.pairwise(x, x)


@pytest.mark.parametrize("metric", PAIRED)
def test_torch_and_numpy_of_any_float_agree_and_nothing_is_changed(metric):
    x, y = features(20, 6, 1), features(25, 6, 2, 0.2)
    kept = x.copy(), y.copy()
    x.flags.writeable = False
    expected = metric(x, y)
    assert metric(torch.from_numpy(kept[0]), y.astype(np.float64)) == expected
    leaf = torch.from_numpy(kept[0].copy()).requires_grad_()
    assert metric(leaf, torch.from_numpy(y)) == expected
    assert (x == kept[0]).all() and (y == kept[1]).all()


@pytest.mark.parametrize(
    "metric", [D.mmd, D.wasserstein, D.one_nn, D.precision_recall, D.density_coverage]
)
def test_shared_distances_give_the_same_number(metric):
    x, y = features(20, 6, 1), features(25, 6, 2, 0.2)
    d = D.pairwise(x, y)
    kept = [m.clone() for m in d]
    assert metric(x, y, distances=d) == metric(x, y)
    assert all(torch.equal(a, b) for a, b in zip(d, kept, strict=True))


def test_authenticity_and_copying_see_a_generator_that_memorises():
    train, held_out, fresh = (features(400, 12, seed, 0.5) for seed in (1, 2, 3))
    copies = train[:200] + 1e-3 * features(200, 12, 4)
    assert D.authenticity(train, copies) == 0
    assert 0.4 < D.authenticity(train, fresh) < 0.7
    twice = np.concatenate([train, train])  # a painting that occurs twice is still one to copy
    assert D.authenticity(twice, train[:50]) == 0
    assert D.copying(train, held_out, copies) == 1
    assert D.copying(train, held_out, fresh) == pytest.approx(0.5, abs=0.06)
    assert D.copying(train, held_out, held_out) == 0.5
    assert D.copying(train, held_out, fresh + 50) == 0


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("metric", PAIRED)
def test_a_gpu_gives_the_same_numbers(metric):
    x, y = (torch.from_numpy(features(60, 16, s, s / 10)) for s in (1, 2))
    assert metric(x.cuda(), y.cuda()) == pytest.approx(metric(x, y), rel=1e-9)
