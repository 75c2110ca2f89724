"""Read and write the files of a classifier's checkpoint.

config.json                artists, preprocessing, calibration, threshold, training, results
model.safetensors          the network
discriminants.safetensors  the discriminant analysis; missing until training has finished
traits.safetensors         the analyses of style, genre and decade; optional
index.safetensors          features, titles and thumbnails of the training paintings; optional
README.md                  the model card
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from brushwork import checkpoint
from brushwork.backbones.create import Backbone, create_backbone, registered_name
from brushwork.checkpoint import bundled_classifier as bundled_classifier
from brushwork.checkpoint import locate_classifier as locate_classifier
from brushwork.classifier.calibration import Calibration, fit_calibration
from brushwork.classifier.card import model_card
from brushwork.classifier.discriminants import Discriminants
from brushwork.classifier.strangers import Strangers
from brushwork.classifier.traits import Trait
from brushwork.errors import BrushworkError
from brushwork.files import atomic_write
from brushwork.metrics import classification

CONFIG_KEYS: dict[str, type | tuple[type, ...]] = {
    "architecture": str,
    "artists": list,
    "side": int,
    "fit": str,
    "mean": list,
    "std": list,
    "num_views": int,
    "temperature": (int, float),
    "threshold": (int, float),
    "training": dict,
    "results": dict,
}
"""What `config.json` must contain, and of which type."""


def save_classifier(
    network: Backbone,
    folder: str | Path,
    training: Mapping[str, Any],
    preprocessing: Mapping[str, Any],
    val_logits: Tensor,
    val_labels: NDArray[np.int64],
) -> None:
    """Write a checkpoint and calibrate it on the validation paintings.

    `brushwork.classifier.finish.finish_classifier` adds the rest when training has finished.

    Args:
        network: from `brushwork.backbones.create.create_backbone`.
        folder: an older checkpoint in it is replaced.
        training: the settings and data of the training: `model`, `artists` in the order of the
            outputs, `side`, `fit`, `data`, `num_paintings`, `min_paintings`, `fingerprint`,
            `weights`, `epoch`, `seed`, and others; also `network_options` if the network was
            created with `options`.
        preprocessing: `mean`, `std` and `num_views` for `brushwork.classifier.network.predict`.
        val_logits: (N, K) of the validation paintings.
        val_labels: (N,).

    Raises:
        BrushworkError: the folder cannot be written.
    """
    calibration = fit_calibration(val_logits, val_labels)
    probabilities = calibration.probabilities(val_logits)
    threshold = classification.threshold_at_recall(probabilities.max(1))
    config = {
        "architecture": registered_name(training["model"], network),
        "network_options": training.get("network_options", {}),
        "artists": list(training["artists"]),
        "side": training["side"],
        "fit": training["fit"],
        **preprocessing,
        **calibration._asdict(),
        "threshold": threshold,
        "training": {name: value for name, value in training.items() if name != "artists"},
        "results": {"validation": validation_report(probabilities, val_labels)},
    }
    checkpoint.save(network, folder, config, model_card(config))


def read_network(folder: Path, config: Mapping[str, Any]) -> Backbone:
    """Read the network of a checkpoint, given its config.

    Raises:
        BrushworkError: the weights are missing, or do not fit.
    """
    options = config.get("network_options", {})
    network = create_backbone(config["architecture"], len(config["artists"]), options)
    checkpoint.load_weights(network, folder)
    return network


def save_calibration(
    folder: Path,
    config: Mapping[str, Any],
    calibration: Calibration,
    threshold: float,
    validation: Mapping[str, float],
    *,
    strangers: Strangers | None = None,
    operating_points: Sequence[tuple[float, float]] = (),
    traits: Mapping[str, Trait] | None = None,
) -> None:
    """Write another calibration and its validation results into a checkpoint's config and card.

    Args:
        folder: the checkpoint.
        config: the checkpoint's config.
        calibration: replaces the one in the config.
        threshold: threshold of "unknown"; replaces the one in the config. It counts only without
            `strangers`.
        validation: results on the validation paintings; replace those in the config.
        strangers: gives the probability of "none of these artists".
        operating_points: see `brushwork.classifier.strangers.operating_points`.
        traits: the values and calibrations of style, genre and decade; `save_traits` saves their
            discriminant analyses.

    Raises:
        BrushworkError: the folder cannot be written.
    """
    updated = {
        **config,
        **calibration._asdict(),
        "threshold": threshold,
        "results": {**config["results"], "validation": dict(validation)},
        "strangers": strangers._asdict() if strangers else None,
        "operating_points": list(operating_points),
        "traits": {
            name: {"values": list(trait.values), **trait.calibration._asdict()}
            for name, trait in (traits or {}).items()
        },
    }
    checkpoint.update_config(folder, updated, model_card(updated))


def validation_report(
    probabilities: NDArray[np.float64], labels: NDArray[np.int64]
) -> dict[str, float]:
    """Measure calibrated probabilities (N, K) on the validation paintings, labels (N,)."""
    error = classification.expected_calibration_error(probabilities, labels)
    report = classification.classification_report(probabilities, labels)
    return report | {"calibration_error": error}


def save_index(
    folder: str | Path,
    features: Tensor,
    paintings: Sequence[tuple[str, str]],
    thumbnails: Sequence[bytes],
) -> None:
    """Add the training paintings to a checkpoint, for `ArtistClassifier.nearest`.

    Args:
        folder: the checkpoint.
        features: (N, D) from `ArtistClassifier.embed`; saved in half precision with norm 1.
        paintings: artist and title of each of the N paintings.
        thumbnails: a small JPEG of each painting; b"" for a painting without one.

    Raises:
        BrushworkError: the file cannot be written.
    """
    sizes = [0, *map(len, thumbnails)]
    tensors = {
        "features": torch.nn.functional.normalize(features).half().contiguous(),
        "thumbnails": torch.from_numpy(
            np.frombuffer(b"".join(thumbnails) or b"\0", np.uint8).copy()
        ),
        "ends": torch.tensor(np.cumsum(sizes)),
    }
    metadata = {"paintings": json.dumps(list(paintings))}
    _save_tensors(Path(folder) / checkpoint.INDEX, tensors, metadata)


def read_index(folder: Path) -> dict[str, Any]:
    """Read the index of a checkpoint.

    Returns:
        The tensors and `paintings`, as `save_index` takes them; empty if there is no index.

    Raises:
        BrushworkError: the file is broken.
    """
    file = folder / checkpoint.INDEX
    if not file.is_file():
        return {}
    try:
        with safe_open(file, "pt") as index:
            tensors = {name: index.get_tensor(name) for name in index.keys()}  # noqa: SIM118
            return {**tensors, "paintings": json.loads(index.metadata()["paintings"])}
    except (OSError, SafetensorError, KeyError, ValueError, TypeError) as error:
        raise BrushworkError(
            f"{file} is broken ({error}); delete it, or run train_classifier.py --resume to "
            "rebuild it"
        ) from error


def save_discriminants(folder: Path, discriminants: Discriminants) -> None:
    """Add a discriminant analysis to a checkpoint.

    Raises:
        BrushworkError: the file cannot be written.
    """
    _save_tensors(folder / checkpoint.DISCRIMINANTS, discriminants._asdict())


def read_discriminants(folder: Path) -> Discriminants | None:
    """Read the discriminant analysis of a checkpoint; None if there is none.

    Raises:
        BrushworkError: the file is broken.
    """
    file = folder / checkpoint.DISCRIMINANTS
    try:
        return Discriminants(**load_file(file)) if file.is_file() else None
    except (OSError, SafetensorError, TypeError) as error:
        raise BrushworkError(
            f"{file} is broken ({error}); run train_classifier.py --resume to rebuild it"
        ) from error


def save_traits(folder: Path, traits: Mapping[str, Trait]) -> None:
    """Add the discriminant analyses of style, genre and decade to a checkpoint.

    Raises:
        BrushworkError: the file cannot be written.
    """
    tensors = {
        f"{name}.{field}": tensor
        for name, trait in traits.items()
        for field, tensor in trait.discriminants._asdict().items()
    }
    _save_tensors(folder / checkpoint.TRAITS, tensors)


def read_traits(folder: Path, config: Mapping[str, Any]) -> dict[str, Trait]:
    """Read style, genre and decade of a checkpoint; empty if it has none.

    Args:
        folder: the checkpoint.
        config: its config.

    Raises:
        BrushworkError: the file is missing or broken.
    """
    described = config.get("traits") or {}
    file = folder / checkpoint.TRAITS
    if not described:
        return {}
    try:
        tensors = load_file(file)
        return {
            name: Trait(
                tuple(trait["values"]),
                Discriminants(*(tensors[f"{name}.{field}"] for field in Discriminants._fields)),
                Calibration(trait["temperature"], trait["biases"], trait["lda_weight"]),
            )
            for name, trait in described.items()
        }
    except (OSError, SafetensorError, KeyError, TypeError) as error:
        raise BrushworkError(
            f"{file} is missing or broken ({error}); copy the whole folder of the classifier, or "
            "run train_classifier.py --resume to rebuild the file"
        ) from error


def _save_tensors(
    file: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None
) -> None:
    try:
        with atomic_write(file) as temporary:
            save_file(tensors, temporary, metadata)
    except (OSError, SafetensorError) as error:
        raise BrushworkError(f"cannot write {file}: {error}") from error
