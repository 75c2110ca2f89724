"""Export the page as a folder that runs by itself, and publish to the Hugging Face Hub.

A Space installs `requirements.txt` before it copies the rest of its repository. Therefore the
source of both packages lies beside `app.py`, and the requirements name only packages from an index.
"""

import shutil
import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from brushwork import checkpoint
from brushwork.errors import BrushworkError
from brushwork.files import SCRATCH, replace_content, write_text
from brushwork_demo.bundle import INDICES, bundle, copy_index
from brushwork_demo.models import BUNDLED, find_models, locate_named

PACKAGE = Path(__file__).parent
PYTHON_VERSION = "3.12.12"
"""A version that all Spaces offer; their default, 3.10, is too old for brushwork."""
TORCH_VERSIONS = {"torch": "2.11.0", "torchvision": "0.26.0"}
"""The newest versions that ZeroGPU runs; a Space on a CPU takes the same."""
OWN_PACKAGES = {"brushwork", "brushwork-demo"}
ENVIRONMENT = {
    "implementation_name": "cpython",
    "implementation_version": PYTHON_VERSION,
    "os_name": "posix",
    "platform_machine": "x86_64",
    "platform_python_implementation": "CPython",
    "platform_release": "",
    "platform_system": "Linux",
    "platform_version": "",
    "python_full_version": PYTHON_VERSION,
    "python_version": PYTHON_VERSION.rpartition(".")[0],
    "sys_platform": "linux",
}
"""The machine of a Space, for which the markers of requirements are evaluated."""

README = """\
# brushwork

Identifies the artist of a painting, and generates new paintings with small neural networks. The
training set of each network, its metrics and what it must not be used for are on the page, under
*About*, and in the model cards under `src/brushwork_demo/checkpoints/`.
"""

APP = '''\
"""Serve the page of brushwork with the source that lies beside this file."""

import os
import sys
from pathlib import Path

try:
    import spaces  # noqa: F401  (of ZeroGPU; it must be imported before torch)
except ImportError:
    pass

sys.path.insert(0, str(Path(__file__).parent / "src"))

from brushwork_demo.__main__ import main

host = os.environ.get("GRADIO_SERVER_NAME", "0.0.0.0")
port = os.environ.get("GRADIO_SERVER_PORT", "7860")
pictures = Path(__file__).parent / "pictures"
added = ["--pictures", str(pictures)] if pictures.is_dir() else []
main(["--host", host, "--port", port, *added, *sys.argv[1:]])
'''


def readme(cards: Iterable[Path] = ()) -> str:
    """Write the README of a Space, whose front matter tells the Hub how to run it.

    Args:
        cards: the model cards of the Space's checkpoints, from which the licence follows.
    """
    from huggingface_hub import SpaceCardData

    data = SpaceCardData(
        title="brushwork",
        sdk="gradio",
        sdk_version=version("gradio"),
        python_version=PYTHON_VERSION,
        app_file="app.py",
        **licence(cards),
        tags=["painting", "art", "gan", "image-classification"],
        emoji="🎨",
        colorFrom="yellow",
        colorTo="red",
        short_description="Who painted this, and can you paint me another?",
        startup_duration_timeout="30m",
    )
    return checkpoint.card(data, README)


