"""Identify the artists of paintings with an exported classifier, without torch."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np
from numpy.typing import NDArray

from brushwork import checkpoint
from brushwork.classifier.answer import (
    Identification,
    Judgement,
    Neighbour,
    Picture,
    as_list,
    check_artist,
    check_top,
    judge_with_none,
    make_answer,
    place_heat,
    read_picture,
    read_squares,
    read_thumbnail,
    threshold_for,
)
from brushwork.errors import BrushworkError
from brushwork.runtime.graphs import Graph, check_device, load_arrays, open_graph

BATCH_SIZE = 1
"""Pictures in one pass; on a CPU larger batches need more memory and are not faster."""


class ArtistClassifier:
    """Identifies the artists of paintings.

    Each method has the arguments and the results of the method of
    `brushwork.classifier.identify.ArtistClassifier`, with NumPy arrays instead of tensors.

    Attributes:
        artists: the K names, in the order of the network's outputs.
        side: side of the network's square inputs, in pixels.
        fit: "crop" if the centre of a painting is the input, "squash" if the whole painting is
            resized to a square.
        num_views: views that predictions are averaged over.
        threshold: in a checkpoint that does not know strangers, a painting with a lower known score
            is "unknown".
        config: the content of `config.json`.
    """

    def __init__(
        self, network: Graph, config: dict[str, Any], index: Mapping[str, Any] | None = None
    ) -> None:
        self._network, self._index = network, dict(index or {})
        self.config = config
        self.artists: tuple[str, ...] = tuple(config["artists"])
        self.side: int = config["side"]
        self.fit: Literal["crop", "squash"] = config["fit"]
        self.num_views: int = config["num_views"]
        self.threshold: float = config["threshold"]

    @classmethod
    def from_pretrained(
        cls, folder_or_hub_id: str | Path | None = None, device: str = "cpu"
    ) -> "ArtistClassifier":
        """Open a checkpoint that `experiments/export.py` wrote.

        Args:
            folder_or_hub_id: the exported folder or another name that `brushwork.checkpoint.locate`
                takes; by default the classifier that the package brushwork-demo includes, if it
                holds graphs.
            device: only "cpu".

        Raises:
            BrushworkError: there is no such checkpoint, or it holds no graph of a classifier.
        """
        check_device(device)
        folder = checkpoint.locate_classifier(folder_or_hub_id)
        config = checkpoint.load_config(folder)
        network = open_graph(folder, config, checkpoint.CLASSIFIER_GRAPH)
        checkpoint.require_keys(
            config,
            folder,
            {"artists": list, "side": int, "fit": str, "num_views": int, "threshold": (int, float)},
        )
        index = load_arrays(folder / checkpoint.GRAPH_INDEX)
        if index:
            index["paintings"] = json.loads(index["paintings"].tobytes())
        return cls(network, config, index)

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

        Args:
            images: a path, a PIL image, the bytes of an image file or uint8 (H, W, 3), or a list or
                tuple of these.
            top: number of artists to return; all artists if there are fewer.
            precision: name an artist only if at least this share of such names is right.

        Returns:
            One answer, or a list of them for a list; without style, genre and decade, which are not
            exported.

        Raises:
            BrushworkError: an image cannot be read, or this precision cannot be reached.
        """
        check_top(top)
        points = self.config.get("operating_points", [])
        least = None if precision is None else threshold_for(points, precision)
        probabilities, scores = self._predict(as_list(images), "probabilities", "known_score")
        if self.config.get("strangers"):  # then the score is the probability of "not none"
            judged = judge_with_none(probabilities, 1 - scores.astype(np.float64), least)
        else:
            none = np.zeros(len(scores))
            judged = Judgement(probabilities, none, scores >= self.threshold)
        answers = [make_answer(self.artists, *row, top) for row in zip(*judged, strict=True)]
        return answers if isinstance(images, list | tuple) else answers[0]

    def probabilities(self, images: Sequence[Picture]) -> NDArray[np.float64]:
        """Compute calibrated probabilities (N, K) of N images, in the order of `artists`."""
        return self._predict(images, "probabilities")[0].astype(np.float64)

    def embed(self, images: Picture | Sequence[Picture]) -> NDArray[np.float32]:
        """Compute the features (N, D) of the last hidden layer."""
        return self._predict(as_list(images), "features")[0]

    def explain(self, image: Picture, artist: str | None = None) -> NDArray[np.float32]:
        """Map which parts of a painting are evidence for an artist, by Grad-CAM.

        Args:
            image: the painting.
            artist: the likeliest artist by default.

        Returns:
            (H, W) in [0, 1]: the picture upright, with a short side of at most 256 pixels.

        Raises:
            BrushworkError: no such artist, or the exported network has no heat map.
        """
        if artist is not None:
            check_artist(artist, self.artists)
        if "heat" not in self._network.outputs:
            raise BrushworkError(
                "the exported network has no heat map, because its head is not one linear layer "
                "on mean features; open its checkpoint with torch"
            )
        encoded = read_picture(image)
        probabilities, heat = self._predict([encoded], "probabilities", "heat")
        label = int(probabilities.argmax()) if artist is None else self.artists.index(artist)
        return place_heat(heat[0, label], encoded, self.fit)

    def nearest(self, image: Picture, k: int = 5) -> list[Neighbour]:
        """Find the k most similar training paintings, the nearest first.

        The list is empty if the checkpoint has no index.
        """
        if not self._index:
            return []
        query = self.embed(image)[0]
        query /= max(float(np.linalg.norm(query)), 1e-12)
        similarity = self._index["features"].astype(np.float32) @ query
        best = np.argsort(-similarity, kind="stable")[:k]
        return [
            Neighbour(artist, title, float(similarity[i]), read_thumbnail(self._index, i))
            for i in best
            for artist, title in [self._index["paintings"][i]]
        ]

    def _predict(self, images: Sequence[Picture], *outputs: str) -> list[NDArray[Any]]:
        batches = []
        for first in range(0, max(len(images), 1), BATCH_SIZE):
            squares = read_squares(images[first : first + BATCH_SIZE], self.side, self.fit)
            batches.append(self._network.run(outputs, squares=squares))
        return [np.concatenate(arrays) for arrays in zip(*batches, strict=True)]
