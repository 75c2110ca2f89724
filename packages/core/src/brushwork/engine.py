"""Choose the engine that computes: torch, or onnxruntime for exported checkpoints.

Neither this module nor the engine onnx imports torch.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Union

import numpy as np
from numpy.typing import NDArray

from brushwork import checkpoint

if TYPE_CHECKING:
    from brushwork.classifier.identify import ArtistClassifier
    from brushwork.gan.generator import PaintingGenerator
    from brushwork.runtime.classifier import ArtistClassifier as ExportedClassifier
    from brushwork.runtime.generator import PaintingGenerator as ExportedGenerator

Engine = Literal["auto", "torch", "onnx"]
Generator = Union["PaintingGenerator", "ExportedGenerator"]
Classifier = Union["ArtistClassifier", "ExportedClassifier"]


def uses_onnx(folder: Path, engine: Engine = "auto") -> bool:
    """Decide whether onnxruntime opens a checkpoint; "auto" takes it for exported checkpoints."""
    return engine == "onnx" or (engine == "auto" and checkpoint.graph_of(folder) is not None)


def open_generator(
    folder_or_hub_id: str | Path, engine: Engine = "auto", device: str = "cpu"
) -> Generator:
    """Open a generator's checkpoint with an engine.

    Args:
        folder_or_hub_id: see `brushwork.checkpoint.locate`.
        engine: "onnx" needs an exported checkpoint, "torch" one with weights.
        device: where torch computes.

    Raises:
        BrushworkError: there is no such checkpoint, or it does not hold what the engine needs.
    """
    folder = checkpoint.locate(folder_or_hub_id)
    if uses_onnx(folder, engine):
        from brushwork.runtime.generator import PaintingGenerator as ExportedGenerator

        return ExportedGenerator.from_pretrained(folder)
    from brushwork.gan.generator import PaintingGenerator

    return PaintingGenerator.from_pretrained(folder, device)


def open_classifier(
    folder_or_hub_id: str | Path | None = None, engine: Engine = "auto", device: str = "cpu"
) -> Classifier:
    """Open a classifier's checkpoint with an engine.

    Args:
        folder_or_hub_id: see `brushwork.checkpoint.locate_classifier`.
        engine: "onnx" needs an exported checkpoint, "torch" one with weights.
        device: where torch computes.

    Raises:
        BrushworkError: there is no such checkpoint, or it does not hold what the engine needs.
    """
    folder = checkpoint.locate_classifier(folder_or_hub_id)
    if uses_onnx(folder, engine):
        from brushwork.runtime.classifier import ArtistClassifier as ExportedClassifier

        return ExportedClassifier.from_pretrained(folder)
    from brushwork.classifier.identify import ArtistClassifier

    return ArtistClassifier.from_pretrained(folder, device)


def to_arrays(images: Any) -> NDArray[np.uint8]:
    """Convert images (N, 3, S, S) in [-1, 1] of either engine to uint8 (N, S, S, 3)."""
    if isinstance(images, np.ndarray):
        from brushwork.runtime.generator import to_arrays as arrays_of_arrays

        return arrays_of_arrays(images)
    from brushwork.gan.generator import to_arrays as arrays_of_tensors

    return arrays_of_tensors(images)
