"""Which model the next training starts from: decided by what dvc.lock and Git record, never by guessing from files.

`select` states the rules, once: `manifest` carries out what it decides; foretelling.py says before what that will be.
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

# The manifests that decide what a model is trained on.
TRAINED_ON = ("train.csv", "val.csv")


@dataclass(frozen=True, kw_only=True)
class Situation:
    """What decides about the base, besides the models themselves."""

    is_cold: bool
    """Whether `pipeline fresh` asked for a cold start after the last training."""
    train: StageRecord | None
    """What dvc.lock records of the last training."""
    has_model: bool
    """Whether data/model holds a model that was trained here."""
    same_images: bool
    """Whether the next training is on the manifests of the last one."""

    @classmethod
    def of(cls, params: Params, train: StageRecord | None, *, same_images: bool) -> "Situation":
        """The situation in this project, where dvc.lock records `train`."""
        return cls(
            is_cold=is_cold(params, train),
            train=train,
            has_model=(paths.MODEL / LINEAGE).exists(),
            same_images=train is not None and same_images,
        )

    def check(self) -> None:
        """See that the record can be trusted.

        Raises:
            RecordError: it says nothing of a model that was trained here.
        """
        if self.train is None and self.has_model:
            what = f"no record of the model in {paths.MODEL}"
            hint = f"run `git checkout {paths.LOCK}`, or remove {paths.MODEL} to start from scratch"
            raise RecordError(paths.LOCK, what, hint)


def is_cold(params: Params, train: StageRecord | None) -> bool:
    """Whether a cold start was asked for after the training that dvc.lock records as `train`."""
    return train is not None and train.outs.get(MODEL) == params.manifest.cold_after


class Candidates(ABC):
    """What is known of models, by hash; asked only where it matters."""

    @cached_property
    def forgotten(self) -> frozenset[str]:
        """Those that were deleted since they had seen an image which must be forgotten."""
        return Forgotten.read().models

    def refused(self, last: str, *, has_base: bool) -> frozenset[str]:
        """See `acceptance.refused_models`."""
        return refused_models(last, has_base=has_base)

    @abstractmethod
    def admits(self, model: str) -> bool:
        """Whether it has seen no image that it must not have seen."""

    @abstractmethod
    def base_of(self, model: str) -> str | None:
        """What it was trained from; None after a cold start."""


def select(situation: Situation, candidates: Candidates) -> Base:
    """The base of the next training.

    Raises:
        RecordError: dvc.lock says nothing of the model that is here.
        Exception: whatever `candidates` raises, about a model that nothing is known of, for example.
    """
    situation.check()
    if situation.is_cold:
        return Base(oid=None, reason=WANTED)
    if situation.train is None:
        return Base(oid=None, reason=FIRST)
    started, last = situation.train.deps[BASE], situation.train.outs[MODEL]
    if situation.same_images:  # Whatever the last model has become: a judgement alone trains nothing.
        return _newest(started, frozenset(), candidates)
    if last in candidates.forgotten:  # Nobody can judge it any more.
        return _newest(last, frozenset(), candidates)
    return _newest(last, candidates.refused(last, has_base=reason_of(started) is None), candidates)


def _newest(recorded: str, refused: frozenset[str], candidates: Candidates) -> Base:
    """The recorded model, or its newest ancestor that is admitted and not among `refused`."""
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
    """Make sure that the recorded model can be had, before work is done that would be in vain without it.

    Raises:
        MissingDataError: it is in neither workspace, cache nor remote.
        RecordError: dvc.lock says nothing of the model that is here.
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
    """Put into data/base what training on the manifests in the folder `manifest` starts from.

    `admits` says whether the model in a folder may be started from.

    Raises:
        MissingDataError: the base is recorded, but cannot be found.
        RecordError: it is not known whether the recorded model is accepted.
        data/base is then as it was.
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
    """Candidates that are copied into the folder `aside`, one after the other, to be looked into."""

    def __init__(self, aside: Path, nearby: Path, admits: Callable[[Path], bool]) -> None:
        """`nearby` is where the workspace may hold the first of them."""
        self._aside, self._nearby, self._admits = aside, nearby, admits
        self._held: str | None = None
        shutil.rmtree(aside, ignore_errors=True)

    def admits(self, model: str) -> bool:
        """By what it has seen. The one that is admitted stays in the folder."""
        return self._admits(self._copy(model))

    def base_of(self, model: str) -> str | None:
        """As it says itself."""
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
