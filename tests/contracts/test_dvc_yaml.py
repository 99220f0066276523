"""dvc.yaml and params.yaml match the code: a stage depends on exactly what determines its result."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT
from ruamel.yaml import YAML
from support.imports import STAGES as STAGE_NAMES
from support.imports import closure, path_of

from pipeline.evaluation.report.page import shown_params
from pipeline.param_types import Section
from pipeline.params import Params, read_params
from pipeline.train_params import FREE, Train
from pipeline.versioning.own_code.listing import look_at_listing

STAGES: dict[str, dict[str, Any]] = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]
# The stages that run only if their dependencies change.
RECORDED = tuple(name for name in STAGE_NAMES if name != "listing")
# Modules that a stage imports and that do not affect its outputs, with the reason. All other imports are deps.
CARRIERS = {
    "augment_params": "reads values that dvc.lock records one by one",
    "errors": "messages",
    "files": "computes MD5s; puts in place, whole, what others made",
    "git": "runs Git",
    "images.ordered": "hands back results in the order of what was asked for",
    "locking": "lets one process in at a time",
    "param_errors": "messages",
    "param_types": "types of those values",
    "train_params": "types of those values",
    "params": "reads values that dvc.lock records one by one",
    "paths": "places that dvc.yaml names itself",
    "ray_cluster": "reaches machines, and gives them no work",
    "result": "what the runner prints",
    "signals": "says who answers signals, and for how long",
    "versioning.raw.absence": "says which files are read from DVC's cache, each checked by its hash",
    "versioning.raw.absent_files": "likewise; brings them",
    "versioning.raw.content": "likewise",
    "versioning.raw.remote_files": "reads objects, checked by their hash",
    "versioning.raw.rule": "likewise",
    "versioning.fetching": "brings objects, checked by their hash",
    "versioning.git_guard": "says where notes of a clone lie",
    "versioning.hashing": "computes the hashes that DVC computes",
    "versioning.lock": "reads what DVC wrote",
    "versioning.objects": "finds objects by their hash",
    "versioning.own_code.closure": "finds files that are deps themselves, once params name them",
    "versioning.own_code.imports": "likewise",
    "versioning.own_code.listing": "likewise",
    "versioning.remote": "brings objects, checked by their hash",
    "versioning.repository": "opens DVC's repository",
    "versioning.tracking": "lists files, and puts them in place, each as DVC has it",
}
BASE_AT_HAND = "ingest only makes sure, before long work, that the base can be had"
WITHOUT: dict[str, dict[str, str]] = {
    "ingest": dict.fromkeys(
        ("lineage.acceptance", "lineage.base", "lineage.lineage", "lineage.selection"), BASE_AT_HAND
    )
    | {
        **dict.fromkeys(
            ("handover.attempts", "handover.background", "handover.remote_folder", "ingestion.additions.shared_chunks"),
            "hands over images, each checked by its hash",
        ),
        "ingestion.additions.ray_decoding": "has the same function make the same bytes elsewhere",
        "images.tracked_shards": "lists shards, each as DVC has it",
        "ingestion.notices": "says what people should hear, and decides nothing",
        **dict.fromkeys(
            ("splits.copies", "splits.given", "splits.groups", "splits.sources", "splits.weighting"),
            "says what people should hear, and decides nothing",
        ),
        "versioning.removals": "may stop the stage, and changes no byte",
    },
    "manifest": {"splits.summary": "says what people should hear, and decides nothing"},
    "train": {
        "images.array_cache": "hands over arrays, checked by their checksum",
        "images.block_cache": "keeps stored bytes, which are checked by their MD5",
        "images.elsewhere": "says where stored bytes lie, which are checked by their MD5",
        "images.index": "finds stored bytes, which are checked by their MD5",
        "images.pixel_source": "hands over pixels in the order that it is asked for",
        "images.ranges": "reads parts of shards; whoever asks checks each image by its MD5",
        "images.remote_shards": "hands over stored bytes, checked by their MD5, in the order of what was asked for",
        "images.shard_files": "says where shards lie, whose images are checked by their MD5",
        "images.shards": "reads stored bytes, which are checked by their MD5",
        "lineage.base": "hands over data/base, whose hash is a dep",
        "lineage.merged": "hands over data/manifest/merged.csv, which is a dep",
        "models.device": "where it runs, which `compute` says, and no stage depends on that",
        "ids": "finds images by their ids",
        "parquet": "reads the index",
        "text": "plain CSV of numbers needs no quoting",
        "training.environment": "says what it was trained with; another output",
        **dict.fromkeys(
            (
                "handover.attempts",
                "handover.background",
                "handover.lease",
                "handover.remote_folder",
                "training.handover",
            ),
            "what is continued elsewhere gives the same bytes: tests/scenarios/test_handover.py",
        ),
        "training.log_lines": "prints how far training is",
        **dict.fromkeys(
            (
                "training.processes.joining",
                "training.processes.launching",
                "training.processes.ray_actor",
                "training.processes.ray_machines",
            ),
            "what trains together makes the same bytes, whatever starts it: tests/scenarios/test_machines.py",
        ),
        "training.progress": "what is continued gives the same bytes: tests/scenarios/test_continue.py",
        "training.rng_state": "likewise",
        **dict.fromkeys(
            (
                "training.trackers.facts",
                "training.trackers.packages",
                "training.trackers.process",
                "training.trackers.runs",
                "training.trackers.tracking",
                "training.trackers.worker",
            ),
            "what is told of a training gives nothing back: tests/training/trackers/test_tracking.py",
        ),
        "versioning.definition": "reads what dvc.yaml lists, for the name of a folder",
    },
    "evaluate": {},
}
# Folders that are deps as a whole: all of their modules matter, or the stage takes only seconds.
FOLDERS = {
    "train": ("features", "models", "training/augmentation", "training/drawing", "training/feeding"),
    "evaluate": ("evaluation", "features", "images", "lineage", "models", "pages"),
}
# Files that modules read besides code.
READS = {
    "commands.init.making": "pipeline/commands/init/templates",
    "commands.report.compare_page": "pipeline/commands/report/templates",
    "commands.serve.card": "pipeline/commands/serve/templates",
    "commands.serve.standalone": "pipeline/commands/serve/templates",
    "commands.server.page": "pipeline/commands/server/templates",
    "commands.sheets.sheet": "pipeline/commands/sheets/templates",
    "evaluation.report.page": "pipeline/evaluation/report/templates",
    "pages.rendering": "pipeline/pages/templates",
}


def deciding(stage: str) -> set[str]:
    """Return the modules that determine the outputs of `stage`."""
    return set(closure(stage)) - set(CARRIERS) - set(WITHOUT[stage])


def entry_of(stage: str, module: str) -> str:
    """Return the dep that covers `module`: its file, or a folder above it."""
    folders = (f"pipeline/{folder}" for folder in FOLDERS.get(stage, ()))
    return next((folder for folder in folders if path_of(module).startswith(f"{folder}/")), path_of(module))


def code_deps(stage: str) -> list[str]:
    """Return the code among the deps of `stage`."""
    return [dep for dep in STAGES[stage].get("deps", []) if dep.startswith("pipeline")]


def test_listing_always_runs() -> None:
    """`listing` reads the folder, Git and notes, which cannot be deps; so it always runs, and writes one hash."""
    assert {key: STAGES["listing"][key] for key in STAGES["listing"] if key != "cmd"} == {
        "always_changed": True,
        "outs": [{"data/raw.hash": {"persist": True}}],
    }
    assert not [name for name in RECORDED if "always_changed" in STAGES[name]]


@pytest.mark.parametrize("stage", RECORDED)
def test_deps_are_the_code_that_decides(stage: str) -> None:
    """The code deps of a stage are its imports, sorted, without the modules listed above."""
    assert code_deps(stage) == sorted({entry_of(stage, module) for module in deciding(stage)})


@pytest.mark.parametrize("stage", RECORDED)
def test_nothing_is_left_out_that_is_not_imported(stage: str) -> None:
    """The lists above contain only modules that the stage imports."""
    assert set(WITHOUT[stage]) <= closure(stage)
    assert set(CARRIERS) <= set().union(*map(closure, RECORDED))


def test_own_code_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of code that params name are deps of exactly the stages that run it."""
    monkeypatch.chdir(ROOT)
    assert not look_at_listing(read_params())


