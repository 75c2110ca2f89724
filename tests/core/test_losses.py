import torch
from torch.nn import functional as F

from brushwork.losses import discriminator_loss, generator_loss


def test_losses_are_the_binary_cross_entropies_of_the_original():
    real, fake = torch.randn(50, dtype=torch.float64), torch.randn(50, dtype=torch.float64)
    bce = F.binary_cross_entropy
    ones, zeros = torch.ones_like(real), torch.zeros_like(fake)
    expected = bce(real.sigmoid(), ones) + bce(fake.sigmoid(), zeros)
    torch.testing.assert_close(discriminator_loss(real, fake), expected)
    torch.testing.assert_close(generator_loss(fake), bce(fake.sigmoid(), ones))


def test_losses_stay_finite_at_extreme_logits():
    extreme = torch.tensor([-1e4, 1e4])
    assert discriminator_loss(extreme, extreme).isfinite()
    assert generator_loss(extreme).isfinite()
