"""Pictures of pictures: grids, animations and curves."""

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from brushwork.errors import BrushworkError

# Black through red to pale yellow, even in lightness.
HEAT = np.array(
    [[0, 0, 10], [87, 16, 110], [188, 55, 84], [249, 142, 9], [252, 255, 164]], np.float32
)


# Title of a panel, and the metrics of `brushwork.metrics.evaluate` that it shows.
METRIC_PANELS = {
    "inception score": ["is"],
    "mode score": ["mode_score"],
    "Fréchet distance (FID)": ["fid"],
    "KID": ["kid"],
    "1-NN accuracy, at best one half": ["one_nn"],
    "precision and recall": ["precision", "recall"],
    "density and coverage": ["density", "coverage"],
    "authenticity: copies lower it": ["authenticity"],
    "agreement with what was meant": ["agreement", "intended", "cas"],
}


def grid(images: NDArray[np.uint8], columns: int | None = None, gap: int = 2) -> Image.Image:
    """Lay images out in rows on white.

    Args:
        images: (N, S, S, 3) uint8.
        columns: per row; about as many as rows by default.
        gap: white pixels between images and around them.
    """
    num, height, width, _ = images.shape
    columns = columns or math.ceil(math.sqrt(num))
    rows = math.ceil(num / columns)
    sheet = np.full((rows * (height + gap) + gap, columns * (width + gap) + gap, 3), 255, np.uint8)
    for i, image in enumerate(images):
        row, column = divmod(i, columns)
        top, left = gap + row * (height + gap), gap + column * (width + gap)
        sheet[top : top + height, left : left + width] = image
    return Image.fromarray(sheet)


def save_animation(frames: Iterable[Image.Image], file: str | Path, fps: int = 24) -> None:
    """Write frames as a looping GIF or an MP4 (H.264), by the file's suffix.

    Raises:
        BrushworkError: another suffix, or no `av` package for an MP4.
    """
    file = Path(file)
    match file.suffix.lower():
        case ".gif":
            first, *rest = frames
            milliseconds = max(20, round(1000 / fps))  # browsers slow down anything faster
            first.save(file, save_all=True, append_images=rest, duration=milliseconds, loop=0)
        case ".mp4":
            _save_mp4(frames, file, fps)
        case other:
            raise BrushworkError(
                f"cannot write {other or 'no suffix'} animations; use .gif or .mp4"
            )


def _save_mp4(frames: Iterable[Image.Image], file: Path, fps: int) -> None:
    try:
        import av
    except ImportError as error:
        raise BrushworkError("MP4 needs `pip install brushwork[video]`; or write a .gif") from error
    with av.open(str(file), "w") as container:
        stream = None
        for frame in frames:
            if stream is None:
                stream = container.add_stream("libx264", rate=fps, options={"crf": "18"})
                stream.width, stream.height = frame.width // 2 * 2, frame.height // 2 * 2
                stream.pix_fmt = "yuv420p"
            container.mux(stream.encode(av.VideoFrame.from_image(frame)))
        if stream is not None:
            container.mux(stream.encode())


def curves(
    records: Sequence[Mapping[str, Any]],
    panels: Mapping[str, Sequence[str]],
    file: str | Path,
    x: str = "step",
) -> None:
    """Draw the numbers of a run into a PNG, four panels side by side at most.

    Args:
        records: the lines of `metrics.jsonl`.
        panels: title of each panel, and the keys drawn in it; records without a key are left out.
        file: where to write.
        x: the key along the horizontal axis.
    """
    from matplotlib.figure import Figure

    columns = min(4, len(panels))
    rows = math.ceil(len(panels) / columns)
    figure = Figure(figsize=(4.5 * columns, 3.2 * rows), layout="constrained")
    for number, (title, keys) in enumerate(panels.items(), 1):
        axis = figure.add_subplot(rows, columns, number)
        for key in keys:
            points = [(r[x], r[key]) for r in records if key in r]
            if points:
                dots = "." if len(points) < 20 else None
                axis.plot(*zip(*points, strict=True), label=key, linewidth=1.2, marker=dots)
        axis.set_title(title, fontsize=10)
        axis.set_xlabel(x)
        axis.grid(alpha=0.3)
        if axis.lines:
            axis.legend(fontsize=8)
    figure.savefig(file, dpi=120)


