import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from brushwork.errors import BrushworkError
from brushwork.gan import styled
from brushwork.gan.backbone_discriminator import (
    BackboneDiscriminator,
    HeadsConfig,
    frozen_backbone,
)
from brushwork.gan.networks import build_networks


@pytest.fixture(scope="module")
def backbone():
    torch.manual_seed(0)
    return frozen_backbone("resnet18:none")


def make_discriminator(config, backbone):
    pixel_config = styled.StyledConfig(side=config.side, width=2, classes=config.classes)
    return BackboneDiscriminator(config, backbone, styled.Discriminator(pixel_config))


@pytest.mark.parametrize("side", [32, 64, 128])
@pytest.mark.parametrize("classes", [(), ("landscape", "portrait")])
def test_logits_are_one_from_each_head_and_the_pixel_logit_as_many_times(backbone, side, classes):
    D = make_discriminator(HeadsConfig(side=side, width=4, classes=classes), backbone)
    y = torch.tensor([0, 1, 1]) if classes else None
    x = torch.randn(3, 3, side, side).clamp(-1, 1)
    logits = D(x, y)
    assert logits.shape == (3, 8)
    torch.testing.assert_close(logits[:, 4:], D.of_pixels(x, y)[:, None].expand(3, 4))


def test_the_backbone_and_the_mixing_convolutions_are_never_trained(backbone):
    D = make_discriminator(HeadsConfig(side=32, width=4), backbone)
    before = {name: tensor.clone() for name, tensor in D.state_dict().items()}
    for _ in range(2):  # as the training loop freezes and unfreezes D
        D.requires_grad_(False)
        assert not any(p.requires_grad for p in D.parameters())
        D.requires_grad_(True)
    optimizer = torch.optim.Adam(D.parameters(), lr=0.1)
    D.train()(torch.randn(4, 3, 32, 32)).sum().backward()
    optimizer.step()
    changed = {name for name, tensor in D.state_dict().items() if not tensor.equal(before[name])}
    trainable = ("heads.", "of_pixels.")
    assert changed and all(name.startswith(trainable) for name in changed)
    trained = {name for name, p in D.named_parameters() if p.grad is not None}
    assert trained == {name for name, _ in D.named_parameters() if name.startswith(trainable)}


def test_gradients_reach_every_pixel_through_the_frozen_backbone(backbone):
    D = make_discriminator(HeadsConfig(side=32, width=4), backbone).requires_grad_(False)
    x = torch.randn(2, 3, 32, 32, requires_grad=True)
    D(x).sum().backward()
    assert (x.grad.abs() > 0).float().mean() > 0.99


def test_maps_are_mixed_from_coarse_to_fine(backbone):
    """Reference: Sauer et al. 2021, section 3.2 and figure 1, from the stages of the backbone."""
    D = BackboneDiscriminator(HeadsConfig(96, 3), backbone, nn.Identity()).eval()
    x = torch.rand(2, 3, 96, 96) * 2 - 1
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    normalised = ((x + 1) / 2 - mean[:, None, None]) / std[:, None, None]
    net = D.backbone
    h = net.maxpool(net.act1(net.bn1(net.conv1(normalised))))
    maps = [h := layer(h) for layer in (net.layer1, net.layer2, net.layer3, net.layer4)]
    coarser, expected = None, []
    for i in (3, 2, 1, 0):
        h = F.conv2d(maps[i], D.mix_channels[i].weight)
        if coarser is not None:
            h = (h + F.interpolate(coarser, scale_factor=2, mode="bilinear")) / math.sqrt(2)
        coarser = F.conv2d(h, D.mix_scales[i].weight, padding=1)
        expected.insert(0, coarser)
    for mixed, reference in zip(D.mixed_maps(x), expected, strict=True):
        torch.testing.assert_close(mixed, reference, rtol=1e-3, atol=1e-3)


def test_the_class_label_changes_a_heads_logit_by_the_class_projection(backbone):
    D = make_discriminator(HeadsConfig(side=32, width=4, classes=("a", "b")), backbone).eval()
    x, zeros, ones = torch.randn(4, 3, 32, 32), torch.zeros(4).long(), torch.ones(4).long()
    difference = D(x, ones) - D(x, zeros)
    assert difference[:, 4:].abs().min() > 0  # the pixel logit depends on the class, too
    for i, (head, mixed) in enumerate(zip(D.heads, D.mixed_maps(x), strict=True)):
        h, e = head.layers(mixed).mean((2, 3)), head.label.weight
        torch.testing.assert_close(difference[:, i], h @ (e[1] - e[0]), rtol=1e-4, atol=1e-5)


def test_heads_are_spectrally_normalised(backbone):
    D = make_discriminator(HeadsConfig(side=64, width=8), backbone).train()
    for _ in range(50):
        D(torch.randn(2, 3, 64, 64))
    for head in D.heads:
        for module in head.modules():
            if isinstance(module, nn.Conv2d):
                norm = torch.linalg.matrix_norm(module.weight.flatten(1), 2)
                torch.testing.assert_close(norm, torch.tensor(1.0), rtol=0.05, atol=0)


def test_heads_compute_in_float32_under_autocast(backbone):
    D = make_discriminator(HeadsConfig(side=32, width=4), backbone).eval()
    x = torch.randn(2, 3, 32, 32)
    with torch.autocast("cpu", torch.bfloat16):
        logits, mixed = D(x), D.mixed_maps(x)
    assert {h.dtype for h in mixed} == {torch.bfloat16}
    expected = [head(h.float(), None) for head, h in zip(D.heads, mixed, strict=True)]
    assert logits.dtype == torch.float32 and logits[:, :4].equal(torch.stack(expected, 1))


@pytest.mark.parametrize(
    "wrong", ["resnet18", "hf_hub:timm/resnet18", "resnet99:none", "vit_tiny_patch16_224:none"]
)
def test_an_unusable_backbone_is_an_error(wrong):
    with pytest.raises(BrushworkError, match="backbone"):
        frozen_backbone(wrong)


def test_a_backbone_may_have_its_name_on_the_hub():
    assert type(frozen_backbone("hf_hub:timm/resnet18.a1_in1k:none")).__name__ == "ResNet"


def test_build_networks_adds_a_backbone_to_the_models_own_discriminator():
    G, D = build_networks("modern", 32, 4, ("a", "b", "c"), backbone="resnet18:none")
    y = torch.tensor([0, 2])
    assert D(G(torch.randn(2, 100), y), y).shape == (2, 8)
    assert D.config.classes == ("a", "b", "c")
