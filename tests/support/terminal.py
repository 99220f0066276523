"""A real terminal (pty), to test what users see."""

import os
import pty
import re
import signal
import subprocess
import termios
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO


class Terminal:
    """A terminal of 100 columns; programs can be started in it, and tests can write to it."""

    def __enter__(self) -> Self:
        self._master, self._slave = pty.openpty()
        termios.tcsetwinsize(self._slave, (30, 100))
        self._bytes = b""
        self._started: list[subprocess.Popen[bytes]] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._slave)
        for process in self._started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self._reader.join()
        os.close(self._master)

    @property
    def text(self) -> str:
        """Return all text written to the terminal, without escape sequences."""
        return re.sub(r"\x1b\[[?\d;]*[A-Za-z]", "", self._bytes.decode(errors="replace"))

    @property
    def lines(self) -> list[str]:
        """Return the lines of the text; each state of a progress bar is a line."""
        return [line for line in re.split(r"[\r\n]+", self.text) if line]

    def stream(self) -> TextIO:
        """Return a stream that writes to the terminal."""
        return os.fdopen(os.dup(self._slave), "w")

    def start(self, *command: str, folder: Path) -> "subprocess.Popen[bytes]":
        """Start `command` in the terminal, in its own process group, which ends with the terminal."""
        process = subprocess.Popen(
            command, cwd=folder, stdin=self._slave, stdout=self._slave, stderr=self._slave, start_new_session=True
        )
        self._started.append(process)
        return process

    def wait_for(self, text: str, *, seconds: float = 400) -> None:
        """Wait until `text` has been written to the terminal."""
        deadline = time.monotonic() + seconds
        while text not in self.text:
            assert time.monotonic() < deadline, f"no {text!r} in {self.text!r}"
            time.sleep(0.02)

    def _read(self) -> None:
        try:
            while data := os.read(self._master, 4096):
                self._bytes += data
        except OSError:
            return  # All processes that could write to it have ended.
