"""Data and ways to run scripts that several tests share."""

import importlib
import os
from collections.abc import Callable
from pathlib import Path

# Tests run side by side: a thread each, or they wait for one another at every operation.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest

from brushwork.data.preparation import prepare
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


@pytest.fixture(scope="session")
def run_script() -> Callable[..., None]:
    """Call a script's `main` with flags in this process, where torch is imported already.

    A fresh process costs seconds of imports: one real command line a script is enough.
    """
    from accelerate.state import AcceleratorState
    from settings import read_flags

    def run(script: str, *flags: object) -> None:
        module = importlib.import_module(f"experiments.{script}")
        # What an earlier run in this process left behind.
        AcceleratorState._reset_state(reset_partial_state=True)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("brushwork.training.threads.num_cores", lambda: 1)
            module.main(read_flags(module.Config, None, [*map(str, flags)]))

    return run
