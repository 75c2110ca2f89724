import pytest

from brushwork.gan.networks import build_networks
from brushwork.gan.optimizer import gan_adam


@pytest.mark.parametrize("model", ["dcgan", "modern"])
def test_a_narrow_network_has_a_higher_learning_rate(model):
    for network in build_networks(model, 32, 16):
        (group,) = gan_adam(network, 2e-4).param_groups
        assert group["lr"] == pytest.approx(8e-4)
        assert {id(p) for p in group["params"]} == {id(p) for p in network.parameters()}


def test_heads_and_pixel_discriminator_have_the_learning_rates_of_their_widths():
    _, D = build_networks("modern", 32, 16, backbone="resnet18:none")
    heads, pixels = gan_adam(D, 2e-4).param_groups
    assert D.config.width == 64
    assert (heads["lr"], pixels["lr"]) == pytest.approx((2e-4, 8e-4))
    trainable = {id(p) for p in D.parameters() if p.requires_grad}
    assert {id(p) for p in heads["params"] + pixels["params"]} == trainable
