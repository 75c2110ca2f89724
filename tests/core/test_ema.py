import copy

import pytest
import torch

from brushwork.ema import decay_after, update_ema
from brushwork.models.dcgan import DCGANConfig, Generator


def test_average_halves_the_distance_after_a_half_life():
    decay = decay_after(images_seen=10**9, batch_size=50, half_life=200)
    assert decay**4 == pytest.approx(0.5)


def test_average_forgets_faster_early():
    assert (
        decay_after(640, 64, 10_000) < decay_after(6400, 64, 10_000) < decay_after(10**6, 64, 1e4)
    )


def test_weights_and_running_statistics_move_counters_are_copied():
    model = Generator(DCGANConfig(side=32, width=2))
    average = copy.deepcopy(model)
    model(torch.randn(4, 100))  # moves the running statistics
    with torch.no_grad():
        for p in model.parameters():
            p.add_(1)
    before = copy.deepcopy(average.state_dict())
    update_ema(average, model, 0.75)
    for name, value in average.state_dict().items():
        new = model.state_dict()[name]
        expected = 0.75 * before[name] + 0.25 * new if new.is_floating_point() else new
        torch.testing.assert_close(value, expected)
