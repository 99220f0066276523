"""`pipeline sync`: what a kill leaves of it."""

import subprocess
import sys
from itertools import count
from pathlib import Path

import pytest
from support.kills import kill_before

from pipeline import cli, paths
from pipeline.git import git
from pipeline.versioning.tracking import REPLACING

LABELS = paths.RAW / "labels.csv"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository as working directory, in sync with the first of two commits: the second has other labels."""
    monkeypatch.chdir(tmp_path)
    git("init", "--quiet")
    dvc("init", "--quiet")
    (paths.RAW / "a").mkdir(parents=True)
    (paths.RAW / "a/1.png").write_bytes(b"an image")
    for label in ("a", "b"):
        LABELS.write_text(f"path,label\na/1.png,{label}\n")
        dvc("add", "--quiet", str(paths.RAW))
        git("add", "--all")
        git("commit", "--quiet", "--message", label)
    git("checkout", "--quiet", "HEAD^")
    dvc("checkout", "--quiet")
    assert cli.main(["sync"]) == 0
    return tmp_path


def dvc(*arguments: str) -> None:
    """Run a command of DVC's."""
    subprocess.run([sys.executable, "-m", "dvc", *arguments], check=True)


def test_a_kill_takes_no_file_away(here: Path) -> None:
    """Whenever one comes, a file that Git lists in another version is there, the old or the new one."""
    git("checkout", "--quiet", "-")
    for nth in count(1):
        if not kill_before(LABELS.as_posix(), "sync", folder=here, nth=nth):
            break
        assert LABELS.exists()
    assert LABELS.read_text() == "path,label\na/1.png,b\n"
    assert (paths.RAW / "a/1.png").exists()
    assert list(REPLACING.iterdir()) == []
