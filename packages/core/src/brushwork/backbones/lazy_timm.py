"""timm, imported in half of the time.

While they are imported, torchvision asks torch's compiler for a question that it may put to it
later, and timm exempts a function of NaFlexViT from it. Either loads the whole compiler, which is
as long as all else that identifying a picture needs. Here the question is put when it comes
up, and nothing is exempted; import timm before brushwork to compile a NaFlexViT.
"""

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import torch

COMPILER, QUESTIONS = "torch._dynamo", "torch._dynamo.utils"


@contextmanager
def _compiler_put_off() -> Iterator[None]:
    if COMPILER in sys.modules:
        yield
        return

    def real(name: str) -> Any:
        if name.startswith("__"):  # whoever looks through all modules asks for their files
            raise AttributeError(name)
        if sys.modules.get(QUESTIONS) is stand_in:
            del sys.modules[QUESTIONS]
        return getattr(importlib.import_module(QUESTIONS), name)

    stand_in: Any = ModuleType(QUESTIONS)
    stand_in.is_compile_supported = lambda device: real("is_compile_supported")(device)
    stand_in.__getattr__ = real  # another version of torchvision may ask for more
    compiler: Any = torch.compiler
    disable = compiler.disable
    sys.modules[QUESTIONS], compiler.disable = stand_in, lambda function: function
    try:
        yield
    finally:
        compiler.disable = disable
        if sys.modules.get(QUESTIONS) is stand_in:
            del sys.modules[QUESTIONS]


with _compiler_put_off():
    import timm
    import timm.models
    from timm.models import group_parameters


__all__ = ["group_parameters", "timm"]
