"""What goes into a classifier and what comes out: pictures, candidates, similar paintings, odds.

This module does not import torch, so that `brushwork.runtime` uses it too.
"""

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from brushwork.data.decode import Rejected, square, to_jpeg
from brushwork.errors import BrushworkError
from brushwork.names import did_you_mean

SHORT_SIDE = 256
"""Pixels of the short side of a picture that is read; the default of prepared data."""
UNKNOWN = "unknown"
TRAITS = ("style", "genre", "decade")

NO_TRAITS: Mapping[str, Any] = {}

Picture = str | Path | bytes | Image.Image | NDArray[np.uint8]


@dataclass(frozen=True)
class Candidate:
    """An artist, and the calibrated probability that this artist painted the painting."""

    artist: str
    probability: float


@dataclass(frozen=True)
class Guess:
    """A style, a genre or a decade, and its calibrated probability."""

    value: str
    probability: float


@dataclass(frozen=True)
class Identification:
    """The answer for one painting.

    Attributes:
        candidates: the likeliest artists, best first.
        known: whether the painting seems to be by an artist of the classifier.
        none: the probability that it is by none of them, or is no painting. With the probabilities
            of all artists it sums to 1. It is for a picture that is as likely by a stranger as by
            one of the artists. Checkpoints of earlier versions do not know it; then it is 0.
        style: the likeliest styles, best first; empty if the checkpoint does not know styles.
        genre: the likeliest genres.
        decade: the likeliest decades, for example "1870s".
    """

    candidates: tuple[Candidate, ...]
    known: bool
    none: float = 0.0
    style: tuple[Guess, ...] = ()
    genre: tuple[Guess, ...] = ()
    decade: tuple[Guess, ...] = ()

    @property
    def artist(self) -> str:
        """The likeliest artist, or "unknown" if `known` is false."""
        return self.candidates[0].artist if self.known else UNKNOWN


@dataclass(frozen=True)
class Neighbour:
    """A training painting of the classifier.

    Attributes:
        artist: artist of the painting.
        title: title of the painting.
        similarity: cosine of its features and those of the query, in [-1, 1].
        thumbnail: a small picture of it, if the index has one.
    """

    artist: str
    title: str
    similarity: float
    thumbnail: Image.Image | None


@dataclass(frozen=True)
class Comparison:
    """Which of two artists is the likelier painter of a painting.

    Attributes:
        artists: the first and the second artist.
        log_odds: the natural logarithm of the probability of the first artist divided by that of
            the second; above 0 if the first one is likelier.
        neither: the probability that neither of the two painted it, but another artist of the
            classifier or none of its artists.
        nearest: the most similar training paintings of each of the two, the nearest first; empty
            if the checkpoint has no index.
    """

    artists: tuple[str, str]
    log_odds: float
    neither: float
    nearest: tuple[tuple[Neighbour, ...], tuple[Neighbour, ...]]

    @property
    def likelier(self) -> str:
        """The likelier of the two artists."""
        return self.artists[0 if self.log_odds >= 0 else 1]

    @property
    def probability(self) -> float:
        """The probability of the likelier artist if one of the two painted the painting."""
        return 1 / (1 + math.exp(-abs(self.log_odds)))


def joint_log_odds(log_odds: Sequence[float], prior_log_odds: float) -> float:
    """Compute the log-odds of two artists if one of them painted all pictures of a folder.

    The log-odds of each picture contain the prior log-odds, which count only once (Bayes' rule).
    The pictures count as independent evidence. Pictures of one source have errors in common, so the
    result is too far from 0.

    Args:
        log_odds: of each picture; see `Comparison`.
        prior_log_odds: the log-odds without any picture; see `Identifier.prior_log_odds`.

    >>> joint_log_odds([3.0, 2.0, 1.0], prior_log_odds=1.0)  # evidence of 2, 1 and 0, and the prior
    4.0
    """
    return prior_log_odds + sum(value - prior_log_odds for value in log_odds)


class Judgement(NamedTuple):
    """What a classifier says of N pictures.

    Attributes:
        probabilities: (N, K) of the artists; with `none`, each row sums to 1.
        none: (N,) the probability that none of the artists painted the picture.
        known: (N,) whether an artist is named.
    """

    probabilities: NDArray[np.float64]
    none: NDArray[np.float64]
    known: NDArray[np.bool_]


def judge_with_none(
    probabilities: NDArray[np.floating], none: NDArray[np.floating], least: float | None = None
) -> Judgement:
    """Judge N pictures where the probability of "none" is known.

    Args:
        probabilities: (N, K) if one of the artists painted each picture.
        none: (N,) the probability that none of them did.
        least: an artist is named who has at least this probability; by default, one who is at least
            as probable as "none".
    """
    none = np.asarray(none, np.float64)
    # Above 0, so that the artists keep their order where "none" is certain up to rounding.
    known = np.maximum(1 - none, 1e-12)
    joint = np.asarray(probabilities, np.float64) * known[:, None]
    return Judgement(joint, none, joint.max(1) >= (none if least is None else least))


