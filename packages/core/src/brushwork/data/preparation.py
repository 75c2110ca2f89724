"""Prepare a source: decode every painting once, reduce it, and write it with its labels.

Prepared data is a folder that `datasets.load_dataset` reads, with the splits train and test:

    README.md         dataset card, with counts
    brushwork.json    how the data was made; written last, so it marks the folder as complete
    rejected.csv      which files were left out, with the reasons
    index.npy         where each picture is in the Parquet files, see `readers.ShardReader`
    data/{train,test}-00000-of-0000N.parquet
    pixels/           square pixels for training, written when first needed

It is written to `FOLDER.unfinished`, shard by shard, and renamed when it is complete. A shard
depends on its own rows only. So when preparation is killed, the same call continues after the last
complete shard, and the result has the same bytes.
"""

import csv
import hashlib
import json
import mmap
import shutil
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from tqdm import tqdm

from brushwork.data.card import dataset_card
from brushwork.data.decode import Limits, Rejected
from brushwork.data.decoder_pool import MAX_SECONDS, Decode, decoding
from brushwork.data.paintings import Paintings
from brushwork.data.prepared import FORMAT, REJECTED, TEXT, read_record, read_table
from brushwork.data.readers import RECORD
from brushwork.errors import BrushworkError, require_positive
from brushwork.files import beside, exclusive, read_json, write_json, write_text
from brushwork.machine import num_cores

ROWS_PER_SHARD = 2000


ROWS_PER_GROUP = 100


MISSING = "missing: no such file"


@dataclass(frozen=True)
class Shard:
    """One Parquet file to write: its split, its name and its rows of the source."""

    split: str
    name: str
    rows: list[int]


def prepare(
    paintings: Paintings,
    out: str | Path,
    *,
    side: int = 256,
    workers: int | None = None,
    limits: Limits | None = None,
    max_seconds: float = MAX_SECONDS,
    selection: str = "",
    rows_per_shard: int = ROWS_PER_SHARD,
    progress: bool = True,
) -> dict[str, Any]:
    """Write prepared data, or continue after an interruption; do nothing if it is complete.

    Args:
        paintings: a source, or a selection of its paintings.
        out: the folder to write; unfinished work is kept in the folder `out.unfinished` beside it.
        side: the short side of each painting is reduced to this many pixels, never enlarged.
        workers: decoding processes, at least 1; by default one for each core.
        limits: limits of a picture's size; by default `Limits()`.
        max_seconds: longest time to decode one picture; a picture that takes longer is rejected.
        selection: the filters that made the selection, for the card.
        rows_per_shard: paintings in one Parquet file, before any is rejected.
        progress: show a progress bar.

    Returns:
        The content of `brushwork.json`. In it, rows (of the whole source) = prepared + rejected +
        missing + not_selected.

    Raises:
        BrushworkError: `out` contains other files, is inside the source or cannot be written, or no
            picture of the source can be decoded.
    """
    require_positive(
        {"side": side, "workers": 1 if workers is None else workers}, "side", "workers"
    )
    out = Path(out).expanduser()
    if not out.name or (out.is_symlink() and not (out / RECORD).exists()):
        raise BrushworkError(f"`out` is {out}; pass the name of a new or empty folder")
    _check_outside(out, paintings)
    limits = limits or Limits()
    settings: dict[str, Any] = {"format": FORMAT, "side": side, "rows_per_shard": rows_per_shard}
    settings |= {"limits": asdict(limits), "source": paintings.fingerprint()}
    if max_seconds != MAX_SECONDS:  # other pictures may be rejected
        settings["max_seconds"] = max_seconds
    job = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
    shards = _plan(paintings.table, rows_per_shard)
    work = beside(out, f"{out.name}.unfinished")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with exclusive(out):
            record = _finished(out, job)
            if record is None:
                _begin(work, job)
                _write_shards(
                    work,
                    shards,
                    paintings,
                    side=side,
                    limits=limits,
                    workers=workers or num_cores(),
                    max_seconds=max_seconds,
                    progress=progress,
                )
                record = _finish(work, shards, paintings, job=job, side=side, selection=selection)
                if out.is_dir():
                    out.rmdir()  # `_finished` checked that it is empty
                (work / "folder").rename(out)
            if (work / "job").exists():
                shutil.rmtree(work)
            return record
    except OSError as error:
        raise BrushworkError(
            f"cannot write {out}: {error.strerror or error}; finished work is kept: fix this and "
            "run the same command to continue"
        ) from error


