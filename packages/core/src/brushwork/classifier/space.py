"""The feature space of an artist classifier, in which metrics compare paintings and fakes."""

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
    """Open a classifier as a space: its last hidden layer and its calibrated probabilities.

    The labels of the space are the classifier's artists. It preprocesses an image as `identify`
    does, with the same number of views. Images are squares of 8-bit pixels, so one that is not
    square is squashed even if the classifier was trained on crops.

    Args:
        folder_or_hub_id: a checkpoint of an `ArtistClassifier`.
        device: where to run it.
    """
    folder = locate(folder_or_hub_id)
    classifier = ArtistClassifier.from_pretrained(folder, device)
    # All that decides the result is part of the key under which features are cached.
    settings = [classifier.config[name] for name in ("mean", "std", "num_views")]
    judging = [*settings, classifier.calibration]
    key = digest_of([(folder / WEIGHTS).read_bytes(), json.dumps(judging).encode()])

    def embed(images: Tensor) -> tuple[Tensor, Tensor]:
        return classifier.features_and_probabilities(images.round().to(torch.uint8))

    return FeatureSpace("artist", classifier.side, embed, key, device, classifier.artists)
