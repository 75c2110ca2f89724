import numpy as np
import pytest

from brushwork.data.synthetic.other_pictures import KINDS, other_picture


@pytest.mark.parametrize("side", [32, 65])
def test_pictures_are_squares_that_depend_on_number_and_seed_alone(side):
    numbers = range(3 * len(KINDS))
    first = [other_picture(number, side) for number in numbers]
    assert all(p.shape == (side, side, 3) and p.dtype == np.uint8 for p in first)
    again = [other_picture(number, side) for number in reversed(numbers)][::-1]
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert len({p.tobytes() for p in first}) == len(first)
    assert not np.array_equal(first[0], other_picture(0, side, seed=1))


def test_a_plain_sheet_is_plain_and_text_has_two_tones():
    plain, text = KINDS[0], KINDS[4]
    for seed in range(5):
        assert plain(64, np.random.default_rng(seed)).std((0, 1)).max() < 20
        page = text(64, np.random.default_rng(seed)).mean(2)
        assert np.ptp(page) > 120, "letters differ from the page"
