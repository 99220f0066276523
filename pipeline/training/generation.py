"""A generation: one training, what it starts from, and what its model will say of its origin."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline import paths
from pipeline.errors import COLD, CheckpointError
from pipeline.lineage.base import misfit, reason_for_none
from pipeline.lineage.lineage import Budget, Lineage, read_lineage
from pipeline.lineage.merged import read_merged
from pipeline.lineage.seen_images import NOTHING, SeenImages, read_seen
from pipeline.models.checkpoint import CHECKPOINT, Checkpoint, network_of, read_checkpoint, spec_of
from pipeline.models.network import Spec
from pipeline.params import Params
from pipeline.text import counted, short
from pipeline.training.budget import epochs_of, steps_per_epoch
from pipeline.versioning import hashing


@dataclass(frozen=True, kw_only=True)
class Generation:
    """One training."""

    base: Checkpoint | None
    """What it starts from, None at a cold start."""
    spec: Spec
    """The network that it trains."""
    lineage: Lineage
    seen: SeenImages
    """The images that its model will have seen."""
    is_new: npt.NDArray[np.bool_]
    """Of each training image, whether the base was trained without it, or with another label."""

    @property
    def steps_before(self) -> int:
        """How many steps its base has behind it."""
        return self.lineage.steps.total - self.lineage.steps.run

    def __str__(self) -> str:
        """Its start in words."""
        images, epochs, oid = self.lineage.images, self.lineage.epochs.run, self.lineage.base
        start = f"warm start from {short(oid)}" if oid else f"cold start ({self.lineage.reason})"
        new, budget = counted(images.new, "new image"), counted(epochs, "epoch")
        return f"{start}, generation {self.lineage.generation}, {new}, {budget}"


def plan(params: Params, labels: pd.Series[str]) -> Generation:
    """The generation that trains on the images of `labels`, a class name by image id, from data/base.

    Raises:
        CheckpointError: the base is damaged, or of another network or other classes than are asked for now.
    """
    spec = Spec(
        model=params.train.model,
        size=params.train.size,
        mode=params.ingest.mode,
        classes=tuple(sorted(labels.unique())),
    )
    reason = reason_for_none(paths.BASE)
    return _warm(params, labels, spec) if reason is None else _cold(params, labels, spec, reason)


def _cold(params: Params, labels: pd.Series[str], spec: Spec, reason: str) -> Generation:
    epochs = epochs_of(params.train, warm=False, new=1.0)
    steps = epochs * steps_per_epoch(len(labels), params.train)
    lineage = Lineage(
        generation=1,
        start="cold",
        reason=reason,
        base=None,
        images=NOTHING.compare(labels),
        epochs=Budget(run=epochs, total=epochs),
        steps=Budget(run=steps, total=steps),
        merged=read_merged(),
    )
    seen, is_new = NOTHING.then(labels), np.ones(len(labels), np.bool_)
    return Generation(base=None, spec=spec, lineage=lineage, seen=seen, is_new=is_new)


def _warm(params: Params, labels: pd.Series[str], wanted: Spec) -> Generation:
    checkpoint, before, seen = read_checkpoint(paths.BASE), read_lineage(paths.BASE), read_seen(paths.BASE)
    old = spec_of(checkpoint, paths.BASE)
    _check_fits(old, params)
    network_of(checkpoint, paths.BASE)
    kept = [name for name in old.classes if name in wanted.classes]
    lost = [name for name in old.classes if name not in wanted.classes]
    classes = (*kept, *(name for name in wanted.classes if name not in old.classes))
    images, is_new = seen.compare(labels), seen.is_new(labels)
    epochs = epochs_of(params.train, warm=True, new=float(is_new.mean()))
    steps = epochs * steps_per_epoch(len(labels), params.train)
    lineage = Lineage(
        generation=before.generation + 1,
        start="warm",
        reason=f"{images.new} of {images.total} training images are new, {images.removed} are gone{_told(lost)}",
        base=hashing.directory_hash(paths.BASE),
        images=images,
        epochs=Budget(run=epochs, total=before.epochs.total + epochs),
        steps=Budget(run=steps, total=before.steps.total + steps),
        merged=read_merged(),
    )
    spec = wanted.model_copy(update={"classes": classes})
    return Generation(base=checkpoint, spec=spec, lineage=lineage, seen=seen.then(labels), is_new=is_new)


def _check_fits(old: Spec, params: Params) -> None:
    where = paths.BASE / CHECKPOINT
    if what := misfit({"train.model": old.model, "train.size": old.size, "ingest.mode": old.mode}, params):
        raise CheckpointError(where, what, f"set it back, or {COLD}")


def _told(lost: list[str]) -> str:
    """Which classes of the base have no training image left."""
    return f"; without its former classes {', '.join(lost)}" if lost else ""
