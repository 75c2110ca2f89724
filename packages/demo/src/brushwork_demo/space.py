"""The page as a folder that runs by itself, and its way to the Hugging Face Hub.

A Space installs `requirements.txt` before the rest of its repository is there, so the source of
both packages lies beside `app.py`, and the requirements name only what a package index has.
"""

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from brushwork import checkpoint
from brushwork.errors import BrushworkError
from brushwork_demo.bundle import bundle, copy_index
from brushwork_demo.studio import BUNDLED, is_generator

HERE = Path(__file__).parent
PYTHON = "3.12.12"
"""One that Spaces offer, on ZeroGPU too; left out, they take 3.10, which is too old."""
TORCH = {"torch": "2.11.0", "torchvision": "0.26.0"}
"""The newest that ZeroGPU runs; a Space on a CPU takes the same."""
OURS = {"brushwork", "brushwork-demo"}

README = """\
---
title: brushwork
emoji: 🎨
colorFrom: yellow
colorTo: red
sdk: gradio
sdk_version: {gradio}
python_version: "{python}"
app_file: app.py
license: mit
short_description: Who painted this, and can you paint me another?
tags: [painting, art, gan, image-classification]
startup_duration_timeout: 30m
---
# brushwork

Names the artist of a painting, and lets small networks paint new ones. What each network learned
from, how well it does and what it must not be used for is on the page, under *About*, and in the
cards under `src/brushwork_demo/checkpoints/`.
"""

APP = '''\
"""Serve the page of brushwork with the source that lies beside this file."""

import os
import sys
from pathlib import Path

try:
    import spaces  # noqa: F401  (ZeroGPU's; it has to come before torch)
except ImportError:
    pass

sys.path.insert(0, str(Path(__file__).parent / "src"))

from brushwork_demo.__main__ import main

host = os.environ.get("GRADIO_SERVER_NAME", "0.0.0.0")
port = os.environ.get("GRADIO_SERVER_PORT", "7860")
main(["--host", host, "--port", port])
'''


def export(
    folder: str | Path, generators: Sequence[str] = (), classifier: str | None = None
) -> list[Path]:
    """Write the folder of a Space.

    Args:
        folder: made with its parents; it must be empty or hold an earlier export.
        generators: checkpoints to take along instead of the bundled ones.
        classifier: to take along instead of the bundled one.

    Returns:
        The files written, relative to the folder.

    Raises:
        BrushworkError: the folder holds something else, or a checkpoint is not there.
    """
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or _holds_something_else(folder)):
        raise BrushworkError(f"{folder} holds something else than a Space; name a new folder")
    try:
        shutil.rmtree(folder / "src", ignore_errors=True)
        (folder / "src").mkdir(parents=True)
        (folder / "README.md").write_text(README.format(gradio=version("gradio"), python=PYTHON))
        (folder / "app.py").write_text(APP)
        (folder / "requirements.txt").write_text("\n".join(pins()) + "\n")
        leave_out = shutil.ignore_patterns("__pycache__", "checkpoints")
        for package in (Path(checkpoint.__file__).parent, HERE):
            shutil.copytree(package, folder / "src" / package.name, ignore=leave_out)
        _take_along(folder / "src" / HERE.name / BUNDLED.name, generators, classifier)
    except OSError as error:
        raise BrushworkError(f"cannot write {folder}: {error}") from error
    return sorted(f.relative_to(folder) for f in folder.rglob("*") if f.is_file())


def _holds_something_else(folder: Path) -> bool:
    readme = folder / "README.md"
    ours = (
        readme.is_file()
        and "sdk: gradio" in readme.read_text()
        and (folder / "src" / HERE.name).is_dir()
    )
    return any(folder.iterdir()) and not ours


def _take_along(target: Path, generators: Sequence[str], classifier: str | None) -> None:
    if not generators and classifier is None:
        shutil.copytree(BUNDLED, target)
        return
    for file in BUNDLED.glob(f"*/{checkpoint.CONFIG}"):  # of the kind that was not named
        paints = is_generator(checkpoint.load_config(file.parent))
        if not generators if paints else classifier is None:
            shutil.copytree(file.parent, target / file.parent.name)
    chosen = [*generators, *([classifier] if classifier else [])]
    for number, given in enumerate(chosen):
        folder = checkpoint.locate(given)
        stem = folder.parent.name if folder.name == "generator" else Path(given).name
        name = "".join(c if c.isascii() and c.isalnum() else "-" for c in stem.lower())
        bundle(given, name if not (target / name).exists() else f"{name}-{number}", into=target)


def pins() -> list[str]:
    """`name==version` of everything the page needs, as it is installed here.

    Torch is held to what Spaces run; what it needs itself, it pins itself. What only training or
    metrics need is in extras of brushwork that the page does not ask for.
    """
    found = dict(TORCH)
    waiting = [Requirement("brushwork-demo")]
    seen: set[str] = set()
    while waiting:
        requirement = waiting.pop()
        if str(requirement) in seen or canonicalize_name(requirement.name) in TORCH:
            continue
        seen.add(str(requirement))
        name = canonicalize_name(requirement.name)
        try:
            found |= {} if name in OURS else {name: version(name).partition("+")[0]}
            needs = [Requirement(line) for line in requires(name) or []]
        except PackageNotFoundError as error:
            raise BrushworkError(
                f"{name} is not installed here, so its version cannot be pinned"
            ) from error
        for need in needs:
            extras = requirement.extras or {""}
            if need.marker is None or any(need.marker.evaluate({"extra": e}) for e in extras):
                waiting.append(need)
    return sorted(f"{name}=={number}" for name, number in found.items())


