"""Clusters of Ray's on this machine, of as many machines as are wanted."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from ray.cluster_utils import Cluster

# A machine that no longer answers is missed after seconds, and not after half a minute.
PATIENCE = {"health_check_period_ms": 1000, "health_check_timeout_ms": 5000, "health_check_failure_threshold": 2}


@contextmanager
def cluster(*cores: int) -> Iterator[Cluster]:
    """A cluster of machines with so many `cores` each."""
    first, *others = cores
    # As fast as all else here: Ray lets what it runs give way to other processes.
    os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112 (Ray spells it so)
    found = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": first, "include_dashboard": False, "_system_config": PATIENCE},
    )
    try:
        for count in others:
            found.add_node(num_cpus=count)
        yield found
    finally:
        os.environ.pop("RAY_worker_niceness", None)  # Another cluster may have been in this one.
        found.shutdown()  # type: ignore[no-untyped-call]


def kill_machine(one: Cluster) -> None:
    """Kill what a machine other than the first one runs, as its power would fail."""
    node = next(iter(one.worker_nodes))
    for process in node.all_processes["raylet"]:
        os.kill(process.process.pid, signal.SIGKILL)


def kill_head(one: Cluster) -> None:
    """Kill what knows of all machines of the cluster."""
    assert one.head_node is not None
    for process in one.head_node.all_processes["gcs_server"]:
        os.kill(process.process.pid, signal.SIGKILL)


ALONE = """
from ray.cluster_utils import Cluster
one = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
print(one.address, flush=True)
input()
one.shutdown()
"""


@contextmanager
def cluster_with_token(token: str) -> Iterator[str]:
    """The address of a cluster of one machine that wants a `token` of all who speak to it."""
    env = {**os.environ, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token}
    with subprocess.Popen(
        [sys.executable, "-c", ALONE],
        env=env,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.communicate("\n")
