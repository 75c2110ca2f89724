"""Open a feature space by its name, as scripts take it in a flag."""

from collections.abc import Sequence

import torch

from brushwork.backbones.create import split_spec
from brushwork.classifier.space import artist_space
from brushwork.errors import BrushworkError
from brushwork.metrics.features import (
    CLIP,
    DINOV2,
    FeatureSpace,
    clip,
    dinov2,
    inception,
    pixels,
    timm_space,
)
from brushwork.metrics.texture import texture


def open_space(
    spec: str, device: str | torch.device = "cpu", *, fetch: bool = False
) -> FeatureSpace:
    """Open a feature space.

    Args:
        spec: one of these:

            - "pixels" or "pixels:SIDE";
            - "texture" or "texture:SIDE", see `brushwork.metrics.texture`;
            - "inception", with its weights in the cache folder, or "inception:FILE";
            - "dinov2" or "clip", with their weights in the Hub's cache, or "dinov2:FILE",
              "clip:FILE";
            - "artist:CLASSIFIER", the folder of an `ArtistClassifier` or its name on the Hub;
            - "ARCHITECTURE:WEIGHTS" of timm, see `brushwork.metrics.features.timm_space`.
        device: where to compute features.
        fetch: download the weights of Inception, DINOv2 or CLIP if they are absent.

    Raises:
        BrushworkError: there is no such space, or its weights are missing.

    >>> open_space("pixels:8").side
    8
    """
    name, _, rest = spec.partition(":")
    if name == "pixels" and (rest or "32").isdecimal() and (side := int(rest or 32)) > 0:
        return pixels(side)
    if name == "texture" and (rest or "64").isdecimal() and (side := int(rest or 64)) >= 16:
        return texture(side)
    if name == "inception":
        return inception(rest or None, fetch=fetch, device=device)
    if name in (DINOV2, CLIP):
        open_network = dinov2 if name == DINOV2 else clip
        return open_network(rest or None, fetch=fetch, device=device)
    architecture, weights = split_spec(spec)
    if name == "artist" and rest:
        return artist_space(rest, device=device)
    if not weights or name in ("artist", "pixels", "texture"):
        raise BrushworkError(
            f"no feature space {spec!r}; pass pixels, pixels:32, texture, texture:256, inception, "
            "dinov2, clip, one of these three with :FILE, artist:CLASSIFIER, or "
            "ARCHITECTURE:WEIGHTS such as resnet34:hub or resnet34:resnet34.safetensors"
        )
    return timm_space(architecture, weights, device=device)


def check_names(names: Sequence[str]) -> None:
    """Check that feature spaces have different names, because results are reported by name.

    Raises:
        BrushworkError: two have the same name.
    """
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise BrushworkError(f"two feature spaces have the name {twice}; pass only one of them")
