"""Trackers are looked up without importing them."""

import importlib
import sys
from pathlib import Path

import pytest

from pipeline.errors import ParamError
from pipeline.param_types import TRACKERS
from pipeline.training.trackers.packages import check_installed, missing


def test_what_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing tracker is named with the install command; a folder that a tracker has left is no package."""
    monkeypatch.setattr(sys, "path", [str(tmp_path), *(one for one in sys.path if "trackers" not in Path(one).parts)])
    (tmp_path / "wandb").mkdir()
    (tmp_path / "mlflow.py").touch()
    importlib.invalidate_caches()
    assert missing(["csv", "mlflow", "wandb", "dvclive"]) == ["wandb", "dvclive"]
    assert "mlflow" not in sys.modules
    check_installed(["csv", "mlflow"])
    said = "params.yaml: train.loggers needs wandb and dvclive; run `make setup EXTRAS=wandb,dvclive`"
    with pytest.raises(ParamError, match=said):
        check_installed(TRACKERS[1:])
