"""The exported folder of a Space, and publishing to a local server with the Hub's HTTP API."""

import base64
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
import yaml
from safetensors.torch import load

import brushwork
import brushwork_demo
from brushwork.classifier.save import read_index
from brushwork.errors import BrushworkError
from brushwork_demo import space
from brushwork_demo.__main__ import main
from brushwork_demo.network import url_host

GOOD_TOKEN = "hf_" + "a" * 34


class LocalHub(BaseHTTPRequestHandler):
    """The requests of the Hub's API that create a repository and commit to it."""

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.answer(None)

    def do_POST(self):
        self.answer(self.rfile.read(int(self.headers["content-length"])))

    def answer(self, body):
        hub = self.server
        hub.seen.append((self.command, self.path))
        if self.headers.get("authorization") != f"Bearer {GOOD_TOKEN}":
            self.reply(401, {"error": "Invalid credentials in Authorization header"})
        elif self.path == "/api/repos/create":
            asked = json.loads(body)
            name = f"{asked.get('organization') or 'painter'}/{asked['name']}"
            if asked.get("organization") == "museum":
                self.reply(403, {"error": "You don't have the rights to create this"})
            elif name in hub.repos:
                self.reply(409, {"error": "exists", "url": f"{hub.url}/{name}"})
            else:
                hub.repos[name] = {"asked": asked, "files": {}}
                self.reply(200, {"url": f"{hub.url}/spaces/{name}"})
        elif found := re.match(r"/api/(?:spaces|models)/([^/]+/[^/?]+)/?(\w*)", self.path):
            self.of_repository(found[1], found[2], body)
        else:
            self.reply(200, {"name": "painter", "type": "user", "orgs": []})

    def of_repository(self, name, deed, body):
        if name not in self.server.repos:
            self.reply(404, {"error": "Repository not found"})
            return
        files = self.server.repos[name]["files"]
        if deed == "preupload":
            asked = json.loads(body)["files"]
            plain = [{"uploadMode": "regular", "shouldIgnore": False}] * len(asked)
            told = [{"path": a["path"], **p} for a, p in zip(asked, plain, strict=True)]
            self.reply(200, {"files": told})
        elif deed == "commit":
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
                elif line["key"] == "deletedFile":
                    del files[line["value"]["path"]]
            self.reply(200, {"commitUrl": f"{self.server.url}/c/1", "commitOid": "1" * 40})
        elif deed == "tree":
            entries = [
                {"type": "file", "path": path, "size": len(content), "oid": "0" * 40}
                for path, content in files.items()
            ]
            self.reply(200, entries)
        else:
            siblings = [{"rfilename": path} for path in files]
            self.reply(200, {"id": name, "sha": "1" * 40, "siblings": siblings, "private": False})

    def reply(self, status, content):
        self.send_response(status)
        payload = json.dumps(content).encode()
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(payload)))
        if status >= 400:
            self.send_header("x-error-message", content["error"])
        self.end_headers()
        self.wfile.write(payload)


@pytest.fixture
def hub(monkeypatch):
    server = ThreadingHTTPServer(("127.0.0.1", 0), LocalHub)
    server.url = f"http://127.0.0.1:{server.server_port}"
    server.repos, server.seen = {}, []
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    point_at(monkeypatch, server.url, GOOD_TOKEN)
    yield server
    server.shutdown()
    server.server_close()


def point_at(monkeypatch, url, token):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", url)
    monkeypatch.setenv("HF_TOKEN", token)


@pytest.fixture(scope="module")
def generator(run_folder):
    return str(run_folder / "generator")


@pytest.fixture(scope="module")
def exported(generator, tmp_path_factory):
    folder = tmp_path_factory.mktemp("space") / "new"
    space.export(folder, [generator])
    return folder


def test_the_front_matter_tells_the_hub_how_to_run_the_space(exported):
    front = yaml.safe_load((exported / "README.md").read_text().split("---")[1])
    assert front["sdk"] == "gradio" and front["sdk_version"].startswith("6.")
    assert front["python_version"] == "3.12.12"
    assert front["title"] == "brushwork"
    assert front["emoji"] == "🎨" and "gan" in front["tags"]
    assert (exported / front["app_file"]).is_file()


def test_requirements_are_pinned_and_have_no_package_for_training_or_metrics(exported):
    pinned = dict(line.split("==") for line in (exported / "requirements.txt").read_text().split())
    assert {"gradio", "torch", "torchvision", "timm", "numpy", "av"} <= set(pinned)
    assert pinned["torch"] == "2.11.0"
    assert not {"brushwork", "clean-fid", "datasets", "accelerate", "scipy", "pot"} & set(pinned)


