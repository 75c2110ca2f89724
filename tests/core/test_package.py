"""The public names of the library and of its rooms."""

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import brushwork

# Every package is here: a new public name is a promise, so it must be added here too.
PUBLIC: dict[str, list[str]] = {
    "brushwork": [
        "ArtistClassifier",
        "BrushworkError",
        "PaintingGenerator",
        "open_data",
        "slerp",
    ],
    "brushwork.backbones": [],
    "brushwork.classifier": [
        "ArtistClassifier",
        "Calibration",
        "Candidate",
        "Comparison",
        "Identification",
        "Neighbour",
        "finish_classifier",
        "save_classifier",
        "save_index",
    ],
    "brushwork.data": [
        "Paintings",
        "PreparedPaintings",
        "image_folder",
        "open_data",
        "open_prepared",
        "open_source",
        "painter_by_numbers",
        "prepare",
        "prepared_source",
        "select",
        "synthetic_paintings",
        "wikiart",
    ],
    "brushwork.data.sources": [],
    "brushwork.data.synthetic": ["GENRES", "describe", "draw"],
    "brushwork.gan": [
        "DCGANConfig",
        "Inversion",
        "Objective",
        "PaintingGenerator",
        "StyledConfig",
        "build_networks",
        "initialise_from",
        "save_generator",
        "slerp",
    ],
    "brushwork.metrics": [
        "FeatureSpace",
        "Features",
        "authenticity",
        "cached_features",
        "class_check",
        "clip",
        "cmmd",
        "classification_accuracy_score",
        "classification_report",
        "copying",
        "density_coverage",
        "dinov2",
        "extract",
        "frechet",
        "frechet_at_infinity",
        "inception",
        "inception_score",
        "kid",
        "label_check",
        "leak_check",
        "mmd",
        "mode_score",
        "one_nn",
        "pairwise",
        "pixels",
        "precision_recall",
        "timm_space",
        "wasserstein",
    ],
    "brushwork.report": [
        "Section",
        "compared_curves",
        "data_url",
        "grid",
        "html_page",
        "metric_curves",
        "render",
        "save_animation",
        "text_table",
        "write_report",
        "write_sections",
    ],
    "brushwork.reproduction": [],
    "brushwork.runtime": ["ArtistClassifier", "PaintingGenerator", "slerp"],
    "brushwork.training": [],
}

ROOT = Path(brushwork.__file__).parent
PACKAGES = {
    ".".join(["brushwork", *file.parent.relative_to(ROOT).parts]): file.parent
    for file in sorted(ROOT.rglob("__init__.py"))
}


def test_every_package_is_listed():
    assert set(PUBLIC) == set(PACKAGES)


@pytest.mark.parametrize("package", PACKAGES)
def test_the_public_names_are_the_listed_ones_and_are_all_there(package: str):
    module = import_module(package)
    assert sorted(getattr(module, "__all__", [])) == sorted(PUBLIC[package])
    for name in PUBLIC[package]:
        assert getattr(module, name) is not None
        assert name in dir(module)


@pytest.mark.parametrize("package", PACKAGES)
def test_no_module_hides_a_public_name(package: str):
    # Once a module `brushwork.data.select` is imported, it takes the place of the function.
    modules = {path.stem for path in PACKAGES[package].iterdir()}
    assert not modules & set(PUBLIC[package])


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'brushwork' has no attribute 'nothing'"):
        _ = brushwork.nothing


CHEAP = """
import sys
for package in {packages}:
    __import__(package)
import brushwork.data.decoder_pool
print(*sorted({{"torch", "pandas", "pyarrow", "datasets", "timm"}} & sys.modules.keys()))
"""


def test_importing_every_package_and_the_decoder_is_cheap():
    code = CHEAP.format(packages=[*PACKAGES])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
