import numpy as np
import pytest
from PIL import Image

from brushwork.errors import BrushworkError
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


def test_curves_are_drawn_into_a_picture(tmp_path):
    records = [{"step": i, "loss": 1 / (i + 1), **({"fid": i} if i % 2 else {})} for i in range(9)]
    figures.curves(records, {"loss": ["loss"], "fid": ["fid", "absent"]}, tmp_path / "curves.png")
    with Image.open(tmp_path / "curves.png") as picture:
        assert picture.width > picture.height > 200


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
