"""Open any data by its name or path.

`open_source` recognises the kind of source and lists its paintings, without decoding any.
`open_data` also prepares the paintings once, so that training can read them. Files and rows that
are not usable are listed, never dropped silently: in every source, the number of rows equals
paintings in the table + missing + rejected.
"""

import hashlib
import os
import re
from pathlib import Path

from brushwork.data.paintings import Paintings
from brushwork.data.preparation import prepare
from brushwork.data.prepared import FORMAT, PreparedPaintings, open_prepared
from brushwork.data.readers import RECORD
from brushwork.data.sources.image_folder import image_folder
from brushwork.data.sources.painter_by_numbers import CSV, painter_by_numbers
from brushwork.data.sources.prepared import prepared_source
from brushwork.data.sources.synthetic import synthetic_paintings
from brushwork.data.sources.wikiart import is_dataset, wikiart
from brushwork.errors import BrushworkError
from brushwork.files import cache_folder

HUB_NAME = r"[\w.-]+/[\w.-]+"


def open_data(data: str, cache: str | Path | None = None) -> PreparedPaintings:
    """Open data for training; prepare it first, if it is not prepared data.

    A source is prepared into a cache folder on first use, and again when it has changed. Several
    processes may call this at once: one prepares and the others wait.

    Args:
        data: prepared data, or anything that `open_source` takes.
        cache: where prepared sources are kept; by default `brushwork.files.cache_folder()`.

    Raises:
        BrushworkError: there is no such data, it has no readable picture, or the cache cannot be
            written.
    """
    if os.path.exists(Path(data).expanduser() / RECORD):  # noqa: PTH110, see below
        return open_prepared(data)
    paintings = open_source(data)
    key = hashlib.sha256(f"{FORMAT}:{paintings.fingerprint()}".encode()).hexdigest()[:16]
    name = "".join(c if c.isalnum() else "-" for c in paintings.name.lower())
    if len(os.fsencode(name)) > 200:  # a file system takes 255 bytes, with the key and an ending
        name = name[:40]
    folder = Path(cache or cache_folder()) / "prepared" / f"{name}-{key}"
    if not (folder / RECORD).exists():
        prepare(paintings, folder)
    return open_prepared(folder)


def check_data(data: str) -> None:
    """Check that `open_data` can open data, without decoding a picture or downloading anything.

    A dataset on the Hub is not checked.

    Args:
        data: see `open_data`.

    Raises:
        BrushworkError: there is no such data, or it contains no painting.
    """
    if os.path.exists(Path(data).expanduser() / RECORD):  # noqa: PTH110, see below
        open_prepared(data)
    elif not _is_hub_name(_split_configuration(data)[0]):
        open_source(data)


def open_source(data: str) -> Paintings:
    """Recognise the kind of a source, and list its paintings.

    Args:
        data: `synthetic`, `synthetic:5000` for 5,000 paintings, or `synthetic:5000:4` for 5,000
            by four artists; a folder (Painter-by-Numbers, a saved dataset,
            Parquet files, prepared data, or pictures in one folder per artist); or the name of a
            dataset on the Hub, such as `huggan/wikiart`. `DATASET:CONFIGURATION` chooses one of
            several configurations.

    Raises:
        BrushworkError: there is no such source, or it contains no painting.
    """
    kind, *numbers = data.split(":")
    if kind == "synthetic":
        if len(numbers) > 2 or not all(map(str.isdecimal, numbers)):
            raise BrushworkError(
                f"`data` is {data!r}; write the numbers of paintings and of artists as in "
                "synthetic:5000 or synthetic:5000:4"
            )
        return synthetic_paintings(*map(int, numbers))
    data, configuration = _split_configuration(data)
    path = Path(data).expanduser()
    if any(len(os.fsencode(part)) > 255 for part in path.parts) or "\0" in data:
        raise BrushworkError("`data` is not the name of a file: it is too long or has a null byte")
    if path.name == CSV:
        path = path.parent
    if configuration and path.is_dir() and ((path / CSV).exists() or not is_dataset(path)):
        raise BrushworkError(f"{data} has no configurations; leave :{configuration} out of `data`")
    if (path / RECORD).exists():
        return prepared_source(path)
    if (path / CSV).exists():
        return painter_by_numbers(path)
    if path.suffix == ".parquet" or is_dataset(path):
        return wikiart(path, configuration)
    if path.is_dir():
        return image_folder(path)
    if path.exists():
        raise BrushworkError(f"{data} is a file; `data` must be a folder, {CSV} or a .parquet file")
    if _is_hub_name(data):
        return wikiart(data, configuration)
    raise BrushworkError(
        f"no folder {data}; `data` must be a folder, a dataset on the Hub such as huggan/wikiart, "
        'or "synthetic"'
    )


def _is_hub_name(data: str) -> bool:
    """Return whether data is looked for on the Hub; a path in an existing folder is not."""
    is_local = os.path.isdir(Path(data).parent)  # noqa: PTH112, see below
    return re.fullmatch(HUB_NAME, data) is not None and not is_local


def _split_configuration(data: str) -> tuple[str, str]:
    """Split `DATASET:CONFIGURATION`; an existing path may contain a colon itself.

    >>> _split_configuration("huggan/wikiart:small"), _split_configuration("nobody/nothing")
    (('huggan/wikiart', 'small'), ('nobody/nothing', ''))
    """
    before, colon, configuration = data.rpartition(":")
    # os.path.exists is False for names that are too long, where Path.exists raises an error.
    if not colon or os.path.exists(os.path.expanduser(data)):  # noqa: PTH110, PTH111
        return data, ""
    if Path(before).expanduser().exists() or re.fullmatch(HUB_NAME, before):
        return before, configuration
    return data, ""