def export(
    folder: str | Path, generators: Sequence[str] = (), classifier: str | None = None
) -> list[Path]:
    """Write the folder of a Space.

    Args:
        folder: created with its parents; it must be empty or contain an earlier export.
        generators: checkpoints to include instead of the bundled ones.
        classifier: checkpoint to include instead of the bundled one.

    Returns:
        The files in the folder, relative to it.

    Raises:
        BrushworkError: the folder contains other files, or a checkpoint is missing or of the wrong
            kind.
    """
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or _has_other_files(folder)):
        raise BrushworkError(f"{folder} is not an exported Space; pass a new or empty folder")
    find_models(generators, classifier)  # it raises an error if one of them cannot be used
    try:
        with replace_content(folder) as new:  # a checkpoint may be in the older export
            write_text(new / "app.py", APP)
            leave_out = shutil.ignore_patterns("__pycache__", "checkpoints")
            for package in (Path(checkpoint.__file__).parent, PACKAGE):
                shutil.copytree(package, new / "src" / package.name, ignore=leave_out)
            checkpoints = new / "src" / PACKAGE.name / BUNDLED.name
            _copy_checkpoints(checkpoints, generators, classifier)
            with_torch = any(checkpoints.rglob(checkpoint.WEIGHTS))
            requirements = "\n".join(pinned_requirements(with_torch))
            write_text(new / "requirements.txt", f"{requirements}\n")
            cards = sorted(checkpoints.glob(f"*/{checkpoint.CARD}"))
            write_text(new / "README.md", readme(cards))
    except OSError as error:
        raise BrushworkError(f"cannot write {folder} ({error}); pass another folder") from error
    return sorted(f.relative_to(folder) for f in folder.rglob("*") if f.is_file())


def _has_other_files(folder: Path) -> bool:
    readme = folder / "README.md"
    exported = (
        readme.is_file()
        and "sdk: gradio" in readme.read_text(encoding="utf-8")
        and (folder / "src" / PACKAGE.name).is_dir()
    )
    return not exported and any(file.name != SCRATCH for file in folder.iterdir())


def _copy_checkpoints(target: Path, generators: Sequence[str], classifier: str | None) -> None:
    """Bundle the given checkpoints; copy the bundled ones of a kind that is not given."""
    for name, folder in checkpoint.bundled_checkpoints().items():
        paints = checkpoint.is_generator(checkpoint.load_config(folder))
        if not generators if paints else classifier is None:
            shutil.copytree(folder, target / name)
    chosen = [*generators, *([] if classifier is None else [classifier])]
    for number, place in enumerate(chosen):
        _, name = locate_named(place)
        name = "".join(c if c.isascii() and c.isalnum() else "-" for c in name.lower())
        if (target / name).exists():
            name = f"{name}-{number}"
        bundle(place, name, into=target)


def pinned_requirements(with_torch: bool = True) -> list[str]:
    """List `name==version` of all packages that the page needs on a Space, as installed here.

    The Python of a Space may differ from this one. A package that only the other Python needs, or
    whose version here does not run on it, is listed with the range that the packages require.
    Torch gets the versions that Spaces run, and its own dependencies are left to it. Packages for
    training or metrics only are in extras of brushwork, which the page does not install.

    Args:
        with_torch: whether a checkpoint of the Space holds weights, which need torch.

    Raises:
        BrushworkError: a package is not installed.
    """
    page = "brushwork-demo[torch]" if with_torch else "brushwork-demo"
    torch = TORCH_VERSIONS if with_torch else {}
    found = {name: f"{name}=={number}" for name, number in torch.items()}
    ranges: dict[str, SpecifierSet] = {}
    # Each requirement, and the extras of the package that has it.
    waiting: list[tuple[Requirement, set[str]]] = [(Requirement(page), set())]
    visited: set[str] = set()
    while waiting:
        requirement, extras = waiting.pop()
        name = canonicalize_name(requirement.name)
        if str(requirement) in visited or name in TORCH_VERSIONS:
            continue
        visited.add(str(requirement))
        ranges[name] = ranges.get(name, SpecifierSet()) & requirement.specifier
        number = _version_for_spaces(requirement.name, _is_needed(requirement, extras))
        if number is None:
            found[name] = f"{name}{ranges[name]}"
            continue
        if name not in OWN_PACKAGES:
            found[name] = f"{name}=={number}"
        for need in map(Requirement, requires(name) or []):
            if _is_needed(need, requirement.extras, ENVIRONMENT):
                waiting.append((need, requirement.extras))
    return sorted(found.values())


