import hashlib
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import yaml
from huggingface_hub import DatasetCardData, EvalResult, ModelCard, ModelCardData
from safetensors.torch import save_file, save_model
from torch import nn

from brushwork import ArtistClassifier, PaintingGenerator, checkpoint
from brushwork.errors import BrushworkError

BUNDLED = Path(__file__).parents[2] / "packages/demo/src/brushwork_demo/checkpoints"
CONFIGS = sorted(BUNDLED.rglob("config.json"))
GENERATORS = [c.parent for c in CONFIGS if "artists" not in json.loads(c.read_text())]
CLASSIFIERS = [c.parent for c in CONFIGS if c.parent not in GENERATORS]


def name_of(folder):
    return str(folder.relative_to(BUNDLED))


def digest(folder):
    return hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()


def test_round_trip_is_exact(tmp_path):
    model = nn.Conv2d(3, 5, 3).to(memory_format=torch.channels_last)
    checkpoint.save(model, tmp_path / "model", {"name": "Élève"}, "# card\n")
    assert sorted(f.name for f in (tmp_path / "model").iterdir()) == [
        "README.md", "config.json", "model.safetensors",
    ]  # fmt: skip
    again = nn.Conv2d(3, 5, 3)
    folder = checkpoint.locate(tmp_path / "model")
    checkpoint.load_weights(again, folder)
    assert all(
        torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True)
    )
    assert checkpoint.load_config(folder) == {"name": "Élève", "weights_sha256": digest(folder)}


def test_saving_again_replaces_the_folder_and_leaves_nothing_else(tmp_path):
    for value in (1, 2):
        checkpoint.save(nn.Linear(2, 2), tmp_path / "model", {"value": value}, "")
    assert checkpoint.load_config(tmp_path / "model")["value"] == 2
    assert [f.name for f in tmp_path.iterdir()] == ["model"]


def test_an_older_checkpoint_stays_when_writing_fails(tmp_path, monkeypatch):
    def no_space(*_):
        raise OSError("no space left on device")

    checkpoint.save(nn.Linear(2, 2), tmp_path / "model", {"value": 1}, "first")
    monkeypatch.setattr(checkpoint, "write_text", no_space)
    with pytest.raises(BrushworkError, match=r"cannot write the checkpoint .*: no space left"):
        checkpoint.save(nn.Linear(2, 2), tmp_path / "model", {"value": 2}, "second")
    assert checkpoint.load_config(tmp_path / "model")["value"] == 1
    assert (tmp_path / "model" / "README.md").read_text() == "first"
    checkpoint.load_weights(nn.Linear(2, 2), tmp_path / "model")


def test_updating_the_config_leaves_the_weights_alone(tmp_path):
    checkpoint.save(nn.Linear(2, 2), tmp_path, {"value": 1}, "first")
    before = (tmp_path / "model.safetensors").read_bytes()
    checkpoint.update_config(tmp_path, {"value": 2}, "second")
    assert checkpoint.load_config(tmp_path) == {"value": 2, "weights_sha256": digest(tmp_path)}
    assert (tmp_path / "README.md").read_text() == "second"
    assert (tmp_path / "model.safetensors").read_bytes() == before


def test_half_precision_weights_load_into_a_float32_model(tmp_path):
    half = nn.Linear(4, 4).half()
    checkpoint.save(half, tmp_path / "model", {}, "")
    full = nn.Linear(4, 4)
    checkpoint.load_weights(full, tmp_path / "model")
    assert full.weight.dtype == torch.float32
    assert torch.equal(full.weight.half(), half.weight)


def test_weights_that_do_not_fit_the_model_are_an_error(tmp_path):
    checkpoint.save(nn.Linear(4, 4), tmp_path / "model", {}, "")
    with pytest.raises(BrushworkError, match="does not fit"):
        checkpoint.load_weights(nn.Linear(4, 5), tmp_path / "model")
    with pytest.raises(BrushworkError, match="does not fit"):
        checkpoint.load_weights(nn.Sequential(nn.Linear(4, 4)), tmp_path / "model")


@pytest.mark.parametrize("broken", [b"", b"\x80\x04pickle", b"\x10" + b"\0" * 30])
def test_broken_weights_are_an_error(tmp_path, broken):
    checkpoint.save(nn.Linear(4, 4), tmp_path / "model", {}, "")
    (tmp_path / "model" / "model.safetensors").write_bytes(broken)
    with pytest.raises(BrushworkError):
        checkpoint.load_weights(nn.Linear(4, 4), tmp_path / "model")