def test_few_reasons_to_train() -> None:
    """At most twenty files determine a model."""
    assert len(code_deps("train")) <= 20


@pytest.mark.parametrize("stage", STAGE_NAMES)
def test_stages_know_nothing_of_people(stage: str) -> None:
    """No stage imports the runner, durations, the terminal, or other commands."""
    assert not [module for module in closure(stage) if module.startswith(("commands", "cli"))]


@pytest.mark.parametrize("stage", ["train"])
def test_training_decides_nothing_about_bases(stage: str) -> None:
    """`train` imports neither Git, nor acceptance, nor the selection of a base."""
    assert not closure(stage) & {
        "git",
        "lineage.acceptance",
        "lineage.history",
        "lineage.selection",
        "versioning.git_guard",
    }


def test_what_is_no_code_lies_in_a_dep() -> None:
    """Files in pipeline/ that are not Python are in a folder that a module reads, and that its stages depend on."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "pipeline"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    other = {
        str(Path(name).parent) for name in listed.splitlines() if not name.endswith(".py") and (ROOT / name).exists()
    }
    assert other <= set(READS.values())
    for module, folder in READS.items():
        for stage in STAGE_NAMES:
            if module in closure(stage):
                assert any(folder.startswith(f"{dep}/") for dep in code_deps(stage))


def paths_of(entries: list[Any]) -> dict[str, dict[str, Any]]:
    """Return the flags of a stage's outputs by path."""
    flags: dict[str, dict[str, Any]] = {}
    for entry in entries:
        flags |= {entry: {}} if isinstance(entry, str) else entry
    return flags


