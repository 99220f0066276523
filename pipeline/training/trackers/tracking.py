"""What a training tells trackers: it begins, how its curves go on, how it ends. None of it changes a byte of the model.

A tracker that cannot be reached when it begins is an error; one that fails later is said once, and missed by nobody.
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
# Seconds for the last points, at the end of a training and where it is interrupted.
PATIENCE, HURRY = 60.0, 5.0


class Tracking:
    """What gives the points of a training to trackers; to none where there is no process of theirs."""

    def __init__(self, process: TrackerProcess | None, *, before: int) -> None:
        """`before` are the steps of earlier generations."""
        self._process, self._before = process, before
        self._curves = Curves()

    def callbacks(self, curves: Curves) -> list[pl.Callback]:
        """What gives them the points that come to `curves`."""
        if self._process is None:
            return []
        self._curves = curves
        return [TellTrackers(self._process, curves, before=self._before)]

    @property
    def final(self) -> dict[str, float]:
        """The last value of each curve."""
        return {name: points[-1][1] for name, points in self._curves.points.items() if points}


class TellTrackers(pl.Callback):
    """Gives trackers each point of the curves once. Stands behind what takes them down."""

    def __init__(self, process: TrackerProcess, curves: Curves, *, before: int) -> None:
        self._process, self._curves = process, curves
        self._told = dict.fromkeys(curves.points, before)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Give what was taken down before an interruption; they know what of it they have."""
        del trainer, pl_module
        self._tell()

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Give what is new."""
        del trainer
        self._tell()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Likewise."""
        del trainer, pl_module
        self._tell()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Likewise."""
        del trainer, pl_module
        self._tell()

    def state_dict(self) -> dict[str, Any]:
        """Which runs these are, and how far; for whoever goes on with the training on another machine."""
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
    """While this lasts, trackers are told of the training of `generation`; `say` tells people where they keep it.

    Raises:
        ParamError: a tracker is not installed.
        TrainingError: a tracker cannot begin a run.
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
    """The runs of an interrupted training, by tracker: as noted here, or in the state that it goes on from."""
    try:
        return dict(json.loads(state.read_bytes()))
    except (OSError, ValueError):
        saved = progress.newest()
    if saved is None:
        return {}
    checkpoint = torch.load(saved, map_location="cpu", weights_only=True, mmap=True)
    return dict(checkpoint["callbacks"].get(TellTrackers.__qualname__, {}))
