"""Child programs end with the parent, and signal handlers are restored afterwards."""

import os
import signal
import sys
import threading
from pathlib import Path

import pytest

from pipeline.commands import subprocesses
from pipeline.signals import ENDS, stoppable

ENV = {**os.environ}


def test_status_and_surroundings(tmp_path: Path) -> None:
    """The exit status is returned; the program runs in the given folder and environment."""
    code = "import os, sys; open('here', 'w').write(os.environ['X']); sys.exit(3)"
    assert subprocesses.run([sys.executable, "-c", code], cwd=tmp_path, env={**ENV, "X": "given"}) == 3
    assert (tmp_path / "here").read_text() == "given"
    killed = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    assert subprocesses.run([sys.executable, "-c", killed], cwd=tmp_path, env=ENV) == -signal.SIGKILL


@pytest.mark.parametrize("number", [signal.SIGINT, *ENDS])
def test_it_ends_with_us(tmp_path: Path, number: signal.Signals) -> None:
    """A signal to the parent ends the program and its children, even if they ignore the signal."""
    code = (
        "import os, signal, subprocess, sys, time; signal.signal(signal.SIGINT, signal.SIG_IGN);"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']);"
        "print(os.getpid(), child.pid, file=open('part', 'w')); os.rename('part', 'pids'); time.sleep(600)"
    )
    done = threading.Event()

    def send() -> None:
        while not (tmp_path / "pids").exists():
            if done.wait(0.01):
                return
        os.kill(os.getpid(), number)

    sender = threading.Thread(target=send)
    sender.start()
    try:
        with pytest.raises(KeyboardInterrupt), stoppable():
            subprocesses.run([sys.executable, "-c", code], cwd=tmp_path, env=ENV)
    finally:
        done.set()
        sender.join()
    for pid in map(int, (tmp_path / "pids").read_text().split()):
        while is_running(pid):
            pass


def is_running(pid: int) -> bool:
    """Whether the process `pid` is still running."""
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


def test_signals_are_as_before() -> None:
    """Handlers are restored, and an ignored signal, as under `nohup`, stays ignored."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        terminate = signal.getsignal(signal.SIGTERM)
        with stoppable():
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
            assert signal.getsignal(signal.SIGTERM) != terminate
        assert signal.getsignal(signal.SIGTERM) == terminate
    finally:
        signal.signal(signal.SIGHUP, before)
