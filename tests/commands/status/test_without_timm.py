"""What `pipeline status` says where timm, whose networks `train.model` may name, is not installed."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from conftest import Project

ABSENT = "train.model is timm/resnet18, and timm is not installed; run `pip install timm`"


@pytest.fixture
def status(project: Project, tmp_path: Path) -> Callable[[], list[str]]:
    """The lines that the command prints, in a process for which timm is not there, be it installed here or not."""
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "sitecustomize.py").write_text("import sys\nsys.modules['timm'] = None\n")
    run = partial(project.run, PYTHONPATH=str(hidden))
    assert "timm" in run("python", "-c", "import timm", ok=False).out

    def status() -> list[str]:
        return run("python", "-m", "pipeline", "status").out.splitlines()

    return status


def about_timm(lines: list[str]) -> list[str]:
    """Those that speak of it."""
    return [line for line in lines if "timm" in line and not line.startswith("stages")]


def test_before_the_first_training(project: Project, status: Callable[[], list[str]]) -> None:
    """`small` needs none of it; a network of timm's is one line more."""
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
    """What is trained needs none of it; more images do, and another size, which timm alone knows to be possible."""
    project.add_digits(0, 60)
    project.add_raw()
    project.repro()
    record, params = (project.root / name for name in ("dvc.lock", "params.yaml"))
    for file in (record, params):  # As if timm had been there then.
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
