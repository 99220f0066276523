"""DVC's model registry: a version is available by name from any clone, without the project's data."""

from pathlib import Path

import pytest
from conftest import Project

pytestmark = [pytest.mark.slow, pytest.mark.nightly]


def test_a_registered_model_is_had_by_its_version(project: Project, tmp_path: Path) -> None:
    """A version gives its own model, even if the project has a newer one; so does the stage `production`."""
    project.dvc("init", "--quiet", ok=None)
    project.dvc("remote", "add", "--default", "team", str(tmp_path / "remote"))
    for first, last in ((0, 60), (60, 90)):
        project.add_digits(first, last)
        project.dvc("add", "--quiet", "data/raw")
        project.repro()
        project.dvc("push", "--quiet")
        project.commit()
        project.run("pipeline", "register", *(["--stage", "prod"] if first else ["v1.0.0"]))
    assert "Data and pipelines are up to date" in project.dvc("status", "train", "evaluate").out
    origin = tmp_path / "origin"
    project.git("clone", "--quiet", "--bare", str(project.root), str(origin))
    assert "v1.0.0" in project.run("gto", "show", "model", "--repo", str(origin)).out
    for chosen, same in ((["--rev", "v1.0.0"], "data/base"), (["--stage", "prod"], "data/model")):
        got = tmp_path / chosen[1]
        project.run("dvc", "artifacts", "get", str(origin), "model", *chosen, "--out", str(got))
        files = {path.name: path.read_bytes() for path in got.iterdir()}
        assert files == {path.name: path.read_bytes() for path in (project.root / same).iterdir()}
