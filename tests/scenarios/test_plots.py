"""Comparisons of metrics, plots and experiments by real DVC, and by `pipeline report` and `compare`."""

import csv
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Project
from ruamel.yaml import YAML

pytestmark = pytest.mark.slow
CURVES = {f"data/curves/{name}.csv" for name in ("loss", "lr", "val_accuracy", "val_loss")}
CHANGE = "Change of each class's recall"
REPORT = {CHANGE, *(f"data/report/{name}.csv" for name in ("confusion", "reliability", "classes"))}


@pytest.fixture(scope="module")
def grown(make_project: Callable[[Path], Project], tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return a project with two generations, each committed."""
    project = make_project(tmp_path_factory.mktemp("plots") / "project")
    project.add_digits(0, 150)
    project.dvc("add", "data/raw")
    project.repro()
    project.commit("one")
    project.add_digits(150, 250)
    project.repro()
    project.commit("two")
    return project


def answer(project: Project, *arguments: str) -> Any:
    """Return the JSON that `dvc` prints on stdout."""
    command = ["dvc", *arguments]
    return json.loads(subprocess.run(command, cwd=project.root, check=True, capture_output=True, text=True).stdout)


def plots(project: Project, *arguments: str) -> dict[str, dict[str, Any]]:
    """Return the Vega specification of each plot by path, with data, and assert that there are no errors."""
    said = answer(project, "plots", *arguments, "--json", "--split")
    assert "errors" not in said, said
    return {name.partition("::")[0]: drawn[0] for name, drawn in said["data"].items()}


def test_metrics_diff(grown: Project) -> None:
    """`dvc metrics diff` shows old and new values in a table that fits a screen."""
    lines = grown.dvc("metrics", "diff", "HEAD^").out.splitlines()
    assert max(map(len, lines)) <= 100
    assert len(lines) <= 30
    change = answer(grown, "metrics", "diff", "HEAD^", "--json")["data/report/metrics.json"]
    assert {"accuracy", "loss", "macro_f1"} <= change.keys()
    assert change["loss"]["diff"] == pytest.approx(change["loss"]["new"] - change["loss"]["old"])


def points(plot: dict[str, Any], revision: str) -> list[dict[str, str]]:
    """Return the data of one revision, in the file's order."""
    return [point for point in plot["anchor_definitions"]["<DVC_METRIC_DATA>"] if point["rev"] == revision]


def test_plots_show(grown: Project) -> None:
    """Every plot is drawn, with the intended axes."""
    shown = plots(grown, "show")
    assert shown.keys() == CURVES | REPORT
    anchors = ("<DVC_METRIC_X_LABEL>", "<DVC_METRIC_Y_LABEL>")
    axes = {name: tuple(plot["anchor_definitions"][anchor] for anchor in anchors) for name, plot in shown.items()}
    assert axes["data/curves/val_loss.csv"] == ("step", "val_loss")
    assert axes["data/report/reliability.csv"] == ("confidence", "accuracy")
    assert axes["data/report/classes.csv"] == ("recall", "class")
    assert axes[CHANGE] == ("change", "class")
    for name in (CHANGE, "data/report/classes.csv"):
        classes = points(shown[name], "workspace")
        assert len(classes) == 10
        assert any(one["change"] for one in classes)
        assert all(
            float(one["change"]) == pytest.approx(float(one["recall"]) - float(one["base_recall"]))
            for one in classes
            if one["change"]
        )


def test_plots_diff(grown: Project) -> None:
    """The curves of the previous generation are the start of the current ones."""
    shown = plots(grown, "diff", "HEAD^", "HEAD")
    assert shown.keys() == CURVES | REPORT
    for name in CURVES:
        before, after = (
            [(point["step"], point[Path(name).stem]) for point in points(shown[name], revision)]
            for revision in ("HEAD^", "HEAD")
        )
        assert len(before) < len(after)
        assert after[: len(before)] == before


def recorded(project: Project, revision: str, output: str) -> Path:
    """Return the file in DVC's cache that a commit's dvc.lock records as `output`."""
    stages = YAML(typ="safe").load(project.git("show", f"{revision}:dvc.lock"))["stages"].values()
    (md5,) = (out["md5"] for stage in stages for out in stage["outs"] if out["path"] == output)
    return project.root.joinpath(".dvc/cache/files/md5", md5[:2], md5[2:])


def read_answers(path: Path) -> dict[str, dict[str, str]]:
    """Return the rows of a predictions.csv by id."""
    with path.open(encoding="utf-8", newline="") as file:
        return {row["id"]: row for row in csv.DictReader(file)}


def test_report_of_a_commit(grown: Project) -> None:
    """The report of a commit is the page that evaluate wrote, in a folder that Git ignores."""
    commit = grown.git("rev-parse", "--short=7", "HEAD^").strip()
    out = grown.run("pipeline", "report", "HEAD^").out
    page = f"data/pages/report-{commit}.html"
    assert out.startswith(f"{page}: generation 1")
    assert (grown.root / page).read_bytes() == recorded(grown, "HEAD^", "data/report/report.html").read_bytes()
    assert not grown.git("status", "--porcelain")


def test_compare(grown: Project) -> None:
    """The flips are the differences between both commits' predictions on their common images."""
    found = json.loads(grown.run("pipeline", "compare", "HEAD^", "--json").out)
    then, now = (read_answers(recorded(grown, rev, "data/report/predictions.csv")) for rev in ("HEAD^", "HEAD"))
    both = then.keys() & now.keys()
    images = {"both": len(both), "only_a": len(then) - len(both), "only_b": len(now) - len(both), "relabelled": 0}
    assert found["images"] == images
    right = [{one for one in both if rows[one]["predicted"] == rows[one]["label"]} for rows in (then, now)]
    assert found["right"] == {"a": len(right[0]), "b": len(right[1])}
    assert {row["id"] for row in found["lost"]} == right[0] - right[1]
    assert {row["id"] for row in found["gained"]} == right[1] - right[0]
    assert [found[side]["generation"] for side in "ab"] == [1, 2]
    out = grown.run("pipeline", "compare", "HEAD^").out
    assert max(map(len, out.splitlines())) <= 120
    assert f"{len(right[1] - right[0])} from wrong to right" in out


def test_what_the_cache_lacks(grown: Project) -> None:
    """Data missing in the cache is a one-line error with the command to fetch it."""
    cached = recorded(grown, "HEAD^", "data/report/predictions.csv")
    cached.rename(cached.with_suffix(".away"))
    try:
        out = grown.run("pipeline", "compare", "HEAD^", ok=False).out
    finally:
        cached.with_suffix(".away").rename(cached)
    (line,) = out.splitlines()
    assert "data/report/predictions.csv of HEAD^" in line
    assert "dvc push --all-commits" in line


@pytest.mark.parametrize("path", sorted(CURVES | REPORT))
def test_vega(grown: Project, path: str) -> None:
    """A single plot is a complete specification with its data."""
    specification = answer(grown, "plots", "show", "--show-vega", path)
    assert "vega-lite" in specification["$schema"]
    assert specification["data"]["values"]


@pytest.mark.nightly
def test_experiments(grown: Project) -> None:
    """An experiment with another learning rate is listed with its metrics, and its curves are compared."""
    grown.dvc("exp", "run", "--name", "faster", "-S", "train.lr=0.02")
    (_, baseline) = answer(grown, "exp", "show", "--json")[:2]
    (experiment,) = baseline["experiments"]
    data = experiment["revs"][0]["data"]
    assert data["params"]["params.yaml"]["data"]["train"]["lr"] == 0.02
    assert data["metrics"]["data/report/metrics.json"]["data"]["accuracy"] is not None
    rates = plots(grown, "diff", "HEAD", "faster")["data/curves/lr.csv"]
    assert [points(rates, revision)[-1]["lr"] for revision in ("HEAD", "faster")] == ["0.01", "0.02"]
    grown.git("checkout", "--", ".")
    grown.dvc("checkout")
    compared = json.loads(grown.run("pipeline", "compare", "HEAD", "faster", "--json").out)
    assert compared["b"]["metrics"]["accuracy"] == data["metrics"]["data/report/metrics.json"]["data"]["accuracy"]
    assert compared["images"]["only_a"] == compared["images"]["only_b"] == 0


@pytest.mark.nightly
def test_plots_of_running_training(make_project: Callable[[Path], Project], tmp_path: Path) -> None:
    """`dvc plots show` shows the progress of a running training."""
    project = make_project(tmp_path / "project")
    project.add_digits(0, 100)
    project.dvc("add", "data/raw")
    project.set_params(train={"epochs": 100_000})
    command = ["dvc", "repro", "--quiet"]
    with subprocess.Popen(
        command, cwd=project.root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    ) as running:
        try:
            loss = project.root / "data/curves/loss.csv"
            while not loss.exists() or loss.read_text().count("\n") < 3:
                assert running.poll() is None
                time.sleep(0.5)
            shown = plots(project, "show", "data/curves")
            assert running.poll() is None
            assert len(points(shown["data/curves/loss.csv"], "workspace")) >= 2
        finally:
            os.killpg(running.pid, signal.SIGINT)
            running.wait(60)
    assert not (project.root / "data/curves").exists()
