"""Predict what `dvc repro` would do, and why, for `pipeline status`. Nothing is written."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from pipeline import parquet, paths
from pipeline.commands.durations import pace
from pipeline.commands.status.changes import Changes
from pipeline.commands.status.pending import Pending, pending
from pipeline.commands.status.raw_changes import RawChanges, look
from pipeline.commands.status.remarks import on_ingest, on_project, on_training
from pipeline.commands.status.stages import Step, stage_statuses, steps_of
from pipeline.commands.status.start import Start, changed_images, start_of, step_to_go_on_at, steps_before
from pipeline.errors import RecordError
from pipeline.images import index
from pipeline.ingestion.collection import Collection
from pipeline.params import Params
from pipeline.training.drawing.budget import length_of
from pipeline.versioning import hashing, objects, repository
from pipeline.versioning.git_guard import check_followed
from pipeline.versioning.lock import StageRecord, read_raw_hash, read_record, read_yaml
from pipeline.versioning.raw.content import RawContent
from pipeline.versioning.raw.content import look as look_at_raw
from pipeline.versioning.raw.recorded import is_of, raw_recorded
from pipeline.versioning.raw.recording import check_whole_record
from pipeline.versioning.unhashable import check_hashable

# Seconds for the inspection of new images, once the worker processes have started.
LOOK = 0.2


@dataclass(frozen=True, kw_only=True)
class Expected(Step):
    """Whether a stage will run, and how long it will take."""

    amount: int | None
    """Number of images or training steps that the stage will process; None if unknown."""
    seconds: float | None
    """Estimated duration; None if there was no comparable run."""


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """What `dvc repro` would do."""

    steps: list[Expected]
    """The stages in the order in which they run."""
    arrivals: RawChanges | None
    """Changes in data/raw; None if there are none, or if they cannot be determined."""
    pending: Pending | None
    """Images that ingest has read and no training has seen; None if unknown, or if `manifest` does not run."""
    start: Start | None
    """What training starts from; None if it does not run."""
    going_on: tuple[int, int] | None
    """Step at which an interrupted training continues, and total number of steps; None if none was interrupted."""
    remarks: list[str]
    """Further notes, a sentence each."""


def forecast(params: Params) -> Forecast:
    """Predict what `dvc repro` would do now.

    Raises:
        RecordError: it would fail at once, for example because dvc.lock contains conflict markers of a merge.
    """
    record = read_record()
    _check(params)
    content = look_at_raw()
    check_whole_record(content)
    check_followed(content.oid, content.belonging.files)
    changed = "ingest" not in record or not is_of(record["ingest"], content.oid) or _are_classes_changed(record)
    can_look = changed and (index.INDEX.exists() or "ingest" not in record)
    with ThreadPoolExecutor(1) as aside:  # The inspection waits for processes; DVC's status is computed meanwhile.
        looking = aside.submit(_look, content, record, params) if can_look else None
        stages = stage_statuses(content.oid, record)
        arrivals = looking.result() if looking else None
    again = decoded_again(record, params) if any(one.name == "ingest" and one.reasons for one in stages) else 0
    steps = steps_of(stages, arrivals, redecodes=again > 0)
    runs = {step.stage: step.runs for step in steps}
    manifest_runs = runs.get("manifest", "no") != "no"
    waiting = pending(record, params) if manifest_runs else None
    changes, start = Changes(arrivals, waiting, again), None
    if runs.get("train", "no") != "no":
        change, held_out = changes.change_training(unknown=changed), changes.held_out
        start = start_of(record, params, manifest_runs=manifest_runs, images_change=change, held_out=held_out)
    amounts = _amounts(changes, start, params, runs)
    going_on = _going_on(start, amounts["train"], params) if start and not manifest_runs else None
    if going_on is not None:
        amounts["train"] = going_on[1] - going_on[0]
    return Forecast(
        steps=[_timed(step, amounts.get(step.stage), params) for step in steps],
        arrivals=arrivals,
        pending=waiting,
        start=start,
        going_on=going_on,
        remarks=on_ingest(arrivals)
        + on_project(params, can_look=can_look, changed=changed)
        + on_training(record.get("train"), start, changes, params),
    )


def _are_classes_changed(record: Mapping[str, StageRecord]) -> bool:
    """Whether data/classes.csv differs from the file that ingest last used."""
    recorded = record["ingest"].deps.get(paths.CLASSES.as_posix()) if "ingest" in record else None
    return recorded is not None and hashing.path_hash(paths.CLASSES) != recorded


def _look(content: RawContent, record: Mapping[str, StageRecord], params: Params) -> RawChanges:
    """Compare the current `content` of data/raw with the content that ingest last read."""
    before = raw_recorded(record["ingest"]) if "ingest" in record else None
    known = objects.listing(repository.repository(), before) if before else {}
    return look(content, known, params, LOOK)


def _going_on(start: Start, steps: int | None, params: Params) -> tuple[int, int] | None:
    """Return the step at which an interrupted training of `steps` steps continues, and `steps`; None if none was."""
    saved = step_to_go_on_at(params) if steps else None
    return None if saved is None or not steps else (saved - (steps_before() if start.oid else 0), steps)


def _check(params: Params) -> None:
    """Check that `dvc repro` can start.

    Raises:
        RecordError: a file that it needs is missing or cannot be used.
    """
    if not paths.PIPELINE.exists():
        raise RecordError(paths.PIPELINE, "no such file", "run this in the project's folder")
    read_yaml(paths.PIPELINE)
    begins_with = params.train.pretrained
    weights = paths.WEIGHTS / (begins_with if isinstance(begins_with, str) else str(begins_with).lower())
    if not weights.exists():
        raise RecordError(weights, "no such file", "put there what train.pretrained names, or run `dvc pull`")
    check_hashable()
    if paths.RAW_DVC.exists():
        read_raw_hash()
    elif not paths.RAW.is_dir():
        raise RecordError(paths.RAW, "no images yet", f"put some there, then run `dvc add {paths.RAW}` once")
    else:
        raise RecordError(paths.RAW, "not tracked by DVC yet", f"run `dvc add {paths.RAW}` once, then `dvc repro`")


def decoded_again(record: Mapping[str, StageRecord], params: Params) -> int:
    """Return how many images ingest will decode again because code or params changed, if it runs."""
    from pipeline.ingestion.recipe import recipe_of, still_good, stored_recipe

    if "ingest" not in record or not index.INDEX.exists():
        return 0
    had = Collection.read(["id", "md5", "reader"])
    return len(had.ids) - len(still_good(had, stored_recipe(had.recipe), recipe_of(params.ingest)).ids)


def _amounts(changes: Changes, start: Start | None, params: Params, runs: Mapping[str, str]) -> dict[str, int | None]:
    """Return the number of images or steps that each stage will process, None if unknown; empty if no stage runs."""
    if set(runs.values()) == {"no"}:
        return {}
    arrivals, waiting, again = changes
    split = params.manifest.split
    had = parquet.read_table(index.INDEX, index.SCHEMA, ["id"]).num_rows
    images = arrivals.images if arrivals else had
    unread = arrivals.found if arrivals else 0
    more = images - had
    train_share = 1 - split.val - split.test
    train = waiting.total if waiting else _lines(paths.MANIFEST / "train.csv", had * train_share)
    train += round(more * train_share)
    test = _lines(paths.MANIFEST / "test.csv", had * split.test) + round(more * split.test)
    warm = start is not None and (start.oid is not None or not start.is_known)
    exact = changed_images() if runs.get("manifest", "no") == "no" else None
    changed = round((arrivals.changed_at_most if arrivals else 0) * train_share) + (waiting.changed if waiting else 0)
    changed = changed if exact is None else exact
    return {
        "ingest": again + unread,
        "manifest": images,
        "train": length_of(params.train, images=train, changed=changed, warm=warm).steps if train else None,
        "evaluate": test * (1 + warm) if images else None,
    }


def _lines(path: Path, otherwise: float) -> int:
    """Return how many images the manifest `path` lists, or `otherwise`, rounded, if it cannot be read."""
    try:
        return max(path.read_bytes().count(b"\n") - 1, 0)
    except OSError:
        return round(otherwise)


def _timed(step: Step, amount: int | None, params: Params) -> Expected:
    known = pace(step.stage, params) if step.runs != "no" and amount is not None else None
    seconds = known.seconds(amount) if known and amount is not None else None
    return Expected(**vars(step), amount=amount, seconds=seconds)
