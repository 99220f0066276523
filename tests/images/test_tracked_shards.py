"""data/shards.dvc: Git's state after a kill."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT
from dvc_objects.fs.utils import tmp_fname

from pipeline import git as module
from pipeline import paths
from pipeline.errors import RecordError
from pipeline.files import md5_of_bytes
from pipeline.git import git, git_text
from pipeline.images.shard_files import ShardFile
from pipeline.images.tracked_shards import track

SHARDS = {0: ShardFile(md5_of_bytes(b"content"), 7)}


@pytest.fixture
def lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return Git's index lock; staging a .dvc file takes a second, and DVC stages what it writes."""
    monkeypatch.chdir(tmp_path)
    git("init", "--quiet")
    for command in ("init --quiet", "config core.autostage true"):
        subprocess.run([sys.executable, "-m", "dvc", *command.split()], check=True)
    git("config", "filter.slow.clean", "sleep 1; cat")
    Path(".gitattributes").write_text("*.dvc filter=slow\n")
    Path("data/shards").mkdir(parents=True)
    Path("data/shards/000000.tar").write_bytes(b"content")
    return tmp_path / ".git/index.lock"


def test_a_kill_leaves_no_lock(lock: Path) -> None:
    """After a kill Git finishes staging by itself."""
    program = "from tests.images.test_tracked_shards import *; track(SHARDS)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen([sys.executable, "-c", program], start_new_session=True, env=environment)
    while not (lock.exists() and paths.SHARDS_DVC.exists()):
        assert process.poll() is None
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    git("add", ".gitattributes")  # Waits for the running one.
    assert paths.SHARDS_DVC.as_posix() in git_text("ls-files").split()
    assert not lock.exists()


def test_a_lock_that_stays_is_named(lock: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock left by Git is an error that names it; after its removal all works."""
    monkeypatch.setattr(module, "PATIENCE", 0.2)
    lock.touch()
    with pytest.raises(RecordError, match=r"index\.lock"):
        track(SHARDS)
    lock.unlink()
    track(SHARDS)
    assert paths.SHARDS_DVC.exists()


def test_git_ignores_what_dvc_was_copying(lock: Path) -> None:
    """Incomplete copies left by a kill are ignored by `git add --all`."""
    assert not lock.exists()
    shutil.copy(ROOT / "data/.gitignore", "data")
    left = [Path("data", folder, tmp_fname()) for folder in ("", "report")]
    for path in left:
        path.parent.mkdir(exist_ok=True)
        path.write_text("half of an im")
    git("add", "--all")
    assert not {path.as_posix() for path in left} & {*git_text("ls-files").split()}
