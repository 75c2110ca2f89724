"""GAN inversion: find the latent whose picture is most similar to a given picture.

As the projector of StyleGAN2 (Karras et al. 2020, "Analyzing and Improving the Image Quality of
StyleGAN", appendix D): draw latents, start from the best one, and let Adam minimise the squared
distance between the features of the given picture and those of the generated one.

Shapes: N pictures, Z latent numbers, H x W pixels, L levels of styles, D features.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor
from torch.nn import functional as F

from brushwork.errors import require_positive
from brushwork.gan import styled
from brushwork.gan.generator import PaintingGenerator
from brushwork.gan.sampling import to_pictures

Embed = Callable[[Tensor], Tensor]
"""A differentiable function from images (N, 3, H, W) in [-1, 1] to features (N, D)."""

# The optimisation starts from the best of this many random latents.
NUM_CANDIDATES = 256


class Inversion(NamedTuple):
    """The most similar picture that was found, and its latent."""

    picture: Image.Image
    """H x W pixels, RGB."""
    latent: Tensor
    """Styles (1, L, Z) for `paint_styles` if the model has styles, else a latent (1, Z)."""
    loss: float
    """The squared distance between its features and those of the given picture."""


def invert(
    generator: PaintingGenerator,
    image: Image.Image,
    steps: int = 200,
    callback: Callable[[int, float, Image.Image], object] | None = None,
    *,
    embed: Embed | None = None,
    label: str | None = None,
    lr: float = 0.05,
    seed: int = 0,
) -> Inversion:
    """Find the picture of `generator` that is most similar to `image`.

    Args:
        generator: a generator of any model. If it has styles, each level gets its own style.
        image: an image of any size; its centre is used, in the generator's proportions.
        steps: steps of Adam, at least 1; the learning rate decreases to 0 along a half cosine.
        callback: called after each step with its number (from 1), the lowest loss so far and the
            picture of that loss.
        embed: computes the features that are compared; `pixel_pyramid` by default.
        label: the class of the picture, for a generator with classes; None for random classes.
        lr: learning rate, in standard deviations of the latents (or styles).
        seed: determines the random latents.

    Raises:
        BrushworkError: `steps` is below 1, or there is no such class.
    """
    require_positive({"steps": steps}, "steps")
    embed = embed or pixel_pyramid
    fitted = ImageOps.fit(image.convert("RGB"), (generator.width, generator.height))
    pixels = torch.from_numpy(np.array(fitted)).permute(2, 0, 1)[None].to(generator.device)
    with torch.no_grad():
        target = embed(pixels.float() / 127.5 - 1)

    # Draw candidates: styles where the model has them, else latents. Start from the nearest one.
    z, y = generator.latents(NUM_CANDIDATES, seed), generator.labels(NUM_CANDIDATES, label, seed)
    if isinstance(generator.network, styled.Generator):
        candidates, paint = generator.styles(z, y).clone(), generator.network.paint
    else:
        candidates, paint = z.to(generator.device), generator.network
    with torch.no_grad():
        features = torch.cat([embed(paint(batch)) for batch in candidates.split(32)])
        nearest = (features - target).square().sum(1).argmin()
    start = candidates[nearest, None]

    # Adam moves an offset in standard deviations, so that one rate suits latents and styles.
    deviation = candidates.std(0).mean()
    offset = torch.zeros_like(start).requires_grad_()
    optimizer = torch.optim.Adam([offset], lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    best = Inversion(fitted, start, float("inf"))
    for step in range(1, steps + 1):
        latent = start + deviation * offset
        images = paint(latent)
        loss = (embed(images) - target).square().sum()
        if loss.item() < best.loss:
            best = Inversion(to_pictures(images.detach())[0], latent.detach(), loss.item())
        if callback is not None:
            callback(step, best.loss, best.picture)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return best


def pixel_pyramid(images: Tensor) -> Tensor:
    """Compute the pixels at every scale down to a side of 4: (N, 3, H, W) to features (N, D).

    The squared distance of two pictures is the sum, over scales, of the mean squared difference of
    their pixels. The coarse scales guide an optimisation before the details are similar.

    >>> round(pixel_pyramid(torch.ones(1, 3, 8, 8)).square().sum().item(), 4)  # 8 x 8 and 4 x 4
    2.0
    """
    scales = [images]
    while min(scales[-1].shape[-2:]) > 4:
        scales.append(F.avg_pool2d(scales[-1], 2))
    return torch.cat([scale.flatten(1) / scale[0].numel() ** 0.5 for scale in scales], dim=1)
