"""Track a training: its start, the points of its curves and its end. Tracking never changes a byte of the model.

A tracker that cannot be reached at the start is an error. A later failure is only reported, once.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch

from pipeline import paths
from pipeline.handover.attempts import Say
from pipeline.params import Params
from pipeline.training.curves import Curves
from pipeline.training.generation import Generation
from pipeline.training.processes.joining import is_first_process
from pipeline.training.progress import Progress
from pipeline.training.trackers.facts import facts_of
from pipeline.training.trackers.packages import check_installed
from pipeline.training.trackers.process import TrackerProcess
from pipeline.versioning import hashing

STATE = "trackers.json"
# Seconds for logging the last points, at the end of a training and after an interruption or failure.
PATIENCE, HURRY = 60.0, 5.0


class Tracking:
    """Sends the points of a training to the trackers; does nothing if there is no tracker process."""

    def __init__(self, process: TrackerProcess | None, *, before: int) -> None:
        """`before` is the number of steps of earlier generations."""
        self._process, self._before = process, before
        self._curves = Curves()

    def callbacks(self, curves: Curves) -> list[pl.Callback]:
        """Return the callbacks that send new points of `curves` to the trackers."""
        if self._process is None:
            return []
        self._curves = curves
        return [TellTrackers(self._process, curves, before=self._before)]

    @property
    def final(self) -> dict[str, float]:
        """The last value of each curve."""
        return {name: points[-1][1] for name, points in self._curves.points.items() if points}


class TellTrackers(pl.Callback):
    """Sends each point of the curves once to the trackers. Must come after the callback that records the curves."""

    def __init__(self, process: TrackerProcess, curves: Curves, *, before: int) -> None:
        self._process, self._curves = process, curves
        self._told = dict.fromkeys(curves.points, before)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Send the points recorded before an interruption; runs skip those that they already have."""
        del trainer, pl_module
        self._tell()

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Send new points."""
        del trainer
        self._tell()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Send new points."""
        del trainer, pl_module
        self._tell()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Send new points."""
        del trainer, pl_module
        self._tell()

    def state_dict(self) -> dict[str, Any]:
        """Return each run's id and last steps, with which another machine can resume the runs."""
        return {name: {"identity": one, "steps": dict(self._told)} for name, one in self._process.identities.items()}

    def _tell(self) -> None:
        news = [
            (name, step, value)
            for name, points in self._curves.points.items()
            if points and points[-1][0] > self._told[name]
            for step, value in points
            if step > self._told[name]
        ]
        if news:
            self._told |= {name: step for name, step, _ in news}
            self._process.give({"points": news})


@contextmanager
def tracked(generation: Generation, params: Params, progress: Progress, say: Say) -> Iterator[Tracking]:
    """Log the training of `generation` inside the context to the trackers; `say` prints the links to the runs.

    Raises:
        ParamError: a tracker is not installed.
        TrainingError: a tracker cannot start a run.
    """
    trackers = params.train.trackers
    if not trackers or not is_first_process():
        yield Tracking(None, before=generation.steps_before)
        return
    check_installed(trackers)
    process = TrackerProcess(trackers)
    state = progress.folder / STATE
    order = {"state": str(state), "known": _known(state, progress)}
    for name, link in process.open({**order, "facts": facts_of(generation, params, progress.inputs)}).items():
        say(f"{name} has this run: {link}")
    tracking = Tracking(process, before=generation.steps_before)
    try:
        yield tracking
    except (KeyboardInterrupt, SystemExit):
        process.end("interrupted", {}, tracking.final, seconds=HURRY)
        raise
    except BaseException:
        process.end("failed", {}, tracking.final, seconds=HURRY)
        raise
    model = hashing.directory_hash(paths.MODEL)
    process.end("success", {"model": str(model)}, tracking.final, seconds=PATIENCE)


def _known(state: Path, progress: Progress) -> dict[str, Any]:
    """Return the runs of an interrupted training, by tracker: from the file `state`, or else from saved progress."""
    try:
        return dict(json.loads(state.read_bytes()))
    except (OSError, ValueError):
        saved = progress.newest()
    if saved is None:
        return {}
    checkpoint = torch.load(saved, map_location="cpu", weights_only=True, mmap=True)
    return dict(checkpoint["callbacks"].get(TellTrackers.__qualname__, {}))
