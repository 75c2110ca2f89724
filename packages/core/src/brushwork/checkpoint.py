"""A checkpoint is a folder: `config.json`, `model.safetensors` and `README.md`, the model card.

The same folder is local, bundled with the demo, or a repository of the Hugging Face Hub. It holds
no pickle: opening a stranger's checkpoint runs no code.
"""

import shutil
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_model, save_model
from torch import nn

from brushwork.errors import BrushworkError
from brushwork.files import read_json, write_json, write_text

CONFIG, WEIGHTS, CARD = "config.json", "model.safetensors", "README.md"


INDEX = "index.safetensors"  # of a classifier, if it has one


DISCRIMINANTS = "discriminants.safetensors"  # likewise


OF_RUNS = ("generator", "classifier")  # where a run keeps what it trained


# Where a run lay and how it was watched is nobody else's business.
PRIVATE = ("out", "resume", "tracker")


PLACES = ("weights", "teacher", "backbone", "eval_space", "start")
"""Settings that may name a file, of which the end is told."""


def without_place(named: str) -> str:
    """What a setting names, without the folders in which it lies.

    >>> without_place("artist:/home/ann/runs/artists/classifier"), without_place("user/name")
    ('artist:artists/classifier', 'user/name')
    """
    kind, colon, place = named.rpartition(":")
    return kind + colon + "/".join(Path(place).parts[-2:])


def save(model: nn.Module, folder: str | Path, config: dict[str, Any], card: str) -> None:
    """Write the checkpoint whole or not at all; an older one in `folder` is replaced at the end.

    Args:
        model: whose `state_dict` is saved, in its own precision.
        folder: made with its parents.
        config: all that is needed to build the model again, and what it was trained on; JSON.
        card: the model card, Markdown.

    Raises:
        BrushworkError: the folder cannot be written.
    """
    folder = Path(folder)
    if "training" in config:
        told = {k: v for k, v in config["training"].items() if k not in PRIVATE}
        told |= {k: without_place(told[k]) for k in PLACES if k in told}
        config = config | {"training": told}
    staging, replaced = (folder.parent / f".{folder.name}.{word}" for word in ("new", "old"))
    try:
        for leftover in (staging, replaced):
            shutil.rmtree(leftover, ignore_errors=True)
        staging.mkdir(parents=True)
        save_model(model, str(staging / WEIGHTS))
        write_json(staging / CONFIG, config)
        write_text(staging / CARD, card)
        if folder.exists():
            folder.rename(replaced)
        staging.rename(folder)
        shutil.rmtree(replaced, ignore_errors=True)
    except (OSError, SafetensorError) as error:
        raise BrushworkError(f"cannot write the checkpoint {folder}: {error}") from error


def locate(folder_or_hub_id: str | Path) -> Path:
    """The folder of a checkpoint; a Hub name is downloaded first (or found in the Hub's cache).

    Of a run's folder it is that of its painter or its classifier.

    Raises:
        BrushworkError: there is no such folder, and no such model can be had from the Hub.
    """
    folder = Path(folder_or_hub_id)
    if folder.is_dir():
        for place in (folder, *(folder / part for part in OF_RUNS)):
            if (place / CONFIG).is_file() and (place / WEIGHTS).is_file():
                return place
        inside = sorted(str(c.parent) for c in folder.glob(f"*/{CONFIG}"))
        hint = f"; did you mean {inside[0]}?" if inside else ""
        raise BrushworkError(f"{folder} holds no {CONFIG} and {WEIGHTS}, so no checkpoint{hint}")
    name = str(folder_or_hub_id)
    if name.count("/") != 1 or name.startswith((".", "/", "~")):
        raise BrushworkError(f"no checkpoint folder {name}")

    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        wanted = [CONFIG, WEIGHTS, CARD, INDEX, DISCRIMINANTS]
        found = snapshot_download(name, allow_patterns=wanted)
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise BrushworkError(
            f"no folder {name} here, and no model of that name could be had from the Hub "
            f"({type(error).__name__}); give the path of a checkpoint folder"
        ) from error
    return locate(found)


def load_config(folder: Path) -> dict[str, Any]:
    """The `config.json` of a checkpoint folder.

    Raises:
        BrushworkError: it cannot be read, or is not a JSON object.
    """
    try:
        config = read_json(folder / CONFIG)
    except (OSError, ValueError) as error:
        raise BrushworkError(f"cannot read {folder / CONFIG}: {error}") from error
    if not isinstance(config, dict):
        raise BrushworkError(f"{folder / CONFIG} is not a JSON object")
    return config


def load_weights(model: nn.Module, folder: Path) -> None:
    """Fill `model` from the folder's weights, every name and shape exactly as saved.

    Raises:
        BrushworkError: the file is broken, or does not fit the model.
    """
    try:
        load_model(model, folder / WEIGHTS, strict=True)
    except (OSError, SafetensorError, RuntimeError) as error:
        first_line = str(error).splitlines()[0]
        raise BrushworkError(f"{folder / WEIGHTS} does not fit its config: {first_line}") from error


def update_config(folder: Path, config: dict[str, Any], card: str) -> None:
    """Replace a checkpoint's config and card, the weights left alone.

    Raises:
        BrushworkError: the folder cannot be written.
    """
    try:
        write_json(folder / CONFIG, config)
        write_text(folder / CARD, card)
    except OSError as error:
        raise BrushworkError(f"cannot write to {folder}: {error}") from error
