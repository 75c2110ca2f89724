"""Open exported checkpoints without torch: NumPy, Pillow and onnxruntime compute the same results.

`brushwork.export` writes such a checkpoint. The two classes have the names, arguments, seeds and
results of those with torch, with NumPy arrays instead of tensors. The public names load on first
use.
"""

from typing import TYPE_CHECKING

from brushwork.exports import lazy_exports

if TYPE_CHECKING:
    from brushwork.gan.sampling import slerp as slerp
    from brushwork.runtime.classifier import ArtistClassifier as ArtistClassifier
    from brushwork.runtime.generator import PaintingGenerator as PaintingGenerator

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "ArtistClassifier": "brushwork.runtime.classifier",
        "PaintingGenerator": "brushwork.runtime.generator",
        "slerp": "brushwork.gan.sampling",
    },
)
