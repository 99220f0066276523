"""Further notes of `pipeline status`, a sentence each."""

import shlex
from collections.abc import Iterator
from contextlib import suppress
from importlib.util import find_spec

from pipeline import paths
from pipeline.commands.enlargement import enlargement
from pipeline.commands.status.changes import Changes
from pipeline.commands.status.raw_changes import RawChanges
from pipeline.commands.status.start import Start, size_before
from pipeline.errors import RecordError
from pipeline.git import unfinished
from pipeline.lineage.foretelling import heir
from pipeline.lineage.selection import is_cold
from pipeline.params import Params
from pipeline.text import counted, short
from pipeline.train_params import Train
from pipeline.training.trackers.packages import absence, missing
from pipeline.versioning.definition import read_definition
from pipeline.versioning.lock import StageRecord
from pipeline.versioning.own_code.listing import look_at_listing
from pipeline.versioning.running import running_command
from pipeline.versioning.weights import NEUTRAL_PARAMS, is_outdated, why_retrain


def on_ingest(arrivals: RawChanges | None) -> list[str]:
    """Return a note if ingest will stop with an error, and why."""
    return [f"ingest will stop: {arrivals.hindrance}"] if arrivals and arrivals.hindrance else []


def on_project(params: Params, *, can_look: bool, changed: bool) -> list[str]:
    """Return notes about the project: outdated lists of files, running commands, unfinished merges, missing images.

    Raises:
        ParamError: the project's own code that a param names is missing, or is not valid Python.
    """
    remarks = []
    if look_at_listing(params):
        files = f"the files of your own code that {paths.PIPELINE} lists are not those that params use now"
        remarks.append(f"{files}; run `pipeline setup`, or `dvc repro` will correct that and stop")
    if other := running_command():
        remarks.append(f"{other} is running; this is what another one would do after it, as far as is known now")
    if what := unfinished():
        remarks.append(f"a {what} is in progress in Git: end it before you train")
    if changed and not can_look:
        remarks.append(f"{paths.IMAGES} is not here, so new images are not known: `dvc pull` brings it")
    return remarks


def on_training(train: StageRecord | None, start: Start | None, changes: Changes, params: Params) -> list[str]:
    """Return notes about the next training from `start`, which will see `changes`; `start` is None if none runs."""
    on_succession = _on_succession(train, changes.raw, params)
    if start is None:
        return on_succession
    drift = changes.raw.drift if changes.raw else []
    on_classes = [*_on_changed_classes(changes), *_on_classes(start, changes.raw)]
    on_images = [*_on_held_out(len(changes.held_out)), *on_classes, *drift]
    hindrances = [f"training will stop: {one}" for one in _hindrances(start, params.train)]
    return [*on_succession, *on_images, *_on_seeing(train, start, params), *hindrances, *_on_release(train)]


def _hindrances(start: Start, params: Train) -> Iterator[str]:
    """Yield errors at which a training from `start` will stop, as far as they are found without building a network."""
    if absent := missing(params.trackers):
        yield absence(absent)
    if params.model.startswith("timm/") and find_spec("timm") is None:
        yield f"train.model is {params.model}, and timm is not installed; run `pip install timm`"
    if params.unpublished and start.oid is None and start.is_known:
        yield params.unpublished


def _on_succession(train: StageRecord | None, arrivals: RawChanges | None, params: Params) -> list[str]:
    """Return why the next training does not, or may not, start from the recorded model."""
    if train is None or is_cold(params, train):
        return []
    remarks = []
    with suppress(RecordError, KeyError):  # The model has no verdict, or no recorded base; `start_of` reports that.
        model, why, is_final = heir(train)
        if why:
            then = f"from {short(model)}" if model else "from scratch"
            unless = "" if is_final else ", unless you `pipeline accept` it"
            remarks.append(f"{why}; training on other images starts {then}{unless}")
    if params.manifest.on_removed == "ancestor" and arrivals is not None and arrivals.removed:
        remarks.append("training starts from the newest model that has seen none of the removed images, if one has not")
    return remarks


def _on_held_out(held_out: int) -> list[str]:
    """Return a note if the last model cannot be a base because images of its training will be held out."""
    if not held_out:
        return []
    what = f"{counted(held_out, 'image')} of the last training will be held out, and no model that saw them is a base"
    return [f"{what}; {paths.MANIFEST}/moved.csv will list them"]


def _on_changed_classes(changes: Changes) -> list[str]:
    """Return a note about classes that changed since the last training."""
    return [f"classes: {changes.classes}; the model keeps its rows for them"] if changes.classes else []


def _on_seeing(train: StageRecord | None, start: Start, params: Params) -> list[str]:
    """Return notes about images of another size or framing than before, and about images that will be enlarged."""
    remarks = []
    if train is not None and start.oid is not None:
        if before := size_before(train.params, params):
            remarks.append(f"training continues at {params.train.size} pixels; the model was trained at {before}")
        for name, neutral in NEUTRAL_PARAMS.items():
            then, now = train.params.get(name, neutral), getattr(params.train, name.removeprefix("train."))
            if then != now:
                remarks.append(f"training continues with {name} {now}; the model was trained with {then}")
    share = params.train.crop_pct  # The crop_pct of a timm model is at most 1; `train` will report its value.
    if larger := enlargement(params, 1.0 if share == "model" else share):
        remarks.append(larger)
    return remarks


def _on_classes(start: Start, arrivals: RawChanges | None) -> list[str]:
    """Return notes about the classes that have no images now, for a training from `start`."""
    if arrivals is None or not arrivals.vanished or (start.oid is None and start.is_known):
        return []
    renamed = [
        f"all images of {before} are {now} now: to keep what the model has learned, run `pipeline classes merge "
        f"{shlex.quote(before)} {shlex.quote(now)}`"
        for before, now in arrivals.successors.items()
    ]
    return [f"without images now, so the next model will not know them: {', '.join(arrivals.vanished)}", *renamed]


def _on_release(train: StageRecord | None) -> list[str]:
    """Return a note if only another release of the code, with the same weights, makes the training run."""
    now = read_definition().get("train")
    if train is None or now is None or not is_outdated(train, now) or why_retrain(train, now):
        return []
    return ["the code is of another release, which trains the same weights: `pipeline upgrade` avoids the training"]
