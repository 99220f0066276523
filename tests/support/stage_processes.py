"""Stages that run in processes of their own, so that tests can kill them."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from conftest import Project


def command(stage: str) -> list[str]:
    """What dvc.yaml runs."""
    return [sys.executable, "-m", "pipeline", "run", stage]


@contextmanager
def running(project: Project, stage: str) -> Iterator["subprocess.Popen[str]"]:
    """The stage while it runs, with all its processes in a group."""
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
            if process.poll() is None:  # Else a test that has failed would wait for its end.
                kill(process)
            raise


def kill(process: "subprocess.Popen[str]") -> str:
    """As power fails; returns what was printed."""
    os.killpg(process.pid, signal.SIGKILL)
    return process.communicate()[0]


def wait_for(process: "subprocess.Popen[str]", condition: Callable[[], object]) -> None:
    """Until that is so."""
    end = time.monotonic() + 200
    while not condition():
        assert process.poll() is None, f"it ended with {process.returncode}: {process.communicate()[0]}"
        assert time.monotonic() < end
        time.sleep(0.02)