def _version_for_spaces(name: str, needed_here: bool) -> str | None:
    """Return the version of an installed package; None if a Space needs another one.

    Args:
        name: name of the package.
        needed_here: whether this Python needs the package, too.

    Raises:
        BrushworkError: the package is not installed, although this Python needs it.
    """
    try:
        package = metadata(name).json
    except PackageNotFoundError as error:
        if not needed_here:
            return None
        raise BrushworkError(
            f"{name} is not installed, so its version cannot be pinned; install it"
        ) from error
    runs = SpecifierSet(str(package.get("requires_python") or "")).contains(PYTHON_VERSION)
    return str(package["version"]).partition("+")[0] if runs else None


def _is_needed(
    need: Requirement, extras: Collection[str], environment: Mapping[str, str] | None = None
) -> bool:
    """Evaluate the marker of a requirement, with the extras of the package that has it.

    Args:
        need: the requirement.
        extras: extras of the package.
        environment: the machine and its Python; this one by default.
    """
    return need.marker is None or any(
        need.marker.evaluate({**(environment or {}), "extra": extra}) for extra in extras or [""]
    )


def licence(cards: Iterable[Path]) -> dict[str, Any]:
    """Choose the licence fields of a Space from the model cards of its checkpoints.

    The Space contains the checkpoints, so their licence counts, not that of the source code.

    Args:
        cards: the model cards.

    Returns:
        The licence of all cards, if it is the same; otherwise "other" with a name.
    """
    from huggingface_hub import metadata_load

    found = [metadata_load(card) or {} for card in cards]
    licences = {(card.get("license"), card.get("license_name")) for card in found}
    if len(licences) == 1:
        fields = dict(zip(("license", "license_name"), licences.pop(), strict=True))
        if fields["license"]:
            return {key: str(value) for key, value in fields.items() if value}
    return {"license": "other", "license_name": "see-the-model-cards"}


def publish_space(
    name: str,
    generators: Sequence[str] = (),
    classifier: str | None = None,
    private: bool = False,
    dry_run: bool = False,
    hardware: str | None = None,
    static: bool = False,
) -> str:
    """Create a Space, or update it.

    Args:
        name: USER/NAME.
        generators: checkpoints to include instead of the bundled ones.
        classifier: checkpoint to include instead of the bundled one.
        private: make a new Space private; an existing Space is not changed.
        dry_run: list the files and send nothing.
        hardware: hardware of a new Space, such as `zero-a10g`; the Hub's default if None.
        static: publish the page that computes in the visitor's browser; it needs no hardware.

    Returns:
        A message with the Space's address, or the list of files.

    Raises:
        BrushworkError: the Hub refuses, or cannot be reached.
    """
    _check_name(name)
    if static and hardware:
        raise BrushworkError("a static Space has no hardware; leave out `hardware`")
    with tempfile.TemporaryDirectory() as folder:
        if static:
            from brushwork_demo.static_page import export_static

            files = export_static(Path(folder) / "space", generators, classifier)
        else:
            files = export(Path(folder) / "space", generators, classifier)
        if dry_run:
            return _dry_run_report(
                Path(folder) / "space", files, f"the Space {name}", private=private
            )
        from huggingface_hub import HfApi

        api = HfApi()
        with explain_hub_errors(name):
            api.create_repo(
                name,
                repo_type="space",
                space_sdk="static" if static else "gradio",
                space_hardware=hardware,  # type: ignore[arg-type]
                private=private,
                exist_ok=True,
            )
            # Delete source files of an earlier version that this one does not have.
            api.upload_folder(
                repo_id=name,
                repo_type="space",
                folder_path=Path(folder) / "space",
                commit_message="brushwork-demo space publish",
                delete_patterns=["models/*", "ort/*"] if static else ["src/*"],
            )
    return f"published: {api.endpoint}/spaces/{name}"


