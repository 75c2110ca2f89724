"""Import timm without torch's compiler, in half the time.

torchvision imports `torch._dynamo.utils` for one helper that it calls later, if ever, and timm
calls `torch.compiler.disable` on one function of NaFlexViT. Each of these loads the whole compiler,
which takes as long as all other imports that identifying a painting needs. This module replaces
both while timm is imported: the helper loads the compiler when it is called, and
`torch.compiler.disable` returns the function unchanged. To compile a NaFlexViT, import timm before
brushwork.
"""

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import torch

COMPILER, COMPILER_UTILS = "torch._dynamo", "torch._dynamo.utils"


@contextmanager
def _compiler_on_demand() -> Iterator[None]:
    if COMPILER in sys.modules:
        yield
        return

    def load_attribute(name: str) -> Any:
        if name.startswith("__"):  # code that lists all modules reads their __file__
            raise AttributeError(name)
        if sys.modules.get(COMPILER_UTILS) is stand_in:
            del sys.modules[COMPILER_UTILS]
        return getattr(importlib.import_module(COMPILER_UTILS), name)

    stand_in: Any = ModuleType(COMPILER_UTILS)
    stand_in.is_compile_supported = lambda device: load_attribute("is_compile_supported")(device)
    stand_in.__getattr__ = load_attribute  # other versions of torchvision may import other names
    compiler: Any = torch.compiler
    disable = compiler.disable
    sys.modules[COMPILER_UTILS], compiler.disable = stand_in, lambda function: function
    try:
        yield
    finally:
        compiler.disable = disable
        if sys.modules.get(COMPILER_UTILS) is stand_in:
            del sys.modules[COMPILER_UTILS]


with _compiler_on_demand():
    import timm
    import timm.models
    from timm.models import group_parameters


__all__ = ["group_parameters", "timm"]
