"""Who painted this? An artist classifier's checkpoint, opened to identify paintings with.

Besides the weights it holds the artists in the order of the network's outputs, the preprocessing,
a second opinion (a linear discriminant analysis of channel statistics at all stages), the
calibration of both that makes probabilities honest, and the threshold of "unknown", so that none
of them can go astray; and, optionally, an index of the paintings that it learned from.
"""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from brushwork import checkpoint
from brushwork.backbones.create import create_backbone
from brushwork.backbones.folding import fold_batch_norms
from brushwork.classifier.calibration import Calibration
from brushwork.classifier.discriminants import (
    Discriminants,
    familiarity,
    log_likelihoods,
)
from brushwork.classifier.network import Predictions, grad_cam, look, normalise, predict_rows
from brushwork.data.decode import Rejected, square, to_jpeg
from brushwork.errors import BrushworkError

if TYPE_CHECKING:
    pass
from brushwork.classifier.save import read_discriminants, read_index

SHORT_SIDE = 256
"""Pixels that prepared data keep of a painting's short side, and so all that is looked at."""


BATCH = 16


UNKNOWN = "unknown"


Picture = str | Path | bytes | Image.Image | NDArray[np.uint8]


@dataclass(frozen=True)
class Candidate:
    """An artist, and the calibrated probability that the painting is theirs."""

    artist: str
    probability: float


@dataclass(frozen=True)
class Identification:
    """The likeliest artists, best first, and whether the best is likely enough to be named."""

    candidates: tuple[Candidate, ...]
    known: bool

    @property
    def artist(self) -> str:
        """The likeliest artist, or "unknown"."""
        return self.candidates[0].artist if self.known else UNKNOWN


@dataclass(frozen=True)
class Neighbour:
    """A painting that the classifier learned from; `similarity` is the cosine of the features."""

    artist: str
    title: str
    similarity: float
    thumbnail: Image.Image | None


