"""Distances between two sets of images, as functions of their feature matrices.

N real and M fake images, D features. Every function takes `real` (N, D) and `fake` (M, D), torch
or numpy of any float type, and computes in float64 on the device of the tensors. `mmd`,
`wasserstein`, `one_nn`, `precision_recall` and `density_coverage` use the same Euclidean distances:
compute these once by `pairwise` and pass them as `distances=` to save time.
"""

import math
import warnings
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from brushwork.errors import BrushworkError, install
from brushwork.training.threads import single_thread

# Distances with a smaller relative difference are equal but for rounding.
TIE = 1e-9

# Most float64 numbers in a block of kernel values or distances (128 MiB).
BLOCK = 2**24

# Most numbers in the three distance matrices together (8 GiB).
MAX_DISTANCES = 2**30


class Distances(NamedTuple):
    """Euclidean distances `real` (N, N), `fake` (M, M), with zero diagonals, and `cross` (N, M)."""

    real: Tensor
    fake: Tensor
    cross: Tensor


class Gaussian(NamedTuple):
    """A mean (D,), and a factor F (K, D) of the covariance FᵀF."""

    mean: Tensor
    factor: Tensor


class Estimate(NamedTuple):
    """A value and its standard error."""

    value: float
    error: float


class OneNN(NamedTuple):
    """Leave-one-out 1-NN accuracy on the real and on the fake images, and the mean of both."""

    accuracy: float
    real: float
    fake: float


def as_matrix(x: Tensor | ArrayLike, name: str) -> Tensor:
    """Convert features to a float64 matrix (N, D).

    Args:
        x: features, one row for each image.
        name: their name in error messages.

    Raises:
        BrushworkError: they are no matrix, are empty, or contain NaN or infinity.
    """
    if not isinstance(x, Tensor):
        x = torch.from_numpy(np.array(x, dtype=np.float64))
    elif x.device.type == "mps":  # it has no float64
        x = x.cpu()
    x = x.detach().to(torch.float64)
    if x.ndim != 2:
        raise BrushworkError(
            f"{name} must be a matrix with one row for each image, not {tuple(x.shape)}"
        )
    if x.numel() == 0:
        raise BrushworkError(f"{name} are empty {tuple(x.shape)}; pass at least one image")
    # The sum shows in one fast pass whether there is any such number.
    if not x.sum().isfinite() and (bad := int((~x.isfinite()).any(1).sum())):
        raise BrushworkError(
            f"{name} contain NaN or infinity for {bad} of {len(x)} images; "
            "check these images and the feature space"
        )
    return x


def feature_pair(
    real: Tensor | ArrayLike, fake: Tensor | ArrayLike, *, at_least: int = 1
) -> tuple[Tensor, Tensor]:
    """Convert both feature matrices to float64.

    Raises:
        BrushworkError: see `as_matrix`; or they differ in D, or have fewer than `at_least` rows.
    """
    x, y = as_matrix(real, "real features"), as_matrix(fake, "fake features")
    if x.shape[1] != y.shape[1]:
        raise BrushworkError(
            f"real images have {x.shape[1]} features and fake images {y.shape[1]}; "
            "compute both in one feature space"
        )
    if min(len(x), len(y)) < at_least:
        raise BrushworkError(
            f"this metric needs at least {at_least} real and {at_least} fake images, "
            f"not {len(x)} and {len(y)}; pass more images"
        )
    return x, y.to(x.device)


