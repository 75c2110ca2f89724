"""Compare fakes with paintings by simple statistics: colours, contrast, detail and variety.

These numbers show a person how a training is going. They do not measure what a picture depicts; use
the metrics of `brushwork.metrics.evaluate` to compare generators.

N pictures, H x W size of a picture.
"""

from math import inf
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

# Levels of red, green and blue in which colours are counted.
LEVELS = 6

# Side to which pictures are reduced before their variety is measured.
SMALL_SIDE = 8

# The word for a value below each bound.
WORDS = {
    "colours": {0.5: "different", 0.8: "similar", inf: "alike"},
    "contrast": {0.6: "pale", 0.85: "a little pale", 1.2: "alike", inf: "harsh"},
    "detail": {0.5: "blurred", 0.8: "a little blurred", 1.25: "alike", inf: "grainy"},
    "variety": {0.3: "nearly all the same", 0.7: "repetitive", inf: "varied"},
}


class Look(NamedTuple):
    """Simple statistics of a set of pictures; see `look`.

    Attributes:
        colours: the share of each colour, (`LEVELS` ** 3,); their sum is 1.
        contrast: mean standard deviation of the lightness within a picture.
        detail: mean difference of the lightness of neighbouring pixels.
        variety: mean distance between two pictures of the set, reduced to `SMALL_SIDE`.
    """

    colours: Tensor
    contrast: float
    detail: float
    variety: float


class Likeness(NamedTuple):
    """How similar fakes are to paintings; 1 is "as in the paintings" in all four.

    Attributes:
        colours: the share of the colours that both have, in [0, 1].
        contrast: the contrast of the fakes, divided by that of the paintings.
        detail: likewise; below 1 the fakes are blurred, above 1 they are grainy.
        variety: likewise; near 0 all fakes are the same picture.
    """

    colours: float
    contrast: float
    detail: float
    variety: float

    def __str__(self) -> str:
        """Write each value in percent, with a word that describes the fakes.

        >>> print(Likeness(colours=0.93, contrast=1.1, detail=0.4, variety=1.02))
        colours 93 % (alike), contrast 110 % (alike), detail 40 % (blurred), variety 102 % (varied)
        """
        return ", ".join(
            f"{name} {100 * value:.0f} % ({_word(value, WORDS[name])})"
            for name, value in self._asdict().items()
        )


def look(images: Tensor) -> Look:
    """Compute the statistics of images (N, 3, H, W) in [-1, 1]; the variety of one is 0."""
    x = images.float()
    bins = ((x + 1) / 2 * LEVELS).long().clamp_(0, LEVELS - 1)
    index = (bins[:, 0] * LEVELS + bins[:, 1]) * LEVELS + bins[:, 2]
    colours = torch.bincount(index.flatten(), minlength=LEVELS**3) / index.numel()
    lightness = x.mean(1)  # (N, H, W)
    across, down = lightness.diff(dim=2).abs().mean(), lightness.diff(dim=1).abs().mean()
    small = F.adaptive_avg_pool2d(x, SMALL_SIDE).flatten(1)
    return Look(
        colours=colours.cpu(),
        contrast=lightness.flatten(1).std(1).mean().item(),
        detail=((across + down) / 2).item(),
        variety=F.pdist(small).mean().item() if len(x) > 1 else 0.0,
    )


def likeness(fakes: Look, paintings: Look) -> Likeness:
    """Compare the statistics of fakes with those of paintings."""
    return Likeness(
        colours=torch.minimum(fakes.colours, paintings.colours).sum().item(),
        contrast=_ratio(fakes.contrast, paintings.contrast),
        detail=_ratio(fakes.detail, paintings.detail),
        variety=_ratio(fakes.variety, paintings.variety),
    )


def _ratio(fakes: float, paintings: float) -> float:
    """Divide; at most 10, which is also the ratio to paintings without any difference."""
    return min(10.0, fakes / max(paintings, 1e-6))


def _word(value: float, words: dict[float, str]) -> str:
    """Choose the word of the first bound that `value` is below."""
    return next(word for bound, word in words.items() if value < bound)
