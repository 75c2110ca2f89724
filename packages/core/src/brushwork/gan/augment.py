"""Differentiable augmentation: the discriminator sees reals and fakes through the same distortions.

DiffAugment (Zhao et al. 2020) distorts every picture that D sees, so that few paintings last
longer before D knows them by heart; gradients reach G through the distortions. Adaptive
augmentation (Karras et al. 2020, ADA) distorts each picture with a probability that rises while D
overfits.

What is done to which picture is drawn from the seed, the step and the pass alone, as the batches
are (`brushwork.data.batches`): a resumed run, or one shared by several processes, draws the same.

N images, S their side. All functions take and give (N, 3, S, S) in [-1, 1]; distorted colours may
leave that range a little, as in the paper.
"""

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional as F

from brushwork.data.batches import AUGMENTATION, random_numbers
from brushwork.errors import BrushworkError
from brushwork.training.distributed import num_processes

# Uniform numbers that one picture needs: brightness, saturation, contrast, two shifts, the two
# coordinates of the hole, and one for each of the three policies: whether it is applied.
DRAWS = 10


# Pictures pass through D up to four times in a step: reals and fakes for D, fakes again for G, and
# paintings by others for D.
PASSES = 4


POLICIES = ("color", "translation", "cutout")


# DiffAugment's ranges: shifts of up to an eighth of the side, holes of half the side.
SHIFT, HOLE = 1 / 8, 1 / 2


# ADA looks at r_t after so many steps, as in the paper; there p may cross its range in 500,000
# images, more than we train on in all.
STEPS_OF_R_T, IMAGES_TO_FULL = 4, 100_000


class Augment(nn.Module):
    """What D's pictures go through; a network, so that ADA's probability is saved with the others.

    Attributes:
        probability: with which each policy is applied to each picture: 1, or what ADA found.
    """

    probability: Tensor
    signs: Tensor

    def __init__(self, policy: tuple[str, ...] = POLICIES, adaptive: bool = False):
        super().__init__()
        self.policy, self.adaptive = policy, adaptive
        self.register_buffer("probability", torch.tensor(0.0 if adaptive else 1.0))
        self.register_buffer("signs", torch.zeros(2))  # their sum over the reals, and how many

    def forward(self, x: Tensor, u: Tensor) -> Tensor:
        """Distort pictures (N, 3, S, S) by the uniform numbers (N, DRAWS)."""
        return diff_augment(x, u, self.policy, self.probability) if self.policy else x

    @torch.no_grad()
    def observe(self, real_logits: Tensor, step: int, batch_size: int) -> None:
        """Show ADA what D says of the reals; once in a while it moves the probability.

        Args:
            real_logits: (N,) or (N, M) of this process.
            step: steps taken, this one included.
            batch_size: over all processes.
        """
        if not self.adaptive:
            return
        now = torch.stack([real_logits.sign().sum(), real_logits.new_tensor(real_logits.numel())])
        if num_processes() > 1:  # at each step: what one process saves, all go on from
            dist.all_reduce(now)
        self.signs += now
        if step % STEPS_OF_R_T == 0:
            r_t = (self.signs[0] / self.signs[1]).item()
            images = STEPS_OF_R_T * batch_size
            p = adapt(self.probability.item(), r_t, images, images_to_full=IMAGES_TO_FULL)
            self.probability.fill_(p)
            self.signs.zero_()


def draws(step: int, batch_size: int, seed: int) -> Tensor:
    """The uniform numbers (B, PASSES, DRAWS) that distort a step's pictures, float32, on the CPU.

    Args:
        step: of the training.
        batch_size: over all processes; each takes its share of the pictures.
        seed: the run's.

    >>> torch.equal(draws(3, batch_size=2, seed=0), draws(3, batch_size=2, seed=0))
    True
    """
    rng = random_numbers(seed, AUGMENTATION, step)
    return torch.from_numpy(rng.random((batch_size, PASSES, DRAWS), dtype=np.float32))


