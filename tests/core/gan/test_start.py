import shutil

import pytest
import torch
from safetensors.torch import save_file

from brushwork.errors import BrushworkError
from brushwork.gan.dcgan import DCGANConfig, Generator
from brushwork.gan.generator import PaintingGenerator
from brushwork.gan.networks import build_networks
from brushwork.gan.save import save_generator
from brushwork.gan.start import initialise_from
from brushwork.training.run import STATE
from brushwork.training.state import pack

TRAINING = {
    "data": "synthetic", "num_paintings": 9, "fingerprint": "abc", "batch_size": 8, "seed": 0,
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("run") / "generator"
    save_generator(Generator(DCGANConfig(side=32, width=4)), folder, TRAINING, 10, "averaged")
    return folder


def save_state(run, G, D):
    state = pack({"G": G, "D": D}, {})
    save_file({k: v.contiguous() for k, v in state.items()}, run / STATE)


def initialised(start, model="dcgan", side=32, width=4, backbone="", classes=()):
    torch.manual_seed(1)
    G, D = build_networks(model, side, width, classes, backbone)
    initialise_from(start, G, D)
    return G, D


def assert_same_weights(a, b):
    for name, value in a.state_dict().items():
        assert torch.equal(value, b.state_dict()[name]), name


def test_a_checkpoint_initialises_the_generator_alone(folder):
    G, D = initialised(folder)
    assert_same_weights(G, PaintingGenerator.from_pretrained(folder).network)
    torch.manual_seed(1)
    assert_same_weights(D, build_networks("dcgan", 32, 4)[1])


def test_a_run_initialises_both_networks(tmp_path, folder):
    shutil.copytree(folder, tmp_path / "generator")
    trained = build_networks("dcgan", 32, 4)
    save_state(tmp_path, *trained)
    for ours, theirs in zip(initialised(tmp_path), trained, strict=True):
        assert_same_weights(ours, theirs)


@pytest.mark.parametrize(
    ("settings", "difference"),
    [
        ({"side": 64}, r"\(side 32, not 64\)"),
        ({"width": 8}, r"\(width 4, not 8\)"),
        ({"side": 64, "width": 8}, r"\(side 32, not 64; width 4, not 8\)"),
        ({"model": "modern"}, r"\(model 'dcgan', not 'modern'\)"),
    ],
)
def test_a_checkpoint_of_another_model_is_an_error(folder, settings, difference):
    message = f"cannot start from {folder}: its model differs {difference}"
    with pytest.raises(BrushworkError, match=message):
        initialised(folder, **settings)


def test_a_bundled_generator_initialises_by_its_name():
    G, _ = initialised("portraits", "modern", side=64, width=32)
    assert_same_weights(G, PaintingGenerator.from_pretrained("portraits").network)


def test_a_run_that_does_not_exist_is_an_error():
    with pytest.raises(BrushworkError, match="no-such-run"):
        initialised("no-such-run")


def test_a_run_with_another_discriminator_is_an_error(tmp_path, folder):
    shutil.copytree(folder, tmp_path / "generator")
    save_state(tmp_path, *build_networks("dcgan", 32, 4))
    with pytest.raises(BrushworkError, match="pass the `backbone` that the run was trained with"):
        initialised(tmp_path, backbone="resnet18:none")


def test_networks_with_classes_start_from_networks_without_classes(tmp_path):
    classes = ("sea", "sun")
    trained = build_networks("modern", 32, 4)
    save_generator(trained[0], tmp_path / "generator", TRAINING, 10, "averaged")
    save_state(tmp_path, *trained)
    torch.manual_seed(1)
    new = build_networks("modern", 32, 4, classes)
    from_run = initialised(tmp_path, "modern", classes=classes)
    from_checkpoint = initialised(tmp_path / "generator", "modern", classes=classes)
    networks = (*from_run, *from_checkpoint)
    for ours, expected in zip(networks, (*trained, trained[0], new[1]), strict=True):
        assert_same_weights(expected, ours)
    # The embeddings of the classes keep their random values.
    for ours, random in zip(networks, (*new, *new), strict=True):
        assert torch.equal(ours.label.weight, random.label.weight)


def test_networks_without_classes_cannot_start_from_networks_with_classes(tmp_path):
    G, _ = build_networks("modern", 32, 4, ("sea", "sun"))
    save_generator(G, tmp_path / "generator", TRAINING, 10, "averaged")
    with pytest.raises(BrushworkError, match=r"classes \('sea', 'sun'\), not \(\)"):
        initialised(tmp_path / "generator", "modern")


def test_networks_with_the_same_classes_start_with_their_embeddings(tmp_path):
    G, D = build_networks("modern", 32, 4, ("sea", "sun"))
    save_generator(G, tmp_path / "generator", TRAINING, 10, "averaged")
    save_state(tmp_path, G, D)
    for ours, theirs in zip(
        initialised(tmp_path, "modern", classes=("sea", "sun")), (G, D), strict=True
    ):
        assert_same_weights(ours, theirs)
