import pytest
import torch
from torch import nn

from brushwork.errors import BrushworkError
from brushwork.precision import choose_precision


@pytest.mark.parametrize(("capability", "chosen"), [("avx512_bf16", "bf16"), ("avx2", "no")])
def test_auto_is_bf16_only_where_the_processor_has_it(monkeypatch, capability, chosen):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {capability: True})
    assert choose_precision("auto") == chosen


def test_auto_leaves_depthwise_networks_in_float32_on_cpus(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
    depthwise, plain = (nn.Sequential(nn.Conv2d(8, 8, 3, groups=g)) for g in (8, 1))
    assert choose_precision("auto", depthwise) == "no"
    assert choose_precision("auto", plain) == "bf16"
    assert choose_precision("bf16", depthwise) == "bf16"


def test_fp16_without_a_gpu_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(BrushworkError, match="needs a GPU"):
        choose_precision("fp16")


def test_what_is_asked_for_is_given():
    assert choose_precision("no") == "no"
    assert choose_precision("bf16") == "bf16"
