"""`pipeline sync` and `pipeline resolve` after a kill."""

import subprocess
import sys
from itertools import count
from pathlib import Path

import pytest
from support.kills import kill_before

from pipeline import cli, paths
from pipeline.errors import RecordError
from pipeline.git import git, git_text
from pipeline.versioning.tracking import REPLACING

LABELS = paths.RAW / "labels.csv"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a repository in sync with the first of two commits; the second has other labels."""
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
    """Run a DVC command."""
    subprocess.run([sys.executable, "-m", "dvc", *arguments], check=True)


def test_a_kill_takes_no_file_away(here: Path) -> None:
    """After a kill at any moment, each file in Git exists in its old or its new version."""
    git("checkout", "--quiet", "-")
    for nth in count(1):
        if not kill_before(LABELS.as_posix(), "sync", folder=here, nth=nth):
            break
        assert LABELS.exists()
    assert LABELS.read_text() == "path,label\na/1.png,b\n"
    assert (paths.RAW / "a/1.png").exists()
    assert list(REPLACING.iterdir()) == []


@pytest.mark.slow
def test_a_killed_resolve_is_completed(here: Path) -> None:
    """However often `pipeline resolve` is killed, the same command completes the merge of data/raw."""
    git("checkout", "--quiet", "-b", "theirs", "-")
    git("checkout", "--quiet", "-b", "ours", "HEAD^")
    (paths.RAW / "a/2.png").write_bytes(b"another image")
    dvc("add", "--quiet", str(paths.RAW))
    git("commit", "--quiet", "--all", "--message", "an image")
    assert cli.main(["sync"]) == 0
    with pytest.raises(RecordError):
        git("merge", "--quiet", "theirs")
    kills = 0
    while kill_before("data/raw", "resolve", folder=here, nth=kills + 1):
        kills += 1
    assert kills > 1
    assert LABELS.read_text() == "path,label\na/1.png,b\n"
    assert (paths.RAW / "a/2.png").read_bytes() == b"another image"
    assert git_text("diff", "--name-only", "--diff-filter=U") == ""
