"""Losses as pure functions of logits: of a GAN, and of a classifier that has a teacher."""

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional as F


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


def distillation_loss(logits: Tensor, teacher_logits: Tensor, temperature: float = 2.0) -> Tensor:
    """How far a network's softened answers are from its teacher's (Hinton et al. 2015, section 2).

    T² KL(softmax(teacher / T) ‖ softmax(logits / T)), the mean over images; T² keeps the gradients'
    size whatever the temperature.

    Args:
        logits: (N, K).
        teacher_logits: (N, K).
        temperature: T.
    """
    ours, theirs = (x.float().div(temperature).log_softmax(1) for x in (logits, teacher_logits))
    kl = F.kl_div(ours, theirs, reduction="batchmean", log_target=True)
    return kl * temperature**2
