import pytest
import torch

from brushwork.gan.upsampling import MIN_FOLDED_SIDE, UpsamplingConvolution


@pytest.mark.parametrize("side", [4, MIN_FOLDED_SIDE, 11])
def test_upsampling_and_convolution_in_one_are_the_two_layers(side):
    torch.manual_seed(0)
    layers = UpsamplingConvolution(3, 5).double()
    x = torch.randn(2, 3, side, side).double().requires_grad_()
    folded, one_by_one = layers(x), layers[1](layers[0](x))
    torch.testing.assert_close(folded, one_by_one)
    slopes = [
        torch.autograd.grad(y.square().sum(), [x, layers[1].weight]) for y in (folded, one_by_one)
    ]
    torch.testing.assert_close(*slopes)
