"""What eyes forget: files that must agree with each other."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT
from ruamel.yaml import YAML

from pipeline.params import FREE, Params, Section, Train, read_params
from pipeline.report import shown_params

VERBS = ("ingest", "manifest", "train", "evaluate")
FLOOR: dict[str, set[str]] = {"errors": set(), "paths": {"errors"}, "params": {"errors", "paths"}}
ABOVE = (
    "cli",
    "__main__",
    "commands",
    *(f"commands.{path.stem}" for path in (ROOT / "pipeline/commands").glob("[!_]*.py")),
)
MODULES = sorted({path.stem for path in (ROOT / "pipeline").glob("*.py")} - {"__init__"} | {*ABOVE})
# The folders that modules read beside themselves.
READS = {"report": "pipeline/templates"}
STAGES: dict[str, dict[str, Any]] = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]


def tree(module: str) -> ast.Module:
    """The syntax tree of one of our modules."""
    path = ROOT / "pipeline" / module.replace(".", "/")
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return ast.parse(file.read_text(encoding="utf-8"))


def run_time(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes that run, be it late: all but what is for type checkers only."""
    yield node
    if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
        children: list[ast.AST] = list(node.orelse)
    else:
        children = list(ast.iter_child_nodes(node))
    for child in children:
        yield from run_time(child)


