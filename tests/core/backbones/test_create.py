"""Networks by the names that timm and the Hugging Face Hub give them."""

import pytest
import timm
import torch

from brushwork.backbones.create import create_backbone, load_pretrained, registered_name, split_spec
from brushwork.errors import BrushworkError


@pytest.mark.parametrize(
    "name",
    [
        "test_resnet",
        "test_resnet.r160_in1k",
        "timm/test_resnet.r160_in1k",
        "hf_hub:timm/test_resnet.r160_in1k",
        "hf-hub:timm/test_resnet.r160_in1k",
        "hf-hub:timm/test_resnet.r160_in1k@main",
        "https://huggingface.co/timm/test_resnet.r160_in1k",
    ],
)
def test_a_network_of_timm_needs_no_hub(name, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    network = create_backbone(name, 3).eval()
    assert network(torch.zeros(1, 3, 32, 32)).shape == (1, 3)
    again = registered_name(name, network)
    assert again in ("test_resnet", "test_resnet.r160_in1k")


@pytest.mark.parametrize(
    "weights", ["hub", "resnet.pth", "C:\\nets\\resnet.pth", "runs/a:b.pth", ""]
)
@pytest.mark.parametrize(
    "name",
    [
        "resnet18",
        "timm/resnet18.a1_in1k",
        "hf_hub:timm/resnet18.a1_in1k",
        "hf-hub:timm/resnet18.a1_in1k@main",
        "HF_HUB:ann/painter",
        "https://huggingface.co/timm/resnet18.a1_in1k",
    ],
)
def test_a_name_on_the_hub_is_split_from_its_weights(name, weights):
    assert split_spec(f"{name}:{weights}") == (name, weights)
    assert split_spec(name) == (name, "")


@pytest.mark.parametrize("name", ["hf-hub:nobody/no-such-network", "nobody/no-such-network"])
def test_a_network_of_the_hub_that_cannot_be_downloaded_is_an_error(name, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(BrushworkError, match=f"cannot download the network {name} from the Hub"):
        create_backbone(name, 3)


def test_a_network_that_others_put_on_the_hub_is_saved_by_its_architecture(monkeypatch):
    """The checkpoint opens without the Hub."""
    found = {"mean": [0.5] * 3, "std": [0.5] * 3}, "test_resnet", {}
    monkeypatch.setattr("timm.models._factory.load_model_config_from_hf", lambda *_, **__: found)
    network = create_backbone("hf-hub:ann/painter", 3)
    assert registered_name("hf-hub:ann/painter", network) == "test_resnet"
    found[2]["stem_type"] = "deep"
    with pytest.raises(BrushworkError, match="needs timm's argument 'stem_type'"):
        create_backbone("hf-hub:ann/painter", 3)


@pytest.mark.parametrize("name", ["resnet18.a9_in1k", "timm/resnet18.a9_in1k"])
def test_an_unknown_tag_is_an_error_with_near_names(name):
    with pytest.raises(BrushworkError, match=r"timm has no weights .*did you mean .*resnet18\.a"):
        create_backbone(name, 3)


@pytest.mark.parametrize("name", ["", "resnet", "local-dir:runs/net", "C:\\nets\\resnet18", "a b"])
def test_names_that_are_none_are_one_sentence(name):
    with pytest.raises(BrushworkError, match="timm has no backbone"):
        create_backbone(name, 3)


def test_options_of_a_checkpoint_cannot_be_others_than_those_for_sides():
    with pytest.raises(BrushworkError, match="'checkpoint_path'"):
        create_backbone("test_resnet", 3, {"checkpoint_path": "/etc/passwd"})


def test_timm_fits_its_weights_to_the_options(monkeypatch):
    create_model, options = timm.create_model, {"img_size": 64}
    network = create_backbone("test_vit3", 2, options)
    trained = create_model("test_vit3", **options)

    def download(name, **asked):
        assert (name, asked) == ("test_vit3.r160_in1k", {"pretrained": True, **options})
        return trained

    monkeypatch.setattr(timm, "create_model", download)
    load_pretrained(network, "timm/test_vit3.r160_in1k", "hub", options)
    weights, expected = network.state_dict(), trained.state_dict()
    assert all(torch.equal(weights[k], t) for k, t in expected.items() if not k.startswith("head."))
    assert weights["head.weight"].shape[0] == 2
