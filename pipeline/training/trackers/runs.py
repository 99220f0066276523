"""The runs of trackers, by Lightning's loggers; used only in the trackers' own process, see worker.py."""

import os
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from pipeline import paths

# Everything logged apart from the curves, by name.
Fact = str | int | float
Facts = dict[str, Fact]
CurveSteps = dict[str, int]
TrackedPoint = tuple[str, int, float]
# MLflow's names of the outcomes of a training.
OUTCOMES = {"success": "FINISHED", "failed": "FAILED", "interrupted": "KILLED"}


class Known(NamedTuple):
    """A run that was started earlier and is resumed."""

    identity: str
    """The tracker's id of the run, or the name of its folder."""
    steps: CurveSteps
    """The last logged step of each curve."""


class Opened(NamedTuple):
    """A logger with an open run."""

    logger: Any
    identity: str
    link: str
    """Where users find the run: a web page, a folder or a description."""
    has: bool = True
    """Whether the run still has everything that was logged earlier."""


class TrackedRun:
    """The run of one tracker. Points that cannot be logged now are kept and logged later."""

    def __init__(self, tracker: str, place: str, name: str, known: Known | None) -> None:
        """Start a run called `name`, or resume the `known` one; an empty `place` selects the default place.

        Raises:
            Exception: the run cannot be opened; each tracker has its own exceptions.
        """
        self.tracker = tracker
        self._logger, self.identity, self.link, has = OPENERS[tracker](place, name, known.identity if known else "")
        self.steps: CurveSteps = dict(known.steps) if known and has else {}
        self.is_new = known is None
        self._waiting: dict[int, dict[str, float]] = {}
        self.is_behind = False
        """Whether there are points that could not be logged yet."""
        self._facts: Facts = {}

    def tell(self, facts: Facts) -> None:
        """Log `facts`, which never change afterwards."""
        self._facts |= facts
        if self.tracker != "mlflow" or self.is_new:  # MLflow rejects a changed value of a logged param.
            self._logger.log_hyperparams(facts)
            self._logger.save()

    def add(self, points: Iterable[TrackedPoint]) -> None:
        """Queue those of `points` that the run does not have yet."""
        for curve, step, value in points:
            if step > self.steps.get(curve, -1):
                self._waiting.setdefault(step, {})[curve] = value

    def flush(self) -> None:
        """Log the queued points in the order of their steps.

        Raises:
            Exception: they cannot be logged now.
        """
        self.is_behind = True
        for step in sorted(self._waiting):
            self._logger.log_metrics(self._waiting[step], step)
            self.steps |= dict.fromkeys(self._waiting.pop(step), step)
        self._logger.save()
        self.is_behind = False

    def end(self, outcome: str, facts: Facts, final: dict[str, float]) -> None:
        """Log `facts` and the `final` points of the curves, and close the run with `outcome`, a key of `OUTCOMES`.

        Raises:
            Exception: they cannot be logged now.
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
    """Return the name for a run that starts now."""
    return f"generation-{generation}-{datetime.now().astimezone():%Y%m%d-%H%M%S-%f}"


def project_name() -> str:
    """Return the project name under which trackers store runs: the name of the project's folder."""
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
    # CSVLogger truncates its file, so a resumed run gets all points again.
    logger = CSVLogger(folder, name="", version=identity or name)
    _ = logger.experiment
    return Opened(logger, identity or name, str(folder / (identity or name)), has=False)


def _dvclive(place: str, name: str, identity: str) -> Opened:
    from dvclive.lightning import DVCLiveLogger

    folder = Path(place or paths.LOGS / "dvclive") / (identity or name)
    has = bool(identity) and folder.exists()
    # DVCLive must not change dvc.yaml, Git or experiments: the pipeline manages these itself.
    logger = DVCLiveLogger(dir=str(folder), resume=has, save_dvc_exp=False, dvcyaml=None, report=None)
    _ = logger.experiment
    return Opened(logger, folder.name, str(folder), has)


def _mlflow(place: str, name: str, identity: str) -> Opened:
    # With MLflow's defaults, it takes minutes to notice that a server is down.
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
