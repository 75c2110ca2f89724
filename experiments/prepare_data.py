r"""Prepare paintings: decode each once, reduce it, and write data to train and test on.

    uv run experiments/prepare_data.py --data painter-by-numbers/ --out data/all
    uv run experiments/prepare_data.py --data painter-by-numbers/ --genre landscape \
        --min-paintings 50 --out data/landscapes
    uv run experiments/prepare_data.py --data painter-by-numbers/ --list artists

The folder `--out` can be loaded by `datasets.load_dataset`. It has the splits train and test, a
dataset card with counts, and `rejected.csv`, which lists each file that was left out with the
reason. If the script is killed, the same command continues.
"""

import csv
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Annotated, Literal

import pandas as pd

from brushwork.data.decode import Limits
from brushwork.data.open import open_source
from brushwork.data.paintings import Paintings
from brushwork.data.preparation import check_free, prepare
from brushwork.data.prepared import REJECTED
from brushwork.data.readers import RECORD
from brushwork.data.selection import counts, select
from brushwork.errors import BrushworkError, as_flags, field_names, report_errors
from settings import Range, Selection, Side, Workers, read_flags


@dataclass(frozen=True)
class Rejection:
    """Limits beyond which a picture is rejected before it is decoded."""

    max_megapixels: Annotated[int, Range(1, 1_000_000)] = 1000
    """Largest size, in megapixels, of a JPEG that can be decoded at a reduced size."""
    max_megapixels_whole: Annotated[int, Range(1, 1_000_000)] = 100
    """Largest size, in megapixels, of any other picture, and a third of the largest size of a
    progressive JPEG. Decoding needs up to 20 bytes of memory per pixel."""
    max_aspect: Annotated[float, Range(1, 100_000)] = 30
    """Largest ratio of the long side to the short side."""
    min_side: Annotated[int, Range(1, 65_536)] = 16
    """Smallest short side, in pixels."""
    max_seconds: Annotated[float, Range(0.1, 86_400)] = 60
    """Longest time, in seconds, to decode a picture."""

    def limits(self) -> Limits:
        """Express these settings in pixels, as the decoder takes them."""
        return Limits(
            max_pixels=self.max_megapixels * 1_000_000,
            max_pixels_whole=self.max_megapixels_whole * 1_000_000,
            max_aspect=self.max_aspect,
            min_side=self.min_side,
        )


@dataclass(frozen=True)
class Config:
    """Settings: the paintings to prepare, and the form of the result."""

    paintings: Selection = field(default_factory=Selection)
    out: Path = Path("data/prepared")
    """The folder to write; it must be new or empty."""
    list: Literal["artists", "styles", "genres"] | None = None
    """Print how many selected paintings each artist, style or genre has, and write nothing."""
    side: Side = 256
    """Reduce the short side of each painting to this many pixels; smaller ones stay as they are."""
    workers: Workers | None = None
    """Number of decoding processes; by default one for each core."""
    rejection: Rejection = field(default_factory=Rejection)


def main(cfg: Config) -> None:
    """Open the source, select, prepare, and report what happened to every row."""
    if not cfg.list:
        check_free(cfg.out)
    source = open_source(cfg.paintings.data)
    selected, filters = choose(source, cfg.paintings)
    if cfg.list:
        print_counts(selected.table, cfg.list.removesuffix("s"))
        return

    is_complete = (cfg.out / RECORD).exists()
    start = perf_counter()
    record = prepare(
        selected,
        cfg.out,
        side=cfg.side,
        workers=cfg.workers,
        limits=cfg.rejection.limits(),
        max_seconds=cfg.rejection.max_seconds,
        selection=filters,
    )
    seconds = perf_counter() - start

    print_rows(cfg.out, record)
    megabytes = sum(shard["bytes"] for shard in record["shards"].values()) / 1e6
    pace = f"in {seconds:.1f} s ({record['prepared'] / seconds:,.0f} paintings/s)"
    print(f"{cfg.out}: {megabytes:,.1f} MB {'is prepared already' if is_complete else pace}")


def choose(source: Paintings, selection: Selection) -> tuple[Paintings, str]:
    """Select paintings, print how many each filter left, and return the filters as flags."""
    filters: list[str] = []

    def report(parameters: str, left: pd.DataFrame) -> None:
        filters.append(as_flags(parameters, field_names(Selection)))
        print(f"{filters[-1]}: {size(left)}")

    print(f"{source.name}: {size(source.table)}")
    for note in source.notes:
        print(f"note: {note}")
    table = select(source.table, **selection.filters(), report=report)
    return source.selected(table), " ".join(filters)


def print_counts(table: pd.DataFrame, column: str) -> None:
    """Print how many paintings each artist, style or genre has, most first."""
    for name, num in counts(table, column).items():
        print(f"{num:7,}  {name}")


def print_rows(folder: Path, record: dict) -> None:
    """Print what happened to the rows of the source, and the most frequent reasons to reject."""
    print(
        f"{record['rows']:,} rows = {record['prepared']:,} prepared"
        f" + {record['rejected']:,} rejected"
        f" + {record['missing']:,} missing + {record['not_selected']:,} not selected"
    )
    if record["rejected"] or record["missing"]:
        print(f"listed in {folder / REJECTED}, with the reasons:")
    try:
        with (folder / REJECTED).open(newline="", encoding="utf-8") as file:
            reasons = Counter(row["reason"] for row in csv.DictReader(file))
    except (OSError, KeyError):
        raise BrushworkError(
            f"{folder / REJECTED} is missing or damaged; delete {folder} and prepare it again"
        ) from None
    for reason, num in reasons.most_common(20):
        print(f"{num:7,}  {as_flags(reason, field_names(Config))}")


def size(table: pd.DataFrame) -> str:
    """Say how many paintings and artists a table has."""
    num_artists = len(counts(table, "artist"))
    return f"{len(table):,} paintings by {num_artists:,} artist{'s' * (num_artists != 1)}"


if __name__ == "__main__":
    with report_errors(Config):
        main(read_flags(Config, __doc__))
