"""Make pictures with a trained generator.

Shapes: N pictures, Z latent numbers, S side, K classes, L levels of styles.
"""

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
from brushwork.errors import BrushworkError, require_positive
from brushwork.gan import styled
from brushwork.gan.latents import MAX_SEED as MAX_SEED
from brushwork.gan.latents import (
    NUM_MEAN_LATENTS,
    check_level,
    check_truncation,
    draw_labels,
    draw_latents,
)
from brushwork.gan.networks import ARCHITECTURES, Generator
from brushwork.report.figures import grid


class PaintingGenerator:
    """A trained generator: it maps latents, and labels if it has classes, to pictures.

    Attributes:
        network: the generator's network, in evaluation mode and without gradients.
        config: the checkpoint's `config.json`.
        side: S, the side of a picture in pixels.
        latent_dim: Z, the length of a latent.
        classes: the names of the K classes, in the order of the labels; () for a generator without
            classes.
        num_levels: L, the number of styles of a picture, from coarse to fine; 0 for a model without
            styles.

    >>> from brushwork.gan import dcgan
    >>> generator = PaintingGenerator(dcgan.Generator(dcgan.DCGANConfig(side=32, width=4)), {})
    >>> [picture.size for picture in generator.sample(2, seed=1)]
    [(32, 32), (32, 32)]
    """

    def __init__(self, network: Generator, config: dict[str, Any]) -> None:
        self.network = network.eval().requires_grad_(False)
        self.config = config
        self.side = network.config.side
        self.latent_dim = network.config.latent_dim
        has_styles = isinstance(network, styled.Generator)
        self.classes: tuple[str, ...] = network.config.classes if has_styles else ()
        self.num_levels = network.config.num_levels if has_styles else 0
        # An opened checkpoint does not change; the weights of a network in training do.
        self._is_final = False
        self._mean_styles: Tensor | None = None

    @classmethod
    def from_pretrained(
        cls, folder_or_hub_id: str | Path, device: str | torch.device = "cpu"
    ) -> "PaintingGenerator":
        """Open a checkpoint that `train_gan.py` wrote.

        Args:
            folder_or_hub_id: a checkpoint's folder, a run's folder, the name of a generator that
                the package brushwork-demo includes, such as "landscapes", or a name on the Hugging
                Face Hub; see `brushwork.checkpoint.locate`.
            device: where the network runs.

        Raises:
            BrushworkError: there is no such checkpoint, or it is not a generator's.
        """
        folder = checkpoint.locate(folder_or_hub_id)
        config = checkpoint.load_config(folder)
        try:
            make_config, make_network, _ = ARCHITECTURES[config["architecture"]]
            shape = dict(config["model"])
            if config["architecture"] == "modern":
                shape.setdefault("full_side", False)  # trained before this level existed
            network = make_network(make_config(**shape))
        except (KeyError, TypeError) as error:
            missing = [key for key in ("architecture", "model") if key not in config]
            reason = f" ({checkpoint.CONFIG} lacks the key {missing[0]!r})" if missing else ""
            raise BrushworkError(
                f"{folder} is not the checkpoint of a generator{reason}; give one that "
                "train_gan.py wrote"
            ) from error
        checkpoint.load_weights(network, folder)
        generator = cls(network.to(device), config)
        generator._is_final = True
        return generator

    def latents(self, num: int, seed: int = 0) -> Tensor:
        """Draw latents (N, Z) from the standard normal distribution.

        The first latents of a seed are the same for every `num`.

        Args:
            num: N, at least 1.
            seed: from 0 to 2**32 - 1; the same seed gives the same latents on every machine.

        Raises:
            BrushworkError: `num` or `seed` is out of range.
        """
        return torch.from_numpy(draw_latents(num, self.latent_dim, seed))

    def labels(self, num: int, label: str | None = None, seed: int = 0) -> Tensor:
        """Make labels (N,) for `paint`, int64; all are 0 for a generator without classes.

        Args:
            num: N, at least 1.
            label: one of `classes`, for all N; None draws each label at random, uniformly.
            seed: determines the random labels; from 0 to 2**32 - 1.

        Raises:
            BrushworkError: there is no such class, or `num` or `seed` is out of range.
        """
        return torch.from_numpy(draw_labels(num, self.classes, label, seed))

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
        """Make N pictures; the same seed gives the same pictures.

        Args:
            num: N, at least 1.
            label: one of `classes`; None draws the class of each picture at random.
            seed: determines latents and labels; from 0 to 2**32 - 1.
            truncation: above 0, at most 1; lower values give less variety; see `paint`.
            to: "pil" for a list of RGB images, "array" for uint8 (N, S, S, 3), "tensor" for
                float32 (N, 3, S, S) in [-1, 1] on the generator's device.

        Raises:
            BrushworkError: there is no such class, or a number is out of range.
        """
        z, y = self.latents(num, seed), self.labels(num, label, seed)
        images = self.paint(z, y, truncation)
        if to == "tensor":
            return images
        return to_arrays(images) if to == "array" else to_pictures(images)

    @torch.inference_mode()
    def paint(
        self, z: Tensor, y: Tensor | None = None, truncation: float = 1.0, batch_size: int = 64
    ) -> Tensor:
        """Map latents (N, Z) to images (N, 3, S, S) in [-1, 1].

        Args:
            z: (N, Z), as `latents` draws them.
            y: labels (N,); None takes those that `labels` draws with seed 0.
            truncation: above 0, at most 1. At 1 the latents are those of the training; lower values
                move each style (or, for a model without styles, each latent) towards the mean,
                which gives less variety and fewer failures.
            batch_size: images in one forward pass.

        Returns:
            float32 on the generator's device.

        Raises:
            BrushworkError: `truncation` is out of range.
        """
        if self.num_levels:
            return self.paint_styles(self.styles(z, y, truncation), batch_size)
        z = z * check_truncation(truncation)
        return torch.cat([self.network(part.to(self.device)) for part in z.split(batch_size)])

    @torch.inference_mode()
    def styles(self, z: Tensor, y: Tensor | None = None, truncation: float = 1.0) -> Tensor:
        """Map latents (N, Z) and labels (N,) to styles (N, L, Z), for `mix` and `paint_styles`.

        Truncation interpolates between the mean style of the class, at 0, and the style itself, at
        1 (Karras et al. 2019, "A Style-Based Generator Architecture for GANs", appendix B). The
        mean is computed from this network's weights, where StyleGAN keeps a moving average.

        Args:
            z: (N, Z), as `latents` draws them.
            y: labels (N,); None takes those that `labels` draws with seed 0.
            truncation: above 0, at most 1.

        Raises:
            BrushworkError: the model has no styles, or `truncation` is out of range.
        """
        network = self._styled()
        y = (self.labels(len(z)) if y is None else y).to(self.device)
        w = network.styles(z.to(self.device), y)
        return (
            w
            if check_truncation(truncation) == 1
            else torch.lerp(self.mean_styles()[y], w, truncation)
        )

    @torch.inference_mode()
    def mean_styles(self) -> Tensor:
        """Compute the mean style of each class: (K, L, Z), or (1, L, Z) without classes.

        Raises:
            BrushworkError: the model has no styles.
        """
        network = self._styled()
        if self._mean_styles is not None:
            return self._mean_styles.to(self.device)
        z = self.latents(NUM_MEAN_LATENTS).to(self.device)
        labels = torch.arange(max(1, len(self.classes)), device=self.device)
        means = torch.stack([network.styles(z, y.expand(len(z))).mean(0) for y in labels])
        if self._is_final:
            self._mean_styles = means
        return means

    @torch.inference_mode()
    def paint_styles(self, styles: Tensor, batch_size: int = 64) -> Tensor:
        """Map styles (N, L, Z) to images (N, 3, S, S) in [-1, 1].

        Args:
            styles: (N, L, Z), as `styles` and `mix` return them.
            batch_size: images in one forward pass.

        Raises:
            BrushworkError: the model has no styles.
        """
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
            BrushworkError: the model has no styles, or a number is out of range.
        """
        self._styled()
        check_level(level, self.num_levels)
        a, b = self.styles(z_a, y_a, truncation), self.styles(z_b, y_b, truncation)
        return torch.cat([a[:, :level], b[:, level:]], dim=1)

    def grid(self, z: Tensor, y: Tensor | None = None) -> Image.Image:
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
        require_positive({"frames_between": frames_between}, "frames_between")
        stops = self.latents(num_pictures, seed)
        labels = self.labels(num_pictures, label, seed)
        fractions = torch.linspace(0, 1, frames_between + 1)[:-1, None]
        for i, (start, end) in enumerate(itertools.pairwise([*stops, stops[0]])):
            y = labels[i].expand(frames_between)
            yield from to_pictures(self.paint(slerp(start, end, fractions), y, truncation))

    @property
    def device(self) -> torch.device:
        """The device of the network's weights."""
        return next(self.network.parameters()).device

    def _styled(self) -> styled.Generator:
        if not isinstance(self.network, styled.Generator):
            raise BrushworkError("a DC-GAN has no styles; train a generator with `model` modern")
        return self.network


def slerp(start: Tensor, end: Tensor, fraction: Tensor) -> Tensor:
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

    >>> slerp(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0]), torch.tensor([[0.5]]))
    tensor([[0.7071, 0.7071]])
    """
    cosine = torch.nn.functional.cosine_similarity(start, end, dim=-1)
    angle = torch.arccos(cosine.clamp(-1, 1))[..., None]
    parallel = angle.sin().abs() < 1e-4  # the formula divides by this sine
    sine = torch.where(parallel, 1, angle.sin())
    arc = (((1 - fraction) * angle).sin() * start + (fraction * angle).sin() * end) / sine
    return torch.where(parallel, torch.lerp(start, end, fraction), arc)


def to_arrays(images: Tensor) -> NDArray[np.uint8]:
    """Convert images (N, 3, S, S) in [-1, 1] to uint8 (N, S, S, 3) in main memory."""
    return np.ascontiguousarray(to_uint8(images).permute(0, 2, 3, 1).cpu().numpy())


def to_pictures(images: Tensor) -> list[Image.Image]:
    """Convert images (N, 3, S, S) in [-1, 1] to N RGB pictures."""
    return [Image.fromarray(array) for array in to_arrays(images)]
