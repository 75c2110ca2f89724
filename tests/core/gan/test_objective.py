from contextlib import nullcontext
from itertools import combinations

import numpy as np
import pytest
import torch
from torch import nn

from brushwork.data.batches import to_unit_range
from brushwork.gan.augment import (
    GEOMETRIC_POLICIES,
    PASSES_PER_STEP,
    POLICIES,
    Augment,
    augmentation_numbers,
)
from brushwork.gan.batches import MicroBatch
from brushwork.gan.losses import LOSSES, gradient_penalty, relativistic_discriminator_loss
from brushwork.gan.matching import match_paintings
from brushwork.gan.networks import build_networks
from brushwork.gan.objective import PENALTY_EVERY, Objective, captured


class SmallDiscriminator(nn.Module):
    """A discriminator without batch normalisation, in double precision."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(
            nn.Conv2d(3, 4, 3, 2), nn.Tanh(), nn.Flatten(), nn.LazyLinear(1)
        )
        self.layers(torch.zeros(1, 3, 8, 8))
        self.double()

    def forward(self, x, y):
        return self.layers(x).flatten() + y


CPU = torch.device("cpu")


def split(num_micro_batches, num=8):
    rng = torch.Generator().manual_seed(1)
    real = torch.randint(0, 256, (num, 3, 8, 8), generator=rng, dtype=torch.uint8)
    z = torch.randn(num, 5, generator=rng)
    others = torch.randint(0, 256, (num, 3, 8, 8), generator=rng, dtype=torch.uint8)
    u = augmentation_numbers(0, num, seed=0)
    columns = (to_unit_range(real), z, torch.arange(num) % 2, u, to_unit_range(others))
    chunks = zip(*(column.chunk(num_micro_batches) for column in columns), strict=True)
    return [MicroBatch(*chunk) for chunk in chunks]


def make_fakes(parts):
    torch.manual_seed(2)
    fakes = torch.rand(sum(len(part.real) for part in parts), 3, 8, 8).double().requires_grad_()
    return fakes, fakes.split([len(part.real) for part in parts])


def both_halves(objective, num_micro_batches, step=0):
    """List the gradients of D's weights and of the fakes, D's loss and logits, and G's loss."""
    D, parts = SmallDiscriminator(), split(num_micro_batches)
    parts = [part._replace(real=part.real.double(), others=part.others.double()) for part in parts]
    if not objective.others:
        parts = [part._replace(others=None) for part in parts]
    fakes, chunks = make_fakes(parts)
    inputs = objective.fake_inputs(D, parts, chunks)
    output_D = objective.discriminator(D, parts, inputs, step, lambda loss: loss.backward())
    assert fakes.grad is None  # the discriminator's half gives G no gradients
    slopes = [p.grad.clone() for p in D.parameters()]
    D.requires_grad_(False)
    loss_G = objective.generator(
        D, parts, chunks, inputs, output_D, step, lambda loss: loss.backward()
    )
    return [*slopes, fakes.grad, output_D.loss, output_D.real_logits, loss_G]


@pytest.mark.parametrize("loss", ["logistic", "hinge", "relativistic"])
@pytest.mark.parametrize("num", [4, 3])  # three parts of eight pictures are not equal
def test_micro_batches_have_the_loss_and_gradients_of_the_whole_batch(loss, num):
    objective = Objective(loss, Augment(POLICIES), gamma=0.5, others=0.3)
    for a, b in zip(both_halves(objective, 1), both_halves(objective, num), strict=True):
        torch.testing.assert_close(a, b)


def test_the_penalties_are_added_at_every_fourth_step_four_times_as_strong():
    objective, plain = (Objective("relativistic", Augment(()), gamma) for gamma in (0.5, 0.0))
    with_penalty, without = (both_halves(o, 1)[-3] for o in (objective, plain))
    D, (part,) = SmallDiscriminator(), split(1)
    x, fake = part.real.double().requires_grad_(), make_fakes([part])[0]
    penalty = gradient_penalty(D(x, part.y), x) + gradient_penalty(D(fake, part.y), fake)
    torch.testing.assert_close(with_penalty - without, PENALTY_EVERY * 0.25 * penalty.detach())
    expected = relativistic_discriminator_loss(D(x, part.y), D(fake, part.y)).detach()
    torch.testing.assert_close(without, expected)
    torch.testing.assert_close(both_halves(objective, 1, step=1)[-3], expected)


@pytest.mark.parametrize("loss", ["hinge", "relativistic"])
def test_unselected_paintings_are_further_negatives_of_the_discriminator(loss):
    ours, without = (both_halves(Objective(loss, Augment(()), others=w), 1) for w in (0.3, 0))
    D, (part,) = SmallDiscriminator(), split(1)
    logits = [D(images.double(), part.y) for images in (part.real, part.others)]
    alone = LOSSES[loss].discriminator(*logits)
    torch.testing.assert_close(ours[-3], without[-3] + 0.3 * alone.detach())
    alone.backward()
    for slope, before, weight in zip(ours, without, D.parameters(), strict=False):
        torch.testing.assert_close(slope, before + 0.3 * weight.grad)
    torch.testing.assert_close(ours[-4], without[-4])  # the gradient of the fakes is the same