def frechet(real: Tensor | ArrayLike, fake: Tensor | ArrayLike) -> float:
    """Compute the squared Fréchet distance of Gaussians fitted to both sets.

    |m₁ - m₂|² + tr(C₁ + C₂ - 2 (C₁ C₂)^½), with covariances over n - 1 (Heusel et al. 2017, eq. 6);
    in Inception's space it is the FID. With X and Y centred and scaled so that C₁ = XᵀX and
    C₂ = YᵀY, tr (C₁ C₂)^½ is the nuclear norm of X Yᵀ. That is exact, needs no epsilon and no
    matrix square root, and is fast if there are fewer images than features. Few images bias the
    distance upwards: compare only at equal N and M, and read `kid` beside it.

    It is written here because clean-fid's fails with SciPy 1.18 and takes 50 times as long.

    Two Gaussians with means 0 and 3, deviations 1 and 3: 3² + (1 - 3)² = 13.

    >>> unit = torch.tensor([[-1.0], [0.0], [1.0]])
    >>> round(frechet(unit, 3 * unit + 3), 9)
    13.0
    """
    x, y = feature_pair(real, fake, at_least=2)
    return _frechet_of_gaussians(_fit_gaussian(x), _fit_gaussian(y))


def _fit_gaussian(x: Tensor) -> Gaussian:
    """Fit a Gaussian to features (N, D)."""
    mean = x.mean(0)
    factor = (x - mean) / math.sqrt(len(x) - 1)
    # With more images than features, the R factor has the same Gram matrix and only D rows.
    if factor.shape[0] > factor.shape[1]:
        factor = torch.linalg.qr(factor, mode="r").R
    return Gaussian(mean, factor)


def _frechet_of_gaussians(a: Gaussian, b: Gaussian) -> float:
    traces = a.factor.square().sum() + b.factor.square().sum()
    total = ((a.mean - b.mean).square().sum() + traces).item()
    product = a.factor @ b.factor.T
    norm, error = _nuclear_norm_and_error(product)
    if error > 1e-8 * (total - 2 * norm):
        norm = torch.linalg.svdvals(product).sum().item()
    return max(0.0, total - 2 * norm)


NUM_PARTS = 8
"""Numbers of fakes whose distances `frechet_at_infinity` extrapolates."""


def frechet_at_infinity(real: Tensor | ArrayLike, fake: Tensor | ArrayLike, seed: int = 0) -> float:
    """Estimate the Fréchet distance of infinitely many fakes.

    The distance of M fakes is too large by about a constant divided by M. So a line in 1 / M is
    fitted to the distances of random parts of the fakes, between half of them and all, and read at
    0 (FID∞, Chong & Forsyth 2020). Distances of different numbers of fakes become comparable. If
    there are fewer fakes than features, part of the bias remains; that of few real images always
    does.

    Args:
        real: (N, D), N at least 2.
        fake: (M, D), M at least 4.
        seed: determines the parts.

    Returns:
        The distance; 0 if the line falls below it.
    """
    x, y = feature_pair(real, fake, at_least=2)
    if len(y) < 4:
        raise BrushworkError(f"this metric needs at least 4 fakes, not {len(y)}; pass more")
    of_real = _fit_gaussian(x)
    inverse_sizes = np.linspace(1 / len(y), 2 / len(y), NUM_PARTS)
    rng = torch.Generator().manual_seed(seed)
    values = []
    for size in (1 / inverse_sizes).round().astype(int):
        part = y[torch.randperm(len(y), generator=rng)[:size].to(y.device)]
        values.append(_frechet_of_gaussians(of_real, _fit_gaussian(part)))
    _slope, at_zero = np.polyfit(inverse_sizes, values, 1)
    return max(0.0, float(at_zero))


FLOOR_SPLITS = 3
"""Random splits whose mean `frechet_floor` takes."""


