"""Public names that load on first use, so that importing a package of brushwork is fast."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from brushwork.errors import install


def lazy_exports(
    package: str, modules: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Make the `__getattr__`, `__dir__` and `__all__` of a package whose names load on first use.

    A package's `__init__` has these lines; the imports for type checkers repeat each name once:

        if TYPE_CHECKING:
            from brushwork.gan.generator import PaintingGenerator as PaintingGenerator

        __getattr__, __dir__, __all__ = lazy_exports(
            __name__, {"PaintingGenerator": "brushwork.gan.generator"}
        )

    A name must differ from the package's own modules: once imported, a module hides the name.
    lazy_loader does the same, but would be one more dependency for ten lines.

    Args:
        package: the package's `__name__`.
        modules: for each public name, the full name of the module that defines it.

    Returns:
        `__getattr__` and `__dir__` (PEP 562), and the sorted list of public names.
    """

    def load(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        try:
            return getattr(import_module(modules[name]), name)
        except ModuleNotFoundError as error:
            if error.name != "torch":
                raise
            raise ModuleNotFoundError(
                f"{package}.{name} needs torch: {install('brushwork[torch]')}; without it, "
                "brushwork.runtime opens exported checkpoints",
                name="torch",
            ) from error

    def list_names() -> list[str]:
        return sorted({*vars(import_module(package)), *modules})

    return load, list_names, sorted(modules)
