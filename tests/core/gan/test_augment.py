import numpy as np
import pytest
import torch
from scipy import ndimage
from scipy.stats import norm

from brushwork.errors import BrushworkError
from brushwork.gan.augment import (
    GEOMETRIC_POLICIES,
    MAX_GEOMETRY,
    NUMBERS_PER_IMAGE,
    PASSES_PER_STEP,
    POLICIES,
    adapt,
    augmentation_numbers,
    color,
    cutout,
    diff_augment,
    geometry,
    translation,
)


def random_images(num=8, size=(16, 16), dtype=torch.float32):
    rng = torch.Generator().manual_seed(0)
    return torch.rand(num, 3, *size, generator=rng, dtype=dtype) * 2 - 1


def random_numbers(num=8, seed=0):
    return augmentation_numbers(0, num, seed)[:, 0]


def released_code(x, u):
    """DiffAugment_pytorch.py of data-efficient-gans, with given random numbers."""
    n, sides = len(x), x.shape[2:]
    view = (n, 1, 1, 1)
    x = x + (u[:, 0].view(view) - 0.5)
    x_mean = x.mean(dim=1, keepdim=True)
    x = (x - x_mean) * (u[:, 1].view(view) * 2) + x_mean
    x_mean = x.mean(dim=[1, 2, 3], keepdim=True)
    x = (x - x_mean) * (u[:, 2].view(view) + 0.5) + x_mean

    shifts = [int(side * 0.125 + 0.5) for side in sides]
    moved = [
        (u[:, i] * (2 * shift + 1)).long().view(n, 1, 1) - shift
        for i, shift in zip((3, 4), shifts, strict=True)
    ]
    grids = torch.meshgrid(*map(torch.arange, (n, *sides)), indexing="ij")
    batch = grids[0]
    rows, columns = (
        torch.clamp(grid + move + 1, 0, side + 1)
        for grid, move, side in zip(grids[1:], moved, sides, strict=True)
    )
    padded = torch.nn.functional.pad(x, [1, 1, 1, 1, 0, 0, 0, 0])
    x = padded.permute(0, 2, 3, 1).contiguous()[batch, rows, columns].permute(0, 3, 1, 2)

    holes = [int(side * 0.5 + 0.5) for side in sides]
    centre = [
        (u[:, i] * (side + 1 - hole % 2)).long().view(n, 1, 1)
        for i, side, hole in zip((5, 6), sides, holes, strict=True)
    ]
    grids = torch.meshgrid(*map(torch.arange, (n, *holes)), indexing="ij")
    rows, columns = (
        torch.clamp(grid + at - hole // 2, 0, side - 1)
        for grid, at, hole, side in zip(grids[1:], centre, holes, sides, strict=True)
    )
    mask = torch.ones(n, *sides, dtype=x.dtype)
    mask[grids[0], rows, columns] = 0
    return x * mask[:, None]


@pytest.mark.parametrize("size", [(16, 16), (16, 24), (24, 16)])
def test_the_three_augmentations_equal_the_authors_code(size):
    for seed in range(5):
        x, u = random_images(size=size), random_numbers(seed=seed)
        expected = released_code(x, torch.cat([u[:, :3], 1 - u[:, 3:5] - 1e-6, u[:, 5:]], 1))
        torch.testing.assert_close(diff_augment(x, u), expected)


def test_every_augmentation_is_differentiable():
    x, u = random_images(2, (4, 4), torch.float64).requires_grad_(), random_numbers(2).double()
    for policy in ((), *((name,) for name in GEOMETRIC_POLICIES), GEOMETRIC_POLICIES):
        assert torch.autograd.gradcheck(lambda x, policy=policy: diff_augment(x, u, policy), x)


def test_each_image_is_distorted_by_its_own_numbers():
    x, u = random_images(), random_numbers()
    together = diff_augment(x, u)
    alone = torch.cat([diff_augment(x[i : i + 1], u[i : i + 1]) for i in range(len(x))])
    torch.testing.assert_close(together, alone)
    assert not torch.equal(together[0], diff_augment(x[:1], u[1:2])[0])


def test_color_numbers_of_one_half_change_nothing():
    x, half = random_images(), torch.full((8,), 0.5)
    torch.testing.assert_close(color(x, half, half, half), x)


def test_a_translation_moves_the_image_and_fills_with_grey():
    x, u = random_images(1), torch.tensor([0.999])
    moved = translation(x, u, torch.tensor([0.5]))  # two of 16 rows down
    assert torch.equal(moved[:, :, 2:], x[:, :, :-2])
    assert (moved[:, :, :2] == 0).all()


def test_a_cutout_has_half_the_side_of_the_image():
    x = torch.ones(1, 3, 16, 16)
    cut = cutout(x, torch.tensor([0.5]), torch.tensor([0.5]))
    assert (cut == 0).sum() == 3 * 8 * 8
    assert (cut[:, :, 4:12, 4:12] == 0).all()


@pytest.mark.parametrize("size", [(16, 16), (16, 24), (24, 16)])
def test_enlarging_stretching_and_turning_equal_scipy(size):
    x = random_images(5, size, torch.float64)
    u = random_numbers(5).double()[:, :3]
    moved = geometry(x, *u.T, applied=torch.ones(5, 3, dtype=torch.bool))
    for image, result, numbers in zip(x, moved, u, strict=True):
        factor, ratio = 2 ** (0.2 * norm.ppf(numbers[:2]))
        theta = 2 * np.pi * (numbers[2].item() - 0.5)
        turn = np.array([[np.cos(theta), -np.sin(theta)], [np.sin(theta), np.cos(theta)]])
        # From a pixel of the result to its source, rows and columns: turn back, then shrink.
        to_source = np.diag([ratio / factor, 1 / (factor * ratio)]) @ turn
        centre = (np.array(size) - 1) / 2
        expected = [
            ndimage.affine_transform(
                channel, to_source, centre - to_source @ centre, order=1, mode="reflect"
            )
            for channel in image.numpy()
        ]
        np.testing.assert_allclose(result, expected, atol=1e-5)


def test_half_a_turn_is_exact_and_images_that_are_not_chosen_stay_as_they_are():
    x, half = random_images(2), torch.full((2,), 0.5)
    upside_down = geometry(x, half, half, torch.tensor([0.0, 0.0]), torch.eye(3).bool()[[2, 2]])
    torch.testing.assert_close(upside_down, x.flip(2, 3), atol=1e-5, rtol=0)
    u = torch.tensor([0.9, 0.9])
    assert torch.equal(geometry(x, u, u, u, torch.zeros(2, 3, dtype=torch.bool)), x)


def test_geometry_is_precise_in_mixed_precision():
    x, u = random_images(8, (128, 128)), random_numbers()
    with torch.autocast("cpu", torch.bfloat16):
        mixed = diff_augment(x, u, ("geometry",))
    torch.testing.assert_close(mixed, diff_augment(x, u, ("geometry",)))


def test_geometry_leaves_some_images_alone_even_at_the_largest_probability():
    num = 2000
    x, u = random_images(num, (8, 8)), augmentation_numbers(0, num, seed=0)[:, 1]
    changed = (diff_augment(x, u, ("geometry",), 1.0) != x).flatten(1).any(1).float().mean()
    expected = 1 - (1 - MAX_GEOMETRY) ** 2.5  # enlarge, stretch, and turn with 1 - sqrt(1 - p)
    assert changed == pytest.approx(expected, abs=0.01)


def test_the_probability_is_the_share_of_images_that_change():
    num = 2000
    x, u = random_images(num, (8, 8)), augmentation_numbers(0, num, seed=0)[:, 1]
    assert torch.equal(diff_augment(x, u, probability=0.0), x)
    for policy in POLICIES:
        changed = (diff_augment(x, u, (policy,), 0.3) != x).flatten(1).any(1).float().mean()
        # One in nine shifts moves nothing at this side, nor do a few holes at the border.
        assert 0.2 < changed < 0.33


def test_numbers_depend_only_on_the_seed_and_the_step():
    assert augmentation_numbers(5, 4, seed=1).shape == (4, PASSES_PER_STEP, NUMBERS_PER_IMAGE)
    assert torch.equal(augmentation_numbers(5, 4, seed=1), augmentation_numbers(5, 4, seed=1))
    first = augmentation_numbers(5, 4, seed=1)
    assert not torch.equal(first[:, 0], first[:, 1])
    for other in (augmentation_numbers(6, 4, seed=1), augmentation_numbers(5, 4, seed=2)):
        assert not torch.equal(first, other)


def test_an_unknown_augmentation_is_an_error_that_lists_the_known_ones():
    with pytest.raises(BrushworkError, match="color, translation, cutout"):
        diff_augment(random_images(), random_numbers(), ("colour",))


def test_ada_settles_at_the_probability_that_reaches_the_target():
    # r_t falls with the probability, as in Figure 5 of the paper.
    p = torch.tensor(0.0)
    for _ in range(2000):
        p = adapt(p, r_t=0.9 - 0.5 * p, images=256)
    assert p.item() == pytest.approx(0.6, abs=2 * 256 / 500_000)


def test_ada_crosses_the_whole_range_in_the_given_number_of_images():
    p = torch.tensor(0.0)
    for _ in range(99):
        p = adapt(p, r_t=torch.tensor(1.0), images=100, ramp_images=10_000)
    assert p.item() == pytest.approx(0.99)
    assert adapt(p, r_t=torch.tensor(1.0), images=500, ramp_images=10_000) == 1
    p = torch.tensor(0.01)
    assert adapt(p, r_t=torch.tensor(-1.0), images=500, ramp_images=10_000) == 0
    assert adapt(p, r_t=torch.tensor(0.6), images=500) == p
