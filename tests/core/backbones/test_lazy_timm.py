"""timm is imported without torch's compiler; a fresh process shows it, which all tests share."""

import subprocess
import sys

import pytest

CHECKS = """
import sys
import brushwork.classifier.identify
assert "timm" in sys.modules and "torchvision" in sys.modules
assert "torch._dynamo" not in sys.modules, "the compiler was loaded"

import torch, torchvision
from brushwork.backbones.lazy_timm import _compiler_on_demand, timm
assert timm.create_model("test_resnet", pretrained=False)(torch.zeros(1, 3, 64, 64)).shape[0] == 1
boxes = torchvision.ops.roi_align(torch.ones(1, 1, 8, 8), [torch.tensor([[0.0, 0, 4, 4]])], 2)
assert boxes.eq(1).all()
print("imported without the compiler")

from torchvision.ops import roi_align
answer = roi_align.is_compile_supported("cpu") if hasattr(roi_align, "is_compile_supported") else 0
import torch._dynamo.utils
assert torch._dynamo.utils.__file__ and answer in (0, 1)
assert torch.compiler.disable.__module__ == "torch.compiler"
assert torch.compile(torch.sin, backend="eager")(torch.zeros(1)) == 0
print("loaded the compiler when it was needed")

disable, utils = torch.compiler.disable, torch._dynamo.utils
with _compiler_on_demand():
    assert torch.compiler.disable is disable and sys.modules["torch._dynamo.utils"] is utils
assert torch.compiler.disable is disable and sys.modules["torch._dynamo.utils"] is utils
print("left a loaded compiler as it is")
"""


@pytest.fixture(scope="module")
def process():
    return subprocess.run(
        [sys.executable, "-c", CHECKS], capture_output=True, text=True, timeout=300
    )


@pytest.mark.parametrize(
    "claim",
    [
        "imported without the compiler",
        "loaded the compiler when it was needed",
        "left a loaded compiler as it is",
    ],
)
def test_timm_is_imported_without_the_compiler(process, claim):
    assert claim in process.stdout, process.stderr
