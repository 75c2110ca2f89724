"""metrics.pictures."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from brushwork.metrics.features import Features, FeatureSpace, cached_features, extract, thumbnails
from brushwork.training.distributed import gather_rows, num_processes, process_index

if TYPE_CHECKING:
    import pandas as pd


COLUMNS = ["artist", "style", "genre", "split"]


@dataclass(frozen=True)
class Pictures:
    """`num` pictures, the first of side `side`; `images(rows)` gives some of them to `extract`."""

    num: int
    side: int
    images: Callable[[Sequence[int]], Iterable[object]]
    fingerprint: str = ""
    """Of their content, where features are worth keeping."""
    training: Mapping[str, Any] = field(default_factory=dict)
    """What a checkpoint tells of its training."""
    columns: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """What is known of each picture: the artist, style, genre and split of a painting; the one of
    these that a fake was painted for."""

    def spread(self, most: int) -> list[int]:
        """Rows from all over the set."""
        return np.linspace(0, self.num - 1, min(self.num, most)).astype(int).tolist()

    def thumbnails(self, rows: Sequence[int], side: int) -> np.ndarray:
        """Some pictures squashed to squares to look at: uint8 (M, side, side, 3)."""
        return thumbnails(self.images(rows), side)


class PictureFeatures(NamedTuple):
    """Pictures, and what a space makes of them: features (N, D), probabilities (N, K) or None."""

    pictures: Pictures
    features: Features


def selected_pictures(
    pixels: np.ndarray, rows: np.ndarray, fingerprint: str, table: "pd.DataFrame | None" = None
) -> Pictures:
    """Some rows of the pixels (N, S, S, 3) of prepared data, read as they are asked for.

    Its `table`, where it is given, tells their artist, style, genre and split.

    >>> some = selected_pictures(np.zeros((9, 4, 4, 3), np.uint8), np.array([2, 7]), "zeros")
    >>> some.num, some.side, len(list(some.images([1])))
    (2, 4, 1)
    """
    return Pictures(
        len(rows),
        pixels.shape[1],
        lambda chosen: (pixels[rows[row]] for row in chosen),
        f"{fingerprint} {pixels.shape[1]} {rows.tolist()}",
        columns={} if table is None else table.loc[rows, COLUMNS].to_dict("list"),
    )


def cached_picture_features(
    pictures: Pictures, space: FeatureSpace, batch_size: int | None = None
) -> Features:
    """Features of pictures that many evaluations need, from the cache after the first of them."""
    return cached_features(
        pictures.images(range(pictures.num)),
        space,
        fingerprint=pictures.fingerprint,
        batch_size=batch_size,
        progress=True,
        total=pictures.num,
    )


def extract_shared(
    pictures: Pictures,
    space: FeatureSpace,
    *,
    batch_size: int | None = None,
    progress: bool = False,
) -> Features:
    """Features of all pictures, each seen by one of the processes, in order in every process."""
    mine = range(process_index(), pictures.num, num_processes())
    options: dict[str, Any] = {"batch_size": batch_size, "progress": progress, "total": len(mine)}
    part = extract(pictures.images(mine), space, **options) if len(mine) else (None, None)
    features, probabilities = (gather_rows(rows) for rows in part)
    assert features is not None
    return Features(features, probabilities)
