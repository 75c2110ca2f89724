"""Fit the last layer of a frozen network: a linear probe (Alain & Bengio 2017).

The features of all paintings are computed once; multinomial logistic regression of the artist on
them gives the weights of the last layer.

N pictures, D features, K artists.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from brushwork.backbones.create import Backbone
from brushwork.classifier.fit import Labelled
from brushwork.classifier.network import Predictions
from brushwork.errors import BrushworkError
from brushwork.files import atomic_write

PENALTIES = tuple(10 ** (-step / 2) for step in range(11))
"""Weights of the squared weights in the loss, from 1 to 0.00001."""


class Linear(NamedTuple):
    """A last layer, and the loss that it was chosen by."""

    weight: Tensor
    """(K, D)."""
    bias: Tensor
    """(K,)."""
    loss: float
    """Mean cross entropy on the training pictures."""

    def logits(self, features: Tensor) -> Tensor:
        """Compute logits (N, K) of features (N, D)."""
        return features @ self.weight.T + self.bias


def fit_linear(
    features: Tensor,
    labels: Tensor,
    artist_weights: Tensor,
    penalty: float,
    start: tuple[Tensor, Tensor] | None = None,
) -> tuple[Tensor, Tensor, float]:
    """Fit multinomial logistic regression: least cross entropy plus penalty / 2 * ||weight||².

    Args:
        features: (N, D), of about mean 0 and variance 1.
        labels: (N,).
        artist_weights: (K,) weight of each artist's pictures in the loss.
        penalty: above 0, so that the loss has one minimum.
        start: weight and bias to begin with; zeros by default.

    Returns:
        Weight (K, D), bias (K,) and the mean cross entropy.
    """
    num_artists = len(artist_weights)
    if start is None:
        start = features.new_zeros(num_artists, features.shape[1]), features.new_zeros(num_artists)
    weight, bias = (tensor.clone().requires_grad_() for tensor in start)
    shares = artist_weights[labels].to(features)
    search = torch.optim.LBFGS([weight, bias], max_iter=200, line_search_fn="strong_wolfe")
    cross = features.new_zeros(())

    def loss() -> Tensor:
        nonlocal cross
        search.zero_grad()
        each = cross_entropy(features @ weight.T + bias, labels, reduction="none")
        cross = (shares * each).mean()
        total = cross + penalty * weight.square().sum() / 2
        total.backward()
        return total

    with torch.enable_grad():
        search.step(loss)
    return weight.detach(), bias.detach(), cross.item()


def choose_linear(train: Labelled, validation: Labelled, artist_weights: Tensor) -> Linear:
    """Fit the last layer with the penalty that suits the validation pictures best.

    The penalties fall until the cross entropy of the validation pictures rises.

    Args:
        train: pictures to fit it to; their logits are not used.
        validation: pictures to choose the penalty by.
        artist_weights: (K,) weight of each artist's pictures in the loss.
    """
    x, y = train.predictions.features, train.labels
    mean, scale = x.mean(0), x.std(0) + 1e-6 * x.std().clamp(min=1e-6)
    standardised, held_out = (
        (part - mean) / scale for part in (x, validation.predictions.features)
    )
    best: tuple[Tensor, Tensor, float] | None = None
    least = float("inf")
    for penalty in PENALTIES:
        fitted = fit_linear(standardised, y, artist_weights, penalty, best[:2] if best else None)
        logits = held_out @ fitted[0].T + fitted[1]
        loss = cross_entropy(logits, validation.labels).item()
        if best is not None and loss >= least:
            break
        best, least = fitted, loss
    assert best is not None
    weight = best[0] / scale  # of the features as they are
    return Linear(weight, best[1] - weight @ mean, best[2])


def set_last_layer(network: Backbone, linear: Linear) -> None:
    """Replace the last layer of a network.

    A network with two last layers, whose outputs are averaged, gets the same weights in both.

    Args:
        network: it is changed in place.
        linear: weights for its features.

    Raises:
        BrushworkError: the last layer is not linear; see `check_last_layer`.
    """
    layers = network.get_classifier()
    for layer in layers if isinstance(layers, tuple) else (layers,):
        bias = layer.bias if isinstance(layer, nn.Linear | nn.Conv2d) else None
        if bias is None or layer.weight.numel() != linear.weight.numel():
            raise BrushworkError(
                f"the last layer of {type(network).__name__} is not one linear layer, so it cannot "
                "be fitted to features; set `freeze` to a number of stages, or choose another "
                "network"
            )
        with torch.no_grad():
            layer.weight.copy_(linear.weight.view_as(layer.weight))
            bias.copy_(linear.bias)


@torch.no_grad()
def check_last_layer(network: Backbone, side: int) -> None:
    """Check that the logits of a network are a linear function of its features.

    Args:
        network: it is set to evaluation mode, and its last layer is replaced by random weights.
        side: side of images that it takes, in pixels.

    Raises:
        BrushworkError: they are not.
    """
    network.eval()
    with torch.random.fork_rng(devices=[]):
        maps = network.forward_features(torch.randn(2, 3, side, side))
        features = network.forward_head(maps, pre_logits=True).flatten(1)
        K = network.forward_head(maps).shape[1]
        linear = Linear(torch.randn(K, features.shape[1]), torch.randn(K), 0.0)
    set_last_layer(network, linear)
    if not torch.allclose(network.forward_head(maps), linear.logits(features), 1e-3, 1e-3):
        raise BrushworkError(
            f"the features of {type(network).__name__} are not the inputs of its last layer, so it "
            "cannot be fitted to them; set `freeze` to a number of stages, or choose another "
            "network"
        )


def cached_predictions(
    file: Path, compute: Callable[[], Predictions], *, is_writer: bool = True
) -> Predictions:
    """Read predictions from a file, or compute them and write the file.

    The processes compute together, so none of them finds the file before all have looked for it.

    Args:
        file: is written with its parent folders.
        compute: computes the predictions.
        is_writer: whether this process writes.

    Raises:
        BrushworkError: the file is broken, or cannot be written.
    """
    try:
        if file.is_file():
            return Predictions(**load_file(file))
        predictions = compute()
        if is_writer:
            file.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(file) as temporary:
                save_file(predictions._asdict(), temporary)
        return predictions
    except (OSError, SafetensorError, TypeError) as error:
        raise BrushworkError(
            f"cannot read or write {file} ({error}); delete it, or free some space"
        ) from error
