import math

import pytest
import torch

from brushwork.training.schedule import learning_rate_factor, scale_learning_rates


def test_without_warm_up_and_decay_the_rate_is_constant():
    assert {learning_rate_factor(step, math.inf) for step in (0, 1, 10**6)} == {1.0}


def test_it_rises_linearly_then_stays():
    factors = [learning_rate_factor(step, math.inf, warmup=4) for step in range(6)]
    assert factors == [0.25, 0.5, 0.75, 1, 1, 1]


def test_a_cosine_is_half_way_down_in_the_middle_and_trains_to_the_end():
    factors = [learning_rate_factor(step, 100, warmup=20, decay="cosine") for step in range(100)]
    assert factors[20] == 1 and factors[60] == pytest.approx(0.5)
    assert factors[40] == pytest.approx((1 + math.cos(math.pi / 4)) / 2)
    assert factors[20:] == sorted(factors[20:], reverse=True) and factors[-1] > 0


def test_it_falls_with_whatever_ends_the_training_first():
    falls = {"warmup": 2, "decay": "linear"}
    assert learning_rate_factor(50, math.inf, share_of_time=0.75, **falls) == 0.25
    assert learning_rate_factor(52, 102, share_of_time=0.25, **falls) == 0.5
    assert learning_rate_factor(52, 102, share_of_time=0.75, **falls) == 0.25
    assert learning_rate_factor(10, math.inf, share_of_time=1.1, **falls) == 0


def test_each_group_keeps_its_own_rate_and_the_factor_does_not_pile_up():
    weights = [torch.nn.Parameter(torch.zeros(1)) for _ in range(2)]
    groups = [{"params": [w], "lr": lr} for w, lr in zip(weights, (0.2, 0.8), strict=True)]
    optimizer = torch.optim.Adam(groups)
    for factor in (0.5, 0.5, 0.25):
        scale_learning_rates(optimizer, factor)
    assert [group["lr"] for group in optimizer.param_groups] == [0.05, 0.2]
