"""Identify the artists of paintings with the checkpoint of a classifier.

The checkpoint holds everything that decides the answer: the network, its artists in the order of
the outputs, the preprocessing, the discriminant analyses, the calibration, and how probable it is
that none of the artists painted a picture. It may also hold an index of the training paintings, for
`ArtistClassifier.nearest`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from brushwork import checkpoint
from brushwork.backbones.create import Backbone
from brushwork.classifier.answer import UNKNOWN as UNKNOWN
from brushwork.classifier.answer import Candidate as Candidate
from brushwork.classifier.answer import Comparison as Comparison
from brushwork.classifier.answer import Guess as Guess
from brushwork.classifier.answer import Identification as Identification
from brushwork.classifier.answer import Judgement as Judgement
from brushwork.classifier.answer import Neighbour as Neighbour
from brushwork.classifier.answer import Picture, as_list
from brushwork.classifier.calibration import Calibration
from brushwork.classifier.discriminants import Discriminants, familiarity, log_likelihoods
from brushwork.classifier.identifier import Identifier, Scores
from brushwork.classifier.network import (
    Predictions,
    Rows,
    grad_cam,
    normalise,
    predict,
    predict_rows,
    prepare_inference,
)
from brushwork.classifier.save import (
    CONFIG_KEYS,
    read_discriminants,
    read_index,
    read_network,
    read_traits,
)
from brushwork.classifier.strangers import Strangers, strangeness
from brushwork.classifier.traits import Trait
from brushwork.errors import BrushworkError
from brushwork.machine import check_torch_device


class ArtistClassifier(Identifier):
    """Identifies the artists of paintings, with torch.

    Attributes, besides those of `Identifier`:
        network: the network, in evaluation mode and without gradients.
        calibration: turns logits and the discriminant analysis's log-likelihoods into
            probabilities.
        strangers: gives the probability of "none of these artists"; None in a checkpoint of an
            earlier version, or if training was stopped.
        traits: style, genre and decade, as far as the checkpoint knows them.
        statistics: means and standard deviations of the network's inputs, for each channel.
        discriminants: the discriminant analysis; None until training has finished.
    """

    def __init__(
        self,
        network: Backbone,
        config: dict[str, Any],
        index: Mapping[str, Any] | None = None,
        discriminants: Discriminants | None = None,
        traits: Mapping[str, Trait] | None = None,
    ) -> None:
        super().__init__(config, index)
        self.calibration = Calibration(
            config["temperature"],
            config.get("biases", [0.0] * len(self.artists)),
            config.get("lda_weight", 0.0),
        )
        # Some older checkpoints also have `farthest`, a limit that is not used any more.
        known = {
            name: value
            for name, value in (config.get("strangers") or {}).items()
            if name in Strangers._fields
        }
        self.strangers = Strangers(**known) if known and discriminants else None
        self.knows_strangers = self.strangers is not None
        self.traits: dict[str, Trait] = dict(traits or {})
        self.trait_values = {name: trait.values for name, trait in self.traits.items()}
        self.statistics: tuple[list[float], list[float]] = config["mean"], config["std"]
        self.discriminants = discriminants
        if self.calibration.lda_weight and discriminants is None:
            raise BrushworkError(
                f"the classifier's {checkpoint.DISCRIMINANTS} is missing; copy its whole folder, "
                "or run train_classifier.py --resume to rebuild the file"
            )
        self.network = prepare_inference(network, self.side)

    @classmethod
    def from_pretrained(
        cls, folder_or_hub_id: str | Path | None = None, device: str | torch.device = "cpu"
    ) -> "ArtistClassifier":
        """Open the checkpoint of a classifier.

        Args:
            folder_or_hub_id: the checkpoint's folder, the folder of its run, or its name on the
                Hugging Face Hub; by default the classifier that the package brushwork-demo
                includes.
            device: where to run the network.

        Raises:
            BrushworkError: there is no such checkpoint or device, or the checkpoint is not an
                artist classifier's.
        """
        check_torch_device(device)
        folder = checkpoint.locate_classifier(folder_or_hub_id)
        config = checkpoint.load_config(folder)
        if "model" not in config:  # a generator's
            checkpoint.require_keys(config, folder, CONFIG_KEYS)
        try:
            return cls(
                read_network(folder, config).to(device),
                config,
                read_index(folder),
                read_discriminants(folder),
                read_traits(folder, config),
            )
        except (KeyError, TypeError) as error:
            raise BrushworkError(
                f"{folder} is not the checkpoint of an artist classifier; give one that "
                "train_classifier.py wrote"
            ) from error

    @property
    def split_seed(self) -> int:
        """The seed that decided which paintings it was validated on; see `hold_out_validation`."""
        training = self.config["training"]
        return training.get("split_seed", training["seed"])  # one seed for all, in older ones

    def scores_of(self, squares: NDArray[np.uint8]) -> Scores:
        """Run the network on squares (N, S, S, 3)."""
        return self.scores(self._predict(squares))

    def scores(self, predictions: Predictions) -> Scores:
        """Compute the scores of N predictions."""
        traits = {
            name: trait.probabilities(predictions.channel_statistics)
            for name, trait in self.traits.items()
        }
        return Scores(self.calibrated(predictions), self.known_score(predictions), traits)

    def judge(self, predictions: Predictions, least: float | None = None) -> Judgement:
        """Compute the probabilities of the artists and of "none" for N predictions.

        Args:
            predictions: N predictions.
            least: see `brushwork.classifier.answer.judge_with_none`.
        """
        return self.judge_scores(self.scores(predictions), least)

    def features_of(self, squares: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Compute the features (N, D) of the last hidden layer for squares (N, S, S, 3)."""
        return self._predict(squares).features.numpy()

    def embed(self, images: Picture | Sequence[Picture]) -> Tensor:
        """Compute the features (N, D) of the last hidden layer, float32."""
        return torch.from_numpy(self._features(as_list(images)))

    def heat_of(self, square: NDArray[np.uint8], artist: str | None) -> NDArray[np.float32]:
        """Compute the evidence (h, w), at least 0, for an artist in a square (S, S, 3).

        Raises:
            BrushworkError: the backbone has no feature maps.
        """
        squares = square[None]
        if artist is None:
            label = int(self.calibrated(self._predict(squares)).argmax())
        else:
            label = self.artists.index(artist)
        x = normalise(self._pixels(squares), *self.statistics)
        return grad_cam(self.network, x, label).float().cpu().numpy()

    @torch.no_grad()
    def logits(self, images: Tensor) -> Tensor:
        """Compute logits (N, K) of uint8 images (N, 3, H, W), on the network's device."""
        return self.network(normalise(images, *self.statistics))

    def predict_rows(
        self,
        pixels: Rows,
        rows: NDArray[np.int64],
        num_views: Literal[0, 1, 2, 10] = 0,
        progress: str = "",
    ) -> Predictions:
        """Run the network on rows of prepared pixels; the processes share the work.

        Args:
            pixels: (M, S, S, 3) uint8, with the classifier's side and fit.
            rows: indices (N,) of paintings in `pixels`.
            num_views: views to average over; 0 for the number in the checkpoint.
            progress: title of the progress bar; "" for no bar.

        Returns:
            The predictions of all N rows, in every process.
        """
        views = num_views or self.num_views
        mean, std = self.statistics
        return predict_rows(
            self.network, pixels, rows, mean, std, num_views=views, progress=progress
        )

    @torch.no_grad()
    def features_and_probabilities(self, squares: Tensor) -> tuple[Tensor, Tensor]:
        """Compute features and calibrated probabilities of squares.

        Args:
            squares: uint8 (N, 3, S, S), on the network's device.

        Returns:
            Features (N, D) and probabilities (N, K), on the CPU.
        """
        predictions = predict(self.network, squares, *self.statistics, self.num_views)
        return predictions.features, torch.from_numpy(self.calibrated(predictions)).float()

    def calibrated(self, predictions: Predictions) -> NDArray[np.float64]:
        """Compute calibrated probabilities (N, K) if one of the artists painted each picture."""
        likelihoods = None
        if self.discriminants is not None:
            statistics = predictions.channel_statistics
            likelihoods = log_likelihoods(statistics, self.discriminants).numpy()
            likelihoods = likelihoods[:, : len(self.artists)]
        return self.calibration.probabilities(predictions.logits.numpy(), likelihoods)

    def known_score(self, predictions: Predictions) -> NDArray[np.float64]:
        """Score how likely each painting is by an artist of this classifier.

        The score is 1 minus the probability of "none". Without `strangers`, it is the `familiarity`
        of the channel statistics. A checkpoint whose training was stopped has no discriminant
        analysis; then it is the highest probability.

        Returns:
            The scores (N,).
        """
        if self.strangers is not None:
            scores = self._strangeness(predictions, self.calibrated(predictions))
            return 1 - self.strangers.probability(scores)
        if self.discriminants is not None:
            statistics = predictions.channel_statistics
            scores = familiarity(statistics, self.discriminants, len(self.artists))
            return scores.double().numpy()
        return self.calibrated(predictions).max(1)

    def _strangeness(
        self, predictions: Predictions, probabilities: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Compute the scores (N, S) of `brushwork.classifier.strangers.strangeness`."""
        assert self.discriminants is not None
        statistics = predictions.channel_statistics
        return strangeness(
            predictions.logits.numpy(),
            probabilities,
            log_likelihoods(statistics, self.discriminants).numpy(),
            familiarity(statistics, self.discriminants, len(self.artists)).numpy(),
        )

    @torch.no_grad()
    def _predict(self, squares: NDArray[np.uint8]) -> Predictions:
        return predict(self.network, self._pixels(squares), *self.statistics, self.num_views)

    def _pixels(self, squares: NDArray[np.uint8]) -> Tensor:
        """Move squares (N, S, S, 3) to the network's device: uint8 (N, 3, S, S)."""
        pixels = torch.from_numpy(squares).permute(0, 3, 1, 2)
        return pixels.to(next(self.network.parameters()).device)
