"""A commit is written to a temporary folder, and nothing else changes."""

import subprocess
import tempfile
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pipeline.commands.history.checkouts import checked_out, inputs, recorded_in, tell_no_tracker
from pipeline.errors import RecordError
from pipeline.versioning.lock import StageRecord


def git(*arguments: str) -> str:
    """Run Git, and return its output."""
    return subprocess.run(["git", *arguments], check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture(autouse=True)
def _repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a repository with two commits, and a separate folder for temporary folders."""
    (tmp_path / "repo/.dvc").mkdir(parents=True)
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    monkeypatch.chdir(tmp_path / "repo")
    git("init", "--quiet")
    for text in ("old", "new"):
        Path(".dvc/config").touch()
        Path(".dvc/.gitignore").write_text("/config.local\n/tmp\n/cache\n")
        for name in ("a", "deep/b ü"):
            Path(name).parent.mkdir(exist_ok=True)
            Path(name).write_text(text)
        git("add", "--all")
        git("commit", "--quiet", "--message", text)


def state() -> list[str]:
    """Return everything that a checkout could change."""
    shown = [git("status", "--porcelain"), git("for-each-ref"), git("worktree", "list"), git("rev-parse", "HEAD")]
    return [*shown, *(f"{path} {path.read_bytes()!r}" for path in sorted(Path(".git").rglob("*")) if path.is_file())]


def test_the_files_of_a_commit(tmp_path: Path) -> None:
    """The folder has the commit's files and is removed at the end; the workspace and Git's index do not change."""
    Path("a").write_text("edited")
    git("add", "a")
    before = state()
    with checked_out("HEAD^") as folder:
        assert {name: (folder / name).read_text() for name in ("a", "deep/b ü")} == dict.fromkeys(
            ("a", "deep/b ü"), "old"
        )
        assert not (folder / ".git").exists()
        assert state() == before
    assert not list((tmp_path / "temporary").iterdir())


def test_no_hook_and_no_sparse_checkout() -> None:
    """Hooks do not run, and files that a sparse checkout leaves out of the workspace are present."""
    hook = Path(".git/hooks/post-checkout")
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\ntouch hooked\n")
    hook.chmod(0o755)
    git("sparse-checkout", "set", "--no-cone", "/a", "/.dvc")
    with checked_out("HEAD") as folder:
        assert (folder / "deep/b ü").read_text() == "new"
        assert not list(folder.parent.rglob("hooked"))
    assert not Path("hooked").exists()
    assert not Path("deep").exists()


def test_no_such_commit(tmp_path: Path) -> None:
    """An unknown commit is an error, and leaves no folder."""
    with pytest.raises(RecordError), checked_out("nowhere"):
        pass
    assert not list((tmp_path / "temporary").iterdir())


@pytest.mark.parametrize("content", [None, "", "stages: {}", "stages:\n  train:\n    cmd: x\n", "<<<<<<< HEAD\n"])
def test_records_without_a_training(tmp_path: Path, content: str | None) -> None:
    """A dvc.lock without a training, or an unreadable one, is an error that names the commit."""
    if content is not None:
        (tmp_path / "dvc.lock").write_text(content)
    with pytest.raises(RecordError, match=r"^dvc\.lock of the commit: "):
        recorded_in(tmp_path, "the commit")


def test_inputs() -> None:
    """The inputs are all dependencies of training in data/, and the images, which it reads without a dependency."""
    train = StageRecord(deps={"data/base": "b", "pipeline/train.py": "c"}, outs={"data/model": "m"})
    assert inputs({"train": train}) == {"data/base": "b"}
    ingest = StageRecord(deps={"data/raw": "r"}, outs={"data/images": "i"})
    assert inputs({"ingest": ingest, "train": train}) == {"data/base": "b", "data/images": "i"}


@pytest.mark.parametrize("loggers", [["csv", {"mlflow": "http://127.0.0.1:5000"}], [], None])
def test_what_is_trained_again_is_logged_nowhere(tmp_path: Path, loggers: object) -> None:
    """A replayed training logs to no tracker; params of a release without trackers do not change."""
    train = {"lr": 0.01} | ({} if loggers is None else {"loggers": loggers})
    YAML().dump({"train": train, "seed": 3}, tmp_path / "params.yaml")
    tell_no_tracker(tmp_path)
    now = YAML(typ="safe").load(tmp_path / "params.yaml")
    assert now == {"train": {"lr": 0.01} | ({} if loggers is None else {"loggers": []}), "seed": 3}
