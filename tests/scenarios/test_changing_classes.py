"""Classes are renamed, merged, split and dropped over generations: each starts warm, and decodes nothing."""

import json
from pathlib import Path

import pytest
import torch
from conftest import Project, stages_run

from pipeline.models.checkpoint import read_checkpoint

CALL = ("python", "-m", "pipeline")
ALL = ["ingest", "manifest", "train", "evaluate"]


def classes(project: Project, *arguments: str, ok: bool = True) -> str:
    """What `pipeline classes` prints."""
    return project.run(*CALL, "classes", *arguments, ok=ok).out


def lineage(project: Project) -> dict[str, str]:
    """Start, base and reason of the recorded model."""
    told: dict[str, str] = json.loads(project.read("data/model/lineage.json"))
    return told


def known(project: Project) -> list[str]:
    """The classes of the recorded model, in the order of its outputs."""
    names: list[str] = list(read_checkpoint(project.root / "data/model")["spec"]["classes"])
    return names


@pytest.mark.slow
def test_classes_change_over_generations(project: Project) -> None:
    """Status says it before, lineage after; nothing is new to training but what was relabelled."""
    project.add_digits(0, 120)
    project.dvc("add", "--quiet", "data/raw")
    project.repro()
    project.commit("generation 1")
    first = project.lock()["train"]["outs"]["data/model"]

    assert "nearest one is digit 8" in classes(project, "drop", "digit8", ok=False)
    assert "12 images" in classes(project, "rename", "digit 0", "zero")
    classes(project, "rename", "zero", "null")
    classes(project, "merge", "digit 8", "digit 3")
    assert "13 images left out" in classes(project, "drop", "digit 2")
    changes = "digit 3 and digit 8 merged into digit 3, digit 0 renamed to null, digit 2 dropped"
    status = project.run(*CALL, "status").out
    assert f"note    classes: {changes}" in status
    assert f"{first[:8]}" in status
    out = project.repro()
    assert stages_run(out) == ALL
    assert "107 images, 0 new, 13 removed, 0 refused; 0 decoded; 13 of dropped classes" in out
    assert "0 relabelled" in out
    assert f"train: warm start from {first[:8]}…, generation 2, 0 new images" in out
    assert lineage(project)["reason"].endswith(f"; classes: {changes}")
    assert known(project) == ["null", "digit 1", "digit 3", "digit 4", "digit 5", "digit 6", "digit 7", "digit 9"]
    metrics = json.loads(project.read("data/report/metrics.json"))
    assert metrics["classes"].keys() == {*known(project)}
    assert {line.split(",")[5] for line in project.read("data/report/predictions.csv").splitlines()[1:]} - {""} <= {
        *known(project),
        "digit 2",
    }
    project.commit("generation 2")
    second = project.lock()["train"]["outs"]["data/model"]
    assert stages_run(project.repro()) == []

    left = project.root / "data/raw/digit 7"
    assert "images are labelled digit 7 still" in classes(project, "split", "digit 7", "seven", "bar seven")
    names = sorted(path.name for path in left.iterdir())
    rows = [f"digit 7/{name},{('seven', 'bar seven')[number % 2]}" for number, name in enumerate(names)]
    (project.root / "data/raw/labels.csv").write_text("\n".join(["path,label", *rows, ""]))
    assert "classes: digit 7 split into bar seven and seven" in project.run(*CALL, "status").out
    out = project.repro("train")
    assert "; 0 decoded" in out
    assert f"train: warm start from {second[:8]}…, generation 3, 0 new images" in out
    assert "digit 7 split into bar seven and seven" in lineage(project)["reason"]
    assert known(project)[6:] == ["bar seven", "seven", "digit 9"]
    project.git("checkout", "--quiet", ".")
    assert "1 of 1 generation reproduced, bit for bit" in project.run(*CALL, "replay", "HEAD").out
    assert torch.is_tensor(read_checkpoint(project.root / "data/base")["state_dict"]["network.body.8.bias"])


@pytest.mark.slow
def test_branches_that_change_classes(project: Project, tmp_path: Path) -> None:
    """Git merges what both did; what they do not agree on is listed, and a side can be taken."""
    project.run(*CALL, "setup")
    project.add_digits(0, 30)
    project.git("switch", "--quiet", "--create", "theirs")
    classes(project, "rename", "digit 0", "zero")
    classes(project, "merge", "digit 1", "digit 2", "low")
    project.commit("theirs")
    project.git("switch", "--quiet", "main")
    classes(project, "drop", "digit 3")
    project.commit("ours")
    project.git("merge", "--quiet", "--no-edit", "theirs")
    assert project.read("data/classes.csv").split() == "old,new digit 0,zero digit 1,low digit 2,low digit 3,".split()
    project.git("switch", "--quiet", "theirs")
    classes(project, "rename", "low", "lower")
    project.commit("theirs again")
    project.git("switch", "--quiet", "main")
    classes(project, "drop", "low")
    project.commit("ours again")
    assert "low is dropped here and becomes lower there" in project.run("git", "merge", "theirs", ok=False).out
    project.run(*CALL, "resolve", "--theirs")
    assert "low,lower" in project.read("data/classes.csv")
