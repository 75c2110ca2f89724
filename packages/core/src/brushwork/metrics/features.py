"""Compute features (N, D) and class probabilities (N, K) of images, in feature spaces.

A `FeatureSpace` has a name, the side of its inputs, and a function that maps a batch to features.
`inception`, `dinov2`, `clip`, `timm_space`, `pixels` and `brushwork.classifier.space.artist_space`
make one. You can make another from any function: `FeatureSpace("mine", 224, embed)`. clean-fid
(Parmar et al. 2022) resizes images of every size to the side of the space: with PIL's antialiased
bicubic filter on float32, without rounding.
"""

import hashlib
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sized
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from brushwork.backbones.create import (
    HUB,
    NONE,
    create_backbone,
    load_pretrained,
    registered_name,
    side_options_for,
)
from brushwork.backbones.folding import fold_batch_norms
from brushwork.backbones.lazy_timm import timm
from brushwork.data.aspects import Aspect, height_and_width
from brushwork.data.decode import SUFFIXES, Limits, Rejected, picture_files, to_rgb
from brushwork.errors import BrushworkError, install
from brushwork.files import atomic_write, cache_folder, exclusive
from brushwork.machine import num_cores

LIMITS = Limits(max_aspect=float("inf"), min_side=1)
"""Limits of the pictures that are compared: any shape, but not larger than the memory."""

MAX_ASPECT = 4.0
"""Longer pictures are squashed to this ratio of the sides in spaces that keep proportions."""

DECODING = b"brushwork.data.decode 3\n"
"""Part of the fingerprint of files; it changes when the same file gives other pixels."""

INCEPTION_FILE = "inception-2015-12-05.pt"

INCEPTION_URL = (
    "https://nvlabs-fi-cdn.nvidia.com/stylegan2-ada-pytorch/pretrained/metrics/" + INCEPTION_FILE
)

INCEPTION_SHA256 = "f58cb9b6ec323ed63459aa4fb441fe750cfe39fafad6da5cb504a16f19e958f4"

CLIP, DINOV2 = "clip", "dinov2"

CLIP_ARCHITECTURE = "vit_large_patch14_clip_quickgelu_336.openai"
"""The network of CMMD (Jayasumana et al. 2024)."""

DINOV2_ARCHITECTURE = "vit_large_patch14_dinov2.lvd142m"
"""The network of the Fréchet distance in DINOv2 (Stein et al. 2023), with images of 224 pixels."""

Embed = Callable[[Tensor], Tensor | tuple[Tensor, Tensor | None]]


class Features(NamedTuple):
    """Features (N, D) float32 of images, and class probabilities (N, K) if the space has any."""

    features: Tensor
    probabilities: Tensor | None = None


@dataclass(frozen=True)
class FeatureSpace:
    """A space in which images are compared.

    Attributes:
        name: under which results are reported.
        side: height and width of the images that `embed` takes, in pixels; the shorter one if the
            space keeps proportions.
        embed: maps a batch (N, 3, H, W) float32 in [0, 255], on `device`, to features
            (N, D), or to features and probabilities (N, K).
        key: a hash of the weights, under which features are cached; if empty, they are not cached.
        device: the device of `embed`.
        labels: names of the K classes, if they have names.
        keeps_aspect: whether images keep their proportions, up to `MAX_ASPECT`; otherwise they are
            squashed to squares.
    """

    name: str
    side: int
    embed: Embed
    key: str = ""
    device: str | torch.device = "cpu"
    labels: tuple[str, ...] = ()
    keeps_aspect: bool = False

    def input_size(self, height: int, width: int) -> tuple[int, int]:
        """Compute the height and width to which an image is resized, in pixels.

        >>> pixels(32).input_size(64, 96)
        (32, 32)
        >>> FeatureSpace("mine", 32, torch.flatten, keeps_aspect=True).input_size(64, 96)
        (32, 48)
        """
        if not self.keeps_aspect:
            return self.side, self.side
        ratio = min(MAX_ASPECT, max(height, width) / min(height, width))
        longer = round(self.side * ratio)
        return (self.side, longer) if height <= width else (longer, self.side)


