"""Make pictures with an exported generator, without torch.

Shapes: N pictures, Z latent numbers, S side, K classes, L levels of styles.
"""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from brushwork import checkpoint
from brushwork.errors import BrushworkError, require_positive
from brushwork.gan.latents import check_level, check_truncation, draw_labels, draw_latents
from brushwork.report.figures import grid
from brushwork.runtime.graphs import Graph, check_device, open_graph

Floats = NDArray[np.float32]

BATCH_PIXELS = 256**2
"""Pixels of one batch. On a CPU, larger batches need more memory and are not faster."""


class PaintingGenerator:
    """A trained generator: it maps latents, and labels if it has classes, to pictures.

    Each method has the arguments and the results of the method of
    `brushwork.gan.generator.PaintingGenerator`, with NumPy arrays instead of tensors.

    Attributes:
        config: the checkpoint's `config.json`.
        side: S, the side of a picture in pixels.
        latent_dim: Z, the length of a latent.
        classes: the names of the K classes, in the order of the labels; () for a generator without
            classes.
        num_levels: L, the number of styles of a picture, from coarse to fine; 0 for a model without
            styles.
    """

    def __init__(self, network: Graph, config: dict[str, Any], styles: Graph | None = None) -> None:
        self._network, self._styles = network, styles
        self.config = config
        model = config["model"]
        self.side: int = model["side"]
        self.latent_dim: int = model["latent_dim"]
        self.classes: tuple[str, ...] = tuple(model.get("classes", ()))
        self.num_levels: int = config["graphs"]["num_levels"]

    @classmethod
    def from_pretrained(
        cls, folder_or_hub_id: str | Path, device: str = "cpu"
    ) -> "PaintingGenerator":
        """Open a checkpoint that `experiments/export.py` wrote.

        Args:
            folder_or_hub_id: the exported folder or another name that `brushwork.checkpoint.locate`
                takes.
            device: only "cpu".

        Raises:
            BrushworkError: there is no such checkpoint, or it holds no graphs of a generator.
        """
        check_device(device)
        folder = checkpoint.locate(folder_or_hub_id)
        config = checkpoint.load_config(folder)
        network = open_graph(folder, config, checkpoint.GENERATOR_GRAPH)
        checkpoint.require_keys(config, folder, {"model": dict, "graphs": dict})
        if not config["graphs"].get("num_levels"):
            return cls(network, config)
        return cls(network, config, open_graph(folder, config, checkpoint.STYLES_GRAPH))

    def latents(self, num: int, seed: int = 0) -> Floats:
        """Draw latents (N, Z) from the standard normal distribution.

        Args:
            num: N, at least 1; the first latents of a seed are the same for every N.
            seed: from 0 to 2**32 - 1.

        Raises:
            BrushworkError: `num` or `seed` is out of range.
        """
        return draw_latents(num, self.latent_dim, seed)

    def labels(self, num: int, label: str | None = None, seed: int = 0) -> NDArray[np.int64]:
        """Make labels (N,) for `paint`; all are 0 for a generator without classes.

        Args:
            num: N, at least 1.
            label: one of `classes`, for all N; None draws each label at random, uniformly.
            seed: determines the random labels; from 0 to 2**32 - 1.

        Raises:
            BrushworkError: there is no such class, or `num` or `seed` is out of range.
        """
        return draw_labels(num, self.classes, label, seed)

    @overload
    def sample(
        self,
        num: int,
        *,
        label: str | None = ...,
        seed: int = ...,
        truncation: float = ...,
        to: Literal["pil"] = ...,
    ) -> list[Image.Image]: ...
    @overload
    def sample(
        self,
        num: int,
        *,
        label: str | None = ...,
        seed: int = ...,
        truncation: float = ...,
        to: Literal["array"],
    ) -> NDArray[np.uint8]: ...
    def sample(self, num, *, label=None, seed=0, truncation=1.0, to="pil"):
        """Make N pictures; the same seed gives the same pictures.

        Args:
            num: N, at least 1.
            label: one of `classes`; None draws the class of each picture at random.
            seed: determines latents and labels; from 0 to 2**32 - 1.
            truncation: above 0, at most 1; lower values give less variety; see `paint`.
            to: "pil" for a list of RGB images, "array" for uint8 (N, S, S, 3).

        Raises:
            BrushworkError: there is no such class, or an argument is out of range.
        """
        if to not in ("pil", "array"):
            raise BrushworkError(f"`to` is {to!r}; without torch it must be 'pil' or 'array'")
        z, y = self.latents(num, seed), self.labels(num, label, seed)
        arrays = to_arrays(self.paint(z, y, truncation))
        return arrays if to == "array" else [Image.fromarray(array) for array in arrays]

    def paint(
        self,
        z: Floats,
        y: NDArray[np.int64] | None = None,
        truncation: float = 1.0,
        batch_size: int | None = None,
    ) -> Floats:
        """Map latents (N, Z) to images (N, 3, S, S) in [-1, 1].

        Args:
            z: (N, Z), as `latents` draws them.
            y: labels (N,); None takes those that `labels` draws with seed 0.
            truncation: above 0, at most 1. At 1 the latents are those of the training; lower values
                move each style (or, for a model without styles, each latent) towards the mean.
            batch_size: images in one forward pass; by default as many as have `BATCH_PIXELS`.

        Raises:
            BrushworkError: `truncation` is out of range.
        """
        if self._styles:
            return self.paint_styles(self.styles(z, y, truncation), batch_size)
        return self._paint(z * np.float32(check_truncation(truncation)), batch_size)

    def styles(
        self, z: Floats, y: NDArray[np.int64] | None = None, truncation: float = 1.0
    ) -> Floats:
        """Map latents (N, Z) and labels (N,) to styles (N, L, Z), for `mix` and `paint_styles`.

        Args:
            z: (N, Z), as `latents` draws them.
            y: labels (N,); None takes those that `labels` draws with seed 0.
            truncation: above 0, at most 1; see `paint`.

        Raises:
            BrushworkError: the model has no styles, or `truncation` is out of range.
        """
        graph = self._with_styles()
        y = self.labels(len(z)) if y is None else y
        share = np.array(check_truncation(truncation), np.float32)
        return graph.run(["styles"], z=z, y=y, truncation=share)[0]

    def mean_styles(self) -> Floats:
        """Return the mean style of each class: (K, L, Z), or (1, L, Z) without classes.

        Raises:
            BrushworkError: the model has no styles.
        """
        graph = self._with_styles()
        y = np.arange(max(1, len(self.classes)))
        z = np.ones((len(y), self.latent_dim), np.float32)
        return graph.run(["mean_styles"], z=z, y=y, truncation=np.array(1, np.float32))[0]

    def paint_styles(self, styles: Floats, batch_size: int | None = None) -> Floats:
        """Map styles (N, L, Z) to images (N, 3, S, S) in [-1, 1].

        Args:
            styles: (N, L, Z), as `styles` and `mix` return them.
            batch_size: images in one forward pass; see `paint`.

        Raises:
            BrushworkError: the model has no styles.
        """
        self._with_styles()
        return self._paint(styles, batch_size)

    def mix(
        self,
        z_a: Floats,
        z_b: Floats,
        level: int,
        y_a: NDArray[np.int64] | None = None,
        y_b: NDArray[np.int64] | None = None,
        truncation: float = 1.0,
    ) -> Floats:
        """Combine the coarse styles of A with the fine styles of B into styles (N, L, Z).

        Args:
            z_a: (N, Z), latents of A; its styles are used at the levels below `level`.
            z_b: (N, Z), latents of B; its styles are used from `level` to the finest level.
            level: from 0 (all of B) to L (all of A).
            y_a: labels (N,) of A; see `paint`.
            y_b: labels (N,) of B; see `paint`.
            truncation: truncation of A and B, above 0, at most 1.

        Raises:
            BrushworkError: the model has no styles, or a number is out of range.
        """
        self._with_styles()
        check_level(level, self.num_levels)
        a, b = self.styles(z_a, y_a, truncation), self.styles(z_b, y_b, truncation)
        return np.concatenate([a[:, :level], b[:, level:]], axis=1)

    def grid(self, z: Floats, y: NDArray[np.int64] | None = None) -> Image.Image:
        """Make one picture that shows the images of latents (N, Z) in rows.

        Args:
            z: (N, Z), as `latents` draws them.
            y: labels (N,); see `paint`.
        """
        return grid(to_arrays(self.paint(z, y)))

    def walk(
        self,
        num_pictures: int,
        frames_between: int,
        *,
        label: str | None = None,
        seed: int = 0,
        truncation: float = 1.0,
    ) -> Iterator[Image.Image]:
        """Make the frames of a closed walk through latent space.

        Args:
            num_pictures: pictures that the walk passes, at least 1.
            frames_between: frames from one of these pictures to the next, at least 1.
            label: one of `classes`; None draws the class of each picture at random.
            seed: determines latents and labels; from 0 to 2**32 - 1.
            truncation: above 0, at most 1; see `paint`.

        Yields:
            `num_pictures * frames_between` RGB images. Frame `i * frames_between` is picture i of
            `sample` with the same arguments.

        Raises:
            BrushworkError: there is no such class, or a number is out of range.
        """
        require_positive({"frames_between": frames_between}, "frames_between")
        stops = self.latents(num_pictures, seed)
        labels = self.labels(num_pictures, label, seed)
        fractions = np.linspace(0, 1, frames_between + 1, dtype=np.float32)[:-1, None]
        for i, (start, end) in enumerate(itertools.pairwise([*stops, stops[0]])):
            y = np.full(frames_between, labels[i])
            for array in to_arrays(self.paint(slerp(start, end, fractions), y, truncation)):
                yield Image.fromarray(array)

    def _paint(self, inputs: Floats, batch_size: int | None) -> Floats:
        batch_size = batch_size or max(1, BATCH_PIXELS // self.side**2)
        batches = (inputs[i : i + batch_size] for i in range(0, len(inputs), batch_size))
        return np.concatenate([self._network.run(["images"], inputs=b)[0] for b in batches])

    def _with_styles(self) -> Graph:
        if self._styles is None:
            raise BrushworkError("a DC-GAN has no styles; train a generator with `model` modern")
        return self._styles


def slerp(start: Floats, end: Floats, fraction: Floats) -> Floats:
    """Interpolate between latents along the arc of a circle, as `brushwork.gan.generator.slerp`.

    Args:
        start: (Z,) or (N, Z).
        end: (Z,) or (N, Z).
        fraction: (N, 1), from 0 at `start` to 1 at `end`.

    Returns:
        (N, Z).

    >>> slerp(*np.eye(2, dtype=np.float32), np.float32([[0.5]])).round(4).tolist()
    [[0.707099974155426, 0.707099974155426]]
    """
    lengths = np.linalg.norm(start, axis=-1) * np.linalg.norm(end, axis=-1)
    cosine = (start * end).sum(-1) / np.maximum(lengths, 1e-8)
    angle = np.arccos(np.clip(cosine, -1, 1))[..., None]
    parallel = np.abs(np.sin(angle)) < 1e-4  # the formula divides by this sine
    sine = np.where(parallel, 1, np.sin(angle))
    arc = (np.sin((1 - fraction) * angle) * start + np.sin(fraction * angle) * end) / sine
    line = start + fraction * (end - start)
    return np.where(parallel, line, arc).astype(np.float32)


def to_arrays(images: Floats) -> NDArray[np.uint8]:
    """Convert images (N, 3, S, S) in [-1, 1] to uint8 (N, S, S, 3)."""
    pixels = np.rint((images + np.float32(1)) * np.float32(127.5))
    return np.ascontiguousarray(pixels.clip(0, 255).astype(np.uint8).transpose(0, 2, 3, 1))
