"""Losses of a GAN and the regularisers that may be added to them, as pure functions.

N real images x, M fakes G(z). A logit above 0 means that the discriminator D classifies the image
as real. Logits are (N,), or (N, heads) from a discriminator with several heads. The relativistic
losses compare each real image with one fake, so they require N = M.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F


def discriminator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """Compute -E log D(x) - E log(1 - D(G(z))), where D is the sigmoid of the logits.

    The loss of the original GAN (Goodfellow et al. 2014, eq. 1).

    Args:
        real_logits: (N,) or (N, heads).
        fake_logits: (M,) or (M, heads).

    Returns:
        A scalar, 0 or above.

    >>> import torch
    >>> round(discriminator_loss(torch.zeros(3), torch.zeros(5)).item(), 4)  # 2 log 2
    1.3863
    """
    return F.softplus(-real_logits).mean() + F.softplus(fake_logits).mean()


def generator_loss(fake_logits: Tensor) -> Tensor:
    """Compute -E log D(G(z)), the non-saturating loss (Goodfellow et al. 2014, section 3).

    Args:
        fake_logits: (M,) or (M, heads).

    Returns:
        A scalar, 0 or above.

    >>> import torch
    >>> round(generator_loss(torch.zeros(4)).item(), 4)  # log 2
    0.6931
    """
    return F.softplus(-fake_logits).mean()


def hinge_discriminator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """Compute E max(0, 1 - D(x)) + E max(0, 1 + D(G(z))), where D is the logit.

    The hinge loss (Lim & Ye 2017; Miyato et al. 2018, eq. 16). Images that are classified correctly
    by a margin of 1 or more have no gradient.

    Args:
        real_logits: (N,) or (N, heads).
        fake_logits: (M,) or (M, heads).

    Returns:
        A scalar, 0 or above.

    >>> hinge_discriminator_loss(torch.tensor([2.0, 0.0]), torch.tensor([-3.0])).item()
    0.5
    """
    return F.relu(1 - real_logits).mean() + F.relu(1 + fake_logits).mean()


def hinge_generator_loss(fake_logits: Tensor) -> Tensor:
    """Compute -E D(G(z)), where D is the logit (Lim & Ye 2017; Miyato et al. 2018, eq. 17).

    Args:
        fake_logits: (M,) or (M, heads).

    Returns:
        A scalar of any sign.

    >>> hinge_generator_loss(torch.tensor([2.0, 0.0])).item()
    -1.0
    """
    return -fake_logits.mean()


def relativistic_discriminator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """Compute E -log sigmoid(D(x) - D(G(z))), where D is the logit and x is paired with G(z).

    The relativistic pairing loss (Jolicoeur-Martineau 2019) of R3GAN (Huang et al. 2024, eq. 2).
    The generator's loss is this one with the two arguments exchanged.

    Args:
        real_logits: (N,) or (N, heads).
        fake_logits: (N,) or (N, heads), one for each real image.

    Returns:
        A scalar, 0 or above.

    >>> round(relativistic_discriminator_loss(torch.zeros(2), torch.zeros(2)).item(), 4)  # log 2
    0.6931
    """
    return F.softplus(fake_logits - real_logits).mean()


def relativistic_generator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """Compute E -log sigmoid(D(G(z)) - D(x)), where D is the logit and x is paired with G(z).

    Args:
        real_logits: (N,) or (N, heads).
        fake_logits: (N,) or (N, heads), one for each real image.

    Returns:
        A scalar, 0 or above.

    >>> real, fake = torch.tensor([1.0, 2.0]), torch.tensor([0.0, 5.0])
    >>> relativistic_generator_loss(real, fake) == relativistic_discriminator_loss(fake, real)
    tensor(True)
    """
    return F.softplus(real_logits - fake_logits).mean()


def gradient_penalty(logits: Tensor, images: Tensor) -> Tensor:
    """Compute E ‖dD/dx‖²: the penalty R1 for real images, R2 for fakes.

    Mescheder et al. 2018, eq. 9 and 10, and R3GAN (Huang et al. 2024, eq. 3 and 4). R3GAN adds
    gamma / 2 times each penalty to the discriminator's loss. It is enough to add k times the
    penalty at every k-th step (Karras et al. 2020, "Analyzing and Improving", section 3.1).

    Args:
        logits: the discriminator's logits of `images`, (N,) or (N, heads). The penalty is exact
            only if each logit depends on its own image alone; with batch normalisation in the
            discriminator it does not.
        images: (N, ...), with `requires_grad` set before the discriminator was called.

    Returns:
        A scalar, 0 or above, that is differentiable in the weights of the discriminator.

    >>> x = torch.ones(4, 2, requires_grad=True)
    >>> gradient_penalty(x @ torch.tensor([3.0, 4.0]), x).item()  # 3² + 4²
    25.0
    """
    (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    return gradient.flatten(1).square().sum(1).mean()


def frechet_loss(features: Tensor, mean: Tensor, root: Tensor, counted: Tensor) -> Tensor:
    """Compute the Fréchet distance of fakes to reals, differentiable in the features of the fakes.

    ‖μ - m‖² + tr(Σ + C - 2 (ΣC)^½), where μ and Σ are the mean and covariance of the fakes, m and
    C those of the reals (Mathiasen & Hvilshøj 2020). `brushwork.metrics.distances.frechet` computes
    the same value without gradients. tr (ΣC)^½ is the nuclear norm of R Xᵀ, where X are the centred
    features divided by √(M - 1). With R Xᵀ = U S Vᵀ the gradient of that norm is U Vᵀ, which
    `polar_factor` computes.

    Args:
        features: features of M fakes and of others that do not count, (N, D), float32 or float64.
        mean: m, (D,).
        root: R, (K, D), with RᵀR = C.
        counted: 1 for each of the M fakes, 0 for the others, (N,). So the number of fakes may
            change without the shape of any tensor. With M below 2 there is no covariance, and the
            result is 0.

    Returns:
        A scalar, 0 or above up to rounding; NaN if a feature is NaN or infinite.

    >>> unit = torch.tensor([[-1.0], [0.0], [1.0]])
    >>> loss = frechet_loss(3 * unit + 3, torch.zeros(1), torch.ones(1, 1), torch.ones(3))
    >>> round(loss.item(), 3)
    13.0
    """
    weights = counted[:, None]
    num = counted.sum()
    shift = (features * weights).sum(0) / num
    centred = (features - shift) * weights / (num - 1).clamp(min=1).sqrt()
    product = root @ centred.T  # (K, N)
    with torch.no_grad():
        polar = polar_factor(product)  # U Vᵀ
    variances = root.square().sum() + centred.square().sum()
    distance = (shift - mean).square().sum() + variances - 2 * (product * polar).sum()
    return distance * (num > 1)


# Each row (a, b, c) is a polynomial a s + b s³ + c s⁵. One after the other they bring every s from
# 1e-4 to 1 within 2e-5 of 1. They are the best of this degree (Amsel et al. 2025, "The Polar
# Express", theorem 3.1), found by its algorithm 2.
POLAR_POLYNOMIALS = (
    (8.5098853026, -25.2643041908, 18.7535678997),
    (4.2495734789, -3.1549764881, 0.5858847825),
    (4.2251221908, -3.1380444351, 0.5839534551),
    (4.1248386870, -3.0683324528, 0.5760029536),
    (3.7580103358, -2.8092738924, 0.5464842066),
    (2.8561775413, -2.1340562332, 0.4701107692),
    (2.0206004158, -1.4037211505, 0.3906738969),
    (1.8758751005, -1.2509719905, 0.3750972123),
)


def polar_factor(matrix: Tensor) -> Tensor:
    """Compute U Vᵀ of a matrix U S Vᵀ by matrix products, which need no wait for the device.

    A decomposition on a GPU makes the host wait, and cannot be part of a CUDA graph. In place of 1,
    a singular value s of the result is within 2e-5 of 1 where s is at least 1e-4 of the Frobenius
    norm, and from 0 to 1 below that. So the nuclear norm is at most 1e-4 of the Frobenius norm per
    singular value too small. Rounding in float32 adds about 1e-4.

    Args:
        matrix: (K, M).

    Returns:
        (K, M); zeros for zeros, NaN where `matrix` has a NaN or an infinity.

    >>> polar_factor(torch.tensor([[3.0, 0.0], [0.0, -0.1]])).round(decimals=3)
    tensor([[ 1.,  0.],
            [ 0., -1.]])
    """
    if matrix.shape[0] < matrix.shape[1]:
        return polar_factor(matrix.T).T
    x = matrix / matrix.norm().clamp(min=torch.finfo(matrix.dtype).tiny)
    for a, b, c in POLAR_POLYNOMIALS:
        gram = x.T @ x
        x = a * x + x @ (b * gram + c * (gram @ gram))
    return x


class Loss(NamedTuple):
    """The losses of both networks, as functions of (real_logits, fake_logits)."""

    discriminator: Callable[[Tensor, Tensor], Tensor]
    generator: Callable[[Tensor, Tensor], Tensor]


LOSSES = {
    "logistic": Loss(discriminator_loss, lambda _real, fake: generator_loss(fake)),
    "hinge": Loss(hinge_discriminator_loss, lambda _real, fake: hinge_generator_loss(fake)),
    "relativistic": Loss(relativistic_discriminator_loss, relativistic_generator_loss),
}


def has_collapsed(losses_D: Sequence[float], below: float = 0.02, logs: int = 30) -> bool:
    """Check whether the discriminator's loss stays near 0, so that the generator stops learning.

    Returns True only when the number of logged losses is a multiple of `logs`, so that a caller who
    checks after each one warns at most once in `logs`.

    Args:
        losses_D: logged losses of the discriminator, oldest first.
        below: the limit; 0.02 is reached at about D(x) = 0.99 and D(G(z)) = 0.01.
        logs: number of losses in a row; early in training the loss is often low for a while.

    >>> has_collapsed([0.01] * 30), has_collapsed([0.01] * 29), has_collapsed([1.0] + [0.01] * 29)
    (True, False, False)
    """
    return len(losses_D) % logs == 0 and max(losses_D[-logs:]) < below
