import numpy as np
import pytest
import torch
from torch.nn import functional as F

from brushwork.gan.enlarger import (
    Enlarger,
    EnlargerLoss,
    PatchDiscriminator,
    Patches,
    enlarger_loss,
    patch_batch,
    reduce,
)


def numbered(num, height, width, factor):
    """Small images in which each pixel is unique, and the same images with repeated pixels."""
    rng = np.random.default_rng(0)
    small = rng.integers(256, size=(num, height, width, 3), dtype=np.uint8)
    return small, small.repeat(factor, 1).repeat(factor, 2)


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_a_new_enlarger_interpolates(factor):
    """Cubic interpolation nearly keeps straight lines, away from the borders."""
    ramp = torch.linspace(-1, 1, 24).expand(2, 3, 16, 24)
    enlarged = Enlarger(factor, width=6, size=(16, 24))(ramp)
    assert enlarged.shape == (2, 3, 16 * factor, 24 * factor)
    places = (torch.arange(24 * factor) + 0.5) / factor - 0.5  # of the pixels, in small pixels
    expected = (2 * places / 23 - 1).expand_as(enlarged)
    inside = (..., slice(2 * factor, -2 * factor))
    torch.testing.assert_close(enlarged[inside], expected[inside], atol=0.005, rtol=0)


def test_the_details_depend_on_the_noise_and_without_one_on_that_of_the_network():
    E = Enlarger(2, width=6, size=(16, 16))
    torch.nn.init.normal_(E.to_rgb.weight, std=0.1)
    x = torch.rand(2, 3, 16, 16)
    assert not torch.allclose(E(x, torch.randn(2, 1, 16, 16)), E(x, torch.randn(2, 1, 16, 16)))
    torch.testing.assert_close(E(x), E(x, E.noise.expand(2, -1, -1, -1)))
    copy = Enlarger(2, width=6, size=(16, 16))
    copy.load_state_dict(E.state_dict())
    torch.testing.assert_close(copy(x), E(x))


def test_gradients_reach_every_weight():
    E, D = Enlarger(4, width=6, size=(16, 16)), PatchDiscriminator(width=4)
    torch.nn.init.normal_(E.to_rgb.weight, std=0.1)  # at 0, it stops the other gradients
    logits = D(E(torch.randn(2, 3, 16, 16)))
    assert logits.shape == (2, 1, 8, 8)
    logits.square().sum().backward()
    for network in (E, D):
        for name, parameter in network.named_parameters():
            assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


def test_the_discriminator_limits_its_slope():
    D = PatchDiscriminator(width=4)
    for _ in range(30):  # each forward pass refines the estimate of the largest singular value
        D(torch.zeros(1, 3, 16, 16))
    for layer in D.layers:
        if isinstance(layer, torch.nn.Conv2d):
            largest = torch.linalg.matrix_norm(layer.weight.detach().flatten(1), ord=2)
            assert largest == pytest.approx(1, abs=0.02)


def test_patches_of_paintings_are_pairs_and_each_place_and_side_occurs():
    small, large = numbered(5, 10, 12, factor=4)
    rows = np.array([0, 2, 3])
    seen, mirrored = set(), 0
    for step in range(40):
        patches = patch_batch(large, small, small, rows, step=step, batch_size=3, side=8, seed=1)
        assert patches.large.shape == (3, 3, 32, 32)
        assert patches.small.shape == patches.generated.shape == (3, 3, 8, 8)
        assert patches.noise.shape == (6, 1, 8, 8)
        torch.testing.assert_close(F.avg_pool2d(patches.large, 4), patches.small)
        for patch in patches.small:
            pixels = ((patch + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()
            found = [
                (row, top, left, flip)
                for row in range(5)
                for top in range(3)
                for left in range(5)
                for flip in (False, True)
                if np.array_equal(
                    pixels, small[row, top : top + 8, left : left + 8][:, :: -1 if flip else 1]
                )
            ]
            assert len(found) == 1
            seen.add(found[0][:3])
            mirrored += found[0][3]
    assert {row for row, _, _ in seen} == {0, 2, 3}  # each step, each painting once: 40 times
    assert {(top, left) for _, top, left in seen} == {(t, f) for t in range(3) for f in range(5)}
    assert 40 < mirrored < 80


def test_patches_depend_on_seed_and_step_and_processes_share_them():
    small, large = numbered(4, 8, 8, factor=2)

    def batch(step=0, seed=0, share=slice(None)):
        return patch_batch(
            large, small, small, np.arange(4),
            step=step, batch_size=6, side=6, seed=seed, share=share,
        )  # fmt: skip

    whole, same = batch(), batch()
    for a, b in zip(whole, same, strict=True):
        assert torch.equal(a, b)
    for other in (batch(step=1), batch(seed=1)):
        assert not torch.equal(whole.small, other.small)
        assert not torch.equal(whole.generated, other.generated)
    parts = [batch(share=slice(0, 3)), batch(share=slice(3, 6))]
    for name in ("large", "small", "generated", "others"):
        assert torch.equal(getattr(whole, name), torch.cat([getattr(p, name) for p in parts]))
    of_parts = [part.noise.unflatten(0, (2, 3)) for part in parts]
    assert torch.equal(whole.noise.unflatten(0, (2, 6)), torch.cat(of_parts, dim=1))


def test_the_loss_of_a_hand_computed_case():
    small, generated = torch.full((1, 3, 2, 2), 0.5), torch.full((1, 3, 2, 2), -0.5)
    noise = torch.zeros(2, 1, 2, 2)
    patches = Patches(torch.full((1, 3, 8, 8), 0.25), small, generated, generated, noise)
    enlarged = torch.cat([torch.full((1, 3, 8, 8), 0.75), torch.full((1, 3, 8, 8), -0.5)])
    loss = enlarger_loss(torch.tensor([1.0, 3.0]), enlarged, patches)
    # Details: |0.75 - 0.25|. Reduced: |0.75 - 0.5| for one of two images.
    torch.testing.assert_close(loss, EnlargerLoss(*map(torch.tensor, (-2.0, 0.5, 0.125))))
    assert loss.total().item() == pytest.approx(-0.1 + 0.5 + 5 * 0.125)


def test_an_enlarger_learns_details_that_interpolation_lacks():
    """Here the paintings have squares with sharp edges, which interpolation blurs."""
    torch.manual_seed(0)
    squares = F.interpolate(torch.rand(8, 3, 6, 6) * 2 - 1, scale_factor=4)
    small = reduce(squares, 12)
    patches = Patches(squares[:4], small[:4], small[4:], squares[4:], torch.zeros(8, 1, 12, 12))
    E = Enlarger(2, width=16, size=(12, 12))
    before = (E(small) - squares).abs().mean((1, 2, 3))
    optimizer = torch.optim.Adam(E.parameters(), 5e-3)
    for _ in range(100):
        loss = enlarger_loss(torch.zeros(8), E(small), patches)
        optimizer.zero_grad()
        loss.total().backward()
        optimizer.step()
    after = (E(small) - squares).abs().mean((1, 2, 3))
    assert (after < before / 2).all()  # of the generated ones, too, whose squares it did not see
