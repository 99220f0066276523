"""Trackers get a training's data, and do not change the training, even if they fail."""

import csv
import logging
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from support.stored import Plain
from support.tiny import tiny_params, tiny_project

from pipeline import paths
from pipeline.errors import TrainingError
from pipeline.params import Params
from pipeline.versioning import hashing

pytestmark = [pytest.mark.xdist_group("lightning"), pytest.mark.filterwarnings(r"ignore:::lightning\..*")]

OLD = [Plain("cat", shade) for shade in range(10)] + [Plain("dog", 200 + shade) for shade in range(7)]
VAL = [Plain("cat", 20), Plain("dog", 220)]
Files = dict[str, bytes]


def params(*loggers: str | dict[str, str], **train: Any) -> Params:
    """Return tiny params: 5 steps per epoch, 15 in total."""
    train = {"batch_size": 4, "epochs": 3, "save_every": 1e9, "augment": {"flip": True}, **train}
    return tiny_params(train={**train, "loggers": list(loggers)})


def trained(params: Params) -> Files:
    """Train, return the model's files, and remove them."""
    from pipeline.train import train

    train(params)
    files = {path.name: path.read_bytes() for path in paths.MODEL.iterdir()}
    shutil.rmtree(paths.MODEL)
    return files


@pytest.fixture(autouse=True)
def _project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a project with images and no base the working directory."""
    tiny_project(tmp_path, monkeypatch, train=OLD, val=VAL)


def logged() -> list[dict[str, str]]:
    """Return the rows of the only run in data/logs/csv."""
    (file,) = (paths.LOGS / "csv").glob("*/metrics.csv")
    with file.open() as lines:
        return list(csv.DictReader(lines))


def points(rows: list[dict[str, str]], curve: str) -> list[tuple[int, float]]:
    """Return the points of `curve`."""
    return [(int(row["step"]), float(row[curve])) for row in rows if row.get(curve)]


def kept(files: Files, curve: str) -> list[tuple[int, float]]:
    """Return the model's own points of the curve."""
    rows = csv.DictReader(files["curves.csv"].decode().splitlines())
    return [(int(row["step"]), float(row["value"])) for row in rows if row["curve"] == curve]


def facts() -> dict[str, str]:
    """Return the facts of the only run."""
    (file,) = (paths.LOGS / "csv").glob("*/hparams.yaml")
    return dict(line.split(": ", 1) for line in file.read_text().splitlines() if ": " in line)


def test_a_run_is_logged_and_the_model_is_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    """A run has the model's curves, origin and hash; the model equals that of a training without trackers."""
    without = trained(params())
    assert not paths.LOGS.exists()
    capsys.readouterr()
    with_one = trained(params("csv"))
    assert with_one == without
    rows = logged()
    for curve in ("loss", "lr", "val_accuracy", "val_loss"):
        assert points(rows, curve) == kept(without, curve)
    assert len(points(rows, "loss")) == 15
    told = facts()
    assert (told["generation"], told["start"], told["base"], told["images.new"]) == ("1", "cold", "none", "17")
    assert told["md5.data/manifest/train.csv"] == hashing.path_hash(paths.MANIFEST / "train.csv")
    assert told["train.batch_size"] == "4"
    assert told["environment.torch"].strip("'") == torch.__version__
    assert told["model"] == hashing.hash_of_files(without)
    (folder,) = (paths.LOGS / "csv").glob("*/")
    assert f"train: csv has this run: {folder}\n" in capsys.readouterr().out
    assert (paths.LOGS / ".gitignore").read_text() == "*\n"


@pytest.mark.slow
@pytest.mark.parametrize("noted", [True, pytest.param(False, marks=pytest.mark.nightly)])
def test_an_interrupted_run_goes_on(monkeypatch: pytest.MonkeyPatch, *, noted: bool) -> None:
    """An interrupted run continues as one run with each point once, also on another machine with the saved files."""
    from pipeline.training.module import Classifier

    without = trained(params())
    training_step = Classifier.training_step

    def with_signal(self: Classifier, batch: Any, batch_idx: int) -> torch.Tensor:
        if self.global_step == 7:
            signal.raise_signal(signal.SIGTERM)
        return training_step(self, batch, batch_idx)

    with monkeypatch.context() as patch:
        patch.setattr(Classifier, "training_step", with_signal)
        with pytest.raises(SystemExit):
            trained(params("csv"))
    (note,) = paths.PROGRESS.glob("train/*/trackers.json")
    if not noted:
        note.unlink()
    assert trained(params("csv")) == without
    rows = logged()
    assert points(rows, "loss") == kept(without, "loss")
    assert not paths.PROGRESS.joinpath("train").exists()


@pytest.mark.slow
def test_a_killed_tracker_is_missed_by_nobody(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """If a tracker is killed, one line says so, and the model is the same."""
    from pipeline.training.trackers.process import TrackerProcess

    without, give = trained(params()), TrackerProcess.give

    def killed_first(self: TrackerProcess, message: dict[str, Any]) -> None:
        self._process.kill()
        give(self, message)

    monkeypatch.setattr(TrackerProcess, "give", killed_first)
    with caplog.at_level(logging.WARNING):
        assert trained(params("csv")) == without
    (said,) = [record.getMessage() for record in caplog.records if "loggers" in record.getMessage()]
    assert said.startswith("train.loggers: csv: their process ended with status -9; training is not affected")


@pytest.mark.slow
@pytest.mark.nightly
def test_a_place_that_cannot_be_is_an_error_before_training() -> None:
    """An invalid place is a one-line error before the first step."""
    Path("taken").touch()
    with pytest.raises(TrainingError) as raised:
        trained(params({"csv": "taken"}))
    said = str(raised.value)
    assert said.startswith("train.loggers: csv at taken: cannot begin a run: ")
    assert "\n" not in said
    assert "correct it, or remove it from train.loggers" in said
    assert not list(paths.PROGRESS.glob("train/*/*.ckpt"))
