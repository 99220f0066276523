"""data/base: the checkpoint that training starts from, decided by reading dvc.lock, never by guessing from files.

It holds either a byte-for-byte copy of an earlier data/model, whose hash is then the hash of both, or the one file
`none` with the reason why there is no base.
"""

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline import paths, store
from pipeline.acceptance import refused_models
from pipeline.errors import RecordError
from pipeline.lineage import LINEAGE, read_lineage
from pipeline.params import Params
from pipeline.publish import put_directory
from pipeline.record import StageRecord, read_record

MODEL, BASE = paths.MODEL.as_posix(), paths.BASE.as_posix()
# The manifests that decide what a model is trained on.
TRAINED_ON = ("train.csv", "val.csv")
NONE = "none"
FIRST = "dvc.lock records no training yet"
HELD_OUT = "every earlier model has seen images that are held out, or were removed, now"
REFUSED = "every earlier model is refused, or has seen images that are held out, or were removed, now"
WANTED = "train.start asks for a cold start"
REASONS = (FIRST, HELD_OUT, REFUSED, WANTED)
MEND = (
    "run `dvc push` where it was trained and then `dvc repro` here, or set train.start: cold "
    f"in {paths.PARAMS} to start from scratch on purpose"
)


@dataclass(frozen=True, kw_only=True)
class Base:
    """What data/base holds: the model of hash `oid`, or none; and the reason, where there is something to say."""

    oid: str | None
    reason: str
    again: bool = False
    """Whether the recorded model was trained on these very manifests."""

    def __str__(self) -> str:
        if self.oid is None:
            return f"no base: {self.reason}"
        return f"base {short(self.oid)}" + (f" ({self.reason})" if self.reason else "")


def short(oid: str) -> str:
    """A hash as people are shown it."""
    return f"{oid[:8]}…"


def reason_for_none(base: Path) -> str | None:
    """Why the folder `base` holds no model, or None if it does."""
    path = base / NONE
    return path.read_text(encoding="utf-8").strip() if path.exists() else None


def reason_of(oid: str) -> str | None:
    """Why a data/base of this hash holds no model, or None if it does."""
    return next((reason for reason in REASONS if store.hash_of_files(_none(reason)) == oid), None)


def secure(params: Params) -> None:
    """Make sure that the recorded model can be had, before work is done that would be in vain without it.

    Raises:
        MissingDataError: it is in neither workspace, cache nor remote.
    """
    train = _recorded_training(params)
    if train is None or params.train.start == "cold":
        return
    oid = train.outs[MODEL]
    if store.directory_hash(paths.MODEL) != oid:
        store.fetch(oid, what=MODEL, mend=MEND)


def settle(manifest: Path, params: Params, admits: Callable[[Path], bool]) -> Base:
    """Put into data/base what training on the manifests in the folder `manifest` starts from.

    `admits` tells whether the model in a folder may be started from.

    Raises:
        MissingDataError: the base is recorded but nowhere to be had.
        RecordError: it is not known whether the recorded model is accepted.
        data/base is then as it was.
    """
    aside = paths.PROGRESS / "base"
    shutil.rmtree(aside, ignore_errors=True)
    train = _recorded_training(params)
    again = train is not None and _trained_on(train) == {name: _md5(manifest / name) for name in TRAINED_ON}
    if params.train.start == "cold":
        base = _write_none(aside, WANTED)
    elif train is None:
        base = _write_none(aside, FIRST)
    elif again:
        base = _copy_newest(train.deps[BASE], aside, paths.BASE, admits, frozenset())
    else:
        refused = refused_models(train.outs[MODEL], has_base=reason_of(train.deps[BASE]) is None)
        base = _copy_newest(train.outs[MODEL], aside, paths.MODEL, admits, refused)
    if store.directory_hash(paths.BASE) != store.directory_hash(aside):
        put_directory(aside, paths.BASE)
    shutil.rmtree(aside, ignore_errors=True)
    return replace(base, again=again)


def restore() -> bool:
    """Make sure that data/base is what dvc.lock says that `manifest` made of it; returns whether it had to be mended.

    Raises:
        MissingDataError: it is another one, and the recorded one is nowhere to be had.
    """
    manifest = read_record().get("manifest")
    oid = manifest.outs.get(BASE) if manifest else None
    if oid is None or store.directory_hash(paths.BASE) == oid:
        return False
    aside = paths.PROGRESS / "base"
    reason = reason_of(oid)
    if reason is None:
        store.copy_directory(oid, aside, nearby=paths.MODEL, what=BASE, mend=MEND)
    else:
        _write_none(aside, reason)
    put_directory(aside, paths.BASE)
    return True


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
        return _write_none(aside, reason)
    oid: str | None = recorded
    passed: set[str] = set()
    while oid is not None:
        store.copy_directory(oid, aside, nearby=nearby, what=MODEL, mend=MEND)
        if oid not in refused and admits(aside):
            return Base(oid=oid, reason=f"newer ones {' or '.join(sorted(passed))}" if passed else "")
        passed.add("are not accepted" if oid in refused else "have seen images that they must not")
        oid = read_lineage(aside).base
        shutil.rmtree(aside)
    return _write_none(aside, REFUSED if "are not accepted" in passed else HELD_OUT)


def _none(reason: str) -> dict[str, bytes]:
    """The files of a data/base without a model."""
    return {NONE: f"{reason}\n".encode()}


def _write_none(aside: Path, reason: str) -> Base:
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    for name, content in _none(reason).items():
        (aside / name).write_bytes(content)
    return Base(oid=None, reason=reason)


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()
