"""Differentiable augmentation of the images that the discriminator receives.

DiffAugment (Zhao et al. 2020) distorts every real image and every fake before the discriminator, so
that the discriminator overfits later on few paintings; gradients reach the generator through the
distortions. Adaptive augmentation (ADA, Karras et al. 2020) distorts each image with a probability
that rises while the discriminator overfits.

The distortions of an image are computed from uniform numbers that depend on the seed, the step and
the image's place in the batch alone (as in `brushwork.data.batches`), so that a resumed run, and a
run on several processes, distorts the same images in the same way. No library serves: kornia's
augmentations draw from torch's global random state, with a fixed probability.

N images, H x W size of an image, u uniform numbers in [0, 1). All functions map images (N, 3, H, W)
in [-1, 1] to images of the same shape; distorted colours may leave that range, as in the paper.
"""

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional as F

from brushwork.data.batches import AUGMENTATION, random_numbers
from brushwork.errors import BrushworkError
from brushwork.training.distributed import num_processes

NUMBERS_PER_IMAGE = 16
"""Uniform numbers that distort one image once: brightness, saturation, contrast, shift down, shift
right, row and column of the hole; for each of these three policies the number that decides whether
to apply it; then size, stretch and angle, and for each of them such a number.
"""


PASSES_PER_STEP = 3
"""Images that are distorted for one place of a batch in one step: a real image, a fake, which both
halves of the step receive, and an unselected painting.
"""


POLICIES = ("color", "translation", "cutout")
"""The distortions of DiffAugment."""


GEOMETRIC_POLICIES = (*POLICIES, "geometry")
"""The same, with the geometric distortions of ADA, which are applied first."""


# DiffAugment's ranges: shifts of up to an eighth of each side, holes of half of each side.
MAX_SHIFT, HOLE_SIDE = 1 / 8, 1 / 2


# Standard deviations of the base-2 logarithms of ADA's enlargements and stretches, as in the paper.
SIZE_DEVIATION, STRETCH_DEVIATION = 0.2, 0.2


# From paintings that are always turned by any angle, a generator cannot learn which side is up, so
# the geometric distortions have at most this probability.
MAX_GEOMETRY = 0.8


# Steps between two changes of ADA's probability, as in the paper.
ADAPT_EVERY = 4


# Images in which ADA's probability can go from 0 to 1. The paper takes 500,000, but our whole
# trainings are shorter than that.
RAMP_IMAGES = 100_000


class Augment(nn.Module):
    """Augmentation by a policy, with a probability that is fixed at 1 or found by ADA.

    It is a module so that its buffers are saved in the state of a run, under these names.

    Attributes:
        policy: any of `GEOMETRIC_POLICIES`; () changes no image.
        adaptive: whether ADA adapts the probability.
        probability: with which each augmentation of the policy is applied to each image, a scalar
            in [0, 1].
        signs: since the last change of the probability, the sum of sign(D(x)) over real images, and
            the number of its terms; (2,).
    """

    probability: Tensor
    signs: Tensor

    def __init__(self, policy: tuple[str, ...] = POLICIES, adaptive: bool = False) -> None:
        super().__init__()
        self.policy = policy
        self.adaptive = adaptive
        self.register_buffer("probability", torch.tensor(0.0 if adaptive else 1.0))
        self.register_buffer("signs", torch.zeros(2))

    def forward(self, x: Tensor, u: Tensor) -> Tensor:
        """Distort images (N, 3, H, W) by uniform numbers (N, `NUMBERS_PER_IMAGE`)."""
        return diff_augment(x, u, self.policy, self.probability) if self.policy else x

    @torch.no_grad()
    def observe(self, real_logits: Tensor, step: int, batch_size: int) -> None:
        """Update ADA's statistics, and every `ADAPT_EVERY` steps its probability.

        Without ADA this does nothing. Every process must call it at the same step.

        Args:
            real_logits: the discriminator's logits of the real images of this process, (N,) or
                (N, heads).
            step: steps done, including this one.
            batch_size: images per step, over all processes.
        """
        if not self.adaptive:
            return
        signs = torch.stack([real_logits.sign().sum(), real_logits.new_tensor(real_logits.numel())])
        # Summed at every step, so that the state that one process saves holds for all of them.
        if num_processes() > 1:
            dist.all_reduce(signs)
        self.signs += signs
        if step % ADAPT_EVERY == 0:
            probability = adapt(
                self.probability,
                r_t=self.signs[0] / self.signs[1],
                images=ADAPT_EVERY * batch_size,
                ramp_images=RAMP_IMAGES,
            )
            self.probability.copy_(probability)
            self.signs.zero_()


