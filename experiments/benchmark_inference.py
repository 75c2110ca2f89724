"""Measure what it saves to keep freed memory while pictures are identified, generated and compared.

    uv run experiments/benchmark_inference.py
    uv run experiments/benchmark_inference.py --pictures 16 --rounds 1   # quick

The scripts and the web page keep the memory that they free; a Python program that uses the library
returns it to the kernel, unless it calls `brushwork.machine.keep_freed_memory` as well. The jobs:
    identify   identify pictures with the bundled classifier, as identify.py does
    sample     generate pictures with a bundled generator, as sample.py does
    metrics    compare fakes with paintings in the features of the classifier, as evaluate_gan.py

Two processes of each job alternate: one keeps freed memory, one returns it. The script prints the
medians of the wall-clock, user and system seconds, and a line `ratio JOB VALUE` of the wall-clock
seconds (above 1: keeping is faster).
"""

import io
import resource
import statistics
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Annotated, Any, Literal, NamedTuple, get_args

import numpy as np
from PIL import Image

from brushwork.classifier.identify import ArtistClassifier
from brushwork.classifier.save import locate_classifier
from brushwork.classifier.space import artist_space
from brushwork.data import synthetic
from brushwork.errors import report_errors
from brushwork.gan.generator import PaintingGenerator
from brushwork.machine import keep_freed_memory
from brushwork.metrics.evaluate import evaluate
from brushwork.metrics.features import extract
from settings import BatchSize, Count, Range, read_flags
from speed import own_process, place, seconds_of, take_turns

Job = Literal["identify", "sample", "metrics"]
Memory = Literal["kept", "returned"]


@dataclass(frozen=True)
class Config:
    """Settings: what to time, and for how long."""

    classifier: str | None = None
    """A classifier's checkpoint; by default the bundled one."""
    generator: str = "landscapes"
    """A generator's checkpoint, or the name of a bundled one."""
    pictures: Annotated[int, Range(8, 1_000_000)] = 64
    """Pictures per round of each job."""
    batch_size: BatchSize = 16
    """Pictures that are identified at once."""
    rounds: Count = 3


class Times(NamedTuple):
    """Seconds of a job: by the clock, in the process, and in the kernel for the process."""

    wall: float
    user: float
    system: float


@lru_cache(maxsize=1)
def build(cfg: Config, job: Job, memory: Memory) -> Callable[[], Any]:
    """Prepare a job in its process."""
    if memory == "kept":
        keep_freed_memory()
    if job == "sample":
        generator = PaintingGenerator.from_pretrained(cfg.generator)
        return lambda: generator.sample(cfg.pictures, to="array")
    drawn = [synthetic.draw(index, side=256) for index in range(16)]
    pictures = [drawn[index % len(drawn)] for index in range(cfg.pictures)]
    if job == "identify":
        classifier = ArtistClassifier.from_pretrained(locate_classifier(cfg.classifier))
        files = [jpeg(picture) for picture in pictures]
        batches = [
            files[start : start + cfg.batch_size] for start in range(0, len(files), cfg.batch_size)
        ]
        return lambda: [classifier.identify(batch) for batch in batches]
    space = artist_space(locate_classifier(cfg.classifier))
    arrays = np.stack([np.asarray(picture.resize((64, 64))) for picture in pictures])
    # With noise, all pictures differ, as the metrics expect.
    noisy = arrays ^ np.random.default_rng(0).integers(0, 8, arrays.shape, np.uint8)
    real = extract(arrays, space)
    return lambda: evaluate(real, extract(noisy, space))


def measure(cfg: Config, job: Job, memory: Memory) -> Times:
    """Run a job, which is prepared at the first call, and measure its time."""
    run = build(cfg, job, memory)
    before = resource.getrusage(resource.RUSAGE_SELF)
    wall = seconds_of(run)
    after = resource.getrusage(resource.RUSAGE_SELF)
    return Times(wall, after.ru_utime - before.ru_utime, after.ru_stime - before.ru_stime)


def main(cfg: Config) -> None:
    """Time each job with both kinds of memory alternately, and print the medians and ratios."""
    print(f"{cfg.pictures} pictures, {place()}, float32; medians of {cfg.rounds} rounds")
    for job in get_args(Job):
        with ExitStack() as stack:
            processes: dict[Memory, Executor] = {
                memory: stack.enter_context(own_process()) for memory in get_args(Memory)
            }

            def ask(memory: Memory, job: Job = job, processes: Any = processes) -> Times:
                return processes[memory].submit(measure, cfg, job, memory).result()

            times = take_turns({memory: partial(ask, memory) for memory in processes}, cfg.rounds)
        for memory, rounds in times.items():
            wall, user, system = (
                statistics.median(seconds) for seconds in zip(*rounds, strict=True)
            )
            print(f"{job:9} {memory:9} {wall:7.2f} s, user {user:7.2f} s, system {system:7.2f} s")
        pairs = zip(times["returned"], times["kept"], strict=True)
        print(f"ratio {job} {statistics.median(a.wall / b.wall for a, b in pairs):.2f}")


def jpeg(picture: Image.Image) -> bytes:
    """Encode a picture as JPEG."""
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=90)
    return file.getvalue()


if __name__ == "__main__":
    with report_errors(Config):
        main(read_flags(Config, __doc__))
