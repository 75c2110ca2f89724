import pytest
import torch
from torch import nn

from brushwork.errors import BrushworkError
from brushwork.gan import dcgan
from brushwork.gan.enlarger import Enlarger
from brushwork.gan.styled import (
    Discriminator,
    Generator,
    SkipLayerExcitation,
    StyledConfig,
    minibatch_deviation,
    with_enlarger,
)
from brushwork.gan.upsampling import UpsamplingConvolution


@pytest.mark.parametrize("side", [32, 64, 128, 256, 512])
@pytest.mark.parametrize("classes", [(), ("landscape", "portrait")])
@pytest.mark.parametrize("full_side", [True, False])
@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("upsampling", ["nearest", "dcgan"])
def test_one_config_class_serves_every_side_with_classes_or_without(
    side, classes, full_side, depth, upsampling
):
    shape = {"side": side, "latent_dim": 7, "width": 2, "full_side": full_side, "depth": depth}
    config = StyledConfig(**shape, classes=classes, upsampling=upsampling)
    y = torch.tensor([0, 1, 1]) if classes else None
    images = Generator(config)(torch.randn(3, 7), y)
    assert images.shape == (3, 3, side, side)
    assert images.abs().max() <= 1
    assert Discriminator(config)(images, y).shape == (3,)


@pytest.mark.parametrize(
    "wrong", [{"side": 48}, {"side": 1024}, {"width": 0}, {"width": 1}, {"latent_dim": 0}]
)
def test_a_size_out_of_range_is_an_error_that_names_it(wrong):
    ((name, value),) = wrong.items()
    with pytest.raises(BrushworkError, match=f"`{name}` is {value};"):
        StyledConfig(**wrong)


def test_each_network_is_less_than_twice_as_large_as_that_of_a_dcgan_of_its_width():
    config, dcgan_config = StyledConfig(width=32), dcgan.DCGANConfig(width=32)
    for network, dcgan_network in (
        (Generator(config), dcgan.Generator(dcgan_config)),
        (Discriminator(config), dcgan.Discriminator(dcgan_config)),
    ):
        size, dcgan_size = (
            sum(p.numel() for p in each.parameters()) for each in (network, dcgan_network)
        )
        assert size < 2 * dcgan_size


@pytest.mark.parametrize(
    ("upsampling", "repeating"),
    [("nearest", [0, 1, 2, 3]), ("mixed", [3]), ("transposed", [])],
)
def test_the_upsampling_decides_which_levels_repeat_pixels(upsampling, repeating):
    """The last one makes the level of the full side."""
    G = Generator(StyledConfig(side=64, width=4, upsampling=upsampling))
    kinds = [type(level.up) for level in G.levels]
    assert [i for i, kind in enumerate(kinds) if kind is UpsamplingConvolution] == repeating
    assert set(kinds) <= {UpsamplingConvolution, dcgan.DoublingConvolution}
    assert type(G.to_rgb) is nn.Conv2d


def test_the_upsampling_of_a_dcgan_has_its_layers():
    """Sides 4 to S / 2 have as many channels as in a DC-GAN, and the pixels are made alike."""
    config, dcgan_config = StyledConfig(width=4, upsampling="dcgan"), dcgan.DCGANConfig(width=4)
    G, dcgan_G = Generator(config), dcgan.Generator(dcgan_config)
    layers = [level.up for level in G.levels] + [G.to_rgb]
    theirs = [m for m in dcgan_G.modules() if isinstance(m, dcgan.DoublingConvolution)]
    assert [type(layer) for layer in layers] == [dcgan.DoublingConvolution] * len(theirs)
    assert [x.weight.shape for x in layers] == [x.weight.shape for x in theirs]
    assert config.num_levels == len(G.levels) + 1 == G.styles(torch.randn(1, 100)).shape[1]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"upsampling": "bilinear"}, "'bilinear'; choose from nearest, transposed, mixed, dcgan"),
        ({"depth": 3}, "`depth` is 3; it must be 1 or 2"),
    ],
)
def test_an_unknown_upsampling_or_depth_is_an_error_that_lists_the_known_ones(wrong, message):
    with pytest.raises(BrushworkError, match=message):
        StyledConfig(**wrong)


def test_each_level_uses_its_own_style():
    torch.manual_seed(0)
    G = Generator(StyledConfig(side=32, width=4)).eval()
    a, b = G.styles(torch.randn(2, 100))
    mixed_styles = [torch.cat([a[:i], b[i:]]) for i in range(len(a))]
    images = G.paint(torch.stack([a, *mixed_styles]))
    for mixed in images[1:]:
        assert not torch.equal(mixed, images[0])
    torch.testing.assert_close(G.paint(a[None]), images[:1])