def test_changed_weights_are_refused_and_old_checkpoints_without_a_digest_open(tmp_path):
    checkpoint.save(nn.Linear(4, 4), tmp_path / "model", {"value": 1}, "")
    save_model(nn.Linear(4, 4), str(tmp_path / "model/model.safetensors"))  # other weights
    with pytest.raises(BrushworkError, match="has changed since it was saved"):
        checkpoint.load_weights(nn.Linear(4, 4), tmp_path / "model")
    (tmp_path / "model/config.json").write_text('{"value": 1}')
    checkpoint.load_weights(nn.Linear(4, 4), tmp_path / "model")


def test_a_missing_tensor_is_refused_whether_or_not_there_is_a_digest(tmp_path):
    checkpoint.save(nn.Linear(4, 4), tmp_path / "model", {}, "")
    save_file({"weight": torch.zeros(4, 4)}, tmp_path / "model/model.safetensors")
    with pytest.raises(BrushworkError, match="has changed"):
        checkpoint.load_weights(nn.Linear(4, 4), tmp_path / "model")
    (tmp_path / "model/config.json").write_text("{}")
    with pytest.raises(BrushworkError, match="bias"):
        checkpoint.load_weights(nn.Linear(4, 4), tmp_path / "model")


@pytest.mark.parametrize(
    ("config", "match"), [({}, "lacks the key 'side'"), ({"side": "64"}, "'64' for 'side'")]
)
def test_a_missing_or_mistyped_key_is_named(tmp_path, config, match):
    with pytest.raises(BrushworkError, match=match):
        checkpoint.require_keys(config, tmp_path, {"side": int})


@pytest.mark.parametrize("text", ["", "[]", "{", json.dumps("no")])
def test_a_broken_config_is_an_error(tmp_path, text):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(BrushworkError, match=r"config\.json"):
        checkpoint.load_config(tmp_path)


def test_a_folder_without_a_checkpoint_suggests_the_one_inside(tmp_path):
    checkpoint.save(nn.Linear(1, 1), tmp_path / "model", {}, "")
    with pytest.raises(BrushworkError, match="did you mean"):
        checkpoint.locate(tmp_path)
    for nowhere in (tmp_path / "nowhere", "nowhere", "a/b/c"):
        with pytest.raises(BrushworkError, match="no checkpoint folder"):
            checkpoint.locate(nowhere)


def test_a_bundled_checkpoint_is_found_by_its_name_unless_a_folder_has_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert checkpoint.locate("landscapes") == BUNDLED / "landscapes"
    assert {folder.name for folder in BUNDLED.iterdir()} == checkpoint.bundled_checkpoints().keys()
    checkpoint.save(nn.Linear(1, 1), tmp_path / "landscapes", {}, "")
    assert checkpoint.locate("landscapes").resolve() == tmp_path / "landscapes"
    (tmp_path / "landscapes/config.json").unlink()
    with pytest.raises(BrushworkError, match=f"the bundled model of this name is in {BUNDLED}"):
        checkpoint.locate("landscapes")


def test_a_bundled_checkpoint_that_is_being_written_is_not_listed(tmp_path, monkeypatch):
    for name in ("ready", ".half.new"):
        checkpoint.save(nn.Linear(1, 1), tmp_path / "checkpoints" / name, {}, "")
    demo = SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    monkeypatch.setattr(checkpoint, "find_spec", lambda _name: demo)
    assert checkpoint.bundled_checkpoints() == {"ready": tmp_path / "checkpoints/ready"}


def test_a_misspelt_name_lists_the_bundled_ones_without_the_hub(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.snapshot_download", None)
    with pytest.raises(BrushworkError) as raised:
        checkpoint.locate("landscape")
    assert "(did you mean landscapes?)" in str(raised.value)
    assert all(folder.name in str(raised.value) for folder in BUNDLED.iterdir())


def test_without_the_demo_a_name_is_one_sentence_that_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "brushwork_demo", None)  # as if it were not installed
    for opened in (PaintingGenerator.from_pretrained, ArtistClassifier.from_pretrained):
        with pytest.raises(BrushworkError, match=r"no checkpoint folder landscapes; .*install bru"):
            opened("landscapes")
    with pytest.raises(BrushworkError, match=r"no classifier is given.*install it, or pass the"):
        ArtistClassifier.from_pretrained()


def test_models_open_by_name_without_an_import_of_the_demo(forked):
    code = """
import sys
from brushwork import ArtistClassifier, PaintingGenerator
print(PaintingGenerator.from_pretrained("portraits").side)
print(len(ArtistClassifier.from_pretrained().artists))
print("brushwork_demo" in sys.modules)
"""
    done = forked.run("-c", code, without=())
    assert done.stdout.split() == ["128", "40", "False"], done.stderr


@pytest.mark.parametrize("part", ["generator", "classifier"])
def test_the_folder_of_a_run_leads_to_its_checkpoint(tmp_path, part):
    (tmp_path / "config.json").write_text("{}")  # the run's own settings
    checkpoint.save(nn.Linear(1, 1), tmp_path / part, {}, "")
    assert checkpoint.locate(tmp_path) == tmp_path / part


