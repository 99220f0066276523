"""The Ray actor that runs distributed training on one machine of the cluster."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from threading import Thread

from pipeline import paths

# The environment variable with the number of the machine, set for processes that Ray's machines run.
INSIDE = "TREERING_IN_RAY"
# Variables copied from the machine that starts training: the number of threads, which affects the last bits and which
# Ray would set itself, and the search path of code.
GIVEN = ("OMP_NUM_THREADS", "PYTHONPATH")
# Outputs that the machine which starts training receives.
OUTPUTS = (paths.MODEL, paths.CURVES, paths.ENVIRONMENT)
Files = dict[Path, bytes]


class Machine:
    """A Ray actor, on a separate machine each."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def address(self) -> tuple[str, int]:
        """Return the host and a free port at which the others can reach this machine."""
        from ray.util import get_node_ip_address

        with socket.create_server(("", 0)) as server:
            return get_node_ip_address(), server.getsockname()[1]  # type: ignore[no-untyped-call]

    def run(self, folder: Path, env: dict[str, str]) -> Iterator[str | int]:
        """Train in `folder`; yields each printed line, and finally the exit status."""
        if not (folder / paths.PIPELINE).exists():
            yield f"train: error: {socket.gethostname()}:{folder}: no such project; see docs/scale.md\n"
            yield 1
            return
        kept = {name: value for name, value in os.environ.items() if name not in GIVEN}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "pipeline", "run", "train"],
            cwd=folder,
            env={**kept, **env},
            stdin=subprocess.PIPE,  # Closes when this actor ends.
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self._process.stdout is not None
        for line in self._process.stdout:  # noqa: UP028 (Ray sends values into it, which files do not take)
            yield line
        yield self._process.wait()

    def stop(self) -> None:
        """Make training save its state and stop."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()

    def outputs(self, folder: Path) -> Files:
        """Return the trained outputs in `folder`, by path relative to it."""
        there = [path for output in OUTPUTS for path in [folder / output, *(folder / output).rglob("*")]]
        return {path.relative_to(folder): path.read_bytes() for path in there if path.is_file()}


def end_with_input() -> None:
    """Make this process save its state and stop when its standard input closes.

    The Ray actor keeps the input open as long as it lives. All processes of a machine share the same input.
    """

    def wait() -> None:
        with suppress(OSError, ValueError):
            sys.stdin.read()
        os.kill(os.getpid(), signal.SIGTERM)

    Thread(target=wait, daemon=True).start()
