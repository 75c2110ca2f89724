"""Monitor the training of a GAN: samples, kept checkpoints, metrics, and a report at the end."""

import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from brushwork.checkpoint import load_config, shorten_path
from brushwork.data.batches import AUGMENTATION, random_numbers, to_unit_range
from brushwork.gan.augment import NUMBERS_PER_IMAGE, diff_augment
from brushwork.gan.evaluate import evaluator, training_report
from brushwork.gan.generator import PaintingGenerator
from brushwork.gan.networks import Generator
from brushwork.gan.sampling import to_arrays
from brushwork.gan.save import save_generator
from brushwork.metrics.distances import optimal_transport
from brushwork.metrics.evaluate import improves, require_enough
from brushwork.metrics.likeness import Likeness, Look, likeness, look
from brushwork.metrics.pictures import Pictures
from brushwork.report import figures
from brushwork.spaces import open_space
from brushwork.training.distributed import process_index
from brushwork.training.ema import refresh_statistics
from brushwork.training.run import METRICS, read_metrics

BEST = "kept/best"
"""Folder in a run of the best generator so far."""

# Settings that decide which generator is best; with others, its value cannot be compared.
CHOSEN_BY = ("keep_by", "eval_space", "eval_fakes", "num_paintings", "fingerprint")

# Number of paintings with which `Monitor.look` compares the samples.
NUM_LOOKED_AT = 256