def test_the_licence_of_a_space_is_that_of_its_checkpoints(exported):
    """Their training paintings, not the licence of the source code, limit their use."""
    front = yaml.safe_load((exported / "README.md").read_text().split("---")[1])
    assert front["license"] == "other"
    assert front["license_name"] == "depends-on-the-training-paintings"


def test_an_open_licence_is_stated_if_all_cards_state_it(tmp_path):
    cards = [tmp_path / name for name in ("a.md", "b.md", "c.md")]
    for card, text in zip(cards, ("license: cc0-1.0", "license: cc0-1.0", "license: mit"),
                          strict=True):  # fmt: skip
        card.write_text(f"---\n{text}\n---\n# Model\n")
    assert space.licence(cards[:2]) == {"license": "cc0-1.0"}
    unclear = {"license": "other", "license_name": "see-the-model-cards"}
    assert space.licence(cards) == space.licence([]) == unclear
    cards[1].write_text("# no front matter\n")
    assert space.licence(cards[:2]) == unclear


@dataclass(frozen=True)
class Installed:
    """Packages that are installed on an imaginary machine, with another Python than the Space's."""

    packages: dict

    def metadata(self, name):
        try:
            version, pythons, _ = self.packages[name]
        except KeyError:
            raise PackageNotFoundError(name) from None
        return SimpleNamespace(json={"version": version, "requires_python": pythons})

    def requires(self, name):
        return self.packages[name][2]


PACKAGES = {
    "brushwork-demo": ("0.1", ">=3.11", ["brushwork[video]", "gradio<7"]),
    "brushwork": ("0.1", ">=3.11", ['av>=10; extra == "video"', 'scipy; extra == "metrics"']),
    "av": ("14.0", ">=3.9", []),
    "gradio": ("6.31.0+local", None, [
        'audioop-lts<1; python_version >= "3.13"',
        'only-old>=2; python_version < "3.13"',
        'pywin32; sys_platform == "win32"',
        "newest>=1,!=1.5",
    ]),
    "newest": ("2.0", ">=3.13", ["part-of-newest"]),
    "audioop-lts": ("0.2", ">=3.13", []),
}  # fmt: skip


@pytest.fixture
def python_313(monkeypatch):
    """An export from Python 3.13, without the packages that only Python 3.12 needs."""
    needed = space._is_needed

    def is_needed(need, extras, environment=None):
        return needed(need, extras, environment or {"python_version": "3.13"})

    monkeypatch.setattr(space, "_is_needed", is_needed)
    packages = dict(PACKAGES)
    installed = Installed(packages)
    monkeypatch.setattr(space, "metadata", installed.metadata)
    monkeypatch.setattr(space, "requires", installed.requires)
    return packages


@pytest.mark.usefixtures("python_313")
def test_requirements_are_those_of_the_python_of_a_space():
    assert space.pinned_requirements() == [
        "av==14.0",
        "gradio==6.31.0",
        "newest!=1.5,>=1",
        "only-old>=2",
        "torch==2.11.0",
        "torchvision==0.26.0",
    ]


def test_a_package_that_is_not_installed_is_named(python_313):
    del python_313["av"]
    with pytest.raises(BrushworkError, match="av is not installed, so its version"):
        space.pinned_requirements()


def test_an_export_has_both_packages_the_chosen_generator_and_the_bundled_classifier(exported):
    source = exported / "src"
    assert (source / "brushwork" / "gan" / "generator.py").is_file()
    assert (source / "brushwork_demo" / "app.py").is_file()
    checkpoints = source / "brushwork_demo" / "checkpoints"
    assert {folder.name for folder in checkpoints.iterdir()} == {"artists", "meadows"}
    assert not list(exported.rglob("__pycache__"))


def test_an_export_has_the_files_of_the_packages_that_are_not_code(exported):
    for package, files in (
        (brushwork, ["*/templates/*", "py.typed"]),
        (brushwork_demo, ["py.typed"]),
    ):
        home = Path(package.__file__).parent
        needed = {file.relative_to(home) for pattern in files for file in home.glob(pattern)}
        assert needed
        assert all((exported / "src" / home.name / file).is_file() for file in needed)


def test_a_chosen_classifier_is_exported_with_the_bundled_generators(classifier_folder, tmp_path):
    space.export(tmp_path / "new", classifier=str(classifier_folder))
    checkpoints = tmp_path / "new" / "src" / "brushwork_demo" / "checkpoints"
    names = {folder.name for folder in checkpoints.iterdir()}
    assert {"landscapes", "portraits"} < names and "artists" not in names


