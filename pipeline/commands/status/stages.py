"""Determine which stages `dvc repro` would run, and why: by DVC's status, and by the effects of new images."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from pipeline import paths
from pipeline.commands.status.raw_changes import Likely, RawChanges
from pipeline.errors import RecordError
from pipeline.files import md5_of_bytes
from pipeline.versioning import repository
from pipeline.versioning.definition import flat
from pipeline.versioning.raw.recorded import RAW_HASH, content_of

if TYPE_CHECKING:
    from dvc.output import Output
    from dvc.stage import PipelineStage


RAW = paths.RAW.as_posix()
# `listing` always runs; data tracked with `dvc add` are stages without a name.
LEFT_OUT = ("listing", "")
# Files and folders that determine the set of images.
IMAGES_BY = (RAW, paths.ERASED.as_posix(), paths.FORGOTTEN.as_posix(), paths.CLASSES.as_posix())
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
    """The file, folder or param; empty if the reason is none of them."""
    text: str


@dataclass(frozen=True, kw_only=True)
class StageStatus:
    """The state of a stage compared with dvc.lock."""

    name: str
    reasons: list[Reason]
    """Why the stage would run even if no earlier stage ran or changed its outputs."""
    after: list[str]
    """The stages whose outputs this stage reads."""
    outs: list[str]
    """The outputs of the stage."""


def stage_statuses(raw: str, recorded: Collection[str]) -> list[StageStatus]:
    """Return the status of every stage of dvc.yaml but `listing`, each stage after those that it reads from.

    `raw` is the hash of the current content of data/raw, which `listing` will write. Stages that are not `recorded`
    have never run.

    Raises:
        RecordError: another DVC command holds the repository's lock.
    """
    from dvc.lock import LockError
    from dvc.repo import lock_repo

    repo = repository.repository()
    try:
        with lock_repo(repo):
            graph = repo.index.graph
            order = TopologicalSorter({stage: set(graph.successors(stage)) for stage in graph}).static_order()
            stages: dict[PipelineStage, str] = {stage: getattr(stage, "name", "") for stage in order}
            return [
                StageStatus(
                    name=name,
                    reasons=list(_reasons(stage, raw)) if name in recorded else [Reason("", NOT_YET)],
                    after=[stages[before] for before in graph.successors(stage) if stages[before] not in LEFT_OUT],
                    outs=[out.def_path for out in stage.outs],
                )
                for stage, name in stages.items()
                if name not in LEFT_OUT
            ]
    except LockError:
        raise RecordError(paths.LOCK, "another DVC command is running", "wait until that has ended") from None


def _reasons(stage: PipelineStage, raw: str) -> Iterator[Reason]:
    from dvc.dependency.param import ParamsDependency

    if stage.always_changed:
        yield Reason("", "it always runs")
    if stage.changed_stage():
        yield Reason(paths.PIPELINE.as_posix(), f"its command in {paths.PIPELINE} changed")
    for dep in [] if stage.frozen else stage.deps:
        if isinstance(dep, ParamsDependency):
            yield from changed_params(dep.hash_info.value or {}, dep.read_params())
        elif found := _status(dep, raw):
            about = RAW if dep.def_path == RAW_HASH and found == "modified" else dep.def_path
            yield Reason(about, DEPS.get(found, "{} changed").format(about))
    for out in stage.outs:
        if found := _status(out, raw):
            yield Reason(out.def_path, OUTS.get(found, "{} changed").format(out.def_path))


def _status(entry: Output, raw: str) -> str:
    """Return DVC's status of a dependency or output, such as "modified"; empty if it is unchanged."""
    if entry.def_path == RAW_HASH:
        now = md5_of_bytes(content_of(raw).encode())
        return "" if entry.hash_info.value == now else "modified" if entry.hash_info else "new"
    return next(iter(entry.status().values()), "")