def extract(
    images: object,
    space: FeatureSpace,
    *,
    batch_size: int | None = None,
    workers: int | None = None,
    progress: bool = False,
    total: int | None = None,
) -> Features:
    """Compute features of every image, in order, and probabilities if the space has classes.

    Files are decoded in this process, without a time limit.

    Args:
        images: a folder of image files, read with all its subfolders in the order of their paths;
            an array or tensor, uint8 (N, H, W, 3) or (N, 3, H, W); or an iterable of paths, PIL
            images, such arrays, or single images.
        space: the feature space.
        batch_size: images in one call of `space.embed`; by default 8 on a CPU, whose caches hold
            few more, and 64 on other devices.
        workers: threads that decode and resize images for the network; by default one per core.
        progress: draw a progress bar on stderr.
        total: number of images, for the bar of an iterable that has no length.

    Raises:
        BrushworkError: there are no images, one cannot be read, or `space.embed` is a network in
            training mode or gives features of another shape.
    """
    if isinstance(space.embed, nn.Module) and space.embed.training:
        raise BrushworkError(
            f"the network of space {space.name!r} is in training mode; call its .eval()"
        )
    if isinstance(images, str | Path):
        images = image_files(images)
    batch_size = batch_size or (8 if torch.device(space.device).type == "cpu" else 64)
    parts: list[Features] = []
    with ThreadPoolExecutor(workers or num_cores()) as pool:
        resized = _ahead(pool, _single_images(images), space.input_size, 2 * batch_size)
        if progress:
            from tqdm import tqdm

            if total is None and isinstance(images, Sized):
                total = len(images)
            resized = tqdm(resized, desc=space.name, total=total, unit="img")
        with torch.inference_mode():
            for batch in _batches(resized, batch_size):
                parts.append(_on_cpu(space.embed(batch.to(space.device))))
    if not parts:
        raise BrushworkError("there are no images to measure; pass at least one")
    # `cat` copies them out of inference mode, so that the caller may compute gradients.
    features = torch.cat([part.features for part in parts])
    if features.ndim != 2:
        raise BrushworkError(
            f"space {space.name!r} gave features of shape {tuple(features.shape)}; "
            "`embed` must return one row (D,) for each image"
        )
    probabilities = [part.probabilities for part in parts if part.probabilities is not None]
    return Features(features, torch.cat(probabilities) if probabilities else None)


def cached_features(
    images: object,
    space: FeatureSpace,
    *,
    fingerprint: str | None = None,
    cache: str | Path | None = None,
    batch_size: int | None = None,
    workers: int | None = None,
    progress: bool = False,
    total: int | None = None,
) -> Features:
    """Call `extract` once for each content and space; later calls read `cache`/features.

    Args:
        images: see `extract`.
        space: the feature space; without a key its features are not cached.
        fingerprint: a hash of the content of the images; by default it is computed, which needs a
            folder, an array or a list of paths.
        cache: a folder, by default `brushwork.files.cache_folder()`.
        batch_size: see `extract`, as for the following.
        workers: threads.
        progress: draw a progress bar.
        total: number of images.
    """
    options: dict[str, Any] = {
        "batch_size": batch_size,
        "workers": workers,
        "progress": progress,
        "total": total,
    }
    if not space.key:
        return extract(images, space, **options)
    content = fingerprint or content_fingerprint(images)
    digest = digest_of([f"{space.name}\n{space.side}\n{space.key}\n{content}".encode()])
    path = Path(cache or cache_folder()) / "features" / f"{space.name}-{digest}.safetensors"
    try:
        kept = load_file(path)
        return Features(kept["features"], kept.get("probabilities"))
    except (FileNotFoundError, SafetensorError, KeyError):
        pass  # absent or damaged: it is computed below
    result = extract(images, space, **options)
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {k: v.contiguous() for k, v in result._asdict().items() if v is not None}
    with exclusive(path.parent), atomic_write(path) as partial:
        save_file(tensors, partial)
    return result


def content_fingerprint(images: object) -> str:
    """Hash the bytes of an array, or of the files of a folder or of a list of paths."""
    if isinstance(images, str | Path):
        images = image_files(images)
    if isinstance(images, Tensor):
        images = images.cpu().numpy()
    if isinstance(images, np.ndarray):
        return digest_of([str(images.shape).encode(), *(image.tobytes() for image in images)])
    if isinstance(images, list | tuple) and all(isinstance(i, str | Path) for i in images):
        return digest_of(chain([DECODING], (Path(path).read_bytes() for path in images)))
    raise BrushworkError(
        f"cannot compute a fingerprint of a {type(images).__name__}; pass `fingerprint`"
    )


