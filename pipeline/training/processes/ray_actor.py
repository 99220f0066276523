"""What runs on a machine of Ray's that trains together with others."""

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

# Set in what Ray's machines run: the number of the machine.
INSIDE = "TREERING_IN_RAY"
# What is on all machines as on the one that starts them: the number of threads, on which last bits depend and which Ray
# would set, and where code is.
GIVEN = ("OMP_NUM_THREADS", "PYTHONPATH")
# What data/model and the like are, for a machine that took no part.
OUTPUTS = (paths.MODEL, paths.CURVES, paths.ENVIRONMENT)
Files = dict[Path, bytes]


class Machine:
    """An actor of Ray's, on a machine of its own."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def address(self) -> tuple[str, int]:
        """Where the others reach this machine, at a port that is free."""
        from ray.util import get_node_ip_address

        with socket.create_server(("", 0)) as server:
            return get_node_ip_address(), server.getsockname()[1]  # type: ignore[no-untyped-call]

    def run(self, folder: Path, env: dict[str, str]) -> Iterator[str | int]:
        """Train in `folder`; gives each line that is printed, and last the exit status."""
        if not (folder / paths.PIPELINE).exists():
            yield f"train: error: {socket.gethostname()}:{folder}: no such project; see docs/scale.md\n"
            yield 1
            return
        kept = {name: value for name, value in os.environ.items() if name not in GIVEN}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "pipeline", "run", "train"],
            cwd=folder,
            env={**kept, **env},
            stdin=subprocess.PIPE,  # Its end is the end of this actor.
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self._process.stdout is not None
        for line in self._process.stdout:  # noqa: UP028 (Ray sends values into it, which files do not take)
            yield line
        yield self._process.wait()

    def stop(self) -> None:
        """Have training save its state, and end."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()

    def outputs(self, folder: Path) -> Files:
        """What was trained in `folder`."""
        there = [path for output in OUTPUTS for path in [folder / output, *(folder / output).rglob("*")]]
        return {path.relative_to(folder): path.read_bytes() for path in there if path.is_file()}


def end_with_input() -> None:
    """Have this process save its state and end once its input ends, which Ray's actor holds open as long as it lives.

    All processes of a machine have the same input.
    """

    def wait() -> None:
        with suppress(OSError, ValueError):
            sys.stdin.read()
        os.kill(os.getpid(), signal.SIGTERM)

    Thread(target=wait, daemon=True).start()
