"""Packages of the harness import only the ones below them; modules stay small enough to read in one sitting."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

HARNESS = Path(__file__).parents[1] / "harness"
LAYERS = ("model", "source", "engines", "flux", "policytest", "rules", "compliance", "report", "suite", "live", "commands", "__main__")
MODULES = sorted(path for path in HARNESS.rglob("*.py") if path.parent != HARNESS or path.stem != "__init__")
LINES = 420


def layer_of(path: Path) -> str:
    return path.relative_to(HARNESS).parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    """The packages of the harness that a module imports when it runs; imports for type checkers alone do not count."""
    found: set[str] = set()
    pending: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("harness."):
            found.add(node.module.split(".")[1])
        elif isinstance(node, ast.ImportFrom) and node.module == "harness":
            found |= {alias.name for alias in node.names}
        pending += ast.iter_child_nodes(node)
    return found


@pytest.mark.parametrize("path", [pytest.param(path, id=str(path.relative_to(HARNESS))) for path in MODULES])
def test_module_imports_only_what_is_below_it(path: Path) -> None:
    above = LAYERS[LAYERS.index(layer_of(path)) + 1 :]
    assert sorted(imported(path) & set(above)) == []


@pytest.mark.parametrize("path", [pytest.param(path, id=str(path.relative_to(HARNESS))) for path in MODULES])
def test_module_can_be_read_in_one_sitting(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LINES


def test_every_package_has_its_layer() -> None:
    packages = {path.name for path in HARNESS.iterdir() if path.is_dir() and not path.name.startswith("__")}
    assert packages <= set(LAYERS)
