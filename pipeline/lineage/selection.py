"""Chooses the model that the next training starts from, by what dvc.lock and Git record, never by guessing from files.

`select` contains the rules. `manifest` applies its decision; foretelling.py predicts it.
"""

import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from pipeline import paths
from pipeline.errors import RecordError
from pipeline.files import md5_of_file, put_directory
from pipeline.lineage.acceptance import refused_models
from pipeline.lineage.base import (
    BASE,
    FIRST,
    HELD_OUT,
    HINT,
    MODEL,
    REFUSED,
    WANTED,
    Base,
    base_of_hash,
    reason_of,
    write_none,
)
from pipeline.lineage.forgotten import Forgotten
from pipeline.lineage.lineage import LINEAGE, Lineage, read_lineage
from pipeline.params import Params
from pipeline.versioning import fetching, hashing
from pipeline.versioning.lock import StageRecord, read_record

# The manifests that define the training data of a model.
TRAINED_ON = ("train.csv", "val.csv")


@dataclass(frozen=True, kw_only=True)
class Situation:
    """The facts that decide about the base, apart from the models themselves."""

    is_cold: bool
    """Whether `pipeline fresh` requested a cold start after the last training."""
    train: StageRecord | None
    """The last training, as recorded in dvc.lock; None if there is no record."""
    has_model: bool
    """Whether data/model contains a trained model."""
    same_images: bool
    """Whether the next training uses the same manifests as the last one."""

    @classmethod
    def of(cls, params: Params, train: StageRecord | None, *, same_images: bool) -> "Situation":
        """Describe this project, whose dvc.lock records `train`."""
        return cls(
            is_cold=is_cold(params, train),
            train=train,
            has_model=(paths.MODEL / LINEAGE).exists(),
            same_images=train is not None and same_images,
        )

    def check(self) -> None:
        """Check that the record is complete.

        Raises:
            RecordError: data/model contains a model, but dvc.lock records no training.
        """
        if self.train is None and self.has_model:
            what = f"no record of the model in {paths.MODEL}"
            hint = f"run `git checkout {paths.LOCK}`, or remove {paths.MODEL} to start from scratch"
            raise RecordError(paths.LOCK, what, hint)


def is_cold(params: Params, train: StageRecord | None) -> bool:
    """Whether a cold start was requested after the training that dvc.lock records as `train`."""
    return train is not None and train.outs.get(MODEL) == params.manifest.cold_after


class Candidates(ABC):
    """Access to models by hash; asked only when the answer matters."""

    @cached_property
    def forgotten(self) -> frozenset[str]:
        """Models that were deleted because they had been trained on an image that must be forgotten."""
        return Forgotten.read().models

    def refused(self, last: str, *, has_base: bool) -> frozenset[str]:
        """Return the refused models; see `acceptance.refused_models`."""
        return refused_models(last, has_base=has_base)

    @abstractmethod
    def admits(self, model: str) -> bool:
        """Whether training may start from `model`: it was trained on no image that excludes it."""

    @abstractmethod
    def base_of(self, model: str) -> str | None:
        """Return the base of `model`; None after a cold start."""


def select(situation: Situation, candidates: Candidates) -> Base:
    """Choose the base of the next training.

    Raises:
        RecordError: dvc.lock records no training, but data/model contains a model.
        Exception: any error of `candidates`, for example about an unknown model.
    """
    situation.check()
    if situation.is_cold:
        return Base(oid=None, reason=WANTED)
    if situation.train is None:
        return Base(oid=None, reason=FIRST)
    started, last = situation.train.deps[BASE], situation.train.outs[MODEL]
    if situation.same_images:  # Even if the last model was refused meanwhile: a verdict alone triggers no training.
        return _newest(started, frozenset(), candidates)
    if last in candidates.forgotten:  # It can no longer be judged.
        return _newest(last, frozenset(), candidates)
    return _newest(last, candidates.refused(last, has_base=reason_of(started) is None), candidates)


def _newest(recorded: str, refused: frozenset[str], candidates: Candidates) -> Base:
    """Return the recorded model, or its newest ancestor that is admitted and not in `refused`."""
    base = base_of_hash(recorded)
    if base.oid is None:
        return base
    model: str | None = recorded
    passed: set[str] = set()
    while model is not None:
        if model not in refused | candidates.forgotten and candidates.admits(model):
            return Base(oid=model, reason=f"newer ones {' or '.join(sorted(passed))}" if passed else "")
        passed.add("are not accepted" if model in refused else "have seen images that they must not")
        model = candidates.base_of(model)
    return Base(oid=None, reason=REFUSED if "are not accepted" in passed else HELD_OUT)


def secure(params: Params) -> None:
    """Ensure that the recorded model is available, before long work that would be useless without it.

    Raises:
        MissingDataError: the model is in neither workspace, cache nor remote.
        RecordError: dvc.lock records no training, but data/model contains a model.
    """
    train = read_record().get("train")
    Situation.of(params, train, same_images=False).check()
    if train is None or is_cold(params, train):
        return
    oid = train.outs[MODEL]
    if oid in Forgotten.read().models:
        return
    if hashing.directory_hash(paths.MODEL) != oid:
        fetching.fetch(oid, what=MODEL, hint=HINT)


def settle(manifest: Path, params: Params, admits: Callable[[Path], bool]) -> Base:
    """Put the base for training on the manifests in the folder `manifest` into data/base.

    `admits` tells whether training may start from the model in a folder. After an error, data/base is unchanged.

    Raises:
        MissingDataError: the base is recorded, but cannot be found.
        RecordError: it is not known whether the recorded model is accepted.
    """
    aside, train = paths.PROGRESS / "base", read_record().get("train")
    again = train is not None and _trained_on(train) == {name: md5_of_file(manifest / name) for name in TRAINED_ON}
    copies = Copies(aside, paths.BASE if again else paths.MODEL, admits)
    base = select(Situation.of(params, train, same_images=again), copies)
    if base.oid is None:
        write_none(aside, base.reason)
    if hashing.directory_hash(paths.BASE) != hashing.directory_hash(aside):
        put_directory(aside, paths.BASE)
    shutil.rmtree(aside, ignore_errors=True)
    return replace(base, again=again)


class Copies(Candidates):
    """Candidates that are copied into the folder `aside`, one at a time, for inspection."""

    def __init__(self, aside: Path, nearby: Path, admits: Callable[[Path], bool]) -> None:
        """`nearby` is the workspace folder that may contain the first candidate."""
        self._aside, self._nearby, self._admits = aside, nearby, admits
        self._held: str | None = None
        shutil.rmtree(aside, ignore_errors=True)

    def admits(self, model: str) -> bool:
        """Inspect a copy of `model`; if it is admitted, the copy stays in the folder."""
        return self._admits(self._copy(model))

    def base_of(self, model: str) -> str | None:
        """Read the base from the lineage of `model`."""
        if model in self.forgotten:
            lineage = fetching.fetch_member(model, LINEAGE, what=f"{LINEAGE} of {model}", hint=HINT)
            return Lineage.model_validate_json(lineage.read_bytes()).base
        return read_lineage(self._copy(model)).base

    def _copy(self, model: str) -> Path:
        if model != self._held:
            shutil.rmtree(self._aside, ignore_errors=True)
            fetching.copy_directory(model, self._aside, nearby=self._nearby, what=MODEL, hint=HINT)
            self._held = model
        return self._aside


def _trained_on(train: StageRecord) -> dict[str, str | None]:
    return {name: train.deps.get((paths.MANIFEST / name).as_posix()) for name in TRAINED_ON}
