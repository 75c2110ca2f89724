"""Not a script: settings that several scripts share, ranges of numbers, and how flags are read."""

import io
import math
import os
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

import tyro

from brushwork.errors import BrushworkError
from brushwork.files import read_json
from brushwork.training.launcher import LAUNCH_VARIABLES

Config = TypeVar("Config")
Recipes = Mapping[str, Mapping[str, Any]]
"""Settings by the name of a recipe, which the setting `recipe` chooses."""
Names = Annotated[tuple[str, ...], tyro.conf.UseAppendAction]


@dataclass(frozen=True)
class Range:
    """The allowed values of a number, or of each number of a tuple; infinity and NaN never are.

    Attributes:
        low: the smallest value.
        high: the largest value.
        above: whether `low` itself is not allowed.
    """

    low: float
    high: float = math.inf
    above: bool = False

    def __contains__(self, value: float) -> bool:
        in_range = self.low <= value <= self.high and value != math.inf
        return in_range and not (self.above and value == self.low)

    def __str__(self) -> str:
        """Describe the range, for example "at least 0".

        >>> str(Range(0, 1, above=True)), str(Range(1, 9)), str(Range(0))
        ('above 0 and at most 1', 'between 1 and 9', 'finite and at least 0')
        """
        low, high = (f"{end:,}" for end in (self.low, self.high))
        if math.isinf(self.high):
            return f"finite and {'above' if self.above else 'at least'} {low}"
        return f"above {low} and at most {high}" if self.above else f"between {low} and {high}"


# Whole numbers: of paintings, pictures, steps and epochs; 0 where it means "none" or "automatic".
Count = Annotated[int, Range(1, 1_000_000_000)]
CountOrZero = Annotated[int, Range(0, 1_000_000_000)]
BatchSize = Annotated[int, Range(1, 65_536)]
Side = Annotated[int, Range(1, 4096)]
Workers = Annotated[int, Range(1, 1024)]
Seed = Annotated[int, Range(0, 2**32 - 1)]

# Real numbers.
Positive = Annotated[float, Range(0, above=True)]
NotNegative = Annotated[float, Range(0)]
Share = Annotated[float, Range(0, 1)]
PositiveShare = Annotated[float, Range(0, 1, above=True)]


@dataclass(frozen=True)
class Selection:
    """Settings: which paintings to use."""

    data: str = "synthetic"
    """Prepared data, a Painter-by-Numbers folder, a folder of artist/painting.jpg, Parquet files, a
    dataset on the Hub such as huggan/wikiart (add :NAME to choose one of its configurations), or
    "synthetic" (paintings that the library draws; synthetic:5000:4 draws 5,000 by four artists)."""
    genre: Names = ()
    """Use only this genre; repeat the flag for several."""
    style: Names = ()
    """Use only this style; repeat the flag for several."""
    artist: Names = ()
    """Use only this artist; repeat the flag for several."""
    min_paintings: CountOrZero = 0
    """Leave out artists with fewer paintings in the selection."""

    def filters(self) -> dict[str, Any]:
        """Name the filters as `brushwork.data.selection.select` takes them."""
        return {name: value for name, value in vars(self).items() if name != "data"}


