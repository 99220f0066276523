"""The runs of trackers, by Lightning's loggers; in the process of their own alone, see worker.py."""

import os
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from pipeline import paths

# What is logged of a training besides its curves, by name.
Fact = str | int | float
Facts = dict[str, Fact]
CurveSteps = dict[str, int]
TrackedPoint = tuple[str, int, float]
# What a training came to, as MLflow calls it.
OUTCOMES = {"success": "FINISHED", "failed": "FAILED", "interrupted": "KILLED"}


class Known(NamedTuple):
    """A run that was begun earlier, and goes on."""

    identity: str
    """Its name where it is a folder, else what the tracker calls it."""
    steps: CurveSteps
    """How far it has each curve."""


class Opened(NamedTuple):
    """A logger whose run is there."""

    logger: Any
    identity: str
    link: str
    """Where people see it."""
    has: bool = True
    """Whether the run has what was logged earlier."""


class TrackedRun:
    """The run of one tracker. What cannot be logged now is kept, and logged later."""

    def __init__(self, tracker: str, place: str, name: str, known: Known | None) -> None:
        """Begin a run called `name`, or go on with the one that is `known`; `place` is empty where it is the usual one.

        Raises:
            Exception: it cannot be opened; each tracker has errors of its own.
        """
        self.tracker = tracker
        self._logger, self.identity, self.link, has = OPENERS[tracker](place, name, known.identity if known else "")
        self.steps: CurveSteps = dict(known.steps) if known and has else {}
        self.is_new = known is None
        self._waiting: dict[int, dict[str, float]] = {}
        self.is_behind = False
        """Whether anything is kept that could not be logged."""
        self._facts: Facts = {}

    def tell(self, facts: Facts) -> None:
        """Log `facts`, which never change afterwards."""
        self._facts |= facts
        if self.tracker != "mlflow" or self.is_new:  # MLflow takes no other value for what it has.
            self._logger.log_hyperparams(facts)
            self._logger.save()

    def add(self, points: Iterable[TrackedPoint]) -> None:
        """Keep those of `points` to be logged that the run does not have."""
        for curve, step, value in points:
            if step > self.steps.get(curve, -1):
                self._waiting.setdefault(step, {})[curve] = value

    def flush(self) -> None:
        """Log what is kept, in the order of its steps.

        Raises:
            Exception: it cannot be logged now.
        """
        self.is_behind = True
        for step in sorted(self._waiting):
            self._logger.log_metrics(self._waiting[step], step)
            self.steps |= dict.fromkeys(self._waiting.pop(step), step)
        self._logger.save()
        self.is_behind = False

    def end(self, outcome: str, facts: Facts, final: dict[str, float]) -> None:
        """Log `facts` and the `final` points of the curves, and close the run; `outcome` is what became of it.

        Raises:
            Exception: it cannot be logged now.
        """
        if self.tracker == "tensorboard":
            metrics = {f"final/{curve}": value for curve, value in final.items()}
            self._logger.log_hyperparams({**self._facts, **facts}, metrics)
        elif facts:
            self._logger.log_hyperparams(facts)
        self._logger.finalize(OUTCOMES[outcome] if self.tracker == "mlflow" else "success")
        if self.tracker == "wandb":
            self._logger.experiment.finish(exit_code=int(outcome != "success"))


def run_name(generation: int) -> str:
    """What a run that begins now is called."""
    return f"generation-{generation}-{datetime.now().astimezone():%Y%m%d-%H%M%S-%f}"


def project_name() -> str:
    """What runs of this project are kept under."""
    return Path.cwd().name


def _tensorboard(place: str, name: str, identity: str) -> Opened:
    from lightning.pytorch.loggers import TensorBoardLogger

    folder = Path(place or paths.LOGS / "tensorboard")
    has = bool(identity) and (folder / identity).exists()
    logger = TensorBoardLogger(folder, name="", version=identity or name, default_hp_metric=False)
    _ = logger.experiment
    return Opened(logger, identity or name, str(folder / (identity or name)), has)


def _csv(place: str, name: str, identity: str) -> Opened:
    from lightning.pytorch.loggers import CSVLogger

    folder = Path(place or paths.LOGS / "csv")
    logger = CSVLogger(folder, name="", version=identity or name)
    _ = logger.experiment
    return Opened(logger, identity or name, str(folder / (identity or name)), has=False)  # It empties its file.


def _dvclive(place: str, name: str, identity: str) -> Opened:
    from dvclive.lightning import DVCLiveLogger

    folder = Path(place or paths.LOGS / "dvclive") / (identity or name)
    has = bool(identity) and folder.exists()
    # What it does to dvc.yaml, to Git and to experiments besides is the pipeline's own affair.
    logger = DVCLiveLogger(dir=str(folder), resume=has, save_dvc_exp=False, dvcyaml=None, report=None)
    _ = logger.experiment
    return Opened(logger, folder.name, str(folder), has)


def _mlflow(place: str, name: str, identity: str) -> Opened:
    # Minutes, as they are set, would pass before a server that is down is known to be.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    from lightning.pytorch.loggers import MLFlowLogger

    server = place or os.environ.get("MLFLOW_TRACKING_URI", "")
    logger = MLFlowLogger(
        experiment_name=os.environ.get("MLFLOW_EXPERIMENT_NAME", project_name()),
        run_name=name,
        tracking_uri=server or f"sqlite:///{paths.LOGS / 'mlflow.db'}",
        artifact_location=None if server else (paths.LOGS / "mlflow").absolute().as_uri(),
        run_id=identity or None,
    )
    client, run = logger.experiment, str(logger.run_id)
    if identity:
        client.update_run(run, status="RUNNING")
    page = f"{server.rstrip('/')}/#/experiments/{logger.experiment_id}/runs/{run}"
    return Opened(logger, run, page if server.startswith("http") else f"run {run} in {logger._tracking_uri}")  # noqa: SLF001


def _wandb(place: str, name: str, identity: str) -> Opened:
    import wandb
    from lightning.pytorch.loggers import WandbLogger

    entity, _, project = place.rpartition("/")
    logger = WandbLogger(
        name=name,
        project=project or os.environ.get("WANDB_PROJECT", project_name()),
        entity=entity or None,
        save_dir=paths.LOGS,
        id=identity or None,
        settings=wandb.Settings(console="off"),
    )
    run: Any = logger.experiment
    return Opened(logger, run.id, run.url or f"{Path(run.dir).parent}; `wandb sync` uploads it")


OPENERS: dict[str, Callable[[str, str, str], Opened]] = {
    "tensorboard": _tensorboard,
    "csv": _csv,
    "mlflow": _mlflow,
    "wandb": _wandb,
    "dvclive": _dvclive,
}
