"""Export a checkpoint to ONNX, for `brushwork.runtime` and for web browsers.

The folder of an exported checkpoint holds

    config.json                  the checkpoint's, and "graphs": precision, digests, differences
    generator.onnx, styles.onnx  a generator; styles.onnx only if the model has styles
    classifier.onnx, index.npz   a classifier; index.npz if the checkpoint has an index
    README.md                    the model card

Inputs and outputs of the graphs, with N pictures, Z latent numbers, H x W pixels of a generated
picture, S side of a square, K artists or classes:

    generator.onnx   inputs (N, Z), or styles (N, L, Z)  ->  images (N, 3, H, W) in [-1, 1]
    styles.onnx      z (N, Z), y (N,) int64, truncation ()  ->  styles, mean_styles (N, L, Z)
    classifier.onnx  squares (N, S, S, 3) uint8  ->  probabilities (N, K), known_score (N,),
                     features (N, D); style, genre and decade (N, V), as far as the classifier knows
                     them, with the V values in config.json; heat (N, K, h, w) if the head is
                     linear. If the classifier knows strangers, known_score is 1 minus the
                     probability of "none"

All graphs compute in float32. Their precision is that of the stored weights.
"""

import hashlib
import json
import shutil
import warnings
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from brushwork import checkpoint
from brushwork.classifier.answer import read_squares
from brushwork.classifier.discriminants import familiarity, log_likelihoods
from brushwork.classifier.identifier import Identifier
from brushwork.classifier.identify import ArtistClassifier
from brushwork.classifier.network import grad_cam, normalise, predict
from brushwork.classifier.save import read_index
from brushwork.classifier.strangers import Strangers
from brushwork.classifier.traits import Trait
from brushwork.data.synthetic import draw
from brushwork.errors import BrushworkError, install
from brushwork.files import atomic_folder, write_json
from brushwork.gan import styled
from brushwork.gan.generator import PaintingGenerator
from brushwork.runtime.classifier import ArtistClassifier as ExportedClassifier
from brushwork.runtime.generator import PaintingGenerator as ExportedGenerator

if TYPE_CHECKING:
    import onnx

Precision = Literal["fp32", "fp16", "int8"]

MIN_VALUES = 256
"""Tensors with fewer values stay in float32: they are biases and statistics."""
NUM_COMPARED = 16
"""Pictures on which an export is compared with torch."""


def export(
    folder_or_hub_id: str | Path, out: str | Path, precision: Precision = "fp16"
) -> dict[str, Any]:
    """Export the checkpoint of a generator or of a classifier.

    Args:
        folder_or_hub_id: see `brushwork.checkpoint.locate`.
        out: created with its parents; an earlier export in it is replaced.
        precision: how the weights are stored. "fp32" gives the results of torch up to rounding.
            "fp16" halves the size; it changes almost nothing for a checkpoint that is stored in
            half precision, as the bundled ones are. "int8" stores 8 bits a weight and one scale for
            each slice of a tensor's first axis.

    Returns:
        What the `config.json` of the export holds under "graphs": the precision, and under
        "differences" what was measured on `NUM_COMPARED` pictures: for a generator, the largest and
        the mean difference of pixels in [-1, 1] to torch's; for a classifier, the largest
        difference of a probability (of an artist, "none", a style, a genre or a decade), and how
        many answers differ.

    Raises:
        BrushworkError: there is no such checkpoint, `out` holds other files, or a package is
            missing.
    """
    for package in ("onnx", "onnxscript"):
        if find_spec(package) is None:
            raise BrushworkError(f"{package} is not installed: {install('brushwork[export]')}")
    folder, out = checkpoint.locate(folder_or_hub_id), Path(out)
    if not (folder / checkpoint.WEIGHTS).is_file():
        raise BrushworkError(f"{folder} is an exported checkpoint; pass the one it was made from")
    if not out.name or out.is_symlink():
        raise BrushworkError(f"`out` is {out}; pass the name of a new or empty folder")
    if out.exists() and not _is_empty(out) and not _is_export(out):
        raise BrushworkError(f"`out` is {out}, which holds other files; pass a new or empty folder")
    is_classifier = "artists" in checkpoint.load_config(folder)
    export_network = _export_classifier if is_classifier else _export_generator
    try:
        with atomic_folder(out) as staging:
            graphs = export_network(folder, staging, precision)
            if (folder / checkpoint.CARD).is_file():
                shutil.copy(folder / checkpoint.CARD, staging)
    except OSError as error:
        raise BrushworkError(f"cannot write `out` {out} ({error}); pass another folder") from error
    return graphs


