"""data.sources.prepared."""

from pathlib import Path

from brushwork.data.paintings import Paintings


def prepared_source(folder: str | Path) -> Paintings:
    """Prepared data as a source: what to select from and prepare again, smaller."""
    from brushwork.data.prepared import open_prepared

    paintings = open_prepared(folder)
    return Paintings(name=paintings.name, table=paintings.table, read=paintings.read)
