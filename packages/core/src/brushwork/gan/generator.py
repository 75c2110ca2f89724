"""Make pictures with a trained generator, with torch.

Shapes: N pictures, Z latent numbers, K classes, L levels of styles.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from brushwork import checkpoint
from brushwork.errors import BrushworkError
from brushwork.gan import sampling, styled
from brushwork.gan.latents import NUM_MEAN_LATENTS, check_truncation
from brushwork.gan.networks import ARCHITECTURES, Generator
from brushwork.gan.sampling import Sampler
from brushwork.machine import check_torch_device


class PaintingGenerator(Sampler[Tensor]):
    """A trained generator: it maps latents, and labels if it has classes, to pictures.

    Methods take NumPy arrays in place of tensors, too.

    Attributes, besides those of `brushwork.gan.sampling.Sampler`:
        network: the generator's network, in evaluation mode and without gradients.

    >>> from brushwork.gan import dcgan
    >>> generator = PaintingGenerator(dcgan.Generator(dcgan.DCGANConfig(side=32, width=4)), {})
    >>> [picture.size for picture in generator.sample(2, seed=1)]
    [(32, 32), (32, 32)]
    """

    formats = ("pil", "array", "tensor")

    def __init__(self, network: Generator, config: dict[str, Any]) -> None:
        has_styles = isinstance(network, styled.Generator)
        super().__init__(
            config,
            side=network.config.side,
            latent_dim=network.config.latent_dim,
            classes=network.config.classes if has_styles else (),
            num_levels=network.config.num_levels if has_styles else 0,
            aspect=network.config.aspect,
        )
        self.network = network.eval().requires_grad_(False)
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
            BrushworkError: there is no such checkpoint or device, or the checkpoint is not a
                generator's.
        """
        check_torch_device(device)
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

    @torch.inference_mode()
    def styles(self, z: Tensor, y: Tensor | None = None, truncation: float = 1.0) -> Tensor:
        """Map latents (N, Z) and labels (N,) to styles (N, L, Z); see `Sampler.styles`."""
        network = self._styled()
        z, y = (part.to(self.device) for part in self._inputs(z, y))
        w = network.styles(z, y)
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

    @property
    def device(self) -> torch.device:
        """The device of the network's weights."""
        return next(self.network.parameters()).device

    @torch.inference_mode()
    def _run(self, inputs: Tensor) -> Tensor:
        inputs = inputs.to(self.device)
        return self._styled().paint(inputs) if self.num_levels else self.network(inputs)

    def _convert(self, values: Any, dtype: Literal["float32", "int64"]) -> Tensor:
        if not isinstance(values, Tensor):
            values = torch.from_numpy(np.array(values, dtype))
        return values.to(getattr(torch, dtype))

    @torch.inference_mode()
    def _concatenate(self, parts: Sequence[Tensor], axis: int = 0) -> Tensor:
        return torch.cat([*parts], dim=axis)

    def _styled(self) -> styled.Generator:
        self._check_styles()
        assert isinstance(self.network, styled.Generator)
        return self.network


def slerp(start: Tensor, end: Tensor, fraction: Tensor) -> Tensor:
    """Interpolate between latents along the arc of a circle; see `brushwork.gan.sampling.slerp`.

    Args:
        start: (Z,) or (N, Z).
        end: (Z,) or (N, Z).
        fraction: (N, 1), from 0 at `start` to 1 at `end`.

    Returns:
        (N, Z), without gradients, on the device of `start`.

    >>> slerp(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0]), torch.tensor([[0.5]]))
    tensor([[0.7071, 0.7071]])
    """
    arrays = (tensor.detach().cpu().numpy() for tensor in (start, end, fraction))
    return torch.from_numpy(sampling.slerp(*arrays)).to(start.device)