# The preview of an augmentation: rows of a painting and distortions of it.
PREVIEW_PAINTINGS, PREVIEW_DISTORTIONS = 6, 7


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
                number of fakes. If `eval_every` is 0 or missing, the generator is not measured. If
                `keep` is "best", the generator with the best value of the metric `keep_by` is in
                `kept/best`. If `keep_last` is above 0, only this many of the others, the last ones,
                stay in `kept/`.
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
        self._paintings: Look | None = None
        self._measure = evaluator(real, self.space, num=self.num_fakes, seed=self.seed)

    def record(
        self,
        step: int,
        *,
        images: int | None = None,
        show: bool = False,
        keep: bool = False,
        measure: bool = False,
    ) -> dict[str, Any]:
        """Write samples, keep a checkpoint, or measure the generator.

        Every process calls it at the same step; the first process writes.

        Args:
            step: number of training steps so far.
            images: paintings seen in these steps; by default a batch at each step.
            show: write a grid of samples.
            keep: save the generator in `kept/`.
            measure: compute the metrics. The metrics of earlier steps are those in the run's
                `metrics.jsonl`.

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
            self._save(f"kept/step-{step:06d}", step, images)
            self._delete_old()
        metrics = self._measure(self.generator) if measure else {}
        if not metrics:
            return {}
        if self.settings.get("keep") == "best" and self._is_best(metrics):
            self._save(BEST, step, images)
        return {"metrics": metrics, "eval_seconds": time.monotonic() - began}

    def look(self) -> Likeness:
        """Compare samples with paintings by simple statistics; see `brushwork.metrics.likeness`.

        Every process calls it at the same step.
        """
        refresh_statistics(self.generator.network, self._batches)
        if self._paintings is None:
            paintings = self._paintings_as_samples(self.real.spread(NUM_LOOKED_AT))
            self._paintings = look(paintings)
        return likeness(look(self.generator.paint(*self._batches[0])), self._paintings)

    def preview(self, policy: tuple[str, ...]) -> None:
        """Write `samples/augmented.png`: paintings, each beside distortions of it by a policy.

        Args:
            policy: of `brushwork.gan.augment.diff_augment`; every augmentation is applied.
        """
        rows = self.real.spread(PREVIEW_PAINTINGS)
        images = distorted(self._paintings_as_samples(rows), policy, self.seed)
        sheet = figures.grid(to_arrays(images), columns=1 + PREVIEW_DISTORTIONS)
        sheet.save(self.folder / "samples/augmented.png")

    def finish(self, step: int, raw: Generator, images: int | None = None) -> None:
        """Write the averaged and the raw generator, the curves and, if it was measured, `report/`.

        Only the first process calls it, after every process has called `record` for this step.

        Args:
            step: number of training steps.
            raw: the generator with its last weights instead of their average.
            images: paintings seen in these steps; by default a batch at each step.
        """
        self._save("generator", step, images)
        save_generator(raw, self.folder / "generator_raw", self.settings, step, "raw", images)
        figures.gan_curves(read_metrics(self.folder), self.folder / "curves.png")
        training_report(
            run=self.folder,
            generator=self.generator,
            real=self.real,
            space=self.space,
            num=self.num_fakes,
            seed=self.seed,
        )

    def describe_best(self) -> str:
        """Write in one sentence which generator is in `kept/best`, and whether it is the best."""
        step, values, metric = self._kept_best(), self._values(), self.settings["keep_by"]
        folder = self.folder / BEST
        if step is None:
            space = self.settings["eval_space"]
            return (
                f"no generator was kept for its {metric} in {space} yet; the next evaluation will "
                "keep one"
            )
        better = [other for other in values if improves(values[other], [values[step]], metric)]
        if better:
            return (
                f"{folder} is the generator of step {step:,}; that of step {better[-1]:,} had a "
                f"better {metric}, but was not kept"
            )
        return f"the generator with the best {metric}, of step {step:,}, is in {folder}"

    def _paintings_as_samples(self, rows: Sequence[int]) -> Tensor:
        """Return paintings (N, 3, H, W) in [-1, 1], in the size of the samples."""
        pixels = self.real.thumbnails(rows, self.generator.side, self.generator.aspect)
        return to_unit_range(torch.from_numpy(pixels).permute(0, 3, 1, 2))

    def _is_best(self, metrics: Mapping[str, Mapping[str, float]]) -> bool:
        """Return whether these metrics are better than those of the generator in `kept/best`."""
        name, kept = self.settings["keep_by"], self._kept_best()
        earlier = [] if kept is None else [self._values()[kept]]
        return improves(metrics[self.space.name][name], earlier, name)

    def _kept_best(self) -> int | None:
        """Return the step of the generator in `kept/best`.

        None if there is none, if it was chosen with other settings, or if the run was continued
        from an earlier step.
        """
        if not (self.folder / BEST).exists():
            return None
        kept = load_config(self.folder / BEST)["training"]
        # Checkpoints keep only the end of a path, such as that of a classifier's space.
        chosen_by = {name: self.settings[name] for name in CHOSEN_BY}
        chosen_by |= {"eval_space": shorten_path(self.settings["eval_space"])}
        was_chosen_so = chosen_by.items() <= kept.items()
        return kept["step"] if was_chosen_so and kept["step"] in self._values() else None

    def _values(self) -> dict[int, float]:
        """Read the earlier values of `keep_by` by step, of the same space and number of fakes."""
        lines = read_metrics(self.folder) if (self.folder / METRICS).exists() else []
        measured = {
            line["step"]: line["metrics"][self.space.name]
            for line in lines
            if self.space.name in line.get("metrics", {})
        }
        return {
            step: metrics[self.settings["keep_by"]]
            for step, metrics in measured.items()
            if metrics["n_fake"] == self.num_fakes
        }

    def _delete_old(self) -> None:
        """Delete all but the last `keep_last` of the generators that were kept at some steps."""
        last = self.settings.get("keep_last", 0)
        steps = {
            int(folder.name.removeprefix("step-")): folder
            for folder in (self.folder / "kept").glob("step-*")
            if folder.name.removeprefix("step-").isdecimal()
        }
        for step in sorted(steps)[:-last] if last else []:
            shutil.rmtree(steps[step])

    @property
    def _is_writer(self) -> bool:
        return process_index() == 0

    def _save(self, name: str, step: int, images: int | None) -> None:
        average = self.generator.network
        save_generator(average, self.folder / name, self.settings, step, "averaged", images)


def distorted(images: Tensor, policy: tuple[str, ...], seed: int) -> Tensor:
    """Return each image followed by distortions of it; every augmentation of a policy is applied.

    Args:
        images: (N, 3, H, W) in [-1, 1].
        policy: of `brushwork.gan.augment.diff_augment`.
        seed: determines the distortions.

    Returns:
        (N (1 + `PREVIEW_DISTORTIONS`), 3, H, W): an image, its distortions, the next image.
    """
    repeated = images.repeat_interleave(PREVIEW_DISTORTIONS, dim=0)
    rng = random_numbers(seed, AUGMENTATION, 0)
    u = torch.from_numpy(rng.random((len(repeated), NUMBERS_PER_IMAGE), dtype=np.float32))
    others = diff_augment(repeated, u, policy).unflatten(0, (-1, PREVIEW_DISTORTIONS))
    return torch.cat([images[:, None], others], dim=1).flatten(0, 1)