def test_the_matching_loss_is_added_to_the_generators_loss_at_every_second_step():
    plain = Objective("hinge", Augment(()))
    matched = Objective("hinge", Augment(()), match=0.5, matching=lambda fake: fake.square().sum())
    fakes, _ = make_fakes(split(1))
    for step, share in enumerate([1, 0, 1]):
        (*slopes, ours, _, _, loss), (*same, theirs, _, _, loss_without) = (
            both_halves(objective, 1, step) for objective in (matched, plain)
        )
        torch.testing.assert_close(ours - theirs, share * fakes.detach())  # of 0.5 x²
        torch.testing.assert_close([*slopes, loss], [*same, loss_without])


def test_real_and_other_images_and_fakes_are_distorted_by_other_numbers():
    seen = []

    def watch(x, _y):
        seen.append(x.detach().clone())
        return x.mean((1, 2, 3)) * torch.ones((), requires_grad=True)

    (part,) = split(1)
    part = part._replace(real=torch.ones_like(part.real), others=torch.ones_like(part.real))
    fake = torch.ones_like(part.real).requires_grad_()
    objective = Objective("hinge", Augment(("translation",)), others=1)
    inputs = objective.fake_inputs(watch, [part], [fake])
    output_D = objective.discriminator(watch, [part], inputs, 0, lambda loss: loss.backward())
    objective.generator(watch, [part], [fake], inputs, output_D, 0, lambda loss: loss.backward())
    real, fake_for_D, other, fake_for_G = seen
    assert torch.equal(fake_for_D, fake_for_G)
    assert len({id(x) for x in (real, fake_for_D, other)}) == PASSES_PER_STEP
    assert not any(torch.equal(a, b) for a, b in combinations((real, fake_for_D, other), 2))


def test_ada_follows_the_logits_of_the_real_images():
    augment = Augment(adaptive=True)
    for step in range(1, 9):
        augment.observe(torch.ones(500), step, batch_size=1000)
    assert augment.probability.item() == pytest.approx(8 * 1000 / 100_000)
    for step in range(9, 13):
        augment.observe(-torch.ones(500), step, batch_size=1000)
    assert augment.probability.item() == pytest.approx(4 * 1000 / 100_000)
    fixed = Augment()
    fixed.observe(torch.ones(4), 4, 4)
    assert fixed.probability == 1


BACKBONE = {"backbone": "test_resnet:none"}


@pytest.mark.parametrize(
    ("networks", "terms"),
    [
        ({"model": "dcgan"}, {"loss": "logistic"}),
        (
            {"model": "modern", "classes": ("a", "b")},
            {"loss": "relativistic", "gamma": 1.0, "others": 0.5, "adaptive": True},
        ),
        ({"model": "modern", **BACKBONE}, {"match": 0.1}),
    ],
)
def test_each_kind_of_step_is_one_graph_without_the_host_and_gives_the_same(networks, terms):
    torch._dynamo.reset()
    pixels = np.random.default_rng(0).integers(0, 256, (12, 32, 32, 3), dtype=np.uint8)
    part = MicroBatch(
        real=to_unit_range(torch.from_numpy(pixels[:8]).permute(0, 3, 1, 2)),
        z=torch.randn(8, 100),
        y=torch.arange(8) % 2,
        u=augmentation_numbers(0, 8, seed=0),
        others=torch.zeros(8, 3, 32, 32) if "others" in terms else None,
    )
    results = []
    for compiles in (False, True):
        torch.manual_seed(0)
        G, D = build_networks(side=32, width=2, **networks)
        settings = {"loss": "hinge", **terms}
        adaptive = settings.pop("adaptive", False)
        augment = Augment(GEOMETRIC_POLICIES if adaptive else POLICIES, adaptive)
        if "match" in settings:
            settings["matching"] = match_paintings(D, pixels, np.arange(12), nullcontext, CPU)
        objective = Objective(augment=augment, **settings)
        if compiles:
            objective = captured(objective, G, backend="eager")
        for step in (0, 1):
            fakes = [G(part.z, part.y)]
            inputs = objective.fake_inputs(D, [part], fakes)
            D.requires_grad_(True)
            output_D = objective.discriminator(D, [part], inputs, step, torch.Tensor.backward)
            D.requires_grad_(False)
            loss = objective.generator(
                D, [part], fakes, inputs, output_D, step, torch.Tensor.backward
            )
            augment.observe(output_D.real_logits, step, batch_size=8)
        gradients = [p.grad for net in (G, D) for p in net.parameters() if p.grad is not None]
        results.append([loss, output_D.loss, *gradients, *objective.augment.buffers()])
    torch.testing.assert_close(*results, rtol=1e-3, atol=1e-4)
