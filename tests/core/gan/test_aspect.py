"""Pictures that are no squares, with tiny networks.

The fixture `checkpoints` has a generator of wide pictures, too: export, runtime and page.
"""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from brushwork.errors import BrushworkError
from brushwork.gan.dcgan import DCGANConfig
from brushwork.gan.generator import PaintingGenerator
from brushwork.gan.invert import invert
from brushwork.gan.networks import build_networks
from brushwork.gan.save import save_generator
from brushwork.gan.start import initialise_from
from brushwork.gan.styled import StyledConfig
from brushwork.training.ema import refresh_statistics
from brushwork.training.run import STATE
from brushwork.training.state import pack

TRAINING = {
    "data": "synthetic", "num_paintings": 9, "fingerprint": "abc", "batch_size": 8, "seed": 0,
}  # fmt: skip
SIZES = {"3:2": (32, 48), "2:3": (48, 32)}
CLASSES = ("sea", "sun")


def networks(model, aspect, backbone="", width=4):
    torch.manual_seed(0)
    classes = CLASSES if model == "modern" else ()
    G, D = build_networks(model, 32, width, classes, backbone, aspect)
    refresh_statistics(G, [(torch.randn(8, 100), torch.arange(8) % 2)])  # else all are grey
    return G, D


@pytest.fixture(scope="module", params=["dcgan", "modern"])
def model(request):
    return request.param


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    """A run of wide pictures: the generator, and the state with both networks."""
    run = tmp_path_factory.mktemp(model)
    G, D = networks(model, "3:2")
    save_generator(G, run / "generator", TRAINING, 10, "averaged")
    state = pack({"G": G, "D": D}, {})
    save_file({name: value.contiguous() for name, value in state.items()}, run / STATE)
    return run


@pytest.mark.parametrize("backbone", ["", "test_resnet:none"])
@pytest.mark.parametrize("aspect", SIZES)
def test_networks_make_and_take_pictures_of_the_aspect(model, aspect, backbone):
    G, D = networks(model, aspect, backbone)
    y = torch.tensor([0, 1])
    images = G(torch.randn(2, 100), y)
    assert images.shape == (2, 3, *SIZES[aspect])
    images.retain_grad()
    logits = D(images, y)
    assert logits.shape == ((2, 8) if backbone else (2,))
    logits.sum().backward()
    assert images.grad is not None and (images.grad.abs().sum((0, 1)) > 0).all()  # of every pixel


@pytest.mark.parametrize("config", [DCGANConfig, StyledConfig])
def test_another_aspect_is_an_error(config):
    with pytest.raises(BrushworkError, match="`aspect` is '4:3'; choose one of 1:1, 3:2, 2:3"):
        config(aspect="4:3")


def test_a_checkpoint_opens_with_its_aspect_and_an_older_one_is_square(model, folder, tmp_path):
    generator = PaintingGenerator.from_pretrained(folder)
    assert (generator.side, generator.height, generator.width) == (32, 32, 48)
    assert generator.sample(1)[0].size == (48, 32)
    assert generator.sample(2, to="array").shape == (2, 32, 48, 3)
    assert "48 x 32 pixels" in (folder / "generator/README.md").read_text()

    square, _ = networks(model, "1:1")
    save_generator(square, tmp_path, TRAINING, 10, "averaged")
    expected = PaintingGenerator.from_pretrained(tmp_path).sample(2, to="array")
    config = json.loads((tmp_path / "config.json").read_text())
    del config["model"]["aspect"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    older = PaintingGenerator.from_pretrained(tmp_path)
    assert older.aspect == "1:1"
    assert np.array_equal(older.sample(2, to="array"), expected)


def test_another_aspect_is_initialised_with_the_tensors_that_fit(model, folder):
    G, D = networks(model, "2:3")
    copied = initialise_from(folder, G, D)
    assert 0.5 * copied.total < copied.num < copied.total
    trained = PaintingGenerator.from_pretrained(folder).network.state_dict()
    other = {name for name, value in G.state_dict().items() if value.shape != trained[name].shape}
    same = {name for name, value in G.state_dict().items() if value.equal(trained[name])}
    coarsest = ("layers.0.", "start.", "excitations.")
    assert all(name.startswith(coarsest) for name in trained.keys() - same)
    assert other <= trained.keys() - same
    assert G(torch.randn(2, 100), torch.tensor([0, 1])).shape == (2, 3, 48, 32)


def test_an_inversion_has_the_proportions_of_the_generator(folder):
    generator = PaintingGenerator.from_pretrained(folder)
    given = Image.new("RGB", (50, 90), "teal")
    assert invert(generator, given, steps=2).picture.size == (48, 32)
