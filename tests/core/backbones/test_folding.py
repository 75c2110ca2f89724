"""Folding batch norms changes the speed and nothing else."""

import pytest
import timm
import torch
from torch import nn

from brushwork.backbones.folding import fold_batch_norms


def trained(architecture: str) -> nn.Module:
    """With statistics as training leaves them, so that a wrong fold would be seen."""
    torch.manual_seed(0)
    model = timm.create_model(architecture, pretrained=False, num_classes=5)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None and module.running_var is not None
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 2)
            nn.init.normal_(module.bias)
    return model.eval()


def num_norms(model: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in model.modules())


@pytest.mark.parametrize(
    "architecture", ["resnet10t", "tf_efficientnet_lite0", "mobilenetv3_small_050"]
)
def test_the_folded_network_is_the_same_and_has_no_norms(architecture):
    model, x = trained(architecture), torch.randn(2, 3, 64, 64)
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    folded = fold_batch_norms(model, x)
    assert num_norms(folded) == 0 < num_norms(model)
    y = torch.randn(3, 3, 96, 96)
    with torch.no_grad():
        for output in ("forward", "forward_features"):
            a, b = (getattr(network, output)(y) for network in (folded, model))
            assert (a - b).abs().max() < 1e-3 * b.abs().max()
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())


def test_norms_before_their_convolutions_are_left_alone():
    model = trained("densenet121")
    assert fold_batch_norms(model, torch.randn(1, 3, 64, 64)) is model


def test_a_network_without_norms_stays_as_it_is():
    x = torch.randn(1, 3, 224, 224)
    model = timm.create_model("vit_tiny_patch16_224", pretrained=False).eval()
    with torch.no_grad():
        assert torch.equal(fold_batch_norms(model, x)(x), model(x))
