"""Images to features (N, D) and class probabilities (N, K): the spaces in which metrics measure.

A `FeatureSpace` is a name, a side and a plain function of a batch; `inception`, `timm_space`,
`artist_space` and `pixels` make one, and any callable makes another:
`FeatureSpace("mine", 224, embed)`. Images of every size come to the space's side by clean-fid's
resizing (Parmar et al. 2022): PIL's antialiased bicubic, each channel in float32, never rounded.
"""

import hashlib
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sized
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from brushwork.backbones.create import create_backbone
from brushwork.backbones.folding import fold_batch_norms
from brushwork.backbones.weights import load_backbone
from brushwork.data.decode import Rejected, eight_bit
from brushwork.errors import BrushworkError
from brushwork.files import atomic_write, cache_folder, exclusive
from brushwork.machine import num_cores

SUFFIXES = frozenset([".bmp", ".jpg", ".jpeg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"])


INCEPTION_FILE = "inception-2015-12-05.pt"


INCEPTION_URL = (
    "https://nvlabs-fi-cdn.nvidia.com/stylegan2-ada-pytorch/pretrained/metrics/" + INCEPTION_FILE
)


Embed = Callable[[Tensor], Tensor | tuple[Tensor, Tensor | None]]


class Features(NamedTuple):
    """`features` (N, D) float32; `probabilities` (N, K), or None where a space has no classes."""

    features: Tensor
    probabilities: Tensor | None = None


@dataclass(frozen=True)
class FeatureSpace:
    """Where images are compared; its `name` ends the key of every metric measured there.

    `embed` maps (N, 3, side, side) float32 in [0, 255], on `device`, to features (N, D), or to
    features and probabilities (N, K). `key` tells its weights from others: features are cached
    under it, and never where it is empty. `labels` names the K classes, where they have names.
    """

    name: str
    side: int
    embed: Embed
    key: str = ""
    device: str | torch.device = "cpu"
    labels: tuple[str, ...] = ()


