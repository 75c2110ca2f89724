"""Who painted this, and can you paint me another?

The public names load on first use, so that importing the package costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from brushwork.classifier.identify import ArtistClassifier
    from brushwork.errors import BrushworkError
    from brushwork.gan.generator import PaintingGenerator

__all__ = ["ArtistClassifier", "BrushworkError", "PaintingGenerator"]

_HOME = {
    "ArtistClassifier": "brushwork.classifier.identify",
    "BrushworkError": "brushwork.errors",
    "PaintingGenerator": "brushwork.gan.generator",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'brushwork' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return [*globals(), *_HOME]
