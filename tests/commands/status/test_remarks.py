"""Notes of `pipeline status` before a training that would stop."""

import sys

import pytest
from conftest import ROOT

from pipeline.commands.status.changes import Changes
from pipeline.commands.status.remarks import on_training
from pipeline.commands.status.start import Start
from pipeline.params import read_params


def test_trackers_that_are_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Missing tracker packages are named with the command to install them, if a training will run."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "path", [one for one in sys.path if not one.endswith("trackers")])
    params = read_params()
    train = params.train.model_copy(update={"loggers": ["csv", {"mlflow": "http://127.0.0.1:5000"}]})
    params, changes = params.model_copy(update={"train": train}), Changes(None, None, 0)
    start = Start(oid=None, reason="dvc.lock records no training yet", is_kept=False)
    said = "training will stop: train.loggers needs mlflow; run `make setup EXTRAS=mlflow`"
    assert [remark.partition(", or")[0] for remark in on_training(None, start, changes, params)] == [said]
    assert on_training(None, None, changes, params) == []
