import copy

import pytest
import torch
from torch import nn

from brushwork.errors import BrushworkError
from brushwork.training.precision import choose_precision, depthwise_in_float32


@pytest.mark.parametrize(("capability", "chosen"), [("avx512_bf16", "bf16"), ("avx2", "no")])
def test_auto_is_bf16_only_where_the_processor_has_it(monkeypatch, capability, chosen):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {capability: True})
    assert choose_precision("auto") == chosen


def test_depthwise_convolutions_compute_in_float32_where_gradients_pass():
    torch.manual_seed(0)
    plain, x = nn.Conv2d(8, 8, 3, groups=8), torch.randn(2, 8, 6, 6, requires_grad=True)
    network = depthwise_in_float32(nn.Sequential(copy.deepcopy(plain)))
    average = copy.deepcopy(network)  # as trainings make one
    average[0].weight.data.zero_()
    with torch.autocast("cpu", torch.bfloat16):
        y, constant = network(x), average(x)
        without_gradient = network(x.detach())
    assert y.dtype == without_gradient.dtype == torch.bfloat16
    assert y.equal(plain(x).to(torch.bfloat16))
    assert constant.equal(plain.bias.to(torch.bfloat16)[:, None, None].expand_as(constant))
    weights = torch.randn_like(y)
    (got,) = torch.autograd.grad((y * weights).sum(), x)
    (expected,) = torch.autograd.grad((plain(x) * weights.float()).sum(), x)
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)


def test_other_convolutions_and_other_arithmetic_stay_as_they_are():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(4, 8, 1), nn.Conv2d(8, 8, 3, groups=8), nn.Conv2d(8, 8, 1))
    x = torch.randn(2, 4, 6, 6)
    before = network(x)
    assert depthwise_in_float32(network)(x).equal(before)
    with torch.autocast("cpu", torch.bfloat16):
        assert network[0](x).equal(nn.Conv2d.forward(network[0], x))


def test_fp16_without_a_gpu_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(BrushworkError, match="needs a GPU"):
        choose_precision("fp16")


def test_an_explicit_precision_is_kept():
    assert choose_precision("no") == "no"
    assert choose_precision("bf16") == "bf16"
