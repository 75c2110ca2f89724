"""Artist classifiers: the network, training views, calibration, identification.

The public names load on first use.
"""

from typing import TYPE_CHECKING

from brushwork.exports import lazy_exports

if TYPE_CHECKING:
    from brushwork.classifier.calibration import Calibration as Calibration
    from brushwork.classifier.finish import finish_classifier as finish_classifier
    from brushwork.classifier.identify import ArtistClassifier as ArtistClassifier
    from brushwork.classifier.identify import Candidate as Candidate
    from brushwork.classifier.identify import Comparison as Comparison
    from brushwork.classifier.identify import Identification as Identification
    from brushwork.classifier.identify import Neighbour as Neighbour
    from brushwork.classifier.save import save_classifier as save_classifier
    from brushwork.classifier.save import save_index as save_index

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "ArtistClassifier": "brushwork.classifier.identify",
        "Calibration": "brushwork.classifier.calibration",
        "Candidate": "brushwork.classifier.identify",
        "Comparison": "brushwork.classifier.identify",
        "Identification": "brushwork.classifier.identify",
        "Neighbour": "brushwork.classifier.identify",
        "finish_classifier": "brushwork.classifier.finish",
        "save_classifier": "brushwork.classifier.save",
        "save_index": "brushwork.classifier.save",
    },
)
