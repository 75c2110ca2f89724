import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from brushwork.errors import BrushworkError
from brushwork.gan import backbone_discriminator, styled
from brushwork.gan.backbone_discriminator import HeadsConfig, frozen_backbone
from brushwork.gan.networks import build_networks


@pytest.fixture(scope="module")
def backbone():
    torch.manual_seed(0)
    return frozen_backbone("resnet18:none")


def Discriminator(config, backbone):
    own = styled.StyledConfig(side=config.side, width=2, classes=config.classes)
    return backbone_discriminator.BackboneDiscriminator(config, backbone, styled.Discriminator(own))


@pytest.mark.parametrize("side", [32, 64, 128])
@pytest.mark.parametrize("classes", [(), ("landscape", "portrait")])
def test_every_side_gets_a_logit_from_each_head_and_as_many_of_its_pixels(backbone, side, classes):
    D = Discriminator(HeadsConfig(side=side, width=4, classes=classes), backbone)
    y = torch.tensor([0, 1, 1]) if classes else None
    x = torch.randn(3, 3, side, side).clamp(-1, 1)
    logits = D(x, y)
    assert logits.shape == (3, 8)
    torch.testing.assert_close(logits[:, 4:], D.of_pixels(x, y)[:, None].expand(3, 4))


def test_the_backbone_and_the_mixtures_are_never_trained(backbone):
    D = Discriminator(HeadsConfig(side=32, width=4), backbone)
    before = {name: tensor.clone() for name, tensor in D.state_dict().items()}
    for _ in range(2):  # the training loop freezes D and lets it learn again
        D.requires_grad_(False)
        assert not any(p.requires_grad for p in D.parameters())
        D.requires_grad_(True)
    optimizer = torch.optim.Adam(D.parameters(), lr=0.1)
    D.train()(torch.randn(4, 3, 32, 32)).sum().backward()
    optimizer.step()
    changed = {name for name, tensor in D.state_dict().items() if not tensor.equal(before[name])}
    learn = ("heads.", "of_pixels.")
    assert changed and all(name.startswith(learn) for name in changed)
    trained = {name for name, p in D.named_parameters() if p.grad is not None}
    assert trained == {name for name, _ in D.named_parameters() if name.startswith(learn)}


def test_gradients_reach_every_pixel_through_the_frozen_backbone(backbone):
    D = Discriminator(HeadsConfig(side=32, width=4), backbone).requires_grad_(False)
    x = torch.randn(2, 3, 32, 32, requires_grad=True)
    D(x).sum().backward()
    assert (x.grad.abs() > 0).float().mean() > 0.99


def test_mixtures_go_from_coarse_to_fine(backbone):
    """By hand, with the backbone's own stages: Sauer et al. 2021, section 3.2 and figure 1."""
    D = backbone_discriminator.BackboneDiscriminator(
        HeadsConfig(96, 3), backbone, nn.Identity()
    ).eval()
    x = torch.rand(2, 3, 96, 96) * 2 - 1
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    seen = ((x + 1) / 2 - mean[:, None, None]) / std[:, None, None]
    net = D.backbone
    h = net.maxpool(net.act1(net.bn1(net.conv1(seen))))
    maps = [h := layer(h) for layer in (net.layer1, net.layer2, net.layer3, net.layer4)]
    below, expected = None, []
    for i in (3, 2, 1, 0):
        h = F.conv2d(maps[i], D.mix_channels[i].weight)
        if below is not None:
            h = (h + F.interpolate(below, scale_factor=2, mode="bilinear")) / math.sqrt(2)
        below = F.conv2d(h, D.mix_scales[i].weight, padding=1)
        expected.insert(0, below)
    for ours, theirs in zip(D.mixtures(x), expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3)


def test_labels_move_a_head_by_the_projection_of_its_features(backbone):
    D = Discriminator(HeadsConfig(side=32, width=4, classes=("a", "b")), backbone).eval()
    x, (zeros, ones) = (
        torch.randn(4, 3, 32, 32),
        torch.eye(2).long().argmax(1)[:, None].expand(2, 4),
    )
    difference = D(x, ones) - D(x, zeros)
    assert difference[:, 4:].abs().min() > 0  # pixels are judged by class too
    for i, (head, mixture) in enumerate(zip(D.heads, D.mixtures(x), strict=True)):
        h, e = head.layers(mixture).mean((2, 3)), head.label.weight
        torch.testing.assert_close(difference[:, i], h @ (e[1] - e[0]), rtol=1e-4, atol=1e-5)


def test_heads_are_spectrally_normalised(backbone):
    D = Discriminator(HeadsConfig(side=64, width=8), backbone).train()
    for _ in range(50):
        D(torch.randn(2, 3, 64, 64))
    for head in D.heads:
        for module in head.modules():
            if isinstance(module, nn.Conv2d):
                norm = torch.linalg.matrix_norm(module.weight.flatten(1), 2)
                torch.testing.assert_close(norm, torch.tensor(1.0), rtol=0.05, atol=0)


def test_heads_are_never_in_half_precision(backbone):
    D = Discriminator(HeadsConfig(side=32, width=4), backbone).eval()
    x = torch.randn(2, 3, 32, 32)
    with torch.autocast("cpu", torch.bfloat16):
        logits, mixtures = D(x), D.mixtures(x)
    assert {h.dtype for h in mixtures} == {torch.bfloat16}
    heads = [head(h.float(), None) for head, h in zip(D.heads, mixtures, strict=True)]
    assert logits.dtype == torch.float32 and logits[:, :4].equal(torch.stack(heads, 1))


@pytest.mark.parametrize("wrong", ["resnet18", "resnet99:none", "vit_tiny_patch16_224:none"])
def test_what_cannot_be_seen_with_is_refused_in_words(wrong):
    with pytest.raises(BrushworkError, match="backbone"):
        frozen_backbone(wrong)


def test_a_backbone_sees_beside_the_models_own_discriminator():
    G, D = build_networks("modern", 32, 4, ("a", "b", "c"), backbone="resnet18:none")
    y = torch.tensor([0, 2])
    assert D(G(torch.randn(2, 100), y), y).shape == (2, 8)
    assert D.config.classes == ("a", "b", "c")
