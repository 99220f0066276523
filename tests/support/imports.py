"""The imports of the project's modules, read from their source; TYPE_CHECKING blocks do not count."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from conftest import ROOT

from pipeline.versioning.own_code.imports import imported_names


def _name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT / "pipeline").with_suffix("").parts)


MODULES = sorted(_name(path) for path in (ROOT / "pipeline").rglob("*.py") if path.name != "__init__.py")
PACKAGES = sorted(_name(path.parent) for path in (ROOT / "pipeline").glob("*/**/__init__.py"))
STAGES = ("listing", "ingest", "manifest", "train", "evaluate")


def path_of(module: str) -> str:
    """Return the file of `module`, relative to the project."""
    return f"pipeline/{module.replace('.', '/')}.py"


def package_of(module: str) -> str:
    """Return the package that contains `module`; empty for modules directly in pipeline/."""
    return module.rpartition(".")[0]


@cache
def tree(module: str) -> ast.Module:
    """Return the syntax tree of `module`."""
    return ast.parse((ROOT / path_of(module)).read_text(encoding="utf-8"))


def names(module: str) -> Iterator[str]:
    """Yield the full names of everything that `module` imports, also inside functions."""
    assert not [node for node in ast.walk(tree(module)) if isinstance(node, ast.ImportFrom) and node.level], module
    return imported_names(tree(module), package_of(module))


@cache
def ours(module: str) -> frozenset[str]:
    """Return the project's modules that `module` imports."""
    imported = [name.removeprefix("pipeline.") for name in names(module) if name.startswith("pipeline.")]
    return frozenset(known for name in imported for known in MODULES if f"{name}.".startswith(f"{known}."))


@cache
def closure(module: str) -> frozenset[str]:
    """Return `module` and all of the project's modules that it imports, directly or indirectly."""
    found, waiting = {module}, [module]
    while waiting:
        new = ours(waiting.pop()) - found
        found |= new
        waiting += new
    return frozenset(found)