def read_flags(
    config: type[Config],
    description: str | None,
    args: list[str] | None = None,
    recipes: Recipes | None = None,
) -> Config:
    """Read a script's flags; groups of settings add no prefix to the names.

    If the flags choose a recipe, they are read again with its settings as the defaults.

    Args:
        config: the script's frozen dataclass; its fields may be dataclasses, which `--help` shows
            as sections.
        description: the script's docstring.
        args: flags to read instead of the command line's.
        recipes: the settings of each recipe, for a config that has a field `recipe`.

    Raises:
        BrushworkError: a number is outside its `Range`.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):  # it may lack the letters of an artist's name
        sys.stdout.reconfigure(errors="backslashreplace")
    # Without the second marker, a comment above a field would be the help of it and the next ones.
    markers = (tyro.conf.OmitArgPrefixes, tyro.conf.HelptextFromCommentsOff)
    options: Any = {"description": description, "config": markers}
    cfg = tyro.cli(config, args=args, **options)
    if recipes and getattr(cfg, "recipe", None):
        cfg = tyro.cli(config, args=args, default=defaults_of(cfg, recipes), **options)
    check_ranges(cfg)
    return cfg


def defaults_of(config: Config, recipes: Recipes | None = None) -> Config:
    """Make the config that a script has without flags, or only with that of the recipe."""
    chosen = (recipes or {}).get(getattr(config, "recipe", None) or "", {})
    return with_settings(type(config)(), chosen)


def with_settings(config: Any, settings: Mapping[str, Any]) -> Any:
    """Replace settings of a config, also those in its groups, by name.

    >>> with_settings(Selection(data="paintings/"), {"min_paintings": 3}).min_paintings
    3
    """
    changes = {}
    for field in fields(config):
        value = getattr(config, field.name)
        if is_dataclass(value):
            changes[field.name] = with_settings(value, settings)
        elif field.name in settings:
            changes[field.name] = settings[field.name]
    return replace(config, **changes)


def check_ranges(config: Any) -> None:
    """Check the numbers of a config and of its groups.

    Raises:
        BrushworkError: a number is outside the `Range` of its field.
    """
    allowed = ranges(type(config))
    for name, value in flat(config).items():
        for number in value if isinstance(value, tuple) else (value,):
            is_number = isinstance(number, int | float)
            if is_number and name in allowed and number not in allowed[name]:
                shown = f"{number:.12g}" if isinstance(number, float) else number
                raise BrushworkError(f"`{name}` is {shown}; it must be {allowed[name]}")


def ranges(config: type) -> dict[str, Range]:
    """List the `Range` of each field of a config and of its groups that has one."""
    found: dict[str, Range] = {}
    for name, kind in get_type_hints(config, include_extras=True).items():
        if is_dataclass(kind) and isinstance(kind, type):
            found |= ranges(kind)
        elif limits := _range_in(kind):
            found[name] = limits
    return found


def _range_in(kind: Any) -> Range | None:
    """Find the range in a type such as `Annotated[int, Range(1)] | None` or a tuple of such."""
    if get_origin(kind) is Annotated:
        for extra in kind.__metadata__:
            if isinstance(extra, Range):
                return extra
    return next(filter(None, map(_range_in, get_args(kind))), None)


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


def as_flags(config: Any, recipes: Recipes | None = None, /, **changes: Any) -> str:
    """Write the settings that differ from their defaults as flags, for a command to paste.

    Args:
        config: a script's settings.
        recipes: see `read_flags`; settings of the chosen recipe are not written.
        changes: settings that differ from `config`, by name.

    >>> as_flags(Selection(data="my paintings", genre=("portrait",)), min_paintings=3)
    "--data 'my paintings' --genre portrait --min-paintings 3"
    """
    defaults, words = flat(defaults_of(config, recipes)), []
    for name, value in (flat(config) | changes).items():
        flag = name.replace("_", "-")
        if value == defaults[name]:
            continue
        if isinstance(value, bool):
            words.append(f"--{flag}" if value else f"--no-{flag}")
            continue
        for item in value if isinstance(value, tuple) else (value,):
            words += [f"--{flag}", str(item)]
    return shlex.join(words)


def launch_command(world: int, device: str) -> str:
    """Write the start of the command that trains in as many processes as this one."""
    if world == 1:
        is_launched = any(name in os.environ for name in LAUNCH_VARIABLES)
        return "uv run accelerate launch" if is_launched else "uv run"
    cpu = "ACCELERATE_USE_CPU=true " if device == "cpu" else ""
    return f"{cpu}uv run accelerate launch --multi_gpu --num_processes {world}"


def check_folder(out: Path) -> None:
    """Check that --out is not a file.

    Raises:
        BrushworkError: it is.
    """
    if out.exists() and not out.is_dir():
        raise BrushworkError(f"`out` is {out}, which is a file; pass a folder")


def check_report_folder(out: Path, classifier: str) -> None:
    """Check that --out is new, empty, or an earlier evaluation of the same classifier.

    Raises:
        BrushworkError: it contains something else.
    """
    check_folder(out)
    if not any(out.glob("[!.]*")):
        return
    try:
        evaluated = read_json(out / "report.json")["settings"]["classifier"]
        is_same = evaluated == classifier or Path(evaluated).resolve() == Path(classifier).resolve()
    except (OSError, ValueError, KeyError, TypeError):
        raise BrushworkError(
            f"`out` is {out}, which holds other files; pass a new or empty folder"
        ) from None
    if not is_same:
        raise BrushworkError(
            f"`out` is {out}, which holds an evaluation of {evaluated}; pass another folder"
        )


def report_data(text: str) -> None:
    """Print what is used of the data and what is not, in the main process only."""
    if text and os.environ.get("RANK", "0") == "0":
        print(text)
