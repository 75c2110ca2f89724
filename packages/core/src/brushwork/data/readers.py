"""Readers: each finds the encoded picture of one row, in whichever process decodes it.

A reader is called with a row number and returns a path, encoded bytes or a drawn picture. It is
pickled and sent to the decoding processes, so it holds names and no open files, and this module
imports little.
"""

import os
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

RECORD = "brushwork.json"
"""The file that marks a folder as prepared data and records how it was made."""


Picture = Path | bytes | Image.Image


class Reader(Protocol):
    """Reads the pictures of a source, by the rows of its table."""

    def __call__(self, row: int) -> Picture:
        """Return the file of a row, its bytes, or a picture that is drawn."""
        ...

    def identity(self, row: int) -> str:
        """Return a text that changes whenever the picture may have changed, without reading it."""
        ...


@dataclass(frozen=True)
class FileReader:
    """Reads files below one folder; `files` are paths relative to it, one for each row."""

    root: Path
    files: tuple[str, ...]

    def __call__(self, row: int) -> Path:
        """Return the path of a row's file."""
        return self.root / self.files[row]

    def identity(self, row: int) -> str:
        """Return the file's size and modification time, and whether it can be read here."""
        file = f"{self.root}/{self.files[row]}"
        try:
            status = os.stat(file)  # noqa: PTH116 twice as fast
        except OSError as error:  # a broken link; decoding it gives the reason again
            return str(error.strerror)
        can_read = os.access(file, os.R_OK)
        if file.lower().endswith((".heic", ".heif")):
            can_read &= find_spec("pillow_heif") is not None
        return f"{status.st_size}:{status.st_mtime_ns}{'' if can_read else ':unreadable'}"


@dataclass(frozen=True)
class DatasetReader:
    """Reads the splits of a `datasets` dataset, one split after the other, without decoding."""

    splits: tuple[Any, ...]
    """`datasets.Dataset` objects whose column `image` is `Image(decode=False)`."""
    fingerprints: tuple[str, ...]
    """A text for each split that changes with its pictures."""

    def _find(self, row: int) -> tuple[int, int]:
        """Find the split of a row, and the row's number in that split."""
        for number, split in enumerate(self.splits):
            if row < len(split):
                return number, row
            row -= len(split)
        raise IndexError(row)

    def __call__(self, row: int) -> bytes:
        """Return the bytes of a row's picture, b"" if the dataset does not contain them."""
        number, row = self._find(row)
        # A dataset may name a file instead of containing it; such a path is never opened.
        return (self.splits[number][row]["image"] or {}).get("bytes") or b""

    def identity(self, row: int) -> str:
        """Return the split's fingerprint and the row's number."""
        number, row = self._find(row)
        return f"{self.fingerprints[number]}:{row}"


@dataclass(frozen=True)
class ShardReader:
    """Reads pictures of prepared data, which are stored uncompressed in its Parquet files.

    A memory map of the file gives any picture at once. Parquet's own reader would read all the
    pictures of a row group, which are a hundred.
    """

    shards: tuple[Path, ...]
    index: NDArray[np.int64]
    """(N, 3): number of the shard, first byte, number of bytes."""
    fingerprint: str

    def __call__(self, row: int) -> bytes:
        """Return the bytes of a row's picture."""
        shard, first, num_bytes = self.index[row]
        return _mapped(self.shards[shard])[first : first + num_bytes].tobytes()

    def identity(self, row: int) -> str:
        """Return the data's fingerprint and the row's number."""
        return f"{self.fingerprint}:{row}"


@lru_cache(maxsize=1024)
def _mapped(file: Path) -> NDArray[np.uint8]:
    """Map a file into memory, once per process."""
    return np.memmap(file, dtype=np.uint8, mode="r")


@dataclass(frozen=True)
class SyntheticReader:
    """Draws the paintings of `brushwork.data.synthetic`.

    Attributes:
        seed: the seed of all paintings.
        numbers: for each row, the number of its painting.
    """

    seed: int
    numbers: tuple[int, ...]

    def __call__(self, row: int) -> Image.Image:
        """Draw the picture of a row."""
        from brushwork.data.synthetic.artists import draw  # only synthetic paintings need it

        return draw(self.numbers[row], self.seed)

    def identity(self, row: int) -> str:
        """Return the seed and the painting's number."""
        return f"synthetic:{self.seed}:{self.numbers[row]}"
