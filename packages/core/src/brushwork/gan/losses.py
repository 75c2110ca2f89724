"""Losses as pure functions: of a GAN, its regulariser, of a classifier with a teacher.

N reals and M fakes; logits are above 0 where D believes that a picture is real; of a D with several
heads each has as many columns. The relativistic losses pair reals with fakes, so they want as many
of both.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from brushwork.training.threads import single_thread


def discriminator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """-E log D(x) - E log(1 - D(G(z))), D the sigmoid of the logits (Goodfellow 2014, eq. 1).

    Args:
        real_logits: (N,), any real numbers.
        fake_logits: (M,), likewise.

    >>> import torch
    >>> round(discriminator_loss(torch.zeros(3), torch.zeros(5)).item(), 4)  # 2 log 2
    1.3863
    """
    return F.softplus(-real_logits).mean() + F.softplus(fake_logits).mean()


def generator_loss(fake_logits: Tensor) -> Tensor:
    """-E log D(G(z)): the non-saturating form (Goodfellow 2014, section 3).

    >>> import torch
    >>> round(generator_loss(torch.zeros(4)).item(), 4)  # log 2
    0.6931
    """
    return F.softplus(-fake_logits).mean()


def hinge_discriminator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """E max(0, 1 - D(x)) + E max(0, 1 + D(G(z))) (Lim & Ye 2017; Miyato et al. 2018, eq. 16).

    What D tells by a margin of 1 no longer moves it.

    >>> hinge_discriminator_loss(torch.tensor([2.0, 0.0]), torch.tensor([-3.0])).item()
    0.5
    """
    return F.relu(1 - real_logits).mean() + F.relu(1 + fake_logits).mean()


def hinge_generator_loss(fake_logits: Tensor) -> Tensor:
    """-E D(G(z)) (Lim & Ye 2017; Miyato et al. 2018, eq. 17).

    >>> hinge_generator_loss(torch.tensor([2.0, 0.0])).item()
    -1.0
    """
    return -fake_logits.mean()


def relativistic_discriminator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """E -log sigmoid(D(x) - D(G(z))), each real with one fake (Jolicoeur-Martineau 2019).

    RpGAN of R3GAN (Huang et al. 2024, eq. 2), whose f is this one. The loss of G is the same with
    the two exchanged: `relativistic_generator_loss`.

    Args:
        real_logits: (N,).
        fake_logits: (N,).

    >>> round(relativistic_discriminator_loss(torch.zeros(2), torch.zeros(2)).item(), 4)  # log 2
    0.6931
    """
    return F.softplus(fake_logits - real_logits).mean()


def relativistic_generator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """E -log sigmoid(D(G(z)) - D(x)): fakes should look more real than the reals they are with.

    >>> real, fake = torch.tensor([1.0, 2.0]), torch.tensor([0.0, 5.0])
    >>> relativistic_generator_loss(real, fake) == relativistic_discriminator_loss(fake, real)
    tensor(True)
    """
    return F.softplus(real_logits - fake_logits).mean()


def gradient_penalty(logits: Tensor, images: Tensor) -> Tensor:
    """E |dD/dx|²: R1 where the images are reals, R2 where they are fakes.

    Mescheder et al. 2018, eq. 9 and 10, and R3GAN (Huang et al. 2024, eq. 3 and 4), which adds
    half of each, times gamma, to the loss of D. It may be added at every k-th step only, k times
    as strong (Karras et al. 2020, "Analyzing and Improving", section 3.1).

    Args:
        logits: (N,) D's of these images, each of its own image alone: a D with batch normalisation
            has no such gradient.
        images: (N, ...), that required their gradient before D saw them.

    Returns:
        A number that can itself be differentiated by the weights of D.

    >>> x = torch.ones(4, 2, requires_grad=True)
    >>> gradient_penalty(x @ torch.tensor([3.0, 4.0]), x).item()  # 3² + 4²
    25.0
    """
    (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    return gradient.flatten(1).square().sum(1).mean()


def frechet_loss(features: Tensor, mean: Tensor, root: Tensor) -> Tensor:
    """Fréchet distance of fakes to reals, to be differentiated (Mathiasen & Hvilshøj 2020).

    ‖μ - m‖² + tr(Σ + C - 2 (ΣC)^½), as `brushwork.metrics.distances.frechet` without gradients. The
    last term is the nuclear norm of R Xᵀ, X the centred features; where R Xᵀ = U S Vᵀ, the gradient
    of that norm is U Vᵀ, which the eigenvectors of its small Gram matrix give.

    Args:
        features: of M fakes, (M, D), float32 or float64.
        mean: m of the reals, (D,).
        root: R, (K, D), with RᵀR = C, the covariance of the reals.

    Returns:
        A number; NaN where a feature is NaN or infinite.

    >>> unit = torch.tensor([[-1.0], [0.0], [1.0]])
    >>> round(frechet_loss(3 * unit + 3, torch.zeros(1), torch.ones(1, 1)).item(), 4)
    13.0
    """
    shift, scale = features.mean(0), (len(features) - 1) ** 0.5
    centred = (features - shift) / scale
    product = root @ centred.T  # (K, M)
    if not product.isfinite().all():  # which no decomposition takes
        return product.sum() * torch.nan
    with torch.no_grad(), single_thread():
        # In float64, so that what is zero but for rounding, such as along the mean, stands apart.
        exact = (product.cpu() if product.device.type == "mps" else product).double()
        squares, vectors = torch.linalg.eigh(exact.T @ exact)
        kept = squares > 1e-12 * squares[-1]
        vectors = vectors[:, kept]
        polar = ((exact @ vectors / squares[kept].sqrt()) @ vectors.T).to(product)  # U Vᵀ
    variances = root.square().sum() + centred.square().sum()
    return (shift - mean).square().sum() + variances - 2 * (product * polar).sum()


class Loss(NamedTuple):
    """The losses of both players, functions of the logits of reals and of fakes, in this order."""

    discriminator: Callable[[Tensor, Tensor], Tensor]
    generator: Callable[[Tensor, Tensor], Tensor]


LOSSES = {
    "logistic": Loss(discriminator_loss, lambda _real, fake: generator_loss(fake)),
    "hinge": Loss(hinge_discriminator_loss, lambda _real, fake: hinge_generator_loss(fake)),
    "relativistic": Loss(relativistic_discriminator_loss, relativistic_generator_loss),
}


def has_collapsed(losses_D: Sequence[float], below: float = 0.02, logs: int = 30) -> bool:
    """Whether D tells every fake for good, so that G has nothing left to learn from.

    Asked after each log, it says so at every `logs`-th, not at each.

    Args:
        losses_D: logged losses of the discriminator, oldest first.
        below: a loss that means hardly any doubt: D(x) and 1 - D(G(z)) of about 0.99.
        logs: how many in a row; early in training D often wins for a while.

    >>> has_collapsed([0.01] * 30), has_collapsed([0.01] * 29), has_collapsed([1.0] + [0.01] * 29)
    (True, False, False)
    """
    return len(losses_D) % logs == 0 and max(losses_D[-logs:]) < below
