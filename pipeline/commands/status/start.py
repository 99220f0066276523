"""Predict what the next training starts from; nothing is written."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipeline import paths
from pipeline.errors import COLD, CheckpointError
from pipeline.lineage.base import BASE, base_of_hash, misfit
from pipeline.lineage.class_changes import ClassChanges
from pipeline.lineage.foretelling import Reported, foretell
from pipeline.lineage.lineage import Recorded, read_lineage, read_recorded
from pipeline.lineage.recorded_metrics import Metrics, read_metrics
from pipeline.params import Params
from pipeline.text import short
from pipeline.training.progress import FOLDER, deps_of_training, inputs_hash, unfinished_step
from pipeline.versioning import hashing, objects, repository
from pipeline.versioning.lock import StageRecord

SMALL = "small"


@dataclass(frozen=True, kw_only=True)
class Start:
    """What the next training starts from."""

    oid: str | None
    """The hash of the base; None for a cold start, or if the base is unknown."""
    reason: str
    """Why there is no base, or why the base is unknown."""
    is_known: bool = True
    """Whether the base could be determined; if not, `reason` states why."""
    generation: int | None = None
    """The generation of the base, if known."""
    accuracy: float | None = None
    """The accuracy of the base on the test images of its last evaluation, if known."""
    is_kept: bool = False
    """Whether the recorded model started from the same base."""
    is_at_hand: bool = True
    """Whether the base is in the workspace or in the cache, and not only on the remote."""


class _UnreadError(LookupError):
    """The list of images that a model has seen is not available locally."""


class _Inspected(Reported):
    """Candidates for the base; if images will be held out, the images that a candidate has seen are checked."""

    def __init__(self, held_out: frozenset[str]) -> None:
        self._held_out = held_out

    def admits(self, model: str) -> bool:
        """Whether `model` has seen none of the images that will be held out.

        Raises:
            _UnreadError: the list of images that it has seen is not available locally.
        """
        if not self._held_out:
            return True
        from pipeline.lineage.seen_images import SEEN, find_seen

        return self._held_out.isdisjoint(find_seen(_find_file(model, SEEN), ""))


def _find_file(model: str, name: str) -> Path:
    """Return the path of the file `name` of a model, in the workspace or in the cache.

    Raises:
        _UnreadError: it is in neither.
    """
    for folder in (paths.MODEL, paths.BASE):
        if hashing.known_directory_hash(folder) == model:
            return folder / name
    repo = repository.repository()
    md5 = (objects.listing(repo, model) or {}).get(name)
    path = objects.cached_path(repo, md5) if md5 else None
    if path is None or not path.exists():
        raise _UnreadError(model)
    return path


def start_of(
    record: dict[str, StageRecord],
    params: Params,
    *,
    manifest_runs: bool,
    images_change: bool,
    held_out: frozenset[str] = frozenset(),
) -> Start:
    """Predict what `train` will start from; `manifest` may still find a reason against it.

    `held_out` are the ids of images that were used for training and will be held out.

    Raises:
        RecordError: the recorded model has no verdict, so that `manifest` would fail, too; or its record cannot be
            read.
        CheckpointError: `train` will refuse the base.
    """
    train, manifest = record.get("train"), record.get("manifest")
    if not manifest_runs and manifest is not None:
        base = base_of_hash(manifest.outs[BASE])
    else:
        try:
            base = foretell(params, train, same_images=not images_change, candidates=_Inspected(held_out))
        except _UnreadError as unread:
            reason = f"what {short(unread.args[0])} has seen is not here; `dvc repro` pulls it and decides"
            return Start(oid=None, reason=reason, is_known=False)
        except KeyError as unknown:
            reason = f"the base of {short(unknown.args[0])} or one before it; `git fetch --unshallow` shows which"
            return Start(oid=None, reason=reason, is_known=False)
    is_kept = train is not None and base.hash == train.deps[BASE]
    if base.oid is None:
        return Start(oid=None, reason=base.reason, is_kept=is_kept)
    if train is not None and (what := misfit(train.params, params)):
        raise CheckpointError(paths.BASE, what, f"set it back, or {COLD}")
    if train is not None:
        _check_size(train.params, params)
    return replace(_described(base.oid), is_kept=is_kept)


def size_before(trained: Mapping[str, object], params: Params) -> int | None:
    """Return the image size of the params `trained` of a model, if it differs from the current size; else None."""
    before = trained.get("train.size", params.train.size)
    return before if isinstance(before, int) and before != params.train.size else None


def _check_size(trained: Mapping[str, object], params: Params) -> None:
    """Check that the weights of a model with the params `trained` can be adapted to the current image size.

    Raises:
        CheckpointError: they cannot be adapted.
    """
    before = size_before(trained, params)
    if before is None or params.train.model == SMALL:  # It takes any size, and importing PyTorch takes seconds.
        return
    from pipeline.models.network import Spec
    from pipeline.models.resizing import check_size

    spec = Spec(model=params.train.model, size=before, mode=params.ingest.mode, classes=("", "another"))
    check_size(spec, params.train.size)


def step_to_go_on_at(params: Params) -> int | None:
    """Return the step, counted from the cold start, of the saved state of an interrupted training.

    None if there is no saved state of a training with the current inputs.
    """
    if not FOLDER.is_dir() or not any(FOLDER.iterdir()):
        return None
    return unfinished_step(inputs_hash(params, deps_of_training()))


def steps_before() -> int:
    """Return the number of steps that the model in data/base was trained for; 0 if there is none."""
    try:
        return read_lineage(paths.BASE).steps.total
    except CheckpointError:
        return 0


def changed_images() -> int | None:
    """Count the new, relabelled and removed images for training, by the local manifest and data/base.

    None if one of them is not available locally.
    """
    from pipeline.images.dataset import read_manifest, uneven_weights
    from pipeline.lineage.seen_images import read_seen

    try:
        seen = read_seen(paths.BASE).renamed(ClassChanges.read())
        manifest = read_manifest("train")
        return seen.compare(manifest.set_index("id")["label"], uneven_weights(manifest)).changed
    except (CheckpointError, FileNotFoundError):
        return None


def _described(oid: str) -> Start:
    recorded, metrics = read_recorded(), read_metrics()
    here = any(hashing.known_directory_hash(path) == oid for path in (paths.MODEL, paths.BASE))
    return Start(oid=oid, reason="", is_at_hand=here or objects.is_cached(oid), **_told(oid, recorded, metrics))


def _told(oid: str, recorded: Recorded | None, metrics: Metrics | None) -> dict[str, Any]:
    """Return the generation and the accuracy of the model `oid`, as far as the last report records them."""
    if recorded is None:
        return {}
    if recorded.model == oid:
        return {"generation": recorded.generation, "accuracy": metrics.get("accuracy") if metrics else None}
    if recorded.base == oid:
        base = metrics.get("base") if metrics else None
        return {"generation": recorded.generation - 1, "accuracy": base.get("accuracy") if base else None}
    return {}
