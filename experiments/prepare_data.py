"""Decode a source of paintings once, and write prepared data to train and test on.

    uv run experiments/prepare_data.py --data painter-by-numbers/ --out data/all
    uv run experiments/prepare_data.py --data painter-by-numbers/ --genre landscape \
        --min-paintings 50 --out data/landscapes
    uv run experiments/prepare_data.py --data painter-by-numbers/ --list artists

A source is a folder of Painter-by-Numbers, of `artist/painting.jpg`, of Parquet or of a saved
dataset, the name of one on the Hub (huggan/wikiart), prepared data itself, or "synthetic:2000".

Writes to `--out` what `datasets.load_dataset` loads: splits train and test, a card with counts, and
`rejected.csv`, which lists what could not be used and why. Killed, it goes on where it was.
"""

import csv
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Annotated, Literal

import pandas as pd
import tyro

from brushwork.data.decode import Limits
from brushwork.data.open import open_source
from brushwork.data.paintings import Paintings
from brushwork.data.prepare import check_free, prepare
from brushwork.data.readers import RECORD
from brushwork.data.select import counts, select
from brushwork.errors import report_errors
from settings import read_flags

Names = Annotated[tuple[str, ...], tyro.conf.UseAppendAction]


@dataclass(frozen=True)
class Config:
    """What to prepare, and how."""

    data: str = "synthetic"
    """Where the paintings come from."""
    out: Path = Path("data/prepared")
    """The folder to write; it must be new or empty."""
    list: Literal["artists", "styles", "genres"] | None = None
    """Print how many paintings each has, after the filters, and write nothing."""

    # Which paintings.
    genre: Names = ()
    """Only this genre; repeat the flag for several. Likewise --style and --artist."""
    style: Names = ()
    artist: Names = ()
    min_paintings: int = 0
    """Leave out artists with fewer paintings among those that the other filters left."""

    # How they are kept.
    side: int = 256
    """Pixels that the short side is reduced to; smaller pictures stay as they are."""
    workers: int | None = None
    """Decoding processes; by default one for each core."""

    # What is rejected unseen.
    max_megapixels: int = 1000
    """Of a JPEG that can be decoded at reduced size."""
    max_megapixels_whole: int = 100
    """Of any other picture, which takes up to 20 bytes of memory a pixel."""
    max_aspect: float = 30
    """Long side over short side."""
    min_side: int = 16
    """Pixels on the short side."""


def main(cfg: Config) -> None:
    """Open the source, select, prepare, and say what became of every row."""
    if not cfg.list:
        check_free(cfg.out)
    paintings = open_source(cfg.data)
    selected, selection = choose(paintings, cfg)

    if cfg.list:
        sizes = counts(selected.table, cfg.list.removesuffix("s"))
        print("\n".join(f"{num:7,}  {name}" for name, num in sizes.items()))
        return

    there = (cfg.out / RECORD).exists()
    start = perf_counter()
    limits = Limits(
        max_pixels=cfg.max_megapixels * 1_000_000,
        max_pixels_whole=cfg.max_megapixels_whole * 1_000_000,
        max_aspect=cfg.max_aspect,
        min_side=cfg.min_side,
    )
    record = prepare(
        selected,
        cfg.out,
        side=cfg.side,
        workers=cfg.workers,
        limits=limits,
        selection=selection,
    )
    seconds = perf_counter() - start

    print(
        f"{record['rows']:,} rows = {record['prepared']:,} prepared"
        f" + {record['rejected']:,} rejected"
        f" + {record['missing']:,} missing + {record['not_selected']:,} not selected"
    )
    with (cfg.out / "rejected.csv").open(newline="", encoding="utf-8") as file:
        reasons = Counter(row["reason"] for row in csv.DictReader(file))
    for reason, num in reasons.most_common(20):
        print(f"{num:7,}  {reason}")
    megabytes = sum(shard["bytes"] for shard in record["shards"].values()) / 1e6
    pace = f"in {seconds:.1f} s ({record['prepared'] / seconds:,.0f} paintings/s)"
    print(f"{cfg.out}: {megabytes:,.1f} MB {'is prepared already' if there else pace}")


def choose(paintings: Paintings, cfg: Config) -> tuple[Paintings, str]:
    """The selected paintings, and the filters in words; prints what each filter left."""
    filters = []

    def report(what: str, left: pd.DataFrame) -> None:
        filters.append(what)
        print(f"{what}: {size(left)}")

    print(f"{paintings.name}: {size(paintings.table)}")
    table = select(
        paintings.table,
        genre=cfg.genre,
        style=cfg.style,
        artist=cfg.artist,
        min_paintings=cfg.min_paintings,
        report=report,
    )
    return paintings.selected(table), " ".join(filters)


def size(table: pd.DataFrame) -> str:
    """A table's size in words."""
    num_artists = len(counts(table, "artist"))
    return f"{len(table):,} paintings by {num_artists:,} artist{'s' * (num_artists != 1)}"


if __name__ == "__main__":
    with report_errors(Config):
        main(read_flags(Config, __doc__))