def augmentation_numbers(step: int, batch_size: int, seed: int) -> Tensor:
    """Draw the uniform numbers that distort the images of one step.

    Args:
        step: the step of training, from 0.
        batch_size: B, images per step over all processes; each process takes its share.
        seed: the run's seed.

    Returns:
        Numbers in [0, 1), (B, `PASSES_PER_STEP`, `NUMBERS_PER_IMAGE`), float32, on the CPU.

    >>> first, second = (augmentation_numbers(3, batch_size=2, seed=0) for _ in range(2))
    >>> torch.equal(first, second)
    True
    """
    rng = random_numbers(seed, AUGMENTATION, step)
    shape = (batch_size, PASSES_PER_STEP, NUMBERS_PER_IMAGE)
    return torch.from_numpy(rng.random(shape, dtype=np.float32))


def diff_augment(
    x: Tensor, u: Tensor, policy: tuple[str, ...] = POLICIES, probability: float | Tensor = 1.0
) -> Tensor:
    """Distort each image independently (Zhao et al. 2020, section 3 and its released code).

    Args:
        x: images (N, 3, H, W) in [-1, 1].
        u: uniform numbers (N, `NUMBERS_PER_IMAGE`) in [0, 1), on the device of `x`.
        policy: any of `GEOMETRIC_POLICIES`: "geometry" is applied first, then the others in the
            order of `POLICIES`.
        probability: the probability, in [0, 1], that an augmentation is applied to an image: 1 for
            DiffAugment; for ADA, `adapt` computes it.

    Returns:
        Distorted images (N, 3, H, W), differentiable in `x`. Images to which nothing is applied are
        returned exactly as they were.

    Raises:
        BrushworkError: `policy` has an unknown name.
    """
    for name in policy:
        if name not in GEOMETRIC_POLICIES:
            raise BrushworkError(
                f"`policy` has an unknown augmentation {name!r}; choose from "
                f"{', '.join(GEOMETRIC_POLICIES)}"
            )
    applied = u[:, 7:10] < probability
    if "geometry" in policy:
        limited = torch.as_tensor(probability, device=x.device).clamp(max=MAX_GEOMETRY)
        thresholds = torch.stack([limited, limited, 1 - (1 - limited).sqrt()])
        x = geometry(x, u[:, 10], u[:, 11], u[:, 12], applied=u[:, 13:16] < thresholds)
    if "color" in policy:
        x = torch.where(applied[:, 0, None, None, None], color(x, u[:, 0], u[:, 1], u[:, 2]), x)
    if "translation" in policy:
        x = torch.where(applied[:, 1, None, None, None], translation(x, u[:, 3], u[:, 4]), x)
    if "cutout" in policy:
        x = torch.where(applied[:, 2, None, None, None], cutout(x, u[:, 5], u[:, 6]), x)
    return x


def color(x: Tensor, brightness: Tensor, saturation: Tensor, contrast: Tensor) -> Tensor:
    """Shift brightness by up to 0.5; scale saturation by 0 to 2 and contrast by 0.5 to 1.5.

    Args:
        x: images (N, 3, H, W).
        brightness: (N,) in [0, 1), mapped linearly to the range above; 0.5 changes nothing.
        saturation: (N,) in [0, 1), mapped in the same way.
        contrast: (N,) in [0, 1), mapped in the same way.
    """
    x = x + (brightness - 0.5)[:, None, None, None]
    grey = x.mean(1, keepdim=True)
    x = grey + (x - grey) * (2 * saturation)[:, None, None, None]
    mean = x.mean((1, 2, 3), keepdim=True)
    return mean + (x - mean) * (contrast + 0.5)[:, None, None, None]


