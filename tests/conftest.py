"""Data and ways to run scripts that several tests share."""

from __future__ import annotations

import importlib
import io
import os
import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

# Tests run side by side: a thread each, or they wait for one another at every operation.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest

# The process that only hands out tests to others reads this file too, before it starts them: what
# takes seconds to import is imported where it is used.
if TYPE_CHECKING:
    from PIL import Image
    from tests.forks import ForkServer

REAL = Path(__file__).parents[2] / "shared" / "paintings"

# Files that take long, the longest first, so that all processes end at about the same time. Files
# in one line run in one process, because they share a fixture that takes long.
LONG = [
    "experiments/test_train_gan",
    "demo/test_browser demo/test_app",
    "core/classifier/test_families",
    "experiments/test_train_classifier",
    "experiments/test_reproduce",
    "demo/test_static_page",
    "experiments/test_evaluate_gan",
    "core/gan/test_objective",
    "demo/test_space",
    "demo/test_engine core/runtime/test_generator core/runtime/test_classifier",
    "experiments/test_command_lines",
    "core/data/test_corpus",
]
UNITS = {f"tests/{name}.py": number for number, names in enumerate(LONG) for name in names.split()}


@pytest.hookimpl(optionalhook=True)  # pytest-xdist may be switched off
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """Hand out the tests of a line of `LONG`, or of another file, as one unit."""
    from xdist.scheduler import LoadFileScheduling

    class Units(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = super()._split_scope(nodeid)
            return LONG[UNITS[file]] if file in UNITS else file

    return Units(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the units of `LONG` first; --no-loadscope-reorder keeps this order."""
    items.sort(key=lambda item: UNITS.get(item.nodeid.partition("::")[0], len(LONG)))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Start the server of `forked` once all tests are imported, and with them all packages."""
    if any("forked" in getattr(item, "fixturenames", ()) for item in session.items):
        from tests.forks import ForkServer

        from brushwork.report import figures

        # As in `run_script`, of which enough tests draw.
        prepare = partial(setattr, figures, "curves", leave_white)
        session.config.stash[FORKED] = ForkServer(prepare)


FORKED = pytest.StashKey["ForkServer"]()


@pytest.fixture(scope="session")
def forked(request: pytest.FixtureRequest) -> ForkServer:
    """Start Python processes that have imported already what the tests and scripts import."""
    return request.config.stash[FORKED]


@pytest.fixture(scope="session")
def real_paintings() -> Path:
    """A Painter-by-Numbers folder of real paintings beside the checkout."""
    if not REAL.is_dir():
        pytest.skip("no real paintings in ../shared/paintings")
    return REAL


@pytest.fixture(scope="session")
def prepared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """80 synthetic paintings, prepared; read it, don't write into it."""
    from brushwork.data.preparation import prepare
    from brushwork.data.sources.synthetic import synthetic_paintings

    def write(folder: Path) -> None:
        prepare(synthetic_paintings(80), folder, side=64, workers=1, progress=False)

    return shared_folder(tmp_path_factory, "prepared", write)


def shared_folder(
    tmp_path_factory: pytest.TempPathFactory, name: str, write: Callable[[Path], object]
) -> Path:
    """Return a folder that all workers of pytest share; the first one that needs it writes it."""
    from filelock import FileLock

    place = tmp_path_factory.getbasetemp()
    place = place.parent if "PYTEST_XDIST_WORKER" in os.environ else place
    folder = place / "shared" / name
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if not folder.is_dir():
            write(folder)
    return folder


ARTISTS = ["Berthe Morisot", "Claude Monet", "<b>Edgar Degas</b>"]


@pytest.fixture(scope="session")
def classifier_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier that was not trained, with an index of three paintings; don't change it."""
    import numpy as np
    import torch
    from PIL import Image

    from brushwork.backbones.create import create_backbone
    from brushwork.classifier.identify import ArtistClassifier
    from brushwork.classifier.save import save_classifier, save_index

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("classifier") / "classifier"
    network = create_backbone("test_resnet", len(ARTISTS)).eval()
    training = {
        "model": "test_resnet",
        "artists": ARTISTS,
        "side": 64,
        "fit": "squash",
        "data": "drawn",
        "num_paintings": 3,
        "min_paintings": 1,
        "fingerprint": "0",
        "weights": "none",
        "epoch": 1,
        "seed": 0,
    }
    judging = {"mean": [0.5] * 3, "std": [0.5] * 3, "num_views": 1}
    logits = torch.eye(3) * 3
    save_classifier(network, folder, training, judging, logits, np.arange(3))
    pictures = [Image.new("RGB", (64, 64), colour) for colour in ("red", "green", "blue")]
    features = ArtistClassifier.from_pretrained(folder).embed(pictures)
    titles = [(artist, f"No. {i}") for i, artist in enumerate(ARTISTS)]
    save_index(folder, features, titles, [jpeg(picture) for picture in pictures])
    return folder


def jpeg(picture: Image.Image) -> bytes:
    """Encode a picture as a JPEG."""
    file = io.BytesIO()
    picture.save(file, "JPEG")
    return file.getvalue()


@pytest.fixture(scope="session")
def run_script() -> Callable[..., None]:
    """Call a script's `main` with flags in this process, where torch is imported already.

    A fresh process costs seconds of imports: one real command line a script is enough. The
    environment and the global random states are afterwards as they were. Curves take longer to draw
    than a tiny network to train: without `draws`, their files are white pictures. The answers of a
    tiny classifier need not be good, so it learns from few pictures that are no paintings.
    """
    from accelerate.state import AcceleratorState

    from settings import read_flags

    def run(script: str, *flags: object, draws: bool = True) -> None:
        module = importlib.import_module(f"experiments.{script}")
        # Accelerate keeps the device and the precision of an earlier run in this process.
        AcceleratorState._reset_state(reset_partial_state=True)
        with pytest.MonkeyPatch.context() as patch, same_state():
            patch.setattr("brushwork.training.threads.num_cores", lambda: 1)
            patch.setattr("brushwork.classifier.finish.NUM_OTHER_PICTURES", 10)
            if not draws:
                patch.setattr("brushwork.report.figures.curves", leave_white)
            recipes = getattr(module, "RECIPES", None)
            module.main(read_flags(module.Config, None, [*map(str, flags)], recipes))

    return run


def leave_white(_panels: object, file: Path, *_: object, **__: object) -> None:
    """Write a white picture in place of curves."""
    from PIL import Image

    Image.new("RGB", (20, 10), "white").save(file)


@contextmanager
def same_state() -> Iterator[None]:
    """Restore the environment, the global random states and the number of threads at the end."""
    import numpy as np
    import torch

    environment = dict(os.environ)
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    threads = torch.get_num_threads()
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(environment)
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])
        torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def checkpoints(
    tmp_path_factory: pytest.TempPathFactory, classifier_folder: Path
) -> dict[str, Path]:
    """A tiny checkpoint of each kind, with random weights: "dcgan", "modern" and "classifier".

    The pictures of "modern" are no squares.
    """
    import torch

    from brushwork.gan import dcgan, styled
    from brushwork.gan.save import save_generator
    from brushwork.training.ema import refresh_statistics

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("checkpoints")
    plain = dcgan.Generator(dcgan.DCGANConfig(side=32, width=4))
    classes = ("sea", "portrait", "a <b>still</b> life")
    shape = styled.StyledConfig(side=32, width=4, classes=classes, aspect="3:2")
    modern = styled.Generator(shape)
    torch.nn.init.normal_(modern.to_rgb.weight, std=0.1)  # pictures that differ clearly
    settings = {"data": "drawn", "num_paintings": 9, "fingerprint": "0", "batch_size": 8, "seed": 0}
    for name, network in (("dcgan", plain), ("modern", modern)):
        refresh_statistics(network, [(torch.randn(64, 100), torch.arange(64) % 3)])
        save_generator(network, folder / name / "generator", settings, 1, "averaged")
    return {
        "dcgan": folder / "dcgan" / "generator",
        "modern": folder / "modern" / "generator",
        "classifier": finished(classifier_folder, folder / "classifier"),
    }


