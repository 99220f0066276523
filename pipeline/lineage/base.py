"""data/base: the checkpoint that training starts from. dvc.lock decides which one; it is never guessed from files.

The folder is either a byte-for-byte copy of an earlier data/model, so that both have the same hash, or it contains only
the file `none`, which states why there is no base.
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
# Earlier releases wrote the last reason.
REASONS = (FIRST, HELD_OUT, REFUSED, WANTED, "train.start asks for a cold start")
HINT = "run `dvc push` where it was trained and then `dvc repro` here, or `pipeline fresh` to train from scratch"


@dataclass(frozen=True, kw_only=True)
class Base:
    """The content of data/base: the model with hash `oid`, or no model; and the reason, if there is one to report."""

    oid: str | None
    reason: str
    again: bool = False
    """Whether the recorded model was trained on exactly these manifests."""

    @property
    def hash(self) -> str:
        """The hash of data/base."""
        return self.oid or hashing.hash_of_files(_none(self.reason))

    def __str__(self) -> str:
        if self.oid is None:
            return f"no base: {self.reason}"
        return f"base {short(self.oid)}" + (f" ({self.reason})" if self.reason else "")


def reason_for_none(base: Path) -> str | None:
    """Return why the folder `base` contains no model; None if it contains one."""
    path = base / NONE
    return path.read_text(encoding="utf-8").strip() if path.exists() else None


def reason_of(oid: str) -> str | None:
    """Return why a data/base with hash `oid` contains no model; None if it contains one."""
    return next((reason for reason in REASONS if hashing.hash_of_files(_none(reason)) == oid), None)


def base_of_hash(oid: str) -> Base:
    """Return the content of a data/base with hash `oid`."""
    reason = reason_of(oid)
    return Base(oid=None, reason=reason) if reason else Base(oid=oid, reason="")


def misfit(trained: Mapping[str, object], params: Params) -> str | None:
    """Return why training with `params` cannot start from a model `trained` with other params; None if it can."""
    for name, now in {"train.model": params.train.model, "ingest.mode": params.ingest.mode}.items():
        if (before := trained.get(name, now)) != now:
            return f"{name} was {before!r} when it was trained and is {now!r} now"
    return None


def restore() -> bool:
    """Restore data/base as dvc.lock records it among the outputs of `manifest`; return whether it differed.

    Raises:
        MissingDataError: it differs, and the recorded version cannot be found.
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
    """Return the files of a data/base without a model, by name."""
    return {NONE: f"{reason}\n".encode()}


def write_none(aside: Path, reason: str) -> None:
    """Write a data/base without a model, for this `reason`, to the folder `aside`; replace what is there."""
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    for name, content in _none(reason).items():
        (aside / name).write_bytes(content)
