"""Training on Ray gives the bytes of local devices, also if a process or a node is killed."""

import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import psutil
import pytest
from conftest import Project
from support.clusters import cluster, kill_machine
from support.stage_processes import command, running, wait_for
from support.training_machine import model, saved

Machine = Callable[..., Project]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.nightly,
    pytest.mark.xdist_group("ray"),
    pytest.mark.filterwarnings("ignore:::ray.*", "ignore::ResourceWarning"),
]


def two_devices(machine: Machine) -> dict[str, bytes]:
    """Return the result of two local devices, started by Lightning."""
    project = machine("devices", devices=2)
    project.set_params(compute={"progress": "off"})
    project.run(*command("train"))
    return model(project)


def workers(project: Project) -> list[psutil.Process]:
    """Return the processes that train in `project`."""
    found = []
    for process in psutil.process_iter(["cmdline", "cwd", "environ"]):
        info = process.info
        if info["cwd"] == str(project.root) and "LOCAL_RANK" in (info["environ"] or {}):
            found.append(process)
    return found


def test_killed_process(machine: Machine) -> None:
    """A killed process is replaced, and resumes from the saved state."""
    project = machine("killed", devices=2)
    with cluster(2) as machines:
        project.set_params(compute={"launcher": "ray", "ray": machines.address, "progress": "off"})
        with running(project, "train") as process:
            wait_for(process, partial(saved, project))
            workers(project)[0].kill()
            out = process.communicate(timeout=300)[0]
    assert process.returncode == 0, out
    assert "was killed by signal 9; starting again" in out
    assert "train: continuing at step" in out
    assert model(project) == two_devices(machine)


def test_killed_machine(machine: Machine) -> None:
    """Another node replaces a killed one; the rest of the first attempt ends by itself."""
    project = machine("killed")
    with cluster(1, 1) as machines:
        project.set_params(compute={"launcher": "ray", "ray": machines.address, "progress": "off", "nodes": 2})
        with running(project, "train") as process:
            wait_for(process, partial(saved, project))
            before = workers(project)
            kill_machine(machines)
            machines.add_node(num_cpus=1)
            out = process.communicate(timeout=300)[0]
    assert process.returncode == 0, out
    assert not [one for one in before if one.is_running()]
    assert model(project) == two_devices(machine)


def test_too_few_devices(machine: Machine) -> None:
    """Too few devices are a one-line error with the available number."""
    project = machine("few", devices=3)
    with cluster(1, 2) as machines:
        compute = {"launcher": "ray", "ray": machines.address, "progress": "off", "timeout": 2}
        project.set_params(compute=compute)
        out = project.run(*command("train"), ok=False, OMP_NUM_THREADS=os.environ.get("OMP_NUM_THREADS", "1")).out
    assert "it has not 1 machine with 3 free CPUs each within 2 s (compute.timeout); its machines have" in out
    assert len(out.splitlines()) == 1, out


@pytest.fixture
def odd_python(tmp_path: Path) -> str:
    """Return this Python in a folder whose name a shell would split."""
    folder = tmp_path / 'Bob\'s "own" venv'
    folder.symlink_to(sys.prefix)
    return str(folder / "bin/python")


def test_python_in_any_folder(machine: Machine, odd_python: str) -> None:
    """A local Ray cluster starts its processes with Python in any folder."""
    project = machine("odd", devices=2)
    project.set_params(compute={"launcher": "ray", "progress": "off", "timeout": 60})
    project.run(odd_python, *command("train")[1:])
    assert model(project) == two_devices(machine)


def test_cluster_that_starts_no_process(machine: Machine, odd_python: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the cluster cannot start processes, one line says so; Ray would retry forever."""
    project = machine("none")
    with monkeypatch.context() as patch:
        patch.setattr(sys, "executable", odd_python)
        with cluster(1) as machines:
            patch.undo()
            compute = {"launcher": "ray", "ray": machines.address, "progress": "off", "timeout": 15}
            project.set_params(compute=compute)
            out = project.run(*command("train"), ok=False).out
    assert "it starts no process within 15 s (compute.timeout); see its raylet.err; where the path of its Python" in out
    assert len(out.splitlines()) == 1, out