def changed_params(recorded: Mapping[str, Any], values: Mapping[str, Any]) -> Iterator[Reason]:
    """Yield a reason for each param of a stage whose value differs from the recorded one."""
    before, now = flat(recorded), flat(values)
    for name in sorted(before.keys() | now.keys()):
        if name not in now:
            yield Reason(name, f"{name} is gone")
        elif name not in before:
            yield Reason(name, f"{name} is new to it ({_written(now[name])})")
        elif before[name] != now[name]:
            yield Reason(name, f"{name} changed from {_written(before[name])} to {_written(now[name])}")


def _written(value: object) -> str:
    """Format a param's value as in params.yaml."""
    return value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)


# What makes a stage run: new or removed images, all images decoded again, code only, or anything else.
Cause = Literal["images", "recipe", "code", "other"]


@dataclass(frozen=True, kw_only=True)
class Step:
    """Whether a stage will run, and why."""

    stage: str
    runs: Likely
    why: list[str]
    cause: Cause = "other"


def steps_of(stages: Iterable[StageStatus], arrivals: RawChanges | None, *, redecodes: bool) -> list[Step]:
    """Predict which of `stages`, in topological order, run; `redecodes` if ingest will decode images again."""
    steps: dict[str, Step] = {}
    outs: dict[str, list[str]] = {}
    for stage in stages:
        active = [steps[name] for name in stage.after if steps[name].runs != "no"]
        made = {out for step in active for out in outs[step.stage]}
        # A reason about an output that an earlier stage will write again may no longer apply by then.
        own = [reason for reason in stage.reasons if reason.about not in made]
        step = _follows(stage.name, active, arrivals)
        if step.runs == "no" and len(own) < len(stage.reasons):
            # An earlier run stopped after the inputs of this stage were written.
            step = Step(stage=stage.name, runs="maybe", why=[reason.text for reason in stage.reasons])
        if own:
            step = _runs_anyway(step, own, redecodes=redecodes and stage.name == "ingest")
        steps[stage.name], outs[stage.name] = step, stage.outs
    return list(steps.values())


def _runs_anyway(step: Step, own: list[Reason], *, redecodes: bool) -> Step:
    """Return `step` extended by the stage's own reasons to run."""
    texts = [reason.text for reason in own]
    if redecodes or step.cause == "recipe":
        return Step(stage=step.stage, runs="yes", why=[*texts, "all images are decoded again"], cause="recipe")
    if all(reason.about in IMAGES_BY for reason in own):
        return Step(stage=step.stage, runs="yes", why=texts, cause="images")
    if step.runs == "yes" and texts != [NOT_YET]:
        return Step(stage=step.stage, runs="yes", why=texts + step.why)
    is_code = all(reason.about.startswith("pipeline/") for reason in own)
    return Step(stage=step.stage, runs="yes", why=texts, cause="code" if is_code else "other")


def _follows(name: str, active: list[Step], arrivals: RawChanges | None) -> Step:
    """Return the step of a stage without own reasons: it follows from `active`, earlier stages that do or may run."""
    if not active:
        return Step(stage=name, runs="no", why=[])
    last = active[-1]
    if any(step.cause == "recipe" for step in active):
        return Step(stage=name, runs="yes", why=["all images are decoded again"], cause="recipe")
    if arrivals and all(step.cause == "images" for step in active):
        return _follows_images(name, arrivals)
    if last.stage == "train" and last.runs == "yes" and last.cause != "code":
        return Step(stage=name, runs="yes", why=["another model"])
    return Step(stage=name, runs="maybe", why=[f"if {last.stage} makes something else"])


def _follows_images(name: str, arrivals: RawChanges) -> Step:
    """Return the step of a stage after ingest that only changed images can make run."""
    likely = arrivals.changes_training if name == "train" else arrivals.changes_images
    if likely == "no" and name == "manifest" and arrivals.rewrites:
        return Step(stage=name, runs="yes", why=["the same images, listed otherwise"], cause="images")
    if likely == "no" and name == "evaluate" and arrivals.moved:
        return Step(stage=name, runs="maybe", why=["images to review lie elsewhere"], cause="images")
    why = [] if likely == "no" else [f"{arrivals}"]
    return Step(stage=name, runs=likely, why=why, cause="images")
