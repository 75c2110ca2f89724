"""Settings that several scripts share: which paintings to use, and how flags are read."""

from dataclasses import dataclass, fields, is_dataclass
from typing import Annotated, Any, TypeVar

import tyro

Config = TypeVar("Config")
Names = Annotated[tuple[str, ...], tyro.conf.UseAppendAction]


@dataclass(frozen=True)
class Selection:
    """Settings: which paintings to use."""

    data: str = "synthetic"
    """Prepared data, a Painter-by-Numbers folder, a folder of artist/painting.jpg, Parquet files, a
    dataset on the Hub such as huggan/wikiart, or "synthetic"."""
    genre: Names = ()
    """Use only this genre; repeat the flag for several."""
    style: Names = ()
    """Use only this style; repeat the flag for several."""
    artist: Names = ()
    """Use only this artist; repeat the flag for several."""
    min_paintings: int = 0
    """Leave out artists with fewer paintings in the selection."""

    def filters(self) -> dict[str, Any]:
        """Name the filters as `brushwork.data.selection.select` takes them."""
        return {name: value for name, value in vars(self).items() if name != "data"}


def read_flags(
    config: type[Config], description: str | None, args: list[str] | None = None
) -> Config:
    """Read a script's flags; groups of settings add no prefix to the names.

    Args:
        config: the script's frozen dataclass; its fields may be dataclasses, which `--help` shows
            as sections.
        description: the script's docstring.
        args: flags to read instead of the command line's.
    """
    return tyro.cli(config, args=args, description=description, config=(tyro.conf.OmitArgPrefixes,))


def flat(config: Any) -> dict[str, Any]:
    """Merge the groups of a config into one dictionary, as a run records it.

    >>> flat(Selection(data="paintings/", genre=("landscape",)))["genre"]
    ('landscape',)
    """
    settings = {}
    for field in fields(config):
        value = getattr(config, field.name)
        settings |= flat(value) if is_dataclass(value) else {field.name: value}
    return settings