def extract(
    images: object,
    space: FeatureSpace,
    *,
    batch_size: int | None = None,
    workers: int | None = None,
    progress: bool = False,
    total: int | None = None,
) -> Features:
    """Features and probabilities of every image, in order.

    Args:
        images: a folder of image files, read with all below it in the order of their paths; an
            array or tensor, uint8 (N, S, S, 3) or (N, 3, S, S); or an iterable of paths, PIL
            images, such arrays, or single images.
        space: where to.
        batch_size: images in one call of `space.embed`; by default 8 on a CPU, whose caches hold
            few more, and 64 elsewhere.
        workers: threads that decode and resize ahead of the network; one a core by default.
        progress: draw a bar on stderr.
        total: its length, for an iterable that does not know its own.
    """
    if isinstance(space.embed, nn.Module) and space.embed.training:
        raise BrushworkError(
            f"the network of space {space.name!r} is in training mode; call .eval()"
        )
    if isinstance(images, str | Path):
        images = image_files(images)
    batch_size = batch_size or (8 if torch.device(space.device).type == "cpu" else 64)
    parts: list[Features] = []
    with ThreadPoolExecutor(workers or num_cores()) as pool:
        resized = _ahead(pool, _single_images(images), space.side, 2 * batch_size)
        if progress:
            from tqdm import tqdm

            if total is None and isinstance(images, Sized):
                total = len(images)
            resized = tqdm(resized, desc=space.name, total=total, unit="img")
        with torch.inference_mode():
            for batch in _batches(resized, batch_size):
                parts.append(_on_cpu(space.embed(batch.to(space.device))))
    if not parts:
        raise BrushworkError("no images to measure; pass at least one")
    # Copied out of inference mode, so that anything may be done with them.
    features = torch.cat([part.features for part in parts])
    if features.ndim != 2:
        raise BrushworkError(
            f"space {space.name!r} gave features of shape {tuple(features.shape)}; "
            "it must give one row (D,) an image"
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
    """`extract`, once per content and weights: kept as safetensors in `cache`/features.

    `fingerprint` names the content of the images; it is computed from a folder or an array where
    it is not given. `cache` is `cache_folder()` by default.
    """
    options: dict[str, Any] = {"batch_size": batch_size, "workers": workers}
    options |= {"progress": progress, "total": total}
    if not space.key:
        return extract(images, space, **options)
    content = fingerprint or content_fingerprint(images)
    digest = digest_of([f"{space.name}\n{space.side}\n{space.key}\n{content}".encode()])
    path = Path(cache or cache_folder()) / "features" / f"{space.name}-{digest}.safetensors"
    try:
        kept = load_file(path)
        return Features(kept["features"], kept.get("probabilities"))
    except (FileNotFoundError, SafetensorError, KeyError):
        pass  # absent, or damaged: computed again
    result = extract(images, space, **options)
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {k: v.contiguous() for k, v in result._asdict().items() if v is not None}
    with exclusive(path.parent), atomic_write(path) as partial:
        save_file(tensors, partial)
    return result


def content_fingerprint(images: object) -> str:
    """Hash of the bytes of an array, or of the files of a folder or list of paths."""
    if isinstance(images, str | Path):
        images = image_files(images)
    if isinstance(images, Tensor):
        images = images.cpu().numpy()
    if isinstance(images, np.ndarray):
        return digest_of([str(images.shape).encode(), *(image.tobytes() for image in images)])
    if isinstance(images, list | tuple) and all(isinstance(i, str | Path) for i in images):
        return digest_of(Path(path).read_bytes() for path in images)
    raise BrushworkError(
        f"cannot tell the content of a {type(images).__name__}; pass fingerprint= with the images"
    )


def inception(
    weights: str | Path | None = None, *, fetch: bool = False, device: str | torch.device = "cpu"
) -> FeatureSpace:
    """The Inception-v3 of FID, IS and KID, as clean-fid and StyleGAN use it: D = 2048, K = 1008.

    Args:
        weights: NVIDIA's TorchScript file inception-2015-12-05.pt, or the folder that holds it; by
            default `cache_folder()`.
        fetch: download the file to there when it is absent (91 MB).
        device: where to run it.
    """
    path = Path(weights or cache_folder())
    if path.suffix != ".pt":
        path = path / INCEPTION_FILE
    if not path.is_file():
        if not fetch:
            raise BrushworkError(
                f"no Inception weights at {path}; ask for them to be fetched, or put the file "
                f"{INCEPTION_URL} there"
            )
        _download(INCEPTION_URL, path)
    with warnings.catch_warnings(action="ignore"):  # TorchScript is deprecated; the file is that
        model = torch.jit.load(path, map_location=device).eval()

    def embed(images: Tensor) -> tuple[Tensor, Tensor]:
        features = model.layers((images - 128) / 128).reshape(len(images), -1)
        # Without the bias of the last layer, as in the inception score's own code.
        return features, (features @ model.output.weight.T).softmax(1)

    return FeatureSpace("inception", 299, embed, digest_of([path.read_bytes()]), device)


def timm_space(
    architecture: str,
    weights: str | Path,
    *,
    num_classes: int = 1000,
    side: int | None = None,
    device: str | torch.device = "cpu",
) -> FeatureSpace:
    """The last hidden layer and the classes of a timm backbone, named after its architecture.

    Args:
        architecture: such as "resnet34" (the report's) or "tf_efficientnet_lite0".
        weights: a local file, or a package: see `brushwork.backbones.weights.load_backbone`.
        num_classes: of the file; with another number there are no probabilities.
        side: of the input, the architecture's own by default. Whole images are squashed to it.
        device: where to run it.
    """
    model: Any = create_backbone(architecture, num_classes)
    has_head = load_backbone(model, weights)
    key = digest_of(t.numpy().tobytes() for t in model.state_dict().values())
    model = model.eval().requires_grad_(False).to(device)
    config = model.pretrained_cfg
    size: int = side or config["input_size"][-1]
    # Without batch norms and in this layout, networks are up to twice as fast on CPUs.
    example = torch.randn(1, 3, size, size, generator=torch.Generator().manual_seed(0))
    model = fold_batch_norms(model, example.to(device)).to(memory_format=torch.channels_last)
    mean, std = (
        255 * torch.tensor(config[name], device=device)[:, None, None] for name in ("mean", "std")
    )

    def embed(images: Tensor) -> tuple[Tensor, Tensor | None]:
        x = ((images - mean) / std).contiguous(memory_format=torch.channels_last)
        features = model.forward_head(model.forward_features(x), pre_logits=True)
        return features, model.get_classifier()(features).softmax(1) if has_head else None

    return FeatureSpace(architecture, size, embed, key, device)


def pixels(side: int = 32) -> FeatureSpace:
    """The pixels themselves in [0, 1], D = 3 side²: blind to what is painted."""
    return FeatureSpace("pixels", side, lambda images: images.flatten(1) / 255, f"pixels {side}")


def resize(image: np.ndarray, side: int) -> np.ndarray:
    """One uint8 image (H, W, 3) to float32 (3, side, side) in [0, 255], bit-equal to clean-fid."""
    if image.shape[:2] == (side, side):
        return image.transpose(2, 0, 1).astype(np.float32)
    channels = [
        np.asarray(channel.convert("F").resize((side, side), Image.Resampling.BICUBIC))
        for channel in Image.fromarray(image).split()
    ]
    return np.stack(channels).clip(0, 255)


def thumbnails(images: object, side: int) -> np.ndarray:
    """Anything that `extract` takes, squashed to squares: uint8 (N, side, side, 3)."""
    loaded = [_load(item, side) for item in _single_images(images)]
    return np.stack(loaded).round().astype(np.uint8).transpose(0, 2, 3, 1)


def image_files(folder: str | Path) -> list[Path]:
    """All image files in a folder and below, sorted by path."""
    folder = Path(folder)
    if not folder.is_dir():
        raise BrushworkError(f"no folder {folder}; pass a folder of images")
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not files:
        raise BrushworkError(f"no images in {folder} ({', '.join(sorted(SUFFIXES))})")
    return files


def _single_images(images: object) -> Iterator[object]:
    """Each image of `images`: a path, a PIL image or a uint8 array of three axes."""
    if not isinstance(images, Iterable):
        raise BrushworkError(f"images are a folder, an array or an iterable, not {images!r}")
    for item in images:
        if isinstance(item, str | Path | Image.Image):
            yield item
            continue
        array = np.asarray(item.cpu() if isinstance(item, Tensor) else item)
        if array.dtype != np.uint8 or array.ndim not in (3, 4) or 0 in array.shape:
            raise BrushworkError(
                f"images are uint8, (H, W, 3) or (3, H, W) each, not {array.dtype} {array.shape}; "
                "multiply and round first if they are in [-1, 1]"
            )
        yield from array if array.ndim == 4 else [array]


def _load(item: object, side: int) -> np.ndarray:
    """Decode one image if need be, and resize it: float32 (3, side, side)."""
    if isinstance(item, str | Path):
        try:
            with Image.open(item) as file:
                item = eight_bit(file).convert("RGB")  # Pillow alone makes 16-bit grey white
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, Rejected) as error:
            raise BrushworkError(f"cannot read {item} as an image ({error}); remove it") from error
    if isinstance(item, Image.Image):
        return resize(np.asarray(item.convert("RGB")), side)
    array = np.asarray(item)
    if array.shape[2] != 3 and array.shape[0] == 3:
        array = array.transpose(1, 2, 0)
    if array.shape[2] != 3:
        raise BrushworkError(f"images have 3 channels, (H, W, 3) or (3, H, W), not {array.shape}")
    return resize(np.ascontiguousarray(array), side)


def _ahead(
    pool: ThreadPoolExecutor, items: Iterator[object], side: int, depth: int
) -> Iterator[np.ndarray]:
    """Loaded images in order, up to `depth` of them ahead of the reader."""
    waiting: deque[Future[np.ndarray]] = deque()
    for item in items:
        waiting.append(pool.submit(_load, item, side))
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
    batch: list[np.ndarray] = []
    for image in images:
        batch.append(image)
        if len(batch) == size:
            yield torch.from_numpy(np.stack(batch))
            batch = []
    if batch:
        yield torch.from_numpy(np.stack(batch))


def _download(url: str, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        torch.hub.download_url_to_file(url, str(path), progress=False)  # atomic
    except OSError as error:
        raise BrushworkError(
            f"cannot fetch {url} ({error}); download it to {path} by hand"
        ) from error


def digest_of(parts: Iterable[bytes]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        digest.update(part)
    return digest.hexdigest()