def test_an_export_replaces_an_older_export_and_no_other_folder(exported, generator, tmp_path):
    (exported / "src" / "leftover.py").write_text("")
    space.export(exported, [generator])
    assert not (exported / "src" / "leftover.py").exists()
    (tmp_path / "diary.txt").write_text("dear diary")
    with pytest.raises(BrushworkError, match="is not an exported Space"):
        space.export(tmp_path)
    assert (tmp_path / "diary.txt").read_text() == "dear diary"
    another = tmp_path / "another"
    (another / "src").mkdir(parents=True)
    (another / "README.md").write_text("---\nsdk: gradio\n---\n")
    with pytest.raises(BrushworkError, match="is not an exported Space"):
        space.export(another)


def test_an_export_can_be_made_of_a_checkpoint_in_the_older_export(generator, tmp_path):
    space.export(tmp_path / "new", [generator])
    mine = tmp_path / "new/src/brushwork_demo/checkpoints/meadows"
    weights = (mine / "model.safetensors").read_bytes()
    (tmp_path / "new/notes.md").write_text("the owner's own")
    space.export(tmp_path / "new", [str(mine)])
    assert (mine / "model.safetensors").read_bytes() == weights
    assert (tmp_path / "new/notes.md").is_file()


@pytest.mark.parametrize(
    ("generators", "classifier"), [(["typo"], None), ([], "typo"), ([], ""), (["artists"], None)]
)
def test_an_export_that_fails_leaves_the_older_one(
    generator, tmp_path, monkeypatch, generators, classifier
):
    monkeypatch.chdir(tmp_path)
    space.export("new", [generator])
    before = sorted(tmp_path.rglob("*"))
    for folder in ("new", "another"):
        with pytest.raises(BrushworkError, match=r"no checkpoint|is not a generator"):
            space.export(folder, generators, classifier)
    assert sorted(tmp_path.rglob("*")) == before


def test_publishing_creates_a_space_and_then_updates_it(hub, generator):
    message = space.publish_space("painter/demo", [generator], private=True)
    assert message == f"published: {hub.url}/spaces/painter/demo"
    repo = hub.repos["painter/demo"]
    assert repo["asked"]["type"] == "space" and repo["asked"]["sdk"] == "gradio"
    assert repo["asked"].get("private") or repo["asked"].get("visibility") == "private"
    assert b"sdk_version" in repo["files"]["README.md"]
    weights = "src/brushwork_demo/checkpoints/meadows/model.safetensors"
    assert weights in repo["files"]

    repo["files"]["src/brushwork/gone.py"] = b"old"
    repo["files"]["notes.md"] = b"the owner's own"
    space.publish_space("painter/demo", [generator])
    assert "src/brushwork/gone.py" not in repo["files"]
    assert repo["files"]["notes.md"] == b"the owner's own"


def test_a_static_page_is_published_as_a_static_space(hub, exports, page_engine, monkeypatch):
    assert page_engine.is_file()
    # The binaries are large, and this server takes them as text.
    monkeypatch.setattr("brushwork_demo.static_page.ENGINE_FILES", ("ort.wasm.min.mjs",))
    chosen = ["--generator", str(exports["modern"]), "--classifier", str(exports["classifier"])]
    main(["space", "publish", "painter/static", "--static", *chosen])
    repo = hub.repos["painter/static"]
    assert repo["asked"]["sdk"] == "static"
    names = {"index.html", "ort/ort.wasm.min.mjs", "models/modern/generator.onnx"}
    assert names | {"models/classifier/classifier.onnx", "models.json"} <= repo["files"].keys()
    front = yaml.safe_load(repo["files"]["README.md"].decode().split("---")[1])
    assert front["sdk"] == "static" and front["app_file"] == "index.html"
    assert front["custom_headers"]["cross-origin-opener-policy"] == "same-origin"

    repo["files"]["models/gone/generator.onnx"] = b"old"
    main(["space", "publish", "painter/static", "--static", *chosen])
    assert "models/gone/generator.onnx" not in repo["files"]
    with pytest.raises(BrushworkError, match="a static Space has no hardware"):
        space.publish_space("painter/static", static=True, hardware="zero-a10g")


def test_a_checkpoint_is_published_with_its_model_card(hub, generator):
    message = space.publish_model(generator, "painter/meadows")
    assert message == f"published: {hub.url}/painter/meadows"
    files = hub.repos["painter/meadows"]["files"]
    assert set(files) == {"config.json", "model.safetensors", "README.md"}
    assert files["README.md"] == Path(generator, "README.md").read_bytes()
    assert b"library_name: brushwork" in files["README.md"]


def test_a_classifier_is_published_without_thumbnails_of_its_training_paintings(
    hub, classifier_folder
):
    space.publish_model(str(classifier_folder), "painter/artists")
    files = hub.repos["painter/artists"]["files"]
    assert set(files) == {file.name for file in classifier_folder.iterdir()}
    index = load(files["index.safetensors"])
    assert not index["ends"].any() and len(index["ends"]) > 3
    assert read_index(classifier_folder)["ends"].any(), "the checkpoint itself is not changed"