def change_precision(exported: Path, out: Path, precision: Precision) -> None:
    """Copy an export in fp32, with its weights in another precision.

    Args:
        exported: the export.
        out: a new folder. Its config has no "differences".
        precision: see `export`.
    """
    import onnx

    shutil.copytree(exported, out)
    graph = checkpoint.graph_of(out)
    assert graph is not None
    model = onnx.load(graph)
    store_weights(model, precision)
    onnx.save(model, graph)
    graphs = checkpoint.load_config(exported)["graphs"] | {"precision": precision}
    del graphs["differences"]
    _write_config(exported, out, graphs)


def _is_empty(folder: Path) -> bool:
    return folder.is_dir() and not any(folder.iterdir())


def _is_export(folder: Path) -> bool:
    """Decide whether a folder holds an export and nothing else, so that it can be replaced."""
    if not folder.is_dir():
        return False
    written = {checkpoint.CONFIG, checkpoint.CARD, checkpoint.GRAPH_INDEX}
    others = [file for file in folder.iterdir() if file.name not in written]
    try:
        is_export = "graphs" in checkpoint.load_config(folder)
    except BrushworkError:  # no config, or one of something else
        return False
    return is_export and all(file.suffix == ".onnx" for file in others)


# Generators.


class _Paint(nn.Module):
    """Maps styles to images."""

    def __init__(self, network: styled.Generator) -> None:
        super().__init__()
        self.network = network

    def forward(self, inputs: Tensor) -> Tensor:
        return self.network.paint(inputs)


class _Styles(nn.Module):
    """Maps latents, labels and a truncation to styles, and to the mean styles of the labels."""

    mean_styles: Tensor

    def __init__(self, network: styled.Generator, mean_styles: Tensor) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean_styles", mean_styles)

    def forward(self, z: Tensor, y: Tensor, truncation: Tensor) -> tuple[Tensor, Tensor]:
        mean = self.mean_styles[y]
        return torch.lerp(mean, self.network.styles(z, y), truncation), mean


def _export_generator(folder: Path, out: Path, precision: Precision) -> dict[str, Any]:
    generator = PaintingGenerator.from_pretrained(folder)
    network = generator.network
    z = torch.randn(2, generator.latent_dim, generator=torch.Generator().manual_seed(0))
    if isinstance(network, styled.Generator):
        y = torch.zeros(2, dtype=torch.int64)
        inputs = {"z": z, "y": y, "truncation": torch.tensor(0.5)}
        styles = _Styles(network, generator.mean_styles().clone())
        _save_graph(
            styles, inputs, ["styles", "mean_styles"], out / checkpoint.STYLES_GRAPH, "fp32"
        )
        painting, inputs = _Paint(network), {"inputs": network.styles(z, y).clone()}
    else:
        painting, inputs = _PaintLatents(network), {"inputs": z}
    _save_graph(painting, inputs, ["images"], out / checkpoint.GENERATOR_GRAPH, precision)

    graphs = {"precision": precision, "num_levels": generator.num_levels}
    _write_config(folder, out, graphs)
    exported = ExportedGenerator.from_pretrained(out)
    latents, labels = exported.latents(NUM_COMPARED), exported.labels(NUM_COMPARED)
    images = generator.paint(torch.from_numpy(latents), torch.from_numpy(labels)).numpy()
    difference = np.abs(exported.paint(latents, labels) - images)
    graphs["differences"] = {
        "largest": float(difference.max()),
        "mean": float(difference.mean()),
        "pictures": NUM_COMPARED,
    }
    _write_config(folder, out, graphs)
    return graphs