def gan_curves(records: Sequence[Mapping[str, Any]], file: str | Path) -> None:
    """Losses, and what D believes of real paintings and of fakes, over the steps of a GAN's run."""
    panels = {"loss": ["loss_D", "loss_G"], "D's belief that it is real": ["D(x)", "D(G(z))"]}
    curves(records, panels, file)


def metric_curves(
    records: Sequence[Mapping[str, Any]], spaces: Sequence[str], file: str | Path, x: str = "step"
) -> None:
    """Draw metrics of a GAN on its way into a PNG, as the report's figure 6 and further ones.

    Args:
        records: numbers of `brushwork.metrics.evaluate`, the first with all keys, and `x`.
        spaces: names of the feature spaces; each is a line.
        file: where to write.
        x: the key along the horizontal axis.
    """
    panels = {
        title: [key for m in metrics for space in spaces if (key := f"{m}_{space}") in records[0]]
        for title, metrics in METRIC_PANELS.items()
    }
    curves(records, {title: keys for title, keys in panels.items() if keys}, file, x)


def compared_curves(
    runs: Mapping[str, Sequence[Mapping[str, Any]]], space: str, file: str | Path, x: str = "epoch"
) -> None:
    """Draw the metrics of several GANs on their way into one PNG, a line for each.

    Args:
        runs: by name, what `metric_curves` takes.
        space: name of the feature space.
        file: where to write.
        x: the key along the horizontal axis.
    """
    known = {key for records in runs.values() for record in records for key in record}
    panels = {
        title: [f"{name}: {m}" for name in runs for m in metrics if f"{m}_{space}" in known]
        for title, metrics in METRIC_PANELS.items()
    }
    renamed = [
        {x: record[x]} | {f"{name}: {key.removesuffix(f'_{space}')}": record[key] for key in record}
        for name, records in runs.items()
        for record in records
    ]
    curves(renamed, {title: keys for title, keys in panels.items() if keys}, file, x)


def classifier_curves(records: Sequence[Mapping[str, Any]], file: str | Path) -> None:
    """Loss, and accuracy on the paintings kept aside, over the epochs of a classifier's run."""
    panels = {"loss in training": ["loss"], "accuracy on paintings kept aside": ["val_top1"]}
    curves([record for record in records if "epoch" in record], panels, file, x="epoch")


def real_beside_fake(
    real: NDArray[np.uint8], fake: NDArray[np.uint8], columns: int = 8
) -> Image.Image:
    """Real paintings in a grid on the left, fakes in one on the right, as many of both.

    Args:
        real: (N, S, S, 3).
        fake: (M, S, S, 3).
        columns: of each grid.
    """
    num = min(len(real), len(fake))
    left, right = (grid(images[:num], min(columns, num)) for images in (real, fake))
    return _side_by_side(left, right)


def neighbours(fake: NDArray[np.uint8], nearest: NDArray[np.uint8]) -> Image.Image:
    """A row for each fake: itself, then after a gap its nearest training paintings.

    Args:
        fake: (M, S, S, 3).
        nearest: (M, K, S, S, 3), nearest first.
    """
    left = grid(fake, 1)
    right = grid(nearest.reshape(-1, *fake.shape[1:]), nearest.shape[1])
    return _side_by_side(left, right)


def _side_by_side(left: Image.Image, right: Image.Image) -> Image.Image:
    gap = 16
    sheet = Image.new("RGB", (left.width + gap + right.width, left.height), "white")
    sheet.paste(left, (0, 0))
    sheet.paste(right, (left.width + gap, 0))
    return sheet


