"""Read prepared data as a source, to select from it or to prepare it again at a smaller size."""

from pathlib import Path

from brushwork.data.paintings import Paintings
from brushwork.data.prepared import open_prepared


def prepared_source(folder: str | Path) -> Paintings:
    """List the paintings of prepared data.

    Args:
        folder: the output of `brushwork.data.prepare`.

    Raises:
        BrushworkError: the folder is not prepared data, or is damaged.
    """
    paintings = open_prepared(folder)
    return Paintings(name=paintings.name, table=paintings.table, read=paintings.read)
