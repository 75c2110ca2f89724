"""The models of a page: the generators and the classifier that it offers to visitors."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from brushwork import checkpoint
from brushwork.checkpoint import bundled_classifier, is_generator
from brushwork.data.aspects import Aspect, height_and_width
from brushwork.errors import BrushworkError

BUNDLED = Path(__file__).parent / "checkpoints"
KEPT = "kept"
CURVES = "metrics.jsonl"
PICTURE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp"})


@dataclass(frozen=True)
class Painter:
    """A generator that visitors can choose, with earlier checkpoints of its training."""

    name: str
    stages: tuple[Path, ...]
    """Checkpoint folders in the order of training; the last one is the finished generator."""
    epochs: tuple[float, ...]
    """Epochs of training of each stage."""
    config: dict[str, Any]
    """The `config.json` of the finished generator."""
    curves: tuple[dict[str, float], ...]
    """Lines of the run's `metrics.jsonl`; empty if the file is missing."""

    @property
    def side(self) -> int:
        """Shorter side of the generated images in pixels."""
        return self.config["model"]["side"]

    @property
    def aspect(self) -> Aspect:
        """Width to height of the generated images."""
        return self.config["model"].get("aspect", "1:1")

    @property
    def genre(self) -> str | None:
        """Genre of the training set, if it is a single one."""
        genres = _names(self.config.get("training", {}).get("genre"))
        return genres[0] if len(genres) == 1 else None

    @property
    def title(self) -> str:
        """What the generator paints, for visitors: "Landscapes", "After Claude Monet"."""
        training = self.config.get("training", {})
        artists = _names(training.get("artist"))
        if training.get("condition") == "artist":
            return f"In the manner of {len(self.config['model'].get('classes', ()))} artists"
        if len(artists) == 1:
            return f"After {artists[0]}"
        if self.genre and not artists:
            return f"{self.genre.capitalize()}s"
        return self.name.replace("-", " ").capitalize()

    @property
    def cover_seed(self) -> int:
        """Seed of the picture that stands for this painter on the page."""
        return int(self.config.get("cover_seed", 0))

    def stage(self, number: int | None) -> Path:
        """Return the checkpoint folder of a stage.

        Args:
            number: 1 for the earliest stage; None for the finished generator.

        Raises:
            BrushworkError: there is no such stage.
        """
        if number is None:
            return self.stages[-1]
        if not 1 <= number <= len(self.stages):
            raise BrushworkError(
                f"{self.name} has no stage {number}; choose one from 1 to {len(self.stages)}"
            )
        return self.stages[number - 1]


@dataclass(frozen=True)
class Models:
    """The models that a page offers."""

    painters: dict[str, Painter]
    """By name, at least one."""
    classifier: Path | None
    """Checkpoint folder; None if the page cannot identify artists."""
    pictures: tuple[Path, ...] = ()
    """Real pictures that whoever serves the page adds, for the quiz and as examples."""

    @property
    def titles(self) -> dict[str, str]:
        """The title of each painter by its name; equal titles also contain the name."""
        titles = [painter.title for painter in self.painters.values()]
        return {
            name: f"{painter.title} ({name})" if titles.count(painter.title) > 1 else painter.title
            for name, painter in self.painters.items()
        }

    def painter(self, name: str | None) -> Painter:
        """Return a painter by name, or the first one for None.

        Raises:
            BrushworkError: there is no painter of this name.
        """
        if name is None:
            return next(iter(self.painters.values()))
        if name not in self.painters:
            known = ", ".join(self.painters)
            raise BrushworkError(f"no painter {str(name)[:40]!r}; choose one of {known}")
        return self.painters[name]


def find_models(
    generators: Sequence[str] = (), classifier: str | None = None, pictures: str | None = None
) -> Models:
    """Find the checkpoints of a page; without arguments, the bundled ones.

    Args:
        generators: checkpoint folders, names of bundled ones or names on the Hugging Face Hub;
            empty for all bundled ones, the best first.
        classifier: a checkpoint folder or a name on the Hub; None for the bundled one.
        pictures: a folder of real pictures; those of one genre may be in a folder of its name.

    Raises:
        BrushworkError: a checkpoint is missing, cannot be opened, or is of the wrong kind.
    """
    painters: dict[str, Painter] = {}
    for place in generators or bundled_generators():
        painter = _find_painter(place)
        name = _free_name(painter.name, taken=painters)
        painters[name] = replace(painter, name=name)
    if not painters:
        raise BrushworkError(f"no generators in {BUNDLED}; pass one as `generator`")
    if classifier is None:
        found = bundled_classifier()
    else:
        found = checkpoint.locate(classifier)
        if is_generator(checkpoint.load_config(found)):
            raise BrushworkError(
                f"{classifier} is a generator, not an artist classifier; pass it as `generator`"
            )
    if found:
        _check_config(found)
    real = find_pictures(Path(pictures)) if pictures else ()
    return Models(painters=painters, classifier=found, pictures=real)