def finished(before: Path, folder: Path) -> Path:
    """Copy a classifier, with everything that a finished one knows, as it matters for answers.

    It knows strangers, operating points, styles, genres and decades.
    """
    import numpy as np
    import torch

    from brushwork.checkpoint import load_config
    from brushwork.classifier.calibration import Calibration
    from brushwork.classifier.discriminants import familiarity, fit_discriminants, log_likelihoods
    from brushwork.classifier.identify import ArtistClassifier
    from brushwork.classifier.save import save_calibration, save_discriminants, save_traits
    from brushwork.classifier.strangers import Strangers, strangeness
    from brushwork.classifier.traits import Trait
    from brushwork.data.synthetic import draw

    shutil.copytree(before, folder)
    # For smaller squares, Pillow lets libjpeg reduce the picture, which no browser can repeat.
    config = load_config(folder) | {"side": 128}
    squares = np.stack([np.asarray(draw(number, side=128)) for number in range(100, 124)])
    classifier = ArtistClassifier(ArtistClassifier.from_pretrained(folder).network, config)
    predictions = classifier.predict_rows(squares, np.arange(24))
    statistics = predictions.channel_statistics
    values = {
        "artist": (*ARTISTS, "other 1", "other 2"),
        "style": ("Baroque", "<b>Impressionism</b>"),
        "genre": ("landscape", "marina", "portrait", "still life"),
        "decade": ("1870s", "1880s"),
    }
    # The paintings after the 18th are new to the analyses; their answers shall not be sure.
    traits, likelihoods = {}, {}
    for name, names in values.items():
        discriminants = fit_discriminants(statistics[:18], torch.arange(18) % len(names))
        likelihoods[name] = log_likelihoods(statistics[18:], discriminants)
        temperature = 4 * likelihoods[name].std().item()
        traits[name] = Trait(names, discriminants, Calibration(temperature, [0.1] * len(names)))
    artists = traits.pop("artist")
    calibration = Calibration(
        config["temperature"], config["biases"], 1 / likelihoods["artist"].std().item()
    )
    logits, of_artists = predictions.logits[18:], likelihoods["artist"][:, : len(ARTISTS)]
    scores = strangeness(
        logits,
        calibration.probabilities(logits, of_artists),
        likelihoods["artist"],
        familiarity(statistics[18:], artists.discriminants, len(ARTISTS)),
    )
    save_discriminants(folder, artists.discriminants)
    save_traits(folder, traits)
    save_calibration(
        folder,
        config,
        calibration,
        threshold=0.0,
        validation=config["results"]["validation"],
        strangers=Strangers(scores.mean(0).tolist(), scores.std(0).tolist(), [0.5] * 5, bias=-0.5),
        operating_points=[(0.5, 0.3), (0.9, 0.6)],
        traits=traits,
    )
    return folder


@pytest.fixture(scope="session")
def exports(
    tmp_path_factory: pytest.TempPathFactory, checkpoints: dict[str, Path]
) -> dict[str, Path]:
    """An export in fp32 of each of `checkpoints`; the workers of pytest share them."""
    from brushwork.export import export

    return {
        name: shared_folder(
            tmp_path_factory,
            f"exports/{name}",
            partial(export, checkpoint, precision="fp32"),
        )
        for name, checkpoint in checkpoints.items()
    }
