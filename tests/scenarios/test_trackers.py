"""Real trackers record every run, including MLflow's server; server and training may be interrupted."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from conftest import Project, stages_run
from ruamel.yaml import YAML
from support.trackers import ENV, NONE_HERE, PACKAGES, MlflowServer
from support.training_machine import model

pytestmark = [
    pytest.mark.slow,
    pytest.mark.nightly,
    pytest.mark.skipif(not PACKAGES.is_dir(), reason=NONE_HERE),
]
Machine = Callable[..., Project]
TRAIN = (sys.executable, "-m", "pipeline", "run", "train")
ALONE = {"progress": "off"}
# What TensorBoard would draw, by its own reader.
EVENTS = """
import json, sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
events = EventAccumulator(sys.argv[1], size_guidance={"scalars": 0}).Reload()
print(json.dumps({tag: [(one.step, one.value) for one in events.Scalars(tag)] for tag in events.Tags()["scalars"]}))
"""


@pytest.fixture(autouse=True)
def _trackers(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Enable all trackers, also on machines; W&B's server is never contacted."""
    del machine
    for name, value in ENV.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[MlflowServer]:
    """Start MLflow's server."""
    with MlflowServer(tmp_path / "server") as server:
        yield server


def curve(project: Project, name: str) -> list[tuple[int, float]]:
    """Return the model's own record of the curve."""
    rows = [line.split(",") for line in project.read("data/model/curves.csv").splitlines()]
    return [(int(step), float(value)) for kind, step, value in rows if kind == name]


