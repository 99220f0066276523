"""`pipeline status` without timm, although `train.model` may name a timm network."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from conftest import Project

ABSENT = "train.model is timm/resnet18, and timm is not installed; run `pip install timm`"


@pytest.fixture
def status(project: Project, tmp_path: Path) -> Callable[[], list[str]]:
    """Return the output lines of the command in a process without timm, whether or not it is installed."""
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "sitecustomize.py").write_text("import sys\nsys.modules['timm'] = None\n")
    run = partial(project.run, PYTHONPATH=str(hidden))
    assert "timm" in run("python", "-c", "import timm", ok=False).out

    def status() -> list[str]:
        return run("python", "-m", "pipeline", "status").out.splitlines()

    return status


def about_timm(lines: list[str]) -> list[str]:
    """Return the lines that mention timm."""
    return [line for line in lines if "timm" in line and not line.startswith("stages")]


def test_before_the_first_training(project: Project, status: Callable[[], list[str]]) -> None:
    """`small` does not need timm; a timm network adds one line."""
    project.add_digits(0, 20)
    project.add_raw()
    lines = status()
    assert lines[0].startswith("images  20 new")
    assert about_timm(lines) == []
    project.set_params(train={"model": "timm/resnet18", "crop_pct": "model"})
    lines = status()
    assert lines[0].startswith("images  20 new")
    assert about_timm(lines) == [f"note    training will stop: {ABSENT}"]


@pytest.mark.slow
def test_after_a_training(project: Project, status: Callable[[], list[str]]) -> None:
    """A trained timm model does not need timm; a training on more images or at another size does."""
    project.add_digits(0, 60)
    project.add_raw()
    project.repro()
    record, params = (project.root / name for name in ("dvc.lock", "params.yaml"))
    for file in (record, params):  # As if timm had been installed then.
        text = file.read_text()
        assert "model: small" in text
        file.write_text(text.replace("model: small", "model: timm/resnet18"))
    assert status() == ["up to date: `dvc repro` would do nothing"]
    project.add_digits(60, 100)
    lines = status()
    assert lines[0].startswith("images  40 new")
    assert about_timm(lines) == [f"note    training will stop: {ABSENT}"]
    project.set_params(train={"size": 16})
    (line,) = status()
    assert line.startswith("`dvc repro` would stop: params.yaml: train.model is 'timm/resnet18', but timm is not inst")
