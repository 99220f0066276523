"""Unfinished training on remotes is found wherever it may be stored, and deleted."""

import shutil
from pathlib import Path

import pytest
from conftest import ROOT, Project

from pipeline.commands.forget.elsewhere import kept_elsewhere, remove
from pipeline.versioning.repository import _repository


def test_found_and_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is found on every remote and where the param names, and deleted; other files stay."""
    project = Project(tmp_path / "project")
    project.root.mkdir()
    project.git("init", "--quiet")
    project.dvc("init", "--quiet")
    shutil.copy(ROOT / "params.yaml", project.root)
    for name in ("one", "two"):
        project.dvc("remote", "add", name, str(tmp_path / name))
    project.set_params(compute={"progress": str(tmp_path / "three")})
    monkeypatch.chdir(project.root)
    _repository.cache_clear()
    assert kept_elsewhere() == []
    states = [tmp_path / place / "train/a/1-b.ckpt" for place in ("one/progress", "two/progress", "three")]
    objects = tmp_path / "one/files/md5/00/1"
    for path in (*states, objects):
        path.parent.mkdir(parents=True)
        path.write_text("state")
    found = kept_elsewhere()
    assert [str(folder) for folder in found] == [str(path.parent.parent) for path in states]
    for folder in found:
        remove(folder)
        remove(folder)
    assert not any(path.exists() for path in states)
    assert objects.exists()
    assert kept_elsewhere() == []