def test_the_length_of_a_latent_does_not_change_the_image():
    torch.manual_seed(0)
    G, z = Generator(StyledConfig(side=32, width=2)).eval(), torch.randn(3, 100)
    torch.testing.assert_close(G(z), G(2.5 * z))


def test_the_class_label_changes_the_image_and_the_logit():
    torch.manual_seed(0)
    config = StyledConfig(side=32, width=4, classes=("a", "b"))
    G, D = Generator(config).eval(), Discriminator(config).eval()
    z, zeros, ones = torch.randn(4, 100), torch.zeros(4).long(), torch.ones(4).long()
    assert not torch.allclose(G(z, zeros), G(z, ones))
    x = torch.randn(4, 3, 32, 32)
    # Logits of two classes differ by the inner product of features and embedding difference.
    h, e = D.layers(x).mean((2, 3)), D.label.weight
    torch.testing.assert_close(D(x, ones) - D(x, zeros), h @ (e[1] - e[0]))


def test_the_discriminator_sees_the_contrast_of_a_whole_batch():
    """Batch normalisation cancels it, if a layer before it has no biases."""
    torch.manual_seed(0)
    x = torch.rand(8, 3, 32, 32) * 2 - 1
    D = Discriminator(StyledConfig(side=32, width=4))
    assert (D(x) - D(x / 4)).abs().max() > 0.1 * D(x).std()
    D.layers[0].bias.data.zero_()
    x = 1000 * x  # far above the small number that the normalisation adds to the variance
    torch.testing.assert_close(D(x), D(x / 4), rtol=1e-2, atol=1e-3)


def test_an_excitation_scales_channels_by_factors_between_0_and_2():
    coarse, fine = torch.randn(2, 3, 8, 8), torch.randn(2, 5, 32, 32)
    ratio = SkipLayerExcitation(3, 5, coarsest=(4, 4), is_coarsest=False)(coarse, fine) / fine
    assert ((ratio > 0) & (ratio < 2)).all()
    torch.testing.assert_close(ratio, ratio[:, :, :1, :1].expand_as(ratio), rtol=1e-4, atol=1e-5)


def test_identical_images_have_no_minibatch_deviation():
    h = torch.randn(1, 6, 4, 4).expand(8, -1, -1, -1)
    assert (minibatch_deviation(h) < 1e-3).all()
    h = torch.randn(8, 6, 4, 4)
    expected = h.view(2, 4, -1).std(1, correction=0).mean(1).repeat_interleave(4)
    torch.testing.assert_close(minibatch_deviation(h), expected)
    assert minibatch_deviation(torch.randn(5, 3)).shape == (
        5,
    )  # 5 images can only form groups of one


def test_halves_of_a_batch_form_the_same_groups_as_the_whole_batch():
    h = torch.randn(16, 6, 4, 4)
    halves = torch.cat([minibatch_deviation(half) for half in h.chunk(2)])
    torch.testing.assert_close(minibatch_deviation(h), halves)


@pytest.mark.parametrize("depth", [1, 2])
def test_gradients_reach_every_weight(depth):
    config = StyledConfig(side=64, width=2, classes=("a", "b"), depth=depth)
    G, D = Generator(config), Discriminator(config)
    y = torch.tensor([0, 1, 0, 1])
    D(G(torch.randn(4, 100), y), y).sum().backward()
    for net in (G, D):
        for name, parameter in net.named_parameters():
            assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name
    assert not any(isinstance(m, nn.MaxPool2d) for m in D.modules())


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_an_enlarger_stands_behind_the_generator(factor):
    torch.manual_seed(0)
    small = Generator(StyledConfig(side=32, width=4, classes=("a", "b"), aspect="3:2")).eval()
    enlarger = Enlarger(factor, width=6, size=(32, 48))
    for parameter in enlarger.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    whole = with_enlarger(small, enlarger).eval()
    assert whole.config.side == 32 * factor and whole.config.painted_side == 32
    assert whole.config.without_enlarger() == small.config
    z, y = torch.randn(3, 100), torch.tensor([0, 1, 0])
    images = whole(z, y)
    assert images.shape == (3, 3, 32 * factor, 48 * factor)
    torch.testing.assert_close(images, enlarger(small(z, y)).clamp(-1, 1))
    assert small.enlarger is None
    rebuilt = Generator(whole.config)
    rebuilt.load_state_dict(whole.state_dict())


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"side": 192, "enlargement": 3}, "`enlargement` is 3"),
        ({"side": 255, "enlargement": 4}, "no multiple of 4"),
        ({"side": 64, "enlargement": 4}, "`side` is 16"),
    ],
)
def test_an_enlargement_that_is_not_possible_is_an_error(wrong, words):
    with pytest.raises(BrushworkError, match=words):
        StyledConfig(**wrong)
