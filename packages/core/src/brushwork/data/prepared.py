"""Prepared data: its table, its paintings, and their pixels in one size for training."""

import csv
import os
import shlex
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from brushwork.data.aspects import Aspect, height_and_width
from brushwork.data.decode import square
from brushwork.data.paintings import COLUMNS
from brushwork.data.readers import RECORD, ShardReader
from brushwork.errors import BrushworkError
from brushwork.files import atomic_write, cache_folder, exclusive, read_json

FORMAT = 1
"""Version of prepared data. Increase it when the same source is prepared differently: then cached
data is prepared again."""


REJECTED = "rejected.csv"
"""The file of prepared data that lists what was left out, with the reasons."""


TEXT = (*COLUMNS[:-1], "source")
"""The columns of the Parquet files, besides `image`; the split is in the file's name."""


def read_table(folder: Path, record: dict) -> pd.DataFrame:
    """Read the labels of prepared data: `COLUMNS` and `source`, training rows first."""
    tables = []
    for name in record["shards"]:
        table = pq.read_table(folder / "data" / name, columns=[*TEXT]).to_pandas()
        table.insert(len(COLUMNS) - 1, "split", name.partition("-")[0])
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


ROWS_AT_ONCE = 256


@dataclass(frozen=True)
class PreparedPaintings:
    """Prepared paintings, as small pictures (`image`) or as one array of one size (`pixels`)."""

    folder: Path
    name: str
    table: pd.DataFrame
    """`brushwork.data.paintings.COLUMNS` and `source`, training rows first, index from 0."""
    read: ShardReader
    fingerprint: str
    """A hash of every picture and label."""
    side: int = 256
    """The largest short side of a painting, in pixels."""
    num_left_out: int = 0
    """How many files and rows of the source are not paintings here: rejected or missing."""
    num_not_selected: int = 0
    """How many paintings the selection left out with which the data was prepared."""
    notes: tuple[str, ...] = ()
    """What was read differently from how the source is written."""

    def __len__(self) -> int:
        return len(self.table)

    def describe(self, side: int = 0) -> str:
        """Say how many paintings are used, how many were left out and why, and the notes.

        Args:
            side: the short side that a training needs, in pixels. If that of the paintings is
                smaller, a note says so.
        """
        text = f"{self.name}: {len(self):,} paintings used, {self.num_left_out:,} left out"
        if self.num_left_out:
            text += f" ({self._reasons()}; listed in {self.folder / REJECTED})"
        if self.num_not_selected:
            text += f", {self.num_not_selected:,} not selected when the data was prepared"
        notes = [*self.notes]
        if side > self.side:
            notes.append(
                f"the paintings were prepared with a short side of {self.side} pixels and are "
                f"enlarged to {side}; prepare_data.py --side {side} keeps more detail, if the "
                "source has it"
            )
        return "\n".join([text, *(f"note: {note}" for note in notes)])

    def _reasons(self, most: int = 5) -> str:
        """Count the most frequent reasons for which files and rows were left out."""
        try:
            with (self.folder / REJECTED).open(newline="", encoding="utf-8") as file:
                reasons = Counter(row["reason"] for row in csv.DictReader(file))
        except (OSError, KeyError):
            return "the list of the reasons is not readable"
        listed = [f"{num:,} {reason}" for reason, num in reasons.most_common(most)]
        others = reasons.total() - sum(num for _, num in reasons.most_common(most))
        return ", ".join([*listed, *[f"{others:,} for other reasons"] * bool(others)])

    def encoded(self, row: int) -> bytes:
        """Return the JPEG of a painting."""
        return self.read(row)

    def image(self, row: int) -> Image.Image:
        """Decode a painting: RGB, with its own proportions."""
        return Image.open(BytesIO(self.read(row)), formats=["JPEG"]).convert("RGB")

    def pixels(
        self, side: int, fit: Literal["crop", "squash"] = "crop", aspect: Aspect = "1:1"
    ) -> np.memmap:
        """Return every painting in one size: uint8 (N, H, W, 3), memory-mapped and read-only.

        The first call for each size and fit decodes all paintings, with a progress bar. The result
        is kept in the data's folder, or in the cache folder if the data's folder is not writable.

        Args:
            side: the shorter of H and W; a smaller painting is enlarged.
            fit: "crop" keeps the largest part of these proportions in the middle of a painting;
                "squash" resizes the whole painting and changes its proportions.
            aspect: W to H; squares by default.

        Raises:
            BrushworkError: an argument is not valid, or the pixels cannot be written.
        """
        if side < 1 or fit not in ("crop", "squash"):
            raise BrushworkError(
                f"`side` is {side} and `fit` is {fit!r}; `side` must be at least 1 and `fit` "
                "'crop' or 'squash'"
            )
        height, width = height_and_width(side, aspect)
        size = f"{side}" if height == width else f"{width}x{height}"
        name = f"{size}-{fit}-{self.fingerprint[:8]}.npy"
        beside = self.folder / "pixels"
        cached = cache_folder() / "pixels" / self.fingerprint[:16]
        for file in (beside / name, cached / name):
            if file.exists():
                return _mapped(file)
        file = (beside if _is_writable(beside) else cached) / name
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            with exclusive(file):
                if not file.exists():  # another process may have just written it
                    self._write_pixels(file, side, fit, aspect)
        except OSError as error:
            raise BrushworkError(
                f"cannot write {file}: {error.strerror or error}; "
                "free some space, or set BRUSHWORK_CACHE to a writable folder"
            ) from error
        return _mapped(file)

    def _write_pixels(
        self, file: Path, side: int, fit: Literal["crop", "squash"], aspect: Aspect
    ) -> None:
        """Decode all paintings into a NumPy file."""
        shape = (len(self), *height_and_width(side, aspect), 3)
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}

        def pixels_of(row: int) -> NDArray[np.uint8]:
            return np.asarray(square(self.read(row), side, fit, aspect))

        with (
            atomic_write(file) as temporary,
            temporary.open("wb") as opened,
            ThreadPoolExecutor() as threads,
            tqdm(total=len(self), unit=" paintings", desc=f"{side} pixels") as bar,
        ):
            np.lib.format.write_array_header_1_0(opened, header)
            for first in range(0, len(self), ROWS_AT_ONCE):
                rows = range(first, min(first + ROWS_AT_ONCE, len(self)))
                # Written in order: on a full disk, writing through a memory map would crash.
                for pixels in threads.map(pixels_of, rows):
                    opened.write(pixels.tobytes())
                bar.update(len(rows))


