"""`pipeline status` predicts what `dvc repro` then does."""

import json
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Project, save_png, stages_run


@pytest.fixture(scope="module")
def trained(make_project: Callable[[Path], Project], tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return a project that was trained once."""
    project = make_project(tmp_path_factory.mktemp("trained"))
    project.add_digits(0, 60)
    project.dvc("add", "--quiet", "data/raw")
    project.repro()
    project.commit()
    return project


@pytest.fixture
def project(trained: Project, tmp_path: Path) -> Project:
    """Copy that project, with the files' times, so that DVC sees it unchanged."""
    shutil.copytree(trained.root, tmp_path / "project", symlinks=True)
    return Project(tmp_path / "project")


def status(project: Project) -> str:
    """Return the output of the command."""
    return project.run("python", "-m", "pipeline", "status").out


def told(project: Project) -> dict[str, Any]:
    """Return the command's JSON output."""
    found: dict[str, Any] = json.loads(project.run("python", "-m", "pipeline", "status", "--json").out)
    return found


def runs(found: dict[str, Any], *likely: str) -> list[str]:
    """Return the stages that certainly run, or whose `runs` is in `likely`."""
    return [step["stage"] for step in found["steps"] if step["runs"] in (likely or ("yes",))]


def first_raw(project: Project) -> Path:
    """Return an image in data/raw."""
    return min((project.root / "data/raw").rglob("*.png"))


@pytest.mark.slow
def test_up_to_date(project: Project) -> None:
    """If there is nothing to do, one line says so, even if a file was touched, and nothing is written."""
    first_raw(project).touch()
    before = project.snapshot("data/raw", "data/images", "data/manifest", "data/base", "data/model", "data/.progress")
    assert status(project) == "up to date: `dvc repro` would do nothing\n"
    assert (
        project.snapshot("data/raw", "data/images", "data/manifest", "data/base", "data/model", "data/.progress")
        == before
    )
    assert project.git("status", "--porcelain") == ""
    assert stages_run(project.repro()) == []


@pytest.mark.slow
def test_copy(project: Project) -> None:
    """A copy only makes ingest run."""
    shutil.copy(first_raw(project), first_raw(project).with_name("zzz.png"))
    found = told(project)
    assert found["arrivals"]["copies"] == 1
    assert runs(found, "yes", "maybe") == ["ingest"] == stages_run(project.repro())


@pytest.mark.slow
def test_rename(project: Project) -> None:
    """A moved image is listed differently, also among those to review, and causes no training."""
    first_raw(project).rename(first_raw(project).with_name("zzz.png"))
    found = told(project)
    assert (found["arrivals"]["moved"], found["arrivals"]["removed"]) == (1, 0)
    assert runs(found, "yes", "maybe") == ["ingest", "manifest", "evaluate"] == stages_run(project.repro())


@pytest.mark.slow
def test_new_images(project: Project) -> None:
    """New images train from the recorded model; unusable ones are counted by reason; an earlier run gives the time."""
    project.add_digits(60, 100)
    (first_raw(project).parent / "broken.png").write_text("no image")
    found = told(project)
    arrivals, start = found["arrivals"], found["start"]
    assert arrivals["found"] == 41
    assert arrivals["new"] + sum(arrivals["refused"].values()) == arrivals["looked_at"]
    assert start["oid"] == project.lock()["train"]["outs"]["data/model"]
    assert (start["generation"], start["is_at_hand"], start["is_kept"]) == (1, True, False)
    assert all(step["seconds"] > 0 for step in found["steps"])
    assert "base    " + start["oid"][:8] in status(project)
    out = project.repro()
    assert stages_run(out) == runs(found, "yes", "maybe") == ["ingest", "manifest", "train", "evaluate"]
    assert f"warm start from {start['oid'][:8]}" in out


@pytest.mark.slow
def test_removed_and_relabelled(project: Project) -> None:
    """Removed and relabelled images are counted."""
    first, second = sorted((project.root / "data/raw").rglob("*.png"))[:2]
    first.unlink()
    second.rename(project.root / "data/raw/digit 9" / second.name)
    found = told(project)
    assert {name: found["arrivals"][name] for name in ("new", "removed", "relabelled")} == {
        "new": 0,
        "removed": 1,
        "relabelled": 1,
    }
    assert "manifest, train, evaluate: 1 image removed, 1 relabelled" in status(project)


@pytest.mark.slow
def test_what_ingest_will_stop_at(project: Project) -> None:
    """Lost images, too many refused ones, and no images at all are predicted with ingest's error message."""
    project.set_params(ingest={"max_removed": 0.2, "max_refused": 0.2})
    raw = project.root / "data/raw"
    for number in range(4):
        shutil.rmtree(raw / f"digit {number}")
    files = [path for path in raw.rglob("*") if path.is_file()]
    said = [status(project)]
    for path in files:
        path.rename(raw / path.name)
    said.append(status(project))
    for path in raw.rglob("*.png"):
        path.unlink()
    said.append(status(project))
    for one, what in zip(said, ("are gone, more than", "are refused, ", "no images in it; put a folder"), strict=True):
        assert what in one
        assert one.count("note    ingest will stop: data/raw: ") == 1
    assert "images  60 removed" in said[-1]
    (stop,) = (line for line in said[-1].splitlines() if "ingest will stop" in line)
    assert f"ingest: error: {stop.partition('stop: ')[2]}" in project.repro(ok=False)


@pytest.mark.slow
def test_labels(project: Project) -> None:
    """A changed labels.csv relabels images."""
    name = first_raw(project).relative_to(project.root / "data/raw").as_posix()
    (project.root / "data/raw/labels.csv").write_text(f"path,label\n{name},digit 7\n")
    found = told(project)
    assert found["arrivals"]["relabelled"] == 1


@pytest.mark.slow
def test_params_and_code(project: Project) -> None:
    """A changed param is shown with both values, and the base is kept; changed code is named."""
    project.set_params(train={"lr": 0.25})
    with (project.root / "pipeline/evaluate.py").open("a") as file:
        file.write("# more\n")
    found = told(project)
    assert {step["stage"]: step["why"] for step in found["steps"] if step["runs"] == "yes"} == {
        "train": ["train.lr changed from 0.01 to 0.25"],
        "evaluate": ["pipeline/evaluate.py changed", "train.lr changed from 0.01 to 0.25", "another model"],
    }
    assert found["start"]["is_kept"]


@pytest.mark.slow
def test_what_train_refuses(project: Project) -> None:
    """A warm start of another network is predicted to fail, as it does; without new images there is no warm start."""
    project.set_params(train={"model": "timm/resnet18"})
    assert "base    none, as for the model before" in status(project)
    project.add_digits(60, 100)
    what = (
        "train.model was 'small' when it was trained and is 'timm/resnet18' now; set it back, or run `pipeline fresh`"
    )
    assert f"`dvc repro` would stop: data/base: {what}" in status(project)
    assert what in project.repro(ok=False)


@pytest.mark.slow
def test_interrupted_training_goes_on(project: Project) -> None:
    """Only a saved training state with the current inputs is reported."""
    project.set_params(train={"lr": 0.25})
    code = (
        "from pipeline.params import read_params; from pipeline.training.progress import *; "
        "p = Progress(inputs_hash(read_params(), deps_of_training())); p.save(3, lambda path: path.write_text('x'))"
    )
    project.run("python", "-c", code)
    saved = project.snapshot("data/.progress")
    found = told(project)
    assert found["going_on"] == [3, sum(step["amount"] for step in found["steps"] if step["stage"] == "train") + 3]
    assert project.snapshot("data/.progress") == saved
    project.set_params(train={"lr": 0.125})
    assert told(project)["going_on"] is None


@pytest.mark.slow
def test_wide_archive_is_not_passed_over_in_silence(project: Project) -> None:
    """Images that were not inspected for lack of time are counted."""
    for number in range(600):
        path = project.root / f"data/raw/big/{number}.png"
        path.parent.mkdir(exist_ok=True)
        save_png(np.random.default_rng(number).integers(0, 255, (400, 400)), path)
    arrivals = told(project)["arrivals"]
    assert arrivals["found"] == 600
    assert arrivals["new"] == arrivals["looked_at"]
    assert arrivals["images"] == 660


@pytest.mark.slow
def test_images_removed_from_an_archive_are_counted_by_name(project: Project) -> None:
    """If a rewritten archive is not read for lack of time, images that it still names do not count as removed."""
    paths = project.add_digits(300, 340, into="../new")
    with zipfile.ZipFile(project.root / "data/raw/a.zip", "w") as archive:
        for path in paths:
            archive.write(path, f"{path.parent.name}/{path.name}")
    shutil.rmtree(project.root / "data/new")
    project.repro("ingest")
    gone = [f"a.zip!/{path.parent.name}/{path.name}" for path in paths[:7]]
    project.run("python", "-m", "pipeline", "remove", *gone)
    time_to_list_alone = (
        "from pipeline.commands.status import forecast, inspection; from pipeline.params import read_params; "
        "forecast.LOOK, decode = 60, inspection.decode; "
        "inspection.decode = lambda *given, seconds: decode(*given, seconds=0); "
        "found = forecast.forecast(read_params()).arrivals; "
        "print(found.found, found.removed, found.changed_at_most)"
    )
    assert project.run("python", "-c", time_to_list_alone).out.splitlines()[-1] == "33 7 7"
    assert "0 new, 7 removed" in project.repro("ingest")


@pytest.mark.slow
def test_what_hinders(project: Project, tmp_path: Path) -> None:
    """An error before the run is one line with a hint, and the exit status is 0."""
    lock = project.read("dvc.lock")
    (project.root / "dvc.lock").write_text(f"<<<<<<< HEAD\n{lock}")
    assert "dvc.lock: not YAML" in status(project)
    assert len(status(project).splitlines()) == 1
    (project.root / "dvc.lock").write_text(lock)
    clone = project.clone(tmp_path / "clone")
    found = status(clone)  # A clone has neither the data nor a list of it.
    assert "would stop: data/raw: " in found
    assert "cannot be found (looked in workspace and cache; no remote is set); run `dvc push`" in found
    (project.root / "data/raw.dvc").unlink()
    assert "not tracked by DVC yet; run `dvc add data/raw` once" in status(project)


@pytest.mark.slow
def test_new_project(make_project: Callable[[Path], Project], tmp_path: Path) -> None:
    """Before the first run all stages run, from scratch, and the time is unknown."""
    project = make_project(tmp_path / "new")
    project.add_digits(0, 20)
    project.dvc("add", "--quiet", "data/raw")
    out = status(project)
    assert "ingest, manifest, train, evaluate: it has not run yet" in out
    assert "base    none: dvc.lock records no training yet" in out
    assert "time    unknown: no such run yet" in out


@pytest.mark.slow
def test_running_repro_is_named(project: Project) -> None:
    """A running `dvc repro` is reported before anything that it will change."""
    lock = project.root / ".dvc/tmp/rwlock"
    lock.write_text(json.dumps({"write": {"data/model": {"pid": os.getpid(), "cmd": "dvc repro"}}, "read": {}}))
    assert f"dvc repro (pid {os.getpid()}) is running" in status(project)
    lock.unlink()
    assert "is running" not in status(project)


@pytest.mark.slow
def test_merge_in_progress(project: Project) -> None:
    """A merge in progress is reported."""
    project.git("checkout", "--quiet", "-b", "other")
    (project.root / "README.md").write_text("theirs")
    project.commit()
    project.git("checkout", "--quiet", "-")
    project.git("checkout", "--quiet", "main")
    project.git("merge", "--no-commit", "--no-ff", "other")
    assert "note    a merge is in progress in Git" in status(project)


@pytest.mark.slow
def test_nothing_heavy_is_imported(project: Project) -> None:
    """No slow library is imported, however many images are new."""
    project.add_digits(60, 62)
    code = (
        "import sys; from pipeline.cli import main; main(['status']); "
        "print([name for name in ('torch', 'pandas', 'lightning', 'sklearn', 'scipy') if name in sys.modules])"
    )
    assert project.run("python", "-c", code).out.splitlines()[-1] == "[]"
