"""Make pictures with an exported generator, without torch.

Shapes: N pictures, Z latent numbers, K classes, L levels of styles.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from brushwork import checkpoint
from brushwork.gan.latents import check_truncation
from brushwork.gan.sampling import Floats, Sampler
from brushwork.runtime.graphs import Graph, check_device, open_graph

BATCH_PIXELS = 256**2
"""Pixels of one batch. On a CPU, larger batches need more memory and are not faster."""


class PaintingGenerator(Sampler[NDArray[Any]]):
    """A trained generator: it maps latents, and labels if it has classes, to pictures.

    Arguments and results are those of `brushwork.gan.generator.PaintingGenerator`, with NumPy
    arrays instead of tensors.
    """

    def __init__(self, network: Graph, config: dict[str, Any], styles: Graph | None = None) -> None:
        model = config["model"]
        super().__init__(
            config,
            side=model["side"],
            latent_dim=model["latent_dim"],
            classes=model.get("classes", ()),
            num_levels=config["graphs"]["num_levels"],
            aspect=model.get("aspect", "1:1"),
        )
        self.batch_size = max(1, BATCH_PIXELS // (self.height * self.width))
        self._network, self._styles = network, styles

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

    def styles(
        self, z: NDArray[Any], y: NDArray[Any] | None = None, truncation: float = 1.0
    ) -> Floats:
        """Map latents (N, Z) and labels (N,) to styles (N, L, Z); see `Sampler.styles`."""
        graph = self._styles_graph()
        z, y = self._inputs(z, y)
        share = np.array(check_truncation(truncation), np.float32)
        return graph.run(["styles"], z=z, y=y, truncation=share)[0]

    def mean_styles(self) -> Floats:
        """Return the mean style of each class: (K, L, Z), or (1, L, Z) without classes.

        Raises:
            BrushworkError: the model has no styles.
        """
        graph = self._styles_graph()
        y = np.arange(max(1, len(self.classes)))
        z = np.ones((len(y), self.latent_dim), np.float32)
        return graph.run(["mean_styles"], z=z, y=y, truncation=np.array(1, np.float32))[0]

    def _run(self, inputs: NDArray[Any]) -> Floats:
        return self._network.run(["images"], inputs=inputs)[0]

    def _convert(self, values: Any, dtype: Literal["float32", "int64"]) -> NDArray[Any]:
        return np.asarray(values, dtype)

    def _concatenate(self, parts: Sequence[NDArray[Any]], axis: int = 0) -> NDArray[Any]:
        return np.concatenate([*parts], axis=axis)

    def _styles_graph(self) -> Graph:
        self._check_styles()
        assert self._styles is not None
        return self._styles
