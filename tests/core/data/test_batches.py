import numpy as np
import torch

from brushwork.data.batches import (
    batch_positions,
    latents,
    to_uint8,
    to_unit_range,
)


def test_every_painting_comes_once_per_epoch_in_a_new_order():
    steps = [batch_positions(step, 7, 20, seed=3) for step in range(20)]  # 140 = 7 epochs of 20
    epochs = np.concatenate(steps).reshape(7, 20)
    assert all(sorted(epoch) == list(range(20)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 7


def test_a_batch_may_be_larger_than_the_set():
    assert np.bincount(batch_positions(0, 12, 5, seed=0)).tolist().count(2) >= 3


def test_latents_are_standard_normal():
    z = torch.cat([latents(step, 64, 100, seed=0) for step in range(20)])
    assert abs(z.mean()) < 0.01 and abs(z.std() - 1) < 0.01


def test_uint8_survives_the_unit_range():
    every = torch.arange(256, dtype=torch.uint8)
    unit = to_unit_range(every)
    assert unit.min() == -1 and unit.max() == 1
    assert torch.equal(to_uint8(unit), every)
