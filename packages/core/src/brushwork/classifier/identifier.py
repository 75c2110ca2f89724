"""What every artist classifier does, whatever computes its network: torch or onnxruntime.

This module does not import torch. N pictures, S side, K artists, V values of a trait, D features.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from brushwork.classifier.answer import (
    Comparison,
    Guess,
    Identification,
    Judgement,
    Neighbour,
    Picture,
    as_list,
    check_artist,
    judge_with_none,
    make_answer,
    place_heat,
    read_picture,
    read_squares,
    read_thumbnail,
    threshold_for,
)
from brushwork.errors import BrushworkError, check_whole


class Scores(NamedTuple):
    """What a network says of N pictures.

    Attributes:
        probabilities: (N, K) if one of the artists painted each picture.
        known_scores: (N,) 1 minus the probability of "none"; of a classifier that does not know
            strangers, another score, which its threshold is compared with.
        traits: probabilities (N, V) of the values of each trait that the classifier knows.
    """

    probabilities: NDArray[np.floating]
    known_scores: NDArray[np.floating]
    traits: Mapping[str, NDArray[np.floating]]


class Identifier:
    """Answers who painted a picture.

    A subclass runs the network: it defines `scores_of`, `features_of` and `heat_of`.

    Attributes:
        artists: the K names, in the order of the network's outputs.
        side: side of the network's square inputs, in pixels.
        fit: "crop" if the centre of a painting is the input, "squash" if the whole painting is
            resized to a square.
        num_views: views that predictions are averaged over.
        threshold: if the classifier does not know strangers, a painting with a lower known score
            is "unknown".
        knows_strangers: whether answers have the probability of "none of these artists".
        operating_points: pairs (precision, threshold): of the names with at least this probability,
            this share is right if half of the pictures are by strangers.
        trait_values: the values of style, genre and decade, as far as the classifier knows them.
        config: the content of `config.json`; `training` and `results` describe the training data
            and the accuracy.
    """

    batch_size = 16
    """Pictures that are read and computed at a time."""

    def __init__(self, config: dict[str, Any], index: Mapping[str, Any] | None = None) -> None:
        self.config = config
        self.artists: tuple[str, ...] = tuple(config["artists"])
        self.side: int = config["side"]
        self.fit: Literal["crop", "squash"] = config["fit"]
        self.num_views: Literal[1, 2, 10] = config["num_views"]
        self.threshold: float = config["threshold"]
        self.knows_strangers = bool(config.get("strangers"))
        self.operating_points: list[tuple[float, float]] = [
            (float(precision), float(threshold))
            for precision, threshold in config.get("operating_points", [])
        ]
        self.trait_values: dict[str, tuple[str, ...]] = {
            name: tuple(trait["values"]) for name, trait in (config.get("traits") or {}).items()
        }
        self._index = dict(index or {})

    def scores_of(self, squares: NDArray[np.uint8]) -> Scores:
        """Run the network on squares (N, S, S, 3)."""
        raise NotImplementedError

    def features_of(self, squares: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Compute the features (N, D) of the last hidden layer for squares (N, S, S, 3)."""
        raise NotImplementedError

    def heat_of(self, square: NDArray[np.uint8], artist: str | None) -> NDArray[np.float32]:
        """Compute the evidence (h, w), at least 0, for an artist in a square (S, S, 3).

        Args:
            square: the picture.
            artist: None for the likeliest one.

        Raises:
            BrushworkError: the network has no heat map.
        """
        raise NotImplementedError

    @overload
    def identify(
        self, images: Picture, top: int = ..., precision: float | None = ...
    ) -> Identification: ...
    @overload
    def identify(
        self, images: Sequence[Picture], top: int = ..., precision: float | None = ...
    ) -> list[Identification]: ...
    def identify(
        self,
        images: Picture | Sequence[Picture],
        top: int = 5,
        precision: float | None = None,
    ) -> Identification | list[Identification]:
        """Find the likeliest artists of a painting, or of each painting in a list.

        Files are decoded in this process, without a time limit.

        Args:
            images: a path, a PIL image, the bytes of an image file or uint8 (H, W, 3), or a list or
                tuple of these. The EXIF orientation and the colour profile of a PIL image are used
                as those of a file are.
            top: number of artists to return; all artists if there are fewer. It is also the number
                of styles, genres and decades.
            precision: name an artist only if at least this share of such names is right, measured
                on validation paintings and as many paintings by strangers. By default, an artist is
                named who is at least as probable as "none".

        Returns:
            One answer, or a list of them for a list.

        Raises:
            BrushworkError: an image cannot be read, or this precision cannot be reached.
        """
        check_whole("top", top, 1)
        least = None if precision is None else threshold_for(self.operating_points, precision)
        scores = self._scores(as_list(images))
        judged = self.judge_scores(scores, least)
        guesses = {
            name: likeliest(self.trait_values[name], rows, top)
            for name, rows in scores.traits.items()
        }
        answers = [
            make_answer(
                self.artists, *row, top, {name: column[i] for name, column in guesses.items()}
            )
            for i, row in enumerate(zip(*judged, strict=True))
        ]
        return answers if isinstance(images, list | tuple) else answers[0]

    def judge_scores(self, scores: Scores, least: float | None = None) -> Judgement:
        """Compute the probabilities of the artists and of "none" from the scores of N pictures.

        Args:
            scores: of N pictures.
            least: see `brushwork.classifier.answer.judge_with_none`.

        Returns:
            The judgement; the probability of "none" is 0 if the classifier knows no strangers.
        """
        probabilities, known_scores, _ = scores
        if not self.knows_strangers:
            none = np.zeros(len(known_scores))
            known = known_scores >= self.threshold
            return Judgement(probabilities.astype(np.float64), none, known)
        return judge_with_none(probabilities, 1 - known_scores.astype(np.float64), least)

    def probabilities(self, images: Picture | Sequence[Picture]) -> NDArray[np.float64]:
        """Compute calibrated probabilities (N, K) of N images, in the order of `artists`.

        They sum to 1: it is assumed that one of the artists painted each image.

        Args:
            images: a painting or a list of them; see `identify`.

        Raises:
            BrushworkError: an image cannot be read.
        """
        return self._scores(as_list(images)).probabilities.astype(np.float64)

    def explain(self, image: Picture, artist: str | None = None) -> NDArray[np.float32]:
        """Map which parts of a painting are evidence for an artist, by Grad-CAM.

        Args:
            image: the painting.
            artist: the likeliest artist by default.

        Returns:
            (H, W) in [0, 1]: the picture upright, with a short side of at most 256 pixels.
            `brushwork.report.figures.overlay` draws the map over a picture of any size.

        Raises:
            BrushworkError: no such artist, or the network has no heat map.
        """
        if artist is not None:
            check_artist(artist, self.artists)
        encoded = read_picture(image)
        [square] = read_squares([encoded], self.side, self.fit)
        return place_heat(self.heat_of(square, artist), encoded, self.fit)

    def nearest(self, image: Picture, k: int = 5, artist: str | None = None) -> list[Neighbour]:
        """Find the k most similar training paintings, the nearest first.

        Args:
            image: the painting.
            k: number of training paintings; all if there are fewer.
            artist: search only the paintings of this artist.

        Returns:
            The training paintings; none if the checkpoint has no index.

        Raises:
            BrushworkError: no such artist, the image cannot be read, or `k` is below 1.
        """
        check_whole("k", k, 1)
        if artist is not None:
            check_artist(artist, self.artists)
        return self._nearest(self._features([image])[0], k, artist) if self._index else []

    def compare(
        self, images: Picture | Sequence[Picture], first: str, second: str, k: int = 3
    ) -> list[Comparison]:
        """Compare two artists as painters of each of N paintings.

        Args:
            images: a painting or a list of them; see `identify`.
            first: an artist of the classifier.
            second: another one.
            k: number of similar training paintings of each artist.

        Raises:
            BrushworkError: no such artist, both are the same one, an image cannot be read, or `k`
                is below 1.
        """
        check_whole("k", k, 1)
        pair = first, second
        for artist in pair:
            check_artist(artist, self.artists)
        if first == second:
            raise BrushworkError(f"`first` and `second` are both {first!r}; pass two artists")
        images = as_list(images)
        scores = self._scores(images)
        joint = self.judge_scores(scores).probabilities[:, [self.artists.index(a) for a in pair]]
        # Without "none", which may leave hardly anything to the artists. An exported network
        # computes in float32, where a small probability may be 0.
        alone = scores.probabilities[:, [self.artists.index(a) for a in pair]].astype(np.float64)
        first_log, second_log = np.log(alone.clip(np.finfo(np.float32).tiny)).T
        queries = self._features(images) if self._index else np.zeros((len(images), 0), np.float32)
        return [
            Comparison(
                artists=pair,
                log_odds=float(first_log[i] - second_log[i]),
                neither=float(1 - joint[i].sum()),
                nearest=(
                    tuple(self._nearest(queries[i], k, first)),
                    tuple(self._nearest(queries[i], k, second)),
                ),
            )
            for i in range(len(images))
        ]

    def prior_log_odds(self, first: str, second: str) -> float:
        """Compute the log-odds of two artists without any picture.

        Probabilities are calibrated on paintings of which each artist has as large a share as in
        training, so the log-odds are those of the numbers of paintings in the index.

        Returns:
            The log-odds; 0 if the index does not have paintings by both.
        """
        sizes = Counter(artist for artist, _ in self._index.get("paintings", ()))
        return math.log(sizes[first] / sizes[second]) if sizes[first] and sizes[second] else 0.0

    def _nearest(
        self, features: NDArray[np.float32], k: int, wanted: str | None
    ) -> list[Neighbour]:
        """Find the training paintings most similar to features (D,), of one artist or of all."""
        paintings = self._index.get("paintings", ())
        rows = np.array([i for i, (a, _) in enumerate(paintings) if wanted in (None, a)], np.int64)
        if not len(rows):
            return []
        query = features / max(float(np.linalg.norm(features)), 1e-12)
        similarity = np.asarray(self._index["features"], np.float32)[rows] @ query
        best = np.argsort(-similarity, kind="stable")[:k]
        return [
            Neighbour(artist, title, float(value), read_thumbnail(self._index, int(row)))
            for row, value in zip(rows[best], similarity[best], strict=True)
            for artist, title in [paintings[row]]
        ]

    def _squares(self, images: Sequence[Picture]) -> Iterator[NDArray[np.uint8]]:
        """Read pictures as training data were read, in batches (N, S, S, 3)."""
        for first in range(0, max(len(images), 1), self.batch_size):
            yield read_squares(images[first : first + self.batch_size], self.side, self.fit)

    def _features(self, images: Sequence[Picture]) -> NDArray[np.float32]:
        return np.concatenate([self.features_of(squares) for squares in self._squares(images)])

    def _scores(self, images: Sequence[Picture]) -> Scores:
        parts = [self.scores_of(squares) for squares in self._squares(images)]
        probabilities, known_scores, traits = zip(*parts, strict=True)
        return Scores(
            np.concatenate(probabilities),
            np.concatenate(known_scores),
            {name: np.concatenate([part[name] for part in traits]) for name in traits[0]},
        )


def likeliest(
    values: Sequence[str], probabilities: NDArray[np.floating], top: int
) -> list[tuple[Guess, ...]]:
    """List the likeliest values of a trait for each picture, best first.

    >>> likeliest(["Baroque", "Rococo"], np.array([[0.2, 0.8]]), top=1)
    [(Guess(value='Rococo', probability=0.8),)]
    """
    orders = np.argsort(-probabilities, axis=1, kind="stable")[:, :top]
    return [
        tuple(Guess(values[int(i)], float(row[i])) for i in order)
        for row, order in zip(probabilities, orders, strict=True)
    ]
