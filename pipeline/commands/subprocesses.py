"""Run commands as child processes that end together with this process."""

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from pipeline import paths
from pipeline.commands.interrupts import Interrupts
from pipeline.text import shown

FOLDER = paths.PROGRESS / "watch"
# Number of logs to keep, including the newest.
KEPT = 20
DVC = (sys.executable, "-m", "dvc", "--wait-for-lock")


class EndedProcess(NamedTuple):
    """A command that has ended."""

    code: int
    output: str

    @property
    def error(self) -> str:
        """The most informative error line of the output."""
        lines = [line.strip() for line in self.output.replace("\r", "\n").split("\n") if line.strip()]
        for mark in (": error: ", "ERROR: ", "fatal: ", "error: "):
            found = [line for line in lines if mark in line]
            if found:
                return shown(found[-1])
        return shown(lines[-1]) if lines else f"ended with status {self.code}"


class Subprocesses:
    """Runs commands; forwards each termination signal to them as SIGINT, and waits until they have ended."""

    def __init__(self, interrupts: Interrupts, *, live: bool) -> None:
        """With `live`, the commands' output is also printed to the terminal."""
        self._interrupts, self._live = interrupts, live
        self.log = FOLDER

    def open_log(self) -> None:
        """Start a new log file, and delete the oldest ones."""
        FOLDER.mkdir(parents=True, exist_ok=True)
        for old in sorted(FOLDER.glob("*.log"))[: 1 - KEPT]:
            old.unlink()
        self.log = FOLDER / f"{datetime.now().astimezone():%Y%m%d-%H%M%S-%f}.log"

    def run(self, *command: str) -> EndedProcess:
        """Run `command` until it ends, in its own session, so that a ^C reaches it only once, through this process."""
        with self.log.open("ab+") as log:
            log.write(f"$ {shlex.join(command)}\n".encode(errors="replace"))
            log.flush()
            start = log.tell()
            # A file, not a pipe: if this process is killed, the child can continue.
            child = subprocess.Popen(  # noqa: S603
                command, env=environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
            with self.log.open("rb") as written:
                written.seek(start)
                for _ in self._until_ended(child):
                    self._repeat(written.read())
                self._repeat(written.read())
                written.seek(start)
                return EndedProcess(child.returncode, written.read().decode(errors="replace"))

    def _until_ended(self, child: "subprocess.Popen[bytes]") -> Iterator[None]:
        told = 0
        while child.returncode is None:
            if told < len(self._interrupts.came):
                told += 1
                # DVC leaves SIGINT to its stages, which save their progress; any other signal would kill DVC first.
                with suppress(ProcessLookupError):
                    os.killpg(child.pid, signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                child.wait(0.1)
            yield

    def _repeat(self, output: bytes) -> None:
        if self._live and output:
            print(output.decode(errors="replace"), end="", flush=True)


def environment() -> dict[str, str]:
    """Return this process's environment, with this Python's programs first in PATH and Git's prompts disabled."""
    programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    return {**os.environ, "PATH": programs, "PYTHONUNBUFFERED": "1", "GIT_TERMINAL_PROMPT": "0"}


def run(command: Sequence[str], *, cwd: Path, env: Mapping[str, str], stdout: int | None = None) -> int:
    """Run `command` in `cwd`; its output goes to this process's standard output, or to the file descriptor `stdout`.

    ^C does not reach the command directly. Any exception in this process meanwhile, such as KeyboardInterrupt, ends
    the command and the processes that it has started.

    Returns:
        The exit status, negative if a signal ended the command.
    """
    with subprocess.Popen(  # noqa: S603
        command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=stdout, start_new_session=True
    ) as child:
        try:
            return child.wait()
        except BaseException:
            child.kill()
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGTERM)
            child.wait()  # After ^C, leaving the `with` block does not wait.
            raise
