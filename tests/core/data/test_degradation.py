import numpy as np
import pytest
from PIL import Image, ImageDraw

from brushwork.data import degradation
from brushwork.data.degradation import degrade


@pytest.fixture(scope="module")
def painting():
    """A picture (48, 64, 3) with flat colours, a gradient and lines."""
    image = Image.new("RGB", (64, 48), (120, 90, 60))
    pen = ImageDraw.Draw(image)
    pen.rectangle((8, 8, 30, 40), fill=(200, 180, 60))
    for x in range(34, 60, 3):
        pen.line((x, 4, x, 44), fill=(4 * x, 40, 255 - 4 * x))
    return np.asarray(image)


def test_the_generator_of_random_numbers_decides_every_change(painting):
    first, again = (degrade(painting, np.random.default_rng(3)) for _ in range(2))
    assert first.shape == painting.shape and first.dtype == np.uint8
    assert np.array_equal(first, again)
    assert not np.array_equal(first, degrade(painting, np.random.default_rng(4)))


def test_a_degraded_painting_stays_the_same_painting(painting):
    """Its shape of light and dark still correlates with the original's, whatever is drawn."""
    rng = np.random.default_rng(0)
    alike = [
        np.corrcoef(painting.mean(2).ravel(), degrade(painting, rng).mean(2).ravel())[0, 1]
        for _ in range(60)
    ]
    assert np.median(alike) > 0.8 and min(alike) > 0.3


@pytest.mark.parametrize("name", ["reframe", "retone", "resample", "refocus", "recompress"])
def test_each_change_keeps_the_size_and_changes_the_picture(painting, name):
    change = getattr(degradation, name)
    image, rng = Image.fromarray(painting), np.random.default_rng(1)
    changed = [change(image, rng) for _ in range(8)]
    assert all(each.size == image.size and each.mode == "RGB" for each in changed)
    assert any(not np.array_equal(np.asarray(each), painting) for each in changed)


def test_resampling_removes_the_finest_detail():
    """A chessboard of single pixels, the highest frequency, loses most of its contrast."""
    board = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)
    image = Image.fromarray(np.stack([board] * 3, axis=-1))
    contrasts = [
        np.asarray(degradation.resample(image, np.random.default_rng(seed))).std()
        for seed in range(20)
    ]
    assert np.median(contrasts) < 0.5 * board.std()


def test_tones_change_but_grey_order_stays():
    """Gamma and contrast are monotone: a grey ramp stays in order in every channel."""
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    toned = np.asarray(degradation.retone(Image.fromarray(ramp), np.random.default_rng(2)))
    # Saturation mixes the channels with their rounded mean, so a level may fall by one.
    assert (np.diff(toned[0].astype(int), axis=0) >= -1).all()
