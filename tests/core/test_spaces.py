"""Feature spaces by name: what opens, what is refused in words, and that names must differ."""

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file

from brushwork import spaces
from brushwork.errors import BrushworkError
from brushwork.metrics.features import INCEPTION_FILE, extract, timm_space
from brushwork.spaces import check_names, open_space


def test_pixels_have_the_named_side():
    assert (open_space("pixels").side, open_space("pixels:8").side) == (32, 8)
    assert open_space("pixels:8").name == "pixels"
    assert (open_space("texture").side, open_space("texture:128").side) == (64, 128)


def test_an_architecture_with_weights_is_its_timm_space(tmp_path):
    torch.manual_seed(0)
    weights = tmp_path / "resnet.safetensors"
    save_file(timm.create_model("test_resnet", pretrained=False).state_dict(), weights)
    images = np.random.default_rng(0).integers(0, 256, (3, 40, 40, 3), dtype=np.uint8)
    direct = timm_space("test_resnet", weights)
    for name in ("test_resnet", "timm/test_resnet", "hf_hub:timm/test_resnet"):
        by_name = open_space(f"{name}:{weights}")
        assert (by_name.name, by_name.key) == ("test_resnet", direct.key)
        assert torch.equal(extract(images, by_name).features, extract(images, direct).features)


@pytest.mark.parametrize("name", ["clip", "dinov2"])
def test_networks_on_the_hub_open_by_name_and_with_a_file(name, monkeypatch):
    calls = []
    monkeypatch.setattr(spaces, name, lambda *args, **options: calls.append((*args, options)))
    open_space(name, fetch=True)
    open_space(f"{name}:C:/weights.safetensors")
    assert calls == [
        (None, {"fetch": True, "device": "cpu"}),
        ("C:/weights.safetensors", {"fetch": False, "device": "cpu"}),
    ]


@pytest.mark.parametrize(
    "spec",
    [
        "",
        "pixel",
        "pixels:0",
        "pixels:x",
        "texture:8",
        "resnet10t",
        "artist",
        "hf_hub:timm/resnet18.a1_in1k",
    ],
)
def test_an_unknown_space_is_refused_and_the_known_ones_are_named(spec):
    with pytest.raises(BrushworkError, match=r"no feature space .*artist:CLASSIFIER"):
        open_space(spec)


def test_inception_is_not_downloaded_unless_asked_for(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "download_url_to_file", lambda *_, **__: pytest.fail("download"))
    monkeypatch.setenv("BRUSHWORK_CACHE", str(tmp_path))
    with pytest.raises(BrushworkError, match=f"{INCEPTION_FILE}; set `fetch`"):
        open_space("inception")


def test_spaces_of_one_report_have_different_names():
    check_names(["pixels", "artist"])
    with pytest.raises(BrushworkError, match="have the name artist"):
        check_names(["artist", "pixels", "artist"])
