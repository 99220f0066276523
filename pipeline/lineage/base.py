"""data/base: the checkpoint that training starts from, decided by reading dvc.lock, never by guessing from files.

It holds either a byte-for-byte copy of an earlier data/model, whose hash is then the hash of both, or the one file
`none` with the reason why there is no base.
"""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline import paths
from pipeline.files import put_directory
from pipeline.params import Params
from pipeline.text import short
from pipeline.versioning import fetching, hashing
from pipeline.versioning.lock import read_record

MODEL, BASE = paths.MODEL.as_posix(), paths.BASE.as_posix()
NONE = "none"
FIRST = "dvc.lock records no training yet"
HELD_OUT = "every earlier model has seen images that are held out, or were removed, now"
REFUSED = "every earlier model is refused, or has seen images that are held out, or were removed, now"
WANTED = "`pipeline fresh` asked for a cold start"
# The last one is of earlier releases.
REASONS = (FIRST, HELD_OUT, REFUSED, WANTED, "train.start asks for a cold start")
HINT = "run `dvc push` where it was trained and then `dvc repro` here, or `pipeline fresh` to train from scratch"


@dataclass(frozen=True, kw_only=True)
class Base:
    """What data/base holds: the model of hash `oid`, or none; and the reason, where there is something to say."""

    oid: str | None
    reason: str
    again: bool = False
    """Whether the recorded model was trained on these very manifests."""

    @property
    def hash(self) -> str:
        """That of data/base."""
        return self.oid or hashing.hash_of_files(_none(self.reason))

    def __str__(self) -> str:
        if self.oid is None:
            return f"no base: {self.reason}"
        return f"base {short(self.oid)}" + (f" ({self.reason})" if self.reason else "")


def reason_for_none(base: Path) -> str | None:
    """Why the folder `base` holds no model, or None if it does."""
    path = base / NONE
    return path.read_text(encoding="utf-8").strip() if path.exists() else None


def reason_of(oid: str) -> str | None:
    """Why a data/base of this hash holds no model, or None if it does."""
    return next((reason for reason in REASONS if hashing.hash_of_files(_none(reason)) == oid), None)


def base_of_hash(oid: str) -> Base:
    """What a data/base of this hash holds."""
    reason = reason_of(oid)
    return Base(oid=None, reason=reason) if reason else Base(oid=oid, reason="")


def misfit(trained: Mapping[str, object], params: Params) -> str | None:
    """Why training with `params` cannot start from a model that was `trained` with those; None where it can."""
    for name, now in {"train.model": params.train.model, "ingest.mode": params.ingest.mode}.items():
        if (before := trained.get(name, now)) != now:
            return f"{name} was {before!r} when it was trained and is {now!r} now"
    return None


def restore() -> bool:
    """Make sure that data/base is what dvc.lock says that `manifest` made of it; returns whether it had to be restored.

    Raises:
        MissingDataError: it is another one, and the recorded one cannot be found.
    """
    manifest = read_record().get("manifest")
    oid = manifest.outs.get(BASE) if manifest else None
    if oid is None or hashing.directory_hash(paths.BASE) == oid:
        return False
    aside = paths.PROGRESS / "base"
    recorded = base_of_hash(oid)
    if recorded.oid:
        fetching.copy_directory(oid, aside, nearby=paths.MODEL, what=BASE, hint=HINT)
    else:
        write_none(aside, recorded.reason)
    put_directory(aside, paths.BASE)
    return True


def _none(reason: str) -> dict[str, bytes]:
    """The files of a data/base without a model."""
    return {NONE: f"{reason}\n".encode()}


def write_none(aside: Path, reason: str) -> None:
    """Make the folder `aside` a data/base without a model, for this `reason`."""
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    for name, content in _none(reason).items():
        (aside / name).write_bytes(content)
