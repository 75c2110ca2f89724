"""Figures: grids of images, animations, curves, confusion and reliability diagrams."""

import math
import unicodedata
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from brushwork.errors import BrushworkError, install

# Black, purple, red, orange and pale yellow, in equal steps of lightness.
HEAT = np.array(
    [[0, 0, 10], [87, 16, 110], [188, 55, 84], [249, 142, 9], [252, 255, 164]], np.float32
)

# The metrics of `brushwork.metrics.evaluate` that each panel shows, by its title.
METRIC_PANELS = {
    "inception score": ["is"],
    "mode score": ["mode_score"],
    "Fréchet distance (FID)": ["fid"],
    "KID": ["kid"],
    "1-NN accuracy (0.5 is best)": ["one_nn"],
    "precision and recall": ["precision", "recall"],
    "density and coverage": ["density", "coverage"],
    "authenticity (copies lower it)": ["authenticity"],
    "fakes of the intended class": ["agreement", "intended", "cas"],
}

# Longest name in a figure; longer ones are cut.
MAX_NAME = 40

# Number of installed fonts in which a missing character is looked up.
MAX_FONTS = 200

Point = tuple[float, float]

# Where a measurement stands on the horizontal axis, and its values.
Measured = tuple[float, Mapping[str, float]]


def grid(images: NDArray[np.uint8], columns: int | None = None, gap: int = 2) -> Image.Image:
    """Lay images out in rows on white.

    Args:
        images: (N, H, W, 3) uint8.
        columns: images per row; by default the grid is about square.
        gap: width of the white lines between images and around them, in pixels.
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
    """Write frames as a GIF that loops or as an MP4 (H.264).

    Args:
        frames: images of equal size.
        file: its suffix, .gif or .mp4, decides the format.
        fps: frames per second.

    Raises:
        BrushworkError: the suffix is another one, or the package `av` is missing for an MP4.
    """
    file = Path(file)
    match file.suffix.lower():
        case ".gif":
            first, *rest = frames
            milliseconds = max(20, round(1000 / fps))  # browsers slow down faster GIFs
            first.save(file, save_all=True, append_images=rest, duration=milliseconds, loop=0)
        case ".mp4":
            _save_mp4(frames, file, fps)
        case other:
            raise BrushworkError(
                f"cannot write an animation with {f'suffix {other}' if other else 'no suffix'}; "
                "use .gif or .mp4"
            )


def _save_mp4(frames: Iterable[Image.Image], file: Path, fps: int) -> None:
    try:
        import av
    except ImportError as error:
        raise BrushworkError(
            f"an MP4 needs the package av: {install('brushwork[video]')}; or write a .gif"
        ) from error
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


@contextmanager
def _plain_text(names: Iterable[str]) -> Iterator[None]:
    """Let matplotlib draw any name inside a block.

    Dollar signs are drawn as they are. Characters that the usual font lacks are drawn in the first
    installed font that has them, or as a box if there is none.

    Args:
        names: all names in the figure.
    """
    import matplotlib

    settings: Any = {"text.parse_math": False, "font.family": _font_families("".join(names))}
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Glyph \d+ .* missing from")
        yield


def _font_families(text: str) -> list[str]:
    """Choose installed fonts that together have all characters, the usual font first."""
    from matplotlib.font_manager import FontProperties, findfont, fontManager, get_font

    usual = FontProperties()
    families = list(usual.get_family())
    missing = {ord(c) for c in text if c.isprintable()} - get_font(
        findfont(usual)
    ).get_charmap().keys()
    # Those with many languages come first; a font without a style is in many files.
    upright = {f.name: f.fname for f in fontManager.ttflist if f.style == "normal"}
    order = sorted(upright, key=lambda name: ("CJK" not in name, "Noto" not in name, name))
    for name in order[:MAX_FONTS]:
        if not missing:
            break
        found = missing & get_font(upright[name]).get_charmap().keys()
        if found:
            families.append(name)
            missing -= found
    return families


def _shown(name: str) -> str:
    r"""Make a name fit for a figure: replace control characters, and cut a long name.

    >>> _shown("Claude\tMonet"), len(_shown("x" * 99))
    ('Claude Monet', 40)
    """
    plain = "".join(" " if unicodedata.category(c) in ("Cc", "Cs") else c for c in name)
    return plain if len(plain) <= MAX_NAME else plain[: MAX_NAME - 1] + "…"


def curves(
    panels: Mapping[str, Mapping[str, Sequence[Point]]], file: str | Path, x: str = "step"
) -> None:
    """Draw curves into a PNG, up to four panels side by side.

    Args:
        panels: for each panel, by title, the points (x, y) of each curve, by label. Curves without
            points are left out.
        file: where to write.
        x: label of the horizontal axis.
    """
    from matplotlib.figure import Figure

    columns = max(1, min(4, len(panels)))
    rows = max(1, math.ceil(len(panels) / columns))
    labels = [label for lines in panels.values() for label in lines]
    with _plain_text([*panels, *labels]):
        figure = Figure(figsize=(4.5 * columns, 3.2 * rows), layout="constrained")
        for number, (title, lines) in enumerate(panels.items(), 1):
            axis = figure.add_subplot(rows, columns, number)
            for label, points in lines.items():
                if points:
                    marker = "." if len(points) < 20 else None
                    axis.plot(*zip(*points, strict=True), label=label, linewidth=1.2, marker=marker)
            axis.set_title(_shown(title), fontsize=10)
            axis.set_xlabel(x)
            axis.grid(alpha=0.3)
            if axis.lines:
                # matplotlib leaves labels that begin with "_" out, unless they are set afterwards.
                legend = axis.legend(axis.lines, [" "] * len(axis.lines), fontsize=8)
                for text, line in zip(legend.get_texts(), axis.lines, strict=True):
                    text.set_text(_shown(str(line.get_label())))
        figure.savefig(file, dpi=120)


def gan_curves(records: Sequence[Mapping[str, Any]], file: str | Path) -> None:
    """Draw a GAN's losses, and the discriminator's mean output for paintings and for fakes.

    Args:
        records: the lines of a run's `metrics.jsonl`.
        file: where to write the PNG.
    """
    panels = {
        "loss": ["loss_D", "loss_G"],
        "discriminator's probability of a real painting": ["D(x)", "D(G(z))"],
    }
    curves(_panels(panels, {"": [(record["step"], record) for record in records]}), file)


def classifier_curves(records: Sequence[Mapping[str, Any]], file: str | Path) -> None:
    """Draw a classifier's loss and its accuracy on validation paintings over the epochs.

    Args:
        records: the lines of a run's `metrics.jsonl`; those without an epoch are left out.
        file: where to write the PNG.
    """
    panels = {"training loss": ["loss"], "accuracy on validation paintings": ["val_top1"]}
    measured = [(record["epoch"], record) for record in records if "epoch" in record]
    curves(_panels(panels, {"": measured}), file, x="epoch")


def metric_curves(records: Sequence[Mapping[str, Any]], file: str | Path, x: str = "step") -> None:
    """Draw a GAN's metrics during training, as figure 6 of the report of 2019 and more.

    Args:
        records: for each measurement `x` and `metrics`, which holds the metrics of each feature
            space; see `brushwork.metrics.evaluate`. Records without `metrics` are left out.
        file: where to write the PNG.
        x: the key along the horizontal axis.
    """
    spaces = list(dict.fromkeys(s for record in records for s in record.get("metrics", {})))
    series = {space if len(spaces) > 1 else "": _measured(records, space, x) for space in spaces}
    curves(_panels(METRIC_PANELS, series), file, x)


def compared_curves(
    runs: Mapping[str, Sequence[Mapping[str, Any]]], space: str, file: str | Path, x: str = "epoch"
) -> None:
    """Draw the metrics of several GANs during training, in one feature space.

    Args:
        runs: the records of each GAN, by its name; see `metric_curves`.
        space: name of the feature space.
        file: where to write the PNG.
        x: the key along the horizontal axis.
    """
    series = {name: _measured(records, space, x) for name, records in runs.items()}
    curves(_panels(METRIC_PANELS, series), file, x)


def _measured(records: Sequence[Mapping[str, Any]], space: str, x: str) -> list[Measured]:
    return [
        (record[x], record["metrics"][space])
        for record in records
        if space in record.get("metrics", {})
    ]


def _panels(
    panels: Mapping[str, Sequence[str]], series: Mapping[str, Sequence[Measured]]
) -> dict[str, dict[str, list[Point]]]:
    """Make the curves of each panel; panels without any curve are left out.

    Args:
        panels: the keys of each panel, by its title.
        series: measurements by name, which the labels of curves begin with if it is not empty.
    """
    drawn = {}
    for title, keys in panels.items():
        lines = {
            f"{name}: {key}" if name else key: points
            for name, measured in series.items()
            for key in keys
            if (points := [(x, values[key]) for x, values in measured if key in values])
        }
        if lines:
            drawn[title] = lines
    return drawn


def real_beside_fake(
    real: NDArray[np.uint8], fake: NDArray[np.uint8], columns: int = 8
) -> Image.Image:
    """Lay out real paintings in a grid on the left, and equally many fakes in one on the right.

    Args:
        real: (N, H, W, 3) uint8.
        fake: (M, H, W, 3) uint8.
        columns: images per row of each grid.
    """
    num = min(len(real), len(fake))
    left, right = (grid(images[:num], min(columns, num)) for images in (real, fake))
    return _side_by_side(left, right)


def framed(images: NDArray[np.uint8], top: int, left: int, side: int) -> Image.Image:
    """Draw pictures in a grid, with a white frame around the same square of each.

    Args:
        images: uint8 (N, H, W, 3).
        top: first row of the square, in pixels.
        left: first column.
        side: side of the square.
    """
    drawn = []
    for image in images:
        picture = Image.fromarray(image)
        square = (left, top, left + side - 1, top + side - 1)
        ImageDraw.Draw(picture).rectangle(square, outline="white")
        drawn.append(np.asarray(picture))
    return grid(np.stack(drawn))


def neighbours(fake: NDArray[np.uint8], nearest: NDArray[np.uint8]) -> Image.Image:
    """Lay out a row for each fake: the fake, then after a gap its nearest paintings.

    Args:
        fake: (M, H, W, 3) uint8.
        nearest: (M, K, H, W, 3) uint8, nearest first.
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
    """Draw a confusion matrix into a PNG, each row as shares of its artist's paintings.

    Args:
        matrix: counts of paintings by artist (rows) and predicted artist (columns), (K, K).
        names: names of the K artists.
        file: where to write.
        most: number of artists that are drawn; those with the most paintings are chosen.
    """
    from matplotlib.figure import Figure

    chosen = np.sort(np.argsort(-matrix.sum(1), kind="stable")[:most])
    shares = matrix[chosen] / np.maximum(matrix[chosen].sum(1, keepdims=True), 1)
    shares = shares[:, chosen]
    labels = [_shown(names[int(i)]) for i in chosen]
    # Long names need more room beside the matrix.
    margin = 2.5 + 0.06 * max(0, max(map(len, labels), default=0) - 20)
    side = margin + 0.24 * len(labels)
    with _plain_text(labels):
        figure = Figure(figsize=(side + 1, side), layout="constrained")
        axis = figure.subplots()
        image = axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        axis.set_xticks(range(len(labels)), labels, rotation=90, fontsize=8)
        axis.set_yticks(range(len(labels)), labels, fontsize=8)
        axis.set_xlabel("predicted artist")
        axis.set_ylabel("artist")
        if len(labels) <= 30:
            for (i, j), share in np.ndenumerate(shares):
                if share >= 0.005:
                    colour, percent = "white" if share > 0.5 else "black", f"{share:.0%}"[:-1]
                    axis.text(j, i, percent, ha="center", va="center", color=colour, size=6)
        figure.colorbar(image, label="share of the artist's paintings", shrink=0.7)
        figure.savefig(file, dpi=120)