def translation(x: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """Shift each image by up to an eighth of each side, and fill the uncovered border with 0.

    Args:
        x: images (N, 3, H, W).
        down: (N,) in [0, 1), from the largest shift up to the largest shift down; 0.5 is no shift.
        right: (N,), likewise from left to right.
    """

    def sources(side: int, u: Tensor) -> Tensor:
        """Find the source (N, side) of each row or column in the padded image."""
        max_shift = int(side * MAX_SHIFT + 0.5)
        shift = _random_integers(u, 2 * max_shift + 1)[:, None] - max_shift
        return (torch.arange(1, side + 1, device=x.device) - shift).clamp(0, side + 1)

    rows, columns = sources(x.shape[2], down), sources(x.shape[3], right)
    padded = F.pad(x, (1, 1, 1, 1)).permute(0, 2, 3, 1)
    image = torch.arange(len(x), device=x.device)[:, None, None]
    return padded[image, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def cutout(x: Tensor, top: Tensor, left: Tensor) -> Tensor:
    """Fill a rectangle of half of each side with 0 (grey); its centre is anywhere in the image.

    Args:
        x: images (N, 3, H, W).
        top: row of the centre, (N,) in [0, 1).
        left: column of the centre, (N,) in [0, 1).
    """

    def covered(side: int, u: Tensor) -> Tensor:
        """Decide which rows or columns the hole covers, (N, side)."""
        positions = torch.arange(side, device=x.device) + 0.5
        half = int(side * HOLE_SIDE + 0.5) / 2
        return (positions - _random_integers(u, side + 1)[:, None]).abs() < half

    in_rows, in_columns = covered(x.shape[2], top), covered(x.shape[3], left)
    hole = in_rows[:, None, :, None] & in_columns[:, None, None, :]
    return x * ~hole


def geometry(x: Tensor, size: Tensor, stretch: Tensor, angle: Tensor, applied: Tensor) -> Tensor:
    """Enlarge, stretch and turn each image about its centre (Karras et al. 2020, appendix B).

    Bilinear interpolation; what lies outside of an image is its reflection. The paper also turns
    by quarters and shifts, turns a second time, and filters before and after.

    Args:
        x: images (N, 3, H, W).
        size: (N,) in [0, 1), mapped to a factor, log-normal with median 1 at 0.5.
        stretch: (N,), likewise to the factor of the width; the height is divided by it.
        angle: (N,) in [0, 1), mapped to any angle; 0.5 is none.
        applied: (N, 3) bool, whether to enlarge, to stretch and to turn.

    Returns:
        (N, 3, H, W); images to which nothing is applied are returned exactly as they were.
    """
    enlarge, widen, turn = applied.unbind(1)
    factor = torch.where(enlarge, SIZE_DEVIATION * _normal(size), 0).exp2()
    ratio = torch.where(widen, STRETCH_DEVIATION * _normal(stretch), 0).exp2()
    theta = torch.where(turn, (angle - 0.5) * 2 * torch.pi, 0)
    cos, sin = theta.cos(), theta.sin()
    height, width = x.shape[2:]
    # Sources of the pixels of the result, in units of half of each side. Written as sums, because
    # mixed precision would round a matrix product to half a pixel.
    right, down = 1 / (factor * ratio), ratio / factor
    across = _centres(width, x.device)[None, None, :] * (width / height)
    along = _centres(height, x.device)[None, :, None]
    cos, sin, right, down = (v[:, None, None] for v in (cos, sin, right, down))
    column = right * (cos * across + sin * along) * (height / width)
    row = down * (cos * along - sin * across)
    grid = torch.stack([column, row], -1)
    precise = torch.promote_types(x.dtype, torch.float32)
    moved = F.grid_sample(
        x.to(precise), grid.to(precise), padding_mode="reflection", align_corners=False
    )
    return torch.where(applied.any(1)[:, None, None, None], moved.to(x.dtype), x)


def adapt(
    probability: Tensor,
    r_t: Tensor,
    images: int,
    target: float = 0.6,
    ramp_images: int = 500_000,
) -> Tensor:
    """Compute ADA's next probability: higher if the discriminator overfits, lower if it does not.

    Karras et al. 2020, section 3.1. The probability changes by a fixed amount in the direction that
    brings r_t to its target, and stays within [0, 1].

    Args:
        probability: the current probability, a scalar in [0, 1].
        r_t: mean of sign(D(x)) over the real images since the last change, a scalar in [-1, 1]
            (equation 1 of the paper): near 0 without overfitting, 1 if all are classified as real.
        images: number of images since the last change.
        target: the target of `r_t`; 0.6 in the paper.
        ramp_images: images in which the probability can go from 0 to 1; 500,000 in the paper.

    Returns:
        A scalar on the same device; the host does not wait for it.

    >>> p = torch.tensor(0.5)
    >>> adapt(p, torch.tensor(0.9), images=50_000), adapt(p, torch.tensor(0.2), images=50_000)
    (tensor(0.6000), tensor(0.4000))
    >>> adapt(torch.tensor(0.0), torch.tensor(0.0), images=50_000)
    tensor(0.)
    """
    return (probability + (r_t - target).sign() * (images / ramp_images)).clamp(0, 1)


def _random_integers(u: Tensor, num: int) -> Tensor:
    """Map uniform numbers in [0, 1) to integers from 0 to `num - 1`."""
    return (u * num).long().clamp_(max=num - 1)


def _normal(u: Tensor) -> Tensor:
    """Map uniform numbers in [0, 1) to normal ones; the farthest are cut off."""
    return torch.special.ndtri(u.clamp(1e-3, 1 - 1e-3))


def _centres(side: int, device: torch.device) -> Tensor:
    """Return the centres of the pixels of a side, (side,) from -1 to 1."""
    return (torch.arange(side, device=device) * 2 + 1) / side - 1