def inception(
    weights: str | Path | None = None, *, fetch: bool = False, device: str | torch.device = "cpu"
) -> FeatureSpace:
    """Open the Inception-v3 of FID, KID and the inception score, in clean-fid's wrapper.

    It has D = 2048 features and K = 1008 classes.

    Args:
        weights: NVIDIA's TorchScript file inception-2015-12-05.pt or its folder; by default
            `brushwork.files.cache_folder()`.
        fetch: download the file if it is absent (91 MB), and check its SHA-256.
        device: where to run it.

    Raises:
        BrushworkError: the file is absent, cannot be downloaded, or has another name.
    """
    path = Path(weights or cache_folder())
    if path.suffix != ".pt":
        path = path / INCEPTION_FILE
    if not path.is_file() and fetch:
        _download_inception(path)
    if not path.is_file():
        raise BrushworkError(
            f"no Inception weights at {path}; set `fetch` to download them, or save "
            f"{INCEPTION_URL} there"
        )
    if path.name != INCEPTION_FILE:
        raise BrushworkError(f"clean-fid opens only files named {INCEPTION_FILE}; rename {path}")
    wrapper = _clean_fid("inception_torchscript").InceptionV3W
    with warnings.catch_warnings(action="ignore"):  # PyTorch has deprecated TorchScript
        model = wrapper(str(path.parent), download=False).to(device).eval()

    def embed(images: Tensor) -> tuple[Tensor, Tensor]:
        features = model(images)
        # The inception score is defined without the bias of the last layer.
        return features, (features @ model.base.output.weight.T).softmax(1)

    return FeatureSpace("inception", 299, embed, digest_of([path.read_bytes()]), device)


def dinov2(
    weights: str | Path | None = None, *, fetch: bool = False, device: str | torch.device = "cpu"
) -> FeatureSpace:
    """Open DINOv2 (ViT-L/14, images of 224 pixels), which learned without labels; D = 1024.

    The Fréchet distance in it agrees better with people than the FID (Stein et al. 2023). timm
    interpolates the position embeddings with antialiasing, which Stein et al. do not, so the
    numbers may differ slightly from theirs.

    Args:
        weights: a file with timm's tensor names; by default timm's on the Hugging Face Hub.
        fetch: download these if they are not in the Hub's cache (1.2 GB).
        device: where to run it.

    Raises:
        BrushworkError: the weights are absent, cannot be downloaded, or do not fit.
    """
    source = weights or _hub_weights(DINOV2_ARCHITECTURE, fetch, f"{DINOV2}:FILE")
    space = timm_space(DINOV2_ARCHITECTURE, source, num_classes=0, side=224, device=device)
    return replace(space, name=DINOV2)


def clip(
    weights: str | Path | None = None, *, fetch: bool = False, device: str | torch.device = "cpu"
) -> FeatureSpace:
    """Open the image embeddings of OpenAI's CLIP (ViT-L/14, images of 336 pixels); D = 768.

    They have length 1. `brushwork.metrics.distances.cmmd` compares them.

    Args:
        weights: a file with timm's tensor names; by default timm's on the Hugging Face Hub.
        fetch: download these if they are not in the Hub's cache (1.2 GB).
        device: where to run it.

    Raises:
        BrushworkError: the weights are absent, cannot be downloaded, or do not fit.
    """
    source = weights or _hub_weights(CLIP_ARCHITECTURE, fetch, f"{CLIP}:FILE")
    space = timm_space(CLIP_ARCHITECTURE, source, num_classes=768, embeddings=True, device=device)
    return replace(space, name=CLIP)


