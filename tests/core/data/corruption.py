"""Corrupted files for the tests of the decoder.

    uv run python tests/core/data/corruption.py 5000

decodes that many corrupted pictures as preparation and as metrics do, and prints what happened.
"""

import random
import resource
import sys
from collections import Counter
from time import perf_counter


def corrupted(content: bytes, seed: int) -> bytes:
    """Damage a file in one of five ways that the seed chooses."""
    rng = random.Random(seed)
    data = bytearray(content)
    kind = seed % 5
    if kind == 0:  # every tenth byte
        for i in range(rng.randrange(10), len(data), 10):
            data[i] = rng.randrange(256)
    elif kind == 1:  # a few bytes anywhere
        for _ in range(rng.randint(1, 20)):
            data[rng.randrange(len(data))] = rng.randrange(256)
    elif kind == 2:  # the header
        for _ in range(rng.randint(1, 8)):
            data[rng.randrange(min(len(data), 200))] = rng.randrange(256)
    elif kind == 3:
        del data[rng.randrange(len(data)) :]
    else:  # a part is missing or repeated
        start, length = rng.randrange(len(data)), rng.randint(1, 300)
        data[start : start + length] = data[start : start + length] * rng.choice([0, 2])
    return bytes(data)


def main(num: int) -> None:
    """Decode corrupted pictures of the corpus, and print the outcomes, time and memory."""
    from tests.core.data.test_corpus import CORPUS

    from brushwork.data.decode import Limits, Rejected, to_jpeg, to_rgb
    from brushwork.metrics.features import LIMITS

    pictures = [make().content for make in CORPUS.values()]
    pictures = [content for content in pictures if len(content) < 100_000]
    doors = {
        "preparation": lambda content: to_jpeg(content, 64, Limits()),
        "metrics": lambda content: to_rgb(content, limits=LIMITS),
    }
    outcomes: Counter[str] = Counter()
    slowest, start = 0.0, perf_counter()
    for seed in range(num):
        content = corrupted(pictures[seed % len(pictures)], seed)
        for door, decode in doors.items():
            began = perf_counter()
            try:
                decode(content)
                outcomes[f"{door}: decoded"] += 1
            except Rejected:
                outcomes[f"{door}: rejected"] += 1
            slowest = max(slowest, perf_counter() - began)
    print(dict(outcomes))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    print(f"{perf_counter() - start:.0f} s, slowest {slowest:.2f} s, {memory:,.0f} MB")


if __name__ == "__main__":
    sys.path.insert(0, ".")
    main(int(sys.argv[1]))