def frechet_floor(features: Tensor | ArrayLike, num_fake: int, seed: int = 0) -> float:
    """Estimate the Fréchet distance of as many fresh real images as there are fakes.

    No generator can be expected to be nearer. The distance between two samples of one distribution
    falls as a power of their size (as 1 / n, once n is larger than the number of features; Chong &
    Forsyth 2020). The power is measured between halves and quarters of the real images, in
    `FLOOR_SPLITS` random splits, and extrapolated to N real images and M fakes; two samples count
    as two of the harmonic mean of their sizes.

    Args:
        features: features of the real images (N, D), N at least 6.
        num_fake: M, at least 1.
        seed: determines the splits.

    Returns:
        The distance; 0 if all images are equal.
    """
    x = as_matrix(features, "features")
    half, quarter = len(x) // 2, max(2, len(x) // 4)
    of_halves = of_quarters = 0.0
    for split in range(FLOOR_SPLITS):
        rng = torch.Generator().manual_seed(seed + split)
        shuffled = x[torch.randperm(len(x), generator=rng).to(x.device)]
        of_halves += frechet(shuffled[:half], shuffled[half:]) / FLOOR_SPLITS
        for first in (0, len(x) - 2 * quarter):
            pair = shuffled[first : first + 2 * quarter]
            of_quarters += frechet(pair[:quarter], pair[quarter:]) / (2 * FLOOR_SPLITS)
    if of_halves <= 0 or of_quarters <= 0:
        return max(0.0, of_halves)
    power = math.log(of_quarters / of_halves) / math.log(half / quarter)
    num = 2 / (1 / len(x) + 1 / num_fake)
    return of_halves * (half / num) ** power


def _nuclear_norm_and_error(m: Tensor) -> tuple[float, float]:
    """Compute the sum of the singular values of a matrix, and a bound on its rounding error.

    The singular values are the roots of the eigenvalues of the Gram matrix. This takes a fraction
    of the time of `svdvals`, but small singular values lose digits.
    """
    gram = m @ m.T if m.shape[0] <= m.shape[1] else m.T @ m
    with single_thread():
        squares = torch.linalg.eigvalsh(gram).clamp(min=0)
    noise = (4 * torch.finfo(m.dtype).eps * squares[-1]).clamp(min=torch.finfo(m.dtype).tiny)
    error = (noise / squares.clamp(min=noise).sqrt()).sum()
    return squares.sqrt().sum().item(), error.item()


def kid(
    real: Tensor | ArrayLike,
    fake: Tensor | ArrayLike,
    *,
    subset_size: int | None = None,
    num_subsets: int = 100,
    seed: int = 0,
) -> Estimate:
    """Estimate the kernel Inception distance, the squared MMD with the kernel (x·y / D + 1)³.

    Bińkowski et al. 2018, eq. 4 and section 4. By default it uses all pairs of images, and the
    standard error is the two-sample jackknife's. The estimate is unbiased, so it may be below zero.

    Args:
        real: (N, D).
        fake: (M, D).
        subset_size: if given, the estimate is the mean over random subsets of this size, and the
            error is the standard deviation between them, as torch-fidelity prints it. This is
            faster for more than 10,000 images.
        num_subsets: number of subsets. They are those that `cleanfid.fid.kernel_distance` draws
            after `np.random.seed(seed)`.
        seed: determines the subsets.

    Real images at -1 and 1, fakes both at 0 (D = 1): 0 + 1 - 2 · 1 = -1.

    >>> kid(torch.tensor([[-1.0], [1.0]]), torch.zeros(2, 1)).value
    -1.0
    """
    x, y = feature_pair(real, fake, at_least=2)
    if subset_size is None:
        return _kid_of_all(x, y)
    size = min(len(x), len(y), subset_size)
    if size < 2 or num_subsets < 1:
        raise BrushworkError(
            f"KID needs at least 1 subset of at least 2 images; `num_subsets` is {num_subsets} and "
            f"`subset_size` is {subset_size}"
        )
    random = np.random.RandomState(seed)
    values = []
    for _ in range(num_subsets):
        some_y = y[random.choice(len(y), size, replace=False)]
        some_x = x[random.choice(len(x), size, replace=False)]
        values.append(_kid_of_all(some_x, some_y).value)
    return Estimate(float(np.mean(values)), float(np.std(values)))


