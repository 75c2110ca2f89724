"""Identify the artist of a painting, and generate new paintings.

The public names load on first use, so that importing the package is fast.
"""

from typing import TYPE_CHECKING

from brushwork.exports import lazy_exports

if TYPE_CHECKING:
    from brushwork.classifier.identify import ArtistClassifier as ArtistClassifier
    from brushwork.data.open import open_data as open_data
    from brushwork.errors import BrushworkError as BrushworkError
    from brushwork.gan.generator import PaintingGenerator as PaintingGenerator
    from brushwork.gan.generator import slerp as slerp

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "ArtistClassifier": "brushwork.classifier.identify",
        "BrushworkError": "brushwork.errors",
        "PaintingGenerator": "brushwork.gan.generator",
        "open_data": "brushwork.data.open",
        "slerp": "brushwork.gan.generator",
    },
)
