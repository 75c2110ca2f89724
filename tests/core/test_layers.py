"""The import graph of the library: packages in layers, no cycles."""

import ast
from collections import deque
from pathlib import Path

import pytest

import brushwork

ROOT = Path(brushwork.__file__).parent

# A module imports from packages on earlier lines, and from its own. docs/architecture.md shows the
# same order.
LAYERS = [
    ["errors"],
    ["exports", "names", "machine"],
    ["files"],
    ["checkpoint"],
    ["training"],
    ["data"],
    ["backbones"],
    ["metrics"],
    ["report"],
    ["classifier"],
    ["spaces"],
    ["gan"],
    ["runtime"],
    ["engine", "export"],
    ["reproduction"],
]


def modules() -> dict[str, Path]:
    """Name every module of the library, without `brushwork.` in front; "" is the package."""
    found = {}
    for file in ROOT.rglob("*.py"):
        parts = file.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


MODULES = modules()


def imported_by(module: str) -> set[str]:
    """List the library's modules that a module imports, inside functions too."""
    found = set()
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module} has a relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            if name.split(".")[0] == "brushwork":
                inside = name.split(".")[1:]
                # The name may be a module, or something in the module or package before it.
                while inside and ".".join(inside) not in MODULES:
                    inside.pop()
                if inside:
                    found.add(".".join(inside))
    return found - {module}


GRAPH = {module: imported_by(module) for module in MODULES if module}


def layer_of(module: str) -> int:
    package = module.split(".")[0]
    return next(number for number, packages in enumerate(LAYERS) if package in packages)


def test_every_package_has_a_layer():
    packages = {module.split(".")[0] for module in GRAPH}
    assert packages == {package for layer in LAYERS for package in layer}


def test_the_graph_is_not_empty():
    assert "data.readers" in GRAPH["data.decode"]
    assert "gan.backbone_discriminator" in GRAPH["gan.networks"], "imports in functions count"


@pytest.mark.parametrize("module", sorted(GRAPH))
def test_imports_point_down(module):
    package, layer = module.split(".")[0], layer_of(module)
    for other in GRAPH[module]:
        same_package = other.split(".")[0] == package
        assert same_package or layer_of(other) < layer, f"{module} imports {other} from above"


def test_no_module_imports_itself_by_way_of_others():
    for start in GRAPH:
        reached, waiting = set(), deque(GRAPH[start])
        while waiting:
            module = waiting.popleft()
            assert module != start, f"{start} imports itself by way of others: {sorted(reached)}"
            if module not in reached:
                reached.add(module)
                waiting.extend(GRAPH[module])


def test_the_library_imports_neither_a_command_line_nor_a_page():
    for module, file in MODULES.items():
        for node in ast.walk(ast.parse(file.read_text())):
            names = (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else []
            )
            tops = {name.split(".")[0] for name in names}
            assert not tops & {"tyro", "gradio", "brushwork_demo", "experiments"}, module
