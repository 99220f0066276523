"""A machine goes, and another one finishes its training: the same bytes, whatever kept the progress in between."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, TINY, Project
from ruamel.yaml import YAML
from support.servers import KINDS, Server, SharedFolder
from support.stored import Plain, store_images

from pipeline import paths
from pipeline.lineage.base import FIRST, NONE
from pipeline.training.progress import FOLDER

pytestmark = pytest.mark.xdist_group("lightning")

TRAIN = [Plain("cat", shade) for shade in range(20)] + [Plain("dog", 200 + shade) for shade in range(17)]
VAL = [Plain("cat", 20), Plain("dog", 220)]
COMMAND = [sys.executable, "-m", "pipeline", "run", "train"]
Files = dict[str, bytes]


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Project]:
    """Makes a machine: a folder with the same images and params, and nothing else in common."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")

    def make(name: str, *, devices: int = 1, **train: Any) -> Project:
        project = Project(tmp_path / name)
        project.root.mkdir()
        with monkeypatch.context() as patch:
            patch.chdir(project.root)
            shutil.copy(ROOT / paths.PIPELINE, paths.PIPELINE)
            store_images(train=TRAIN, val=VAL)
            paths.BASE.mkdir()
            (paths.BASE / NONE).write_text(FIRST + "\n")
        yaml = YAML()
        content = yaml.load(ROOT / "params.yaml")
        for section, values in TINY.items():
            content[section].update(values)
        content["train"].update({"batch_size": 8, "epochs": 40, "save_every": 0.01, **train})
        content["compute"].update({"devices": devices, "progress": "remote"})
        yaml.dump(content, project.root / paths.PARAMS)
        project.git("init", "--quiet")
        project.dvc("init", "--quiet")
        return project

    return make


@contextmanager
def training(project: Project) -> Iterator[subprocess.Popen[str]]:
    """A training that runs, with all its processes in a group."""
    with subprocess.Popen(
        COMMAND,
        cwd=project.root,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        yield process


def kill(process: subprocess.Popen[str]) -> str:
    """As power fails; returns what was printed."""
    os.killpg(process.pid, signal.SIGKILL)
    return process.communicate()[0]


def wait_for(process: subprocess.Popen[str], condition: Callable[[], object]) -> None:
    """Until that is so."""
    end = time.monotonic() + 100
    while not condition():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < end
        time.sleep(0.02)


def model(project: Project) -> Files:
    """What was trained."""
    folders = (project.root / paths.MODEL, project.root / paths.CURVES)
    return {str(path.relative_to(project.root)): path.read_bytes() for folder in folders for path in folder.iterdir()}


def once(machine: Callable[..., Project], **train: Any) -> Files:
    """What comes of a training that nothing interrupts, and that is kept nowhere else."""
    project = machine("once", **train)
    project.set_params(compute={"progress": "off"})
    project.run(*COMMAND)
    return model(project)


@pytest.fixture
def folder(tmp_path: Path) -> SharedFolder:
    """The kind of remote that needs no server, mounted."""
    (tmp_path / "server/remote").mkdir(parents=True)
    return SharedFolder(tmp_path / "server")


def kept(server: Server, what: str = "*.ckpt") -> list[Path]:
    """The files on a remote that is a folder."""
    return sorted((server.folder / "remote/progress/train").glob(f"*/{what}"))


def test_another_machine_goes_on(machine: Callable[..., Project], folder: SharedFolder) -> None:
    """Asked to stop, a run has uploaded when it has ended; another folder comes to the same bytes, and cleans up."""
    first, second = machine("first"), machine("second")
    for project in (first, second):
        folder.configure(project)
    with training(first) as process:
        wait_for(process, lambda: kept(folder))
        process.send_signal(signal.SIGTERM)
        out = process.communicate()[0]
    assert process.returncode == 130
    assert "train: interrupted; nothing is lost" in out
    newest = max((first.root / FOLDER).glob("*/*.ckpt")).name
    assert kept(folder)[-1].name == newest
    assert not kept(folder, "lease-*")
    out = second.run(*COMMAND).out
    assert f"train: fetched what another run saved in {folder.folder}/remote/progress/train/" in out
    assert f"train: continuing at step {int(newest[:10]):,} of 200" in out
    assert not kept(folder, "*")
    assert model(second) == once(machine)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_kills(machine: Callable[..., Project], tmp_path: Path, kind: type[Server]) -> None:
    """Killed at any moment, each time another machine goes on, until one gets through: the same bytes."""
    expected = once(machine)
    (tmp_path / "server/remote").mkdir(parents=True)
    chance, said = random.Random(0), ""
    with kind(tmp_path / "server") as server:
        for number in range(4):
            project = machine(str(number))
            server.configure(project)
            if number == 3:
                out = project.run(*COMMAND).out
                break
            with training(project) as process:
                wait_for(process, lambda: list((project.root / FOLDER).glob("*/*.ckpt")))
                time.sleep(chance.uniform(0.1, 2))
                said += kill(process)
        assert "continuing at step" in said + out
        assert model(project) == expected
        assert not kept(server, "*")


def test_two_runners(machine: Callable[..., Project], folder: SharedFolder) -> None:
    """The second one says who trains, and stops; after a kill of the first it goes on at once on the same machine."""
    first, second = machine("first", epochs=4000), machine("second", epochs=4000)
    for project in (first, second):
        folder.configure(project)
    with training(first) as process:
        wait_for(process, lambda: kept(folder))
        out = second.run(*COMMAND, ok=False).out
        assert f", process {process.pid} goes on with this training; end that, or try again in 180 seconds" in out
        assert len(out.splitlines()) <= 2
        assert process.poll() is None
        kill(process)
    with training(second) as process:
        wait_for(process, lambda: list((second.root / FOLDER).glob("*/*.ckpt")))
        process.send_signal(signal.SIGINT)
        out = process.communicate()[0]
    assert "train: continuing at step" in out


def test_remote_that_is_down(machine: Callable[..., Project], folder: SharedFolder) -> None:
    """The training comes to its model as without it, and says so in one line."""
    project = machine("first")
    folder.configure(project)
    folder.stop()
    out = project.run(*COMMAND).out
    assert len([line for line in out.splitlines() if "compute.progress" in line]) == 1
    assert model(project) == once(machine)


def test_two_devices(machine: Callable[..., Project], folder: SharedFolder) -> None:
    """Both processes of another machine go on from what was fetched, to the bytes of two that nothing interrupted."""
    first, second = machine("first", devices=2), machine("second", devices=2)
    for project in (first, second):
        folder.configure(project)
    with training(first) as process:
        wait_for(process, lambda: kept(folder))
        kill(process)
    assert "train: continuing at step" in second.run(*COMMAND).out
    assert model(second) == once(machine, devices=2)