def test_a_dry_run_lists_the_files_and_sends_nothing(hub, generator):
    message = space.publish_space("painter/demo", [generator], dry_run=True)
    assert "requirements.txt" in message and "nothing was sent" in message
    message = space.publish_model(generator, "painter/meadows", dry_run=True)
    assert "model.safetensors" in message and "nothing was sent" in message
    assert not hub.seen


def test_a_wrong_token_is_explained(hub, generator, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_" + "b" * 34)
    with pytest.raises(BrushworkError, match="token is wrong or has expired: make a new one"):
        space.publish_model(generator, "painter/meadows")
    assert not hub.repos


@pytest.mark.usefixtures("hub")
def test_no_token_is_explained(generator, monkeypatch, tmp_path):
    from huggingface_hub import constants

    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "none"))
    with pytest.raises(BrushworkError, match="there is no token: make one with write access"):
        space.publish_model(generator, "painter/meadows")


@pytest.mark.usefixtures("hub")
def test_a_token_without_rights_is_explained(generator):
    with pytest.raises(BrushworkError, match="the token may not write to 'museum'"):
        space.publish_space("museum/demo", [generator])


def test_no_network_is_explained(generator, monkeypatch):
    point_at(monkeypatch, "http://127.0.0.1:9", GOOD_TOKEN)
    with pytest.raises(
        BrushworkError, match=r"cannot reach http://127\.0\.0\.1:9 .*check the network"
    ):
        space.publish_model(generator, "painter/meadows")


@pytest.mark.parametrize("name", ["demo", "a/b/c", "../demo", "painter/", "mé/🎨"])
def test_a_name_that_is_not_user_and_name_is_refused(name, generator):
    with pytest.raises(BrushworkError, match="is not USER/NAME"):
        space.publish_space(name, [generator])


@dataclass(frozen=True)
class StoppedPage:
    """What a page answered, and how it ended after a signal to stop."""

    status: int
    exit_code: int
    output: str
    errors: str
    files_left: list[str]


@pytest.fixture(scope="module")
def stopped_page(exported, loopback, tmp_path_factory):
    """The exported page with a password, without some packages, stopped while it warms up.

    It listens on an IPv6 address if the machine has one.
    """
    absent = ["accelerate", "cleanfid", "datasets", "matplotlib", "ot", "scipy", "tensorboard"]
    app = str(exported / "app.py")
    program = f"""
import runpy, sys
sys.modules.update(dict.fromkeys({absent}))
sys.argv = [{app!r}, "--auth", "ann:secret"]
runpy.run_path({app!r}, run_name="__main__")
print(sys.modules["brushwork_demo.app"].__file__, sys.modules["brushwork"].__file__)
"""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    temporary = tmp_path_factory.mktemp("temporary")
    environment = os.environ | {
        "TMPDIR": str(temporary),
        "GRADIO_SERVER_NAME": loopback,
        "GRADIO_SERVER_PORT": str(port),
    }
    command = [sys.executable, "-c", program]
    page = subprocess.Popen(command, stdout=-1, stderr=-1, text=True, env=environment)
    try:
        status = None
        while status in (None, 503):  # the small page that stands there during the start
            assert page.poll() is None, page.communicate()
            try:
                url = f"http://{url_host(loopback)}:{port}/gradio_api/info"
                status = httpx.get(url, timeout=60).status_code
            except httpx.TransportError:
                pass
            time.sleep(0.1)
        page.send_signal(signal.SIGTERM)
        output, errors = page.communicate(timeout=120)
    finally:
        page.kill()
    left = [file.name for file in temporary.iterdir()]
    return StoppedPage(
        status=status,
        exit_code=page.returncode,
        output=output,
        errors=errors,
        files_left=left,
    )


def test_the_exported_page_opens_without_the_packages_for_training_and_metrics(
    stopped_page, exported
):
    assert "Error" not in stopped_page.errors
    printed = stopped_page.output.splitlines()  # the messages of the page too, in any order
    lines = [line.split() for line in printed if line[:1] not in ("", "*")]
    (sources,) = lines
    assert len(sources) == 2
    assert all(Path(source).is_relative_to(exported) for source in sources)


def test_a_page_with_a_password_refuses_a_visitor_without_it(stopped_page):
    assert stopped_page.status == 401


@pytest.mark.skipif(os.name != "posix", reason="the signals are POSIX signals")
def test_a_page_that_warms_up_stops_at_a_signal_and_deletes_its_files(stopped_page):
    assert stopped_page.exit_code == 0
    assert "Traceback" not in stopped_page.errors
    assert not stopped_page.files_left
