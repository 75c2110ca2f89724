"""Choose the engine that computes: torch, or onnxruntime for exported checkpoints.

This is the only place that chooses. Neither this module nor the engine onnx imports torch.
"""

from pathlib import Path
from typing import Any, Literal

from brushwork import checkpoint
from brushwork.classifier.identifier import Identifier
from brushwork.errors import BrushworkError, install
from brushwork.gan.sampling import Sampler

Engine = Literal["auto", "torch", "onnx"]
Generator = Sampler[Any]
"""Takes and returns tensors with torch, NumPy arrays with onnxruntime."""
Classifier = Identifier


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
        device: where torch computes; "auto" for a GPU if there is one.

    Raises:
        BrushworkError: there is no such checkpoint, or it does not hold what the engine needs.
    """
    folder = checkpoint.locate(folder_or_hub_id)
    if uses_onnx(folder, engine):
        from brushwork.runtime.generator import PaintingGenerator as ExportedGenerator

        return ExportedGenerator.from_pretrained(folder)
    require_torch(folder)
    from brushwork.gan.generator import PaintingGenerator

    return PaintingGenerator.from_pretrained(folder, _device_of_torch(device))


def open_classifier(
    folder_or_hub_id: str | Path | None = None, engine: Engine = "auto", device: str = "cpu"
) -> Classifier:
    """Open a classifier's checkpoint with an engine.

    Args:
        folder_or_hub_id: see `brushwork.checkpoint.locate_classifier`.
        engine: "onnx" needs an exported checkpoint, "torch" one with weights.
        device: where torch computes; "auto" for a GPU if there is one.

    Raises:
        BrushworkError: there is no such checkpoint, or it does not hold what the engine needs.
    """
    folder = checkpoint.locate_classifier(folder_or_hub_id)
    if uses_onnx(folder, engine):
        from brushwork.runtime.classifier import ArtistClassifier as ExportedClassifier

        return ExportedClassifier.from_pretrained(folder)
    require_torch(folder)
    from brushwork.classifier.identify import ArtistClassifier

    return ArtistClassifier.from_pretrained(folder, _device_of_torch(device))


def require_torch(folder: Path) -> None:
    """Check that torch, which opens a checkpoint's weights, is installed.

    Raises:
        BrushworkError: it is not.
    """
    try:
        import torch  # noqa: F401
    except ModuleNotFoundError as error:
        raise BrushworkError(
            f"{folder} holds weights, which need torch: {install('brushwork[torch]')}; or export "
            "the checkpoint (experiments/export.py) where torch is installed, and pass the export"
        ) from error


def _device_of_torch(device: str) -> str:
    if device != "auto":
        return device
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