def timm_space(
    architecture: str,
    weights: str | Path,
    *,
    num_classes: int = 1000,
    embeddings: bool = False,
    side: int | None = None,
    device: str | torch.device = "cpu",
) -> FeatureSpace:
    """Open a timm backbone: its last hidden layer, and the probabilities of its classes.

    Args:
        architecture: such as "resnet34" or "hf_hub:timm/resnet34.a1_in1k"; the space has its name
            without the Hub's prefix.
        weights: "hub", a local file or a package; see
            `brushwork.backbones.create.load_pretrained`.
        num_classes: number of classes of the weights; if they have another number, the space has
            no probabilities.
        embeddings: the outputs of the head are embeddings, as those of CLIP, of `num_classes`
            dimensions. Scaled to length 1, they are the features; there are no probabilities.
        side: side of the square to which images are squashed; by default the architecture's own.
        device: where to run it.

    Raises:
        BrushworkError: timm has no such network, its weights cannot be loaded or have no head for
            `embeddings`, or it does not take images of this side.
    """
    if str(weights) == NONE:
        raise BrushworkError(
            "`weights` is none; a feature space needs trained ones; pass hub, a file or a package"
        )
    model: Any = create_backbone(architecture, num_classes)
    config = model.pretrained_cfg
    size: int = side or config["input_size"][-1]
    options = side_options_for(architecture, model, size)
    model = create_backbone(architecture, num_classes, options) if options else model
    has_head = load_pretrained(model, architecture, weights, options)
    if embeddings and not has_head:
        raise BrushworkError(
            f"{weights} has no head of {num_classes} outputs for {architecture}; give weights with "
            "the projection to embeddings"
        )
    key = digest_of(t.numpy().tobytes() for t in model.state_dict().values())
    model = model.eval().requires_grad_(False).to(device)
    # Folded batch norms and this memory layout make networks up to twice as fast on CPUs.
    example = torch.randn(1, 3, size, size, generator=torch.Generator().manual_seed(0))
    model = fold_batch_norms(model, example.to(device)).to(memory_format=torch.channels_last)
    mean, std = (
        255 * torch.tensor(config[name], device=device)[:, None, None] for name in ("mean", "std")
    )

    def embed(images: Tensor) -> tuple[Tensor, Tensor | None]:
        x = ((images - mean) / std).contiguous(memory_format=torch.channels_last)
        maps = model.forward_features(x)
        if embeddings:
            return functional.normalize(model.forward_head(maps)), None
        features = model.forward_head(maps, pre_logits=True).flatten(1)
        # The whole head, because some networks have two last layers and average their answers.
        return features, model.forward_head(maps).softmax(1) if has_head else None

    return FeatureSpace(registered_name(architecture, model), size, embed, key, device)


def pixels(side: int = 32) -> FeatureSpace:
    """Use the pixels themselves as features, in [0, 1], D = 3 side²; they know no content."""
    return FeatureSpace("pixels", side, lambda images: images.flatten(1) / 255, f"pixels {side}")