def publish_space(
    name: str,
    generators: Sequence[str] = (),
    classifier: str | None = None,
    private: bool = False,
    dry_run: bool = False,
    hardware: str | None = None,
) -> str:
    """Create a Space, or bring it up to date, and say where it is.

    Args:
        name: USER/NAME.
        generators: checkpoints to take along instead of those bundled.
        classifier: likewise.
        private: only its owner sees it; an existing Space keeps what it is.
        dry_run: only say what would be sent.
        hardware: what a new Space runs on, such as `zero-a10g`; the Hub's default if None.

    Raises:
        BrushworkError: the Hub refuses, or cannot be reached; says what to do.
    """
    _check_name(name)
    with tempfile.TemporaryDirectory() as folder:
        files = export(Path(folder) / "space", generators, classifier)
        if dry_run:
            return _what_would_be_sent(Path(folder) / "space", files, f"the Space {name}", private)
        from huggingface_hub import HfApi

        api = HfApi()
        with hub_errors_in_words(name):
            api.create_repo(
                name,
                repo_type="space",
                space_sdk="gradio",
                space_hardware=hardware,  # type: ignore[arg-type]
                private=private,
                exist_ok=True,
            )
            # Source files that are no longer part of the page must not stay behind.
            api.upload_folder(
                repo_id=name,
                repo_type="space",
                folder_path=Path(folder) / "space",
                commit_message="brushwork-demo space publish",
                delete_patterns=["src/*"],
            )
    return f"published: {api.endpoint}/spaces/{name}"


def publish_model(given: str, name: str, private: bool = False, dry_run: bool = False) -> str:
    """Publish a checkpoint with its card as a model of the Hub, and say where it is.

    Of the paintings that a classifier learned from only the names go along, not the pictures.

    Args:
        given: the checkpoint's folder.
        name: USER/NAME.
        private: only its owner sees it; an existing model keeps what it is.
        dry_run: only say what would be sent.

    Raises:
        BrushworkError: it is no checkpoint, it has no card, or the Hub refuses.
    """
    _check_name(name)
    folder = checkpoint.locate(given)
    checkpoint.load_config(folder)
    if not (folder / checkpoint.CARD).is_file():
        raise BrushworkError(f"{folder} has no {checkpoint.CARD}; write its model card first")
    files = sorted(file.relative_to(folder) for file in folder.glob("*") if file.is_file())
    if dry_run:
        return _what_would_be_sent(folder, files, f"the model {name}", private)
    from huggingface_hub import HfApi

    api = HfApi()
    with tempfile.TemporaryDirectory() as scratch, hub_errors_in_words(name):
        copy = Path(scratch)
        for file in files:
            if file.name != checkpoint.INDEX:
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
    except HFValidationError:
        name_fits = False
    else:
        name_fits = name.count("/") == 1
    if not name_fits:
        raise BrushworkError(f"{name!r} is not USER/NAME of letters, digits, '-', '_' and '.'")


def _what_would_be_sent(folder: Path, files: Sequence[Path], what: str, private: bool) -> str:
    sizes = [(folder / file).stat().st_size for file in files]
    lines = [f"{size:>12,}  {file}" for size, file in zip(sizes, files, strict=True)]
    who = "private" if private else "public"
    total = f"{sum(sizes):>12,}  bytes in {len(files)} files for {what} ({who}); nothing was sent"
    return "\n".join([*lines, total])


@contextmanager
def hub_errors_in_words(name: str) -> Iterator[None]:
    """What the Hub or the network said, as a sentence with a cure."""
    from huggingface_hub import constants, errors
    from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError

    owner = name.partition("/")[0]
    try:
        yield
    except LocalTokenNotFoundError as error:
        raise BrushworkError(_NO_TOKEN) from error
    except HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else None
        said = (error.server_message or "").strip().partition("\n")[0]
        cure = {
            401: "the token is wrong or has expired: make a new one with write access at "
            "https://huggingface.co/settings/tokens and run `hf auth login`, or set HF_TOKEN",
            402: "a Gradio Space on a CPU needs a paid plan; a free account gets ZeroGPU: "
            "--hardware zero-a10g",
            403: f"the token may not write to {owner!r}: give it write access, or publish under "
            "your own name",
            404: f"there is no user or organisation {owner!r} that the token can see",
            429: "too many requests; try again in an hour",
        }.get(status or 0, "try again later")
        if status == 401 and not _has_token():
            cure = _NO_TOKEN
        told = f" ({said})" if said else ""
        raise BrushworkError(
            f"the Hub refused {name} with status {status}{told}: {cure}"
        ) from error
    except (errors.HTTPError, OSError) as error:  # pyright: ignore[reportPrivateImportUsage]
        # its HTTP library's, whichever that is
        raise BrushworkError(
            f"cannot reach {constants.ENDPOINT} ({type(error).__name__}): check the network; "
            "nothing may have been published"
        ) from error


_NO_TOKEN = (
    "there is no token: make one with write access at https://huggingface.co/settings/tokens "
    "and run `hf auth login`, or set HF_TOKEN"
)


def _has_token() -> bool:
    from huggingface_hub import get_token

    return get_token() is not None
