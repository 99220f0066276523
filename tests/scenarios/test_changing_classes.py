"""Classes are renamed, merged, split and dropped over generations: each starts warm, and decodes nothing."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Project, stages_run

from pipeline.cli import main
from pipeline.models.checkpoint import read_checkpoint

CALL = ("python", "-m", "pipeline")
CHANGES = "digit 3 and digit 8 merged into digit 3, digit 0 renamed to null, digit 2 dropped"


def classes(project: Project, *arguments: str) -> None:
    """Run `pipeline classes`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project.root)
        assert main(["classes", *arguments]) == 0


def reason(project: Project) -> str:
    """Return why the recorded model started as it did."""
    return str(json.loads(project.read("data/model/lineage.json"))["reason"])


def known(project: Project) -> list[str]:
    """Return the classes of the recorded model, in the order of its outputs."""
    return list(read_checkpoint(project.root / "data/model")["spec"]["classes"])


@pytest.fixture(scope="module")
def changed(make_project: Callable[[Path], Project], tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Train a second generation after renaming, merging and dropping classes; save the output next to the project."""
    folder = tmp_path_factory.mktemp("changed")
    project = make_project(folder / "project")
    project.add_digits(0, 120)
    project.dvc("add", "--quiet", "data/raw")
    project.repro()
    project.commit("generation 1")
    classes(project, "rename", "digit 0", "zero")
    classes(project, "rename", "zero", "null")
    classes(project, "merge", "digit 8", "digit 3")
    classes(project, "drop", "digit 2")
    (folder / "status").write_text(project.run(*CALL, "status").out)
    (folder / "repro").write_text(project.repro())
    project.commit("generation 2")
    return project


@pytest.mark.slow
def test_renamed_merged_and_dropped(changed: Project) -> None:
    """`status` predicts it, and lineage records it; nothing is decoded, new or relabelled, and the start is warm."""
    status, out = (changed.root.parent.joinpath(name).read_text() for name in ("status", "repro"))
    base = changed.lock()["train"]["deps"]["data/base"]
    assert f"note    classes: {CHANGES}" in status
    assert f"base    {base[:8]}" in status
    assert "107 images, 0 new, 13 removed, 0 refused; 0 decoded; 13 of dropped classes" in out
    assert "0 relabelled" in out
    assert f"train: warm start from {base[:8]}…, generation 2, 0 new images" in out
    assert reason(changed).endswith(f"; classes: {CHANGES}")
    assert known(changed) == ["null", "digit 1", "digit 3", "digit 4", "digit 5", "digit 6", "digit 7", "digit 9"]
    assert json.loads(changed.read("data/report/details.json"))["classes"].keys() == {*known(changed)}
    said = {line.split(",")[5] for line in changed.read("data/report/predictions.csv").splitlines()[1:]}
    assert said <= {*known(changed), "digit 2"}  # The base knows it.


@pytest.mark.nightly
@pytest.mark.slow
def test_split(changed: Project, tmp_path: Path) -> None:
    """Once images are relabelled, the new classes take the old one's place; earlier models can be restored."""
    shutil.copytree(changed.root, tmp_path / "copy", symlinks=True)
    project = Project(tmp_path / "copy")
    assert stages_run(project.repro()) == []
    base = project.lock()["train"]["outs"]["data/model"]
    classes(project, "split", "digit 7", "seven", "bar seven")
    names = sorted(path.name for path in (project.root / "data/raw/digit 7").iterdir())
    rows = [f"digit 7/{name},{('seven', 'bar seven')[number % 2]}" for number, name in enumerate(names)]
    (project.root / "data/raw/labels.csv").write_text("\n".join(["path,label", *rows, ""]))
    assert "classes: digit 7 split into bar seven and seven" in project.run(*CALL, "status").out
    out = project.repro("train")
    assert "; 0 decoded" in out
    assert f"train: warm start from {base[:8]}…, generation 3, 0 new images" in out
    assert "digit 7 split into bar seven and seven" in reason(project)
    assert known(project)[6:] == ["bar seven", "seven", "digit 9"]
    project.git("checkout", "--quiet", ".")
    assert "reproduced, bit for bit" in project.run(*CALL, "replay", "HEAD").out


def test_branches_that_change_classes(project: Project) -> None:
    """Git merges the changes of both branches; contradictions are listed, and a side can be chosen."""
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
    rows = ["old,new", "digit 0,zero", "digit 1,low", "digit 2,low", "digit 3,"]
    assert project.read("data/classes.csv").splitlines() == rows
    project.git("switch", "--quiet", "theirs")
    classes(project, "rename", "low", "lower")
    project.commit("theirs again")
    project.git("switch", "--quiet", "main")
    classes(project, "drop", "low")
    project.commit("ours again")
    assert "low is dropped here and becomes lower there" in project.run("git", "merge", "theirs", ok=False).out
    project.run(*CALL, "resolve", "--theirs")
    assert "low,lower" in project.read("data/classes.csv")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["drop", "digit9"], "digit9: no such class; the nearest one is digit 9; `pipeline classes` lists all"),
        (["rename", "digit 1", "digit 2"], "digit 2: is a class already; `pipeline classes merge` makes one class of"),
        (["rename", "digit 1", "digit 1"], "digit 1: is a class already; give another name"),
        (["rename", "digit 1", "a/b"], "a/b: cannot be the name of a class; give a plain name"),
        (["merge", "digit 1", "digi 2"], "digi 2: no such class; the nearest one is digit 2"),
        (["merge", "digit 1", "digit 1"], "digit 1: cannot be merged with itself; name another class"),
        (["split", "digit 1", "digit 1"], "digit 1: cannot be split into itself alone; name the new classes"),
        (["merge", *(f"digit {number}" for number in range(10)), "all"], "only 1 class would be left"),
    ],
)
def test_what_cannot_be_done(
    arguments: list[str], message: str, drawn: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An invalid change is a one-line error, and data/classes.csv does not change."""
    monkeypatch.chdir(drawn)
    assert main(["classes", *arguments]) == 1
    assert message in capsys.readouterr().err
    assert (drawn / "data/classes.csv").read_text() == "old,new\n"


@pytest.fixture(scope="module")
def drawn(make_project: Callable[[Path], Project], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project with images that no stage has read. Tests only read it."""
    project = make_project(tmp_path_factory.mktemp("drawn") / "project")
    project.add_digits(0, 30)
    return project.root


def test_listing(drawn: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Classes that no stage has read are listed, too, without any change."""
    monkeypatch.chdir(drawn)
    assert main(["classes"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.rsplit(maxsplit=1)[0].strip() for line in lines[1:-1]] == [f"digit {number}" for number in range(10)]
    assert lines[0].split() == ["class", "images", "formerly"]
