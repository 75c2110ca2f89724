"""What every generator does with latents and pictures, whatever computes its network.

This module does not import torch: the networks are run by `brushwork.gan.generator` with torch, and
by `brushwork.runtime.generator` with onnxruntime. N pictures, Z latent numbers, H height and W
width in pixels, K classes, L levels of styles.
"""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, Generic, Literal, TypeVar, overload

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from brushwork.data.aspects import Aspect, height_and_width
from brushwork.errors import BrushworkError, check_whole
from brushwork.gan.latents import (
    check_level,
    check_truncation,
    draw_labels,
    draw_latents,
)
from brushwork.report.figures import grid

Array = TypeVar("Array")
"""`torch.Tensor` or `numpy.ndarray`."""

Floats = NDArray[np.float32]


class Sampler(Generic[Array]):
    """A trained generator: it maps latents, and labels if it has classes, to pictures.

    A subclass runs the network: it defines `styles`, `_run`, `_convert` and `_concatenate`.

    Attributes:
        config: the checkpoint's `config.json`.
        side: the shorter one of H and W.
        aspect: W to H, one of `brushwork.data.aspects.Aspect`.
        height: H.
        width: W.
        latent_dim: Z, the length of a latent.
        classes: the names of the K classes, in the order of the labels; () for a generator without
            classes.
        num_levels: L, the number of styles of a picture, from coarse to fine; 0 for a model without
            styles.
        batch_size: images in one forward pass.
    """

    batch_size = 64
    formats: tuple[str, ...] = ("pil", "array")
    """What `sample` returns: its argument `to`."""

    def __init__(
        self,
        config: dict[str, Any],
        *,
        side: int,
        latent_dim: int,
        classes: Sequence[str] = (),
        num_levels: int = 0,
        aspect: Aspect = "1:1",
    ) -> None:
        self.config = config
        self.side, self.latent_dim = side, latent_dim
        self.aspect: Aspect = aspect
        self.height, self.width = height_and_width(side, aspect)
        self.classes, self.num_levels = tuple(classes), num_levels

    def styles(self, z: Array, y: Array | None = None, truncation: float = 1.0) -> Array:
        """Map latents (N, Z) and labels (N,) to styles (N, L, Z), for `mix` and `paint_styles`.

        Truncation interpolates between the mean style of the class, at 0, and the style itself, at
        1 (Karras et al. 2019, "A Style-Based Generator Architecture for GANs", appendix B). The
        mean is computed from this network's weights, where StyleGAN keeps a moving average.

        Args:
            z: (N, Z), as `latents` draws them.
            y: labels (N,); None takes those that `labels` draws with seed 0.
            truncation: above 0, at most 1.

        Raises:
            BrushworkError: the model has no styles, an array has another shape, or `truncation` or
                a label is out of range.
        """
        raise NotImplementedError

    def _run(self, inputs: Array) -> Array:
        """Map latents (N, Z), or styles (N, L, Z) if the model has them, to images."""
        raise NotImplementedError

    def _convert(self, values: Any, dtype: Literal["float32", "int64"]) -> Array:
        """Convert an array, a tensor or a list to an array of this kind and type."""
        raise NotImplementedError

    def _concatenate(self, parts: Sequence[Array], axis: int = 0) -> Array:
        raise NotImplementedError

    def latents(self, num: int, seed: int = 0) -> Array:
        """Draw latents (N, Z) from the standard normal distribution.

        The first latents of a seed are the same for every `num`.

        Args:
            num: N, at least 1.
            seed: from 0 to 2**32 - 1; the same seed gives the same latents on every machine.

        Raises:
            BrushworkError: `num` or `seed` is out of range.
        """
        return self._convert(draw_latents(num, self.latent_dim, seed), "float32")

    def labels(self, num: int, label: str | None = None, seed: int = 0) -> Array:
        """Make labels (N,) for `paint`, int64; all are 0 for a generator without classes.

        Args:
            num: N, at least 1.
            label: one of `classes`, for all N; None draws each label at random, uniformly.
            seed: determines the random labels; from 0 to 2**32 - 1.

        Raises:
            BrushworkError: there is no such class, or `num` or `seed` is out of range.
        """
        return self._convert(draw_labels(num, self.classes, label, seed), "int64")

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
    @overload
    def sample(
        self,
        num: int,
        *,
        label: str | None = ...,
        seed: int = ...,
        truncation: float = ...,
        to: Literal["tensor"],
    ) -> Array: ...
    def sample(self, num, *, label=None, seed=0, truncation=1.0, to="pil"):
        """Make N pictures; the same seed gives the same pictures.

        Args:
            num: N, at least 1.
            label: one of `classes`; None draws the class of each picture at random.
            seed: determines latents and labels; from 0 to 2**32 - 1.
            truncation: above 0, at most 1; lower values give less variety; see `paint`.
            to: "pil" for a list of RGB images, "array" for uint8 (N, H, W, 3), and with torch
                "tensor" for float32 (N, 3, H, W) in [-1, 1] on the generator's device.

        Raises:
            BrushworkError: there is no such class, or an argument is out of range.
        """
        if to not in self.formats:
            known = " or ".join(map(repr, self.formats))
            raise BrushworkError(f"`to` is {to!r}; this generator makes {known}")
        z, y = self.latents(num, seed), self.labels(num, label, seed)
        images = self.paint(z, y, truncation)
        if to == "tensor":
            return images
        return to_arrays(images) if to == "array" else to_pictures(images)

    def paint(
        self,
        z: Array,
        y: Array | None = None,
        truncation: float = 1.0,
        batch_size: int | None = None,
    ) -> Array:
        """Map latents (N, Z) to images (N, 3, H, W) in [-1, 1], float32.

        Args:
            z: (N, Z), as `latents` draws them.
            y: labels (N,); None takes those that `labels` draws with seed 0.
            truncation: above 0, at most 1. At 1 the latents are those of the training; lower values
                move each style (or, for a model without styles, each latent) towards the mean,
                which gives less variety and fewer failures.
            batch_size: images in one forward pass; by default the attribute of this name.

        Raises:
            BrushworkError: an array has another shape, or a number or a label is out of range.
        """
        if self.num_levels:
            return self.paint_styles(self.styles(z, y, truncation), batch_size)
        latents: Any = self._inputs(z, y)[0]
        return self._run_in_batches(latents * float(check_truncation(truncation)), batch_size)

    def paint_styles(self, styles: Array, batch_size: int | None = None) -> Array:
        """Map styles (N, L, Z) to images (N, 3, H, W) in [-1, 1], float32.

        Args:
            styles: (N, L, Z), as `styles` and `mix` return them.
            batch_size: images in one forward pass; see `paint`.

        Raises:
            BrushworkError: the model has no styles, `styles` has another shape, or `batch_size` is
                below 1.
        """
        self._check_styles()
        styles = self._floats("styles", styles, self.num_levels, self.latent_dim)
        return self._run_in_batches(styles, batch_size)

    def mix(
        self,
        z_a: Array,
        z_b: Array,
        level: int,
        y_a: Array | None = None,
        y_b: Array | None = None,
        truncation: float = 1.0,
    ) -> Array:
        """Combine the coarse styles of A with the fine styles of B into styles (N, L, Z).

        The coarse styles decide the composition, the fine ones colours and brushwork (style mixing,
        Karras et al. 2019, section 3.1).

        Args:
            z_a: (N, Z), latents of A; its styles are used at the levels below `level`.
            z_b: (N, Z), latents of B; its styles are used from `level` to the finest level.
            level: from 0 (all of B) to L (all of A).
            y_a: labels (N,) of A; see `paint`.
            y_b: labels (N,) of B; see `paint`.
            truncation: truncation of A and B, above 0, at most 1.

        Raises:
            BrushworkError: the model has no styles, a number is out of range, or A and B have
                different numbers of latents.
        """
        self._check_styles()
        check_level(level, self.num_levels)
        a: Any = self.styles(z_a, y_a, truncation)
        b: Any = self.styles(z_b, y_b, truncation)
        if len(a) != len(b):
            raise BrushworkError(f"`z_a` has {len(a)} latents and `z_b` {len(b)}; pass as many")
        return self._concatenate([a[:, :level], b[:, level:]], axis=1)

    def grid(self, z: Array, y: Array | None = None) -> Image.Image:
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

        The walk passes through the pictures of `sample` and ends where it started. Between pictures
        of different classes it jumps; pass `label` to stay in one class.

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
        check_whole("frames_between", frames_between, 1)
        stops = draw_latents(num_pictures, self.latent_dim, seed)
        labels = draw_labels(num_pictures, self.classes, label, seed)
        fractions = np.linspace(0, 1, frames_between + 1, dtype=np.float32)[:-1, None]
        for i, (start, end) in enumerate(itertools.pairwise([*stops, stops[0]])):
            z: Any = slerp(start, end, fractions)
            y: Any = np.full(frames_between, labels[i])
            yield from to_pictures(self.paint(z, y, truncation))

    def _run_in_batches(self, inputs: Any, batch_size: int | None) -> Array:
        size = self.batch_size if batch_size is None else batch_size
        check_whole("batch_size", size, 1)
        parts = [self._run(inputs[i : i + size]) for i in range(0, len(inputs), size)]
        return self._concatenate(parts)

    def _inputs(self, z: Any, y: Any = None) -> tuple[Array, Array]:
        """Convert latents to float32 and labels to int64, for both engines, and check them.

        Args:
            z: (N, Z), of any type of numbers.
            y: (N,), of any type of whole numbers; None takes those that `labels` draws with seed 0.

        Raises:
            BrushworkError: an array has another shape, or a label is none of a class.
        """
        z = self._floats("z", z, self.latent_dim)
        y = self.labels(len(z)) if y is None else y
        kind = str(getattr(y, "dtype", None) or np.asarray(y).dtype)
        if "int" not in kind:
            raise BrushworkError(f"`y` has the type {kind}; labels are whole numbers")
        labels: Any = self._convert(y, "int64")
        if tuple(labels.shape) != (len(z),):
            shape = tuple(labels.shape)
            raise BrushworkError(f"`y` has the shape {shape}; {len(z)} latents need ({len(z)},)")
        last = max(1, len(self.classes)) - 1
        if not ((labels >= 0) & (labels <= last)).all():
            raise BrushworkError(
                f"`y` contains labels from {labels.min()} to {labels.max()}; they must be between "
                f"0 and {last}"
            )
        return z, labels

    def _floats(self, name: str, values: Any, *shape: int) -> Any:
        """Convert N latents or styles to float32, and check their shape (N, ...)."""
        array: Any = self._convert(values, "float32")
        if tuple(array.shape[1:]) != shape or not len(array):
            expected = ", ".join(map(str, shape))
            raise BrushworkError(
                f"`{name}` has the shape {tuple(array.shape)}; it must be (N, {expected}), with N "
                "at least 1"
            )
        return array

    def _check_styles(self) -> None:
        if not self.num_levels:
            raise BrushworkError("a DC-GAN has no styles; train a generator with `model` modern")


def slerp(start: Floats, end: Floats, fraction: Floats) -> Floats:
    """Interpolate between latents along the arc of a circle (Shoemake 1985).

    Normal latents of Z dimensions have lengths near sqrt(Z). A straight line between two of them
    passes nearer to the origin, where the generator was not trained; the arc keeps their length
    (White 2016, "Sampling Generative Networks"). Between parallel latents the line is used.

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


def to_arrays(images: Any) -> NDArray[np.uint8]:
    """Convert images (N, 3, H, W) in [-1, 1], an array or a tensor, to uint8 (N, H, W, 3)."""
    if isinstance(images, np.ndarray):
        pixels = np.rint((images + np.float32(1)) * np.float32(127.5)).clip(0, 255).astype(np.uint8)
    else:
        from brushwork.data.batches import to_uint8  # imports torch, as the caller has already

        pixels = to_uint8(images).cpu().numpy()
    return np.ascontiguousarray(pixels.transpose(0, 2, 3, 1))


def to_pictures(images: Any) -> list[Image.Image]:
    """Convert images (N, 3, H, W) in [-1, 1], an array or a tensor, to N RGB pictures."""
    return [Image.fromarray(array) for array in to_arrays(images)]