class _PaintLatents(nn.Module):
    """Maps latents to images."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, inputs: Tensor) -> Tensor:
        return self.network(inputs)


# Classifiers.


class _Identify(nn.Module):
    """Maps squares to everything that an answer needs."""

    def __init__(self, classifier: ArtistClassifier, has_heat: bool) -> None:
        super().__init__()
        self.classifier, self.network = classifier, classifier.network
        self.has_heat = has_heat

    def forward(self, squares: Tensor) -> tuple[Tensor, ...]:
        classifier = self.classifier
        images, statistics = squares.permute(0, 3, 1, 2), classifier.statistics
        predictions = predict(self.network, images, *statistics, classifier.num_views)
        temperature, biases, lda_weight = classifier.calibration
        scores = predictions.logits / temperature + torch.tensor(biases, dtype=torch.float32)
        discriminants, known_score, likelihoods = classifier.discriminants, None, scores
        if discriminants is not None:
            channels, num_artists = predictions.channel_statistics, len(classifier.artists)
            likelihoods = log_likelihoods(channels, discriminants)
            scores = scores + lda_weight * likelihoods[:, :num_artists]
            known_score = familiarity(channels, discriminants, num_artists)
        probabilities = scores.softmax(1)
        if known_score is not None and classifier.strangers is not None:
            known_score = known_probability(
                predictions.logits, probabilities, likelihoods, known_score, classifier.strangers
            )
        if known_score is None:
            known_score = probabilities.amax(1)
        traits = [
            trait_probabilities(predictions.channel_statistics, trait)
            for trait in classifier.traits.values()
        ]
        outputs = probabilities, known_score, predictions.features, *traits
        if not self.has_heat:
            return outputs
        maps = self.network.forward_features(normalise(images, *statistics))
        return *outputs, linear_heat(maps, self.network.get_classifier().weight)


def trait_probabilities(channel_statistics: Tensor, trait: Trait) -> Tensor:
    """Compute the probabilities (N, V) of a trait's values, as `Trait.probabilities` does."""
    likelihoods = log_likelihoods(channel_statistics, trait.discriminants)
    temperature, biases, _ = trait.calibration
    return (likelihoods / temperature + torch.tensor(biases, dtype=torch.float32)).softmax(1)


def known_probability(
    logits: Tensor,
    probabilities: Tensor,
    log_likelihoods: Tensor,
    familiarity: Tensor,
    strangers: Strangers,
) -> Tensor:
    """Compute 1 minus the probability of "none", (N,), as `brushwork.classifier.strangers` does.

    Args:
        logits: (N, K).
        probabilities: (N, K).
        log_likelihoods: (N, K + B), other classes last.
        familiarity: (N,).
        strangers: the fitted weights of the scores.
    """
    num_artists = logits.shape[1]
    artists = log_likelihoods[:, :num_artists].amax(1)
    columns = [
        -familiarity,
        -logits.logsumexp(1),
        -probabilities.amax(1).log(),
        (-2 * artists).sqrt(),
    ]
    if log_likelihoods.shape[1] > num_artists:
        columns.append(log_likelihoods[:, num_artists:].amax(1) - artists)
    total = torch.zeros_like(familiarity) - strangers.bias
    for column, mean, scale, weight in zip(columns, *strangers[:3], strict=True):
        total = total - weight * (column - mean) / scale
    return total.sigmoid()


def linear_heat(maps: Tensor, weight: Tensor) -> Tensor:
    """Compute Grad-CAM for all labels of a head that is one linear layer on mean features.

    The gradient of a logit by the maps is then the layer's weight / (h w) everywhere, so Grad-CAM
    is CAM (Zhou et al. 2016, "Learning Deep Features for Discriminative Localization", eq. 2).

    Args:
        maps: (N, D, h, w).
        weight: (K, D).

    Returns:
        (N, K, h, w), at least 0.

    >>> linear_heat(torch.ones(1, 2, 1, 1), torch.tensor([[1.0, 2.0], [-3.0, 1.0]])).flatten()
    tensor([3., 0.])
    """
    height, width = maps.shape[2:]
    return torch.einsum("kd,ndhw->nkhw", weight, maps).div(height * width).relu()


