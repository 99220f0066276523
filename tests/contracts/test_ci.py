"""The CI script for pull requests with new images runs for real, on a clone of a bare repository."""

import json
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from conftest import ROOT, Project
from ruamel.yaml import YAML

SCRIPT = ".github/retrain.sh"


@pytest.fixture(scope="module")
def team(make_project: Callable[[Path], Project], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a bare repository, whose `main` is a trained project, and its DVC remote."""
    folder = tmp_path_factory.mktemp("ci")
    subprocess.run(["git", "init", "--quiet", "--bare", "origin"], cwd=folder, check=True)
    project = make_project(folder / "project")
    project.add_digits(0, 120)
    project.dvc("remote", "add", "--default", "team", str(folder / "remote"))
    project.dvc("add", "--quiet", "data/raw")
    project.repro()
    project.commit("generation 1")
    project.dvc("push", "--quiet")
    project.git("push", "--quiet", str(folder / "origin"), "main")
    return folder


def clone(folder: Path, name: str, branch: str) -> Project:
    """Clone the bare repository."""
    subprocess.run(["git", "clone", "--quiet", "--branch", branch, "origin", name], cwd=folder, check=True)
    return Project(folder / name)


def propose(folder: Path, branch: str, *, start: int, stop: int, **params: dict[str, Any]) -> None:
    """Push a branch with more images and their data, on which nobody has trained."""
    author = clone(folder, f"author of {branch}", "main")
    author.git("switch", "--quiet", "--create", branch)
    author.dvc("pull", "--quiet", "data/raw.dvc")
    author.add_digits(start, stop)
    author.set_params(**params)
    author.dvc("add", "--quiet", "data/raw")
    author.dvc("push", "--quiet", "data/raw.dvc")
    author.commit("more images")
    author.git("push", "--quiet", "origin", branch)


def retrain(project: Project, *, ok: bool = True) -> tuple[str, str]:
    """Run the script as CI does, and return its output and the comment."""
    comment = project.root.parent / "comment.md"
    comment.unlink(missing_ok=True)
    out = project.run(SCRIPT, "origin/main", str(comment), ok=ok).out
    return out, comment.read_text(encoding="utf-8") if comment.exists() else ""


@pytest.mark.slow
def test_branch_with_new_images_is_trained(team: Path) -> None:
    """The branch's model is trained once, from main's; its cache is pushed, and the comment has the metrics."""
    propose(team, "more", start=120, stop=160, train={"lr": 4e-3})
    runner = clone(team, "runner", "more")
    before = runner.lock()["train"]["outs"]["data/model"]
    out, comment = retrain(runner)
    assert "retrain: pushed" in out
    assert f"train: warm start from {before[:8]}" in comment
    assert re.search(r"\n(ingest|manifest|train): [\d.,]+ KiB came from the remote\n", comment)
    assert "| Path" in comment
    assert "| data/report/metrics.json | accuracy " in comment
    # Figures of each class and slice may exceed the maximum length of a comment.
    assert not re.search(r"\| *(classes|slices)\.", comment)
    assert runner.git("status", "--porcelain") == ""

    colleague = clone(team, "colleague", "more")
    assert colleague.git("log", "--format=%s", "origin/main..").splitlines()[0] == "Train on the images of this branch"
    assert colleague.lock()["train"]["deps"]["data/base"] == before
    assert json.loads(colleague.read("data/report/lineage.json"))["generation"] == 2
    colleague.dvc("pull")
    assert "up to date" in colleague.status()

    behind = clone(team, "behind", "more")
    behind.git("reset", "--quiet", "--hard", "HEAD^")
    _, comment = retrain(behind, ok=False)
    assert comment.startswith("### Trained, but not pushed\n")
    assert "error: failed to push" in comment

    again = clone(team, "again", "more")
    _, comment = retrain(again)
    assert comment == "Nothing new: the model in dvc.lock is up to date.\n"
    assert again.git("rev-parse", "HEAD", "origin/more").split() == [colleague.git("rev-parse", "HEAD").strip()] * 2


@pytest.mark.slow
def test_training_that_fails_is_told(team: Path) -> None:
    """If training fails, the script fails; the comment has the reason, and nothing is committed."""
    propose(team, "bad", start=120, stop=125, train={"lr": 1e30})
    runner = clone(team, "runner of bad", "bad")
    _, comment = retrain(runner, ok=False)
    assert comment.startswith("### Training failed\n")
    assert "train: error: " in comment
    assert "Traceback" not in comment
    assert runner.git("rev-parse", "HEAD") == runner.git("rev-parse", "origin/bad")


@pytest.mark.slow
@pytest.mark.nightly
def test_a_job_that_runs_out_of_time_goes_on(team: Path) -> None:
    """A job that hits its time limit ends cleanly, and a job on another machine continues to the same model."""
    params: dict[str, Any] = {
        "train": {"epochs": 400, "min_steps": 2000, "save_every": 0.5},
        "compute": {"progress": "remote"},
    }
    propose(team, "long", start=120, stop=125, **params)
    runner, comment = clone(team, "runner of long", "long"), team / "comment.md"
    with subprocess.Popen([SCRIPT, "origin/main", str(comment), "50m"], cwd=runner.root) as job:
        while not list((team / "remote/progress").glob("train/*/*.ckpt")):
            assert job.poll() is None
            time.sleep(0.2)
        (limited,) = (child for child in psutil.Process(job.pid).children(recursive=True) if child.name() == "timeout")
        limited.send_signal(signal.SIGTERM)
        assert job.wait() == 1
    assert comment.read_text().startswith("### Training is not finished: run the job again\n")
    out, _ = retrain(clone(team, "next runner of long", "long"))
    assert "train: continuing at step " in out
    assert "retrain: pushed" in out
    assert not list((team / "remote/progress").glob("train/*/*"))


def test_project_without_images(project: Project) -> None:
    """A project without images is no failure, and gets no comment."""
    out, comment = retrain(project)
    assert out == "retrain: DVC does not track data/raw in this branch; nothing to train on\n"
    assert comment == ""


def test_workflow_runs_the_script_without_danger() -> None:
    """The workflow runs the script for changes that affect dvc.lock, on the full history, and not on forks' code."""
    workflow = YAML(typ="safe").load(ROOT / ".github/workflows/retrain.yaml")
    assert set(workflow["on"]) == {"pull_request"}
    assert set(workflow["on"]["pull_request"]["paths"]) >= {"data/raw.dvc", "params.yaml", "dvc.yaml", "pipeline/**"}
    (job,) = workflow["jobs"].values()
    assert "head.repo.full_name == github.repository" in job["if"]
    assert job["steps"][0]["with"]["fetch-depth"] == 0
    commands = [step.get("run", "") for step in job["steps"]]
    assert any(command.startswith(SCRIPT) for command in commands)
    assert not any("${{" in command for command in commands), "what strangers name things would be run by the shell"
