"""Exported checkpoints: files, precisions, heads."""

import copy
import json
from dataclasses import dataclass

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import nn

from brushwork import ArtistClassifier, PaintingGenerator, checkpoint, runtime
from brushwork.classifier.network import grad_cam
from brushwork.classifier.strangers import Strangers, strangeness
from brushwork.errors import BrushworkError
from brushwork.export import _has_linear_head, export, known_probability, store_weights
from brushwork.gan.enlarger import Enlarger
from brushwork.gan.save import save_enlarged
from brushwork.runtime.graphs import Graph


def test_a_generator_becomes_graphs_with_its_config_and_card(exports, checkpoints):
    folder, before = exports["modern"], checkpoints["modern"]
    names = {"config.json", "generator.onnx", "styles.onnx", "README.md"}
    assert {file.name for file in folder.iterdir()} == names
    config = checkpoint.load_config(folder)
    graphs = config.pop("graphs")
    assert config == checkpoint.load_config(before)
    assert graphs["differences"]["largest"] <= 1e-4
    assert (folder / "README.md").read_bytes() == (before / "README.md").read_bytes()
    assert {file.name for file in exports["dcgan"].iterdir()} == names - {"styles.onnx"}


def test_an_enlarged_generator_is_exported_whole(checkpoints, tmp_path):
    torch.manual_seed(0)
    enlarger = Enlarger(4, width=6, size=(32, 48))
    nn.init.normal_(enlarger.to_rgb.weight, std=0.1)
    training = checkpoint.load_config(checkpoints["modern"])["training"]
    save_enlarged(checkpoints["modern"], enlarger, tmp_path / "large", training, step=1)
    export(tmp_path / "large", tmp_path / "exported", precision="fp32")
    before = PaintingGenerator.from_pretrained(tmp_path / "large")
    after = runtime.PaintingGenerator.from_pretrained(tmp_path / "exported")
    assert (after.height, after.width) == (128, 192)
    pictures, others = (g.sample(3, seed=1, to="array").astype(int) for g in (before, after))
    assert np.abs(pictures - others).max() <= 1


def test_graphs_hold_no_path_of_this_machine(exports):
    for folder in exports.values():
        for file in folder.glob("*.onnx"):
            content = file.read_bytes()
            assert b".py" not in content and b"stack_trace" not in content
        assert json.loads((folder / "config.json").read_text())["graphs"]["sha256"]


def load(folder):
    return onnx.load(folder / "generator.onnx")


def num_bytes(model):
    return sum(numpy_helper.to_array(tensor).nbytes for tensor in model.graph.initializer)


@pytest.mark.parametrize(("precision", "share", "most"), [("fp16", 0.55, 0.02), ("int8", 0.4, 0.3)])
def test_smaller_weights_change_pictures_a_little(exports, tmp_path, precision, share, most):
    model = load(exports["modern"])
    before = num_bytes(model)
    store_weights(model, precision)
    assert num_bytes(model) < share * before
    onnx.save(model, tmp_path / "small.onnx")
    generator = runtime.PaintingGenerator.from_pretrained(exports["modern"])
    styles = generator.styles(generator.latents(4))
    images = generator.paint_styles(styles)
    (others,) = Graph(tmp_path / "small.onnx").run(["images"], inputs=styles)
    assert 0 < np.abs(images - others).max() <= most


def test_values_that_half_precision_does_not_hold_stay_in_single_precision():
    values = np.full((1, 300), 1e6, np.float32)
    graph = onnx.helper.make_graph([], "g", [], [], [numpy_helper.from_array(values, "w")])
    model = onnx.helper.make_model(graph)
    store_weights(model, "fp16")
    assert numpy_helper.to_array(model.graph.initializer[0]).dtype == np.float32


@dataclass
class Fake:
    """What the test of the head looks at."""

    network: nn.Module
    side: int = 64
    statistics = [0.5] * 3, [0.5] * 3


def test_heat_maps_are_exported_only_where_they_are_those_of_grad_cam(checkpoints):
    network = ArtistClassifier.from_pretrained(checkpoints["classifier"]).network
    assert _has_linear_head(Fake(network))
    # A function between the mean features and the last layer changes the gradient.
    other = copy.deepcopy(network)
    other.global_pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Softplus(4))
    assert not _has_linear_head(Fake(other))
    assert grad_cam(other, torch.zeros(1, 3, 64, 64), 0).ndim == 2


def test_other_files_are_never_replaced(checkpoints, tmp_path):
    (tmp_path / "note.txt").write_text("mine")
    with pytest.raises(BrushworkError, match=r"`out` is .*, which holds other files"):
        export(checkpoints["dcgan"], tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["note.txt"]
    with pytest.raises(BrushworkError, match=r"`out` is .*note\.txt, which holds other files"):
        export(checkpoints["dcgan"], tmp_path / "note.txt")
    (tmp_path / "note.txt").rename(tmp_path / "config.json")
    with pytest.raises(BrushworkError, match=r"`out` is .*, which holds other files"):
        export(checkpoints["dcgan"], tmp_path)


def test_an_earlier_export_is_replaced_but_not_what_lies_beside_it(checkpoints, tmp_path):
    out = tmp_path / "out"
    export(checkpoints["dcgan"], out)
    export(checkpoints["dcgan"], out)
    (out / "note.txt").write_text("mine")
    with pytest.raises(BrushworkError, match=r"`out` is .*, which holds other files"):
        export(checkpoints["dcgan"], out)
    assert (out / "note.txt").read_text() == "mine"


def test_an_export_is_not_exported_again(exports, tmp_path):
    with pytest.raises(BrushworkError, match="is an exported checkpoint; pass the one"):
        export(exports["dcgan"], tmp_path / "out")


@pytest.mark.parametrize("num_others", [0, 3])
def test_the_graphs_known_score_is_one_minus_the_probability_of_none(num_others):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(7, 4, generator=generator)
    probabilities = torch.randn(7, 4, generator=generator).softmax(1)
    likelihoods = -5 * torch.rand(7, 4 + num_others, generator=generator)
    familiarity = torch.randn(7, generator=generator)
    scores = strangeness(logits, probabilities, likelihoods, familiarity)
    size = scores.shape[1]
    strangers = Strangers([0.3] * size, [1.5] * size, [0.4 * i for i in range(size)], -0.2)
    found = known_probability(logits, probabilities, likelihoods, familiarity, strangers)
    np.testing.assert_allclose(found, 1 - strangers.probability(scores), rtol=1e-4)
