"""Write and read checkpoints.

A checkpoint is a folder with `config.json`, `model.safetensors` and the model card `README.md`. The
folder can be local, bundled with the demo, or a repository on the Hugging Face Hub. It contains no
pickle: opening a checkpoint from an unknown source runs no code.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from brushwork.errors import BrushworkError
from brushwork.files import atomic_folder, atomic_write, read_json, write_json, write_text
from brushwork.names import near_names

if TYPE_CHECKING:
    from huggingface_hub import CardData
    from torch import nn

CONFIG, WEIGHTS, CARD = "config.json", "model.safetensors", "README.md"
# Optional files of a classifier: its training paintings, its discriminant analysis of artists, and
# those of style, genre and decade.
INDEX, DISCRIMINANTS = "index.safetensors", "discriminants.safetensors"
TRAITS = "traits.safetensors"

# Files that `brushwork.export` writes instead of the weights, for `brushwork.runtime`: the network
# of a generator or of a classifier, the styles of a generator, the index of a classifier.
GENERATOR_GRAPH, CLASSIFIER_GRAPH = "generator.onnx", "classifier.onnx"
STYLES_GRAPH, GRAPH_INDEX = "styles.onnx", "index.npz"

# The architectures of generators: the keys of `brushwork.gan.networks.ARCHITECTURES`, which imports
# torch.
GENERATORS = ("dcgan", "modern")

# Folders of a run that contain its final checkpoint.
RUN_CHECKPOINTS = ("generator", "classifier")

# The package that includes checkpoints, in its folder `checkpoints`, and its name for pip.
DEMO, DEMO_ON_PYPI = "brushwork_demo", "brushwork-demo"

# The key in the config with the SHA-256 of the weights' file; checkpoints of earlier versions have
# none.
DIGEST = "weights_sha256"

# A name that begins so is that of a folder, also where there is no such folder.
LOCAL_NAMES = ("runs/", "data/")

# Seconds to wait for the Hub's answer.
HUB_TIMEOUT = 5.0

# Training settings that a checkpoint leaves out, because they describe the author's machine.
PRIVATE_SETTINGS = ("out", "resume", "tracker")

# Training settings that may contain a path. A checkpoint keeps only the end of the path.
PATH_SETTINGS = ("weights", "teacher", "backbone", "eval_space", "start")


def shorten_path(setting: str) -> str:
    """Keep the last two parts of the path in a setting.

    Args:
        setting: a path, a name on the Hub, or KIND:PATH.

    >>> shorten_path("artist:/home/ann/runs/artists/classifier"), shorten_path("user/name")
    ('artist:artists/classifier', 'user/name')
    """
    path = re.sub(r"^(?:[^:/]*:)*", "", setting)  # a folder's name may contain a colon, too
    return setting.removesuffix(path) + "/".join(Path(path).parts[-2:])


def shorten_paths(setting: str | Iterable[str]) -> str | list[str]:
    """Shorten the path in a setting, or each of several paths."""
    return shorten_path(setting) if isinstance(setting, str) else [*map(shorten_path, setting)]


def licence(training: Mapping[str, Any]) -> dict[str, Any]:
    """Choose the licence fields of a model card.

    Args:
        training: the training settings; `license` in them is the licence of the model, if stated.
    """
    if training.get("license"):
        return {"license": training["license"]}
    # The Hub shows the name beside "other": small letters, digits and hyphens.
    return {"license": "other", "license_name": "depends-on-the-training-paintings"}


def card(data: "CardData", text: str) -> str:
    """Format a model card or a dataset card: YAML front matter, then Markdown.

    Args:
        data: a `huggingface_hub.ModelCardData` or `DatasetCardData`.
        text: the Markdown body.
    """
    return f"---\n{data.to_yaml()}\n---\n{text}"


def save(model: "nn.Module", folder: str | Path, config: dict[str, Any], card_text: str) -> None:
    """Write a checkpoint.

    The files are written to a temporary folder, which then replaces `folder`. If writing fails, an
    older checkpoint stays as it was.

    Args:
        model: its `state_dict` is saved, each tensor with its own dtype.
        folder: created together with its parents; an existing folder is replaced.
        config: JSON values: the shape of the model and, under "training", how it was trained.
            `PRIVATE_SETTINGS` are left out, and the paths in `PATH_SETTINGS` are shortened. A
            digest of the weights is added.
        card_text: the model card, as `card` formats it.

    Raises:
        BrushworkError: the folder cannot be written.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_model

    folder = Path(folder)
    if "training" in config:
        training = {k: v for k, v in config["training"].items() if k not in PRIVATE_SETTINGS}
        training |= {k: shorten_paths(training[k]) for k in PATH_SETTINGS if k in training}
        config = config | {"training": training}
    try:
        with atomic_folder(folder) as staging:
            with atomic_write(staging / WEIGHTS) as temporary:
                save_model(model, str(temporary))
            write_json(staging / CONFIG, config | {DIGEST: weights_digest(staging)})
            write_text(staging / CARD, card_text)
    except (OSError, SafetensorError) as error:
        raise BrushworkError(f"cannot write the checkpoint {folder}: {error}") from error