def _kid_of_all(x: Tensor, y: Tensor) -> Estimate:
    within_x = _kernel_sums(x, x) - (x.square().sum(1) / x.shape[1] + 1) ** 3  # (N,) no diagonal
    within_y = _kernel_sums(y, y) - (y.square().sum(1) / y.shape[1] + 1) ** 3  # (M,)
    across_x, across_y = _kernel_sums(x, y), _kernel_sums(y, x)
    n, m = len(x), len(y)
    mean_x = within_x.sum() / (n * (n - 1))
    mean_y = within_y.sum() / (m * (m - 1))
    value = mean_x + mean_y - 2 * across_x.sum() / (n * m)
    if min(n, m) < 3:
        return Estimate(value.item(), math.nan)
    # The jackknife: the row sums give the estimate without each of the images.
    less_x = (within_x.sum() - 2 * within_x) / ((n - 1) * (n - 2)) - 2 * (
        across_x.sum() - across_x
    ) / ((n - 1) * m)
    less_y = (within_y.sum() - 2 * within_y) / ((m - 1) * (m - 2)) - 2 * (
        across_y.sum() - across_y
    ) / ((m - 1) * n)
    variance = (n - 1) * less_x.var(correction=0) + (m - 1) * less_y.var(correction=0)
    return Estimate(value.item(), variance.sqrt().item())