def publish_model(
    folder_or_hub_id: str, name: str, private: bool = False, dry_run: bool = False
) -> str:
    """Publish a checkpoint with its model card on the Hub.

    A classifier's index is published with the titles of its training paintings, without thumbnails.

    Args:
        folder_or_hub_id: the checkpoint folder.
        name: USER/NAME.
        private: make a new repository private; an existing one is not changed.
        dry_run: list the files and send nothing.

    Returns:
        A message with the model's address, or the list of files.

    Raises:
        BrushworkError: there is no checkpoint or no model card, or the Hub refuses.
    """
    _check_name(name)
    folder = checkpoint.locate(folder_or_hub_id)
    checkpoint.load_config(folder)
    if not (folder / checkpoint.CARD).is_file():
        raise BrushworkError(f"{folder} has no {checkpoint.CARD}; write its model card first")
    files = sorted(file.relative_to(folder) for file in folder.glob("*") if file.is_file())
    if dry_run:
        return _dry_run_report(folder, files, f"the model {name}", private=private)
    from huggingface_hub import HfApi

    api = HfApi()
    with tempfile.TemporaryDirectory() as scratch, explain_hub_errors(name):
        copy = Path(scratch)
        for file in files:
            if file.name not in INDICES:
                shutil.copy(folder / file, copy)
        copy_index(folder, copy)
        api.create_repo(name, private=private, exist_ok=True)
        api.upload_folder(
            repo_id=name,
            folder_path=copy,
            allow_patterns=[str(file) for file in files],
            commit_message="brushwork-demo publish-model",
        )
    return f"published: {api.endpoint}/{name}"


def _check_name(name: str) -> None:
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(name)
        valid = name.count("/") == 1
    except HFValidationError:
        valid = False
    if not valid:
        raise BrushworkError(
            f"{name!r} is not USER/NAME; use letters, digits, '-', '_' and '.' in both parts"
        )


def _dry_run_report(folder: Path, files: Sequence[Path], target: str, private: bool) -> str:
    sizes = [(folder / file).stat().st_size for file in files]
    lines = [f"{size:>12,}  {file}" for size, file in zip(sizes, files, strict=True)]
    access = "private" if private else "public"
    total = f"{sum(sizes):>12,}  bytes in {len(files)} files for {target} ({access})"
    return "\n".join([*lines, f"{total}; nothing was sent"])


@contextmanager
def explain_hub_errors(name: str) -> Iterator[None]:
    """Turn errors of the Hub or the network into a `BrushworkError` that says what to do.

    Args:
        name: the repository, USER/NAME.
    """
    from huggingface_hub import constants, errors
    from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError

    try:
        yield
    except LocalTokenNotFoundError as error:
        raise BrushworkError(NO_TOKEN) from error
    except HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else None
        reason = (error.server_message or "").strip().partition("\n")[0]
        reason = f" ({reason})" if reason else ""
        raise BrushworkError(
            f"the Hub refused {name} with status {status}{reason}: {_cure(status, name)}"
        ) from error
    except (errors.HTTPError, OSError) as error:  # pyright: ignore[reportPrivateImportUsage]
        # errors.HTTPError is that of the Hub client's HTTP library, whichever that is.
        raise BrushworkError(
            f"cannot reach {constants.ENDPOINT} ({type(error).__name__}): check the network and "
            "publish again; the upload may be incomplete"
        ) from error


NO_TOKEN = (
    "there is no token: make one with write access at https://huggingface.co/settings/tokens "
    "and run `hf auth login`, or set HF_TOKEN"
)


def _cure(status: int | None, name: str) -> str:
    """Say what to do after the Hub answered with an HTTP status."""
    from huggingface_hub import get_token

    owner = name.partition("/")[0]
    match status:
        case 401 if get_token() is None:
            return NO_TOKEN
        case 401:
            return (
                "the token is wrong or has expired: make a new one with write access at "
                "https://huggingface.co/settings/tokens and run `hf auth login`, or set HF_TOKEN"
            )
        case 402:
            return (
                "a Gradio Space on a CPU needs a paid plan; a free account can use ZeroGPU: "
                "`hardware` zero-a10g"
            )
        case 403:
            return (
                f"the token may not write to {owner!r}: give it write access, or publish under "
                "your own name"
            )
        case 404:
            return f"there is no user or organisation {owner!r} that the token can see"
        case 429:
            return "too many requests; try again in an hour"
        case _:
            return "try again later"