def names(module: str) -> Iterator[str]:
    """The full names of what `module` imports, inside functions too."""
    for node in run_time(tree(module)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively"
            assert node.module is not None
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@cache
def ours(module: str) -> frozenset[str]:
    """Our modules that `module` imports."""
    imported = [name.removeprefix("pipeline.") for name in names(module) if name.startswith("pipeline.")]
    return frozenset(known for name in imported for known in MODULES if f"{name}.".startswith(f"{known}."))


@cache
def closure(module: str) -> frozenset[str]:
    """`module`, and all that it imports of ours, directly or not."""
    found, waiting = {module}, [module]
    while waiting:
        new = ours(waiting.pop()) - found
        found |= new
        waiting += new
    return frozenset(found)


def paths_of(entries: list[Any]) -> dict[str, dict[str, Any]]:
    """The flags of a stage's outputs by path."""
    flags: dict[str, dict[str, Any]] = {}
    for entry in entries:
        flags |= {entry: {}} if isinstance(entry, str) else entry
    return flags


def params_of(stage: str) -> list[str]:
    """The params that a stage depends on, all of them of params.yaml."""
    entries = STAGES[stage].get("params", [])
    return [name for entry in entries for name in ([entry] if isinstance(entry, str) else entry["params.yaml"])]


def test_stages() -> None:
    """Each verb is a stage that the runner runs, and nothing else is a stage."""
    assert tuple(STAGES) == VERBS
    assert {name: stage["cmd"] for name, stage in STAGES.items()} == {
        name: f"python -m pipeline run {name}" for name in VERBS
    }


@pytest.mark.parametrize("stage", VERBS)
def test_deps_are_the_code_that_a_stage_runs(stage: str) -> None:
    """The code among a stage's dependencies is all that its module imports of ours, sorted."""
    deps = [dep for dep in STAGES[stage]["deps"] if dep.startswith("pipeline/")]
    expected = sorted(["pipeline/__init__.py", *(f"pipeline/{module}.py" for module in closure(stage))])
    assert deps == [*expected, *(READS[module] for module in sorted(closure(stage) & set(READS)))]


def test_templates_are_part_of_the_code() -> None:
    """What is no Python in pipeline/ lies in a folder that a module reads, of which its stages know."""
    listed = subprocess.run(
        ["git", "ls-files", "pipeline"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    other = {str(Path(name).parent) for name in listed.splitlines() if not name.endswith(".py")}
    assert other <= set(READS.values())
    for module, folder in READS.items():
        assert f'Path(__file__).parent / "{Path(folder).name}"' in ast.unparse(tree(module)).replace("'", '"')


@pytest.mark.parametrize("module", MODULES)
def test_nothing_imports_a_verb(module: str) -> None:
    """Verbs stand above everything but `cli`, and never on each other."""
    if module not in ABOVE:
        assert not ours(module) & {*VERBS, *ABOVE}


@pytest.mark.parametrize("module", FLOOR)
def test_floor(module: str) -> None:
    """The floor imports nothing of ours but itself."""
    assert ours(module) <= FLOOR[module]


def test_no_cycles() -> None:
    """Imports, those inside functions included, go round in no circle."""
    list(TopologicalSorter({module: ours(module) for module in MODULES}).static_order())


def test_every_module_is_used() -> None:
    """No module is left that no stage needs."""
    used = set().union(*(closure(verb) for verb in VERBS), *(closure(module) for module in ABOVE if module in MODULES))
    assert used == set(MODULES)


@pytest.mark.parametrize("module", sorted(set(MODULES) - (closure("train") - closure("evaluate"))))
def test_only_training_imports_lightning(module: str) -> None:
    """Nothing that another stage runs imports Lightning."""
    assert not [name for name in names(module) if name.split(".")[0] in ("lightning", "pytorch_lightning")]


@pytest.mark.parametrize("module", sorted(closure("ingest") | closure("manifest")))
def test_data_stages_import_no_torch(module: str) -> None:
    """Nothing that ingest or manifest run imports PyTorch, not even late."""
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
    """Starting a stage loads no library that takes seconds and that it does not need, nor code of ours but its deps."""
    code = f"import sys; import pipeline.{stage}; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True)
    loaded = set(ran.stdout.split())
    assert not loaded & set(heavy)
    assert {name.removeprefix("pipeline.") for name in loaded if name.startswith("pipeline.")} <= closure(stage)


@pytest.mark.parametrize("stage", VERBS)
def test_params_of_stages(stage: str) -> None:
    """A stage depends on its own section where it has one, on other sections' keys one by one, never on `compute`."""
    params = params_of(stage)
    if stage == "train":
        own = {f"train.{name}" for name in Train.model_fields if name not in FREE}
        assert {param for param in params if param.startswith("train")} == own
    else:
        assert (stage in params) == (stage in Params.model_fields)
    for param in params:
        section, _, key = param.partition(".")
        assert section != "compute"
        assert key or section == stage
        values = YAML(typ="safe").load(ROOT / "params.yaml")
        for part in param.split("."):
            values = values[part]


@pytest.mark.parametrize("stage", VERBS)
def test_params_that_a_stage_reads_are_among_its_params(stage: str) -> None:
    """What a stage's own module reads of the params, `compute` apart, DVC knows of."""
    text = (ROOT / f"pipeline/{stage}.py").read_text(encoding="utf-8")
    listed = set(params_of(stage))
    for section, key in re.findall(r"params\.(ingest|manifest|train|evaluate|compute)\.(\w+)", text):
        assert section == "compute" or key in FREE or section in listed or f"{section}.{key}" in listed, (
            f"{section}.{key}"
        )


def test_params_on_the_page() -> None:
    """The report shows the params that evaluate depends on, and no others."""
    shown = set(shown_params(read_params(ROOT / "params.yaml")))
    listed = params_of("evaluate")
    assert all(any(f"{name}.".startswith(f"{param}.") for param in listed) for name in shown)
    assert all(any(f"{name}.".startswith(f"{param}.") for name in shown) for param in listed)


def sections(section: type[Section] = Params, prefix: str = "") -> Iterator[tuple[str, type[Section]]]:
    """Every section by its dotted name, all of them first."""
    yield prefix, section
    for name, field in section.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            yield from sections(field.annotation, f"{prefix}.{name}".strip("."))


@pytest.mark.parametrize(("name", "section"), list(sections()))
def test_params_file_and_classes_agree(name: str, section: type[Section]) -> None:
    """params.yaml has the keys of the classes, in their order, and each value's class has a sentence on it."""
    values = YAML(typ="safe").load(ROOT / "params.yaml")
    for part in filter(None, name.split(".")):
        values = values[part]
    assert list(values) == list(section.model_fields)
    assert section.__doc__
    for key, field in section.model_fields.items():
        assert field.is_required(), f"{key} has a default, which DVC would not see"
        if section is not Params:
            assert field.description, f"{key} has no sentence"
            assert field.description.rstrip().endswith(".")


@pytest.mark.parametrize(
    ("stage", "kind", "expected"),
    [
        ("ingest", "outs", {"data/images": {"persist": True}}),
        (
            "manifest",
            "outs",
            {
                "data/manifest/train.csv": {"persist": True},
                "data/manifest/val.csv": {"persist": True},
                "data/manifest/test.csv": {"persist": True},
                "data/manifest/slices.csv": {"persist": True},
                "data/manifest/leaks.csv": {"persist": True},
                "data/manifest/changes.csv": {"persist": True},
                "data/manifest/merged.csv": {"persist": True},
                "data/base": {"persist": True},
            },
        ),
        ("train", "outs", {"data/model": {}, "data/environment.json": {}}),
    ],
)
def test_outputs(stage: str, kind: str, expected: dict[str, dict[str, bool]]) -> None:
    """data/base persists, which keeps it out of the run cache; data/model does not, and is cached."""
    assert paths_of(STAGES[stage][kind]) == expected
    assert not {"metrics"} & set(STAGES[stage])
    assert list(paths_of(STAGES[stage].get("plots", []))) == (["data/curves"] if stage == "train" else [])


def test_metrics_are_kept_by_git() -> None:
    """Metrics and lineage are not cached, so that Git shows them; evaluate has no other outputs than its report.

    All persist, so that DVC does not remove the last report before there is another one.
    """
    stage = STAGES["evaluate"]
    assert paths_of(stage["metrics"]) == {"data/report/metrics.json": {"cache": False, "persist": True}}
    assert all(path.startswith("data/report/") and flags["persist"] for path, flags in paths_of(stage["plots"]).items())
    assert paths_of(stage["outs"]) == {
        "data/report/predictions.csv": {"persist": True},
        "data/report/report.html": {"persist": True},
        "data/report/lineage.json": {"cache": False, "persist": True},
    }


@pytest.mark.parametrize("stage", ["train", "evaluate"])
def test_plots_are_cached(stage: str) -> None:
    """What is drawn is in DVC's cache, where `dvc plots diff` finds that of other commits, and not in Git."""
    assert not any("cache" in flags for flags in paths_of(STAGES[stage]["plots"]).values())


def test_data_flows_down() -> None:
    """Every dependency in data/ is data/raw, an output of an earlier stage, or a file in one."""
    made = {"data/raw"}
    for stage in STAGES.values():
        deps = [Path(dep) for dep in stage["deps"] if dep.startswith("data/")]
        assert all({*map(str, (dep, *dep.parents))} & made for dep in deps)
        made |= {path for kind in ("outs", "metrics", "plots") for path in paths_of(stage.get(kind, []))}


@pytest.mark.parametrize("path", sorted(ROOT.glob("requirements*.txt")), ids=lambda path: path.name)
def test_requirements_name_no_index(path: Path) -> None:
    """Requirements are pinned with hashes, and leave it to whoever installs them where to get them."""
    text = path.read_text(encoding="utf-8")
    assert not re.search(
        r"https?://|--(extra-)?index-url[ =]|--find-links|--trusted-host", text.replace("--no-emit-index-url", "")
    )
    pins = [line for line in text.splitlines() if line and not line.startswith((" ", "#"))]
    assert all(re.match(r"[\w.-]+(\[.*\])?==\S+ ", pin) for pin in pins)
    assert text.count("--hash=sha256:") >= len(pins)


def test_no_file_names_a_package_index() -> None:
    """No tracked file says where packages come from, nor does any hold a password."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, listed.split("\0")):
        path = ROOT / name
        try:
            text = path.read_text(encoding="utf-8")
        except (UnicodeDecodeError, FileNotFoundError, IsADirectoryError):
            continue
        assert not re.search(r"(index-url|index_url|find-links|INDEX_URL)\W{1,4}https?://", text), name
        assert not re.search(r"https?://[^\s/@\"']+:[^\s/@\"']+@", text), name
