"""Running Git: after a kill, and with locks of other processes."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pipeline import git as module
from pipeline.errors import RecordError
from pipeline.git import git, git_text


@pytest.fixture
def lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the index lock in a repository where adding the file `slow` takes a second."""
    monkeypatch.chdir(tmp_path)
    git("init", "--quiet")
    git("config", "filter.slow.clean", "sleep 1; cat")
    (tmp_path / ".gitattributes").write_text("slow filter=slow\n")
    (tmp_path / "slow").write_text("a file")
    return tmp_path / ".git/index.lock"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_what_is_killed_leaves_no_lock(lock: Path, number: signal.Signals) -> None:
    """If the caller is killed, `git add` finishes by itself."""
    program = "from pipeline.git import git; git('add', 'slow')"
    process = subprocess.Popen([sys.executable, "-c", program], start_new_session=True, stderr=subprocess.DEVNULL)
    while not lock.exists():
        assert process.poll() is None
    os.killpg(process.pid, number)
    assert process.wait() != 0
    git("add", ".gitattributes")  # Waits for the running one.
    assert git_text("ls-files").split() == [".gitattributes", "slow"]
    assert not lock.exists()


def test_a_lock_of_another_process_is_waited_for(lock: Path) -> None:
    """A short lock by another process, such as an editor, is waited for."""
    lock.touch()
    releasing = threading.Timer(0.5, lock.unlink)
    releasing.start()
    git("add", ".gitattributes")
    releasing.join()
    assert git_text("ls-files") == ".gitattributes"


@pytest.mark.parametrize("command", [("add", "slow"), ("config", "a.b", "c")], ids=lambda command: command[0])
def test_a_lock_that_stays_is_named(lock: Path, command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock left by a killed Git is an error that says which file to remove."""
    monkeypatch.setattr(module, "PATIENCE", 0.2)
    held = lock.with_name("config.lock") if command[0] == "config" else lock
    held.touch()
    with pytest.raises(RecordError) as caught:
        git(*command)
    named = caught.value.args[1].removeprefix("another process of Git holds ")
    assert Path(named).resolve() == held.resolve()
    assert caught.value.args[2] == module.STALE