class ArtistClassifier:
    """Names the artists of paintings.

    Attributes:
        artists: the K names, in the order of the network's outputs.
        side: pixels of the square that a painting is brought to.
        calibration: how logits, and what a linear discriminant analysis of the traits says, become
            probabilities.
        threshold: an image whose `known_score` is lower is "unknown".
        config: all of `config.json`; `training` and `results` tell of its data and its measure.
    """

    def __init__(
        self,
        network: nn.Module,
        config: dict[str, Any],
        index: Mapping[str, Any] | None = None,
        discriminants: Discriminants | None = None,
    ):
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
        self._statistics: tuple[list[float], list[float]] = config["mean"], config["std"]
        self._index = dict(index or {})
        self._discriminants = discriminants
        if self.calibration.lda_weight and discriminants is None:
            raise BrushworkError(
                f"the classifier lacks its {checkpoint.DISCRIMINANTS}; copy all of its folder, or "
                "train its last step anew"
            )
        network = network.eval().requires_grad_(False)
        # Without batch norms and in this layout, networks are up to twice as fast on CPUs.
        device = next(network.parameters()).device
        generator = torch.Generator().manual_seed(0)
        example = torch.randn(1, 3, self.side, self.side, generator=generator).to(device)
        self.network = fold_batch_norms(network, example).to(memory_format=torch.channels_last)

    @classmethod
    def from_pretrained(
        cls, folder_or_hub_id: str | Path, device: str | torch.device = "cpu"
    ) -> "ArtistClassifier":
        """Open a checkpoint folder, or a model of the Hugging Face Hub by name.

        Raises:
            BrushworkError: there is none, or it is not an artist classifier.
        """
        folder = checkpoint.locate(folder_or_hub_id)
        config = checkpoint.load_config(folder)
        try:
            network = create_backbone(config["architecture"], len(config["artists"]))
            checkpoint.load_weights(network, folder)
            return cls(network.to(device), config, read_index(folder), read_discriminants(folder))
        except (KeyError, TypeError) as error:
            raise BrushworkError(f"{folder} is not an artist classifier's checkpoint") from error

    @overload
    def identify(self, images: Picture, top: int = ...) -> Identification: ...
    @overload
    def identify(self, images: Sequence[Picture], top: int = ...) -> list[Identification]: ...
    def identify(self, images: Any, top=5):
        """The likeliest artists of a painting, or of each in a list.

        Args:
            images: a path, a PIL image, an encoded file's bytes or uint8 (H, W, 3), or a list or
                tuple of these.
            top: how many artists to name; all of them if there are fewer.

        Raises:
            BrushworkError: an image can't be read.
        """
        if top < 1:
            raise BrushworkError(f"cannot name {top} artists; ask for at least 1")
        single = not isinstance(images, list | tuple)
        seen = self._look([images] if single else images)
        probabilities = self.calibrated(seen)
        known = self.known_score(seen) >= self.threshold
        named = [self._named(*row, top) for row in zip(probabilities, known, strict=True)]
        return named[0] if single else named

    def probabilities(self, images: Sequence[Picture]) -> NDArray[np.float64]:
        """Calibrated probabilities (N, K), in the order of `artists`."""
        return self.calibrated(self._look(images))

    def embed(self, images: Picture | Sequence[Picture]) -> Tensor:
        """The last hidden layer (N, D), float32."""
        several: Any = images if isinstance(images, list | tuple) else [images]
        return self._look(several).features

    def explain(self, image: Picture, artist: str | None = None) -> NDArray[np.float32]:
        """Which parts speak for an artist (the likeliest by default): Grad-CAM.

        Returns:
            (H, W) in [0, 1], of the picture as it is read: upright, the short side at most 256
            pixels; `brushwork.report.figures.overlay` lays it over a picture of any size.

        Raises:
            BrushworkError: no such artist, or the backbone has no feature maps.
        """
        if artist is not None and artist not in self.artists:
            raise BrushworkError(f"this classifier knows no {artist!r}; it knows {self.artists}")
        encoded = read_picture(image)
        pixels = self._pixels([encoded])
        x = normalise(pixels, *self._statistics)
        if artist is None:
            label = int(self.calibrated(self._look([encoded])).argmax())
        else:
            label = self.artists.index(artist)
        heat = grad_cam(self.network, x, label)[None, None]
        with Image.open(io.BytesIO(encoded)) as picture:
            width, height = picture.size
        if self.fit == "squash":
            whole = _resized(heat, (height, width))
        else:
            short = min(width, height)
            top, left = (height - short) // 2, (width - short) // 2
            whole = torch.zeros(1, 1, height, width)
            whole[..., top : top + short, left : left + short] = _resized(heat, (short, short))
        most = whole.max()
        return (whole / most if most > 0 else whole)[0, 0].numpy()

    def nearest(self, image: Picture, k: int = 5) -> list[Neighbour]:
        """The most similar of the paintings it learned from; none where no index was saved."""
        if not self._index:
            return []
        query = torch.nn.functional.normalize(self.embed(image))[0]
        similarity = self._index["features"].float() @ query
        best = similarity.topk(min(k, len(similarity)))
        return [
            Neighbour(artist, title, value, self._thumbnail(i))
            for i, value in zip(best.indices.tolist(), best.values.tolist(), strict=True)
            for artist, title in [self._index["paintings"][i]]
        ]

    @torch.no_grad()
    def logits(self, images: Tensor) -> Tensor:
        """uint8 images (N, 3, H, W), of any side and on its device, to logits (N, K) there."""
        return self.network(normalise(images, *self._statistics))

    def predict_rows(
        self,
        pixels: NDArray[np.uint8],
        rows: NDArray[np.int64],
        num_views: Literal[0, 1, 2, 10] = 0,
        progress: str = "",
    ) -> Predictions:
        """What it makes of prepared pixels, shared by all processes.

        See `brushwork.classifier.network.predict_rows`; 0 views for as many as it was chosen with.
        """
        views = num_views or self.num_views
        mean, std = self._statistics
        return predict_rows(
            self.network, pixels, rows, mean, std, num_views=views, progress=progress
        )

    @torch.no_grad()
    def features_and_probabilities(self, squares: Tensor) -> tuple[Tensor, Tensor]:
        """Squares of its side to features (N, D) and calibrated probabilities (N, K), on the CPU.

        Args:
            squares: uint8 (N, 3, S, S), on its device; each is looked at in `num_views` views.
        """
        seen = look(self.network, squares, *self._statistics, self.num_views)
        return seen.features, torch.from_numpy(self.calibrated(seen)).float()

    def calibrated(self, seen: Predictions) -> NDArray[np.float64]:
        """What was seen in N paintings to probabilities (N, K) that can be believed."""
        likelihoods = None
        if self._discriminants is not None:
            likelihoods = log_likelihoods(seen.traits, self._discriminants).numpy()
        return self.calibration.probabilities(seen.logits.numpy(), likelihoods)

    def known_score(self, seen: Predictions) -> NDArray[np.float64]:
        """How sure it is to know the artist (N,), to be compared with `threshold`.

        The `familiarity` of the traits; or, of a checkpoint whose training was stopped before
        these were learned, the best probability.
        """
        if self._discriminants is not None:
            return familiarity(seen.traits, self._discriminants).double().numpy()
        return self.calibrated(seen).max(1)

    @torch.no_grad()
    def _look(self, images: Sequence[Picture]) -> Predictions:
        if not len(images):
            raise BrushworkError("no images to look at; pass at least one")
        parts = [
            look(
                self.network,
                self._pixels(images[first : first + BATCH]),
                *self._statistics,
                self.num_views,
            )
            for first in range(0, len(images), BATCH)
        ]
        return Predictions(*(torch.cat(part) for part in zip(*parts, strict=True)))

    def _pixels(self, images: Sequence[Picture]) -> Tensor:
        """uint8 (N, 3, S, S) on the network's device, by the way that training data took."""
        squares = [np.asarray(square(read_picture(image), self.side, self.fit)) for image in images]
        batch = torch.from_numpy(np.stack(squares)).permute(0, 3, 1, 2)
        return batch.to(next(self.network.parameters()).device)

    def _named(self, probabilities: NDArray[np.float64], known: bool, top: int) -> Identification:
        order = np.argsort(-probabilities, kind="stable")[:top]
        named = tuple(Candidate(self.artists[i], float(probabilities[i])) for i in order)
        return Identification(named, bool(known))

    def _thumbnail(self, row: int) -> Image.Image | None:
        ends = self._index["ends"]
        first, last = (int(ends[i]) for i in (row, row + 1))
        if first == last:
            return None
        encoded = self._index["thumbnails"][first:last].numpy().tobytes()
        return Image.open(io.BytesIO(encoded), formats=["JPEG"]).convert("RGB")


def read_picture(image: Picture) -> bytes:
    """A picture of any kind as the JPEG that prepared data would hold.

    Raises:
        BrushworkError: it can't be read, with the reason.
    """
    name = "an image"
    if isinstance(image, str | Path):
        image, name = Path(image), str(image)
        if not image.is_file():
            raise BrushworkError(f"no file {image}")
    elif isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
            raise BrushworkError(
                f"an array of an image is uint8 (H, W, 3), not {image.dtype} {image.shape}"
            )
        image = Image.fromarray(image)
    elif not isinstance(image, bytes | Image.Image):
        raise BrushworkError(
            f"an image is a path, a PIL image or an array, not {type(image).__name__}"
        )
    try:
        return to_jpeg(image, SHORT_SIDE)
    except Rejected as error:
        raise BrushworkError(f"cannot read {name}: {error}") from error


def _resized(heat: Tensor, size: tuple[int, int]) -> Tensor:
    return torch.nn.functional.interpolate(heat.float().cpu(), size=size, mode="bilinear")
