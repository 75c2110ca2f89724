"""Metrics of fakes and of classifiers, as functions of feature matrices and probabilities.

The public names load on first use, so that importing the package is fast. To compute all
metrics at once, call `brushwork.metrics.evaluate.evaluate`, which is not among the names because
its module has the same name.
"""

from typing import TYPE_CHECKING

from brushwork.exports import lazy_exports

if TYPE_CHECKING:
    from brushwork.metrics.classification import classification_report as classification_report
    from brushwork.metrics.distances import authenticity as authenticity
    from brushwork.metrics.distances import cmmd as cmmd
    from brushwork.metrics.distances import copying as copying
    from brushwork.metrics.distances import density_coverage as density_coverage
    from brushwork.metrics.distances import frechet as frechet
    from brushwork.metrics.distances import frechet_at_infinity as frechet_at_infinity
    from brushwork.metrics.distances import kid as kid
    from brushwork.metrics.distances import mmd as mmd
    from brushwork.metrics.distances import one_nn as one_nn
    from brushwork.metrics.distances import pairwise as pairwise
    from brushwork.metrics.distances import precision_recall as precision_recall
    from brushwork.metrics.distances import wasserstein as wasserstein
    from brushwork.metrics.evaluate import class_check as class_check
    from brushwork.metrics.evaluate import label_check as label_check
    from brushwork.metrics.evaluate import leak_check as leak_check
    from brushwork.metrics.features import Features as Features
    from brushwork.metrics.features import FeatureSpace as FeatureSpace
    from brushwork.metrics.features import cached_features as cached_features
    from brushwork.metrics.features import clip as clip
    from brushwork.metrics.features import dinov2 as dinov2
    from brushwork.metrics.features import extract as extract
    from brushwork.metrics.features import inception as inception
    from brushwork.metrics.features import pixels as pixels
    from brushwork.metrics.features import timm_space as timm_space
    from brushwork.metrics.scores import (
        classification_accuracy_score as classification_accuracy_score,
    )
    from brushwork.metrics.scores import inception_score as inception_score
    from brushwork.metrics.scores import mode_score as mode_score

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "FeatureSpace": "brushwork.metrics.features",
        "Features": "brushwork.metrics.features",
        "authenticity": "brushwork.metrics.distances",
        "cached_features": "brushwork.metrics.features",
        "clip": "brushwork.metrics.features",
        "cmmd": "brushwork.metrics.distances",
        "class_check": "brushwork.metrics.evaluate",
        "classification_accuracy_score": "brushwork.metrics.scores",
        "classification_report": "brushwork.metrics.classification",
        "copying": "brushwork.metrics.distances",
        "density_coverage": "brushwork.metrics.distances",
        "dinov2": "brushwork.metrics.features",
        "extract": "brushwork.metrics.features",
        "frechet": "brushwork.metrics.distances",
        "frechet_at_infinity": "brushwork.metrics.distances",
        "inception": "brushwork.metrics.features",
        "inception_score": "brushwork.metrics.scores",
        "kid": "brushwork.metrics.distances",
        "label_check": "brushwork.metrics.evaluate",
        "leak_check": "brushwork.metrics.evaluate",
        "mmd": "brushwork.metrics.distances",
        "mode_score": "brushwork.metrics.scores",
        "one_nn": "brushwork.metrics.distances",
        "pairwise": "brushwork.metrics.distances",
        "pixels": "brushwork.metrics.features",
        "precision_recall": "brushwork.metrics.distances",
        "timm_space": "brushwork.metrics.features",
        "wasserstein": "brushwork.metrics.distances",
    },
)