def threshold_for(operating_points: Sequence[Sequence[float]], precision: float) -> float:
    """Find the least probability of a name for which this share of the names is right.

    Args:
        operating_points: pairs (precision, threshold) of a checkpoint, in rising order.
        precision: above 0 and below 1.

    Raises:
        BrushworkError: there is no operating point of at least this precision.

    >>> threshold_for([(0.8, 0.5), (0.9, 0.7)], 0.85)
    0.7
    """
    if not 0 < precision < 1:
        raise BrushworkError(f"`precision` is {precision}; it must be above 0 and below 1")
    for reached, threshold in operating_points:
        if reached >= precision - 1e-9:
            return float(threshold)
    if not operating_points:
        raise BrushworkError(
            "this classifier has no operating points; train it again with train_classifier.py, or "
            "leave `precision` out"
        )
    raise BrushworkError(
        f"`precision` is {precision}, and this classifier reaches at most {operating_points[-1][0]}"
    )


def make_answer(
    artists: Sequence[str],
    probabilities: NDArray[np.floating],
    none: float,
    known: bool,
    top: int,
    traits: Mapping[str, tuple[Guess, ...]] = NO_TRAITS,
) -> Identification:
    """Make the answer for one painting.

    Args:
        artists: the K artists of the classifier.
        probabilities: (K,).
        none: the probability of none of them.
        known: whether the painting seems to be by one of the artists.
        top: number of candidates; all artists if there are fewer.
        traits: the likeliest values of `style`, `genre` and `decade`, as far as they are known.
    """
    order = np.argsort(-probabilities, kind="stable")[:top]
    candidates = tuple(Candidate(artists[int(i)], float(probabilities[i])) for i in order)
    return Identification(candidates, bool(known), float(none), **traits)


def check_artist(artist: str, artists: Sequence[str]) -> None:
    """Check that a classifier knows an artist.

    Raises:
        BrushworkError: it does not.
    """
    if artist not in artists:
        raise BrushworkError(
            f"no artist {artist!r} in this classifier{did_you_mean(artist, artists)} "
            f"(it has {', '.join(artists)})"
        )


def read_picture(image: Picture) -> bytes:
    """Encode a picture as the JPEG that prepared data would hold.

    Raises:
        BrushworkError: the picture cannot be read; the message has the reason.
    """
    name = "an image"
    if isinstance(image, str | Path):
        image, name = Path(image), str(image)
        if not image.is_file():
            raise BrushworkError(f"no file {image}; pass the path of a picture")
    elif isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
            raise BrushworkError(
                f"an image array must be uint8 (H, W, 3), not {image.dtype} {image.shape}"
            )
        image = Image.fromarray(image)
    elif not isinstance(image, bytes | Image.Image):
        raise BrushworkError(
            f"an image must be a path, bytes, a PIL image or an array, not {type(image).__name__}"
        )
    try:
        return to_jpeg(image, SHORT_SIDE)
    except Rejected as error:
        raise BrushworkError(f"cannot read {name}: {error.reason}") from error


def as_list(images: Picture | Sequence[Picture]) -> Sequence[Picture]:
    """Put a single picture into a list."""
    if isinstance(images, list | tuple):
        return images
    single: Any = images
    return [single]


def read_squares(
    images: Sequence[Picture], side: int, fit: Literal["crop", "squash"]
) -> NDArray[np.uint8]:
    """Read pictures as training data were read: uint8 (N, S, S, 3).

    Raises:
        BrushworkError: there is no picture, or one cannot be read.
    """
    if not len(images):
        raise BrushworkError("no images to identify; pass at least one")
    return np.stack([np.asarray(square(read_picture(image), side, fit)) for image in images])


def place_heat(
    heat: NDArray[np.float32], encoded: bytes, fit: Literal["crop", "squash"]
) -> NDArray[np.float32]:
    """Enlarge a heat map of a network's square input to the picture that the input was made from.

    Args:
        heat: (h, w), at least 0.
        encoded: the picture, as `read_picture` encodes it.
        fit: how the picture became a square.

    Returns:
        (H, W) in [0, 1]; 0 where the network saw nothing.
    """
    with Image.open(io.BytesIO(encoded)) as picture:
        width, height = picture.size
    short = min(width, height)
    area = (width, height) if fit == "squash" else (short, short)
    enlarged = Image.fromarray(heat.astype(np.float32)).resize(area, Image.Resampling.BILINEAR)
    left, top = (width - area[0]) // 2, (height - area[1]) // 2
    whole = np.zeros((height, width), np.float32)
    whole[top : top + area[1], left : left + area[0]] = np.asarray(enlarged)
    most = whole.max()
    return whole / most if most > 0 else whole


def read_thumbnail(index: dict[str, Any], row: int) -> Image.Image | None:
    """Decode the thumbnail of a training painting; None if the index has none.

    Args:
        index: `ends` and `thumbnails` as arrays or tensors, see `save_index`.
        row: the painting.
    """
    first, last = (int(index["ends"][i]) for i in (row, row + 1))
    if first == last:
        return None
    encoded = np.asarray(index["thumbnails"][first:last]).tobytes()
    return Image.open(io.BytesIO(encoded), formats=["JPEG"]).convert("RGB")