def bundled_checkpoints() -> dict[str, Path]:
    """List the checkpoints that the demo includes: folders by name, such as "landscapes".

    The demo is not imported. The result is empty if it is not installed.
    """
    demo = find_spec(DEMO)
    places = demo.submodule_search_locations if demo else None
    # A hidden folder is one that is being written.
    configs = [
        file for place in places or () for file in Path(place).glob(f"checkpoints/[!.]*/{CONFIG}")
    ]
    return {file.parent.name: file.parent for file in sorted(configs)}


def locate(folder_or_hub_id: str | Path) -> Path:
    """Find the folder of a checkpoint.

    Args:
        folder_or_hub_id: a checkpoint's folder; a run's folder, for the generator or the classifier
            in it; the name of a checkpoint that the demo includes, such as "landscapes", unless
            there is a folder of that name; or a name on the Hugging Face Hub, such as "user/model",
            which is downloaded unless the Hub's cache has it.

    Raises:
        BrushworkError: there is no such folder, or it contains no checkpoint, or the Hub model
            cannot be downloaded.
    """
    bundled = bundled_checkpoints()
    folder = Path(folder_or_hub_id)
    if folder.is_dir():
        for candidate in (folder, *(folder / name for name in RUN_CHECKPOINTS)):
            if (candidate / CONFIG).is_file() and (
                (candidate / WEIGHTS).is_file() or graph_of(candidate)
            ):
                return candidate
        inside = sorted(str(config.parent) for config in folder.glob(f"[!.]*/{CONFIG}"))
        hint = f"; did you mean {inside[0]}?" if inside else ""
        if str(folder_or_hub_id) in bundled:
            hint = f"; the bundled model of this name is in {bundled[str(folder_or_hub_id)]}"
        raise BrushworkError(f"no checkpoint in {folder}: {CONFIG} or {WEIGHTS} is missing{hint}")
    name = str(folder_or_hub_id)
    if name in bundled:
        return locate(bundled[name])
    if _is_local(name):
        cure, install = "give the folder of a checkpoint or of a run", ""
        if folder.name == name and bundled:
            cure += f", the name of a bundled model ({', '.join(bundled)})"
        elif folder.name == name:
            install = f"; for the bundled models, install {DEMO_ON_PYPI}"
        raise BrushworkError(
            f"no checkpoint folder {name}{_near_checkpoint(folder, bundled)}; {cure}, or a "
            f"name on the Hugging Face Hub (user/model){install}"
        )

    if find_spec("huggingface_hub") is None:
        raise BrushworkError(
            f"no folder {name}; to download models from the Hugging Face Hub, install "
            "huggingface-hub"
        )
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        patterns = [CONFIG, WEIGHTS, CARD, INDEX, DISCRIMINANTS, TRAITS, "*.onnx", GRAPH_INDEX]
        found = snapshot_download(name, allow_patterns=patterns, etag_timeout=HUB_TIMEOUT)
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise BrushworkError(
            f"no folder {name}, and no model {name} could be downloaded from the Hub "
            f"({type(error).__name__}); give the path of a checkpoint folder"
        ) from error
    return locate(found)


def is_generator(config: Mapping[str, Any]) -> bool:
    """Decide whether a checkpoint's config is that of a generator, not of a classifier."""
    return config.get("architecture") in GENERATORS


def bundled_classifier() -> Path | None:
    """Find the checkpoint of the classifier that the demo includes; None if there is none."""
    folders = bundled_checkpoints().values()
    return next((f for f in folders if "artists" in load_config(f)), None)


def locate_classifier(folder_or_hub_id: str | Path | None) -> Path:
    """Find the folder of a classifier's checkpoint.

    Args:
        folder_or_hub_id: see `locate`; None for the classifier that the demo
            includes.

    Raises:
        BrushworkError: there is no such checkpoint.
    """
    if folder_or_hub_id is not None:
        return locate(folder_or_hub_id)
    if found := bundled_classifier():
        return found
    raise BrushworkError(
        f"no classifier is given, and {DEMO_ON_PYPI}, which includes one, is not "
        "installed; install it, or pass the folder of a classifier"
    )


