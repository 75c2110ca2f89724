"""The page with exported models: it starts and answers where torch is not installed."""

import json
import os
import re
import socket
import subprocess
import sys
import time

import httpx
import numpy as np
import pytest
from PIL import Image

from brushwork import runtime
from brushwork.engine import require_torch
from brushwork.errors import BrushworkError
from brushwork_demo import serving
from brushwork_demo.models import find_models
from brushwork_demo.rooms import identify
from brushwork_demo.rooms.identify import EXAMPLES

EXAMPLE = sorted(EXAMPLES.glob("*.jpg"))[0]

WITHOUT_TORCH = """
import sys

# The packages of the extra "torch" that nothing else needs.
REFUSED = {"torch", "torchvision", "timm", "safetensors"}

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in REFUSED:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Refuse())
from brushwork_demo.__main__ import main
main(sys.argv[1:])
"""


@pytest.fixture(scope="module")
def page(exports, tmp_path_factory):
    """The address of a page with exported models, and its log; the process cannot import torch."""
    folder = tmp_path_factory.mktemp("light")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    models = ["--generator", exports["modern"], "--classifier", exports["classifier"]]
    command = [sys.executable, "-c", WITHOUT_TORCH, "--port", port, "--engine", "onnx", *models]
    environment = os.environ | {"TMPDIR": str(folder)}
    log = folder / "log"
    with log.open("w") as file:
        process = subprocess.Popen([*map(str, command)], stdout=file, stderr=file, env=environment)
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            assert process.poll() is None, log.read_text()
            try:
                if httpx.get(f"{url}/health").status_code == 200:
                    break
            except httpx.TransportError:
                pass
            time.sleep(0.2)
        yield url, log
    finally:
        process.terminate()
        process.wait(60)
    assert "error" not in log.read_text().lower()


def call(url, name, data):
    """Call an endpoint as curl would, and return its answer."""
    started = httpx.post(f"{url}/gradio_api/call/{name}", json={"data": data}, timeout=60).json()
    answer = httpx.get(f"{url}/gradio_api/call/{name}/{started['event_id']}", timeout=60).text
    assert answer.startswith("event: complete"), answer
    return json.loads(answer.partition("data: ")[2])


def test_a_page_without_torch_paints_walks_and_identifies(page, exports, tmp_path):
    url, log = page
    assert "* onnxruntime computes modern, the classifier\n" in log.read_text()
    [pictures] = call(url, "paint", ["modern", 7, 2, 0.8, 0, "portrait"])
    generator = runtime.PaintingGenerator.from_pretrained(exports["modern"])
    expected = generator.sample(2, seed=7, label="portrait", truncation=0.8, to="array")
    for one, other in zip(pictures, expected, strict=True):
        file = tmp_path / "picture.png"
        file.write_bytes(httpx.get(one["image"]["url"]).content)
        with Image.open(file) as picture:
            assert np.array_equal(np.asarray(picture.convert("RGB")), other)
    [film] = call(url, "walk", ["modern", 1, 2, 1, 0, ""])
    assert b"ftyp" in httpx.get(film.get("video", film)["url"]).content[:16]
    sent = httpx.post(
        f"{url}/gradio_api/upload", files={"files": (EXAMPLE.name, EXAMPLE.read_bytes())}
    )
    [answer] = call(
        url, "identify", [{"path": sent.json()[0], "meta": {"_type": "gradio.FileData"}}]
    )
    found = runtime.ArtistClassifier.from_pretrained(exports["classifier"]).identify(EXAMPLE)
    assert answer["artist"] == found.artist and answer["known"] == found.known
    for one, other in zip(answer["candidates"], found.candidates, strict=True):
        assert one["artist"] == other.artist
        assert one["probability"] == pytest.approx(other.probability, abs=1e-3)
    # A link's preview, and the page itself.
    assert httpx.get(f"{url}/picture.jpg?painter=modern&seed=3").content[:2] == b"\xff\xd8"
    assert re.search("Modern, picture 3", httpx.get(f"{url}/?painter=modern&seed=3").text)


@pytest.fixture
def fresh():
    """Forget the models that other tests opened, and the engine that this test chooses."""
    yield
    serving._engine = "auto"
    serving.open_generator.cache_clear()
    serving.open_classifier.cache_clear()


@pytest.mark.usefixtures("fresh")
def test_one_page_may_use_both_engines(checkpoints, exports):
    models = find_models(
        [str(checkpoints["dcgan"]), str(exports["modern"])], str(exports["classifier"])
    )
    found = serving.open_models(models)
    assert found == "torch computes dcgan; onnxruntime computes modern, the classifier"
    for painter in models.painters.values():
        request = serving.paint_request(painter.stages[-1], num=2, seed=1)
        width = 48 if painter.name == "modern" else 32
        assert serving.paint(request).shape == (2, 32, width, 3)
    serving.open_generator.cache_clear()
    with pytest.raises(BrushworkError, match=r"holds no generator\.onnx"):
        serving.open_models(find_models([str(checkpoints["dcgan"])]), "onnx")


@pytest.mark.usefixtures("fresh")
def test_both_engines_give_the_same_answer_in_the_room(checkpoints, exports):
    texts = []
    with Image.open(EXAMPLE) as picture:
        for folder in (checkpoints["classifier"], exports["classifier"]):
            models = find_models([str(checkpoints["dcgan"])], str(folder))
            html = identify.answer_html(models, picture) + identify.nearest_html(models, picture)
            assert "<dt>Style</dt>" in html and "None of these" in html
            assert serving.explain(folder, picture).max() == 1
            texts.append(html)
            serving.open_classifier.cache_clear()
    assert texts[0] == texts[1]


def test_a_checkpoint_with_weights_says_what_is_missing(checkpoints, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(BrushworkError, match=r"holds weights, which need torch: (uv )?pip install"):
        require_torch(checkpoints["dcgan"])
