import pytest
import torch
from torch import nn

from brushwork.errors import BrushworkError
from brushwork.gan import dcgan
from brushwork.gan.styled import (
    Discriminator,
    Excitation,
    Generator,
    StyledConfig,
    batch_deviation,
)


@pytest.mark.parametrize("side", [32, 64, 128, 256])
@pytest.mark.parametrize("classes", [(), ("landscape", "portrait")])
def test_one_class_paints_every_side_with_labels_or_without(side, classes):
    config = StyledConfig(side=side, latent_dim=7, width=2, classes=classes)
    y = torch.tensor([0, 1, 1]) if classes else None
    images = Generator(config)(torch.randn(3, 7), y)
    assert images.shape == (3, 3, side, side)
    assert images.abs().max() <= 1
    assert Discriminator(config)(images, y).shape == (3,)


@pytest.mark.parametrize("wrong", [{"side": 48}, {"side": 512}, {"width": 0}, {"latent_dim": 0}])
def test_impossible_shapes_are_refused_in_words(wrong):
    with pytest.raises(BrushworkError):
        StyledConfig(**wrong)


def test_it_is_about_as_large_as_a_dcgan_of_its_width():
    ours, theirs = StyledConfig(width=32), dcgan.DCGANConfig(width=32)
    for mine, other in ((Generator, dcgan.Generator), (Discriminator, dcgan.Discriminator)):
        sizes = [sum(p.numel() for p in net.parameters()) for net in (mine(ours), other(theirs))]
        assert sizes[0] < 2 * sizes[1]


def test_every_level_has_a_style_of_its_own():
    torch.manual_seed(0)
    G = Generator(StyledConfig(side=32, width=4)).eval()
    a, b = G.styles(torch.randn(2, 100))
    pictures = G.paint(torch.stack([a, *(torch.cat([a[:i], b[i:]]) for i in range(len(a)))]))
    for mixed in pictures[1:]:
        assert not torch.equal(mixed, pictures[0])
    torch.testing.assert_close(G.paint(a[None]), pictures[:1])


def test_the_length_of_a_latent_does_not_matter():
    torch.manual_seed(0)
    G, z = Generator(StyledConfig(side=32, width=2)).eval(), torch.randn(3, 100)
    torch.testing.assert_close(G(z), G(2.5 * z))


def test_labels_change_the_picture_and_the_verdict():
    torch.manual_seed(0)
    config = StyledConfig(side=32, width=4, classes=("a", "b"))
    G, D = Generator(config).eval(), Discriminator(config).eval()
    z, (zeros, ones) = torch.randn(4, 100), torch.eye(2).long().argmax(1)[:, None].expand(-1, 4)
    assert not torch.allclose(G(z, zeros), G(z, ones))
    x = torch.randn(4, 3, 32, 32)
    # Inversion: the logits of two classes differ by <features, embedding difference>.
    h, e = D.layers(x).mean((2, 3)), D.label.weight
    torch.testing.assert_close(D(x, ones) - D(x, zeros), h @ (e[1] - e[0]))


def test_an_excitation_weighs_channels_between_none_and_double():
    low, high = torch.randn(2, 3, 8, 8), torch.randn(2, 5, 32, 32)
    ratio = Excitation(3, 5)(low, high) / high
    assert ((ratio > 0) & (ratio < 2)).all()
    torch.testing.assert_close(ratio, ratio[:, :, :1, :1].expand_as(ratio), rtol=1e-4, atol=1e-5)


def test_fakes_that_are_all_alike_deviate_by_nothing():
    h = torch.randn(1, 6, 4, 4).expand(8, -1, -1, -1)
    assert (batch_deviation(h) < 1e-3).all()
    h = torch.randn(8, 6, 4, 4)
    expected = h.view(2, 4, -1).std(1, correction=0).mean(1).repeat_interleave(4)
    torch.testing.assert_close(batch_deviation(h), expected)
    assert batch_deviation(torch.randn(5, 3)).shape == (5,)  # groups of one


def test_shares_of_a_batch_have_the_groups_of_the_whole():
    h = torch.randn(16, 6, 4, 4)
    halves = torch.cat([batch_deviation(half) for half in h.chunk(2)])
    torch.testing.assert_close(batch_deviation(h), halves)


def test_gradients_reach_every_weight():
    config = StyledConfig(side=64, width=2, classes=("a", "b"))
    G, D = Generator(config), Discriminator(config)
    y = torch.tensor([0, 1, 0, 1])
    D(G(torch.randn(4, 100), y), y).sum().backward()
    for net in (G, D):
        for name, parameter in net.named_parameters():
            assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name
    assert not any(isinstance(m, nn.MaxPool2d) for m in D.modules())
