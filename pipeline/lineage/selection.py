"""Which model the next training starts from: decided by what dvc.lock and Git record, never by guessing from files."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from pipeline import paths
from pipeline.errors import RecordError
from pipeline.files import md5_of_file, put_directory
from pipeline.lineage.acceptance import newest_accepted, read_judgements, refused_models
from pipeline.lineage.base import BASE, FIRST, HELD_OUT, HINT, MODEL, REFUSED, WANTED, Base, reason_of, write_none
from pipeline.lineage.history import trainings
from pipeline.lineage.lineage import LINEAGE, Recorded, read_lineage, read_recorded
from pipeline.params import Params
from pipeline.versioning import fetching, hashing
from pipeline.versioning.lock import StageRecord, read_record

# The manifests that decide what a model is trained on.
TRAINED_ON = ("train.csv", "val.csv")


def secure(params: Params) -> None:
    """Make sure that the recorded model can be had, before work is done that would be in vain without it.

    Raises:
        MissingDataError: it is in neither workspace, cache nor remote.
    """
    train = _recorded_training(params)
    if train is None or params.train.start == "cold":
        return
    oid = train.outs[MODEL]
    if hashing.directory_hash(paths.MODEL) != oid:
        fetching.fetch(oid, what=MODEL, hint=HINT)


def settle(manifest: Path, params: Params, admits: Callable[[Path], bool]) -> Base:
    """Put into data/base what training on the manifests in the folder `manifest` starts from.

    `admits` tells whether the model in a folder may be started from.

    Raises:
        MissingDataError: the base is recorded, but cannot be found.
        RecordError: it is not known whether the recorded model is accepted.
        data/base is then as it was.
    """
    aside = paths.PROGRESS / "base"
    shutil.rmtree(aside, ignore_errors=True)
    train = _recorded_training(params)
    again = train is not None and _trained_on(train) == {name: md5_of_file(manifest / name) for name in TRAINED_ON}
    if params.train.start == "cold":
        base = write_none(aside, WANTED)
    elif train is None:
        base = write_none(aside, FIRST)
    elif again:
        base = _copy_newest(train.deps[BASE], aside, paths.BASE, admits, frozenset())
    else:
        refused = refused_models(train.outs[MODEL], has_base=reason_of(train.deps[BASE]) is None)
        base = _copy_newest(train.outs[MODEL], aside, paths.MODEL, admits, refused)
    if hashing.directory_hash(paths.BASE) != hashing.directory_hash(aside):
        put_directory(aside, paths.BASE)
    shutil.rmtree(aside, ignore_errors=True)
    return replace(base, again=again)


def _recorded_training(params: Params) -> StageRecord | None:
    """What dvc.lock says of the last training.

    Raises:
        RecordError: nothing, though there is a model that was trained here.
    """
    train = read_record().get("train")
    if train is None and (paths.MODEL / LINEAGE).exists() and params.train.start != "cold":
        what = f"no record of the model in {paths.MODEL}"
        raise RecordError(
            paths.LOCK, what, f"run `git checkout {paths.LOCK}`, or remove {paths.MODEL} to start from scratch"
        )
    return train


def _trained_on(train: StageRecord) -> dict[str, str | None]:
    return {name: train.deps.get((paths.MANIFEST / name).as_posix()) for name in TRAINED_ON}


def _copy_newest(
    recorded: str, aside: Path, nearby: Path, admits: Callable[[Path], bool], refused: frozenset[str]
) -> Base:
    """Copy to `aside` what is recorded, or its newest ancestor that is admitted and not among `refused`."""
    reason = reason_of(recorded)
    if reason is not None:
        return write_none(aside, reason)
    oid: str | None = recorded
    passed: set[str] = set()
    while oid is not None:
        fetching.copy_directory(oid, aside, nearby=nearby, what=MODEL, hint=HINT)
        if oid not in refused and admits(aside):
            return Base(oid=oid, reason=f"newer ones {' or '.join(sorted(passed))}" if passed else "")
        passed.add("are not accepted" if oid in refused else "have seen images that they must not")
        oid = read_lineage(aside).base
        shutil.rmtree(aside)
    return write_none(aside, REFUSED if "are not accepted" in passed else HELD_OUT)


class Heir(NamedTuple):
    """The model that a training on other images than the last one's starts from."""

    model: str | None
    """Its hash; None where every model is refused."""
    why: str
    """Why it is not the last one; empty where it is."""


def known_models() -> dict[str, Recorded]:
    """The models that the workspace and Git's history tell of, by hash."""
    try:
        known = {training.recorded.model: training.recorded for training in trainings()}
    except RecordError:  # Of a project without a commit, say: then there is the workspace.
        known = {}
    here = read_recorded()
    return known if here is None else {**known, here.model: here}


def heir(train: StageRecord) -> Heir:
    """The heir of the model that dvc.lock records as made by `train`, if no image that it has seen is held out now.

    Raises:
        RecordError: nobody has judged that model yet.
        KeyError: a model that is refused, and of whose base no commit here tells.
    """
    last = train.outs[MODEL]
    refused = refused_models(last, has_base=reason_of(train.deps[BASE]) is None)
    if last not in refused:
        return Heir(last, "")
    known = known_models()
    judgement = read_judgements().get(last)
    word = f"refused by hand: {judgement.why}" if judgement else f"not accepted: {known[last].verdict}"
    generation = f"generation {known[last].generation}" if last in known else f"{last[:8]}…"
    model = newest_accepted(last, {model: recorded.base for model, recorded in known.items()}, refused)
    return Heir(model, f"{generation} is {word}")
