import json

import pytest
import torch
from torch import nn

from brushwork import checkpoint
from brushwork.errors import BrushworkError


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
    assert checkpoint.load_config(folder) == {"name": "Élève"}


def test_saving_again_replaces_the_folder_and_leaves_nothing_else(tmp_path):
    for value in (1, 2):
        checkpoint.save(nn.Linear(2, 2), tmp_path / "model", {"value": value}, "")
    assert checkpoint.load_config(tmp_path / "model") == {"value": 2}
    assert [f.name for f in tmp_path.iterdir()] == ["model"]


def test_half_precision_weights_load_into_a_float32_model(tmp_path):
    half = nn.Linear(4, 4).half()
    checkpoint.save(half, tmp_path / "model", {}, "")
    full = nn.Linear(4, 4)
    checkpoint.load_weights(full, tmp_path / "model")
    assert full.weight.dtype == torch.float32
    assert torch.equal(full.weight.half(), half.weight)


def test_what_does_not_fit_is_refused_in_words(tmp_path):
    checkpoint.save(nn.Linear(4, 4), tmp_path / "model", {}, "")
    with pytest.raises(BrushworkError, match="does not fit"):
        checkpoint.load_weights(nn.Linear(4, 5), tmp_path / "model")
    with pytest.raises(BrushworkError, match="does not fit"):
        checkpoint.load_weights(nn.Sequential(nn.Linear(4, 4)), tmp_path / "model")


@pytest.mark.parametrize("broken", [b"", b"\x80\x04pickle", b"\x10" + b"\0" * 30])
def test_broken_weights_are_refused_in_words(tmp_path, broken):
    checkpoint.save(nn.Linear(4, 4), tmp_path / "model", {}, "")
    (tmp_path / "model" / "model.safetensors").write_bytes(broken)
    with pytest.raises(BrushworkError):
        checkpoint.load_weights(nn.Linear(4, 4), tmp_path / "model")


@pytest.mark.parametrize("text", ["", "[]", "{", json.dumps("no")])
def test_broken_config_is_refused_in_words(tmp_path, text):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(BrushworkError, match=r"config\.json"):
        checkpoint.load_config(tmp_path)


def test_a_folder_without_checkpoint_names_the_one_inside(tmp_path):
    checkpoint.save(nn.Linear(1, 1), tmp_path / "model", {}, "")
    with pytest.raises(BrushworkError, match="did you mean"):
        checkpoint.locate(tmp_path)
    for nowhere in (tmp_path / "nowhere", "nowhere", "a/b/c"):
        with pytest.raises(BrushworkError, match="no checkpoint folder"):
            checkpoint.locate(nowhere)


@pytest.mark.parametrize("part", ["generator", "classifier"])
def test_the_folder_of_a_run_leads_to_what_it_trained(tmp_path, part):
    (tmp_path / "config.json").write_text("{}")  # the run's own settings
    checkpoint.save(nn.Linear(1, 1), tmp_path / part, {}, "")
    assert checkpoint.locate(tmp_path) == tmp_path / part


def test_a_hub_name_that_cannot_be_had_is_one_sentence(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(BrushworkError, match="from the Hub"):
        checkpoint.locate("nobody/no-such-model-in-any-cache")


def test_an_unwritable_place_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BrushworkError, match="cannot write"):
        checkpoint.save(nn.Linear(1, 1), tmp_path / "file" / "model", {}, "")


def test_where_things_lay_is_not_told(tmp_path):
    training = {
        "out": "/home/ann/runs/a",
        "teacher": "/home/ann/runs/a/classifier",
        "weights": "/home/ann/Downloads/resnet18.pth",
        "backbone": "resnet18:/home/ann/Downloads/resnet18.pth",
        "seed": 3,
    }
    checkpoint.save(nn.Linear(2, 2), tmp_path / "model", {"training": training}, "")
    assert checkpoint.load_config(tmp_path / "model")["training"] == {
        "teacher": "a/classifier",
        "weights": "Downloads/resnet18.pth",
        "backbone": "resnet18:Downloads/resnet18.pth",
        "seed": 3,
    }
