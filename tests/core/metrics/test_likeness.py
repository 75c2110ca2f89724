"""What a glance at fakes says of them, for fakes with one known fault each."""

import re

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from brushwork.data.batches import to_unit_range
from brushwork.data.sources.synthetic import synthetic_paintings
from brushwork.metrics.likeness import likeness, look


@pytest.fixture(scope="module")
def paintings():
    source = synthetic_paintings(128)
    pictures = [source.read(row).convert("RGB").resize((64, 64)) for row in range(128)]
    images = torch.from_numpy(np.stack([np.asarray(picture) for picture in pictures]))
    return to_unit_range(images.permute(0, 3, 1, 2))


def describe(fakes, paintings):
    return likeness(look(fakes), look(paintings))


def test_other_paintings_are_alike_in_everything(paintings):
    found = describe(paintings[::2], paintings[1::2])
    assert min(found) > 0.8 and max(found) < 1.25
    for name in ("colours", "contrast", "detail"):
        assert re.search(rf"{name} \d+ % \(alike\)", str(found))
    assert str(found).endswith("(varied)")


@pytest.mark.parametrize(
    ("fault", "name", "word"),
    [
        (lambda x: F.avg_pool2d(F.pad(x, (4,) * 4, "reflect"), 9, 1), "detail", "blurred"),
        (lambda x: x + torch.randn(x.shape).mul(0.5), "detail", "grainy"),
        (lambda x: x.mean((2, 3), keepdim=True).lerp(x, 0.3), "contrast", "pale"),
        (lambda x: x[:1].expand_as(x), "variety", "nearly all the same"),
        (lambda x: -x.abs(), "colours", "different"),
    ],
)
def test_a_fault_is_named(paintings, fault, name, word):
    torch.manual_seed(0)
    found = describe(fault(paintings), paintings)
    assert word in str(found)
    assert not 0.6 < getattr(found, name) < 1.3


def test_a_training_set_of_one_colour_divides_nothing_by_zero():
    one = torch.zeros(1, 3, 32, 32)
    assert all(np.isfinite(describe(one.expand(4, -1, -1, -1), one)))
    assert max(describe(torch.rand(4, 3, 32, 32), one)) == 10
    assert "varied" in str(describe(torch.rand(4, 3, 32, 32), one))
