from contextlib import nullcontext

import numpy as np
import pytest
import torch
from torch import nn

from brushwork.data.batches import to_unit_range
from brushwork.errors import BrushworkError
from brushwork.gan.matching import RECENT, Matching, match_paintings
from brushwork.gan.networks import build_networks
from brushwork.metrics.distances import frechet

CPU = torch.device("cpu")


def see(images):
    """Means of the channels of the four quarters: 12 features."""
    return nn.functional.adaptive_avg_pool2d(images, 2).flatten(1)


def pictures(num, seed, shift=0.0):
    rng = torch.Generator().manual_seed(seed)
    rough = torch.randn(num, 3, 2, 2, generator=rng) + shift
    return nn.functional.interpolate(rough, size=(8, 8))


@pytest.mark.parametrize("num_paintings", [9, 50])  # fewer and more than features
def test_a_step_alone_has_the_metrics_distance(num_paintings):
    paintings, fakes = pictures(num_paintings, 0), pictures(16, 1, shift=0.3)
    loss = Matching(see, see(paintings))(fakes)
    assert loss.item() == pytest.approx(frechet(see(paintings), see(fakes)), rel=1e-4)


def test_fakes_of_recent_steps_count_and_the_gradient_is_a_steps_own():
    paintings = pictures(50, 0)
    matching, earlier = Matching(see, see(paintings)), pictures(RECENT + 32, 1)
    for fakes in earlier.split(16):
        matching(fakes)
    fakes = pictures(16, 2, shift=0.5).requires_grad_()
    loss = matching(fakes)
    counted = torch.cat([fakes, earlier[-RECENT:]])
    distance = frechet(see(paintings), see(counted))
    assert loss.item() == pytest.approx(distance * (RECENT + 16) / 16, rel=1e-4)

    # Along any direction the metric of all that count rises by the gradient of this step's.
    loss.backward()
    direction, h = pictures(16, 3), 1e-2
    ends = [
        torch.cat([fakes.detach() + sign * h * direction, earlier[-RECENT:]]) for sign in (1, -1)
    ]
    rise = (frechet(see(paintings), see(ends[0])) - frechet(see(paintings), see(ends[1]))) / (2 * h)
    slope = (fakes.grad * direction).sum().item()
    assert slope == pytest.approx(rise * (RECENT + 16) / 16, rel=1e-3)


def test_the_first_fake_alone_has_no_covariance_and_is_only_remembered():
    paintings, fakes = pictures(50, 0), pictures(4, 1).requires_grad_()
    matching = Matching(see, see(paintings))
    assert matching(fakes[:1]) == 0
    loss = matching(fakes[1:2])
    expected = 2 * frechet(see(paintings), see(fakes[:2]).detach())
    assert loss.item() == pytest.approx(expected, rel=1e-4)


def test_what_is_no_number_gives_none():
    matching = Matching(see, see(pictures(50, 0)))
    assert matching(torch.full((4, 3, 8, 8), torch.nan)).isnan()
    alike = torch.zeros(4, 3, 8, 8, requires_grad=True)
    loss = Matching(see, see(pictures(50, 0)))(alike)
    loss.backward()
    assert loss.isfinite() and alike.grad.isfinite().all()


def test_what_counted_last_is_remembered_in_its_state():
    paintings = pictures(50, 0)
    one, other = Matching(see, see(paintings)), Matching(see, see(paintings))
    for seed in range(3):
        one(pictures(16, seed))
    other.load_state_dict(one.state_dict())
    torch.testing.assert_close(one(pictures(16, 9)), other(pictures(16, 9)))


def test_pictures_come_nearer_by_descent():
    """Gradient descent on pictures themselves: tones and variety of the paintings are found."""
    matching = Matching(see, see(pictures(200, 0, shift=0.5) * torch.tensor([0.2])))
    fakes = pictures(200, 1).requires_grad_()
    optimizer = torch.optim.Adam([fakes], lr=0.02)
    for _ in range(200):
        matching.num_recent.zero_()
        optimizer.zero_grad()
        loss = matching(fakes)
        loss.backward()
        optimizer.step()
    features = see(fakes.detach())
    assert loss.item() < 0.01
    assert features.mean().item() == pytest.approx(0.1, abs=0.02)
    assert features.std().item() == pytest.approx(0.2, abs=0.02)


def test_paintings_are_seen_with_the_backbone_in_the_rows_that_are_chosen():
    torch.manual_seed(0)
    _, D = build_networks("modern", 32, 4, backbone="resnet18:none")
    pixels = np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3), dtype=np.uint8)
    matching = match_paintings(D, pixels, np.array([5, 0, 3]), nullcontext, CPU)
    chosen = torch.from_numpy(pixels[[0, 3, 5]]).permute(0, 3, 1, 2)
    with torch.no_grad():
        expected = D.hidden(to_unit_range(chosen))
    assert expected.shape == (3, 512)
    torch.testing.assert_close(matching.mean, expected.mean(0))
    torch.testing.assert_close(matching.root.T @ matching.root, expected.T.cov())


def test_a_clear_word_where_nothing_can_be_matched():
    pixels = np.zeros((3, 32, 32, 3), np.uint8)
    _, D = build_networks("modern", 32, 4)
    with pytest.raises(BrushworkError, match="give a --backbone"):
        match_paintings(D, pixels, np.arange(3), nullcontext, CPU)
    _, D = build_networks("modern", 32, 4, backbone="resnet18:none")
    with pytest.raises(BrushworkError, match="choose more"):
        match_paintings(D, pixels, np.arange(1), nullcontext, CPU)
