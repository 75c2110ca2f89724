import copy

import pytest
import torch

from brushwork.gan.dcgan import DCGANConfig, Generator
from brushwork.training.ema import decay_after, refresh_statistics, update_ema


def test_average_halves_the_distance_after_a_half_life():
    decay = decay_after(images_seen=10**9, batch_size=50, half_life=200)
    assert decay**4 == pytest.approx(0.5)


def test_average_forgets_faster_early():
    assert (
        decay_after(640, 64, 10_000) < decay_after(6400, 64, 10_000) < decay_after(10**6, 64, 1e4)
    )


def test_weights_move_towards_the_model():
    model, average = (Generator(DCGANConfig(side=32, width=2)) for _ in range(2))
    before = copy.deepcopy(average.state_dict())
    update_ema(average, model, 0.75)
    for name, weight in average.named_parameters():
        expected = 0.75 * before[name] + 0.25 * dict(model.named_parameters())[name]
        torch.testing.assert_close(weight, expected)


def test_refreshed_statistics_are_those_of_the_inputs():
    torch.manual_seed(0)
    network = Generator(DCGANConfig(side=32, width=2))
    batches = torch.randn(3, 16, 100)
    refresh_statistics(network, [(z,) for z in batches])
    assert not network.training
    first = network.layers[0](batches.reshape(48, 100, 1, 1))
    torch.testing.assert_close(network.layers[1].running_mean, first.mean((0, 2, 3)))
    assert network.layers[1].momentum == 0.1

    again = copy.deepcopy(network.state_dict())
    refresh_statistics(network, [(z,) for z in batches])  # depends on weights and inputs alone
    assert all(torch.equal(network.state_dict()[name], again[name]) for name in again)


def test_with_refreshed_statistics_evaluation_paints_as_training_does():
    torch.manual_seed(0)
    network = Generator(DCGANConfig(side=32, width=4))
    z = torch.randn(64, 100)
    trained = network.train()(z)
    refresh_statistics(network, [(z,)])
    torch.testing.assert_close(network(z), trained, atol=0.02, rtol=0.02)