def graph_of(folder: Path) -> Path | None:
    """Find the exported network in a checkpoint's folder; None if it holds none."""
    files = (folder / name for name in (GENERATOR_GRAPH, CLASSIFIER_GRAPH))
    return next((file for file in files if file.is_file()), None)


def _is_local(name: str) -> bool:
    """Decide without the network whether a name is that of a folder rather than of a Hub model."""
    return (
        re.fullmatch(r"[\w.-]+/[\w.-]+", name) is None
        or name.startswith((".", *LOCAL_NAMES))
        or Path(name).exists()
        or Path(name).parent.is_dir()
    )


def _near_checkpoint(folder: Path, bundled: Iterable[str]) -> str:
    """Suggest a folder beside a missing one, or a bundled name; "" if none is near."""
    try:
        names = [path.name for path in folder.parent.iterdir() if path.is_dir()]
    except OSError:
        names = []
    if folder.parent == Path():
        names += bundled
    near = near_names(dict.fromkeys(names, 1), folder.name, most=1)
    return f" (did you mean {folder.parent / near[0]}?)" if near else ""


def weights_digest(folder: Path) -> str:
    """Compute the SHA-256 of a checkpoint's weights, which `load_weights` compares."""
    with (folder / WEIGHTS).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def require_keys(
    config: Mapping[str, Any], folder: Path, keys: Mapping[str, type | tuple[type, ...]]
) -> None:
    """Check that a config contains some keys.

    Args:
        config: the config of a checkpoint.
        folder: the checkpoint.
        keys: the type of each value, by key.

    Raises:
        BrushworkError: a key is missing, or its value has another type; the message names it.
    """
    for key, kind in keys.items():
        if key not in config:
            raise BrushworkError(
                f"{folder / CONFIG} lacks the key {key!r}; copy or download the checkpoint again"
            )
        if not isinstance(config[key], kind) or isinstance(config[key], bool):
            raise BrushworkError(
                f"{folder / CONFIG} has the value {config[key]!r:.50} for {key!r}, which is of "
                "another type; copy or download the checkpoint again"
            )


def load_config(folder: Path) -> dict[str, Any]:
    """Read the `config.json` of a checkpoint.

    Raises:
        BrushworkError: the file cannot be read, or is not a JSON object.
    """
    try:
        config = read_json(folder / CONFIG)
    except (OSError, ValueError) as error:
        raise BrushworkError(
            f"cannot read {folder / CONFIG} ({error}); copy or download the checkpoint again"
        ) from error
    if not isinstance(config, dict):
        raise BrushworkError(
            f"{folder / CONFIG} is not a JSON object; copy or download the checkpoint again"
        )
    return config


def load_weights(model: "nn.Module", folder: Path) -> None:
    """Load the weights of a checkpoint into `model`, whose tensors must match by name and shape.

    Raises:
        BrushworkError: the file is broken, is not the one that was saved with the config, or does
            not fit the model.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_model

    if not (folder / WEIGHTS).is_file() and graph_of(folder):
        raise BrushworkError(
            f"{folder} holds exported graphs and no {WEIGHTS}, which torch needs; open it with "
            "brushwork.runtime (`engine` onnx), or pass the checkpoint that it was exported from"
        )
    expected = load_config(folder).get(DIGEST)
    try:
        if expected is not None and weights_digest(folder) != expected:
            raise BrushworkError(
                f"{folder / WEIGHTS} has changed since it was saved (its SHA-256 differs from "
                f"{DIGEST} in {CONFIG}); copy or download the checkpoint again"
            )
        load_model(model, folder / WEIGHTS, strict=True)
    except (OSError, SafetensorError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise BrushworkError(
            f"{folder / WEIGHTS} is broken or does not fit {CONFIG} ({reason}); copy or "
            "download the checkpoint again"
        ) from error


def update_config(folder: Path, config: dict[str, Any], card_text: str) -> None:
    """Replace the config and the card of a checkpoint; the weights stay.

    Args:
        folder: the checkpoint folder.
        config: the new config, which replaces all of the old one but the digest of the weights.
        card_text: the new model card, as `card` formats it.

    Raises:
        BrushworkError: the folder cannot be written.
    """
    before = load_config(folder)
    if DIGEST in before:
        config = config | {DIGEST: before[DIGEST]}
    try:
        write_json(folder / CONFIG, config)
        write_text(folder / CARD, card_text)
    except OSError as error:
        raise BrushworkError(f"cannot write to {folder}: {error}") from error