def resize(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resize an image uint8 (H, W, 3) to float32 (3, height, width) in [0, 255] with clean-fid.

    Raises:
        BrushworkError: clean-fid is not installed.
    """
    if image.shape[:2] == (height, width):  # clean-fid would return the same numbers
        return image.transpose(2, 0, 1).astype(np.float32)
    return _resizer(height, width)(image).transpose(2, 0, 1)


@cache
def _resizer(height: int, width: int) -> Callable[[np.ndarray], np.ndarray]:
    return _clean_fid("resize").make_resizer("PIL", False, "bicubic", (width, height))


def _clean_fid(module: str) -> Any:
    """Import a module of clean-fid, which is an optional dependency."""
    try:
        return import_module(f"cleanfid.{module}")
    except ModuleNotFoundError:
        raise BrushworkError(
            "the metrics resize images with clean-fid, which is not installed: "
            + install("brushwork[metrics]")
        ) from None


def thumbnails(images: object, side: int, aspect: Aspect = "1:1") -> np.ndarray:
    """Squash images in any form that `extract` takes to one size: uint8 (N, H, W, 3).

    Args:
        images: see `extract`.
        side: the shorter one of H and W.
        aspect: W to H.
    """
    size = height_and_width(side, aspect)
    loaded = [_load(item, lambda *_: size) for item in _single_images(images)]
    return np.stack(loaded).round().astype(np.uint8).transpose(0, 2, 3, 1)


def image_files(folder: str | Path) -> list[Path]:
    """List the image files in a folder and its subfolders, sorted by path.

    Hidden files and what macOS adds to archives are left out; see `picture_files`.

    Raises:
        BrushworkError: there is no such folder, no image file in it, or a subfolder is a link or
            cannot be read.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise BrushworkError(f"no folder {folder}; pass a folder of images")
    files, ignored = picture_files(folder)
    for reason in ("links to folders", "folders that cannot be read"):
        if reason in ignored:
            raise BrushworkError(f"{folder} contains {ignored[reason]} {reason}; remove them")
    if not files:
        raise BrushworkError(
            f"no images in {folder}; their suffixes must be among {', '.join(sorted(SUFFIXES))}"
        )
    return files


def _single_images(images: object) -> Iterator[object]:
    """Iterate over single images: each is a path, a PIL image or a uint8 array of three axes."""
    if not isinstance(images, Iterable):
        raise BrushworkError(f"images must be a folder, an array or an iterable, not {images!r}")
    for item in images:
        if isinstance(item, str | Path | Image.Image):
            yield item
            continue
        array = np.asarray(item.cpu() if isinstance(item, Tensor) else item)
        if array.dtype != np.uint8 or array.ndim not in (3, 4) or 0 in array.shape:
            raise BrushworkError(
                f"images must be uint8 (H, W, 3) or (3, H, W), not {array.dtype} {array.shape}; "
                "scale floats in [-1, 1] to [0, 255], round and convert them first"
            )
        yield from array if array.ndim == 4 else [array]


def read_image(image: str | Path | Image.Image) -> Image.Image:
    """Decode a picture at its full size as preparation does: RGB, upright, on white, in sRGB.

    Raises:
        BrushworkError: the picture cannot be read; the message names the file and the reason.
    """
    try:
        return to_rgb(Path(image) if isinstance(image, str) else image, limits=LIMITS)
    except Rejected as error:
        name = "a PIL image" if isinstance(image, Image.Image) else image
        raise BrushworkError(f"cannot read {name}: {error.reason}; remove it") from error


def _load(item: object, size_of: Callable[[int, int], tuple[int, int]]) -> np.ndarray:
    """Decode an image if it is a file or a PIL image, and resize it: float32 (3, H', W').

    Args:
        item: an image.
        size_of: maps its height and width to H' and W'.
    """
    array = np.asarray(read_image(item) if isinstance(item, str | Path | Image.Image) else item)
    if array.shape[2] != 3 and array.shape[0] == 3:
        array = array.transpose(1, 2, 0)
    if array.shape[2] != 3:
        raise BrushworkError(
            f"images must have 3 channels, (H, W, 3) or (3, H, W), not {array.shape}"
        )
    return resize(np.ascontiguousarray(array), *size_of(*array.shape[:2]))


def _ahead(
    pool: ThreadPoolExecutor,
    items: Iterator[object],
    size_of: Callable[[int, int], tuple[int, int]],
    depth: int,
) -> Iterator[np.ndarray]:
    """Load images in threads, in order, up to `depth` of them before they are needed."""
    waiting: deque[Future[np.ndarray]] = deque()
    for item in items:
        waiting.append(pool.submit(_load, item, size_of))
        if len(waiting) > depth:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _on_cpu(out: Tensor | tuple[Tensor, Tensor | None]) -> Features:
    features, probabilities = (out, None) if isinstance(out, Tensor) else out
    return Features(
        features.float().cpu(), None if probabilities is None else probabilities.float().cpu()
    )


def _batches(images: Iterable[np.ndarray], size: int) -> Iterator[Tensor]:
    """Stack consecutive images of one shape, at most `size` of them."""
    batch: list[np.ndarray] = []
    for image in images:
        if batch and image.shape != batch[0].shape:
            yield _stack(batch)
            batch = []
        batch.append(image)
        if len(batch) == size:
            yield _stack(batch)
            batch = []
    if batch:
        yield _stack(batch)


def _stack(images: list[np.ndarray]) -> Tensor:
    """Copy images into a contiguous batch (N, 3, H, W); `np.stack` would store channels last."""
    batch = np.empty((len(images), *images[0].shape), np.float32)
    for i, image in enumerate(images):
        batch[i] = image
    return torch.from_numpy(batch)


def _download_inception(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with exclusive(path):  # of several processes the first downloads
        if path.is_file():
            return
        try:
            torch.hub.download_url_to_file(
                INCEPTION_URL, str(path), hash_prefix=INCEPTION_SHA256, progress=True
            )
        except (OSError, RuntimeError) as error:  # RuntimeError: another hash
            raise BrushworkError(
                f"cannot download {INCEPTION_URL} ({error}); download it to {path} yourself"
            ) from error


def _hub_weights(architecture: str, fetch: bool, file_spec: str) -> str:
    """Return "hub", if the weights are in the Hub's cache or may be downloaded."""
    from huggingface_hub import try_to_load_from_cache

    config = timm.get_pretrained_cfg(architecture)
    assert config and config.hf_hub_id
    repository = config.hf_hub_id
    files = ("model.safetensors", "pytorch_model.bin")
    cached = any(isinstance(try_to_load_from_cache(repository, file), str) for file in files)
    if not (fetch or cached):
        raise BrushworkError(
            f"the weights of {repository} are not in the Hub's cache; set `fetch` to download them "
            f"(1.2 GB), or pass {file_spec}"
        )
    return HUB


def digest_of(parts: Iterable[bytes]) -> str:
    """Hash bytes to 32 hexadecimal digits."""
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        digest.update(part)
    return digest.hexdigest()
