import pytest
import torch
from torch import nn
from torch.nn import functional as F

from brushwork.gan.losses import (
    discriminator_loss,
    frechet_loss,
    generator_loss,
    gradient_penalty,
    hinge_discriminator_loss,
    hinge_generator_loss,
    polar_factor,
    relativistic_discriminator_loss,
    relativistic_generator_loss,
)
from brushwork.metrics.distances import frechet


@pytest.fixture
def logits():
    rng = torch.Generator().manual_seed(0)
    return torch.randn(2, 50, generator=rng, dtype=torch.float64)


def test_logistic_losses_equal_binary_cross_entropies(logits):
    real, fake = logits
    bce = F.binary_cross_entropy
    ones, zeros = torch.ones_like(real), torch.zeros_like(fake)
    expected = bce(real.sigmoid(), ones) + bce(fake.sigmoid(), zeros)
    torch.testing.assert_close(discriminator_loss(real, fake), expected)
    torch.testing.assert_close(generator_loss(fake), bce(fake.sigmoid(), ones))


def test_the_hinge_loss_has_no_gradient_beyond_its_margin(logits):
    real, fake = (part.requires_grad_() for part in logits)
    hinge_discriminator_loss(real, fake).backward()
    assert torch.equal(real.grad != 0, real < 1)
    assert torch.equal(fake.grad != 0, fake > -1)
    torch.testing.assert_close(real.grad[real < 1].unique(), torch.tensor([-1 / 50]).double())
    fake.grad = None
    hinge_generator_loss(fake).backward()
    torch.testing.assert_close(fake.grad, torch.full_like(fake, -1 / 50))


def test_relativistic_losses_depend_only_on_differences_of_logits(logits):
    real, fake = logits
    loss = relativistic_discriminator_loss(real, fake)
    torch.testing.assert_close(loss, -torch.log(torch.sigmoid(real - fake)).mean())
    torch.testing.assert_close(loss, relativistic_discriminator_loss(real + 7, fake + 7))
    # log sigmoid(d) and log sigmoid(-d) differ by d.
    other = relativistic_generator_loss(real, fake)
    torch.testing.assert_close(other - loss, (real - fake).mean())


def test_losses_stay_finite_at_extreme_logits():
    extreme = torch.tensor([-1e4, 1e4])
    for loss in (
        discriminator_loss,
        hinge_discriminator_loss,
        relativistic_discriminator_loss,
        relativistic_generator_loss,
    ):
        assert loss(extreme, extreme.flip(0)).isfinite()
    for loss in (generator_loss, hinge_generator_loss):
        assert loss(extreme).isfinite()


def test_the_penalty_of_a_quadratic_and_its_derivative_equal_their_closed_forms():
    x = torch.randn(6, 3, 4, 4, dtype=torch.float64, requires_grad=True)
    scale = torch.tensor(1.5, dtype=torch.float64, requires_grad=True)
    penalty = gradient_penalty(scale * x.square().sum((1, 2, 3)) / 2, x)  # gradient: scale x
    norms = x.detach().square().sum((1, 2, 3)).mean()
    torch.testing.assert_close(penalty, 1.5**2 * norms)
    (slope,) = torch.autograd.grad(penalty, scale)
    torch.testing.assert_close(slope, 2 * 1.5 * norms)


def test_the_penalty_of_a_network_agrees_with_finite_differences():
    torch.manual_seed(0)
    D = nn.Sequential(nn.Flatten(), nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 1)).double()
    x = torch.randn(5, 2, 2, 2, dtype=torch.float64, requires_grad=True)
    penalty = gradient_penalty(D(x).flatten(), x)
    steps = 1e-6 * torch.eye(8, dtype=torch.float64).view(8, 1, 2, 2, 2)
    with torch.no_grad():
        slopes = torch.stack([(D(x + h) - D(x - h)).flatten() / 2e-6 for h in steps])
    torch.testing.assert_close(penalty, slopes.square().sum(0).mean(), rtol=1e-6, atol=0)


def test_the_polar_factor_is_that_of_the_svd_and_its_error_keeps_to_the_bound():
    rng = torch.Generator().manual_seed(0)
    U, V = (torch.linalg.qr(torch.randn(n, 40, generator=rng).double()).Q for n in (90, 60))
    s = torch.logspace(-7, 0, 40).double()
    polar = polar_factor(U @ torch.diag(s) @ V.T)
    values = (U.T @ polar @ V).diagonal()
    torch.testing.assert_close(polar, U @ torch.diag(values) @ V.T)  # the same U and V
    large = s >= 1e-4 * s.norm()
    assert 15 < large.sum() < 30
    assert (values[large] - 1).abs().max() < 2e-5
    assert ((values[~large] >= 0) & (values[~large] < 1)).all()
    nuclear = (U @ torch.diag(s) @ V.T * polar).sum()
    assert 0 <= s.sum() - nuclear <= 1e-4 * s.norm() * len(s)
    # In float32 the large values are as good up to rounding.
    single = polar_factor((U @ torch.diag(s) @ V.T).float()).double()
    assert ((U.T @ single @ V).diagonal()[large] - 1).abs().max() < 1e-3


def test_the_fréchet_loss_of_the_counted_fakes_is_the_metric_and_so_is_its_gradient():
    rng = torch.Generator().manual_seed(1)
    real, fake = (torch.randn(n, 6, generator=rng).double() for n in (30, 12))
    mean, root = real.mean(0), (real - real.mean(0)) / 29**0.5
    counted = torch.tensor([1.0] * 9 + [0.0] * 3).double()

    fake.requires_grad_()
    loss = frechet_loss(fake, mean, root, counted)
    assert loss.item() == pytest.approx(frechet(real, fake[:9].detach()), rel=1e-4)
    (slope,) = torch.autograd.grad(loss, fake)
    direction, h = torch.randn(12, 6, generator=rng).double(), 1e-4
    moved = [frechet(real, (fake + sign * h * direction)[:9].detach()) for sign in (1, -1)]
    rise = (moved[0] - moved[1]) / (2 * h)
    assert (slope * direction).sum().item() == pytest.approx(rise, rel=1e-3)
    assert not slope[9:].any()
