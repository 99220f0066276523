"""Connecting a stage to a Ray cluster: a running one, or one that is started on this machine.

Ray is imported only if a param asks for it.
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

# Timeout of a connection, in seconds.
PATIENCE = 10.0
# The environment variable in which Ray passes the cluster's address to its jobs.
ADDRESS = "RAY_ADDRESS"
LOCAL = "local"
# The param that asks for Ray, by stage.
ASKED_BY = {"ingest": "compute.engine", "train": "compute.launcher"}
# Silences warnings of future changes, and long messages when a machine is lost (others do its work again).
QUIET = {
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".",
}
# Ray prints this repeatedly if the cluster requires a token that this process lacks, or has another token.
NO_TOKEN = "AuthToken"  # noqa: S105 (no token itself)
# Seconds between two checks of the cluster's head, and failed checks in a row after which it counts as lost.
EVERY, MISSED = 5.0, 3


@contextmanager
def connected(compute: Compute, *, stage: str) -> Iterator[Any]:
    """Yield the module `ray`, connected for `stage` to the cluster of `compute`; its processes import this code.

    Raises:
        ParamError: Ray is not installed.
        ClusterError: the cluster does not answer, requires a token, or runs another version.
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
                hint = "set RAY_AUTH_MODE=token, and put the cluster's token into ~/.ray/auth_token or RAY_AUTH_TOKEN"
                raise ClusterError(_name(address), "it requires a token", hint) from error
            hint = "check that the cluster runs, with the same versions of Ray and Python"
            raise ClusterError(_name(address), one_line(error), hint) from error
    try:
        with _watched(ray.get_runtime_context().gcs_address, stage):
            yield ray
    finally:
        ray.shutdown()


@contextmanager
def _printing_to(file: IO[bytes]) -> Iterator[None]:
    """Redirect the standard error of libraries that are not written in Python to `file`."""
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
    """End this process with an error of `stage` if the head of the cluster at `address` is lost.

    Ray itself would end it a minute later, without a message.
    """
    over = threading.Event()

    def watch() -> None:
        missed = 0
        while missed < MISSED:
            if over.wait(EVERY):
                return
            missed = 0 if _listens(address) else missed + 1
        # The main thread may be blocked inside Ray, so exit at once. Unfinished work is safe, as after a kill.
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
    if address == LOCAL:  # A shell parses this, and the path may have special characters.
        env["py_executable"] = shlex.quote(sys.executable)
    ray.init(
        address=address,
        runtime_env=env,
        include_dashboard=False if address == LOCAL else None,
        logging_level=logging.CRITICAL,
        log_to_driver=False,
    )
    if is_main:
        for number, handler in answered.items():  # Ray has replaced the handlers.
            signal.signal(number, handler)


def _check_answer(address: str) -> None:
    """Check that something listens at HOST:PORT, since Ray itself would try for a minute and print many messages.

    Raises:
        ClusterError: nothing listens there.
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
