"""Merges three versions of one of the pipeline's files in Git, for `git merge` and similar commands.

dvc.lock and the reports are never mixed: all are taken from the side whose model is better on its validation images.
The recorded lineage lists the other model for the next training.
"""

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipeline import paths
from pipeline.commands.merge import listings
from pipeline.commands.merge.class_rows import merge_classes
from pipeline.commands.merge.label_rows import merge_labels
from pipeline.commands.merge.listings import Listing, Side
from pipeline.commands.merge.winner import KnownModels, better, unnamed
from pipeline.errors import MergeError, ParamError
from pipeline.git import contents, merge_heads
from pipeline.ingestion.labelling.label_files import USUAL, is_label_file
from pipeline.ingestion.labelling.label_tables import Columns
from pipeline.lineage.lineage import RECORDED, Recorded
from pipeline.params import read_params
from pipeline.text import counted
from pipeline.versioning import fetching, tracking
from pipeline.versioning.lock import read_raw_hash
from pipeline.versioning.raw.absence import read_absent

MODEL = paths.MODEL.as_posix()
HINT = "run `pipeline resolve --ours` or `--theirs` to choose a side for them"


class Versions(NamedTuple):
    """The content of a file in the common ancestor, empty where there is none, and on the two sides."""

    ancestor: bytes
    ours: bytes
    theirs: bytes


def merge_file(path: str, versions: Versions, take: Side | None = None) -> bytes:
    """Return the merged content of `path`; `take` is the side that wins in data/raw and data/classes.csv.

    Raises:
        MergeError: the sides disagree, one of them cannot be read, or nothing is known of a side's model.
        RecordError: people's decisions about models, or a side's data/classes.csv or data/raw.dvc, cannot be read.
        MissingDataError: what a side has in data/raw cannot be found.
    """
    if path == paths.RAW_DVC.as_posix():
        return _merge_raw(versions, take)
    if path == paths.CLASSES.as_posix():
        return merge_classes(*versions, take=take)
    try:
        return MERGES[path](versions)
    except (ValidationError, YAMLError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise MergeError(path, f"one side cannot be read: {type(error).__name__}", "see `git log --merge`") from None


def _merge_lock(versions: Versions) -> bytes:
    return _of_better(versions, [_model_in_lock(version) for version in versions])


def _model_in_lock(lock: bytes) -> str | None:
    stages: dict[str, Any] = YAML(typ="safe").load(lock)["stages"] if lock else {}
    outs = stages.get("train", {}).get("outs", [])
    return next((str(out["md5"]) for out in outs if out["path"] == MODEL), None)


def _merge_shards(versions: Versions) -> bytes:
    """Return data/shards.dvc of the side whose dvc.lock is kept, since that records the index of these shards."""
    sides = [_lock_beside(version) for version in versions[1:]]
    ours, theirs = (_model_in_lock(lock) if lock else None for lock in sides)
    return _of_better(versions, [None, ours, theirs])


def _lock_beside(shards: bytes) -> bytes | None:
    """Return dvc.lock of the merged commit whose data/shards.dvc is `shards`; None where there is none."""
    heads = ["HEAD", *merge_heads()]
    locks = contents((head, paths.LOCK) for head in heads)
    beside = contents((head, paths.SHARDS_DVC) for head in heads)
    return next((lock for lock, version in zip(locks, beside, strict=True) if version == shards), None)


def _merge_metrics(versions: Versions) -> bytes:
    """Return the version with the better model; metrics.json has the model's short hash, details.json the full one."""
    known = KnownModels.read().records
    named = [str(json.loads(version)["model"]) if version else None for version in versions]
    return _of_better(
        versions, [name and next(filter(lambda one: one.startswith(name), known), name) for name in named]
    )


def _of_better(versions: Versions, models: Sequence[str | None]) -> bytes:
    """Return the version of the side with the better model; `models` are the models of `versions`."""
    ancestor, ours, theirs = models
    return versions.theirs if better(ancestor, ours, theirs, KnownModels.read()) == "theirs" else versions.ours


def _merge_lineage(versions: Versions) -> bytes:
    ancestor = Recorded.model_validate_json(versions.ancestor).model if versions.ancestor else None
    ours, theirs = (Recorded.model_validate_json(version) for version in versions[1:])
    known = KnownModels.read()
    side = better(ancestor, ours.model, theirs.model, known)
    kept, other = (theirs, ours) if side == "theirs" else (ours, theirs)
    models = (*kept.others, *([other.model] if other.model != ancestor else []), *other.others)
    others = unnamed(models, kept.model, known)
    return (kept.model_copy(update={"others": others}).model_dump_json(indent=2) + "\n").encode()


MERGES: dict[str, Callable[[Versions], bytes]] = {
    paths.LOCK.as_posix(): _merge_lock,
    RECORDED.as_posix(): _merge_lineage,
    paths.METRICS.as_posix(): _merge_metrics,
    paths.DETAILS.as_posix(): _merge_metrics,
    paths.SHARDS_DVC.as_posix(): _merge_shards,
}


def _merge_raw(versions: Versions, take: Side | None) -> bytes:
    ancestor, ours, theirs = (_listing(version) for version in versions)
    merged = merge_listings(ancestor, ours, theirs, take)
    if merged.conflicts and take is None:
        raise disagreement(merged.conflicts, HINT)
    gone = listings.removed_but_packed(ancestor, ours, theirs)
    if gone:
        print(f"pipeline: {gone[0]} is gone on both sides ({len(gone):,} such files), but new archives may contain it")
    # Where this clone has absent files, files that others added may stay absent.
    return tracking.listing_as(versions.ours, merged.files, pull=read_absent() == set())


def merge_listings(ancestor: Listing, ours: Listing, theirs: Listing, take: Side | None) -> listings.Merged:
    """Merge three versions of data/raw: label files row by row, everything else file by file."""
    columns, conflicts = _columns(), list[listings.Conflict]()
    ours, theirs = dict(ours), dict(theirs)
    for path in sorted(ours.keys() & theirs.keys()):
        versions = ancestor.get(path), ours[path], theirs[path]
        if len(set(versions)) < 3 or not is_label_file(path, columns):
            continue
        contents = [_labels_file(path, oid) for oid in versions]
        try:
            labels = merge_labels(*contents, take=take, columns=columns)
        except ValueError:  # One of them is not a valid label file, so its rows are unknown.
            continue
        conflicts += [one._replace(path=path) for one in labels.conflicts]
        ours[path] = theirs[path] = tracking.store_file(labels.content)
    merged = listings.merge(ancestor, ours, theirs, take=take)
    return merged._replace(conflicts=sorted([*conflicts, *merged.conflicts]))


def _columns() -> Columns:
    """Return the columns of labels.csv; the usual ones if params.yaml cannot be read, since it may be in conflict."""
    with suppress(ParamError):
        return Columns(**read_params().ingest.columns)
    return USUAL


def _labels_file(path: str, oid: str | None) -> bytes:
    if oid is None:
        return b""
    return fetching.fetch_file(oid, what=f"{paths.RAW}/{path}", hint=fetching.PUSH_FIRST).read_bytes()


def disagreement(conflicts: list[listings.Conflict], hint: str) -> MergeError:
    """Return the error for `conflicts`, with the `hint`."""
    first, *more = conflicts
    beyond = f", and {counted(len(more), 'more file')}" if more else ""
    return MergeError(paths.RAW, f"{first.path} was {first.what}{beyond}", hint)


def _listing(raw_dvc: bytes) -> Listing:
    return fetching.fetch_listing(read_raw_hash(raw_dvc.decode()), what=paths.RAW.as_posix()) if raw_dvc else {}