def diff_augment(
    x: Tensor, u: Tensor, policy: tuple[str, ...] = POLICIES, probability: float | Tensor = 1.0
) -> Tensor:
    """Distort each picture on its own (Zhao et al. 2020, section 3 and its released code).

    Args:
        x: (N, 3, S, S) in [-1, 1].
        u: (N, DRAWS) uniform in [0, 1), from `draws`, on the device of `x`.
        policy: any of "color", "translation" and "cutout", in this order.
        probability: with which each policy is applied to each picture: 1 is DiffAugment, the
            number of `adapt` is ADA.

    Returns:
        Distorted pictures, differentiable in `x`; where nothing is applied, `x` to the bit.
    """
    for name in policy:
        if name not in POLICIES:
            raise BrushworkError(f"no augmentation {name!r}; there are {', '.join(POLICIES)}")
    applied = u[:, 7:10] < probability
    if "color" in policy:
        x = torch.where(applied[:, 0, None, None, None], color(x, u[:, 0], u[:, 1], u[:, 2]), x)
    if "translation" in policy:
        x = torch.where(applied[:, 1, None, None, None], translation(x, u[:, 3], u[:, 4]), x)
    if "cutout" in policy:
        x = torch.where(applied[:, 2, None, None, None], cutout(x, u[:, 5], u[:, 6]), x)
    return x


def color(x: Tensor, brightness: Tensor, saturation: Tensor, contrast: Tensor) -> Tensor:
    """Shift all channels by up to 0.5; scale saturation by up to 2 and contrast by 0.5 to 1.5.

    Args:
        x: (N, 3, S, S).
        brightness: (N,) in [0, 1); 0.5 changes nothing, here and in the other two.
        saturation: (N,), likewise.
        contrast: (N,), likewise.
    """
    x = x + (brightness - 0.5)[:, None, None, None]
    grey = x.mean(1, keepdim=True)
    x = grey + (x - grey) * (2 * saturation)[:, None, None, None]
    mean = x.mean((1, 2, 3), keepdim=True)
    return mean + (x - mean) * (contrast + 0.5)[:, None, None, None]


def translation(x: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """Move each picture by up to an eighth of its side each way; what it leaves is 0 (grey).

    Args:
        x: (N, 3, S, S).
        down: (N,) in [0, 1); 0.5 does not move.
        right: (N,), likewise.
    """
    side = x.shape[-1]
    reach = int(side * SHIFT + 0.5)
    rows, columns = (
        torch.arange(side, device=x.device) - _whole(u, 2 * reach + 1)[:, None] + reach
        for u in (down, right)
    )  # (N, S): where each row and column comes from; outside 0..S-1 is the border
    padded = F.pad(x, (1, 1, 1, 1))
    rows, columns = ((index + 1).clamp(0, side + 1) for index in (rows, columns))
    image = torch.arange(len(x), device=x.device)[:, None, None]
    return padded.permute(0, 2, 3, 1)[image, rows[:, :, None], columns[:, None, :]].permute(
        0, 3, 1, 2
    )


def cutout(x: Tensor, top: Tensor, left: Tensor) -> Tensor:
    """Fill a square of half the side with 0 (grey), its centre anywhere in the picture.

    Args:
        x: (N, 3, S, S).
        top: (N,) in [0, 1), the centre's row.
        left: (N,), its column.
    """
    side = x.shape[-1]
    half = int(side * HOLE + 0.5) / 2
    at = torch.arange(side, device=x.device) + 0.5
    inside = [
        (at - _whole(u, side + 1)[:, None]).abs() < half for u in (top, left)
    ]  # (N, S) rows, columns
    hole = inside[0][:, None, :, None] & inside[1][:, None, None, :]
    return x * ~hole


def adapt(probability: float, r_t: float, images: int, target: float = 0.6,
          images_to_full: int = 500_000) -> float:  # fmt: skip
    """The next probability of ADA: up while D overfits, down while it does not.

    Karras et al. 2020, section 3.1: p moves by a fixed amount towards keeping r_t at its target,
    so that it could go from 0 to 1 in `images_to_full` images, and stays within [0, 1].

    Args:
        probability: now.
        r_t: E[sign(D(x))] over the reals since the last time (their equation 1): about 0 while D
            does not overfit, 1 when it is sure of every real.
        images: seen since the last time.
        target: 0.6 in the paper.
        images_to_full: 500,000 in the paper.

    >>> adapt(0.5, r_t=0.9, images=50_000), adapt(0.5, r_t=0.2, images=50_000)
    (0.6, 0.4)
    >>> adapt(0.0, r_t=0.0, images=50_000)
    0.0
    """
    direction = (r_t > target) - (r_t < target)
    return min(1.0, max(0.0, probability + direction * images / images_to_full))


def _whole(u: Tensor, num: int) -> Tensor:
    """Uniform in [0, 1) to whole numbers 0 .. num - 1."""
    return (u * num).long().clamp_(max=num - 1)
