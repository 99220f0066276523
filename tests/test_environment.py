"""data/environment.json says what a model was trained with, and nothing of where or when."""

import json
import platform
from pathlib import Path

import pytest
import torch
from conftest import ROOT

from pipeline import paths
from pipeline.environment import environment, write_environment
from pipeline.params import read_params


def test_says_what_decides_on_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Versions, processor and threads are in it; host, paths and time are not, so that it is the same each time."""
    compute = read_params(ROOT / "params.yaml").compute.model_copy(update={"accelerator": "cpu"})
    monkeypatch.chdir(tmp_path)
    write_environment(compute)
    first = paths.ENVIRONMENT.read_bytes()
    said = json.loads(first)
    assert said["torch"] == torch.__version__
    assert said["python"] == platform.python_version()
    assert said["threads"] == torch.get_num_threads()
    assert said["accelerator"] == "cpu"
    assert platform.node() not in first.decode()
    assert str(tmp_path) not in first.decode()
    paths.ENVIRONMENT.unlink()
    write_environment(compute)
    assert paths.ENVIRONMENT.read_bytes() == first
    assert environment(compute.model_copy(update={"devices": 2}))["devices"] == 2
