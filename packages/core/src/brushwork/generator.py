"""A trained generator, ready to paint."""

import itertools
from collections.abc import Iterator
from dataclasses import asdict
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
from brushwork.figures import grid
from brushwork.models import dcgan

ARCHITECTURES = {"dcgan": (dcgan.DCGANConfig, dcgan.Generator)}
MAX_SEED = 2**32 - 1


class PaintingGenerator:
    """Paints pictures from a checkpoint.

    >>> painter = PaintingGenerator(dcgan.Generator(dcgan.DCGANConfig(side=32, width=4)), {})
    >>> [picture.size for picture in painter.sample(2, seed=1)]
    [(32, 32), (32, 32)]
    """

    def __init__(self, network: dcgan.Generator, config: dict[str, Any]):
        self.network = network.eval().requires_grad_(False)
        self.config = config
        self.side = network.config.side
        self.latent_dim = network.config.latent_dim

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
            make_config, make_network = ARCHITECTURES[config["architecture"]]
            network = make_network(make_config(**config["model"]))
        except (KeyError, TypeError) as error:
            raise BrushworkError(f"{folder} is not a painting generator's checkpoint") from error
        checkpoint.load_weights(network, folder)
        return cls(network.to(device), config)

    def latents(self, num: int, seed: int = 0, truncation: float = 1.0) -> Tensor:
        """Latents (N, Z); the first ones are the same whatever the number.

        Args:
            num: how many.
            seed: from 0 to 2**32 - 1; the same seed gives the same latents on every machine.
            truncation: 1 for the distribution that was trained on; less draws every latent
                towards the mean, for less variety and fewer failures.

        Raises:
            BrushworkError: a number is out of range.
        """
        if num < 1:
            raise BrushworkError(f"cannot paint {num} pictures; ask for at least 1")
        if not 0 <= seed <= MAX_SEED:
            raise BrushworkError(f"seed {seed} is not between 0 and {MAX_SEED}")
        if not 0 < truncation <= 1:
            raise BrushworkError(f"truncation {truncation} is not above 0 and at most 1")
        z = np.random.default_rng(seed).standard_normal((num, self.latent_dim), dtype=np.float32)
        return torch.from_numpy(z) * truncation

    @overload
    def sample(
        self, num: int, *, seed: int = ..., truncation: float = ..., to: Literal["pil"] = ...
    ) -> list[Image.Image]: ...
    @overload
    def sample(
        self, num: int, *, seed: int = ..., truncation: float = ..., to: Literal["array"]
    ) -> NDArray[np.uint8]: ...
    @overload
    def sample(
        self, num: int, *, seed: int = ..., truncation: float = ..., to: Literal["tensor"]
    ) -> Tensor: ...
    def sample(self, num, *, seed=0, truncation=1.0, to="pil"):
        """Paint `num` pictures; see `latents` for `seed` and `truncation`.

        Args:
            num: how many.
            seed: the same seed gives the same pictures.
            truncation: variety, above 0 and up to 1.
            to: "pil" for a list of RGB images, "array" for uint8 (N, S, S, 3), "tensor" for
                float32 (N, 3, S, S) in [-1, 1] on the generator's device.
        """
        images = self.paint(self.latents(num, seed, truncation))
        if to == "tensor":
            return images
        arrays = to_arrays(images)
        return arrays if to == "array" else [Image.fromarray(array) for array in arrays]

    @torch.inference_mode()
    def paint(self, z: Tensor, batch_size: int = 64) -> Tensor:
        """Latents (N, Z) to images (N, 3, S, S) in [-1, 1], a batch at a time."""
        device = next(self.network.parameters()).device
        return torch.cat([self.network(part.to(device)) for part in z.split(batch_size)])

    def grid(self, z: Tensor) -> Image.Image:
        """Latents (N, Z) to one picture of them all, in rows."""
        return grid(to_arrays(self.paint(z)))

    def walk(
        self, num_pictures: int, frames_between: int, *, seed: int = 0, truncation: float = 1.0
    ) -> Iterator[Image.Image]:
        """Frames of a closed walk through latent space, from picture to picture and back.

        Yields:
            `num_pictures * frames_between` RGB images; every `frames_between`-th is one of
            `sample(num_pictures, seed=seed)`.
        """
        stops = self.latents(num_pictures, seed, truncation)
        fractions = torch.linspace(0, 1, frames_between + 1)[:-1, None]
        for start, end in itertools.pairwise([*stops, stops[0]]):
            for array in to_arrays(self.paint(slerp(start, end, fractions))):
                yield Image.fromarray(array)


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


def save_generator(
    network: dcgan.Generator,
    folder: str | Path,
    training: dict[str, Any],
    step: int,
    weights: Literal["averaged", "raw"],
) -> None:
    """Write a generator's checkpoint, with its model card, for `PaintingGenerator` to open.

    Args:
        network: in training or evaluation mode.
        folder: replaced if it exists.
        training: what it was trained on: `data`, `num_paintings`, `fingerprint`, `genre`, `style`,
            `artist`, `split` (the selection), `batch_size`, `seed`.
        step: steps taken.
        weights: which weights these are.
    """
    epochs = step * training["batch_size"] / training["num_paintings"]
    config = {
        "architecture": "dcgan",
        "model": asdict(network.config),
        "training": training | {"step": step, "epochs": epochs, "weights": weights},
    }
    checkpoint.save(network, folder, config, _model_card(config))


def _model_card(config: dict[str, Any]) -> str:
    training = config["training"]
    filters = {kind: training.get(kind) for kind in ("genre", "style", "artist", "split")}
    chosen = ", ".join(
        f"{kind} {', '.join(names)}" if isinstance(names, list | tuple) else f"{kind} {names}"
        for kind, names in filters.items()
        if names
    )
    return f"""---
library_name: brushwork
tags: [gan, painting, {config["architecture"]}]
---
# A painting generator: {config["architecture"]}, {config["model"]["side"]} pixels

```python
from brushwork.generator import PaintingGenerator
PaintingGenerator.from_pretrained("this folder").sample(16, seed=0)
```

- **Data**: {training["data"]}, {chosen or "everything"} ({training["num_paintings"]:,} paintings,
  fingerprint `{training["fingerprint"]}`).
- **Training**: {training["step"]:,} steps of {training["batch_size"]} paintings
  ({training["epochs"]:.1f} epochs), seed {training["seed"]}, {training["weights"]} weights.
- **Limits**: it knows only the paintings it was trained on, at this size. With few of them it may
  repeat what it saw: compare its pictures with the nearest training paintings before you call them
  new. The licence of the training pictures may restrict what the pictures may be used for.
"""
