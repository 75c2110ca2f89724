"""The engine follows the checkpoint, and onnxruntime runs without torch."""

import subprocess
import sys

import pytest

from brushwork import ArtistClassifier, PaintingGenerator, runtime
from brushwork.engine import open_classifier, open_generator
from brushwork.errors import BrushworkError
from brushwork.gan.sampling import to_arrays


def test_auto_takes_the_engine_that_the_checkpoint_was_written_for(checkpoints, exports):
    assert type(open_generator(checkpoints["dcgan"])) is PaintingGenerator
    assert type(open_generator(exports["dcgan"])) is runtime.PaintingGenerator
    assert type(open_classifier(checkpoints["classifier"])) is ArtistClassifier
    assert type(open_classifier(exports["classifier"])) is runtime.ArtistClassifier


def test_an_engine_refuses_the_checkpoint_of_the_other(checkpoints, exports):
    with pytest.raises(BrushworkError, match=r"holds no generator\.onnx"):
        open_generator(checkpoints["dcgan"], "onnx")
    with pytest.raises(BrushworkError, match="holds exported graphs"):
        open_generator(exports["dcgan"], "torch")


def test_images_of_both_engines_become_arrays(checkpoints, exports):
    for folder in (checkpoints["modern"], exports["modern"]):
        generator = open_generator(folder)
        arrays = generator.sample(2, seed=1, to="array")
        images = generator.paint(generator.latents(2, 1), generator.labels(2, None, 1))
        assert (to_arrays(images) == arrays).all()


WITHOUT_TORCH = """
import sys

# As in an environment that has NumPy, Pillow and onnxruntime only. The demo is looked up, because
# it may hold checkpoints, but not imported; so is pip.
ALLOWED = {"numpy", "PIL", "onnxruntime", "brushwork", "brushwork_demo", "pip"}

class Refuse:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top not in ALLOWED and top not in sys.stdlib_module_names and not top.startswith("_"):
            missing.add(top)
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

missing = set()
sys.meta_path.insert(0, Refuse())
from brushwork.engine import open_classifier, open_generator
from PIL import Image

generator = open_generator(sys.argv[1])
print(generator.sample(2, seed=1)[1].size, next(generator.walk(1, 1)).size)
classifier = open_classifier(sys.argv[2])
print(classifier.identify(Image.new("RGB", (80, 60), "red")).candidates[0].artist)
print(classifier.explain(Image.new("RGB", (80, 60), "red")).shape, "torch" in sys.modules)
print(len(classifier.nearest(Image.new("RGB", (80, 60), "red"))))
try:
    import brushwork
    brushwork.PaintingGenerator
except ModuleNotFoundError as error:
    print(error)
"""


def test_numpy_pillow_and_onnxruntime_are_enough(exports):
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, exports["modern"], exports["classifier"]],
        capture_output=True,
        text=True,
    )
    assert not done.stderr
    sizes, artist, heat, near, error = done.stdout.splitlines()
    assert sizes == "(48, 32) (48, 32)" and artist and heat == "(60, 80) False" and near == "3"
    assert error.startswith("brushwork.PaintingGenerator needs torch: ")
    assert "pip install 'brushwork[torch]'" in error
