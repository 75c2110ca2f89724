"""The last layer is a logistic regression, and the network then computes it."""

import pytest
import torch
from sklearn.linear_model import LogisticRegression

from brushwork.backbones.create import create_backbone
from brushwork.classifier.fit import Labelled
from brushwork.classifier.network import Predictions
from brushwork.classifier.probe import (
    Linear,
    cached_predictions,
    check_last_layer,
    choose_linear,
    fit_linear,
    set_last_layer,
)
from brushwork.errors import BrushworkError


def pictures(num, seed, scale=1.0, dim=6):
    """Three overlapping groups of features."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(num) % 3
    x = torch.randn(num, dim, generator=generator) + 1.5 * torch.eye(3, dim)[labels]
    return Labelled(Predictions(torch.zeros(num, 3), scale * x + 5, torch.zeros(num, 2)), labels)


def test_it_is_the_logistic_regression_of_scikit_learn():
    features, labels = pictures(90, 0).predictions.features.double() - 5, pictures(90, 0).labels
    weights = torch.tensor([1.0, 2.0, 0.5])
    weight, bias, loss = fit_linear(features, labels, weights, penalty=0.01)
    expected = LogisticRegression(C=1 / (0.01 * 90), tol=1e-10, max_iter=1000)
    expected.fit(features, labels, sample_weight=weights[labels])
    torch.testing.assert_close(weight, torch.from_numpy(expected.coef_), rtol=1e-3, atol=1e-4)
    # A constant in all biases changes nothing.
    expected_bias = torch.from_numpy(expected.intercept_)
    torch.testing.assert_close(
        bias - bias.mean(), expected_bias - expected_bias.mean(), rtol=1e-3, atol=1e-4
    )
    log_p = torch.from_numpy(expected.predict_log_proba(features))[torch.arange(90), labels]
    assert loss == pytest.approx(float(-(weights[labels] * log_p).mean()), rel=1e-4)


def test_the_penalty_suits_the_validation_pictures_and_the_scale_does_not_matter():
    """With 40 useless features and few pictures, hardly any penalty is far too little."""
    train, validation = pictures(45, 1, dim=40), pictures(300, 2, dim=40)

    def held_out(linear):
        logits = linear.logits(validation.predictions.features)
        return torch.nn.functional.cross_entropy(logits, validation.labels).item()

    chosen = choose_linear(train, validation, torch.ones(3))
    free = choose_linear(train, train, torch.ones(3))
    assert held_out(chosen) < 0.7 * held_out(free) and chosen.loss > free.loss
    scaled = [pictures(num, seed, scale=1e3, dim=40) for num, seed in ((45, 1), (300, 2))]
    other = choose_linear(*scaled, torch.ones(3))
    expected = chosen.logits(validation.predictions.features)
    found = other.logits(scaled[1].predictions.features)
    torch.testing.assert_close(found, expected, rtol=1e-2, atol=2e-2)


@pytest.mark.parametrize("name", ["test_resnet", "test_vit", "deit_tiny_distilled_patch16_224"])
@torch.no_grad()
def test_a_network_computes_its_new_last_layer(name):
    """The distilled transformer has two last layers, and averages their outputs."""
    network = create_backbone(name, 5).eval()
    side = network.pretrained_cfg["input_size"][-1]
    check_last_layer(network, side)
    linear = Linear(torch.randn(5, network.num_features), torch.randn(5), 0.0)
    set_last_layer(network, linear)
    x = torch.randn(2, 3, side, side)
    features = network.forward_head(network.forward_features(x), pre_logits=True)
    torch.testing.assert_close(network(x), linear.logits(features), rtol=1e-4, atol=1e-4)


def test_a_network_whose_last_layer_is_not_linear_is_refused_and_draws_no_random_numbers():
    network = create_backbone("levit_128s", 5)
    torch.manual_seed(0)
    expected = torch.rand(())
    torch.manual_seed(0)
    with pytest.raises(BrushworkError, match=r"not one linear layer, .* set `freeze` to a number"):
        check_last_layer(network, 224)
    assert torch.rand(()) == expected


def test_predictions_are_computed_once(tmp_path):
    file, expected = tmp_path / "features" / "plain.safetensors", pictures(4, 0).predictions
    computed = [cached_predictions(file, lambda: expected)]
    computed.append(cached_predictions(file, lambda: pytest.fail("computed again")))
    for found in computed:
        assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    file.write_bytes(file.read_bytes()[:50])
    with pytest.raises(BrushworkError, match=r"plain\.safetensors .* delete it"):
        cached_predictions(file, lambda: expected)


def test_only_one_process_writes(tmp_path):
    cached_predictions(tmp_path / "a", lambda: pictures(4, 0).predictions, is_writer=False)
    assert not (tmp_path / "a").exists()
