"""How the encoded file of one painting is reached, in whichever process decodes it.

A reader is given a row number and hands back a path, encoded bytes or a drawn picture. It is
pickled into the decoding processes, so it holds names rather than open files, and this module
imports next to nothing. `identity` changes whenever the picture behind a row may have changed.
"""

import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

RECORD = "brushwork.json"
"""The file that marks a folder as prepared data and says how it was made."""


Picture = Path | bytes | Image.Image


class Reader(Protocol):
    """What a source gives for each painting of its table."""

    def __call__(self, row: int) -> Picture:
        """The file, its bytes, or a picture already drawn."""
        ...

    def identity(self, row: int) -> str:
        """A cheap mark of the picture: size and time of the file, say."""
        ...


@dataclass(frozen=True)
class FileReader:
    """Files below one folder; `files` are paths relative to it, one for each row."""

    root: Path
    files: tuple[str, ...]

    def __call__(self, row: int) -> Path:
        """The file of a row."""
        return self.root / self.files[row]

    def identity(self, row: int) -> str:
        """See `Reader`."""
        try:
            status = os.stat(f"{self.root}/{self.files[row]}")  # noqa: PTH116 twice as fast
        except OSError as error:  # a link to nothing; decoding it will say so
            return str(error.strerror)
        return f"{status.st_size}:{status.st_mtime_ns}"


@dataclass(frozen=True)
class DatasetReader:
    """Rows of the splits of a `datasets` dataset, one split after the other, left undecoded."""

    splits: tuple[Any, ...]
    """`datasets.Dataset` objects whose column `image` is `Image(decode=False)`."""
    fingerprints: tuple[str, ...]
    """Theirs, as `datasets` computed them."""

    def _find(self, row: int) -> tuple[int, int]:
        for number, split in enumerate(self.splits):
            if row < len(split):
                return number, row
            row -= len(split)
        raise IndexError(row)

    def __call__(self, row: int) -> bytes:
        """The bytes of a row's picture."""
        number, row = self._find(row)
        # A dataset may name a file instead of holding it; such a path is never followed.
        return (self.splits[number][row]["image"] or {}).get("bytes") or b""

    def identity(self, row: int) -> str:
        """See `Reader`."""
        number, row = self._find(row)
        return f"{self.fingerprints[number]}:{row}"


@dataclass(frozen=True)
class ShardReader:
    """Pictures of prepared data, which stand uncompressed in its Parquet files.

    A memory map of the file reaches any picture at once, where Parquet's own reader would have to
    read the hundred of its row group.
    """

    shards: tuple[Path, ...]
    index: NDArray[np.int64]
    """(N, 3): number of the shard, first byte, number of bytes."""
    fingerprint: str

    def __call__(self, row: int) -> bytes:
        """The bytes of a row's picture."""
        shard, first, num_bytes = self.index[row]
        return _mapped(self.shards[shard])[first : first + num_bytes].tobytes()

    def identity(self, row: int) -> str:
        """See `Reader`."""
        return f"{self.fingerprint}:{row}"


@lru_cache(maxsize=1024)
def _mapped(file: Path) -> NDArray[np.uint8]:
    return np.memmap(file, dtype=np.uint8, mode="r")


@dataclass(frozen=True)
class SyntheticReader:
    """Paintings drawn by `brushwork.data.synthetic`."""

    seed: int

    def __call__(self, row: int) -> Image.Image:
        """The picture of a row, drawn."""
        from brushwork.data import synthetic

        return synthetic.draw(row, self.seed)

    def identity(self, row: int) -> str:
        """See `Reader`."""
        return f"synthetic:{self.seed}:{row}"