def reliability(bins: Mapping[str, Any], file: str | Path) -> None:
    """Draw reliability diagrams side by side into a PNG.

    Args:
        bins: for each diagram, by title, a `brushwork.metrics.classification.Reliability`.
        file: where to write.
    """
    from matplotlib.figure import Figure

    with _plain_text(bins):
        figure = Figure(figsize=(4 * len(bins), 4), layout="constrained")
        axes = figure.subplots(1, len(bins), squeeze=False)[0]
        for axis, (title, diagram) in zip(axes, bins.items(), strict=True):
            filled = diagram.count > 0
            axis.plot([0, 1], [0, 1], color="grey", linewidth=0.8)
            axis.bar(
                (np.arange(len(diagram.count)) + 0.5)[filled] / len(diagram.count),
                diagram.accuracy[filled],
                width=0.9 / len(diagram.count),
                alpha=0.5,
                label="accuracy",
            )
            size = 100 * diagram.count[filled] / diagram.count.max()
            axis.scatter(
                diagram.confidence[filled],
                diagram.accuracy[filled],
                size,
                color="C1",
                label="paintings",
            )
            gap = (
                np.abs(diagram.confidence - diagram.accuracy) * diagram.count
            ).sum() / diagram.count.sum()
            axis.set(
                xlim=(0, 1),
                ylim=(0, 1),
                xlabel="confidence",
                title=f"{_shown(title)}: error {gap:.3f}",
            )
            axis.legend(fontsize=8, loc="upper left")
        figure.savefig(file, dpi=120)


