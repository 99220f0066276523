"""Commits contain what the pipeline wrote, and nothing else."""

import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import ROOT

from pipeline import paths
from pipeline.commands.watch.commits import check_can_commit, commit, own_files, uncommitted_conditions
from pipeline.errors import RecordError

OWN = {
    "data/raw.dvc",
    "dvc.lock",
    "data/classes.csv",
    "data/erased.csv",
    "data/.gitignore",
    "data/report/metrics.json",
    "data/report/lineage.json",
    "data/report/details.json",
}


def git(*arguments: str, ok: bool = True) -> str:
    """Run Git, and return its output."""
    return subprocess.run(["git", *arguments], check=ok, capture_output=True, text=True).stdout.rstrip("\n")


def write(text: str, *names: str) -> None:
    """Write `text` into files."""
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(text, encoding="utf-8")


@pytest.fixture(autouse=True)
def _repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a repository in which a first run was committed."""
    monkeypatch.chdir(tmp_path)
    git("init", "--quiet", "--initial-branch=main")
    shutil.copy(ROOT / paths.PIPELINE, paths.PIPELINE)
    write("1", *OWN, "README.md", "params.yaml", "pipeline/models/network.py")
    git("add", "--all")
    git("commit", "--quiet", "--message", "Begin")


def test_own_files() -> None:
    """Own files are the existing files that DVC writes for Git, including uncached outputs."""
    write("1", "data/report/confusion.csv", "data/report/notes.txt")
    assert set(own_files()) == OWN
    Path("dvc.lock").unlink()
    assert set(own_files()) == OWN - {"dvc.lock"}


def test_only_own_files_are_committed() -> None:
    """Other staged, changed and new files stay as they are."""
    write("2", *OWN, "README.md", "new.txt", "data/report/notes.txt", "staged.txt")
    git("add", "staged.txt", "dvc.lock")
    done = commit("Train on 2 new images")
    assert done == git("rev-parse", "--short", "HEAD")
    assert git("log", "-1", "--format=%s") == "Train on 2 new images"
    assert set(git("show", "--name-only", "--format=").splitlines()) == OWN
    assert git("status", "--porcelain", "--untracked-files=all").splitlines() == [
        " M README.md",
        "A  staged.txt",
        "?? data/report/notes.txt",
        "?? new.txt",
    ]


def test_first_files() -> None:
    """Files that are new to Git are committed, too."""
    git("rm", "--quiet", "-r", "data/report", "dvc.lock")
    git("commit", "--quiet", "--message", "Remove")
    write("2", *OWN)
    assert commit("Train")
    assert git("status", "--porcelain") == ""


def test_nothing_to_commit() -> None:
    """If none of the own files changed, there is no commit, whatever else changed."""
    write("2", "README.md")
    head = git("rev-parse", "HEAD")
    assert commit("Train") is None
    assert git("rev-parse", "HEAD") == head


@pytest.mark.parametrize("what", ["merge", "rebase", "cherry-pick", "revert"])
def test_in_the_middle_of_something(what: str) -> None:
    """During an unfinished merge or the like, nothing is committed or staged, and an error says so."""
    git("checkout", "--quiet", "-b", "other")
    write("other", "README.md")
    git("commit", "--quiet", "--all", "--message", "Other")
    git("checkout", "--quiet", "main")
    write("mine", "README.md")
    git("commit", "--quiet", "--all", "--message", "Mine")
    write("more", "README.md")
    git("commit", "--quiet", "--all", "--message", "More")
    git(what, "HEAD^" if what == "revert" else "other", ok=False)
    write("2", *OWN)
    before = git("status", "--porcelain")
    assert "\n M data/raw.dvc" in before
    with pytest.raises(RecordError, match=f"a {what} is unfinished"):
        commit("Train")
    assert git("status", "--porcelain") == before


def test_on_no_branch() -> None:
    """Without a branch nothing is committed, since the commit would be lost."""
    git("checkout", "--quiet", "--detach")
    with pytest.raises(RecordError, match="on no branch"):
        check_can_commit()


def test_git_that_refuses() -> None:
    """A hook's error is reported, and the own files do not change."""
    hook = Path(".git/hooks/pre-commit")
    write("#!/bin/sh\necho not today >&2; exit 1\n", str(hook))
    hook.chmod(0o755)
    write("2", *OWN)
    with pytest.raises(RecordError, match="git commit: not today; see `git status`"):
        commit("Train")
    assert all(Path(name).read_text() == "2" for name in OWN)


def test_uncommitted_conditions() -> None:
    """Uncommitted params and code that a run used are named by their paths."""
    assert uncommitted_conditions() == []
    write("2", "params.yaml", "pipeline/my model.py", "README.md")
    assert uncommitted_conditions() == ["params.yaml", "pipeline/my model.py"]
