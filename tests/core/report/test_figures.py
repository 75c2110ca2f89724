"""Figures show what they are given: images in their places, and curves through their points."""

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager
from matplotlib.text import Text
from PIL import Image

from brushwork.errors import BrushworkError
from brushwork.metrics.classification import Reliability, risk_coverage
from brushwork.report import figures


def test_a_grid_holds_every_image_in_reading_order():
    images = (
        np.arange(7, dtype=np.uint8)[:, None, None, None].repeat(4, 1).repeat(4, 2).repeat(3, 3)
    )
    sheet = np.asarray(figures.grid(images, columns=3, gap=1))
    assert sheet.shape == (16, 16, 3)
    assert [sheet[3 + 5 * (i // 3), 3 + 5 * (i % 3), 0] for i in range(7)] == list(range(7))
    assert sheet[0].min() == 255


@pytest.mark.parametrize("suffix", [".gif", ".mp4"])
def test_an_animation_has_all_its_frames(tmp_path, suffix):
    frames = [Image.new("RGB", (64, 64), (10 * i, 100, 255 - 10 * i)) for i in range(12)]
    figures.save_animation(iter(frames), tmp_path / f"walk{suffix}")
    if suffix == ".gif":
        with Image.open(tmp_path / "walk.gif") as gif:
            assert (gif.n_frames, gif.size, gif.info["loop"]) == (12, (64, 64), 0)
    else:
        import av

        with av.open(str(tmp_path / "walk.mp4")) as video:
            decoded = [f.to_ndarray(format="rgb24") for f in video.decode(video=0)]
        assert len(decoded) == 12
        assert np.abs(decoded[5].mean((0, 1)) - [50, 100, 205]).max() < 6


def test_other_animations_are_refused_in_words(tmp_path):
    with pytest.raises(BrushworkError, match=r"use \.gif or \.mp4"):
        figures.save_animation([], tmp_path / "walk.avi")


@pytest.fixture
def drawn(monkeypatch):
    """The matplotlib figures that were written, which are then also files."""
    written = []
    save = Figure.savefig

    def note(figure, *args, **kwargs):
        written.append(figure)
        save(figure, *args, **kwargs)

    monkeypatch.setattr(Figure, "savefig", note)
    return written


def lines_of(figure):
    """The points of each curve, by the title of its panel and its label."""
    return {
        axis.get_title(): {line.get_label(): line.get_xydata().tolist() for line in axis.lines}
        for axis in figure.axes
    }


def test_curves_are_drawn_into_their_panels(tmp_path, drawn):
    falling, rising = [(i, 1 / (i + 1)) for i in range(9)], [(i, i) for i in range(1, 9, 2)]
    panels = {"losses": {"loss": falling}, "metrics": {"fid": rising, "absent": []}}
    figures.curves(panels, tmp_path / "curves.png", x="epoch")
    (figure,) = drawn
    assert lines_of(figure) == {
        "losses": {"loss": [[*map(float, point)] for point in falling]},
        "metrics": {"fid": [[*map(float, point)] for point in rising]},
    }
    assert {axis.get_xlabel() for axis in figure.axes} == {"epoch"}
    with Image.open(tmp_path / "curves.png") as picture:
        assert picture.width > picture.height > 200
        colours = {colour for _, colour in picture.convert("RGB").getcolors(1 << 20)}
    assert (31, 119, 180) in colours and (255, 127, 14) not in colours, "one curve in each panel"


def test_a_gan_has_curves_of_its_losses_and_of_the_discriminator(tmp_path, drawn):
    records = [
        {"step": 1, "loss_D": 0.7, "loss_G": 0.8, "D(x)": 0.6, "D(G(z))": 0.4},
        {"step": 2, "metrics": {"pixels": {"fid": 9.0}}},
        {"step": 3, "loss_D": 0.5, "loss_G": 0.9, "D(x)": 0.7, "D(G(z))": 0.3},
    ]
    figures.gan_curves(records, tmp_path / "curves.png")
    losses, beliefs = lines_of(drawn[0]).values()
    assert losses == {"loss_D": [[1, 0.7], [3, 0.5]], "loss_G": [[1, 0.8], [3, 0.9]]}
    assert beliefs == {"D(x)": [[1, 0.6], [3, 0.7]], "D(G(z))": [[1, 0.4], [3, 0.3]]}


def test_a_classifier_has_curves_of_loss_and_validation_accuracy(tmp_path, drawn):
    records = [{"step": 5, "loss": 2.0}, {"epoch": 1, "loss": 1.0, "val_top1": 0.5}]
    figures.classifier_curves(records, tmp_path / "curves.png")
    loss, accuracy = lines_of(drawn[0]).values()
    assert loss == {"loss": [[1, 1]]} and accuracy == {"val_top1": [[1, 0.5]]}


def test_metrics_are_drawn_by_space_and_lines_without_any_are_left_out(tmp_path, drawn):
    pixels = [{"fid": 9.0, "precision": 0.2, "n_fake": 5}, {"fid": 4.0, "recall": 0.1}]
    records = [
        {"step": 1, "epoch": 0.5, "loss_D": 0.7},
        {"step": 1, "epoch": 0.5, "fid_pixels": 10.0},  # of a run begun with an earlier version
        *({"step": i, "epoch": i / 2, "metrics": {"pixels": m}} for i, m in enumerate(pixels, 2)),
    ]
    figures.metric_curves(records, tmp_path / "one.png", x="epoch")
    assert lines_of(drawn[0]) == {
        "Fréchet distance (FID)": {"fid": [[1, 9], [1.5, 4]]},
        "precision and recall": {"precision": [[1, 0.2]], "recall": [[1.5, 0.1]]},
    }
    both = [
        {"step": i, "metrics": {"pixels": {"kid": i}, "artist": {"kid": 2 * i}}} for i in (1, 2)
    ]
    figures.metric_curves(both, tmp_path / "two.png")
    curves = {"pixels: kid": [[1, 1], [2, 2]], "artist: kid": [[1, 2], [2, 4]]}
    assert lines_of(drawn[1]) == {"KID": curves}


def test_runs_are_compared_in_one_space(tmp_path, drawn):
    runs = {
        "first": [{"epoch": 1, "metrics": {"artist": {"fid": 3.0}, "pixels": {"fid": 7.0}}}],
        "second": [{"epoch": 2, "metrics": {"artist": {"fid": 4.0, "is": 1.5}}}],
    }
    figures.compared_curves(runs, "artist", tmp_path / "curves.png")
    assert lines_of(drawn[0]) == {
        "inception score": {"second: is": [[2, 1.5]]},
        "Fréchet distance (FID)": {"first: fid": [[1, 3]], "second: fid": [[2, 4]]},
    }


def test_a_confusion_matrix_shows_the_shares_of_the_largest_artists(tmp_path, drawn):
    matrix = np.array([[3, 1, 0], [0, 1, 0], [2, 0, 6]])
    figures.confusion(matrix, ("Monet", "Few", "Degas"), tmp_path / "confusion.png", most=2)
    axis = drawn[0].axes[0]
    assert [label.get_text() for label in axis.get_yticklabels()] == ["Monet", "Degas"]
    assert axis.images[0].get_array().tolist() == [[0.75, 0], [0.25, 0.75]]


def test_reliability_shows_the_accuracy_of_each_bin_that_has_paintings(tmp_path, drawn):
    bins = Reliability(np.array([0, 2, 8]), np.array([0, 0.5, 0.9]), np.array([0, 0.25, 0.8]))
    figures.reliability({"as trained": bins}, tmp_path / "reliability.png")
    (axis,) = drawn[0].axes
    bars = {round(bar.get_x() + bar.get_width() / 2, 6): bar.get_height() for bar in axis.patches}
    assert bars == {0.5: 0.25, round(5 / 6, 6): 0.8}
    assert axis.get_title() == "as trained: error 0.130"  # (2 * 0.25 + 8 * 0.1) / 10


def test_risk_is_drawn_over_coverage(tmp_path, drawn):
    curve = risk_coverage([0.9, 0.8, 0.7], [True, False, True])
    figures.risk_coverage({"test": curve, "second": curve}, tmp_path / "risk.png")
    (axis,) = drawn[0].axes
    assert [text.get_text() for text in axis.get_legend().get_texts()] == ["test", "second"]
    np.testing.assert_allclose(axis.lines[0].get_xydata()[:, 1], [0, 1 / 2, 1 / 3])
    assert axis.get_xlim() == (0, 1)


def test_reals_and_fakes_are_equally_many_and_apart():
    real, fake = np.zeros((9, 4, 4, 3), np.uint8), np.full((5, 4, 4, 3), 100, np.uint8)
    sheet = np.asarray(figures.real_beside_fake(real, fake, columns=3))[..., 0]
    left, right = sheet == 0, sheet == 100
    assert left.sum() == right.sum() == 5 * 16
    assert np.flatnonzero(left.any(0)).max() + 16 <= np.flatnonzero(right.any(0)).min()


def test_each_fake_stands_beside_its_own_neighbours():
    fake = np.array([10, 20], np.uint8)[:, None, None, None] * np.ones((1, 4, 4, 3), np.uint8)
    nearest = np.stack([fake + 1, fake + 2, fake + 3], 1)
    sheet = np.asarray(figures.neighbours(fake, nearest))[..., 0]
    for top, value in ((2, 10), (8, 20)):
        row = sheet[top]
        assert row[row < 255].reshape(4, 4)[:, 0].tolist() == [value + i for i in range(4)]


NAMES = [
    "$x_$",
    "$miles$",
    "_Monet",
    "雪舟等楊",
    "Ποιος",
    "\ud83c",
    "a\tb\0",
    "\U0010fffd",
    "\\alpha_{1",
    "x" * 240,
]


def written(figure):
    """All texts of a figure, whether drawn yet or not."""
    return {text.get_text() for text in figure.findobj(Text)}


@pytest.fixture
def snow(tmp_path_factory):
    """A font with one character, snow, whose glyph is a filled square."""
    from fontTools.fontBuilder import FontBuilder
    from fontTools.pens.ttGlyphPen import TTGlyphPen

    pen = TTGlyphPen(None)
    pen.moveTo((0, 0))
    for corner in ((0, 1000), (1000, 1000), (1000, 0)):
        pen.lineTo(corner)
    pen.closePath()
    square = pen.glyph()
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder([".notdef", "snow"])
    builder.setupCharacterMap({ord("雪"): "snow"})
    builder.setupGlyf({".notdef": TTGlyphPen(None).glyph(), "snow": square})
    builder.setupHorizontalMetrics({".notdef": (500, 0), "snow": (1000, 0)})
    builder.setupHorizontalHeader(ascent=1000, descent=0)
    builder.setupNameTable({"familyName": "Snow Test", "styleName": "Regular"})
    builder.setupOS2(sTypoAscender=1000)
    builder.setupPost()
    file = tmp_path_factory.mktemp("fonts") / "snow.ttf"
    builder.save(file)
    before = list(fontManager.ttflist)
    fontManager.ttflist[:] = [font for font in before if font.name.startswith("DejaVu")]
    fontManager.addfont(file)
    yield "Snow Test"
    fontManager.ttflist[:] = before
    fontManager._findfont_cached.cache_clear()


def test_names_are_drawn_as_they_are_in_every_figure(tmp_path, drawn):
    """Dollar signs, underscores, other scripts, no characters at all: no warning, no mathtext."""
    size = len(NAMES)
    matrix, images = np.eye(size, dtype=int), np.zeros((size, 4, 4, 3), np.uint8)
    figures.confusion(matrix, NAMES, tmp_path / "confusion.png")
    figures.captioned(images, [f"{name}\n0.5" for name in NAMES], tmp_path / "captioned.png")
    bins = Reliability(np.array([1]), np.array([0.5]), np.array([0.5]))
    figures.reliability(dict.fromkeys(NAMES, bins), tmp_path / "reliability.png")
    points = [(0.0, 1.0), (1.0, 2.0)]
    panels = {name: dict.fromkeys(NAMES, points) for name in NAMES[:2]}
    figures.curves(panels, tmp_path / "curves.png")
    runs = {name: [{"epoch": 1, "metrics": {"artist": {"fid": 3.0}}}] for name in NAMES}
    figures.compared_curves(runs, "artist", tmp_path / "compared.png")
    endings = ["", "\n0.5", ": error 0.000", "", ": fid"]
    for figure, ending in zip(drawn, endings, strict=True):
        names = ["$x_$", "$miles$", "_Monet", "雪舟等楊", "Ποιος", "\\alpha_{1", "a b "]
        assert {f"{name}{ending}" for name in names} <= written(figure)
        assert not any(text.get_parse_math() for text in figure.findobj(Text) if text.get_text())
    assert max(map(len, written(drawn[0]))) <= 40


def test_characters_that_the_usual_font_lacks_come_from_one_that_has_them(tmp_path, snow):
    """The picture has a black square of the font's size where the character is."""
    white = np.full((1, 4, 4, 3), 255, np.uint8)
    sheets = []
    for number, caption in enumerate(["雪", " "]):
        file = tmp_path / f"{number}.png"
        figures.captioned(white, [caption], file)
        sheets.append(np.asarray(Image.open(file).convert("L")) < 128)
    ink = sheets[0] & ~sheets[1]
    rows, columns = (np.flatnonzero(ink.any(axis)) for axis in (1, 0))
    side = 7 / 72 * 120  # pixels of a font of 7 points at 120 dots an inch
    assert abs(np.ptp(rows) + 1 - side) <= 2 and abs(np.ptp(columns) + 1 - side) <= 2
    assert ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].mean() > 0.9
    assert snow in figures._font_families("雪") and snow not in figures._font_families("Monet")
