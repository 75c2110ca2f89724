"""One small network of each of 20 families: trained, finished, opened, and asked for its answers.

The weights are random. The networks are trained by the script, for a step at each of the growing
sides if they take several.
"""

import numpy as np
import pytest
import torch

from brushwork import ArtistClassifier, BrushworkError
from brushwork.classifier.network import fit_to_sides
from brushwork.data.open import open_data

# Whether the network takes all sides, and whether it has feature maps for a heat map.
FAMILIES = [
    ("test_resnet", True, True),
    ("test_efficientnet", True, True),
    ("test_byobnet", True, True),  # RepVGG, ECA-ResNet and others
    ("test_convnext", True, True),
    ("test_nfnet", True, True),  # without batch norms
    ("test_mambaout", True, True),  # channels last
    ("test_vit", True, False),
    ("test_vit_relpos", False, False),
    ("test_maxvit", False, True),
    ("test_coatnet", False, True),
    ("mobilenetv3_small_050", True, True),
    ("lcnet_035", True, True),
    ("regnetx_002", True, True),
    ("edgenext_xx_small", True, True),
    ("mobilevit_xxs", True, True),
    ("deit_tiny_distilled_patch16_224", True, False),  # two heads
    ("levit_128s", False, False),  # two heads
    ("xcit_nano_12_p16_224", True, False),
    ("ghostnet_050", True, True),
    ("gmlp_ti16_224", False, False),  # a mixer
]


@pytest.fixture(scope="module")
def pixels(prepared_folder):
    return open_data(prepared_folder).pixels(64, "squash")


@pytest.mark.parametrize(("name", "takes_all_sides", "has_maps"), FAMILIES, ids=lambda v: str(v))
def test_a_network_goes_all_the_way(
    run_script, prepared_folder, pixels, tmp_path, monkeypatch, name, takes_all_sides, has_maps
):
    monkeypatch.setattr("brushwork.classifier.finish.MAX_OTHER_PAINTINGS", 1)
    flags = {"data": prepared_folder, "out": tmp_path / "run", "model": name, "weights": "none",
             "min-paintings": 8, "epochs": 1, "batch-size": 5, "precision": "no",
             "tracker": "None", "side": 64, "views": 1, "first-side": 32,
             "last-side": 64}  # fmt: skip
    if not takes_all_sides:
        with pytest.raises(BrushworkError, match="set `side`, `first_side` and `last_side` to 64"):
            train(run_script, flags)
        assert not (tmp_path / "run").exists(), "refused before any work"
        flags["first-side"] = 64
    train(run_script, flags)

    known = ArtistClassifier.from_pretrained(tmp_path / "run")
    rows = np.arange(3)
    squares = torch.from_numpy(pixels[rows]).permute(0, 3, 1, 2)
    one, both = known.predict_rows(pixels, rows, 1), known.predict_rows(pixels, rows, 2)
    torch.testing.assert_close(one.logits, known.logits(squares), rtol=1e-4, atol=1e-5)
    mirrored = known.predict_rows(pixels[:, :, ::-1].copy(), rows, 1)
    torch.testing.assert_close(both.logits, (one.logits + mirrored.logits) / 2)
    if takes_all_sides:
        assert known.predict_rows(pixels, rows, 10).logits.shape == one.logits.shape

    answer = known.identify(pixels[0], top=99)
    assert sum(c.probability for c in answer.candidates) + answer.none == pytest.approx(1)
    assert known.nearest(pixels[0], k=1)[0].similarity <= 1.001
    if has_maps:
        heat = known.explain(pixels[0])
        assert heat.shape == (64, 64) and heat.max() in (0, 1)
    else:
        with pytest.raises(BrushworkError, match="use a convolutional backbone"):
            known.explain(pixels[0])


def train(run_script, flags):
    run_script("train_classifier", *(f"--{k}={v}" for k, v in flags.items()), draws=False)


@pytest.mark.parametrize(
    ("name", "side", "training_sides", "views"),
    [("test_vit", 70, [30, 50], 10), ("vit_tiny_patch16_224", 56, [40, 64], 10)],
)
def test_transformers_take_sides_that_are_no_multiple_of_their_patches(
    name, side, training_sides, views
):
    options = fit_to_sides(name, side, training_sides, views)
    assert options == {"dynamic_img_size": True, "dynamic_img_pad": True}


def test_windows_of_a_swin_transformer_take_growing_sides():
    options = fit_to_sides("swin_tiny_patch4_window7_224", 64, [32], 2)
    assert options == {"dynamic_img_size": True}


def test_choosing_the_options_draws_no_random_numbers():
    torch.manual_seed(0)
    expected = torch.rand(())
    torch.manual_seed(0)
    fit_to_sides("test_vit", 32)
    assert torch.rand(()) == expected


def test_a_side_that_no_network_takes_is_refused_with_one_that_it_takes():
    with pytest.raises(BrushworkError, match=r"to 160 and `views`"):
        fit_to_sides("test_resnet", 0)


def test_what_is_no_classifier_is_refused(monkeypatch):
    monkeypatch.setattr("timm.models.resnet.ResNet.forward", lambda _, x: (x, x))
    with pytest.raises(BrushworkError, match="cannot be trained as a classifier"):
        fit_to_sides("test_resnet", 32, [32])
