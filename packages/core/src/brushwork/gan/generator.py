"""A trained generator, ready to paint."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from brushwork import checkpoint
from brushwork.data.batches import to_uint8
from brushwork.errors import BrushworkError
from brushwork.gan import styled
from brushwork.gan.networks import ARCHITECTURES, Generator
from brushwork.names import did_you_mean
from brushwork.report.figures import grid

MAX_SEED = 2**32 - 1


# Latents whose mean style truncation moves towards.
LATENTS_OF_MEAN = 4096


class PaintingGenerator:
    """Paints pictures from a checkpoint.

    Attributes:
        classes: what it was told to tell apart, and paints by name; () where it paints one thing.
        num_levels: styles that a picture takes, coarse to fine; 0 where the model has no styles.

    >>> from brushwork.gan import dcgan
    >>> painter = PaintingGenerator(dcgan.Generator(dcgan.DCGANConfig(side=32, width=4)), {})
    >>> [picture.size for picture in painter.sample(2, seed=1)]
    [(32, 32), (32, 32)]
    """

    def __init__(self, network: Generator, config: dict[str, Any]):
        self.network = network.eval().requires_grad_(False)
        self.config = config
        self.side = network.config.side
        self.latent_dim = network.config.latent_dim
        has_styles = isinstance(network, styled.Generator)
        self.classes: tuple[str, ...] = network.config.classes if has_styles else ()
        self.num_levels = network.config.num_levels if has_styles else 0

    @classmethod
    def from_pretrained(
        cls, folder_or_hub_id: str | Path, device: str | torch.device = "cpu"
    ) -> "PaintingGenerator":
        """Open a checkpoint that `train_gan.py` wrote, here or on the Hugging Face Hub.

        Raises:
            BrushworkError: there is none, or it is not a painting generator.
        """
        folder = checkpoint.locate(folder_or_hub_id)
        config = checkpoint.load_config(folder)
        try:
            make_config, make_network, _ = ARCHITECTURES[config["architecture"]]
            network = make_network(make_config(**config["model"]))
        except (KeyError, TypeError) as error:
            raise BrushworkError(f"{folder} is not a painting generator's checkpoint") from error
        checkpoint.load_weights(network, folder)
        return cls(network.to(device), config)

    def latents(self, num: int, seed: int = 0) -> Tensor:
        """Latents (N, Z); the first ones are the same whatever the number.

        Args:
            num: how many.
            seed: from 0 to 2**32 - 1; the same seed gives the same latents on every machine.

        Raises:
            BrushworkError: a number is out of range.
        """
        rng = _random_numbers(num, seed)
        return torch.from_numpy(rng.standard_normal((num, self.latent_dim), dtype=np.float32))

    def labels(self, num: int, label: str | None = None, seed: int = 0) -> Tensor:
        """Labels (N,) for `paint`: those of one class, or drawn from all; 0 without classes.

        Args:
            num: how many.
            label: one of `classes`; None draws them by the seed, each as often.
            seed: as for `latents`.

        Raises:
            BrushworkError: there is no such class, or a number is out of range.
        """
        rng = _random_numbers(num, seed)
        if label is not None and label not in self.classes:
            known = f"it paints {', '.join(self.classes[:20])}" if self.classes else "it has none"
            hint = did_you_mean(label, self.classes) or f"; {known}"
            raise BrushworkError(f"the generator has no class {label!r}{hint}")
        if label is not None:
            return torch.full((num,), self.classes.index(label))
        return torch.from_numpy(rng.integers(max(1, len(self.classes)), size=num))

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
    ) -> Tensor: ...
    def sample(self, num, *, label=None, seed=0, truncation=1.0, to="pil"):
        """Paint `num` pictures; the same seed gives the same pictures.

        Args:
            num: how many.
            label: one of `classes`; None for all of them at random.
            seed: see `latents`.
            truncation: variety, above 0 and up to 1; see `paint`.
            to: "pil" for a list of RGB images, "array" for uint8 (N, S, S, 3), "tensor" for
                float32 (N, 3, S, S) in [-1, 1] on the generator's device.
        """
        z, y = self.latents(num, seed), self.labels(num, label, seed)
        images = self.paint(z, y, truncation)
        if to == "tensor":
            return images
        arrays = to_arrays(images)
        return arrays if to == "array" else [Image.fromarray(array) for array in arrays]

    @torch.inference_mode()
    def paint(
        self, z: Tensor, y: Tensor | None = None, truncation: float = 1.0, batch_size: int = 64
    ) -> Tensor:
        """Latents (N, Z) to images (N, 3, S, S) in [-1, 1], a batch at a time.

        Args:
            z: from `latents`.
            y: labels (N,); where there are classes and none are given, those of seed 0.
            truncation: 1 for the distribution that was trained on; less draws every style (or
                latent, where the model has none) towards the mean, for less variety and fewer
                failures.
            batch_size: pictures painted at once.
        """
        if self.num_levels:
            return self.paint_styles(self.styles(z, y, truncation), batch_size)
        z = z * _checked(truncation)
        return torch.cat([self.network(part.to(self.device)) for part in z.split(batch_size)])

    @torch.inference_mode()
    def styles(self, z: Tensor, y: Tensor | None = None, truncation: float = 1.0) -> Tensor:
        """Latents (N, Z) and labels (N,) to styles (N, L, Z), for `mix` and `paint_styles`.

        Truncated, they lie between the mean style of their class and their own (Karras et al. 2019,
        appendix B). The mean is that of the averaged weights, not an average of means.
        """
        network = self._styled()
        y = (self.labels(len(z)) if y is None else y).to(self.device)
        w = network.styles(z.to(self.device), y)
        return w if _checked(truncation) == 1 else torch.lerp(self.mean_styles()[y], w, truncation)

    @torch.inference_mode()
    def mean_styles(self) -> Tensor:
        """The mean style of each class: (K, L, Z), or (1, L, Z) without classes."""
        network = self._styled()
        z = self.latents(LATENTS_OF_MEAN).to(self.device)
        labels = torch.arange(max(1, len(self.classes)), device=self.device)
        return torch.stack([network.styles(z, y.expand(len(z))).mean(0) for y in labels])

    @torch.inference_mode()
    def paint_styles(self, styles: Tensor, batch_size: int = 64) -> Tensor:
        """Styles (N, L, Z) to images (N, 3, S, S) in [-1, 1], a batch at a time."""
        network = self._styled()
        return torch.cat([network.paint(part.to(self.device)) for part in styles.split(batch_size)])

    def mix(
        self,
        z_a: Tensor,
        z_b: Tensor,
        level: int,
        y_a: Tensor | None = None,
        y_b: Tensor | None = None,
        truncation: float = 1.0,
    ) -> Tensor:
        """Styles (N, L, Z) of A's composition in B's manner (Karras et al. 2019, section 3.1).

        Args:
            z_a: (N, Z); its styles are taken below `level`.
            z_b: (N, Z); its styles are taken from `level` on, to the finest.
            level: from 0 (all of B) to `num_levels` (all of A).
            y_a: labels (N,) of `z_a`.
            y_b: labels (N,) of `z_b`.
            truncation: of both.

        Raises:
            BrushworkError: the model has no styles, or no such level.
        """
        if not 0 <= level <= self.num_levels:
            raise BrushworkError(f"level {level} is not between 0 and {self.num_levels}")
        a, b = self.styles(z_a, y_a, truncation), self.styles(z_b, y_b, truncation)
        return torch.cat([a[:, :level], b[:, level:]], dim=1)

    def grid(self, z: Tensor, y: Tensor | None = None) -> Image.Image:
        """Latents (N, Z) to one picture of them all, in rows."""
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
        """Frames of a closed walk through latent space, from picture to picture and back.

        Yields:
            `num_pictures * frames_between` RGB images; every `frames_between`-th is one of
            `sample(num_pictures, seed=seed)`. Between classes it jumps: walk in one, by `label`.
        """
        stops = self.latents(num_pictures, seed)
        labels = self.labels(num_pictures, label, seed)
        fractions = torch.linspace(0, 1, frames_between + 1)[:-1, None]
        for i, (start, end) in enumerate(itertools.pairwise([*stops, stops[0]])):
            y = labels[i].expand(frames_between)
            for array in to_arrays(self.paint(slerp(start, end, fractions), y, truncation)):
                yield Image.fromarray(array)

    @property
    def device(self) -> torch.device:
        """Where it paints."""
        return next(self.network.parameters()).device

    def _styled(self) -> styled.Generator:
        if not isinstance(self.network, styled.Generator):
            raise BrushworkError("a DC-GAN has no styles to mix; train one with --model modern")
        return self.network


def _random_numbers(num: int, seed: int) -> np.random.Generator:
    if num < 1:
        raise BrushworkError(f"cannot paint {num} pictures; ask for at least 1")
    if not 0 <= seed <= MAX_SEED:
        raise BrushworkError(f"seed {seed} is not between 0 and {MAX_SEED}")
    return np.random.default_rng(seed)


def _checked(truncation: float) -> float:
    if not 0 < truncation <= 1:
        raise BrushworkError(f"truncation {truncation} is not above 0 and at most 1")
    return truncation


def slerp(start: Tensor, end: Tensor, fraction: Tensor) -> Tensor:
    """Spherical interpolation between latents (Shoemake 1985; White 2016 for GANs).

    Straight lines between normal latents pass nearer the origin than any latent trained on.

    Args:
        start: (Z,) or (N, Z).
        end: likewise.
        fraction: (N, 1), 0 at `start` and 1 at `end`.

    >>> slerp(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0]), torch.tensor([[0.5]]))
    tensor([[0.7071, 0.7071]])
    """
    cosine = torch.nn.functional.cosine_similarity(start, end, dim=-1)
    angle = torch.arccos(cosine.clamp(-1, 1))[..., None]
    if torch.all(angle.sin().abs() < 1e-4):  # parallel: the formula divides by zero
        return torch.lerp(start, end, fraction)
    return (((1 - fraction) * angle).sin() * start + (fraction * angle).sin() * end) / angle.sin()


def to_arrays(images: Tensor) -> NDArray[np.uint8]:
    """Images (N, 3, S, S) in [-1, 1] to uint8 (N, S, S, 3)."""
    return np.ascontiguousarray(to_uint8(images).permute(0, 2, 3, 1).cpu().numpy())
