"""A feature space of colours and textures, which contains no network.

Classifiers' features hardly change with the relief, grids and grain that a GAN's fakes may have,
and a person sees these first. The statistics here measure them. They know nothing of what a picture
depicts, so use them beside the features of a network.

N images, H x W size of an image in pixels, and S its shorter side.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from brushwork.errors import BrushworkError
from brushwork.metrics.features import FeatureSpace

SIDE = 64

LEVELS = 4
"""Levels of the wavelet transform; each halves the side."""

ORIENTATIONS = 8
"""Directions in which the gradients of the lightness are counted."""

MIN_SIDE = 4
"""Shorter side in pixels that a power spectrum needs."""

# Rows are the lightness, red against green, and yellow against blue: orthonormal opponent colours
# (van de Sande et al. 2010, "Evaluating Color Descriptors", equation 3).
OPPONENT = torch.tensor([[1.0, 1.0, 1.0], [1.0, -1.0, 0.0], [1.0, 1.0, -2.0]])
OPPONENT = OPPONENT / OPPONENT.norm(dim=1, keepdim=True)

# With these factors each of the three kinds of statistics varies about equally among paintings.
SCALE, LOG_SCALE = 10.0, 0.1


def texture(side: int = SIDE) -> FeatureSpace:
    """Open the space of `texture_statistics`, of images whose shorter side is resized to `side`.

    Resizing removes textures: compare pictures at the side at which they were made. Squashing
    removes them in one direction, so pictures keep their proportions.
    """
    return FeatureSpace("texture", side, texture_statistics, f"texture 2 {side}", keeps_aspect=True)


def texture_statistics(images: Tensor) -> Tensor:
    """Compute statistics of the colours, edges and scales of each image.

    - The mean, the standard deviation and the cube root of the third moment of each opponent colour
      (Stricker & Orengo 1995, "Similarity of Color Images"), and the products of two colours'
      deviations: 12 numbers.
    - The mean strength of the lightness's gradient, and the shares of `ORIENTATIONS` directions in
      it (Dalal & Triggs 2005, with one cell): 1 + 8 numbers.
    - Of each of the three bands of `LEVELS` levels of a Haar wavelet transform of each colour, the
      logarithm of the mean magnitude (Mallat 1989), and for the lightness the ratio of the mean
      magnitude to the root mean square, which is low where few edges are strong (Portilla &
      Simoncelli 2000 use the kurtosis): 36 + 12 numbers.

    Args:
        images: (N, 3, H, W) in [0, 255]; S is at least 2 ** `LEVELS`.

    Returns:
        (N, 69) float32.
    """
    x = torch.einsum("oc,nchw->nohw", OPPONENT.to(images), images / 255)
    flat = x.flatten(2)  # (N, 3, H W)
    mean = flat.mean(2)
    centred = flat - mean[:, :, None]
    third = centred.pow(3).mean(2)
    covariance = centred @ centred.transpose(1, 2) / centred.shape[2]
    pairs = covariance[:, [0, 0, 1], [1, 2, 2]]
    colours = [mean, centred.square().mean(2).sqrt(), third.sign() * third.abs().pow(1 / 3), pairs]

    bands = [haar_bands(x)]
    for _ in range(LEVELS - 1):
        bands.append(haar_bands(bands[-1][0]))
    scales = []
    for _, details in bands:  # (N, 3 colours, 3 orientations, H', W')
        magnitude = details.abs().flatten(3).mean(3)
        scales.append(LOG_SCALE * (magnitude + 1e-3).log().flatten(1))
        root = details[:, 0].square().flatten(2).mean(2).sqrt()
        scales.append(magnitude[:, 0] / (root + 1e-3))
    return SCALE * torch.cat([*colours, *gradient_statistics(x[:, 0]), *scales], 1)


def haar_bands(x: Tensor) -> tuple[Tensor, Tensor]:
    """Compute one level of the orthonormal Haar wavelet transform.

    Args:
        x: (N, C, H, W); the last row or column is left out if H or W is odd.

    Returns:
        The low band (N, C, H / 2, W / 2), and the three bands of details (N, C, 3, H / 2, W / 2):
        changes from left to right, from top to bottom, and along the diagonals.
    """
    blocks = F.pixel_unshuffle(x[..., : x.shape[-2] // 2 * 2, : x.shape[-1] // 2 * 2], 2)
    a, b, c, d = blocks.unflatten(1, (x.shape[1], 4)).unbind(2)
    details = torch.stack([a - b + c - d, a + b - c - d, a - b - c + d], 2) / 2
    return (a + b + c + d) / 2, details


def gradient_statistics(lightness: Tensor) -> tuple[Tensor, Tensor]:
    """Compute the mean strength of the gradient (N, 1), and its shares by direction (N, 8).

    Args:
        lightness: (N, H, W).
    """
    across = lightness[:, 1:-1, 2:] - lightness[:, 1:-1, :-2]
    down = lightness[:, 2:, 1:-1] - lightness[:, :-2, 1:-1]
    strength = (across.square() + down.square()).sqrt().flatten(1)
    angle = torch.atan2(down, across) % math.pi  # dark to light and light to dark count as one
    bins = (angle / math.pi * ORIENTATIONS).long().clamp(max=ORIENTATIONS - 1).flatten(1)
    sums = strength.new_zeros(len(strength), ORIENTATIONS).scatter_add(1, bins, strength)
    return strength.mean(1, keepdim=True), sums / sums.sum(1, keepdim=True).clamp(min=1e-6)


def radial_spectrum(images: Tensor) -> Tensor:
    """Compute how much the lightness changes at each scale: the power spectrum by frequency.

    Relief, grids and grain raise the power of fakes at some frequencies, and blur lowers it at the
    high ones.

    Args:
        images: (N, 3, H, W) in [0, 255].

    Returns:
        The mean power at 1 to S / 2 cycles per shorter side, (S // 2,); frequency k is k / S cycles
        per pixel. The edges are faded out (Hann window), so that they do not count as changes.

    Raises:
        BrushworkError: S is below `MIN_SIDE`.
    """
    side = min(images.shape[-2:])
    check_side(side)
    lightness = images.float().mean(1) / 255  # (N, H, W)
    rows, columns = (
        torch.hann_window(num, periodic=False).to(lightness) for num in lightness.shape[1:]
    )
    faded = (lightness - lightness.mean((1, 2), keepdim=True)) * rows[:, None] * columns
    power = torch.fft.fft2(faded).abs().square().mean(0)
    down, across = (torch.fft.fftfreq(num, 1 / side) for num in lightness.shape[1:])
    radius = (down[:, None].square() + across.square()).sqrt().round().long().flatten()
    sums, counts = (
        torch.zeros(side).scatter_add(0, radius, values)
        for values in (power.flatten().cpu(), torch.ones(power.numel()))
    )
    return (sums / counts)[1 : side // 2 + 1]


def check_side(side: int) -> None:
    """Check that pictures are large enough for `radial_spectrum`.

    Raises:
        BrushworkError: their shorter side is below `MIN_SIDE`.
    """
    if side < MIN_SIDE:
        raise BrushworkError(
            f"pictures with a shorter side of {side} pixels have no power spectrum; it needs at "
            f"least {MIN_SIDE} pixels"
        )