def _plan(table: pd.DataFrame, rows_per_shard: int) -> list[Shard]:
    """Divide the rows of each split among shards."""
    shards = []
    for split in ("train", "test"):
        rows = table.loc[table["split"] == split].index.tolist()
        parts = [rows[i : i + rows_per_shard] for i in range(0, len(rows), rows_per_shard)]
        for number, part in enumerate(parts):
            shards.append(Shard(split, f"{split}-{number:05}-of-{len(parts):05}.parquet", part))
    return shards


def check_free(out: Path) -> None:
    """Check that a folder is absent, empty or prepared data.

    Raises:
        BrushworkError: the folder contains other files.
    """
    out = out.expanduser()
    if out.exists() and not (out / RECORD).exists() and not (out.is_dir() and _is_empty(out)):
        raise BrushworkError(f"{out} contains other files; pass an empty or new folder as `out`")


def _check_outside(out: Path, paintings: Paintings) -> None:
    """Check that the folder to write is not inside the source, which it would change.

    Raises:
        BrushworkError: it is inside the source, and does not exist yet.
    """
    folder = paintings.folder
    if folder and not (out / RECORD).exists() and out.resolve().is_relative_to(folder):
        raise BrushworkError(
            f"{out} is inside {folder}, which contains the paintings; pass a folder outside it as "
            "`out`"
        )


def _is_empty(folder: Path) -> bool:
    return not any(folder.iterdir())


def _finished(out: Path, job: str) -> dict[str, Any] | None:
    """Read the record in `out` if the same job wrote it; None if the folder is free.

    Raises:
        BrushworkError: the folder contains other files, or data that another job wrote.
    """
    check_free(out)
    if not (out / RECORD).exists():
        return None
    record = read_record(out)
    if record["job"] != job:
        raise BrushworkError(
            f"{out} already contains data prepared from another source, selection or setting; "
            "delete it or pass another `out`"
        )
    return record


def _begin(work: Path, job: str) -> None:
    """Keep unfinished work of the same job, and delete that of another one."""
    if work.exists():
        try:
            same = (work / "job").read_text(encoding="utf-8") == job
        except FileNotFoundError:
            if not _is_empty(work):
                raise BrushworkError(
                    f"unfinished work is kept in {work}, which contains other files; delete or "
                    "rename it"
                ) from None
            same = False
        if not same:
            shutil.rmtree(work)
    (work / "folder" / "data").mkdir(parents=True, exist_ok=True)
    (work / "shards").mkdir(exist_ok=True)
    write_text(work / "job", job)


def _write_shards(
    work: Path,
    shards: list[Shard],
    paintings: Paintings,
    *,
    side: int,
    limits: Limits,
    workers: int,
    max_seconds: float,
    progress: bool,
) -> None:
    """Write the shards that are not complete yet."""
    done = [shard for shard in shards if (work / "folder" / "data" / shard.name).exists()]
    num_done = sum(len(shard.rows) for shard in done)
    num_rows = sum(len(shard.rows) for shard in shards)
    num_workers = max(1, min(workers, num_rows - num_done))
    with (
        tqdm(total=num_rows, initial=num_done, unit=" paintings", disable=not progress) as bar,
        decoding(paintings.read, side, limits, num_workers, max_seconds) as decode,
    ):
        for shard in shards:
            if shard not in done:
                _write_shard(work, shard, paintings.table, decode, bar)


def _write_shard(work: Path, shard: Shard, table: pd.DataFrame, decode: Decode, bar: tqdm) -> None:
    """Decode a shard's paintings into a Parquet file; at most a hundred are in memory."""
    rejected: list[tuple[str, str]] = []
    file = work / "folder" / "data" / shard.name
    temporary = work / "shards" / shard.name
    labels = table.loc[shard.rows, [*TEXT]].to_dict("records")
    # JPEG bytes do not compress further, and `readers.ShardReader` needs them unchanged.
    compression = {"image.bytes": "none"} | dict.fromkeys(("image.path", *TEXT), "zstd")
    with pq.ParquetWriter(
        temporary,
        schema(),
        compression=compression,  # pyright: ignore[reportArgumentType]
        use_dictionary=[*TEXT],  # pyright: ignore[reportArgumentType]
    ) as writer:
        group: list[dict] = []
        for values, decoded in zip(labels, decode(shard.rows), strict=True):
            bar.update()
            if isinstance(decoded, Rejected):
                rejected.append((values["source"], str(decoded)))
                continue
            group.append({"image": {"bytes": decoded, "path": None}, **values})
            if len(group) == ROWS_PER_GROUP:
                writer.write_table(pa.Table.from_pylist(group, schema()))
                group = []
        if group:
            writer.write_table(pa.Table.from_pylist(group, schema()))
    index, digest = _index(temporary)
    np.save(work / "shards" / f"{shard.name}.npy", index)
    summary = {"rows": len(index), "sha256": digest, "rejected": rejected}
    write_json(work / "shards" / f"{shard.name}.json", summary)
    temporary.replace(file)


