"""Inversion: which latent would a painter have painted this picture from?

As StyleGAN2's projector (Karras et al. 2020, "Analyzing and Improving", appendix D): Adam on the
input of G, from the best of many draws, down the squared distance between features of the picture
and of what G paints.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor
from torch.nn import functional as F

from brushwork.errors import BrushworkError
from brushwork.gan import styled
from brushwork.gan.generator import PaintingGenerator, to_arrays

Embed = Callable[[Tensor], Tensor]
"""Images (N, 3, S, S) in [-1, 1] to features (N, D), differentiable."""


DRAWS = 256  # latents among which the optimisation finds its start


class Inversion(NamedTuple):
    """The nearest picture that was found, and what paints it again."""

    picture: Image.Image
    latent: Tensor
    """Styles (1, L, Z) for `paint_styles` where the model has them, else a latent (1, Z)."""
    loss: float
    """The squared distance between its features and those of the given picture."""


def invert(
    painter: PaintingGenerator,
    image: Image.Image,
    steps: int = 200,
    callback: Callable[[int, float, Image.Image], object] | None = None,
    *,
    embed: Embed | None = None,
    label: str | None = None,
    lr: float = 0.05,
    seed: int = 0,
) -> Inversion:
    """Find what `painter` paints most like `image`.

    Args:
        painter: of any model; one with styles is free to take another at each level.
        image: any size; its middle square counts.
        steps: of Adam, whose rate falls to 0 along half a cosine.
        callback: after each step it is given the step, the loss and the picture so far.
        embed: where pictures are compared; `pixel_pyramid` by default.
        label: the class to begin from, where the painter has classes.
        lr: in deviations of the latents (or styles), which are what Adam moves.
        seed: of the draws to begin from.

    Raises:
        BrushworkError: `steps` is below 1, or there is no such class.
    """
    if steps < 1:
        raise BrushworkError(f"cannot project in {steps} steps; take at least 1")
    embed = embed or pixel_pyramid
    pixels = np.asarray(ImageOps.fit(image.convert("RGB"), (painter.side, painter.side)))
    target = torch.tensor(pixels.transpose(2, 0, 1)[None].copy(), device=painter.device)
    with torch.no_grad():
        wanted = embed(target.float() / 127.5 - 1)

    # Latents, or styles; the rate of Adam is in their deviations, so that it fits both.
    z, y = painter.latents(DRAWS, seed), painter.labels(DRAWS, label, seed)
    if isinstance(painter.network, styled.Generator):
        draws, paint = painter.styles(z, y).clone(), painter.network.paint
    else:
        draws, paint = z.to(painter.device), painter.network
    with torch.no_grad():
        painted = torch.cat([embed(paint(part)) for part in draws.split(32)])
        start = (painted - wanted).square().sum(1).argmin()
    deviation = draws.std(0).mean()
    moved = torch.zeros_like(draws[:1]).requires_grad_()
    optimizer = torch.optim.Adam([moved], lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)

    best_loss, best_latent, best_image = float("inf"), draws[:1], target
    for step in range(steps):
        latent = draws[start, None] + deviation * moved
        images = paint(latent)
        loss = (embed(images) - wanted).square().sum()
        if loss.item() < best_loss:
            best_loss, best_latent, best_image = loss.item(), latent.detach(), images.detach()
        if callback is not None:
            callback(step + 1, best_loss, _picture(best_image))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return Inversion(_picture(best_image), best_latent, best_loss)


def pixel_pyramid(images: Tensor) -> Tensor:
    """Pixels at every scale from whole to 4 x 4: (N, 3, S, S) to (N, D), each scale as heavy.

    The squared distance of two of these is the sum, over scales, of the mean squared difference:
    the coarse ones lead an optimisation to the composition before there is detail to agree on.

    >>> round(pixel_pyramid(torch.ones(1, 3, 8, 8)).square().sum().item(), 4)  # 8 x 8 and 4 x 4
    2.0
    """
    scales = [images]
    while scales[-1].shape[-1] > 4:
        scales.append(F.avg_pool2d(scales[-1], 2))
    return torch.cat([scale.flatten(1) / scale[0].numel() ** 0.5 for scale in scales], dim=1)


def _picture(images: Tensor) -> Image.Image:
    return Image.fromarray(to_arrays(images)[0])
