"""Identify the artists of paintings with the checkpoint of a classifier.

The checkpoint holds everything that decides the answer: the network, its artists in the order of
the outputs, the preprocessing, the discriminant analyses, the calibration, and how probable it is
that none of the artists painted a picture. It may also hold an index of the training paintings, for
`ArtistClassifier.nearest`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from brushwork import checkpoint
from brushwork.backbones.create import Backbone, create_backbone
from brushwork.backbones.folding import fold_batch_norms
from brushwork.classifier.answer import UNKNOWN as UNKNOWN
from brushwork.classifier.answer import Candidate as Candidate
from brushwork.classifier.answer import Guess as Guess
from brushwork.classifier.answer import Identification as Identification
from brushwork.classifier.answer import Judgement as Judgement
from brushwork.classifier.answer import Neighbour as Neighbour
from brushwork.classifier.answer import (
    Picture,
    as_list,
    check_artist,
    check_top,
    judge_with_none,
    make_answer,
    place_heat,
    read_picture,
    read_squares,
    read_thumbnail,
    threshold_for,
)
from brushwork.classifier.calibration import Calibration
from brushwork.classifier.discriminants import Discriminants, familiarity, log_likelihoods
from brushwork.classifier.network import (
    Predictions,
    Rows,
    concatenate,
    grad_cam,
    normalise,
    predict,
    predict_rows,
)
from brushwork.classifier.save import (
    CONFIG_KEYS,
    read_discriminants,
    read_index,
    read_traits,
)
from brushwork.classifier.strangers import Strangers, strangeness
from brushwork.classifier.traits import Trait
from brushwork.errors import BrushworkError

BATCH_SIZE = 16


class ArtistClassifier:
    """Identifies the artists of paintings.

    Attributes:
        artists: the K names, in the order of the network's outputs.
        side: side of the network's square inputs, in pixels.
        fit: "crop" if the centre of a painting is the input, "squash" if the whole painting is
            resized to a square.
        num_views: views that predictions are averaged over.
        calibration: turns logits and the discriminant analysis's log-likelihoods into
            probabilities.
        threshold: without `strangers`, a painting with a lower `known_score` is "unknown".
        strangers: gives the probability of "none of these artists"; None in a checkpoint of an
            earlier version, or if training was stopped.
        operating_points: pairs (precision, threshold): of the names with at least this probability,
            this share is right if half of the pictures are by strangers.
        traits: style, genre and decade, as far as the checkpoint knows them.
        statistics: means and standard deviations of the network's inputs, for each channel.
        discriminants: the discriminant analysis; None until training has finished.
        config: the content of `config.json`; `training` and `results` describe the training data
            and the accuracy.
    """

    def __init__(
        self,
        network: Backbone,
        config: dict[str, Any],
        index: Mapping[str, Any] | None = None,
        discriminants: Discriminants | None = None,
        traits: Mapping[str, Trait] | None = None,
    ) -> None:
        self.config = config
        self.artists: tuple[str, ...] = tuple(config["artists"])
        self.side: int = config["side"]
        self.fit: Literal["crop", "squash"] = config["fit"]
        self.num_views: Literal[1, 2, 10] = config["num_views"]
        self.calibration = Calibration(
            config["temperature"],
            config.get("biases", [0.0] * len(self.artists)),
            config.get("lda_weight", 0.0),
        )
        self.threshold: float = config["threshold"]
        strangers = config.get("strangers")
        self.strangers = Strangers(**strangers) if strangers and discriminants else None
        self.operating_points: list[tuple[float, float]] = [
            (float(precision), float(threshold))
            for precision, threshold in config.get("operating_points", [])
        ]
        self.traits: dict[str, Trait] = dict(traits or {})
        self.statistics: tuple[list[float], list[float]] = config["mean"], config["std"]
        self._index = dict(index or {})
        self.discriminants = discriminants
        if self.calibration.lda_weight and discriminants is None:
            raise BrushworkError(
                f"the classifier's {checkpoint.DISCRIMINANTS} is missing; copy its whole folder, "
                "or run train_classifier.py --resume to rebuild the file"
            )
        network = network.eval().requires_grad_(False)
        # Folded batch norms and this memory format make networks up to twice as fast on CPUs.
        device = next(network.parameters()).device
        generator = torch.Generator().manual_seed(0)
        example = torch.randn(1, 3, self.side, self.side, generator=generator).to(device)
        self.network = fold_batch_norms(network, example).to(memory_format=torch.channels_last)

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
            BrushworkError: there is no such checkpoint, or it is not an artist classifier's.
        """
        folder = checkpoint.locate_classifier(folder_or_hub_id)
        config = checkpoint.load_config(folder)
        if "model" not in config:  # a generator's
            checkpoint.require_keys(config, folder, CONFIG_KEYS)
        try:
            options = config.get("network_options", {})
            network = create_backbone(config["architecture"], len(config["artists"]), options)
            checkpoint.load_weights(network, folder)
            return cls(
                network.to(device),
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

    @overload
    def identify(
        self, images: Picture, top: int = ..., precision: float | None = ...
    ) -> Identification: ...
    @overload
    def identify(
        self, images: Sequence[Picture], top: int = ..., precision: float | None = ...
    ) -> list[Identification]: ...
    def identify(
        self,
        images: Picture | Sequence[Picture],
        top: int = 5,
        precision: float | None = None,
    ) -> Identification | list[Identification]:
        """Find the likeliest artists of a painting, or of each painting in a list.

        Files are decoded in this process, without a time limit.

        Args:
            images: a path, a PIL image, the bytes of an image file or uint8 (H, W, 3), or a list or
                tuple of these. The EXIF orientation and the colour profile of a PIL image are used
                as those of a file are.
            top: number of artists to return; all artists if there are fewer. It is also the number
                of styles, genres and decades.
            precision: name an artist only if at least this share of such names is right, measured
                on validation paintings and as many paintings by strangers. By default, an artist is
                named who is at least as probable as "none".

        Returns:
            One answer, or a list of them for a list.

        Raises:
            BrushworkError: an image cannot be read, or this precision cannot be reached.
        """
        check_top(top)
        least = None if precision is None else threshold_for(self.operating_points, precision)
        predictions = self._predict(as_list(images))
        judged = self.judge(predictions, least)
        guesses = {name: self._guesses(name, predictions, top) for name in self.traits}
        answers = [
            make_answer(
                self.artists, *row, top, {name: column[i] for name, column in guesses.items()}
            )
            for i, row in enumerate(zip(*judged, strict=True))
        ]
        return answers if isinstance(images, list | tuple) else answers[0]

    def judge(self, predictions: Predictions, least: float | None = None) -> Judgement:
        """Compute the probabilities of the artists and of "none" for N predictions.

        Args:
            predictions: N predictions.
            least: see `brushwork.classifier.answer.judge_with_none`.

        Returns:
            The judgement; the probability of "none" is 0 without `strangers`.
        """
        given_known = self.calibrated(predictions)
        score = self.known_score(predictions)
        if self.strangers is None:
            return Judgement(given_known, np.zeros(len(score)), score >= self.threshold)
        return judge_with_none(given_known, 1 - score, least)

    def probabilities(self, images: Sequence[Picture]) -> NDArray[np.float64]:
        """Compute calibrated probabilities (N, K) of N images, in the order of `artists`.

        They sum to 1: it is assumed that one of the artists painted each image.
        """
        return self.calibrated(self._predict(images))

    def embed(self, images: Picture | Sequence[Picture]) -> Tensor:
        """Compute the features (N, D) of the last hidden layer, float32."""
        return self._predict(as_list(images)).features

    def explain(self, image: Picture, artist: str | None = None) -> NDArray[np.float32]:
        """Map which parts of a painting are evidence for an artist, by Grad-CAM.

        Args:
            image: the painting.
            artist: the likeliest artist by default.

        Returns:
            (H, W) in [0, 1]: the picture upright, with a short side of at most 256 pixels.
            `brushwork.report.figures.overlay` draws the map over a picture of any size.

        Raises:
            BrushworkError: no such artist, or the backbone has no feature maps.
        """
        if artist is not None:
            check_artist(artist, self.artists)
        encoded = read_picture(image)
        pixels = self._pixels([encoded])
        x = normalise(pixels, *self.statistics)
        if artist is None:
            label = int(self.calibrated(self._predict([encoded])).argmax())
        else:
            label = self.artists.index(artist)
        heat = grad_cam(self.network, x, label).float().cpu().numpy()
        return place_heat(heat, encoded, self.fit)

    def nearest(self, image: Picture, k: int = 5) -> list[Neighbour]:
        """Find the k most similar training paintings, the nearest first.

        The list is empty if the checkpoint has no index.
        """
        if not self._index:
            return []
        query = torch.nn.functional.normalize(self.embed(image))[0]
        similarity = self._index["features"].float() @ query
        best = similarity.topk(min(k, len(similarity)))
        return [
            Neighbour(artist, title, value, read_thumbnail(self._index, i))
            for i, value in zip(best.indices.tolist(), best.values.tolist(), strict=True)
            for artist, title in [self._index["paintings"][i]]
        ]

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

    def _guesses(self, trait: str, predictions: Predictions, top: int) -> list[tuple[Guess, ...]]:
        """List the likeliest values of a trait for each picture, best first."""
        values = self.traits[trait].values
        rows = self.traits[trait].probabilities(predictions.channel_statistics)
        orders = np.argsort(-rows, axis=1, kind="stable")[:, :top]
        return [
            tuple(Guess(values[i], float(row[i])) for i in order)
            for row, order in zip(rows, orders, strict=True)
        ]

    @torch.no_grad()
    def _predict(self, images: Sequence[Picture]) -> Predictions:
        return concatenate(
            [
                predict(
                    self.network,
                    self._pixels(images[first : first + BATCH_SIZE]),
                    *self.statistics,
                    self.num_views,
                )
                for first in range(0, max(len(images), 1), BATCH_SIZE)
            ]
        )

    def _pixels(self, images: Sequence[Picture]) -> Tensor:
        """Read images as training data were read: uint8 (N, 3, S, S), on the network's device."""
        batch = torch.from_numpy(read_squares(images, self.side, self.fit)).permute(0, 3, 1, 2)
        return batch.to(next(self.network.parameters()).device)
