"""The structure of the code: imports go down only, and docs/design.md lists the packages."""

import ast
import re
import subprocess
import sys
from collections import Counter
from graphlib import TopologicalSorter
from pathlib import Path
from statistics import median

import pytest
from conftest import ROOT
from support.imports import MODULES, PACKAGES, STAGES, closure, names, ours, package_of, tree

FLOOR = {
    *("params", "param_types", "param_errors", "augment_params", "train_params"),
    *("paths", "errors", "files", "ids", "parquet", "text", "git", "locking", "result", "signals", "ray_cluster"),
}
TOP = {"cli", "__main__"}
# The packages that each package may import, besides the base modules and itself.
BELOW: dict[str, set[str]] = {
    "versioning": set(),
    "pages": set(),
    "handover": {"versioning"},
    "images": {"versioning"},
    "models": {"versioning"},
    "lineage": {"versioning"},
    "features": {"versioning", "images", "models"},
    "ingestion": {"versioning", "handover", "images", "lineage"},
    "training": {"versioning", "handover", "images", "lineage", "models", "features"},
    "evaluation": {"versioning", "pages", "images", "lineage", "models", "features"},
    "splits": {"versioning", "ingestion", "lineage"},
    "commands": {
        "versioning",
        "handover",
        "pages",
        "images",
        "lineage",
        "models",
        "ingestion",
        "training",
        "evaluation",
        "splits",
    },
}


def room_of(module: str) -> str:
    """Return the top-level package of a module; the module's own name if it is directly in pipeline/."""
    return module.partition(".")[0]


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_down(module: str) -> None:
    """Base modules import no packages, packages only lower ones, stages no other stages; commands are at the top."""
    room = room_of(module)
    imported = {room_of(name) for name in ours(module)} - FLOOR - {room}
    if module in FLOOR:
        assert not imported
    elif module in STAGES:
        assert imported <= set(BELOW) - {"commands"}
    elif module not in TOP:
        assert imported <= BELOW[room]


def test_no_cycles_of_modules() -> None:
    """There are no import cycles between modules, including imports inside functions."""
    list(TopologicalSorter({module: ours(module) for module in MODULES}).static_order())


def test_no_cycles_of_packages() -> None:
    """There are no import cycles between packages."""
    graph: dict[str, set[str]] = {}
    for module in MODULES:
        here = package_of(module) or module
        graph.setdefault(here, set()).update({package_of(name) or name for name in ours(module)} - {here})
    list(TopologicalSorter(graph).static_order())


def test_every_module_is_used() -> None:
    """Every module is used by a stage or by the command line."""
    assert set().union(*map(closure, (*STAGES, *TOP))) == set(MODULES)


@pytest.mark.parametrize("package", PACKAGES)
def test_packages(package: str) -> None:
    """A package has two to fifteen modules; its `__init__` contains only a docstring."""
    initial = tree(f"{package}.__init__")
    assert ast.get_docstring(initial)
    assert len(initial.body) == 1
    assert 2 <= sum(package_of(module) == package for module in MODULES) <= 15


@pytest.mark.parametrize("module", MODULES)
def test_modules_are_short(module: str) -> None:
    """No module is longer than 250 lines."""
    assert len((ROOT / "pipeline" / f"{module.replace('.', '/')}.py").read_text().splitlines()) <= 250


def test_no_two_classes_share_a_name() -> None:
    """No two classes have the same name."""
    classes = [node.name for module in MODULES for node in ast.walk(tree(module)) if isinstance(node, ast.ClassDef)]
    assert not [name for name, count in Counter(classes).items() if count > 1]


def test_design_lists_the_rooms() -> None:
    """docs/design.md starts with a table of all packages, and of all modules directly in pipeline/."""
    opening, _, _ = (ROOT / "docs/design.md").read_text(encoding="utf-8").partition("\n## ")
    rows = [row.split("|")[1] for row in opening.splitlines() if row.startswith("| `")]
    listed = [name for row in rows for name in re.findall(r"`([^`]+)`", row)]
    packages = [f"{package.replace('.', '/')}/" for package in PACKAGES]
    assert sorted(listed) == sorted([*packages, *(f"{module}.py" for module in MODULES if not package_of(module))])


@pytest.mark.parametrize("module", sorted(set(MODULES) - (closure("train") - closure("evaluate"))))
def test_only_training_imports_lightning(module: str) -> None:
    """Only training imports Lightning."""
    assert not [name for name in names(module) if name.split(".")[0] in ("lightning", "pytorch_lightning")]


@pytest.mark.parametrize("module", sorted(closure("ingest") | closure("manifest")))
def test_data_stages_import_no_torch(module: str) -> None:
    """Ingest and manifest never import PyTorch, not even inside functions."""
    assert not [name for name in names(module) if name.split(".")[0] in ("torch", "lightning", "sklearn")]


@pytest.mark.parametrize(
    ("stage", "heavy"),
    [
        ("ingest", ("torch", "lightning", "pandas", "sklearn", "dvc")),
        ("manifest", ("torch", "lightning", "sklearn", "dvc")),
        ("evaluate", ("lightning",)),
    ],
)
def test_stages_start_fast(stage: str, heavy: tuple[str, ...]) -> None:
    """Starting a stage imports no slow library that it does not need, and no code of other stages."""
    code = f"import sys; import pipeline.{stage}; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True)
    loaded = set(ran.stdout.split())
    assert not loaded & set(heavy)
    assert {name.removeprefix("pipeline.") for name in loaded if name.startswith("pipeline.")} <= {
        *closure(stage),
        *PACKAGES,
    }


def test_no_package_for_tests_alone() -> None:
    """The folders of tests are named like the packages, or contracts, scenarios, support and floor."""
    folders = {path.relative_to(ROOT / "tests").as_posix() for path in (ROOT / "tests").rglob("*") if path.is_dir()}
    folders = {
        folder for folder in folders if "__pycache__" not in folder and any((ROOT / "tests" / folder).glob("*.py"))
    }
    packages = {package.replace(".", "/") for package in PACKAGES}
    assert folders <= packages | {"contracts", "scenarios", "support", "floor"}
    assert not list(Path(ROOT / "tests").glob("test_[!ilmte]*.py"))


def _functions(module: str) -> list[int]:
    """Yield the lengths in lines of the functions of `module`, without decorators."""
    nodes = (node for node in ast.walk(tree(module)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return [(node.end_lineno or node.lineno) - node.lineno + 1 for node in nodes]


@pytest.mark.parametrize("module", MODULES)
def test_functions_are_short(module: str) -> None:
    """No function is longer than 40 lines."""
    assert max(_functions(module), default=0) <= 40


def test_most_functions_are_very_short() -> None:
    """Half of the functions are shorter than 10 lines."""
    assert median(length for module in MODULES for length in _functions(module)) < 10
