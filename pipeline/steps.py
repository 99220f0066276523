"""Which stages `dvc repro` would run, and why: DVC's reasons, and what new images make of the stages after ingest."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from pipeline.incoming import Arrivals, Likely
from pipeline.reasons import NOT_YET, RAW, Reason, Standing

# What makes a stage run: images that come or go, every image made anew, code alone, or something else.
Cause = Literal["images", "anew", "code", "other"]


@dataclass(frozen=True, kw_only=True)
class Step:
    """What becomes of a stage."""

    stage: str
    runs: Likely
    why: list[str]
    cause: Cause = "other"


def steps_of(stages: Iterable[Standing], arrivals: Arrivals | None, *, anew: bool) -> list[Step]:
    """What becomes of `stages`, each after those that it reads from; `anew` if ingest makes every image anew."""
    steps: dict[str, Step] = {}
    outs: dict[str, list[str]] = {}
    for stage in stages:
        active = [steps[name] for name in stage.after if steps[name].runs != "no"]
        made = {out for step in active for out in outs[step.stage]}
        # What a stage before it will make is not what it is now.
        own = [reason for reason in stage.reasons if reason.about not in made]
        step = _follows(stage.name, active, arrivals)
        if own:
            step = _runs_anyway(step, own, anew=anew and stage.name == "ingest")
        steps[stage.name], outs[stage.name] = step, stage.outs
    return list(steps.values())


def _runs_anyway(step: Step, own: list[Reason], *, anew: bool) -> Step:
    """`step` of a stage that has reasons of its own."""
    texts = [reason.text for reason in own]
    if anew or step.cause == "anew":
        return Step(stage=step.stage, runs="yes", why=[*texts, "all images are made anew"], cause="anew")
    if all(reason.about == RAW for reason in own):
        return Step(stage=step.stage, runs="yes", why=texts, cause="images")
    if step.runs == "yes" and texts != [NOT_YET]:
        return Step(stage=step.stage, runs="yes", why=texts + step.why)
    is_code = all(reason.about.startswith("pipeline/") for reason in own)
    return Step(stage=step.stage, runs="yes", why=texts, cause="code" if is_code else "other")


def _follows(name: str, active: list[Step], arrivals: Arrivals | None) -> Step:
    """What the stages before it, those `active` that do or may run, make of a stage that has no other reason."""
    if not active:
        return Step(stage=name, runs="no", why=[])
    last = active[-1]
    if any(step.cause == "anew" for step in active):
        return Step(stage=name, runs="yes", why=["all images are made anew"], cause="anew")
    if arrivals and all(step.cause == "images" for step in active):
        return _follows_images(name, arrivals)
    if last.stage == "train" and last.runs == "yes" and last.cause != "code":
        return Step(stage=name, runs="yes", why=["another model"])
    return Step(stage=name, runs="maybe", why=[f"if {last.stage} makes something else"])


def _follows_images(name: str, arrivals: Arrivals) -> Step:
    """Of a stage after ingest that only images can make run."""
    likely = arrivals.changes_training if name == "train" else arrivals.changes_images
    if likely == "no" and name == "manifest" and arrivals.rewrites:
        return Step(stage=name, runs="yes", why=["the same images, listed otherwise"], cause="images")
    why = [] if likely == "no" else [f"{arrivals}"]
    return Step(stage=name, runs=likely, why=why, cause="images")
