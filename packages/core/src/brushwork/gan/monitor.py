"""Monitor the training of a GAN: samples, kept checkpoints, metrics, and a report at the end."""

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
    """Writes a run's samples, checkpoints and report, and measures the averaged generator.

    Attributes:
        generator: the averaged generator; it always has the current weights.
    """

    def __init__(
        self,
        folder: Path,
        average: Generator,
        settings: Mapping[str, Any],
        real: Pictures,
        device: str | torch.device = "cpu",
    ) -> None:
        """Open the feature space; nothing is written yet.

        Args:
            folder: the run folder.
            average: the network with the moving average of the generator's weights.
            settings: the run's settings. They must contain all that `save_generator` requires;
                `seed`; `eval_space`, see `brushwork.spaces.open_space`; and `eval_fakes`, the
                number of fakes. If `eval_every` is 0 or missing, the generator is not measured.
            real: the training set.
            device: the device of `average`.

        Raises:
            BrushworkError: there is no such space; or, if `eval_every` is given, a package for the
                metrics is missing or there are too few pictures.
        """
        self.folder, self.real, self.settings = folder, real, dict(settings)
        self.generator = PaintingGenerator(average, {"training": self.settings})
        self.space = open_space(settings["eval_space"], device)
        self.num_fakes, self.seed = settings["eval_fakes"], settings["seed"]
        z, y = self.generator.latents(256, self.seed), self.generator.labels(256)
        # Samples show the same latents every time.
        self._batches = list(zip(z.to(device).split(64), y.to(device).split(64), strict=True))
        if settings.get("eval_every"):
            optimal_transport()
            require_enough(real.num, self.num_fakes)
        self._measure = evaluator(real, self.space, num=self.num_fakes, seed=self.seed)

    def record(
        self, step: int, *, show: bool = False, keep: bool = False, measure: bool = False
    ) -> dict[str, Any]:
        """Write samples, keep a checkpoint, or measure the generator.

        Every process calls it at the same step; the first process writes.

        Args:
            step: number of training steps so far.
            show: write a grid of samples.
            keep: save the generator in `kept/`.
            measure: compute the metrics.

        Returns:
            If measured, in the first process, `metrics`, which holds the metrics by feature space
            (see `brushwork.gan.evaluate.compare`), and `eval_seconds`; otherwise nothing.
        """
        began = time.monotonic()
        if show or keep or measure:
            refresh_statistics(self.generator.network, self._batches)
        if show and self._is_writer:
            grid = self.generator.grid(*self._batches[0])
            grid.save(self.folder / f"samples/step-{step:06d}.png")
        if keep and self._is_writer:
            self._save(f"kept/step-{step:06d}", self.generator.network, step, "averaged")
        metrics = self._measure(self.generator) if measure else {}
        if not metrics:
            return {}
        return {"metrics": metrics, "eval_seconds": time.monotonic() - began}

    def finish(self, step: int, raw: Generator) -> None:
        """Write the averaged and the raw generator, the curves and, if it was measured, `report/`.

        Only the first process calls it, after the last `record`.

        Args:
            step: number of training steps.
            raw: the generator with its last weights instead of their average.
        """
        self._save("generator", self.generator.network, step, "averaged")
        self._save("generator_raw", raw, step, "raw")
        figures.gan_curves(read_metrics(self.folder), self.folder / "curves.png")
        training_report(
            run=self.folder,
            generator=self.generator,
            real=self.real,
            space=self.space,
            num=self.num_fakes,
            seed=self.seed,
        )

    @property
    def _is_writer(self) -> bool:
        return process_index() == 0

    def _save(
        self, name: str, network: Generator, step: int, weights: Literal["averaged", "raw"]
    ) -> None:
        save_generator(network, self.folder / name, self.settings, step, weights)
