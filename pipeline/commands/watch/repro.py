"""Run `dvc repro` as a child process if it is due, and report its result."""

import time
from collections.abc import Callable
from typing import NamedTuple

from pipeline import paths
from pipeline.commands import results
from pipeline.commands.interrupts import Interrupts
from pipeline.commands.subprocesses import DVC, Subprocesses
from pipeline.errors import RecordError, TreeringError
from pipeline.lineage.lineage import RECORDED
from pipeline.lineage.recorded_metrics import read_metrics
from pipeline.result import ImageChange
from pipeline.text import percent
from pipeline.versioning.lock import read_raw_hash, read_record, read_yaml
from pipeline.versioning.raw.content import look
from pipeline.versioning.raw.recorded import is_of
from pipeline.versioning.running import running_command
from pipeline.versioning.unhashable import check_hashable

# DVC's messages if another DVC command holds a lock.
BUSY = ("is busy, it is being blocked by", "Unable to acquire lock")
# Seconds between retries.
AGAIN = 2.0


class Repro(NamedTuple):
    """A finished run of `dvc repro`."""

    change: ImageChange
    seconds: float
    error: str | None
    """The error message; None if the run succeeded."""
    result: str
    """The accuracy as text; also that of the base, if there is a new model."""


def run_if_due(children: Subprocesses, interrupts: Interrupts, say: Callable[[str], None]) -> Repro | None:
    """Wait for other DVC commands, then run `dvc repro` if it would do anything, or report an error.

    None if there was nothing to do.

    Raises:
        ImagesError: DVC cannot hash data/raw, and might wait forever.
    """
    before, begun, change = _recorded(), time.monotonic(), ImageChange()
    while True:
        _wait_for_others(interrupts, say)
        check_hashable()
        if interrupts.event.is_set() or not _is_due(children):
            return None
        results.forget("ingest")
        ended = children.run(*DVC, "repro")
        change = change.then(_ingested())
        if ended.code == 0 or not any(text in ended.output for text in BUSY):
            break
        interrupts.event.wait(AGAIN)
    error = ended.error if ended.code else None
    return Repro(change, time.monotonic() - begun, error, accuracy(is_new=_recorded() != before))


def _is_due(children: Subprocesses) -> bool:
    """Whether `dvc repro` would do more than run `listing`, which always runs and which DVC always lists as changed."""
    try:
        content, record = look(), read_record()
        if content.oid != read_raw_hash() or "ingest" not in record or not is_of(record["ingest"], content.oid):
            return True
        stages = read_yaml(paths.PIPELINE)["stages"]
    except TreeringError:
        return True  # `dvc repro` will report the error.
    others = [name for name, stage in stages.items() if not stage.get("always_changed")]
    return children.run(*DVC, "status", "--quiet", *others).code != 0


def _ingested() -> ImageChange:
    """Return the images that were added and removed, if ingest ran."""
    result = results.newest("ingest")
    return (result.change if result else None) or ImageChange()


def accuracy(*, is_new: bool) -> str:
    """Return the accuracy of the model as text, by metrics.json; also that of the base, if the model `is_new`."""
    try:
        metrics = read_metrics()
    except RecordError:
        metrics = None
    now, before = (metrics.get("accuracy"), metrics.get("base")) if metrics else (None, None)
    if now is None:
        return "nothing measured"
    base = before.get("accuracy") if before else None
    return f"accuracy {f'{percent(base)} → ' if is_new and base is not None else ''}{percent(now)}"


def _wait_for_others(interrupts: Interrupts, say: Callable[[str], None]) -> None:
    said = False
    while (other := running_command()) and not interrupts.event.is_set():
        if not said:
            say(f"waiting for {other}")
            said = True
        interrupts.event.wait(AGAIN)


def _recorded() -> bytes | None:
    return RECORDED.read_bytes() if RECORDED.exists() else None
