import numpy as np
import pytest
import torch

from brushwork.backbones import create
from brushwork.backbones.create import create_backbone, input_statistics, load_pretrained
from brushwork.classifier import network as classifier
from brushwork.errors import BrushworkError


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return create_backbone("test_resnet", 5).eval()


def test_an_unknown_backbone_is_an_error_with_near_names():
    with pytest.raises(BrushworkError, match=r"did you mean .*resnet18"):
        create_backbone("resnet_18", 5)


def test_weights_that_cannot_be_downloaded_name_the_alternatives(network, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")

    def offline(*_, **__):
        raise OSError("no network")

    monkeypatch.setattr(create.timm, "create_model", offline)
    with pytest.raises(BrushworkError, match="`weights`"):
        load_pretrained(network, "test_resnet", "hub")


def test_normalised_pixels_are_the_backbones(network):
    images = torch.randint(0, 256, (2, 3, 8, 8), dtype=torch.uint8)
    mean, std = input_statistics(network)
    shape = (1, 3, 1, 1)
    expected = (images / 255 - torch.tensor(mean).view(shape)) / torch.tensor(std).view(shape)
    torch.testing.assert_close(classifier.normalise(images, mean, std), expected)


def test_predictions_in_batches_are_the_logits_and_features_of_the_network(network):
    pixels = np.random.default_rng(0).integers(0, 256, (7, 64, 64, 3), dtype=np.uint8)
    rows = np.array([6, 1, 3])
    mean, std = input_statistics(network)
    logits, features, statistics = classifier.predict_rows(
        network, pixels, rows, mean, std, batch_size=2
    )
    x = classifier.normalise(torch.from_numpy(pixels[rows]).permute(0, 3, 1, 2), mean, std)
    with torch.inference_mode():
        torch.testing.assert_close(logits, network(x), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(network.get_classifier()(features), logits, rtol=1e-4, atol=1e-5)
    mirrored, both = (
        classifier.predict_rows(network, images.copy(), rows, mean, std, num_views=2)
        for images in (pixels[:, :, ::-1], pixels)
    )
    torch.testing.assert_close(tuple(mirrored), tuple(both), rtol=1e-4, atol=1e-5)
    with torch.no_grad():
        stages = network.forward_intermediates(x, intermediates_only=True)
    by_hand = [
        np.concatenate([stage.numpy().mean((2, 3)), stage.numpy().std((2, 3))], axis=1)
        for stage in stages
    ]
    np.testing.assert_allclose(statistics, np.concatenate(by_hand, axis=1), rtol=1e-3, atol=1e-5)


def test_channel_statistics_of_a_transformer_are_those_of_its_last_block():
    vit = create_backbone("test_vit", 5).eval()
    mean, std = input_statistics(vit)
    images = torch.zeros(2, 3, 160, 160, dtype=torch.uint8)
    with torch.no_grad():
        predictions = classifier.predict(vit, images, mean, std)
        logits = vit(classifier.normalise(images, mean, std))
    torch.testing.assert_close(predictions.logits, logits, rtol=1e-4, atol=1e-5)
    assert predictions.channel_statistics.shape == (2, 2 * vit.num_features)


def test_grad_cam_of_a_linear_head_is_the_weighted_sum_of_its_maps(network):
    """After average pooling the gradient of a logit is its head's weights over the area."""
    x = torch.randn(1, 3, 96, 96)
    with torch.no_grad():
        maps = network.forward_features(x)[0]
    weights = network.get_classifier().weight[2].detach() / maps[0].numel()
    expected = (weights[:, None, None] * maps).sum(0).relu()
    torch.testing.assert_close(classifier.grad_cam(network, x, 2), expected, rtol=1e-4, atol=1e-7)


def test_grad_cam_of_a_transformer_is_an_error():
    vit = create_backbone("test_vit", 5).eval()
    with pytest.raises(BrushworkError, match="use a convolutional backbone"):
        classifier.grad_cam(vit, torch.randn(1, 3, 160, 160), 0)


def test_the_heat_map_of_channels_last_is_that_of_channels_first(monkeypatch):
    """MambaOut has its channels last; with a head for channels first the answer is the same."""
    network = create_backbone("test_mambaout", 5).eval()
    x = torch.randn(1, 3, 64, 64)
    heat = classifier.grad_cam(network, x, 2)
    features, head = network.forward_features, network.forward_head
    monkeypatch.setattr(network, "forward_features", lambda x: features(x).permute(0, 3, 1, 2))
    monkeypatch.setattr(network, "forward_head", lambda maps: head(maps.permute(0, 2, 3, 1)))
    torch.testing.assert_close(classifier.grad_cam(network, x, 2), heat)
    assert heat.shape == (2, 2)


def test_the_logits_of_two_heads_are_the_mean_of_both():
    network = create_backbone("deit_tiny_distilled_patch16_224", 5).eval()
    mean, std = input_statistics(network)
    images = torch.randint(0, 256, (2, 3, 224, 224), dtype=torch.uint8)
    with torch.no_grad():
        tokens = network.forward_features(classifier.normalise(images, mean, std))
        heads = [h(tokens[:, i]) for i, h in enumerate(network.get_classifier())]
        predictions = classifier.predict(network, images, mean, std)
    torch.testing.assert_close(predictions.logits, sum(heads) / 2)
    assert predictions.features.shape == (2, network.num_features)


def test_corners_that_a_network_does_not_take_are_one_sentence():
    network = create_backbone("test_vit_relpos", 5).eval()
    images = torch.zeros(1, 3, 160, 160, dtype=torch.uint8)
    with pytest.raises(BrushworkError, match=r"views of 140 pixels .*average over 1 or 2 views"):
        classifier.predict(network, images, *input_statistics(network), num_views=10)


def test_frozen_stages_keep_weights_and_statistics():
    network = create_backbone("test_resnet", 5)
    classifier.freeze_stages(network, 2)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], 0.1)
    classifier.set_training(network)
    network(torch.randn(4, 3, 64, 64)).square().sum().backward()
    optimizer.step()
    changed = {n for n, v in network.state_dict().items() if not torch.equal(v, before[n])}
    assert not any(name.startswith(("conv1.", "bn1.", "layer1.")) for name in changed)
    assert {"layer2.0.bn1.running_mean", "fc.weight"} <= changed


def test_more_stages_than_there_are_cannot_be_frozen(network):
    with pytest.raises(BrushworkError, match="choose between 0 and 4"):
        classifier.freeze_stages(network, 9)