@contextmanager
def running(project: Project, *, until: Callable[[], bool]) -> "Iterator[subprocess.Popen[str]]":
    """Run a training until `until` holds."""
    with subprocess.Popen(
        TRAIN, cwd=project.root, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        try:
            while not until():
                assert process.poll() is None, process.communicate()[0]
                time.sleep(0.2)
            yield process
        finally:
            process.kill()


def has_points(server: MlflowServer, count: int) -> bool:
    """Whether the server's only run has `count` points of the loss."""
    runs = server.runs()
    return len(runs) == 1 and len(server.points(runs[0], "loss")) >= count


def test_every_tracker_has_the_run(project: Project, server: MlflowServer) -> None:
    """Switching trackers on causes no training; the next generation is in all of them, and not in Git."""
    project.add_digits(0, 60)
    project.dvc("init", "--quiet", ok=None)
    project.dvc("add", "--quiet", "data/raw")
    project.repro()
    project.commit()
    before = project.lock()["train"]["outs"]["data/model"]
    project.set_params(train={"loggers": ["tensorboard", "csv", "dvclive", "wandb", {"mlflow": server.url}]})
    assert stages_run(project.repro()) == []
    project.repro("--force", "--single-item", "train")
    assert project.lock()["train"]["outs"]["data/model"] == before
    project.add_digits(60, 90)
    out = project.repro()
    project.commit()
    assert not project.git("status", "--porcelain")
    for name in ("tensorboard", "csv", "dvclive", "wandb", "mlflow"):
        assert f"train: {name} has this run: " in out
    first, second = sorted(server.runs(), key=lambda run: int(run["data"]["params"]["generation"]))
    assert [run["info"]["status"] for run in (first, second)] == ["FINISHED", "FINISHED"]
    assert f"{server.url}/#/experiments/{second['info']['experiment_id']}/runs/{second['info']['run_id']}" in out
    told = second["data"]["params"]
    lock = project.lock()["train"]
    assert (told["base"], told["model"]) == (before, lock["outs"]["data/model"])
    assert told["md5.data/manifest/train.csv"] == lock["deps"]["data/manifest/train.csv"]
    assert told["md5.data/raw"] == YAML(typ="safe").load(project.read("data/raw.dvc"))["outs"][0]["md5"]
    assert told["commit"] == project.git("rev-parse", "HEAD~1").strip()
    steps_before = int(told["steps.before"])
    own = {name: [one for one in curve(project, name) if one[0] > steps_before] for name in ("loss", "val_loss")}
    name = second["info"]["run_name"]
    events = json.loads(project.run(sys.executable, "-c", EVENTS, f"data/logs/tensorboard/{name}").out.splitlines()[-1])
    for kind, points in own.items():
        assert server.points(second, kind) == points
        assert [(step, pytest.approx(value)) for step, value in points] == [tuple(one) for one in events[kind]]
    assert json.loads(project.read(f"data/logs/dvclive/{name}/metrics.json"))["step"] == own["loss"][-1][0]
    assert YAML(typ="safe").load(project.read(f"data/logs/dvclive/{name}/params.yaml"))["model"] == told["model"]
    assert len(list((project.root / "data/logs/wandb").glob("offline-run-*/*.wandb"))) == 2
    assert not list(project.root.glob("*/dvclive")) + list(project.root.glob("mlruns"))


def test_a_server_that_goes_and_comes(machine: Machine, server: MlflowServer) -> None:
    """A server that is down temporarily costs one line; it gets the missed points later, and the model is the same."""
    plain = machine("plain", epochs=300, save_every=1e9)
    plain.set_params(compute=ALONE)
    plain.run(*TRAIN)
    project = machine("tracked", epochs=300, save_every=1e9, loggers=[{"mlflow": server.url}])
    project.set_params(compute=ALONE)
    with running(project, until=lambda: has_points(server, 3)) as training:
        server.kill()
        time.sleep(5)
        server.start()
        out = training.communicate(timeout=300)[0]
    assert training.returncode == 0
    assert model(project) == model(plain)
    assert out.count("train.loggers: mlflow: ") == 1
    assert "training is not affected" in out
    (run,) = server.runs()
    assert run["info"]["status"] == "FINISHED"
    assert server.points(run, "loss") == curve(project, "loss")


def test_a_server_that_stays_away(machine: Machine, server: MlflowServer) -> None:
    """A server that stays down delays the end only briefly; the next training does not start without it."""
    project = machine("tracked", epochs=200, save_every=1e9, loggers=[{"mlflow": server.url}])
    project.set_params(compute=ALONE)
    with running(project, until=lambda: has_points(server, 3)) as training:
        server.kill()
        out = training.communicate(timeout=300)[0]
    assert training.returncode == 0, out
    assert (project.root / "data/model").is_dir()
    assert out.count("train.loggers: mlflow: Connection refused; training is not affected") == 1
    refused = project.run(*TRAIN, ok=False).out.splitlines()[-1]
    said = f"train: error: train.loggers: mlflow at {server.url}: cannot begin a run: Connection refused; correct it"
    assert refused.startswith(said)


def test_a_killed_training_goes_on_with_its_run(machine: Machine, server: MlflowServer) -> None:
    """After kills there is one run with each point once, also by TensorBoard's reader."""
    project = machine("one", epochs=100, loggers=["tensorboard", {"mlflow": server.url}])
    project.set_params(compute=ALONE)
    with running(project, until=lambda: has_points(server, 4)) as training:
        training.kill()
    out = project.run(*TRAIN).out
    assert "train: continuing at step" in out
    (run,) = server.runs()
    assert run["info"]["status"] == "FINISHED"
    assert server.points(run, "loss") == curve(project, "loss")
    (folder,) = (project.root / "data/logs/tensorboard").iterdir()
    events: dict[str, Any] = json.loads(project.run(sys.executable, "-c", EVENTS, str(folder)).out.splitlines()[-1])
    assert [step for step, _ in events["loss"]] == [step for step, _ in curve(project, "loss")]


def test_one_of_several_processes_logs(machine: Machine, server: MlflowServer) -> None:
    """Two processes that train together have one run."""
    project = machine("two", devices=2, epochs=10, save_every=1e9, loggers=[{"mlflow": server.url}])
    project.set_params(compute={"launcher": "torchrun", **ALONE})
    project.run(*TRAIN)
    (run,) = server.runs()
    assert server.points(run, "loss") == curve(project, "loss")
