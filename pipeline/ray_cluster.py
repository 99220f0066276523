"""Ray's cluster, for as long as a stage has work for it: one that runs, or one of this machine alone.

Ray is imported by whoever asks for it, and by nobody else.
"""

import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline import paths
from pipeline.errors import ClusterError, ParamError, one_line
from pipeline.params import Compute

# Seconds in which an address must answer.
PATIENCE = 10.0
# Where a cluster of Ray's says to the commands that it runs how it is reached.
ADDRESS = "RAY_ADDRESS"
LOCAL = "local"
# It warns of what will change one day, and prints pages where a machine dies, whose work others do again.
QUIET = {"RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0", "RAY_DEDUP_LOGS_SKIP_REGEX": "."}


@contextmanager
def connected(compute: Compute, *, asked_by: str) -> Iterator[Any]:
    """The module `ray`, connected to the cluster that `compute` says; its processes import our code as it is here.

    Raises:
        ParamError: Ray is not installed, which the param `asked_by` asks for.
        ClusterError: no cluster answers, or it is of another version.
    """
    os.environ.update(QUIET)
    try:
        import ray
    except ModuleNotFoundError:
        what = f"{asked_by} is ray, and Ray is not installed"
        raise ParamError(paths.PARAMS, what, "run `pip install ray`, here and on all machines of the cluster") from None
    address = compute.ray or os.environ.get(ADDRESS, LOCAL)
    _check_answer(address)
    try:
        _start(ray, address)
    except Exception as error:
        ray.shutdown()
        hint = "see that the cluster runs, with this version of Ray and of Python"
        raise ClusterError(f"Ray at {address}", one_line(error), hint) from error
    try:
        yield ray
    finally:
        ray.shutdown()


def _start(ray: Any, address: str) -> None:
    is_main = threading.current_thread() is threading.main_thread()
    answered = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    logging.getLogger("ray").setLevel(logging.CRITICAL)
    ray.init(
        address=address,
        runtime_env={"py_modules": [str(Path(__file__).parent)], "excludes": ["__pycache__"]},
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
    if not host or not port.isdecimal():
        return
    try:
        socket.create_connection((host, int(port)), timeout=PATIENCE).close()
    except OSError as error:
        what = f"nothing answers ({one_line(error)})"
        raise ClusterError(f"Ray at {address}", what, "correct compute.ray, or start Ray there") from None
