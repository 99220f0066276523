"""`pipeline serve`, or `report --serve`, in a separate process, with real HTTP requests."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Self

import psutil
import requests
from conftest import ROOT


class Served:
    """A server of the project in a folder, on a free port, for the duration of a `with` block."""

    def __init__(self, folder: Path, *arguments: str, command: str = "serve") -> None:
        self._folder, self._arguments = folder, [command, "--port", "0", *arguments]
        self._log = folder / "serve.log"

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "pipeline", *self._arguments]
        # A separate folder: decoders of large images wait for others of the same user.
        (temporary := self._folder / "temporary").mkdir(exist_ok=True)
        env = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(temporary), "OMP_NUM_THREADS": "1"}
        with self._log.open("w") as log:
            self.process = subprocess.Popen(command, cwd=self._folder, env=env, stdout=log, stderr=log)
        self.url = self.wait_for(" on http").partition(" on ")[2].partition(";")[0]
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(60)

    @property
    def log(self) -> str:
        """Return the server's output so far."""
        return self._log.read_text(encoding="utf-8")

    def wait_for(self, text: str) -> str:
        """Wait until the server prints a line that contains `text`, and return the line."""
        deadline = time.monotonic() + 120
        while not (found := [line for line in self.log.splitlines() if text in line]):
            assert self.process.poll() is None, self.log
            assert time.monotonic() < deadline, self.log
            time.sleep(0.05)
        return found[-1]

    def get(self, path: str, **options: Any) -> requests.Response:
        """Send a GET request."""
        return requests.get(f"{self.url}{path}", timeout=120, **options)

    def post(self, data: Any = None, *, path: str = "/predict", **options: Any) -> requests.Response:
        """Send images in a POST request."""
        return requests.post(f"{self.url}{path}", data=data, timeout=120, **options)

    def decoders(self) -> list[psutil.Process]:
        """Return the processes that decode images."""
        children = psutil.Process(self.process.pid).children(recursive=True)
        return [child for child in children if "popen_loky" in " ".join(child.cmdline())]
