"""The sources of paintings, each as one table with the same columns.

A source decodes nothing: it says which paintings there are, what is known of them, and how each
one's encoded file is reached. Files and rows that can't be used are listed, never dropped silently:
in every source, rows = paintings in the table + missing + rejected.
"""

import hashlib
import re
from pathlib import Path

from brushwork.data.paintings import Paintings
from brushwork.data.prepare import prepare
from brushwork.data.prepared import FORMAT, PreparedPaintings, open_prepared
from brushwork.data.readers import RECORD
from brushwork.data.sources.image_folder import image_folder
from brushwork.data.sources.painter_by_numbers import CSV, painter_by_numbers
from brushwork.data.sources.prepared import prepared_source
from brushwork.data.sources.synthetic import synthetic_paintings
from brushwork.data.sources.wikiart import is_dataset, wikiart
from brushwork.errors import BrushworkError
from brushwork.files import cache_folder


def open_data(spec: str, cache: str | Path | None = None) -> PreparedPaintings:
    """What `--data` accepts, ready for training: prepared data as it is, or a source.

    A source is prepared on first use into a cache folder, and again when it has changed. Several
    processes may call this at once: one prepares and the others wait.

    Args:
        spec: prepared data, or anything that `brushwork.data.open.open_source` takes.
        cache: by default `cache_folder()`.
    """
    if (Path(spec).expanduser() / RECORD).exists():
        return open_prepared(spec)
    paintings = open_source(spec)
    key = hashlib.sha256(f"{FORMAT}:{paintings.fingerprint()}".encode()).hexdigest()[:16]
    name = "".join(c if c.isalnum() else "-" for c in paintings.name.lower())
    folder = Path(cache or cache_folder()) / "prepared" / f"{name}-{key}"
    if not (folder / RECORD).exists():
        prepare(paintings, folder)
    return open_prepared(folder)


def open_source(spec: str) -> Paintings:
    """What `--data` accepts.

    Args:
        spec: `synthetic` or `synthetic:5000`; a folder (Painter-by-Numbers, a saved dataset,
            Parquet files, prepared data, or pictures in a folder per artist); or the name of a
            dataset on the Hub, such as `huggan/wikiart`.

    Raises:
        BrushworkError: where there is no such thing.
    """
    kind, _, count = spec.partition(":")
    if kind == "synthetic":
        if count and not count.isdecimal():
            raise BrushworkError(f"--data {spec}: after synthetic: comes a number, synthetic:5000")
        return synthetic_paintings(int(count)) if count else synthetic_paintings()
    path = Path(spec).expanduser()
    if path.name == CSV:
        path = path.parent
    if (path / RECORD).exists():
        return prepared_source(path)
    if (path / CSV).exists():
        return painter_by_numbers(path)
    if path.suffix == ".parquet" or is_dataset(path):
        return wikiart(path)
    if path.is_dir():
        return image_folder(path)
    if path.exists():
        raise BrushworkError(f"{spec} is a file; --data takes a folder, {CSV} or a .parquet file")
    if re.fullmatch(r"[\w.-]+/[\w.-]+", spec) and not path.parent.is_dir():
        return wikiart(spec)
    raise BrushworkError(
        f"no folder {spec}; --data takes one, or the name of a dataset on the Hub such as "
        "huggan/wikiart, or synthetic"
    )
