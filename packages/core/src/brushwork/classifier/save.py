"""classifier.save."""

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from brushwork import checkpoint
from brushwork.classifier.calibration import fit_calibration
from brushwork.classifier.discriminants import (
    Discriminants,
)
from brushwork.errors import BrushworkError
from brushwork.files import atomic_write
from brushwork.metrics import classification

if TYPE_CHECKING:
    pass


def save_classifier(
    network: nn.Module,
    folder: str | Path,
    training: Mapping[str, Any],
    judging: Mapping[str, Any],
    val_logits: Tensor,
    val_labels: NDArray[np.int64],
) -> None:
    """Write a classifier's checkpoint, calibrated on paintings that it was not trained on.

    The threshold of "unknown" lets 95 % of these pass.

    Args:
        network: of `brushwork.backbones.create.create_backbone`.
        folder: replaced if it exists.
        training: what it was trained on and how: `model`, `artists` in the order of the outputs,
            `side`, `fit`, `data`, `num_paintings`, `min_paintings`, `fingerprint`, `weights`,
            `epoch`, `seed`.
        judging: `mean`, `std` and `num_views` of `brushwork.classifier.network.predict_rows`.
        val_logits: (N, K) of the paintings kept aside.
        val_labels: (N,) theirs.
    """
    calibration = fit_calibration(val_logits, val_labels)
    probabilities = calibration.probabilities(val_logits)
    config = {
        "architecture": training["model"],
        "artists": list(training["artists"]),
        "side": training["side"],
        "fit": training["fit"],
        **judging,
        **calibration._asdict(),
        "threshold": classification.threshold_at_recall(probabilities.max(1), 0.95),
        "training": {k: v for k, v in training.items() if k != "artists"},
        "results": {"validation": validation_report(probabilities, val_labels)},
    }
    checkpoint.save(network, folder, config, model_card(config))


def validation_report(
    probabilities: NDArray[np.float64], labels: NDArray[np.int64]
) -> dict[str, float]:
    error = classification.expected_calibration_error(probabilities, labels)
    report = classification.classification_report(probabilities, labels)
    return report | {"calibration_error": error}


def save_index(
    folder: str | Path,
    features: Tensor,
    paintings: Sequence[tuple[str, str]],
    thumbnails: Sequence[bytes],
) -> None:
    """Add the paintings that a checkpoint learned from, for `ArtistClassifier.nearest`.

    Args:
        folder: of the checkpoint.
        features: (N, D) of `ArtistClassifier.embed`; kept in half precision at length 1.
        paintings: artist and title of each.
        thumbnails: a small JPEG of each, or b"" for none.
    """
    sizes = [0, *map(len, thumbnails)]
    tensors = {
        "features": torch.nn.functional.normalize(features).half().contiguous(),
        "thumbnails": torch.from_numpy(
            np.frombuffer(b"".join(thumbnails) or b"\0", np.uint8).copy()
        ),
        "ends": torch.tensor(np.cumsum(sizes)),
    }
    names = {"paintings": json.dumps(list(paintings))}
    replace_tensors(Path(folder) / checkpoint.INDEX, tensors, names)


def replace_tensors(
    file: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None
) -> None:
    """Write a file whole or not at all."""
    try:
        with atomic_write(file) as partial:
            save_file(tensors, partial, metadata)
    except (OSError, SafetensorError) as error:
        raise BrushworkError(f"cannot write {file}: {error}") from error


def model_card(config: Mapping[str, Any]) -> str:
    """The card of a classifier: what it knows, from what, and how well."""
    training, results = config["training"], config["results"]
    teacher = checkpoint.without_place(training.get("teacher", ""))
    taught = f", taught by {teacher}" if teacher else ""
    weight = config.get("lda_weight", 0.0)
    opinion = (
        "\n- **Second opinion**: a linear discriminant analysis of means and deviations of "
        f"channels at\n  all stages, whose log-likelihoods weigh {weight:.3f} beside the logits."
        if weight
        else ""
    )
    measured = "\n".join(
        f"| {split} | {r['num_paintings']:,.0f} | {r['top1']:.3f} | {r['top3']:.3f} | "
        f"{r['top5']:.3f} | {r['macro_f1']:.3f} | {r.get('calibration_error', float('nan')):.3f} |"
        for split, r in results.items()
    )
    return f"""---
library_name: brushwork
pipeline_tag: image-classification
tags: [painting, art, {config["architecture"]}]
---
# Who painted this? {config["architecture"]}, {len(config["artists"])} artists

```python
from brushwork.classifier import ArtistClassifier

ArtistClassifier.from_pretrained("this folder").identify("painting.jpg")
```

- **Data**: {training["data"]}, {training["num_paintings"]:,} paintings of artists with at least
  {training["min_paintings"]} (fingerprint `{training["fingerprint"]}`), squares of
  {config["side"]} pixels ({config["fit"]}).
- **Training**: {training["epoch"]} epochs, seed {training["seed"]}, started from
  {checkpoint.without_place(training["weights"])} weights{taught}.{opinion}
- **Artists**: {", ".join(config["artists"])}.

| paintings | number | top-1 | top-3 | top-5 | macro F1 | calibration error |
|---|---:|---:|---:|---:|---:|---:|
{measured}

Validation paintings chose the epoch, the calibration and the threshold of "unknown"
({config["threshold"]:.3f}), so their own calibration error flatters; test paintings chose nothing.

**Limits**: it tells these artists apart, in reproductions like those it was trained on. A copyist,
a pupil or an artist it never saw may be given a known name. It is no proof of authorship and must
not be used to attribute value or to authenticate.
"""


def small_jpeg(pixels: NDArray[np.uint8], size: tuple[int, int]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS).save(file, "JPEG", quality=80)
    return file.getvalue()


def read_index(folder: Path) -> dict[str, Any]:
    """What `save_index` wrote, `paintings` among it; empty where a checkpoint has no index."""
    file = folder / checkpoint.INDEX
    if not file.is_file():
        return {}
    try:
        with safe_open(file, "pt") as index:
            tensors = {name: index.get_tensor(name) for name in index.keys()}  # noqa: SIM118
            return {**tensors, "paintings": json.loads(index.metadata()["paintings"])}
    except (OSError, SafetensorError, KeyError, ValueError, TypeError) as error:
        raise BrushworkError(
            f"{file} is broken ({error}); delete it, or train the classifier's last step anew"
        ) from error


def read_discriminants(folder: Path) -> Discriminants | None:
    file = folder / checkpoint.DISCRIMINANTS
    try:
        return Discriminants(**load_file(file)) if file.is_file() else None
    except (OSError, SafetensorError, TypeError) as error:
        raise BrushworkError(
            f"{file} is broken ({error}); train the classifier's last step anew"
        ) from error
