"""What a GAN's run shows: samples, painters to go back to, metrics, and a report at the end."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch

from brushwork.gan.evaluate import evaluator, training_report
from brushwork.gan.generator import PaintingGenerator
from brushwork.gan.networks import Generator
from brushwork.gan.save import save_generator
from brushwork.metrics.distances import optimal_transport
from brushwork.metrics.evaluate import require_enough
from brushwork.metrics.pictures import Pictures
from brushwork.report import figures
from brushwork.spaces import open_space
from brushwork.training.distributed import process_index
from brushwork.training.ema import refresh_statistics
from brushwork.training.run import read_metrics


class Monitor:
    """The averaged generator of a run as a painter, and what its folder keeps of it.

    Attributes:
        painter: paints with the average as it stands.
    """

    def __init__(
        self,
        folder: Path,
        average: Generator,
        settings: Mapping[str, Any],
        real: Pictures,
        device: str | torch.device = "cpu",
    ):
        """Open what it will be measured with; nothing is written yet.

        Args:
            folder: of the run.
            average: of the generator's weights.
            settings: what `save_generator` asks for, and `seed`, `eval_space` (see
                `brushwork.spaces.open_space`), `eval_fakes`, their number, and
                `eval_every`, if it will be measured.
            real: the paintings that it is trained on.
            device: where `average` is.
        """
        self.folder, self.real, self.settings = folder, real, dict(settings)
        self.painter = PaintingGenerator(average, {"training": self.settings})
        self.space = open_space(settings["eval_space"], device)
        self.num, self.seed = settings["eval_fakes"], settings["seed"]
        z, y = self.painter.latents(256, self.seed), self.painter.labels(256)
        self._same = list(zip(z.to(device).split(64), y.to(device).split(64), strict=True))
        if settings.get("eval_every"):
            optimal_transport()  # or an error now, not after training
            require_enough(real.num, self.num)
        self._measure = evaluator(real, self.space, num=self.num, seed=self.seed)

    def record(
        self, step: int, *, show: bool = False, keep: bool = False, measure: bool = False
    ) -> dict[str, float]:
        """Write a grid of samples, a painter to go back to, or measure, as is asked for.

        Every process calls it at the same step; the first writes.

        Returns:
            The metrics of `brushwork.gan.evaluate.compare` and the `eval_seconds` that they
            took; none in the other processes.
        """
        began = time.monotonic()
        if show or keep or measure:
            refresh_statistics(self.painter.network, self._same)
        if show and self._is_writer:
            grid = self.painter.grid(*self._same[0])
            grid.save(self.folder / f"samples/step-{step:06d}.png")
        if keep and self._is_writer:
            self._save(f"kept/step-{step:06d}", self.painter.network, step, "averaged")
        metrics = self._measure(self.painter) if measure else {}
        return metrics and metrics | {"eval_seconds": time.monotonic() - began}

    def finish(self, step: int, raw: Generator) -> None:
        """Write the painter, as average and as is, the curves and, if it was measured, `report/`.

        The first process calls it, after the last `record`.
        """
        self._save("generator", self.painter.network, step, "averaged")
        self._save("generator_raw", raw, step, "raw")
        figures.gan_curves(read_metrics(self.folder), self.folder / "curves.png")
        training_report(self.folder, self.painter, self.real, self.space, self.num, self.seed)

    @property
    def _is_writer(self) -> bool:
        return process_index() == 0

    def _save(
        self, name: str, network: Generator, step: int, weights: Literal["averaged", "raw"]
    ) -> None:
        save_generator(network, self.folder / name, self.settings, step, weights)
