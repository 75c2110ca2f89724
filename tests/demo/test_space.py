"""A Space as a folder, and publishing to a stand-in for the Hub's HTTP API on this machine."""

import base64
import json
import re
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import yaml
from safetensors.torch import load

from brushwork.classifier.save import read_index
from brushwork.errors import BrushworkError
from brushwork_demo import space

GOOD_TOKEN = "hf_" + "a" * 34


class StandIn(BaseHTTPRequestHandler):
    """As much of the Hub as creating a repository and committing to it takes."""

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
    server = ThreadingHTTPServer(("127.0.0.1", 0), StandIn)
    server.url = f"http://127.0.0.1:{server.server_port}"
    server.repos, server.seen = {}, []
    threading.Thread(target=server.serve_forever, daemon=True).start()
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


def test_the_folder_says_how_a_space_runs_it(exported):
    front = yaml.safe_load((exported / "README.md").read_text().split("---")[1])
    assert front["sdk"] == "gradio" and front["sdk_version"].startswith("6.")
    assert front["python_version"] == "3.12.12"
    assert (exported / front["app_file"]).is_file()


def test_requirements_are_exact_and_hold_nothing_of_training_or_metrics(exported):
    pinned = dict(line.split("==") for line in (exported / "requirements.txt").read_text().split())
    assert {"gradio", "torch", "torchvision", "timm", "numpy", "av"} <= set(pinned)
    assert pinned["torch"] == "2.11.0"
    assert not {"brushwork", "clean-fid", "datasets", "accelerate", "scipy", "pot"} & set(pinned)


def test_the_sources_the_chosen_painter_and_the_bundled_classifier_lie_beside(exported):
    source = exported / "src"
    assert (source / "brushwork" / "generator.py").is_file()
    assert (source / "brushwork_demo" / "app.py").is_file()
    checkpoints = source / "brushwork_demo" / "checkpoints"
    assert {folder.name for folder in checkpoints.iterdir()} == {"artists", "meadows"}
    assert not list(exported.rglob("__pycache__"))


def test_a_chosen_classifier_comes_with_the_bundled_painters(classifier_folder, tmp_path):
    space.export(tmp_path / "new", classifier=str(classifier_folder))
    checkpoints = tmp_path / "new" / "src" / "brushwork_demo" / "checkpoints"
    names = {folder.name for folder in checkpoints.iterdir()}
    assert {"landscapes", "portraits"} < names and "artists" not in names


def test_an_export_replaces_an_older_one_and_nothing_else(exported, generator, tmp_path):
    (exported / "src" / "leftover.py").write_text("")
    space.export(exported, [generator])
    assert not (exported / "src" / "leftover.py").exists()
    (tmp_path / "diary.txt").write_text("dear diary")
    with pytest.raises(BrushworkError, match="holds something else than a Space"):
        space.export(tmp_path)
    assert (tmp_path / "diary.txt").read_text() == "dear diary"
    another = tmp_path / "another"
    (another / "src").mkdir(parents=True)
    (another / "README.md").write_text("---\nsdk: gradio\n---\n")
    with pytest.raises(BrushworkError, match="holds something else than a Space"):
        space.export(another)


def test_publishing_creates_a_space_and_then_brings_it_up_to_date(hub, generator):
    said = space.publish_space("painter/demo", [generator], private=True)
    assert said == f"published: {hub.url}/spaces/painter/demo"
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


def test_a_checkpoint_is_published_with_its_card(hub, generator):
    said = space.publish_model(generator, "painter/meadows")
    assert said == f"published: {hub.url}/painter/meadows"
    files = hub.repos["painter/meadows"]["files"]
    assert set(files) == {"config.json", "model.safetensors", "README.md"}
    assert b"A painting generator" in files["README.md"]


def test_a_classifier_is_published_without_the_pictures_it_learned_from(hub, classifier_folder):
    space.publish_model(str(classifier_folder), "painter/artists")
    files = hub.repos["painter/artists"]["files"]
    assert set(files) == {file.name for file in classifier_folder.iterdir()}
    index = load(files["index.safetensors"])
    assert not index["ends"].any() and len(index["ends"]) > 3
    assert read_index(classifier_folder)["ends"].any(), "what is published is a copy"


def test_a_dry_run_lists_the_files_and_sends_nothing(hub, generator):
    said = space.publish_space("painter/demo", [generator], dry_run=True)
    assert "requirements.txt" in said and "nothing was sent" in said
    said = space.publish_model(generator, "painter/meadows", dry_run=True)
    assert "model.safetensors" in said and "nothing was sent" in said
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
def test_a_name_that_is_not_user_and_name_is_refused_before_anything_is_sent(name, generator):
    with pytest.raises(BrushworkError, match="is not USER/NAME"):
        space.publish_space(name, [generator])


def test_the_exported_page_opens_without_what_only_training_or_metrics_need(exported):
    absent = ["accelerate", "cleanfid", "datasets", "matplotlib", "ot", "scipy", "tensorboard"]
    program = f"""
import sys
sys.modules.update(dict.fromkeys({absent}))
sys.path.insert(0, {str(exported / "src")!r})
from brushwork_demo import app, studio
assert studio.__file__.startswith({str(exported)!r})
app.build(studio.open_studio())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
