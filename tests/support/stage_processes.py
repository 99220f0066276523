"""Run stages in separate processes, so that tests can kill them."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from conftest import Project


def command(stage: str) -> list[str]:
    """Return the command of `stage` in dvc.yaml."""
    return [sys.executable, "-m", "pipeline", "run", stage]


@contextmanager
def running(project: Project, stage: str) -> Iterator["subprocess.Popen[str]"]:
    """Run the stage with all its processes in one process group, and kill them at the end."""
    with subprocess.Popen(
        command(stage),
        cwd=project.root,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield process
        except BaseException:
            if process.poll() is None:  # Else a failed test would wait until the stage ends.
                kill(process)
            raise


def kill(process: "subprocess.Popen[str]") -> str:
    """Kill all processes at once, like a power failure, and return the output."""
    os.killpg(process.pid, signal.SIGKILL)
    return process.communicate()[0]


def wait_for(process: "subprocess.Popen[str]", condition: Callable[[], object]) -> None:
    """Wait until `condition` is true."""
    end = time.monotonic() + 200
    while not condition():
        assert process.poll() is None, f"it ended with {process.returncode}: {process.communicate()[0]}"
        assert time.monotonic() < end
        time.sleep(0.02)