def risk_coverage(curves: Mapping[str, Any], file: str | Path) -> None:
    """Draw into a PNG which share of the names is wrong, for each share of paintings with a name.

    Args:
        curves: for each line, by name, a `brushwork.metrics.classification.RiskCoverage`.
        file: where to write.
    """
    from matplotlib.figure import Figure

    with _plain_text(curves):
        figure = Figure(figsize=(5, 4), layout="constrained")
        axis = figure.subplots()
        for name, curve in curves.items():
            axis.plot(curve.coverage, curve.risk, label=_shown(name))
        axis.set(
            xlim=(0, 1), ylim=(0, None), xlabel="share of paintings with a name",
            ylabel="share of names that are wrong",
        )  # fmt: skip
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8, loc="upper left")
        figure.savefig(file, dpi=120)


def captioned(
    images: NDArray[np.uint8], captions: Sequence[str], file: str | Path, columns: int = 6
) -> None:
    """Draw images (N, H, W, 3) with captions into a PNG file, with `columns` images per row."""
    from matplotlib.figure import Figure

    rows = math.ceil(len(images) / columns)
    with _plain_text(captions):
        figure = Figure(figsize=(2.2 * columns, 2.6 * rows), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False).flat
        for axis, image, caption in zip(axes, images, captions, strict=False):
            axis.imshow(image)
            axis.set_title("\n".join(map(_shown, caption.split("\n"))), fontsize=7)
        for axis in figure.axes:
            axis.axis("off")
        figure.savefig(file, dpi=120)


def overlay(picture: Image.Image, heat: NDArray[np.floating]) -> Image.Image:
    """Lay the colours of a heat map over a picture in grey; higher values cover it more.

    Args:
        picture: a picture of any size.
        heat: (H, W) in [0, 1]; it is resized to the picture.
    """
    mask = Image.fromarray((heat.clip(0, 1) * 255).astype(np.uint8)).resize(picture.size)
    level = np.asarray(mask, np.float32) / 255
    grey = np.asarray(picture.convert("L"), np.float32)[..., None]
    at = level * (len(HEAT) - 1)
    colours = np.stack(
        [np.interp(at, np.arange(len(HEAT)), HEAT[:, channel]) for channel in range(3)], axis=-1
    )
    share = 0.25 + 0.5 * level[..., None]
    return Image.fromarray((grey * (1 - share) + colours * share).clip(0, 255).astype(np.uint8))
