"""Why `dvc repro` would run each stage, as DVC knows it, in words for people."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING, Any, NamedTuple

from pipeline import paths, store
from pipeline.errors import RecordError

if TYPE_CHECKING:
    from dvc.dependency.param import ParamsDependency
    from dvc.output import Output
    from dvc.stage import PipelineStage

RAW = paths.RAW.as_posix()
NOT_YET = "it has not run yet"
DEPS = {"modified": "{} changed", "deleted": "{} is missing", "new": "{} is new to it"}
OUTS = {
    "modified": "{} is not what it made",
    "deleted": "{} is missing",
    "new": "{} is new to it",
    "not in cache": "{} is not in DVC's cache",
}


class Reason(NamedTuple):
    """One reason to run a stage."""

    about: str
    """The file, folder or parameter, empty where it is none of them."""
    text: str


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How a stage stands to the record."""

    name: str
    reasons: list[Reason]
    """Why it would run even if no stage before it did, or made anything new."""
    after: list[str]
    """The stages whose outputs it reads."""
    outs: list[str]
    """What it makes."""


def standings(raw: str, recorded: Collection[str]) -> list[Standing]:
    """Every stage of dvc.yaml, each after those that it reads from; those that are not `recorded` have never run.

    `raw` is the hash of data/raw as it is. That is the one folder that may be large; so it is not walked again here, as
    `dvc status` does.

    Raises:
        RecordError: another DVC command is changing things.
    """
    from dvc.lock import LockError
    from dvc.repo import lock_repo

    repo = store.repository()
    try:
        with lock_repo(repo):
            graph = repo.index.graph
            order = TopologicalSorter({stage: set(graph.successors(stage)) for stage in graph}).static_order()
            stages: dict[PipelineStage, str] = {stage: getattr(stage, "name", "") for stage in order}
            return [
                Standing(
                    name=name,
                    reasons=list(_reasons(stage, raw)) if name in recorded else [Reason("", NOT_YET)],
                    after=[stages[before] for before in graph.successors(stage) if stages[before]],
                    outs=[out.def_path for out in stage.outs],
                )
                for stage, name in stages.items()
                if name
            ]
    except LockError:
        raise RecordError(paths.LOCK, "another DVC command is at work", "wait until that has ended") from None


def _reasons(stage: PipelineStage, raw: str) -> Iterator[Reason]:
    from dvc.dependency.param import ParamsDependency

    if stage.always_changed:
        yield Reason("", "it always runs")
    if stage.changed_stage():
        yield Reason(paths.PIPELINE.as_posix(), f"its command in {paths.PIPELINE} changed")
    for dep in [] if stage.frozen else stage.deps:
        if isinstance(dep, ParamsDependency):
            yield from _changed_params(dep)
        elif found := _status(dep, raw):
            yield Reason(dep.def_path, DEPS.get(found, "{} changed").format(dep.def_path))
    for out in stage.outs:
        if found := _status(out, raw):
            yield Reason(out.def_path, OUTS.get(found, "{} changed").format(out.def_path))


def _status(entry: Output, raw: str) -> str:
    """What DVC calls the state of a dependency or output, empty where it is as recorded."""
    if entry.def_path == RAW:
        return "" if entry.hash_info.value == raw else "modified"
    return next(iter(entry.status().values()), "")


def _changed_params(dep: ParamsDependency) -> Iterator[Reason]:
    before, now = _flat(dep.hash_info.value or {}), _flat(dep.read_params())
    for name in sorted(before.keys() | now.keys()):
        if name not in now:
            yield Reason(name, f"{name} is gone")
        elif name not in before:
            yield Reason(name, f"{name} is new to it ({now[name]})")
        elif before[name] != now[name]:
            yield Reason(name, f"{name} changed from {before[name]} to {now[name]}")


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The `values` by dotted name, sections dissolved."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return flat
