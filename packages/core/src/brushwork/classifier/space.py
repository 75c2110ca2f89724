"""classifier.space."""

import json
from pathlib import Path

import torch
from torch import Tensor

from brushwork.checkpoint import WEIGHTS, locate
from brushwork.classifier.identify import ArtistClassifier
from brushwork.metrics.features import FeatureSpace, digest_of


def artist_space(
    folder_or_hub_id: str | Path, *, device: str | torch.device = "cpu"
) -> FeatureSpace:
    """What an `ArtistClassifier` sees: its last hidden layer and its calibrated probabilities.

    `labels` are its artists. It looks as when it identifies, in as many views, at 8-bit squares;
    only an image that is not square is squashed, even where the classifier crops.

    Args:
        folder_or_hub_id: its checkpoint.
        device: where to run it.
    """
    folder = locate(folder_or_hub_id)
    known = ArtistClassifier.from_pretrained(folder, device)
    judging = [*(known.config[name] for name in ("mean", "std", "num_views")), known.calibration]
    key = digest_of([(folder / WEIGHTS).read_bytes(), json.dumps(judging).encode()])

    def embed(images: Tensor) -> tuple[Tensor, Tensor]:
        return known.features_and_probabilities(images.round().to(torch.uint8))

    return FeatureSpace("artist", known.side, embed, key, device, known.artists)
