"""Plan a generation: one training with its base, its images and the lineage of its model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline import paths
from pipeline.errors import COLD, CheckpointError
from pipeline.lineage.base import misfit, reason_for_none
from pipeline.lineage.class_changes import ClassChanges
from pipeline.lineage.lineage import EDITED, Budget, Epochs, Lineage, read_lineage
from pipeline.lineage.merged import read_merged
from pipeline.lineage.seen_images import EVEN, NOTHING, SeenImages, TrainingImages, read_seen
from pipeline.models.checkpoint import CHECKPOINT, Checkpoint, is_other_function, network_of, read_checkpoint, spec_of
from pipeline.models.network import Spec, crop_pct_of, rows_of_classes
from pipeline.models.resizing import check_size
from pipeline.param_types import is_own
from pipeline.params import Params
from pipeline.text import counted, counted_epochs, short
from pipeline.train_params import Train
from pipeline.training.drawing.budget import Length, length_of
from pipeline.training.drawing.randomness import keys_of
from pipeline.training.drawing.sampling import CURSOR, Cursor, Draws, Rounds
from pipeline.versioning import hashing


@dataclass(frozen=True, kw_only=True)
class Generation:
    """The plan of one training."""

    base: Checkpoint | None
    """Checkpoint of the base; None for a cold start."""
    changes: ClassChanges
    """Renamed, merged and dropped classes since the base."""
    spec: Spec
    """Spec of the network to train."""
    lineage: Lineage
    seen: SeenImages
    """All images that the new model and its bases were trained on."""
    rounds: Rounds
    """The images that the training draws."""

    @property
    def steps_before(self) -> int:
        """Number of steps of all earlier generations."""
        return self.lineage.steps.total - self.lineage.steps.run

    def __str__(self) -> str:
        """Describe the start of the training in one line."""
        lineage, oid = self.lineage, self.lineage.base
        start = f"warm start from {short(oid)}" if oid else f"cold start ({lineage.reason})"
        new, steps = counted(lineage.images.new, "new image"), counted(self.rounds.length.steps, "step")
        drawn = f"{counted(self.rounds.length.draws, 'image')}, {counted_epochs(lineage.epochs.run)}"
        return f"{start}, generation {lineage.generation}, {new}, {steps} ({drawn})"


def wanted_spec(params: Params, classes: Sequence[str]) -> Spec:
    """Return the spec of the network that `params` request for `classes`."""
    return Spec(
        model=params.train.model,
        size=params.train.size,
        mode=params.ingest.mode,
        classes=tuple(classes),
        framing=params.train.framing,
        crop_pct=crop_pct_of(params.train.model, params.train.crop_pct),
    )


def plan(params: Params, labels: pd.Series[str], weights: pd.Series[float] = EVEN) -> Generation:
    """Plan the generation that starts from data/base and trains on the images of `labels`, class names by image id.

    `weights` are the weights of images by id; images that are not listed count 1.

    Raises:
        CheckpointError: the base is damaged, or its network or classes do not fit the current params and code.
        ParamError: the network is built by the project's own code, which does not work.
    """
    spec = wanted_spec(params, sorted(labels.unique()))
    if is_own(spec.model):
        rows_of_classes(spec)  # Checks now that the network can grow, rather than when a class is added.
    reason = reason_for_none(paths.BASE)
    images = TrainingImages(labels, weights)
    return _warm(params, images, spec) if reason is None else _cold(params, images, spec, reason)


def _cold(params: Params, training: TrainingImages, spec: Spec, reason: str) -> Generation:
    labels = training.labels
    images = NOTHING.compare(labels)
    length = length_of(params.train, images=len(labels), changed=len(labels), warm=False)
    lineage = Lineage(
        generation=1,
        start="cold",
        reason=reason,
        base=None,
        images=images,
        epochs=Epochs(run=length.draws / len(labels), total=length.draws / len(labels)),
        steps=Budget(run=length.steps, total=length.steps),
        merged=read_merged(),
    )
    draws = _draws(params.train, labels, np.zeros(len(labels), np.bool_), length, Cursor(0, 0))
    rounds = Rounds(draws=draws, length=length, before=0)
    return Generation(
        base=None, changes=ClassChanges(), spec=spec, lineage=lineage, seen=NOTHING.then(*training), rounds=rounds
    )


def _warm(params: Params, training: TrainingImages, wanted: Spec) -> Generation:
    labels = training.labels
    checkpoint, before, changes = read_checkpoint(paths.BASE), read_lineage(paths.BASE), ClassChanges.read()
    old, seen = spec_of(checkpoint, paths.BASE), read_seen(paths.BASE).renamed(changes)
    _check_fits(old, params)
    network = network_of(checkpoint, paths.BASE, edited=True)
    is_edited = is_own(old.model) and is_other_function(network, checkpoint, old)
    kept = changes.origins(old.classes, wanted.classes)
    lost = [name for name in old.classes if (now := changes.heirs(name)) and not {*now} & {*kept}]
    classes = (*kept, *(name for name in wanted.classes if name not in kept))
    images = seen.compare(*training)
    length = length_of(params.train, images=len(labels), changed=images.changed, warm=True)
    epochs = length.draws / len(labels)
    lineage = Lineage(
        generation=before.generation + 1,
        start="warm",
        reason=f"{images.new} of {images.total} training images are new, {images.removed} are gone"
        f"{_told(lost)}{changes.as_news()}{_seen_otherwise(old, wanted)}{EDITED if is_edited else ''}",
        base=hashing.directory_hash(paths.BASE),
        images=images,
        epochs=Epochs(run=epochs, total=before.epochs.total + epochs),
        steps=Budget(run=length.steps, total=before.steps.total + length.steps),
        merged=read_merged(),
    )
    # Models of earlier releases have no cursor: they drew every image once per epoch.
    cursor = Cursor(*checkpoint.get(CURSOR, (checkpoint["epoch"], 0)))
    draws = _draws(params.train, labels, seen.is_new(*training), length, cursor)
    return Generation(
        base=checkpoint,
        changes=changes,
        spec=wanted.model_copy(update={"classes": classes}),
        lineage=lineage,
        seen=seen.then(*training),
        rounds=Rounds(draws=draws, length=length, before=checkpoint["epoch"]),
    )


def _draws(
    params: Train, labels: pd.Series[str], is_new: npt.NDArray[np.bool_], length: Length, cursor: Cursor
) -> Draws:
    """Return the draws among the images of `labels`; `schedule_free` draws each new image once in addition.

    Optimizers with a schedule train on all images again, and treat new ones like the others.
    """
    arrived = np.flatnonzero(is_new & (params.optimizer == "schedule_free"))
    keys = keys_of(labels.index.to_numpy(str))
    return Draws(keys=keys, arrived=arrived, count=length.draws, start=cursor, seed=params.seed)


def _check_fits(old: Spec, params: Params) -> None:
    where = paths.BASE / CHECKPOINT
    if what := misfit({"train.model": old.model, "ingest.mode": old.mode}, params):
        raise CheckpointError(where, what, f"set it back, or {COLD}")
    if old.size != params.train.size:
        check_size(old, params.train.size)


def _seen_otherwise(before: Spec, now: Spec) -> str:
    """Describe how the size and the framing of images differ from those of the base; empty if they do not."""
    size = "" if before.size == now.size else f"; images are of {now.size} pixels, and were of {before.size}"
    framing = "" if before.framing == now.framing else f"; framing is {now.framing}, and was {before.framing}"
    cropped = "" if before.crop_pct == now.crop_pct else f"; crop_pct is {now.crop_pct:g}, and was {before.crop_pct:g}"
    return size + framing + cropped


def _told(lost: list[str]) -> str:
    """Describe which classes of the base have no training image left; empty if there are none."""
    return f"; without its former classes {', '.join(lost)}" if lost else ""
