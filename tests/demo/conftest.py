"""A page with tiny models, served once by its real command."""

from __future__ import annotations

import functools
import signal
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
import torch

from brushwork.gan.dcgan import DCGANConfig, Generator
from brushwork.gan.save import save_generator
from brushwork_demo.models import Models, find_models

if TYPE_CHECKING:
    from tests.forks import Fork, ForkServer

TRAINING = {"data": "synthetic", "num_paintings": 9, "fingerprint": "0", "batch_size": 9, "seed": 0}


@pytest.fixture(scope="session", autouse=True)
def one_tls_context() -> Iterator[None]:
    """Read the certificates once: each call of httpx does, although no address here has any."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ssl, "create_default_context", functools.cache(ssl.create_default_context))
        yield


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a finished generator and two earlier stages; none of them was trained."""
    run = tmp_path_factory.mktemp("runs") / "meadows"
    for step, place in ((20, "kept/step-000020"), (40, "kept/step-000040"), (60, "generator")):
        torch.manual_seed(step)
        network = Generator(DCGANConfig(side=32, width=2))
        for layer in network.modules():
            if isinstance(layer, torch.nn.ConvTranspose2d):  # the pictures have contrast
                torch.nn.init.normal_(layer.weight, std=0.4)
        save_generator(network, run / place, TRAINING, step, "averaged")
    lines = (f'{{"step": {n}, "epoch": {n}, "loss_D": 1.0, "loss_G": 2.0}}\n' for n in range(9))
    (run / "metrics.jsonl").write_text("".join(lines))
    return run


@pytest.fixture(scope="session")
def models(run_folder: Path, classifier_folder: Path) -> Models:
    """The same generator twice, under two names, and a classifier."""
    folder = str(run_folder / "generator")
    return find_models([folder, folder], str(classifier_folder))


@pytest.fixture(scope="session")
def loopback() -> str:
    """This machine's own address: that of IPv6 if there is one."""
    with suppress(OSError), socket.socket(socket.AF_INET6) as attempt:
        attempt.bind(("::1", 0))
        return "::1"
    return "127.0.0.1"


@pytest.fixture(scope="session")
def page_engine() -> Path:
    """The npm package of the static page's engine, from the cache: tests load nothing."""
    from brushwork.files import cache_folder
    from brushwork_demo.static_page import ENGINE, ENGINE_VERSION, find_engine

    file = cache_folder() / f"{ENGINE}-{ENGINE_VERSION}.tgz"
    if not file.is_file():
        pytest.skip(f"no {file}; `brushwork-demo space export --static DIR` downloads it")
    return find_engine()


@dataclass(frozen=True)
class Server:
    """A running page."""

    url: str
    process: Fork
    files: Path
    """Its folder of temporary files."""

    @property
    def printed(self) -> str:
        """What it has printed until now."""
        return self.process.stdout + self.process.stderr


@pytest.fixture(scope="session")
def server(
    forked: ForkServer,
    run_folder: Path,
    classifier_folder: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Server]:
    """The page as its command serves it, behind a proxy that does not answer."""
    folder = tmp_path_factory.mktemp("server")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    line = ["-m", "brushwork_demo", "--port", port, "--classifier", classifier_folder]
    line += ["--generator", run_folder / "generator"] * 2
    environment = {"TMPDIR": str(folder), "OMP_NUM_THREADS": "1"}
    environment |= {"HTTP_PROXY": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9"}
    environment |= {"NO_PROXY": "", "no_proxy": ""}
    # Neither the page nor the pictures are in the working directory.
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "pyproject.toml").write_text("no visitor may read this")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(elsewhere)
        process = forked.start(*line, environment=environment)
    running = Server(f"http://127.0.0.1:{port}", process, folder)
    try:
        for _ in range(600):
            assert process.poll() is None, running.printed
            try:
                if httpx.get(running.url + "/health").status_code == 200:
                    break
            except httpx.TransportError:
                pass
            time.sleep(0.1)
        yield running
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
        process.close()
    left = [path.name for path in folder.iterdir()]
    assert not left, f"the stopped server left {left} behind"