def confusion(
    matrix: NDArray[np.integer],
    names: list[str] | tuple[str, ...],
    file: str | Path,
    most: int = 60,
) -> None:
    """Draw a confusion matrix (K, K), each row as shares of its artist's paintings, into a PNG.

    Of more than `most` artists, those with the most paintings are drawn.
    """
    from matplotlib.figure import Figure

    chosen = np.sort(np.argsort(-matrix.sum(1), kind="stable")[:most])
    shares = matrix[chosen] / np.maximum(matrix[chosen].sum(1, keepdims=True), 1)
    shares = shares[:, chosen]
    labels: list[str] = [names[int(i)] for i in chosen]
    side = 2.5 + 0.24 * len(labels)
    figure = Figure(figsize=(side + 1, side), layout="constrained")
    axis = figure.subplots()
    image = axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axis.set_xticks(range(len(labels)), labels, rotation=90, fontsize=8)
    axis.set_yticks(range(len(labels)), labels, fontsize=8)
    axis.set_xlabel("taken for")
    axis.set_ylabel("painted by")
    if len(labels) <= 30:
        for (i, j), share in np.ndenumerate(shares):
            if share >= 0.005:
                colour = "white" if share > 0.5 else "black"
                axis.text(j, i, f"{share:.0%}"[:-1], ha="center", va="center", color=colour, size=6)
    figure.colorbar(image, label="share of the artist's paintings", shrink=0.7)
    figure.savefig(file, dpi=120)


def reliability(bins: Mapping[str, Any], file: str | Path) -> None:
    """Draw reliability diagrams side by side into a PNG.

    Args:
        bins: `brushwork.metrics.classification.Reliability` by title.
        file: where to write.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4 * len(bins), 4), layout="constrained")
    axes = figure.subplots(1, len(bins), squeeze=False)[0]
    for axis, (title, of) in zip(axes, bins.items(), strict=True):
        some = of.count > 0
        axis.plot([0, 1], [0, 1], color="grey", linewidth=0.8)
        axis.bar(
            (np.arange(len(of.count)) + 0.5)[some] / len(of.count),
            of.accuracy[some],
            width=0.9 / len(of.count),
            alpha=0.5,
            label="named rightly",
        )
        size = 100 * of.count[some] / of.count.max()
        axis.scatter(of.confidence[some], of.accuracy[some], size, color="C1", label="paintings")
        gap = (np.abs(of.confidence - of.accuracy) * of.count).sum() / of.count.sum()
        axis.set(xlim=(0, 1), ylim=(0, 1), xlabel="confidence", title=f"{title}: error {gap:.3f}")
        axis.legend(fontsize=8, loc="upper left")
    figure.savefig(file, dpi=120)


def captioned(
    images: NDArray[np.uint8], captions: Sequence[str], file: str | Path, columns: int = 6
) -> None:
    """Draw images (N, S, S, 3) in rows, a caption under each, into a PNG."""
    from matplotlib.figure import Figure

    rows = math.ceil(len(images) / columns)
    figure = Figure(figsize=(2.2 * columns, 2.6 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).flat
    for axis, image, caption in zip(axes, images, captions, strict=False):
        axis.imshow(image)
        axis.set_title(caption, fontsize=7)
    for axis in figure.axes:
        axis.axis("off")
    figure.savefig(file, dpi=120)


def overlay(picture: Image.Image, heat: NDArray[np.floating]) -> Image.Image:
    """A picture in grey under the colours of a heat map (H, W) in [0, 1], stronger where hotter."""
    mask = Image.fromarray((heat.clip(0, 1) * 255).astype(np.uint8)).resize(picture.size)
    level = np.asarray(mask, np.float32) / 255
    grey = np.asarray(picture.convert("L"), np.float32)[..., None]
    at = level * (len(HEAT) - 1)
    colours = np.stack(
        [np.interp(at, np.arange(len(HEAT)), HEAT[:, channel]) for channel in range(3)], axis=-1
    )
    share = 0.25 + 0.5 * level[..., None]
    return Image.fromarray((grey * (1 - share) + colours * share).clip(0, 255).astype(np.uint8))
