"""Several machines, each a separate folder, train one model: the same bytes as with these devices on one machine."""

import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Any

import psutil
import pytest
from conftest import Project
from support.stage_processes import command, kill, running, wait_for
from support.training_machine import model, saved

TRAINING = command("train")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings(r"ignore:::lightning\..*")]
Machine = Callable[..., Project]


def free_port() -> int:
    """Return a free port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def several(machine: Machine, count: int, **compute: Any) -> list[Project]:
    """Return `count` machines that train together."""
    address = f"127.0.0.1:{free_port()}"
    projects = [machine(f"machine {number}") for number in range(count)]
    for project in projects:
        together = {"nodes": count, "launcher": "torchrun", "address": address, "progress": "off"}
        project.set_params(compute={**together, **compute})
    return projects


def run_together(projects: list[Project]) -> list[str]:
    """Train on all machines, and return their outputs."""
    with ExitStack() as stack:
        processes = [stack.enter_context(running(project, "train")) for project in projects]
        outs = [process.communicate(timeout=200)[0] for process in processes]
        assert not any(process.returncode for process in processes), outs
    return outs


def two_devices(machine: Machine) -> dict[str, bytes]:
    """Return the result of two devices on one machine, started by Lightning."""
    project = machine("devices", devices=2)
    project.set_params(compute={"progress": "off"})
    project.run(*TRAINING)
    return model(project)


def any_saved(projects: list[Project]) -> bool:
    """Whether a machine has saved a state."""
    return any(saved(project) for project in projects)


def workers(process: "subprocess.Popen[str]") -> list[psutil.Process]:
    """Return the training processes that `process` has started."""
    children = psutil.Process(process.pid).children(recursive=False)
    return [child for child in children if "pipeline" in child.cmdline()]


def test_two_machines(machine: Machine) -> None:
    """Two machines, killed and resumed, each have the model of two devices."""
    expected = two_devices(machine)
    projects = several(machine, 2)
    with ExitStack() as stack:
        processes = [stack.enter_context(running(project, "train")) for project in projects]
        wait_for(processes[0], partial(any_saved, projects))
        for process in processes:
            for child in workers(process):
                child.kill()
            kill(process)
    outs = run_together(projects)
    assert sum("train: continuing at step" in out for out in outs) == 1

    for project in projects:
        assert model(project) == expected


@pytest.mark.nightly
@pytest.mark.parametrize(("machines", "devices"), [(1, 2), (2, 1)])
def test_killed_worker_is_replaced(machine: Machine, machines: int, devices: int) -> None:
    """A worker killed at any moment is replaced, and the bytes are the same."""
    projects, chance = several(machine, machines, devices=devices), random.Random(0)
    with ExitStack() as stack:
        processes = [stack.enter_context(running(project, "train")) for project in projects]
        wait_for(processes[0], partial(any_saved, projects))
        time.sleep(chance.uniform(0, 1))
        chance.choice(workers(processes[0])).kill()
        outs = [process.communicate(timeout=200)[0] for process in processes]
        assert not any(process.returncode for process in processes), outs
    assert "continuing at step" in "".join(outs)
    expected = two_devices(machine)
    for project in projects:
        assert model(project) == expected


@pytest.mark.nightly
def test_sigint_saves(machine: Machine) -> None:
    """SIGINT saves the state and prints one line; the next run resumes."""
    (project,) = several(machine, 1, devices=2)
    with running(project, "train") as process:
        wait_for(process, partial(saved, project))
        process.send_signal(signal.SIGINT)
        out = process.communicate(timeout=200)[0]
    assert process.returncode == 130
    assert out.count("interrupted; nothing is lost") == 1
    assert "Traceback" not in out
    assert "train: continuing at step" in project.run(*TRAINING).out


@pytest.mark.nightly
@pytest.mark.parametrize("where", ["127.0.0.1", "192.0.2.1"])
def test_machine_that_does_not_come(machine: Machine, where: str) -> None:
    """A missing machine, also the meeting point, is awaited for the time in params.yaml; then one line says so."""
    first, _ = several(machine, 2, timeout=3, address=f"{where}:{free_port()}")
    with running(first, "train") as process:
        begun, said = process.communicate(timeout=200)[0].splitlines()
    assert process.returncode == 1
    assert begun.startswith(f"train: 2 machines meet at {where}:")
    assert "2 machines did not meet in 3 s (compute.timeout)" in said


def of_slurm(rank: int, size: int, port: int) -> dict[str, str]:
    """Return the environment of a task in a SLURM job."""
    return {
        "SLURM_JOB_ID": "1",
        "SLURM_JOB_NAME": "training",
        "SLURM_NTASKS": str(size),
        "SLURM_NTASKS_PER_NODE": "1",
        "SLURM_NNODES": str(size),
        "SLURM_NODELIST": "localhost",
        "SLURM_PROCID": str(rank),
        "SLURM_NODEID": str(rank),
        "SLURM_LOCALID": "0",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }


def test_process_that_does_not_come(machine: Machine) -> None:
    """If other programs start the processes, a missing one is named by its number."""
    project = machine("alone")
    project.set_params(compute={"nodes": 2, "timeout": 3, "progress": "off"})
    out = project.run(*TRAINING, ok=False, **of_slurm(0, 2, free_port())).out
    assert "process 1 of 2 did not come within 3 s (compute.timeout)" in out
    assert len(out.splitlines()) == 1, out


@pytest.mark.nightly
def test_all_launchers_make_the_same_bytes(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The launchers in the documentation, torchrun and SLURM without a shared disk, give the same bytes."""
    expected = two_devices(machine)
    project = machine("torchrun", devices=2)
    project.set_params(compute={"progress": "off"})
    project.run("torchrun", "--standalone", "--nproc-per-node", "2", *TRAINING[1:])
    assert model(project) == expected
    port, projects = free_port(), several(machine, 2, launcher="none")
    with ExitStack() as stack:
        processes = []
        for rank, project in enumerate(projects):
            with monkeypatch.context() as patch:
                for name, value in of_slurm(rank, 2, port).items():
                    patch.setenv(name, value)
                processes.append(stack.enter_context(running(project, "train")))
        outs = [process.communicate(timeout=200)[0] for process in processes]
        assert not any(process.returncode for process in processes), outs
    for project in projects:
        assert model(project) == expected


@pytest.mark.nightly
def test_machines_with_other_inputs(machine: Machine) -> None:
    """Machines with different data do not train one model."""
    projects = several(machine, 2)
    projects[1].set_params(train={"seed": 1})
    with ExitStack() as stack:
        processes = [stack.enter_context(running(project, "train")) for project in projects]
        outs = [process.communicate(timeout=200)[0] for process in processes]
    assert all(process.returncode for process in processes)
    assert "data, code or params of process 1 are not those of process 0" in "".join(outs)
    assert not any((project.root / "data/model").exists() for project in projects)
