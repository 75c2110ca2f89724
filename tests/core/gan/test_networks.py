import pytest

from brushwork.checkpoint import GENERATORS
from brushwork.errors import BrushworkError
from brushwork.gan.networks import ARCHITECTURES, architecture_of, build_networks


@pytest.mark.parametrize("model", sorted(ARCHITECTURES))
def test_the_architecture_of_a_built_generator_is_its_model(model):
    G, D = build_networks(model, side=32, width=2)
    assert architecture_of(G) == model
    assert isinstance(D, ARCHITECTURES[model].discriminator)


def test_a_dcgan_with_classes_is_an_error_that_names_the_parameters():
    with pytest.raises(BrushworkError, match="`condition` needs `model` modern"):
        build_networks("dcgan", side=32, width=2, classes=("landscape", "portrait"))


@pytest.mark.parametrize(("name", "value"), [("depth", 2), ("upsampling", "mixed")])
def test_a_dcgan_with_a_setting_of_the_modern_gan_is_an_error(name, value):
    with pytest.raises(BrushworkError, match=f"`{name}` needs `model` modern"):
        build_networks("dcgan", side=32, width=2, **{name: value})


def test_checkpoints_of_every_architecture_are_told_from_classifiers():
    assert set(GENERATORS) == set(ARCHITECTURES)
