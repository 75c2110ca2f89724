"""Identify the artists of paintings with an exported classifier, without torch."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brushwork import checkpoint
from brushwork.classifier.answer import Picture, as_list
from brushwork.classifier.identifier import Identifier, Scores
from brushwork.errors import BrushworkError
from brushwork.runtime.graphs import Graph, check_device, load_arrays, open_graph


class ArtistClassifier(Identifier):
    """Identifies the artists of paintings.

    Arguments and results are those of `brushwork.classifier.identify.ArtistClassifier`, with NumPy
    arrays instead of tensors.
    """

    batch_size = 1  # on a CPU, larger batches need more memory and are not faster

    def __init__(
        self, network: Graph, config: dict[str, Any], index: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(config, index)
        self._network = network
        # Exports of earlier versions have no traits.
        self.trait_values = {
            name: values for name, values in self.trait_values.items() if name in network.outputs
        }

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

    def scores_of(self, squares: NDArray[np.uint8]) -> Scores:
        """Run the network on squares (N, S, S, 3)."""
        outputs = ["probabilities", "known_score", *self.trait_values]
        probabilities, known_scores, *traits = self._network.run(outputs, squares=squares)
        return Scores(
            probabilities, known_scores, dict(zip(self.trait_values, traits, strict=True))
        )

    def features_of(self, squares: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Compute the features (N, D) of the last hidden layer for squares (N, S, S, 3)."""
        return self._network.run(["features"], squares=squares)[0]

    def embed(self, images: Picture | Sequence[Picture]) -> NDArray[np.float32]:
        """Compute the features (N, D) of the last hidden layer."""
        return self._features(as_list(images))

    def heat_of(self, square: NDArray[np.uint8], artist: str | None) -> NDArray[np.float32]:
        """Compute the evidence (h, w), at least 0, for an artist in a square (S, S, 3).

        Raises:
            BrushworkError: the exported network has no heat map.
        """
        if "heat" not in self._network.outputs:
            raise BrushworkError(
                "the exported network has no heat map, because its head is not one linear layer "
                "on mean features; open its checkpoint with torch"
            )
        [probabilities], [heat] = self._network.run(["probabilities", "heat"], squares=square[None])
        return heat[probabilities.argmax() if artist is None else self.artists.index(artist)]
