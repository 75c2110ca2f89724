import pytest
import torch
from torch import nn
from torch.nn import functional as F

from brushwork.errors import BrushworkError
from brushwork.gan import dcgan
from brushwork.gan.dcgan import (
    DCGANConfig,
    Discriminator,
    FullConvolution,
    Generator,
    double,
    halve,
)


@pytest.mark.parametrize("side", [32, 64, 128, 256, 512])
def test_one_config_class_serves_every_side(side):
    config = DCGANConfig(side=side, latent_dim=7, width=2)
    images = Generator(config)(torch.randn(3, 7))
    assert images.shape == (3, 3, side, side)
    assert images.abs().max() <= 1
    assert Discriminator(config)(images).shape == (3,)


@pytest.mark.parametrize("wrong", [{"side": 48}, {"side": 1024}, {"width": 0}, {"latent_dim": 0}])
def test_a_size_out_of_range_is_an_error_that_names_it(wrong):
    ((name, value),) = wrong.items()
    with pytest.raises(BrushworkError, match=f"`{name}` is {value};"):
        DCGANConfig(**wrong)


def test_parameter_counts_equal_those_of_the_authors_code():
    # soumith/dcgan.torch and the PyTorch tutorial: ngf = ndf = 64 at 64 pixels.
    config = DCGANConfig(side=64, latent_dim=100, width=64)
    assert sum(p.numel() for p in Generator(config).parameters()) == 3_576_704
    assert sum(p.numel() for p in Discriminator(config).parameters()) == 2_765_568


def test_the_networks_follow_the_architecture_guidelines_of_the_paper():
    config = DCGANConfig(side=64, width=4)
    G, D = list(Generator(config).layers), list(Discriminator(config).layers)
    assert isinstance(G[-1], nn.Tanh) and isinstance(G[-2], nn.ConvTranspose2d)
    assert isinstance(D[1], nn.LeakyReLU) and D[1].negative_slope == 0.2
    assert sum(isinstance(m, nn.BatchNorm2d) for m in G) == 4
    assert sum(isinstance(m, nn.BatchNorm2d) for m in D) == 3
    assert not any(isinstance(m, nn.Linear | nn.MaxPool2d | nn.AvgPool2d) for m in [*G, *D])


def test_weights_are_initialised_with_a_deviation_of_0_02():
    torch.manual_seed(0)
    weights = Generator(DCGANConfig(width=16)).layers[3].weight
    assert weights.std().item() == pytest.approx(0.02, rel=0.02)
    assert weights.mean().item() == pytest.approx(0, abs=2e-4)


def test_a_full_convolution_is_a_convolution():
    torch.manual_seed(0)
    layer, x = FullConvolution(3, 5, 4), torch.randn(2, 3, 4, 4)
    torch.testing.assert_close(layer(x), nn.functional.conv2d(x, layer.weight, layer.bias))


def test_a_projection_is_a_transposed_convolution():
    torch.manual_seed(0)
    layer, x = dcgan.Projection(3, 5, (4, 6), bias=False), torch.randn(2, 3, 1, 1)
    torch.testing.assert_close(layer(x), F.conv_transpose2d(x, layer.weight))


@pytest.mark.parametrize(
    ("product", "convolution", "kernels"),
    [(halve, F.conv2d, (5, 3, 4, 4)), (double, F.conv_transpose2d, (3, 5, 4, 4))],
)
@pytest.mark.parametrize("size", [(8, 8), (4, 6), (2, 2)])
def test_a_product_is_the_convolution_with_its_first_and_second_gradients(
    product, convolution, kernels, size
):
    rng = torch.Generator().manual_seed(0)
    x, w = (torch.randn(s, generator=rng, dtype=torch.float64) for s in ((2, 3, *size), kernels))
    x, w = x.requires_grad_(), w.requires_grad_()
    results = []
    for y in (product(x, w), convolution(x, w, stride=2, padding=1)):
        gradients = torch.autograd.grad(y.square().sum(), [x, w], create_graph=True)
        norm = torch.cat([gradient.flatten() for gradient in gradients]).square().sum()
        second = torch.autograd.grad(norm, [x, w])
        results.append([y, *gradients, *second])
    torch.testing.assert_close(*results)


@pytest.mark.parametrize("side", [8, 16])
def test_networks_in_training_compute_small_maps_as_products(monkeypatch, side):
    used = []

    def watched(name, function):
        return lambda *arguments: used.append(name) or function(*arguments)

    for name in ("halve", "double"):
        monkeypatch.setattr(dcgan, name, watched(name, getattr(dcgan, name)))
    for layer, maps in (
        (dcgan.HalvingConvolution(3, 2), torch.ones(1, 3, side, side)),
        (dcgan.DoublingConvolution(3, 2), torch.ones(1, 3, side // 2, side // 2)),
    ):
        torch.testing.assert_close(layer(maps), layer.eval()(maps))
    assert used == (["halve", "double"] if side == 8 else [])