def schema() -> pa.Schema:
    """Define the columns in the way of `datasets`, so that `datasets` loads `image` as pictures."""
    text = {"dtype": "string", "_type": "Value"}
    features = {"image": {"_type": "Image"}, **dict.fromkeys(TEXT, text)}
    image = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    return pa.schema(
        [("image", image), *((column, pa.string()) for column in TEXT)],
        metadata={"huggingface": json.dumps({"info": {"features": features}})},
    )


def _index(file: Path) -> tuple[NDArray[np.int64], str]:
    """Find the pictures in a Parquet file, and hash its rows.

    All bytes of a picture are compared, so the result is right whatever Parquet stores between the
    pictures.

    Returns:
        (N, 2) first byte and number of bytes of each picture; and the hash of all rows.

    Raises:
        OSError: the file does not contain the bytes that were written to it.
    """
    places = []
    digest = hashlib.sha256()
    with (
        pq.ParquetFile(file) as shard,
        file.open("rb") as opened,
        mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as mapped,
    ):
        for group in range(shard.num_row_groups):
            position = shard.metadata.row_group(group).column(0).data_page_offset
            for row in shard.read_row_group(group).to_pylist():
                jpeg = row.pop("image")["bytes"]
                position = mapped.find(jpeg, position)
                if position < 0:
                    raise OSError(f"{file.name} does not contain the bytes that were written")
                places.append((position, len(jpeg)))
                position += len(jpeg)
                digest.update(json.dumps(row, sort_keys=True).encode())
                digest.update(jpeg)
    return np.array(places, dtype=np.int64).reshape(-1, 2), digest.hexdigest()


def _finish(
    work: Path,
    shards: list[Shard],
    paintings: Paintings,
    *,
    job: str,
    side: int,
    selection: str,
) -> dict[str, Any]:
    """Write all files except the shards, from the summary that each shard left."""
    folder = work / "folder"
    parts = [read_json(work / "shards" / f"{shard.name}.json") for shard in shards]
    places = [np.load(work / "shards" / f"{shard.name}.npy") for shard in shards]
    numbered = [np.insert(place, 0, number, axis=1) for number, place in enumerate(places)]
    np.save(folder / "index.npy", np.concatenate(numbered))

    unreadable = [tuple(rejected) for part in parts for rejected in part["rejected"]]
    num_prepared = sum(part["rows"] for part in parts)
    if num_prepared == 0:
        first = f" (the first error is {': '.join(unreadable[0])})" if unreadable else ""
        raise BrushworkError(
            f"none of the paintings in {paintings.name} can be decoded{first}; check that the "
            "download is complete"
        )
    rejected = [*paintings.rejected, *unreadable]
    with (folder / REJECTED).open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(("source", "reason"))
        rows.writerows(rejected)
        rows.writerows((missing, MISSING) for missing in paintings.missing)

    digests = "".join(part["sha256"] for part in parts)
    record = {
        "name": paintings.name,
        "selection": selection,
        "job": job,
        "side": side,
        "rows": num_prepared + len(rejected) + len(paintings.missing) + paintings.not_selected,
        "prepared": num_prepared,
        "rejected": len(rejected),
        "missing": len(paintings.missing),
        "not_selected": paintings.not_selected,
        "notes": list(paintings.notes),
        "fingerprint": hashlib.sha256(digests.encode()).hexdigest(),
        "shards": {
            shard.name: {
                "rows": part["rows"],
                "image_bytes": int(place[:, 1].sum()),
                "bytes": (folder / "data" / shard.name).stat().st_size,
            }
            for shard, part, place in zip(shards, parts, places, strict=True)
        },
    }
    table = read_table(folder, record)
    reasons = Counter(reason for _, reason in rejected)
    write_text(folder / "README.md", dataset_card(record, table, reasons))
    write_json(folder / RECORD, record)
    return record
