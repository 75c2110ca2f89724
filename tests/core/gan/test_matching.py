from contextlib import nullcontext

import numpy as np
import pytest
import torch
from torch import nn

from brushwork.data.batches import to_unit_range
from brushwork.errors import BrushworkError
from brushwork.gan.matching import NUM_RECENT, Matching, match_paintings
from brushwork.gan.networks import build_networks
from brushwork.metrics.distances import frechet

CPU = torch.device("cpu")


def extract(images):
    """Compute 12 features: the mean of each channel in each quarter of the image."""
    return nn.functional.adaptive_avg_pool2d(images, 2).flatten(1)


def random_images(num, seed, shift=0.0):
    rng = torch.Generator().manual_seed(seed)
    rough = torch.randn(num, 3, 2, 2, generator=rng) + shift
    return nn.functional.interpolate(rough, size=(8, 8))


@pytest.mark.parametrize("num_paintings", [9, 50])  # fewer and more than features
def test_without_earlier_fakes_the_loss_is_the_metric(num_paintings):
    paintings, fakes = random_images(num_paintings, 0), random_images(16, 1, shift=0.3)
    loss = Matching(extract, extract(paintings))(fakes)
    assert loss.item() == pytest.approx(frechet(extract(paintings), extract(fakes)), rel=1e-4)


def test_fakes_of_earlier_steps_count_and_gradients_reach_those_of_this_step():
    paintings = random_images(50, 0)
    matching, earlier = Matching(extract, extract(paintings)), random_images(NUM_RECENT + 32, 1)
    for fakes in earlier.split(16):
        matching(fakes)
    fakes = random_images(16, 2, shift=0.5).requires_grad_()
    loss = matching(fakes)
    counted = torch.cat([fakes, earlier[-NUM_RECENT:]])
    distance = frechet(extract(paintings), extract(counted))
    assert loss.item() == pytest.approx(distance * (NUM_RECENT + 16) / 16, rel=1e-4)

    # Finite difference of the metric of all counted fakes when those of this step change.
    loss.backward()
    direction, h = random_images(16, 3), 1e-2
    distances = []
    for sign in (1, -1):
        moved = torch.cat([fakes.detach() + sign * h * direction, earlier[-NUM_RECENT:]])
        distances.append(frechet(extract(paintings), extract(moved)))
    rise = (distances[0] - distances[1]) / (2 * h)
    slope = (fakes.grad * direction).sum().item()
    assert slope == pytest.approx(rise * (NUM_RECENT + 16) / 16, rel=1e-3)


def test_a_single_first_fake_gives_no_loss_but_is_kept():
    paintings, fakes = random_images(50, 0), random_images(4, 1).requires_grad_()
    matching = Matching(extract, extract(paintings))
    assert matching(fakes[:1]) == 0
    loss = matching(fakes[1:2])
    expected = 2 * frechet(extract(paintings), extract(fakes[:2]).detach())
    assert loss.item() == pytest.approx(expected, rel=1e-4)


def test_fakes_with_nan_give_nan_and_identical_fakes_give_finite_gradients():
    matching = Matching(extract, extract(random_images(50, 0)))
    assert matching(torch.full((4, 3, 8, 8), torch.nan)).isnan()
    identical = torch.zeros(4, 3, 8, 8, requires_grad=True)
    loss = Matching(extract, extract(random_images(50, 0)))(identical)
    loss.backward()
    assert loss.isfinite() and identical.grad.isfinite().all()


def test_the_state_contains_the_recent_features():
    paintings = random_images(50, 0)
    one, other = Matching(extract, extract(paintings)), Matching(extract, extract(paintings))
    for seed in range(3):
        one(random_images(16, seed))
    other.load_state_dict(one.state_dict())
    torch.testing.assert_close(one(random_images(16, 9)), other(random_images(16, 9)))


def test_gradient_descent_on_images_matches_mean_and_variety():
    matching = Matching(extract, extract(random_images(200, 0, shift=0.5) * torch.tensor([0.2])))
    fakes = random_images(200, 1).requires_grad_()
    optimizer = torch.optim.Adam([fakes], lr=0.02)
    for _ in range(200):
        matching.num_seen.zero_()
        optimizer.zero_grad()
        loss = matching(fakes)
        loss.backward()
        optimizer.step()
    features = extract(fakes.detach())
    assert loss.item() < 0.01
    assert features.mean().item() == pytest.approx(0.1, abs=0.02)
    assert features.std().item() == pytest.approx(0.2, abs=0.02)


def test_match_paintings_uses_the_backbones_features_of_the_chosen_rows():
    torch.manual_seed(0)
    _, D = build_networks("modern", 32, 4, backbone="resnet18:none")
    pixels = np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3), dtype=np.uint8)
    matching = match_paintings(D, pixels, np.array([5, 0, 3]), nullcontext, CPU)
    chosen = torch.from_numpy(pixels[[0, 3, 5]]).permute(0, 3, 1, 2)
    with torch.no_grad():
        expected = D.pooled_features(to_unit_range(chosen))
    assert expected.shape == (3, 512)
    torch.testing.assert_close(matching.mean, expected.mean(0))
    torch.testing.assert_close(matching.root.T @ matching.root, expected.T.cov())


def test_matching_without_a_backbone_or_with_one_painting_is_an_error():
    pixels = np.zeros((3, 32, 32, 3), np.uint8)
    _, D = build_networks("modern", 32, 4)
    with pytest.raises(BrushworkError, match="set `backbone`"):
        match_paintings(D, pixels, np.arange(3), nullcontext, CPU)
    _, D = build_networks("modern", 32, 4, backbone="resnet18:none")
    with pytest.raises(BrushworkError, match="at least 2 paintings"):
        match_paintings(D, pixels, np.arange(1), nullcontext, CPU)
