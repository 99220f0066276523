"""Machines of Ray's cluster that train together: on each, torchrun starts the processes, as it does without Ray.

Torchrun replaces a process that is killed. Where a whole machine goes, the others are stopped, and as many machines
begin again from what was saved last.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any

from pipeline.errors import ClusterError, TrainingError, one_line
from pipeline.handover.attempts import GRACE
from pipeline.params import Compute
from pipeline.ray_cluster import connected
from pipeline.signals import INTERRUPTED
from pipeline.text import counted
from pipeline.training.processes.ray_actor import GIVEN, INSIDE, Files, Machine

# How often all begin again since a machine went.
RESTARTS = 3
# What machines say, and then their status.
Lines = SimpleQueue[str | int | None]
Show = Callable[[str], None]


def train_on_ray(compute: Compute) -> None:
    """Train on so many machines of Ray's cluster as `compute` says, and wait until it has ended.

    Raises:
        ParamError: Ray is not installed.
        ClusterError: it does not answer, has too few devices, or a machine of it goes again and again.
        TrainingError: training failed there, and has said why.
        SystemExit: it was interrupted.
    """
    with connected(compute, stage="train") as ray:
        for _ in range(RESTARTS + 1):
            with _machines(ray, compute) as machines:
                if _has_ended(ray, machines, compute.timeout):
                    return
            print("train: a machine of Ray's has gone; starting again", flush=True)
        what = f"a machine went {RESTARTS + 1} times"
        raise ClusterError(_name(ray), what, "see `ray status`; `dvc repro` continues")


@contextmanager
def _machines(ray: Any, compute: Compute) -> Iterator[list[Any]]:
    """Actors, each on a machine of its own, with as many devices as `compute` says.

    Raises:
        ClusterError: the cluster does not have them within `compute.timeout`.
    """
    from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

    on_gpus = compute.accelerator == "gpu" or (compute.accelerator == "auto" and ray.cluster_resources().get("GPU"))
    kind = "GPU" if on_gpus else "CPU"
    share = {"CPU": 1, "GPU": compute.devices} if on_gpus else {"CPU": compute.devices}
    group = ray.util.placement_group([share] * compute.nodes, strategy="STRICT_SPREAD")
    try:
        ray.get(group.ready(), timeout=compute.timeout)
    except TimeoutError:
        has = ", ".join(f"{node['Resources'].get(kind, 0):g}" for node in ray.nodes() if node["Alive"])
        what = (
            f"it has not {counted(compute.nodes, 'machine')} with {counted(compute.devices, f'free {kind}')} each "
            f"within {compute.timeout:g} s (compute.timeout); its machines have {has}"
        )
        raise ClusterError(_name(ray), what, "lower compute.devices or compute.nodes, or add machines") from None
    made = ray.remote(max_concurrency=2)(Machine)
    places = (PlacementGroupSchedulingStrategy(group, placement_group_bundle_index=one) for one in range(compute.nodes))
    shares = {"num_cpus": share["CPU"], "num_gpus": share.get("GPU", 0)}
    try:
        yield [made.options(scheduling_strategy=place, **shares).remote() for place in places]
    finally:
        ray.util.remove_placement_group(group)  # And all that is in it.


def _has_ended(ray: Any, machines: list[Any], timeout: float) -> bool:
    """Train on `machines`; returns whether that has ended well, False where one of them went.

    Raises:
        ClusterError: they do not begin within `timeout` seconds.
        TrainingError: it has not.
        SystemExit: it was interrupted.
    """
    lines: Lines = SimpleQueue()
    folder = Path.cwd()
    try:
        env = _environment(*_first_address(ray, machines, timeout))
        for number, machine in enumerate(machines):
            said = machine.run.options(num_returns="streaming").remote(folder, {**env, INSIDE: str(number)})
            Thread(target=_follow, args=(ray, said, lines), daemon=True).start()
        statuses = _statuses(lines, len(machines), show=_show_once())
        if None not in statuses:
            _check(ray, statuses)
            _bring(ray.get(machines[0].outputs.remote(folder)))
            return True
    except ray.exceptions.RayActorError:
        statuses = [None]
    except KeyboardInterrupt:
        _stop(machines, lines, len(machines), show=_show_once())
        raise SystemExit(INTERRUPTED) from None
    _stop(machines, lines, len(machines) - len(statuses), show=lambda _: None)
    return False


def _first_address(ray: Any, machines: list[Any], timeout: float) -> tuple[str, int]:
    """Where the first of `machines` is reached, once all of them run.

    Raises:
        ClusterError: they do not within `timeout` seconds.
    """
    try:
        first: tuple[str, int] = ray.get([machine.address.remote() for machine in machines], timeout=timeout)[0]
    except TimeoutError:
        what = f"it starts no process within {timeout:g} s (compute.timeout)"
        hint = "see its raylet.err; where the path of its Python has a blank or a quote, Ray starts none"
        raise ClusterError(_name(ray), what, hint) from None
    return first


def _check(ray: Any, statuses: list[int | None]) -> None:
    """See that training ended well on all machines.

    Raises:
        TrainingError: it has not.
        SystemExit: it was interrupted.
    """
    if INTERRUPTED in statuses:
        raise SystemExit(INTERRUPTED)
    if status := max(filter(None, statuses), default=0):
        what = f"training ended with status {status}"
        raise TrainingError(_name(ray), what, "see what it said; `dvc repro` continues")


def _environment(host: str, port: int) -> dict[str, str]:
    """What each machine is told, the first of which is at `host`."""
    given = {name: os.environ[name] for name in GIVEN if name in os.environ}
    return {**given, "MASTER_ADDR": host, "MASTER_PORT": str(port)}


def _follow(ray: Any, said: Any, lines: Lines) -> None:
    """Put what a machine has `said` into `lines`: its lines, and its status, None where it went."""
    try:
        for one in said:
            lines.put(ray.get(one))
    except ray.exceptions.RayTaskError as error:
        lines.put(f"train: error: {one_line(error.cause)}\n")
        lines.put(1)
    except ray.exceptions.RayError:
        lines.put(None)


def _show_once() -> Show:
    """Prints lines, once where several machines say the same."""
    printed: set[str] = set()

    def show(line: str) -> None:
        if line not in printed:
            printed.add(line)
            print(line, end="", flush=True)

    return show


def _statuses(lines: Lines, machines: int, *, show: Show) -> list[int | None]:
    """The statuses of so many `machines`, or of the first ones until one went, which is None."""
    statuses: list[int | None] = []
    while len(statuses) < machines and None not in statuses:
        line = lines.get()
        if isinstance(line, str):
            show(line)
        else:
            statuses.append(line)
    return statuses


def _stop(machines: list[Any], lines: Lines, count: int, *, show: Show) -> None:
    """Have all save what they have, and wait until so many have ended."""
    for machine in machines:
        machine.stop.remote()
    waiting = Thread(target=lambda: _statuses(lines, count, show=show), daemon=True)
    waiting.start()
    waiting.join(GRACE + 20)


def _bring(files: Files) -> None:
    """Put `files` into this project, where the machines have none of its disks."""
    for path, content in files.items():
        if not path.exists() or path.read_bytes() != content:
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_name("received")
            part.write_bytes(content)
            part.replace(path)  # It may be the object in DVC's cache itself.


def _name(ray: Any) -> str:
    return f"Ray at {ray.get_runtime_context().gcs_address}"
