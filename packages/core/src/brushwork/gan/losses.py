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

from brushwork.training.threads import single_thread


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


def frechet_loss(features: Tensor, mean: Tensor, root: Tensor) -> Tensor:
    """Compute the Fréchet distance of fakes to reals, differentiable in the features of the fakes.

    ‖μ - m‖² + tr(Σ + C - 2 (ΣC)^½), where μ and Σ are the mean and covariance of the fakes, m and
    C those of the reals (Mathiasen & Hvilshøj 2020). `brushwork.metrics.distances.frechet` computes
    the same value without gradients. tr (ΣC)^½ is the nuclear norm of R Xᵀ, where X are the centred
    features divided by √(M - 1). With R Xᵀ = U S Vᵀ the gradient of that norm is U Vᵀ, computed
    here from the eigenvectors of the small Gram matrix of R Xᵀ.

    Args:
        features: features of M fakes, (M, D), float32 or float64; M is at least 2.
        mean: m, (D,).
        root: R, (K, D), with RᵀR = C.

    Returns:
        A scalar, 0 or above up to rounding; NaN if a feature is NaN or infinite.

    >>> unit = torch.tensor([[-1.0], [0.0], [1.0]])
    >>> round(frechet_loss(3 * unit + 3, torch.zeros(1), torch.ones(1, 1)).item(), 4)
    13.0
    """
    shift, scale = features.mean(0), (len(features) - 1) ** 0.5
    centred = (features - shift) / scale
    product = root @ centred.T  # (K, M)
    if not product.isfinite().all():  # eigh would raise an error
        return product.sum() * torch.nan
    with torch.no_grad(), single_thread():
        # In float64, so that zero eigenvalues, such as that along the mean, are recognised.
        exact = (product.cpu() if product.device.type == "mps" else product).double()
        squares, vectors = torch.linalg.eigh(exact.T @ exact)
        kept = squares > 1e-12 * squares[-1]
        vectors = vectors[:, kept]
        polar = ((exact @ vectors / squares[kept].sqrt()) @ vectors.T).to(product)  # U Vᵀ
    variances = root.square().sum() + centred.square().sum()
    return (shift - mean).square().sum() + variances - 2 * (product * polar).sum()


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
