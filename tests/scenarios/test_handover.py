"""A machine disappears, and another one finishes its training: the same bytes, for any storage of the progress."""

import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from conftest import Project
from support.servers import S3, Server, SharedFolder, Ssh
from support.stage_processes import command, kill, running, wait_for
from support.training_machine import Files, model, saved

from pipeline import paths
from pipeline.params import read_params

TRAINING = command("train")
pytestmark = [
    pytest.mark.xdist_group("lightning"),
    pytest.mark.filterwarnings(r"ignore:::lightning\..*"),
]


def run(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Train in `project`, in this process."""
    from pipeline.train import train

    monkeypatch.chdir(project.root)
    train(read_params())


def once(machine: Callable[..., Project], monkeypatch: pytest.MonkeyPatch, **train: Any) -> Files:
    """Return the result of an uninterrupted training on one device without a remote."""
    project = machine("once", **train)
    project.set_params(compute={"progress": "off"})
    run(project, monkeypatch)
    return model(project)


@pytest.fixture
def folder(tmp_path: Path) -> SharedFolder:
    """Return a remote without a server, mounted."""
    (tmp_path / "server/remote").mkdir(parents=True)
    return SharedFolder(tmp_path / "server")


def kept(server: Server, what: str = "*.ckpt") -> list[Path]:
    """Return the files on a remote that is a folder."""
    return sorted((server.folder / "remote/progress/train").glob(f"*/{what}"))


def test_another_machine_goes_on(
    machine: Callable[..., Project],
    folder: SharedFolder,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """A run that is asked to stop ends after its upload; another machine gives the same bytes, and cleans up."""
    from pipeline.training.module import Classifier

    first, second = machine("first", epochs=4), machine("second", epochs=4)
    expected = once(machine, monkeypatch, epochs=4)
    training_step = Classifier.training_step

    def step(self: Classifier, batch: Any, batch_idx: int) -> Any:
        if self.global_step == 12:
            signal.raise_signal(signal.SIGTERM)
        return training_step(self, batch, batch_idx)

    for project in (first, second):
        folder.configure(project)
    with monkeypatch.context() as patch:
        patch.setattr(Classifier, "training_step", step)
        with pytest.raises(SystemExit):
            run(first, monkeypatch)
    assert kept(folder)[-1].name == max(saved(first)).name
    assert kept(folder)[-1].name.startswith("0000000013-")
    assert not kept(folder, "lease-*")
    capfd.readouterr()
    run(second, monkeypatch)
    out = capfd.readouterr().out
    assert f"train: fetched what another run saved in {folder.folder}/remote/progress/train/" in out
    assert "train: continuing at step 13 of 20" in out
    assert not kept(folder, "*")
    assert model(second) == expected


def test_remote_that_is_down(
    machine: Callable[..., Project],
    folder: SharedFolder,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """If the remote is down, the training gives the same model, with a one-line warning."""
    expected = once(machine, monkeypatch, epochs=4)
    project = machine("first", epochs=4)
    folder.configure(project)
    folder.stop()
    run(project, monkeypatch)
    assert [record.levelname for record in caplog.records if "compute.progress" in record.message] == ["WARNING"]
    assert model(project) == expected


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind",
    [pytest.param(SharedFolder, marks=pytest.mark.nightly), pytest.param(Ssh, marks=pytest.mark.nightly), S3],
)
def test_kills(
    machine: Callable[..., Project], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type[Server]
) -> None:
    """Killed at any moment, and resumed by another machine each time, the training gives the same bytes."""
    expected = once(machine, monkeypatch)
    (tmp_path / "server/remote").mkdir(parents=True)
    chance, said = random.Random(0), ""
    with kind(tmp_path / "server") as server:
        for number in range(4):
            project = machine(str(number))
            server.configure(project)
            if number == 3:
                out = project.run(*TRAINING).out
                break
            with running(project, "train") as process:
                wait_for(process, partial(saved, project))
                time.sleep(chance.uniform(0.1, 2))
                said += kill(process)
        assert "continuing at step" in said + out
        assert model(project) == expected
        assert not kept(server, "*")


@pytest.mark.slow
def test_two_runners(machine: Callable[..., Project], folder: SharedFolder) -> None:
    """A second runner names the first one, and stops; after a kill it resumes at once on the same machine."""
    first, second = machine("first", epochs=4000), machine("second", epochs=4000)
    for project in (first, second):
        folder.configure(project)
    with running(first, "train") as process:
        wait_for(process, lambda: kept(folder))
        out = second.run(*TRAINING, ok=False).out
        assert f", process {process.pid} is running this training; stop it, or try again in 180 seconds" in out
        assert len(out.splitlines()) <= 2
        assert process.poll() is None
        kill(process)
    with running(second, "train") as process:
        wait_for(process, partial(saved, second))
        process.send_signal(signal.SIGINT)
        out = process.communicate()[0]
    assert "train: fetched what another run saved in " in out


@pytest.mark.slow
@pytest.mark.nightly
def test_two_devices(machine: Callable[..., Project], folder: SharedFolder) -> None:
    """Two processes on another machine resume from the fetched state, to the bytes of an uninterrupted training."""
    first, second = machine("first", devices=2), machine("second", devices=2)
    for project in (first, second):
        folder.configure(project)
    with running(first, "train") as process:
        wait_for(process, lambda: kept(folder))
        kill(process)
    assert "train: continuing at step" in second.run(*TRAINING).out
    alone = machine("alone", devices=2)
    alone.set_params(compute={"progress": "off"})
    alone.run(*TRAINING)
    assert model(second) == model(alone)


@pytest.mark.slow
def test_clone_goes_on(make_project: Callable[[Path], Project], tmp_path: Path, folder: SharedFolder) -> None:
    """`dvc repro` hits a CI job's time limit, and continues in the next job's fresh clone."""
    first = make_project(tmp_path / "first")
    first.add_digits(0, 120)
    first.set_params(train={"epochs": 40, "save_every": 0.01}, compute={"progress": "remote"})
    folder.configure(first)
    first.dvc("add", "--quiet", "data/raw")
    first.commit()
    first.dvc("push", "--quiet")
    limit = ["timeout", "--signal=INT", "--kill-after=100", "300", "dvc", "repro"]
    with subprocess.Popen(limit, cwd=first.root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as job:
        wait_for(job, lambda: kept(folder))
        job.send_signal(signal.SIGINT)
        assert "train: interrupted; nothing is lost" in job.communicate()[0]
    newest = kept(folder)[-1].name
    clone = first.clone(tmp_path / "clone")
    clone.dvc("pull", "--quiet", "data/raw.dvc")
    assert f"train: continuing at step {int(newest[:10]):,} of " in clone.repro()
    assert not kept(folder, "*")
    model = clone.lock()["train"]["outs"]
    clone.set_params(compute={"progress": "off"})
    assert "continuing" not in clone.repro("--force", "--single-item", "train")
    assert clone.lock()["train"]["outs"]["data/model"] == model["data/model"]


# The second process sees another disk.
SCRIPT = """
import os, sys
from pipeline.cli import main
from pipeline.training.progress import Progress

if os.environ.get("LOCAL_RANK") == "1":
    Progress.newest = lambda self: None
sys.exit(main(["run", "train"]))
"""


@pytest.mark.slow
def test_two_devices_that_would_go_on_from_two_states(machine: Callable[..., Project], folder: SharedFolder) -> None:
    """Two processes that would resume from different states are an error, and never give a mixed model."""
    project = machine("first", devices=2, epochs=4000)
    folder.configure(project)
    with running(project, "train") as process:
        wait_for(process, lambda: kept(folder))
        kill(process)
    (project.root / "script.py").write_text(SCRIPT)
    out = project.run(sys.executable, "script.py", ok=False).out
    assert "and another one from a different step; run `dvc repro` again" in out
    assert not (project.root / paths.MODEL).exists()
