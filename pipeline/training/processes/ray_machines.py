"""Distributed training on the machines of a Ray cluster: torchrun starts the processes on each, as without Ray.

Torchrun restarts processes if one is killed. If a whole machine is lost, the others are stopped, and the same number of
machines resumes from the last saved state.
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

# Most restarts after the loss of a machine.
RESTARTS = 3
# Lines printed by machines, and the exit status of each at its end; None for a lost machine.
Lines = SimpleQueue[str | int | None]
Show = Callable[[str], None]


def train_on_ray(compute: Compute) -> None:
    """Train on `compute.nodes` machines of Ray's cluster, and wait for the end of training.

    Raises:
        ParamError: Ray is not installed.
        ClusterError: the cluster does not answer, has too few devices, or loses machines repeatedly.
        TrainingError: training failed on a machine, which has printed the reason.
        SystemExit: training was interrupted.
    """
    with connected(compute, stage="train") as ray:
        for _ in range(RESTARTS + 1):
            with _machines(ray, compute) as machines:
                if _has_ended(ray, machines, compute.timeout):
                    return
            print("train: lost a machine of the Ray cluster; starting again", flush=True)
        what = f"lost a machine {RESTARTS + 1} times"
        raise ClusterError(_name(ray), what, "see `ray status`; `dvc repro` continues")


@contextmanager
def _machines(ray: Any, compute: Compute) -> Iterator[list[Any]]:
    """Yield actors, each on a separate machine, with `compute.devices` devices each.

    Raises:
        ClusterError: the cluster cannot provide them within `compute.timeout`.
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
        ray.util.remove_placement_group(group)  # Also ends its actors.


def _has_ended(ray: Any, machines: list[Any], timeout: float) -> bool:
    """Train on `machines`; returns True at the successful end, False if a machine was lost.

    Raises:
        ClusterError: the machines do not start within `timeout` seconds.
        TrainingError: training failed.
        SystemExit: training was interrupted.
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
    """Return the address of the first of `machines`, once all of them run.

    Raises:
        ClusterError: the machines do not run within `timeout` seconds.
    """
    try:
        first: tuple[str, int] = ray.get([machine.address.remote() for machine in machines], timeout=timeout)[0]
    except TimeoutError:
        what = f"it starts no process within {timeout:g} s (compute.timeout)"
        hint = "see its raylet.err; where the path of its Python has a blank or a quote, Ray starts none"
        raise ClusterError(_name(ray), what, hint) from None
    return first


def _check(ray: Any, statuses: list[int | None]) -> None:
    """Check that training succeeded on all machines.

    Raises:
        TrainingError: training failed.
        SystemExit: training was interrupted.
    """
    if INTERRUPTED in statuses:
        raise SystemExit(INTERRUPTED)
    if status := max(filter(None, statuses), default=0):
        what = f"training ended with status {status}"
        raise TrainingError(_name(ray), what, "see its output; `dvc repro` continues")


def _environment(host: str, port: int) -> dict[str, str]:
    """Return the environment variables of all machines; the first one is at `host`."""
    given = {name: os.environ[name] for name in GIVEN if name in os.environ}
    return {**given, "MASTER_ADDR": host, "MASTER_PORT": str(port)}


def _follow(ray: Any, said: Any, lines: Lines) -> None:
    """Put the output of a machine, `said`, into `lines`: its lines, then its exit status, None if it was lost."""
    try:
        for one in said:
            lines.put(ray.get(one))
    except ray.exceptions.RayTaskError as error:
        lines.put(f"train: error: {one_line(error.cause)}\n")
        lines.put(1)
    except ray.exceptions.RayError:
        lines.put(None)


def _show_once() -> Show:
    """Return a function that prints lines; a line that was already printed is skipped."""
    printed: set[str] = set()

    def show(line: str) -> None:
        if line not in printed:
            printed.add(line)
            print(line, end="", flush=True)

    return show


def _statuses(lines: Lines, machines: int, *, show: Show) -> list[int | None]:
    """Return the exit statuses of `machines` machines; ends early with None if a machine is lost."""
    statuses: list[int | None] = []
    while len(statuses) < machines and None not in statuses:
        line = lines.get()
        if isinstance(line, str):
            show(line)
        else:
            statuses.append(line)
    return statuses


def _stop(machines: list[Any], lines: Lines, count: int, *, show: Show) -> None:
    """Make all machines save their state and stop, and wait until `count` have ended, for a limited time."""
    for machine in machines:
        machine.stop.remote()
    waiting = Thread(target=lambda: _statuses(lines, count, show=show), daemon=True)
    waiting.start()
    waiting.join(GRACE + 20)


def _bring(files: Files) -> None:
    """Write `files` into this project if they differ, as when the machines do not share its disk."""
    for path, content in files.items():
        if not path.exists() or path.read_bytes() != content:
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_name("received")
            part.write_bytes(content)
            part.replace(path)  # Not written in place: `path` may be a link to an object in DVC's cache.


def _name(ray: Any) -> str:
    return f"Ray at {ray.get_runtime_context().gcs_address}"
