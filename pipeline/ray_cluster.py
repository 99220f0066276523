"""Ray's cluster, for as long as a stage has work for it: one that runs, or one of this machine alone.

Ray is imported by whoever asks for it, and by nobody else.
"""

import logging
import os
import shlex
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

from pipeline import paths
from pipeline.errors import ClusterError, ParamError, one_line
from pipeline.params import Compute

# Seconds in which an address must answer.
PATIENCE = 10.0
# Where a cluster of Ray's says to the commands that it runs how it is reached.
ADDRESS = "RAY_ADDRESS"
LOCAL = "local"
# The param that asks for Ray, by stage.
ASKED_BY = {"ingest": "compute.engine", "train": "compute.launcher"}
# It warns of what will change one day, and prints pages where a machine dies, whose work others do again.
QUIET = {
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".",
}
# What it prints, on and on, where a cluster has a token that this process has not, or another one.
NO_TOKEN = "AuthToken"  # noqa: S105 (no token itself)
# So often the head of a cluster is asked whether it is there, and so often in a row it may not be.
EVERY, MISSED = 5.0, 3


@contextmanager
def connected(compute: Compute, *, stage: str) -> Iterator[Any]:
    """The module `ray`, connected for `stage` to the cluster that `compute` says; its processes import our code.

    Raises:
        ParamError: Ray is not installed.
        ClusterError: no cluster answers, or it is of another version.
    """
    os.environ.update(QUIET)
    try:
        import ray
    except ModuleNotFoundError:
        what = f"{ASKED_BY[stage]} is ray, and Ray is not installed"
        raise ParamError(paths.PARAMS, what, "run `pip install ray`, here and on all machines of the cluster") from None
    address = compute.ray or os.environ.get(ADDRESS, LOCAL)
    _check_answer(address)
    with TemporaryFile() as printed:
        try:
            with _printing_to(printed):
                _start(ray, address)
        except Exception as error:
            ray.shutdown()
            printed.seek(0)
            if NO_TOKEN in printed.read().decode(errors="replace"):
                hint = "set RAY_AUTH_MODE=token, and have the cluster's token in ~/.ray/auth_token or RAY_AUTH_TOKEN"
                raise ClusterError(_name(address), "it wants its token", hint) from error
            hint = "see that the cluster runs, with this version of Ray and of Python"
            raise ClusterError(_name(address), one_line(error), hint) from error
    try:
        with _watched(ray.get_runtime_context().gcs_address, stage):
            yield ray
    finally:
        ray.shutdown()


@contextmanager
def _printing_to(file: IO[bytes]) -> Iterator[None]:
    """Let what libraries print, which are not written in Python, go to `file` for a while."""
    sys.stderr.flush()
    terminal = os.dup(2)
    os.dup2(file.fileno(), 2)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(terminal, 2)
        os.close(terminal)


@contextmanager
def _watched(address: str, stage: str) -> Iterator[None]:
    """Meanwhile, end this process, with an error of `stage`, once the head of the cluster at `address` has gone.

    Ray would do so a minute later, and say nothing.
    """
    over = threading.Event()

    def watch() -> None:
        missed = 0
        while missed < MISSED:
            if over.wait(EVERY):
                return
            missed = 0 if _listens(address) else missed + 1
        # The main thread may wait inside of Ray, where it hears nothing. What is unfinished is safe, as after a kill.
        hint = "start it again; `dvc repro` continues"
        print(f"{stage}: error: {ClusterError(_name(address), 'its head no longer answers', hint)}", file=sys.stderr)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        over.set()


def _start(ray: Any, address: str) -> None:
    is_main = threading.current_thread() is threading.main_thread()
    answered = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    logging.getLogger("ray").setLevel(logging.CRITICAL)
    env: dict[str, Any] = {"py_modules": [str(Path(__file__).parent)], "excludes": ["__pycache__"]}
    if address == LOCAL:  # A shell reads this, and a project's Python may lie in any folder.
        env["py_executable"] = shlex.quote(sys.executable)
    ray.init(
        address=address,
        runtime_env=env,
        include_dashboard=False if address == LOCAL else None,
        logging_level=logging.CRITICAL,
        log_to_driver=False,
    )
    if is_main:
        for number, handler in answered.items():  # Ray ends this process in a way of its own.
            signal.signal(number, handler)


def _check_answer(address: str) -> None:
    """See that something listens at HOST:PORT: Ray itself tries for a minute, and prints all that it sees.

    Raises:
        ClusterError: nothing does.
    """
    host, _, port = address.rpartition(":")
    if host and port.isdecimal() and not _listens(address):
        raise ClusterError(_name(address), "nothing answers", "correct compute.ray, or start Ray there")


def _name(address: str) -> str:
    return f"Ray at {address}"


def _listens(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=PATIENCE).close()
    except OSError:
        return False
    return True
