"""Batch norms of a finished classifier: their statistics are those of whole paintings."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from brushwork.backbones.create import create_backbone, input_statistics
from brushwork.classifier.finish import SEED, refresh_norms
from brushwork.classifier.identify import ArtistClassifier
from brushwork.classifier.network import normalise
from brushwork.classifier.save import save_classifier
from brushwork.data.degradation import Degraded

PIXELS = np.random.default_rng(0).integers(0, 256, (9, 64, 64, 3), dtype=np.uint8)
ROWS = np.arange(1, 8)
"""The training paintings."""


@pytest.fixture
def save(tmp_path):
    """Save an untrained classifier."""

    def save(model, freeze=0):
        torch.manual_seed(0)
        network = create_backbone(model, 2)
        mean, std = input_statistics(network)
        training = {"model": model, "artists": ["A", "B"], "side": 64, "fit": "squash",
                    "data": "drawn", "num_paintings": 7, "min_paintings": 2, "fingerprint": "0",
                    "weights": "none", "epoch": 1, "seed": 0, "freeze": freeze}  # fmt: skip
        preprocessing = {"mean": mean, "std": std, "num_views": 1}
        folder, logits = tmp_path / "classifier", torch.eye(2)
        save_classifier(network, folder, training, preprocessing, logits, np.arange(2))
        return folder

    return save


def weights(folder):
    return load_file(folder / "model.safetensors")


def test_statistics_are_those_of_whole_paintings_as_they_are_and_degraded(save):
    folder = save("test_resnet")
    before = weights(folder)
    refresh_norms(folder, PIXELS, ROWS, "cpu")
    after = weights(folder)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {
        name for name in before if name.split(".")[-1].startswith(("running", "num"))
    }

    network = create_backbone("test_resnet", 2)
    network.load_state_dict(before)
    mean, std = input_statistics(network)
    first = [
        network.get_submodule("conv1")(
            normalise(torch.from_numpy(source[ROWS]).permute(0, 3, 1, 2), mean, std)
        )
        for source in (PIXELS, Degraded(PIXELS, SEED))
    ]
    expected = torch.stack([maps.mean((0, 2, 3)) for maps in first]).mean(0)
    torch.testing.assert_close(after["bn1.running_mean"], expected)
    variance = torch.stack([maps.var((0, 2, 3)) for maps in first]).mean(0)
    torch.testing.assert_close(after["bn1.running_var"], variance)

    ArtistClassifier.from_pretrained(folder)  # with its new digest
    refresh_norms(folder, PIXELS, ROWS, "cpu")  # depends on the weights alone
    again = weights(folder)
    assert all(torch.equal(again[name], after[name]) for name in after)


def test_frozen_stages_keep_their_statistics(save):
    folder = save("test_resnet", freeze=2)
    before = weights(folder)
    refresh_norms(folder, PIXELS, ROWS, "cpu")
    after = weights(folder)
    assert torch.equal(before["bn1.running_mean"], after["bn1.running_mean"])
    assert not torch.equal(before["layer4.0.bn1.running_mean"], after["layer4.0.bn1.running_mean"])


def test_a_network_without_batch_norms_stays_as_it_is(save):
    folder = save("test_vit")
    before = (folder / "model.safetensors").stat()
    refresh_norms(folder, PIXELS, ROWS, "cpu")
    assert (folder / "model.safetensors").stat() == before