RECORDED = {
    *("name", "job", "side", "rows", "prepared", "rejected", "missing", "not_selected"),
    *("fingerprint", "shards"),
}
"""What each record of prepared data contains."""


def read_record(folder: Path) -> dict[str, Any]:
    """Read the record of prepared data.

    Raises:
        BrushworkError: it is damaged.
    """
    try:
        record = read_json(folder / RECORD)
    except (OSError, ValueError):
        record = None
    if not isinstance(record, dict) or not record.keys() >= RECORDED:
        raise BrushworkError(f"{folder / RECORD} is damaged; delete {folder} and prepare it again")
    return record


def open_prepared(folder: str | Path) -> PreparedPaintings:
    """Open prepared data, a folder that `brushwork.data.prepare` wrote.

    Raises:
        BrushworkError: the folder is not prepared data, or a file of it is missing or damaged.
    """
    folder = Path(folder).expanduser()
    if not (folder / RECORD).exists():
        raise BrushworkError(
            f"no prepared data in {folder}; write it first:\n"
            f"  uv run experiments/prepare_data.py --data SOURCE --out {shlex.quote(str(folder))}"
        )
    record = read_record(folder)
    for name, shard in record["shards"].items():
        file = folder / "data" / name
        if not file.exists() or file.stat().st_size != shard["bytes"]:
            raise BrushworkError(
                f"{file} is missing or has changed; delete {folder} and prepare it again"
            )
    try:
        index = np.load(folder / "index.npy")
        table = read_table(folder, record)
    except (OSError, ValueError) as error:  # of NumPy and of Parquet
        raise BrushworkError(
            f"a file of {folder} is damaged ({error}); delete {folder} and prepare it again"
        ) from error
    read = ShardReader(
        shards=tuple(folder.resolve() / "data" / name for name in record["shards"]),
        index=index,
        fingerprint=record["fingerprint"],
    )
    return PreparedPaintings(
        folder=folder,
        name=record["name"],
        table=table,
        read=read,
        fingerprint=record["fingerprint"],
        side=record["side"],
        num_left_out=record["rejected"] + record["missing"],
        num_not_selected=record["not_selected"],
        notes=tuple(record.get("notes", ())),
    )


def _is_writable(folder: Path) -> bool:
    """Return whether a folder, or the nearest one above it that exists, is writable."""
    while not folder.exists():
        folder = folder.parent
    return os.access(folder, os.W_OK)


def _mapped(file: Path) -> np.memmap:
    """Map a NumPy file into memory, read-only."""
    return np.load(file, mmap_mode="r")