def find_pictures(folder: Path) -> tuple[Path, ...]:
    """List the pictures in a folder and in its folders.

    Raises:
        BrushworkError: there is none.
    """
    found = [file for file in folder.rglob("*") if file.suffix.lower() in PICTURE_SUFFIXES]
    if not found:
        raise BrushworkError(
            f"`pictures` is {folder}, which has no JPEG, PNG or WebP files; pass a folder of "
            "pictures"
        )
    return tuple(sorted(found))


def bundled_generators() -> list[Path]:
    """List the bundled generators: those of large pictures first, then those of many paintings.

    A page opens on the first.

    Raises:
        BrushworkError: a bundled `config.json` is broken.
    """
    folders = map(checkpoint.locate, checkpoint.bundled_checkpoints().values())
    configs = {folder: checkpoint.load_config(folder) for folder in folders}
    generators = [folder for folder, config in configs.items() if is_generator(config)]

    def rank(folder: Path) -> tuple[int, int, str]:
        config = configs[folder]
        return (
            -config["model"]["side"],
            -config.get("training", {}).get("num_paintings", 0),
            folder.name,
        )

    return sorted(generators, key=rank)


def locate_named(place: str | Path) -> tuple[Path, str]:
    """Find a checkpoint, and the name of its run, of its own folder, or of its repository.

    Args:
        place: see `brushwork.checkpoint.locate`.

    Returns:
        The absolute path of the folder, and the name; a place such as "." or ".." has the name of
        the folder that it stands for.

    Raises:
        BrushworkError: there is no such checkpoint.
    """

    def absolute(path: Path) -> Path:
        # Links keep their names, unless ".." leads out of what a link points to.
        return path.resolve() if ".." in path.parts else path.absolute()

    folder = absolute(checkpoint.locate(place))
    named = folder.parent if folder.name == "generator" else absolute(Path(place))
    return folder, named.name or folder.name


def _find_painter(place: str | Path) -> Painter:
    folder, name = locate_named(place)
    config = checkpoint.load_config(folder)
    if not is_generator(config):
        raise BrushworkError(f"{place} is not a generator; pass a classifier as `classifier`")
    config = _check_config(folder)
    home = folder.parent if folder.name == "generator" else folder
    kept = sorted(file.parent for file in home.glob(f"{KEPT}/step-*/{checkpoint.CONFIG}"))
    stages = {_epochs(_check_config(stage)): stage for stage in kept}
    stages[_epochs(config)] = folder
    epochs = sorted(stages)
    return Painter(
        name=name,
        stages=tuple(stages[epoch] for epoch in epochs),
        epochs=tuple(epochs),
        config=config,
        curves=_read_curves(home / CURVES),
    )


def _read_curves(file: Path) -> tuple[dict[str, float], ...]:
    """Read the lines of `metrics.jsonl` that are whole; a killed run may have cut the last one."""
    if not file.is_file():
        return ()
    lines = []
    for text in file.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            line = json.loads(text)
        except ValueError:
            continue
        if isinstance(line, dict):
            lines.append(line)
    return tuple(lines)


def _check_config(folder: Path) -> dict[str, Any]:
    """Read a checkpoint's config, and check the parts of it that the page shows.

    Raises:
        BrushworkError: the file is broken, or such a part is missing.
    """
    config = checkpoint.load_config(folder)
    try:
        if is_generator(config):
            height_and_width(int(config["model"]["side"]), config["model"].get("aspect", "1:1"))
        else:
            list(config["artists"])
        _epochs(config)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise BrushworkError(
            f"{folder / checkpoint.CONFIG} is not that of a checkpoint ({error!r}); copy or "
            "download the checkpoint again"
        ) from error
    return config


def _names(value: object) -> list[str]:
    """Read a selection of the training set: a name, a list of names, or nothing."""
    return [value] if isinstance(value, str) and value else [*value] if value else []  # type: ignore[misc]


def _epochs(config: Mapping[str, Any]) -> float:
    return float(config.get("training", {}).get("epochs", 0))


def _free_name(name: str, taken: Mapping[str, Painter]) -> str:
    """Return `name`; if it is taken, append the first free number from 2."""
    if name not in taken:
        return name
    stem = re.sub(r" \d+$", "", name)
    numbers = range(2, len(taken) + 3)
    return next(free for number in numbers if (free := f"{stem} {number}") not in taken)
