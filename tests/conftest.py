"""Data that several tests share."""

import os
from pathlib import Path

# Tests run side by side: a thread each, or they wait for one another at every operation.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest

from brushwork.data.prepare import prepare
from brushwork.data.sources.synthetic import synthetic_paintings

REAL = Path(__file__).parents[2] / "shared" / "paintings"


@pytest.fixture(scope="session")
def real_paintings() -> Path:
    """A Painter-by-Numbers folder of real paintings beside the checkout."""
    if not REAL.is_dir():
        pytest.skip("no real paintings in ../shared/paintings")
    return REAL


@pytest.fixture(scope="session")
def prepared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """80 synthetic paintings, prepared; read it, don't write into it."""
    folder = tmp_path_factory.mktemp("data") / "synthetic"
    prepare(synthetic_paintings(80), folder, side=64, workers=1, progress=False)
    return folder