def _kernel_sums(x: Tensor, y: Tensor) -> Tensor:
    """Sum the rows (N,) of the cubic kernel matrix of x (N, D) and y (M, D)."""
    rows = max(1, BLOCK // len(y))
    return torch.cat([((part @ y.T / x.shape[1] + 1) ** 3).sum(1) for part in x.split(rows)])


def pairwise(real: Tensor | ArrayLike, fake: Tensor | ArrayLike) -> Distances:
    """Compute all Euclidean distances within and between both sets; equal images have exactly 0.

    Raises:
        BrushworkError: see `feature_pair`; or the distances take more memory than 8 GiB.

    >>> pairwise(torch.tensor([[0.0, 0.0], [3.0, 4.0]]), torch.tensor([[3.0, 0.0]])).cross.tolist()
    [[3.0], [4.0]]
    """
    x, y = feature_pair(real, fake)
    if len(x) ** 2 + len(y) ** 2 + len(x) * len(y) > MAX_DISTANCES:
        raise BrushworkError(
            f"the distances of {len(x)} real and {len(y)} fake images do not fit in "
            f"{MAX_DISTANCES >> 27} GiB; use a random sample of 10,000 of each"
        )
    return Distances(_euclidean(x, x), _euclidean(y, y), _euclidean(x, y))


def _euclidean(x: Tensor, y: Tensor) -> Tensor:
    """Compute distances (N, M) by a matrix product, and set those of equal points to 0."""
    centre = (x.mean(0) + y.mean(0)) / 2  # less cancellation
    x, y = x - centre, y - centre
    norms_x, norms_y = x.square().sum(1), y.square().sum(1)
    blocks = []
    rows = max(1, BLOCK // len(y))
    for part, norms in zip(x.split(rows), norms_x.split(rows), strict=True):
        scale = norms[:, None] + norms_y
        squares = torch.addmm(scale, part, y.T, alpha=-2)
        blocks.append(squares.masked_fill_(squares < 1e-12 * scale, 0).sqrt_())
    return torch.cat(blocks)


def nearest(
    queries: Tensor | ArrayLike, references: Tensor | ArrayLike, k: int = 1
) -> tuple[Tensor, Tensor]:
    """Find the k nearest references of each query, nearest first.

    Args:
        queries: (N, D).
        references: (M, D).
        k: number of neighbours, between 1 and M.

    Returns:
        Their distances (N, k) and their rows in `references` (N, k).

    >>> distances, rows = nearest(torch.tensor([[2.0]]), torch.tensor([[0.0], [3.0], [9.0]]), k=2)
    >>> distances.tolist(), rows.tolist()
    ([[1.0, 2.0]], [[1, 0]])
    """
    y, x = feature_pair(references, queries)
    if not 1 <= k <= len(y):
        raise BrushworkError(
            f"`k` is {k}; it must be between 1 and the number of references, {len(y)}"
        )
    parts = [
        _euclidean(part, y).topk(k, largest=False) for part in x.split(max(1, BLOCK // len(y)))
    ]
    return torch.cat([p.values for p in parts]), torch.cat([p.indices for p in parts])


def mmd(
    real: Tensor | ArrayLike,
    fake: Tensor | ArrayLike,
    *,
    bandwidth: float | None = None,
    unbiased: bool = True,
    distances: Distances | None = None,
) -> float:
    """Estimate the squared maximum mean discrepancy with the kernel exp(-|x - y|² / 2σ²).

    Gretton et al. 2012. Xu et al. 2018 print the root of the biased estimate.

    Args:
        real: (N, D).
        fake: (M, D).
        bandwidth: σ. By default the median of all non-zero distances of the pooled sets. It then
            depends on both sets: compare values for the same real images only.
        unbiased: compute the U-statistic (eq. 3), which may be below zero, or else the V-statistic
            (eq. 5), which may not.
        distances: from `pairwise`, if they are known.

    Real images at 0, fakes at 1, σ = 1: 1 + 1 - 2 exp(-½) = 0.7869.

    >>> round(mmd(torch.zeros(2, 1), torch.ones(2, 1), bandwidth=1.0), 4)
    0.7869
    """
    d = _distances(real, fake, distances, at_least=2)
    sigma = _median_distance(d) if bandwidth is None else bandwidth
    if not 0 < sigma < math.inf:
        if bandwidth is None:  # every image is the same
            return 0.0
        raise BrushworkError(f"`bandwidth` is {bandwidth}; it must be above 0")
    kernel: list[Tensor] = [(m / sigma).square_().mul_(-0.5).exp_() for m in d]
    if unbiased:
        within = [(k.sum() - len(k)) / (len(k) * (len(k) - 1)) for k in kernel[:2]]
    else:
        within = [k.mean() for k in kernel[:2]]
    return (within[0] + within[1] - 2 * kernel[2].mean()).item()


def cmmd(real: Tensor | ArrayLike, fake: Tensor | ArrayLike) -> float:
    """Compute the CMMD: 1,000 times the squared MMD of CLIP embeddings, with σ = 10.

    Jayasumana et al. 2024. As in their code, this is the V-statistic; their paper's eq. 4 is the
    U-statistic.

    Args:
        real: embeddings of length 1 (N, D), from `brushwork.metrics.features.clip`.
        fake: (M, D).

    Opposite embeddings: 1000 (1 + 1 - 2 exp(-2² / 200)) = 39.6.

    >>> round(cmmd(torch.tensor([[1.0, 0.0]]), torch.tensor([[-1.0, 0.0]])), 1)
    39.6
    """
    x, y = feature_pair(real, fake)
    means = [_mean_gaussian_kernel(a, b, sigma=10.0) for a, b in ((x, x), (y, y), (x, y))]
    return 1000 * (means[0] + means[1] - 2 * means[2])


def _mean_gaussian_kernel(x: Tensor, y: Tensor, sigma: float) -> float:
    """Average exp(-|x - y|² / 2σ²) over all pairs, a block at a time."""
    total = 0.0
    for part in x.split(max(1, BLOCK // len(y))):
        squares = part.square().sum(1)[:, None] + y.square().sum(1) - 2 * part @ y.T
        total += (squares / (-2 * sigma**2)).exp().sum().item()
    return total / (len(x) * len(y))


def _median_distance(d: Distances) -> float:
    pooled = torch.cat([d.cross.flatten(), *(m[_upper(m)] for m in (d.real, d.fake))])
    pooled = pooled[pooled > 0]
    return pooled.median().item() if len(pooled) else 0.0


def _upper(m: Tensor) -> Tensor:
    return torch.ones_like(m, dtype=torch.bool).triu_(1)


def wasserstein(
    real: Tensor | ArrayLike, fake: Tensor | ArrayLike, *, distances: Distances | None = None
) -> float:
    """Compute the exact Wasserstein-1 (earth mover's) distance (Rubner et al. 2000, eq. 1).

    It is the smallest mean Euclidean distance over all ways to move the real images onto the fakes.
    The network simplex of POT (Bonneel et al. 2011) finds it, in time cubic in the number of
    images. It shrinks as 1/n^(1/D) to its limit: compare only at equal N and M.

    >>> wasserstein(torch.tensor([[0.0], [1.0]]), torch.tensor([[5.0], [6.0]]))
    5.0
    """
    d = _distances(real, fake, distances)
    ot = optimal_transport()
    cost = d.cross.cpu().numpy()
    n, m = cost.shape
    weights = np.full(n, 1 / n), np.full(m, 1 / m)
    return np.asarray(ot.emd2(*weights, cost, numItermax=10_000_000)).item()


def optimal_transport() -> Any:
    """Import the package POT, which `wasserstein` needs; call it to check before long work.

    Raises:
        BrushworkError: it is not installed.
    """
    try:
        with warnings.catch_warnings(action="ignore"):  # old escapes in its docstrings
            import ot
    except ModuleNotFoundError:
        raise BrushworkError(
            f"the Wasserstein distance needs the package POT: {install('brushwork[metrics]')}"
        ) from None
    return ot


def one_nn(
    real: Tensor | ArrayLike, fake: Tensor | ArrayLike, *, distances: Distances | None = None
) -> OneNN:
    """Compute the leave-one-out accuracy of a 1-nearest-neighbour classifier of real against fake.

    Lopez-Paz & Oquab 2017; Xu et al. 2018, section 2. About 0.5 is best. At 1 the classifier always
    separates the sets, and at 0 the fakes are copies of the real images. A low accuracy on real
    images with a high one on fakes means that the fakes cover few modes. Ties count half. The mean
    of both accuracies has the chance level 0.5 for all N and M; each alone has it only if N = M.

    >>> one_nn(torch.tensor([[0.0], [1.0]]), torch.tensor([[9.0], [10.0]])).accuracy
    1.0
    """
    d = _distances(real, fake, distances, at_least=2)
    parts = []
    for own, other in ((d.real, d.cross), (d.fake, d.cross.T)):
        own = own.clone().fill_diagonal_(math.inf).amin(1)
        other = other.amin(1)
        tie = (own - other).abs() <= TIE * own
        parts.append(torch.where(tie, 0.5, (own < other).double()).mean().item())
    return OneNN(sum(parts) / 2, *parts)


def precision_recall(
    real: Tensor | ArrayLike,
    fake: Tensor | ArrayLike,
    *,
    k: int = 3,
    distances: Distances | None = None,
) -> tuple[float, float]:
    """Compute improved precision and recall (Kynkäänniemi et al. 2019, eq. 1-3).

    Around each real image there is a ball that reaches to its k-th nearest real neighbour.
    Precision is the share of fakes inside at least one of these balls. Recall is the share of real
    images inside at least one such ball around a fake.

    >>> precision_recall(torch.tensor([[0.0], [1.0], [2.0]]), torch.tensor([[0.5], [9.0]]), k=1)
    (0.5, 1.0)
    """
    d = _distances(real, fake, distances, at_least=k + 1)
    in_real = d.cross <= _radii(d.real, k)[:, None] * (1 + TIE)
    in_fake = d.cross <= _radii(d.fake, k) * (1 + TIE)
    return in_real.any(0).double().mean().item(), in_fake.any(1).double().mean().item()


def density_coverage(
    real: Tensor | ArrayLike,
    fake: Tensor | ArrayLike,
    *,
    k: int = 5,
    distances: Distances | None = None,
) -> tuple[float, float]:
    """Compute density and coverage, which a single outlier hardly changes.

    Naeem et al. 2020, eq. 3 and 4, with the balls of `precision_recall` around the real images.
    Density is the mean number of balls that contain a fake, divided by k; it is 1 in expectation
    for two samples of one distribution, and above 1 if the fakes lie close to modes. Coverage is
    the share of balls with at least one fake inside. The balls are open, as in the authors' code.

    >>> density_coverage(torch.tensor([[0.0], [1.0], [2.0]]), torch.tensor([[0.5], [9.0]]), k=1)
    (1.0, 0.6666666666666666)
    """
    d = _distances(real, fake, distances, at_least=2)
    if len(d.real) <= k:
        raise BrushworkError(
            f"density and coverage need more than k = {k} real images, not {len(d.real)}; pass "
            "more real images or a lower `k`"
        )
    radii = _radii(d.real, k)
    if not radii.any():
        raise BrushworkError(
            f"every real image has {k} exact copies, so density and coverage are undefined; "
            "remove the copies from the real images"
        )
    inside = d.cross < radii[:, None] * (1 - TIE)
    density = inside.sum().item() / (k * inside.shape[1])
    return density, inside.any(1).double().mean().item()


def authenticity(train: Tensor | ArrayLike, fake: Tensor | ArrayLike) -> float:
    """Compute the share of fakes that are not copies of a training image.

    Alaa et al. 2022, section 4.3. A fake counts as a copy if it is nearer to its nearest training
    image than that image is to all other training images, or if it equals that image, even one that
    occurs twice. New samples of the training distribution give about 0.5, and copies give 0.

    >>> authenticity(torch.tensor([[0.0], [1.0], [5.0]]), torch.tensor([[0.1], [3.5]]))
    0.0
    >>> authenticity(torch.tensor([[0.0], [1.0], [5.0]]), torch.tensor([[0.1], [3.0], [-2.0]]))
    0.3333333333333333
    """
    x, y = feature_pair(train, fake)
    if len(x) < 2:
        raise BrushworkError("authenticity needs at least 2 training images, not 1; pass more")
    distance, row = nearest(y, x)
    own = nearest(x, x, k=2)[0][:, 1]
    distance = distance[:, 0]
    fresh = (distance > 0) & (distance >= own[row[:, 0]] * (1 - TIE))
    return fresh.double().mean().item()


def copying(
    train: Tensor | ArrayLike, held_out: Tensor | ArrayLike, fake: Tensor | ArrayLike
) -> float:
    """Compute the probability that a fake is nearer to the training set than a held-out image is.

    This is the Mann-Whitney statistic behind C_T of Meehan et al. 2020, as a probability. It is 0.5
    if fakes are as far from the training images as new paintings are, near 1 if they are copies,
    and near 0 if they miss the distribution. Ties count half.

    Args:
        train: features of the training images (N, D).
        held_out: features of real images that were not trained on (H, D).
        fake: features of the fakes (M, D).

    >>> copying(torch.tensor([[0.0]]), torch.tensor([[1.0], [2.0]]), torch.tensor([[0.0], [1.5]]))
    0.75
    """
    of_fakes = nearest(fake, train)[0][:, 0]
    of_held_out = nearest(held_out, train)[0][:, 0].sort().values
    below = torch.searchsorted(of_held_out, of_fakes * (1 - TIE), side="left")
    up_to = torch.searchsorted(of_held_out, of_fakes * (1 + TIE), side="right")
    return 1 - ((below + up_to).double().mean() / (2 * len(of_held_out))).item()


def _distances(
    real: Tensor | ArrayLike, fake: Tensor | ArrayLike, known: Distances | None, at_least: int = 1
) -> Distances:
    d = pairwise(real, fake) if known is None else known
    n, m = d.cross.shape
    if min(n, m) < at_least:
        raise BrushworkError(
            f"this metric needs at least {at_least} real and {at_least} fake images, "
            f"not {n} and {m}; pass more images"
        )
    return d


def _radii(own: Tensor, k: int) -> Tensor:
    """Find the distance of each image to its k-th nearest other image (N,)."""
    if k < 1:
        raise BrushworkError(f"`k` is {k}; it must be at least 1")
    # The smallest distance is that of the image to itself.
    return own.kthvalue(k + 1, dim=1).values
