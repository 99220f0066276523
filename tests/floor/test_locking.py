"""Locks: one process at a time, after any end of the holder, on disks that support locks."""

import errno
import fcntl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import pytest
from conftest import ROOT

from pipeline.locking import locked

HOLD = """
import sys
from pathlib import Path
from pipeline.locking import locked
with locked(Path(sys.argv[1])):
    print("mine", flush=True)
    sys.stdin.readline()
"""


class TakenError(Exception):
    """Another process has the lock."""


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    """Return a file to lock, with content."""
    path = tmp_path / "lock"
    path.write_text("what it says")
    return path


@contextmanager
def holder(lock: Path) -> Iterator["subprocess.Popen[str]"]:
    """Start another process that holds `lock` until it is told to end."""
    command = [sys.executable, "-c", HOLD, str(lock)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "mine\n"
        try:
            yield other
        finally:
            other.kill()


def test_taken(lock: Path) -> None:
    """If another process has the lock, the given exception is raised; the file's content stays."""
    with holder(lock), pytest.raises(TakenError), locked(lock, taken=TakenError):
        pytest.fail("two processes have it")
    assert lock.read_text() == "what it says"


def test_waiting(lock: Path) -> None:
    """Without an exception the lock is waited for."""
    with holder(lock) as other:
        waiting = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(lock)],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        with pytest.raises(subprocess.TimeoutExpired):
            waiting.wait(1)
        assert other.stdin is not None
        other.stdin.close()
        assert waiting.communicate()[0] == "mine\n"


def test_kill(lock: Path) -> None:
    """A lock ends with its process."""
    with holder(lock) as other:
        other.kill()
        other.wait()
        with locked(lock, taken=TakenError):
            lock.write_text("mine")
    with locked(lock, taken=TakenError):  # The holder does not keep it.
        assert lock.read_text() == "mine"


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_disk_without_locks(lock: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """A disk without locks stops nobody, and nothing is left on it."""

    def refuse(*_: object) -> NoReturn:
        raise OSError(number, "no locks")

    monkeypatch.setattr(fcntl, "flock", refuse)
    came = []
    for taken in (TakenError, None):
        with locked(lock, taken=taken):
            came.append(taken)
    assert came == [TakenError, None]
    assert [path.name for path in lock.parent.iterdir()] == ["lock"]


def test_errors_pass(lock: Path) -> None:
    """Exceptions inside the block are raised unchanged."""
    for error in (TimeoutError, OSError(5, "disk"), KeyboardInterrupt):
        with pytest.raises(type(error) if isinstance(error, OSError) else error), locked(lock):
            raise error