def params_of(stage: str) -> list[str]:
    """Return the params that a stage depends on, which are all in params.yaml."""
    entries = STAGES[stage].get("params", [])
    return [name for entry in entries for name in ([entry] if isinstance(entry, str) else entry["params.yaml"])]


def test_stages() -> None:
    """The stages are exactly the ones that the runner runs."""
    assert tuple(STAGES) == STAGE_NAMES
    assert {name: stage["cmd"] for name, stage in STAGES.items()} == {
        name: f"python -m pipeline run {name}" for name in STAGE_NAMES
    }


@pytest.mark.parametrize("stage", STAGE_NAMES)
def test_params_of_stages(stage: str) -> None:
    """A stage depends on its own section, if any, on single keys of other sections, and never on `compute`."""
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


@pytest.mark.parametrize("stage", STAGE_NAMES)
def test_params_that_a_stage_reads_are_among_its_params(stage: str) -> None:
    """Params that a stage's own module reads, except `compute`, are dependencies of the stage."""
    text = (ROOT / f"pipeline/{stage}.py").read_text(encoding="utf-8")
    listed = set(params_of(stage)) | ({"ingest.columns"} if stage == "listing" else set())
    for section, key in re.findall(r"params\.(ingest|manifest|train|evaluate|compute)\.(\w+)", text):
        assert section == "compute" or key in FREE or section in listed or f"{section}.{key}" in listed, (
            f"{section}.{key}"
        )


def test_params_on_the_page() -> None:
    """The report shows exactly the params that evaluate depends on."""
    shown = set(shown_params(read_params(ROOT / "params.yaml")))
    listed = params_of("evaluate")
    assert all(any(f"{name}.".startswith(f"{param}.") for param in listed) for name in shown)
    assert all(any(f"{name}.".startswith(f"{param}.") for name in shown) for param in listed)


def sections(section: type[Section] = Params, prefix: str = "") -> Iterator[tuple[str, type[Section]]]:
    """Yield every section by its dotted name, the whole first."""
    yield prefix, section
    for name, field in section.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            yield from sections(field.annotation, f"{prefix}.{name}".strip("."))


@pytest.mark.parametrize(("name", "section"), list(sections()))
def test_params_file_and_classes_agree(name: str, section: type[Section]) -> None:
    """params.yaml has the keys of the classes in their order, and each field has a docstring."""
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
                "data/manifest/review.csv": {"persist": True},
                "data/manifest/changes.csv": {"persist": True},
                "data/manifest/moved.csv": {"persist": True},
                "data/manifest/merged.csv": {"persist": True},
                "data/manifest/classes.csv": {"persist": True},
                "data/base": {"persist": True},
            },
        ),
        ("train", "outs", {"data/model": {}, "data/environment.json": {}}),
    ],
)
def test_outputs(stage: str, kind: str, expected: dict[str, dict[str, bool]]) -> None:
    """data/base persists, which keeps it out of the run cache; data/model does not persist, and is cached."""
    assert paths_of(STAGES[stage][kind]) == expected
    assert not {"metrics"} & set(STAGES[stage])
    assert list(paths_of(STAGES[stage].get("plots", []))) == (["data/curves"] if stage == "train" else [])


def test_metrics_are_kept_by_git() -> None:
    """Metrics and lineage are in Git rather than DVC's cache; evaluate has no outputs but its report.

    All persist, so that DVC does not remove the last report before the next one exists.
    """
    stage = STAGES["evaluate"]
    assert paths_of(stage["metrics"]) == {"data/report/metrics.json": {"cache": False, "persist": True}}
    assert all(path.startswith("data/report/") and flags["persist"] for path, flags in paths_of(stage["plots"]).items())
    assert paths_of(stage["outs"]) == {
        "data/report/predictions.csv": {"persist": True},
        "data/report/suspects.csv": {"persist": True},
        "data/report/report.html": {"persist": True},
        "data/report/lineage.json": {"cache": False, "persist": True},
        "data/report/details.json": {"cache": False, "persist": True},
    }


@pytest.mark.parametrize("stage", ["train", "evaluate"])
def test_plots_are_cached(stage: str) -> None:
    """Plots are in DVC's cache, where `dvc plots diff` finds those of other commits, and not in Git."""
    assert not any("cache" in flags for flags in paths_of(STAGES[stage]["plots"]).values())


def test_data_flows_down() -> None:
    """Every dependency in data/ is in Git, an output of an earlier stage, or a file in one."""
    made = {"data/erased.csv", "data/forgotten.csv", "data/classes.csv", "data/weights"}
    for stage in STAGES.values():
        deps = [Path(dep) for dep in stage.get("deps", []) if dep.startswith("data/")]
        assert all({*map(str, (dep, *dep.parents))} & made for dep in deps)
        made |= {path for kind in ("outs", "metrics", "plots") for path in paths_of(stage.get(kind, []))}