@pytest.mark.parametrize("name", ["runs/gna", "{folder}/gna", "a b/c", "./model", "weights"])
def test_a_misspelt_folder_is_not_looked_for_on_the_hub(tmp_path, monkeypatch, name):
    monkeypatch.setattr("huggingface_hub.snapshot_download", None)
    monkeypatch.chdir(tmp_path)
    checkpoint.save(nn.Linear(1, 1), tmp_path / "models/gan", {}, "")
    (tmp_path / "weights").write_text("")
    with pytest.raises(BrushworkError, match="no checkpoint folder"):
        checkpoint.locate(name.format(folder="models"))


def test_a_misspelt_folder_suggests_the_one_beside_it(tmp_path):
    checkpoint.save(nn.Linear(1, 1), tmp_path / "monet", {}, "")
    checkpoint.save(nn.Linear(1, 1), tmp_path / "landscapes", {}, "")
    with pytest.raises(BrushworkError, match=f"did you mean {tmp_path}/landscapes"):
        checkpoint.locate(tmp_path / "landscpaes")


def test_the_hub_has_seconds_to_answer(monkeypatch, tmp_path):
    asked = {}

    def download(name, **settings):
        asked[name] = settings
        raise OSError

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    with pytest.raises(BrushworkError, match="from the Hub"):
        checkpoint.locate("ann/painter")
    assert asked["ann/painter"]["etag_timeout"] <= 10


def test_a_hub_model_that_cannot_be_downloaded_is_an_error(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(BrushworkError, match="from the Hub"):
        checkpoint.locate("nobody/no-such-model-in-any-cache")


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BrushworkError, match="cannot write"):
        checkpoint.save(nn.Linear(1, 1), tmp_path / "file" / "model", {}, "")


def test_paths_of_the_author_are_shortened_or_left_out(tmp_path):
    training = {
        "out": "/home/ann/runs/a",
        "teacher": ("/home/ann/runs/a/classifier", "ann/b"),
        "weights": "/home/ann/Downloads/resnet18.pth",
        "backbone": "resnet18:/home/ann/Downloads/resnet18.pth",
        "start": "/home/ann/Monet: late works/run",
        "eval_space": "pixels",
        "seed": 3,
    }
    checkpoint.save(nn.Linear(2, 2), tmp_path / "model", {"training": training}, "")
    assert checkpoint.load_config(tmp_path / "model")["training"] == {
        "teacher": ["a/classifier", "ann/b"],
        "weights": "Downloads/resnet18.pth",
        "backbone": "resnet18:Downloads/resnet18.pth",
        "start": "Monet: late works/run",
        "eval_space": "pixels",
        "seed": 3,
    }


@pytest.mark.parametrize("kind", [ModelCardData, DatasetCardData])
@pytest.mark.parametrize(
    "name", ["Monet: late works", "2024", "the \"old\" 'master'", "# - [Élève]"]
)
def test_a_card_with_any_name_parses(kind, name):
    card = checkpoint.card(kind(license="mit", tags=[name], pretty_name=name), f"# {name}\n---\n")
    start, front_matter, text = card.split("---\n", 2)
    assert start == ""
    assert yaml.safe_load(front_matter) == {"license": "mit", "tags": [name], "pretty_name": name}
    assert text == f"# {name}\n---\n"


def test_results_of_a_card_are_read_back():
    result = EvalResult("image-classification", "folder", "Monet: 1900", "accuracy", 0.5)
    data = ModelCardData(model_name="2024", eval_results=[result])
    assert ModelCard(checkpoint.card(data, "# text\n")).data.eval_results == [result]


@pytest.mark.parametrize("folder", GENERATORS, ids=name_of)
def test_a_bundled_generator_makes_a_picture(folder):
    generator = PaintingGenerator.from_pretrained(folder)
    (picture,) = generator.sample(1, to="array")
    assert picture.shape == (generator.side, generator.side, 3)
    assert picture.std() > 10  # not one colour


@pytest.mark.parametrize("folder", CLASSIFIERS, ids=name_of)
def test_a_bundled_classifier_opens_and_answers(folder):
    (picture,) = PaintingGenerator.from_pretrained(BUNDLED / "landscapes").sample(1)
    classifier = ArtistClassifier.from_pretrained(folder)
    answer = classifier.identify(picture)
    assert answer.candidates[0].artist in classifier.artists
    assert 0 < answer.none < 1 and answer.style and answer.decade


def test_all_bundled_checkpoints_are_among_these():
    assert {folder.name for folder in BUNDLED.iterdir()} <= {
        folder.name for folder in (*GENERATORS, *CLASSIFIERS)
    }
    assert CLASSIFIERS
