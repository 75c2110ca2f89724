import subprocess
import sys

ALL = """
import sys
import brushwork.classifier.identify
assert "timm" in sys.modules and "torchvision" in sys.modules
assert "torch._dynamo" not in sys.modules, "the compiler was loaded"

import torch, torchvision
from brushwork.models.quick_timm import timm
assert timm.create_model("test_resnet", pretrained=False)(torch.zeros(1, 3, 64, 64)).shape[0] == 1
boxes = torchvision.ops.roi_align(torch.ones(1, 1, 8, 8), [torch.tensor([[0.0, 0, 4, 4]])], 2)
assert boxes.eq(1).all()

# Whoever compiles gets the real one.
from torchvision.ops import roi_align
answer = roi_align.is_compile_supported("cpu") if hasattr(roi_align, "is_compile_supported") else 0
import torch._dynamo.utils
assert torch._dynamo.utils.__file__ and answer in (0, 1)
assert torch.compiler.disable.__module__ == "torch.compiler"
assert torch.compile(torch.sin, backend="eager")(torch.zeros(1)) == 0
"""


def test_the_compiler_is_loaded_when_it_is_needed_and_not_before():
    done = subprocess.run([sys.executable, "-c", ALL], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


def test_without_it_nothing_is_changed():
    order = "import torch._dynamo, sys; import brushwork.backbones.lazy_timm; "
    order += "import torch._dynamo.utils as u; assert u.__file__ and 'timm' in sys.modules"
    done = subprocess.run(
        [sys.executable, "-c", order], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
