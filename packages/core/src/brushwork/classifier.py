"""Who painted this? An artist classifier's checkpoint, opened to identify paintings with.

Besides the weights it holds the artists in the order of the network's outputs, the preprocessing,
a second opinion (a linear discriminant analysis of channel statistics at all stages), the
calibration of both that makes probabilities honest, and the threshold of "unknown", so that none
of them can go astray; and, optionally, an index of the paintings that it learned from.
"""

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from PIL import Image
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from brushwork import checkpoint
from brushwork.data.decode import Rejected, square, to_jpeg
from brushwork.errors import BrushworkError
from brushwork.metrics import classification
from brushwork.metrics.familiarity import (
    Discriminants,
    familiarity,
    fit_discriminants,
    log_likelihoods,
)
from brushwork.models.classifier import (
    Looked,
    create_backbone,
    grad_cam,
    look,
    look_at,
    normalise,
)
from brushwork.models.folding import fold_batch_norms

if TYPE_CHECKING:
    import pandas as pd

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
        threshold: an image whose `knownness` is lower is "unknown".
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
        self.calibration = classification.Calibration(
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
            return cls(network.to(device), config, read_index(folder), _read_discriminants(folder))
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
        known = self.knownness(seen) >= self.threshold
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
            pixels; `brushwork.figures.overlay` lays it over a picture of any size.

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

    def look_at(
        self,
        pixels: NDArray[np.uint8],
        rows: NDArray[np.int64],
        num_views: Literal[0, 1, 2, 10] = 0,
        progress: str = "",
    ) -> Looked:
        """What it makes of prepared pixels, shared by all processes.

        See `brushwork.models.classifier.look_at`; 0 views for as many as it was chosen with.
        """
        views = num_views or self.num_views
        mean, std = self._statistics
        return look_at(self.network, pixels, rows, mean, std, num_views=views, progress=progress)

    @torch.no_grad()
    def features_and_probabilities(self, squares: Tensor) -> tuple[Tensor, Tensor]:
        """Squares of its side to features (N, D) and calibrated probabilities (N, K), on the CPU.

        Args:
            squares: uint8 (N, 3, S, S), on its device; each is looked at in `num_views` views.
        """
        seen = look(self.network, squares, *self._statistics, self.num_views)
        return seen.features, torch.from_numpy(self.calibrated(seen)).float()

    def calibrated(self, seen: Looked) -> NDArray[np.float64]:
        """What was seen in N paintings to probabilities (N, K) that can be believed."""
        likelihoods = None
        if self._discriminants is not None:
            likelihoods = log_likelihoods(seen.traits, self._discriminants).numpy()
        return self.calibration.probabilities(seen.logits.numpy(), likelihoods)

    def knownness(self, seen: Looked) -> NDArray[np.float64]:
        """How sure it is to know the artist (N,), to be compared with `threshold`.

        The `familiarity` of the traits; or, of a checkpoint whose training was stopped before
        these were learned, the best probability.
        """
        if self._discriminants is not None:
            return familiarity(seen.traits, self._discriminants).double().numpy()
        return self.calibrated(seen).max(1)

    @torch.no_grad()
    def _look(self, images: Sequence[Picture]) -> Looked:
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
        return Looked(*(torch.cat(part) for part in zip(*parts, strict=True)))

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


def open_teacher(
    folder_or_hub_id: str, artists: Sequence[str], device: str | torch.device
) -> ArtistClassifier:
    """A classifier to learn from.

    Raises:
        BrushworkError: it knows other artists.
    """
    teacher = ArtistClassifier.from_pretrained(folder_or_hub_id, device)
    if teacher.artists != tuple(artists):
        raise BrushworkError(
            f"the teacher {folder_or_hub_id} knows {len(teacher.artists)} artists and not just the "
            f"{len(artists)} of this selection; train it on the same --data and --min-paintings"
        )
    return teacher


def save_classifier(
    network: nn.Module,
    folder: str | Path,
    training: Mapping[str, Any],
    judging: Mapping[str, Any],
    val_logits: Tensor,
    val_labels: NDArray[np.int64],
) -> None:
    """Write a classifier's checkpoint, calibrated on paintings that it was not trained on.

    The threshold of "unknown" lets 95 % of these pass.

    Args:
        network: of `brushwork.models.classifier.create_backbone`.
        folder: replaced if it exists.
        training: what it was trained on and how: `model`, `artists` in the order of the outputs,
            `side`, `fit`, `data`, `num_paintings`, `min_paintings`, `fingerprint`, `weights`,
            `epoch`, `seed`.
        judging: `mean`, `std` and `num_views` of `brushwork.models.classifier.look_at`.
        val_logits: (N, K) of the paintings kept aside.
        val_labels: (N,) theirs.
    """
    calibration = classification.fit_calibration(val_logits, val_labels)
    probabilities = calibration.probabilities(val_logits)
    config = {
        "architecture": training["model"],
        "artists": list(training["artists"]),
        "side": training["side"],
        "fit": training["fit"],
        **judging,
        **calibration._asdict(),
        "threshold": classification.threshold_at_recall(probabilities.max(1), 0.95),
        "training": {k: v for k, v in training.items() if k != "artists"},
        "results": {"validation": _report(probabilities, val_labels)},
    }
    checkpoint.save(network, folder, config, model_card(config))


def index_paintings(
    folder: Path,
    pixels: NDArray[np.uint8],
    table: "pd.DataFrame",
    device: str | torch.device = "cpu",
    is_writer: bool = True,
    thumbnail_side: int = 64,
    aside: ArrayLike | None = None,
) -> None:
    """Add the index of paintings to a checkpoint, and what their traits tell of an artist.

    By the traits of the paintings it tells "unknown", and calibrates anew: a linear discriminant
    analysis of them is a second opinion, worth as much as the paintings kept aside say. Every
    process takes its share of the looking.

    Args:
        folder: of the checkpoint.
        pixels: (M, S, S, 3) uint8, of its side and fit.
        table: the paintings to find again, with their row in the pixels as index.
        device: where to look.
        is_writer: one process writes.
        thumbnail_side: pixels of the small pictures; 0 for none.
        aside: rows of the paintings that were not trained on, 95 % of which shall pass as known;
            without them, the network alone tells artists, and its best probability "unknown".
    """
    known, rows = ArtistClassifier.from_pretrained(folder, device), table.index.to_numpy()
    seen = known.look_at(pixels, rows, progress="index" if is_writer else "")
    if is_writer:
        size = (thumbnail_side, thumbnail_side)
        small = [_small_jpeg(pixels[row], size) if thumbnail_side else b"" for row in rows]
        save_index(
            folder, seen.features, list(zip(table["artist"], table["title"], strict=True)), small
        )
    if is_writer and aside is not None:
        learned = torch.from_numpy(~np.isin(rows, aside))
        labels = torch.tensor([known.artists.index(artist) for artist in table["artist"]])
        discriminants = fit_discriminants(seen.traits[learned], labels[learned])
        traits, logits, y = seen.traits[~learned], seen.logits[~learned], labels[~learned]
        likelihoods = log_likelihoods(traits, discriminants)
        calibration = classification.fit_calibration(logits, y, likelihoods)
        validation = _report(calibration.probabilities(logits, likelihoods), y.numpy())
        known_by = familiarity(traits, discriminants).double().numpy()
        config = {
            **known.config,
            **calibration._asdict(),
            "threshold": classification.threshold_at_recall(known_by, 0.95),
            "results": known.config["results"] | {"validation": validation},
        }
        _replace(folder / checkpoint.DISCRIMINANTS, discriminants._asdict())
        checkpoint.update_config(folder, config, model_card(config))


def _report(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> dict[str, float]:
    error = classification.expected_calibration_error(probabilities, labels)
    report = classification.classification_report(probabilities, labels)
    return report | {"calibration_error": error}


def save_index(
    folder: str | Path,
    features: Tensor,
    paintings: Sequence[tuple[str, str]],
    thumbnails: Sequence[bytes],
) -> None:
    """Add the paintings that a checkpoint learned from, for `ArtistClassifier.nearest`.

    Args:
        folder: of the checkpoint.
        features: (N, D) of `ArtistClassifier.embed`; kept in half precision at length 1.
        paintings: artist and title of each.
        thumbnails: a small JPEG of each, or b"" for none.
    """
    sizes = [0, *map(len, thumbnails)]
    tensors = {
        "features": torch.nn.functional.normalize(features).half().contiguous(),
        "thumbnails": torch.from_numpy(
            np.frombuffer(b"".join(thumbnails) or b"\0", np.uint8).copy()
        ),
        "ends": torch.tensor(np.cumsum(sizes)),
    }
    names = {"paintings": json.dumps(list(paintings))}
    _replace(Path(folder) / checkpoint.INDEX, tensors, names)


def _replace(
    file: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None
) -> None:
    """Write a file whole or not at all."""
    partial = file.with_name(f".{file.name}.new")
    try:
        save_file(tensors, partial, metadata)
        partial.replace(file)
    except (OSError, SafetensorError) as error:
        raise BrushworkError(f"cannot write {file}: {error}") from error


def model_card(config: Mapping[str, Any]) -> str:
    """The card of a classifier: what it knows, from what, and how well."""
    training, results = config["training"], config["results"]
    teacher = checkpoint.without_place(training.get("teacher", ""))
    taught = f", taught by {teacher}" if teacher else ""
    weight = config.get("lda_weight", 0.0)
    opinion = (
        "\n- **Second opinion**: a linear discriminant analysis of means and deviations of "
        f"channels at\n  all stages, whose log-likelihoods weigh {weight:.3f} beside the logits."
        if weight
        else ""
    )
    measured = "\n".join(
        f"| {split} | {r['num_paintings']:,.0f} | {r['top1']:.3f} | {r['top3']:.3f} | "
        f"{r['top5']:.3f} | {r['macro_f1']:.3f} | {r.get('calibration_error', float('nan')):.3f} |"
        for split, r in results.items()
    )
    return f"""---
library_name: brushwork
pipeline_tag: image-classification
tags: [painting, art, {config["architecture"]}]
---
# Who painted this? {config["architecture"]}, {len(config["artists"])} artists

```python
from brushwork.classifier import ArtistClassifier

ArtistClassifier.from_pretrained("this folder").identify("painting.jpg")
```

- **Data**: {training["data"]}, {training["num_paintings"]:,} paintings of artists with at least
  {training["min_paintings"]} (fingerprint `{training["fingerprint"]}`), squares of
  {config["side"]} pixels ({config["fit"]}).
- **Training**: {training["epoch"]} epochs, seed {training["seed"]}, started from
  {checkpoint.without_place(training["weights"])} weights{taught}.{opinion}
- **Artists**: {", ".join(config["artists"])}.

| paintings | number | top-1 | top-3 | top-5 | macro F1 | calibration error |
|---|---:|---:|---:|---:|---:|---:|
{measured}

Validation paintings chose the epoch, the calibration and the threshold of "unknown"
({config["threshold"]:.3f}), so their own calibration error flatters; test paintings chose nothing.

**Limits**: it tells these artists apart, in reproductions like those it was trained on. A copyist,
a pupil or an artist it never saw may be given a known name. It is no proof of authorship and must
not be used to attribute value or to authenticate.
"""


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


def _small_jpeg(pixels: NDArray[np.uint8], size: tuple[int, int]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS).save(file, "JPEG", quality=80)
    return file.getvalue()


def _resized(heat: Tensor, size: tuple[int, int]) -> Tensor:
    return torch.nn.functional.interpolate(heat.float().cpu(), size=size, mode="bilinear")


def read_index(folder: Path) -> dict[str, Any]:
    """What `save_index` wrote, `paintings` among it; empty where a checkpoint has no index."""
    file = folder / checkpoint.INDEX
    if not file.is_file():
        return {}
    try:
        with safe_open(file, "pt") as index:
            tensors = {name: index.get_tensor(name) for name in index.keys()}  # noqa: SIM118
            return {**tensors, "paintings": json.loads(index.metadata()["paintings"])}
    except (OSError, SafetensorError, KeyError, ValueError, TypeError) as error:
        raise BrushworkError(
            f"{file} is broken ({error}); delete it, or train the classifier's last step anew"
        ) from error


def _read_discriminants(folder: Path) -> Discriminants | None:
    file = folder / checkpoint.DISCRIMINANTS
    try:
        return Discriminants(**load_file(file)) if file.is_file() else None
    except (OSError, SafetensorError, TypeError) as error:
        raise BrushworkError(
            f"{file} is broken ({error}); train the classifier's last step anew"
        ) from error
