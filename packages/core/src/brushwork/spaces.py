"""spaces."""

from collections.abc import Sequence

import torch

from brushwork.classifier.space import artist_space
from brushwork.errors import BrushworkError
from brushwork.metrics.features import FeatureSpace, inception, pixels, timm_space


def open_space(spec: str, device: str | torch.device = "cpu") -> FeatureSpace:
    """What `--spaces` accepts.

    Args:
        spec: "pixels", or "pixels:SIDE"; "inception", its weights in the cache folder, or
            "inception:FILE"; "artist:FOLDER", a checkpoint of `ArtistClassifier` or its name on the
            Hub; or any "ARCHITECTURE:WEIGHTS" of timm, see `timm_space`.
        device: where to run it.

    >>> open_space("pixels:8").side
    8
    """
    name, _, rest = spec.partition(":")
    if name == "pixels" and (rest or "32").isdecimal() and (side := int(rest or 32)) > 0:
        return pixels(side)
    if name == "inception":
        return inception(rest or None, device=device)
    if not rest or name == "pixels":
        raise BrushworkError(
            f"no feature space {spec!r}; pass pixels, pixels:32, inception, inception:FILE, "
            "artist:CLASSIFIER, or ARCHITECTURE:WEIGHTS such as resnet34:resnet34.safetensors"
        )
    if name == "artist":
        return artist_space(rest, device=device)
    return timm_space(name, rest, device=device)


def check_names(names: Sequence[str]) -> None:
    """Numbers bear the name of their feature space: no two may have the same.

    Raises:
        BrushworkError: two do.
    """
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise BrushworkError(f"two feature spaces are called {twice}; measure in one at a time")
