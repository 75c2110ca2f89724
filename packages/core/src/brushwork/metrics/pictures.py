"""Sets of pictures that are measured, whatever they come from, and their features."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from brushwork.data.aspects import Aspect, aspect_of
from brushwork.data.decode import Rejected, to_rgb
from brushwork.errors import BrushworkError
from brushwork.machine import num_cores
from brushwork.metrics.features import (
    LIMITS,
    Features,
    FeatureSpace,
    cached_features,
    content_fingerprint,
    extract,
    image_files,
    read_image,
    thumbnails,
)
from brushwork.training.distributed import gather_rows, num_processes, process_index

if TYPE_CHECKING:
    import pandas as pd

# The columns of a paintings table that the metrics use.
COLUMNS = ["artist", "style", "genre", "split"]

# Files are decoded at this side to check that they can be read: JPEG files decode faster so.
CHECKED_SIDE = 16


@dataclass(frozen=True)
class Pictures:
    """A set of pictures that are painted, decoded or read when they are needed.

    Attributes:
        num: number of pictures.
        side: shorter side of the first one, in pixels.
        images: gives the pictures of some rows in a form that `extract` takes.
        fingerprint: a hash of their content, under which features are cached.
        training: the settings of the generator's training, for fakes.
        columns: known labels of each picture (N,): of paintings the artist, style, genre and
            split; of a fake, the class that it was painted for.
        left_out: the files of a folder that cannot be read, with the reasons; None if the pictures
            are not those of a folder.
        aspect: width to height that all pictures have; "1:1" if they have several.
    """

    num: int
    side: int
    images: Callable[[Sequence[int]], Iterable[object]]
    fingerprint: str = ""
    training: Mapping[str, Any] = field(default_factory=dict)
    columns: Mapping[str, Sequence[str]] = field(default_factory=dict)
    left_out: Mapping[Path, str] | None = None
    aspect: Aspect = "1:1"

    def spread(self, most: int) -> list[int]:
        """Choose up to `most` rows at equal distances, from the first to the last."""
        return np.linspace(0, self.num - 1, min(self.num, most)).astype(int).tolist()

    def thumbnails(self, rows: Sequence[int], side: int, aspect: Aspect = "1:1") -> np.ndarray:
        """Squash some pictures to one size, to look at; see `brushwork.metrics.features`."""
        return thumbnails(self.images(rows), side, aspect)


class PictureFeatures(NamedTuple):
    """Pictures with their features in one space."""

    pictures: Pictures
    features: Features


def selected_pictures(
    pixels: np.ndarray, rows: np.ndarray, fingerprint: str, table: "pd.DataFrame | None" = None
) -> Pictures:
    """Choose rows of prepared data; their pixels are read when they are needed.

    Args:
        pixels: pixels of all paintings, uint8 (N, H, W, 3).
        rows: indices of the chosen paintings (M,).
        fingerprint: a hash of the content of all paintings.
        table: table of all paintings, with their artists, styles, genres and splits.

    >>> some = selected_pictures(np.zeros((9, 4, 4, 3), np.uint8), np.array([2, 7]), "zeros")
    >>> some.num, some.side, len(list(some.images([1])))
    (2, 4, 1)
    """
    _, height, width, _ = pixels.shape
    return Pictures(
        num=len(rows),
        side=min(height, width),
        images=lambda chosen: (pixels[rows[row]] for row in chosen),
        fingerprint=f"{fingerprint} {height} x {width} {rows.tolist()}",
        columns={} if table is None else table.loc[rows, COLUMNS].to_dict("list"),
        aspect=aspect_of(height, width),
    )


def folder_pictures(folder: str | Path) -> Pictures:
    """Open the pictures of a folder and its subfolders, without those that cannot be read.

    Raises:
        BrushworkError: there is no such folder, no image in it, or none that can be read.
    """
    from tqdm import tqdm

    files = image_files(folder)
    quiet = process_index() != 0
    with ThreadPoolExecutor(num_cores()) as threads:
        checked = threads.map(_check, files)
        bar = tqdm(
            checked,
            f"reading {folder}",
            len(files),
            unit="img",
            delay=2,
            leave=False,
            disable=quiet,
        )
        found = dict(zip(files, bar, strict=True))
    left_out = {file: reason for file, (reason, _) in found.items() if reason}
    aspects: set[Aspect] = {aspect for reason, aspect in found.values() if not reason}
    used = [file for file in files if file not in left_out]
    if not used:
        file, reason = next(iter(left_out.items()))
        raise BrushworkError(
            f"none of the {len(files):,} images in {folder} can be read (the first error is "
            f"{file}: {reason}); check that they are complete"
        )
    return Pictures(
        num=len(used),
        side=min(read_image(used[0]).size),
        images=lambda rows: [used[row] for row in rows],
        fingerprint=content_fingerprint(used),
        left_out=left_out,
        aspect=aspects.pop() if len(aspects) == 1 else "1:1",
    )


def _check(file: Path) -> tuple[str, Aspect]:
    """Return the reason why a picture cannot be read, "" if it can, and its proportions."""
    try:
        width, height = to_rgb(file, CHECKED_SIDE, LIMITS).size
    except Rejected as error:
        return error.reason, "1:1"
    return "", aspect_of(height, width)


def cached_picture_features(
    pictures: Pictures, space: FeatureSpace, batch_size: int | None = None
) -> Features:
    """Take the features of all pictures from the cache, or compute and cache them."""
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
    """Compute the features of all pictures, a share of them in each process.

    Every process calls it. Returns all features, in order, in every process.
    """
    rows = range(process_index(), pictures.num, num_processes())
    share: Features | tuple[None, None] = (None, None)
    if len(rows):
        share = extract(
            pictures.images(rows),
            space,
            batch_size=batch_size,
            progress=progress,
            total=len(rows),
        )
    features, probabilities = (gather_rows(part) for part in share)
    assert features is not None
    return Features(features, probabilities)