def _has_linear_head(classifier: ArtistClassifier) -> bool:
    """Compare `linear_heat` with Grad-CAM on random pixels."""
    network, random = classifier.network, torch.Generator().manual_seed(0)
    side = classifier.side
    images = torch.randint(256, (1, 3, side, side), generator=random, dtype=torch.uint8)
    x = normalise(images, *classifier.statistics)
    head = network.get_classifier()
    with torch.no_grad():
        maps = network.forward_features(x)
    if not isinstance(head, nn.Linear) or maps.ndim != 4 or maps.shape[1] != head.in_features:
        return False
    heat = linear_heat(maps, head.weight)[0]
    labels = range(0, len(heat), max(1, len(heat) // 4))
    expected = torch.stack([grad_cam(network, x, label) for label in labels])
    return torch.allclose(heat[list(labels)], expected, rtol=1e-3, atol=1e-6)


def _export_classifier(folder: Path, out: Path, precision: Precision) -> dict[str, Any]:
    classifier = ArtistClassifier.from_pretrained(folder)
    has_heat = _has_linear_head(classifier)
    outputs = ["probabilities", "known_score", "features", *classifier.traits]
    if has_heat:
        outputs.append("heat")
    squares = torch.zeros(2, classifier.side, classifier.side, 3, dtype=torch.uint8)
    module = _Identify(classifier, has_heat)
    file = out / checkpoint.CLASSIFIER_GRAPH
    _save_graph(module, {"squares": squares}, outputs, file, precision)
    if index := read_index(folder):
        arrays = {name: index[name].numpy() for name in ("features", "thumbnails", "ends")}
        titles = np.frombuffer(json.dumps(index["paintings"]).encode(), np.uint8)
        with (out / checkpoint.GRAPH_INDEX).open("wb") as file:
            np.savez(file, paintings=titles, **arrays)

    graphs: dict[str, Any] = {"precision": precision, "heat": has_heat}
    _write_config(folder, out, graphs)
    exported = ExportedClassifier.from_pretrained(out)
    pictures = [np.asarray(draw(number, seed=0)) for number in range(NUM_COMPARED)]
    squares = read_squares(pictures, classifier.side, classifier.fit)
    largest, num_others = compare_answers(classifier, exported, squares)
    graphs["differences"] = {"largest": largest, "answers": num_others, "pictures": NUM_COMPARED}
    _write_config(folder, out, graphs)
    return graphs


def compare_answers(
    one: Identifier, other: Identifier, squares: NDArray[np.uint8]
) -> tuple[float, int]:
    """Compare two classifiers of the same artists and traits on squares (N, S, S, 3).

    Returns:
        The largest difference of a probability: of an artist, of "none", of a style, a genre or a
        decade; and the number of pictures that one of them calls unknown or gives another artist.
    """
    shares, answers = [], []
    for classifier in (one, other):
        scores = classifier.scores_of(squares)
        probabilities, none, known = classifier.judge_scores(scores)
        shares.append(np.hstack([probabilities, none[:, None], *scores.traits.values()]))
        answers.append(np.where(known, probabilities.argmax(1), -1))
    return float(np.abs(shares[0] - shares[1]).max()), int((answers[0] != answers[1]).sum())


# Files.


def _write_config(folder: Path, out: Path, graphs: dict[str, Any]) -> None:
    """Write the config of the checkpoint with "graphs" and the digests of the graphs' files."""
    files = sorted(out.glob("*.onnx"))
    graphs["sha256"] = {f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in files}
    config = checkpoint.load_config(folder) | {"graphs": graphs}
    write_json(out / checkpoint.CONFIG, config)


def _save_graph(
    module: nn.Module,
    inputs: dict[str, Tensor],
    outputs: Sequence[str],
    file: Path,
    precision: Precision,
) -> None:
    """Write a module as ONNX.

    Args:
        module: in evaluation mode; the arguments of `forward` have the names of the inputs.
        inputs: examples. The first axis of each that has one is N, and free in the graph.
        outputs: names of what `forward` returns.
        file: the file to write.
        precision: how the weights are stored.
    """
    import onnx

    free = torch.export.Dim("N", min=1, max=1 << 20)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # of the exporter about itself
        program = torch.onnx.export(
            module.eval(),
            kwargs=inputs,
            dynamo=True,
            input_names=[*inputs],
            output_names=[*outputs],
            dynamic_shapes={name: {0: free} if x.ndim else None for name, x in inputs.items()},
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    # The exporter notes where each node comes from, with paths of this machine.
    for part in (model, model.graph, *model.graph.node, *model.graph.value_info):
        part.ClearField("doc_string")
        part.ClearField("metadata_props")
    store_weights(model, precision)
    onnx.checker.check_model(model)
    onnx.save(model, file)


def store_weights(model: "onnx.ModelProto", precision: Precision) -> None:
    """Replace the float32 weights of a model by smaller ones and nodes that convert them back.

    onnxruntime computes the conversions once, when it opens the model. So the model computes in
    float32, and is as fast as with float32 weights.

    Args:
        model: changed in place.
        precision: "fp16" stores weights in half precision, "int8" those of at least two axes as
            integers from -127 to 127 with a float32 scale for each slice of the first axis, and the
            others in half precision. Tensors of fewer than `MIN_VALUES` values, and those that half
            precision would change by more than a thousandth, stay as they are.
    """
    from onnx import TensorProto, helper, numpy_helper

    if precision == "fp32":
        return
    graph, kept, nodes = model.graph, [], []
    for tensor in graph.initializer:
        values = numpy_helper.to_array(tensor)
        name = tensor.name
        if tensor.data_type != TensorProto.FLOAT or values.size < MIN_VALUES:
            kept.append(tensor)
        elif precision == "int8" and values.ndim >= 2:
            integers, scales = quantize(values)
            kept += [
                numpy_helper.from_array(integers, f"{name}.int8"),
                numpy_helper.from_array(scales, f"{name}.scale"),
            ]
            to_float = helper.make_node(
                "Cast", [f"{name}.int8"], [f"{name}.float"], to=TensorProto.FLOAT
            )
            nodes += [to_float, helper.make_node("Mul", [f"{name}.float", f"{name}.scale"], [name])]
        elif _fits_half(values):
            kept.append(numpy_helper.from_array(values.astype(np.float16), f"{name}.half"))
            nodes.append(helper.make_node("Cast", [f"{name}.half"], [name], to=TensorProto.FLOAT))
        else:
            kept.append(tensor)
    ordered = [*nodes, *graph.node]
    del graph.initializer[:], graph.node[:]
    graph.initializer.extend(kept)
    graph.node.extend(ordered)


def quantize(values: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Round each slice of the first axis to 255 equal steps around 0.

    Returns:
        Integers from -127 to 127 in the shape of `values`, and the size of a step, which broadcasts
        against them.

    >>> integers, scales = quantize(np.float32([[0.5, -1.0], [0.0, 0.0]]))
    >>> integers.tolist(), (integers * scales).round(2).tolist()
    ([[64, -127], [0, 0]], [[0.5, -1.0], [0.0, 0.0]])
    """
    largest = np.abs(values).max(axis=tuple(range(1, values.ndim)), keepdims=True)
    scales = (np.where(largest > 0, largest, 1) / 127).astype(np.float32)
    return np.rint(values / scales).astype(np.int8), scales


def _fits_half(values: NDArray[np.float32]) -> bool:
    with np.errstate(over="ignore"):
        half = values.astype(np.float16).astype(np.float32)
    return bool(np.abs(half - values).max() <= 1e-3 * np.abs(values).max())
