import numpy as np
import pytest
import torch
from scipy import ndimage, stats

from brushwork.metrics.features import extract
from brushwork.metrics.texture import (
    LEVELS,
    gradient_statistics,
    haar_bands,
    radial_spectrum,
    texture,
    texture_statistics,
)


@pytest.fixture(scope="module")
def images():
    """Smooth random pictures (5, 3, 32, 32) in [0, 255]."""
    noise = np.random.default_rng(0).normal(size=(5, 3, 32, 32))
    smooth = ndimage.gaussian_filter(noise, (0, 0, 1.5, 1.5))
    return torch.from_numpy(128 + 200 * smooth).clamp(0, 255).float()


def test_the_colour_statistics_are_those_of_scipy(images):
    R, G, B = (images / 255).flatten(2).unbind(1)
    lightness, red_green = (R + G + B) / 3**0.5, (R - G) / 2**0.5
    ours = texture_statistics(images) / 10
    torch.testing.assert_close(ours[:, 0], lightness.mean(1))
    torch.testing.assert_close(ours[:, 3], lightness.std(1, correction=0))
    expected = np.cbrt(stats.moment(red_green.numpy(), 3, axis=1))
    np.testing.assert_allclose(ours[:, 7], expected, rtol=1e-3)
    covariances = [np.cov(a, b, bias=True)[0, 1] for a, b in zip(lightness, red_green, strict=True)]
    np.testing.assert_allclose(ours[:, 9], covariances, rtol=1e-3, atol=1e-6)


def test_the_bands_are_those_of_the_haar_transform(images):
    low, details = haar_bands(torch.tensor([[[[1.0, 2.0], [3.0, 5.0]]]]))
    assert low.item() == 5.5 and details.flatten().tolist() == [-1.5, -2.5, 0.5]
    low, details = haar_bands(images)
    assert low.shape == (5, 3, 16, 16) and details.shape == (5, 3, 3, 16, 16)
    # The transform is orthonormal.
    energy = low.square().sum() + details.square().sum()
    torch.testing.assert_close(energy, images.square().sum())


def test_gradients_are_counted_by_their_direction():
    ramp = torch.arange(16.0).expand(16, 16)
    strength, shares = gradient_statistics(torch.stack([ramp, ramp.T, ramp / 2 + ramp.T]))
    torch.testing.assert_close(strength.flatten(), torch.tensor([2.0, 2.0, 5**0.5]))
    assert shares.argmax(1).tolist() == [0, 4, 2]  # across, down, and at 63 degrees, of 8 bins
    torch.testing.assert_close(shares.amax(1), torch.ones(3))
    assert gradient_statistics(torch.zeros(1, 8, 8))[1].sum() == 0


def test_a_grid_on_the_pictures_is_farther_away_than_other_pictures(images):
    from brushwork.metrics.distances import frechet

    pictures = images.repeat(4, 1, 1, 1) + torch.randn(20, 3, 1, 1) * 10
    grid = 30.0 * (torch.arange(32) % 4 == 0)
    one, other = texture_statistics(pictures[::2]), texture_statistics(pictures[1::2])
    gridded = texture_statistics(pictures[1::2] + grid)
    assert frechet(one, gridded) > 2 * frechet(one, other)
    assert one.shape == (10, 12 + 9 + LEVELS * 12) and one.isfinite().all()
    assert texture_statistics(torch.zeros(2, 3, 16, 16)).isfinite().all()
    assert texture(32).side == 32


def test_wide_and_tall_pictures_have_the_statistics_of_squares_of_their_texture(images):
    square = torch.cat([images, images.flip(3)], 3)  # the same pixels twice, and a seam that fits
    wide = texture_statistics(square)
    assert wide.shape == (5, 69)
    colours = slice(0, 12)
    torch.testing.assert_close(wide[:, colours], texture_statistics(images)[:, colours])
    assert (wide - texture_statistics(images)).abs().median() < 0.05
    tall = texture_statistics(square.transpose(2, 3))
    torch.testing.assert_close(tall[:, colours], wide[:, colours])


def test_pictures_keep_their_proportions_in_the_space_of_textures():
    stripes = np.zeros((2, 32, 48, 3), np.uint8)
    stripes[:, :, ::2] = 255  # squashed to squares, they would be grey
    others = np.zeros((1, 200, 20, 3), np.uint8)
    features = extract([stripes, others], texture(32)).features
    expected = texture_statistics(torch.from_numpy(stripes).permute(0, 3, 1, 2).float())
    torch.testing.assert_close(features[:2], expected)
    assert features.shape == (3, 69)


@pytest.mark.parametrize("size", [(32, 48), (48, 32)])
def test_a_wave_in_a_picture_of_other_proportions_has_the_same_frequency(size):
    # Six cycles per 32 pixels, in both directions of the picture.
    down, across = (torch.arange(num) * 2 * torch.pi * 6 / 32 for num in size)
    for wave in (down[:, None].expand(size), across.expand(size)):
        power = radial_spectrum(127 + 100 * torch.sin(wave).expand(2, 3, *size))
        assert power.shape == (16,) and power.argmax() == 5
        assert power[5] > 1000 * power[[0, 10, 15]].max()


def test_a_wave_has_its_power_at_its_frequency():
    x = 127 + 100 * torch.sin(2 * torch.pi * 6 * torch.arange(32) / 32).expand(2, 3, 32, 32)
    power = radial_spectrum(x)
    assert power.shape == (16,) and power.argmax() == 5  # six cycles
    assert power[5] > 1000 * power[[0, 10, 15]].max()
    assert radial_spectrum(torch.full((1, 3, 8, 8), 9.0)).max() == 0
