"""Ray clusters of any number of nodes on this machine."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from ray.cluster_utils import Cluster

# Detect a dead node within seconds rather than half a minute.
PATIENCE = {"health_check_period_ms": 1000, "health_check_timeout_ms": 5000, "health_check_failure_threshold": 2}


@contextmanager
def cluster(*cores: int) -> Iterator[Cluster]:
    """Start a cluster with a node for each number of `cores`."""
    first, *others = cores
    # Full speed: by default Ray lowers the priority of its workers.
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
        os.environ.pop("RAY_worker_niceness", None)  # Another cluster in this process may have set it.
        found.shutdown()  # type: ignore[no-untyped-call]


def kill_machine(one: Cluster) -> None:
    """Kill all processes of a node other than the head node, like a power failure."""
    node = next(iter(one.worker_nodes))
    for process in node.all_processes["raylet"]:
        os.kill(process.process.pid, signal.SIGKILL)


def kill_head(one: Cluster) -> None:
    """Kill the head node's control service, which knows all nodes of the cluster."""
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
    """Start a cluster of one node that requires `token` from all clients, and yield its address."""
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
