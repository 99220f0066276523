"""A project that an earlier release has trained, and a newer one is merged into: real git, real dvc, tiny models."""

import hashlib
import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from conftest import TINY, Project, copy_checkout, stages_run
from support import release

pytestmark = pytest.mark.slow
PIPELINE = ("python", "-m", "pipeline")
ALL = ["ingest", "manifest", "train", "evaluate"]
DATA = ("data/images", "data/manifest", "data/base", "data/model")
# Of the tiny params those that the release knows.
EARLIER_INGEST = {name: TINY["ingest"][name] for name in ("size", "mode")}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Two generations by the earlier release, pushed; `upstream`, where it comes from, has the newer one by now.

    Copied, never changed.
    """
    folder = tmp_path_factory.mktemp("upgrade")
    project = Project(folder / "project")
    release.unpack(project.root)
    project.git("init", "--quiet")
    project.commit("a release")
    upstream = project.clone(folder / "upstream")
    project.run(*PIPELINE, "setup")
    project.set_params(**{**TINY, "ingest": EARLIER_INGEST})
    project.dvc("remote", "add", "--default", "storage", str(folder / "remote"))
    (project.root / "data/raw").mkdir()
    for start, stop in ((0, 120), (120, 160)):
        project.add_digits(start, stop)
        project.dvc("add", "--quiet", "data/raw")
        assert stages_run(project.repro()) == ALL
        project.commit(f"{stop} images")
    project.dvc("push", "--quiet")
    upstream.git("rm", "-r", "--quiet", ".")
    copy_checkout(upstream.root)
    upstream.commit("the next release")
    return project


@pytest.fixture(scope="module")
def merged(trained: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """`trained` with the newer release merged. Copied, never changed."""
    project = copy_of(trained, tmp_path_factory.mktemp("merged"))
    merge(project, trained)
    return project


def copy_of(project: Project, folder: Path) -> Project:
    """A copy of `project` in `folder` to do things to."""
    shutil.copytree(project.root, folder / "copy", symlinks=True)
    return Project(folder / "copy")


def merge(project: Project, trained: Project) -> None:
    """Merge the newer release."""
    project.git("pull", "--quiet", "--no-rebase", "--no-edit", str(trained.root.parent / "upstream"), "main")
    assert project.git("status", "--short") == ""
    assert not (project.root / "pipeline/ingestion.py").exists()


def test_upgrade_keeps_the_model(merged: Project, tmp_path: Path) -> None:
    """After `pipeline upgrade` nothing is decoded and nothing trained; the next training starts from the model."""
    project = copy_of(merged, tmp_path)
    lock, rows = project.lock(), pq.read_table(project.root / "data/images/index.parquet")
    before = {path: md5 for path, md5 in project.snapshot(*DATA).items() if path != "data/images/index.parquet"}
    assert "`pipeline upgrade` spares the training" in project.run(*PIPELINE, "status").out
    out = project.run(*PIPELINE, "upgrade").out
    assert "decodes no image again" in out
    assert "the model stays" in out
    out = project.repro()
    assert stages_run(out) == ["ingest", "manifest", "evaluate"]
    assert "ingest: 160 images, 0 new, 0 removed, 0 refused; 0 decoded" in out
    assert project.lock()["train"]["outs"] == lock["train"]["outs"]
    assert project.lock()["manifest"]["outs"] == lock["manifest"]["outs"]
    assert before.items() <= project.snapshot(*DATA).items()
    assert pq.read_table(project.root / "data/images/index.parquet").equals(rows)
    project.commit("the next release")
    assert "nothing to upgrade" in project.run(*PIPELINE, "upgrade").out
    assert stages_run(project.repro()) == []

    project.add_digits(160, 200)
    out = project.repro()
    model = lock["train"]["outs"]["data/model"]
    assert "200 images, 40 new, 0 removed, 0 refused; 40 decoded" in out
    assert f"train: warm start from {model[:8]}" in out
    lineage = json.loads(project.read("data/model/lineage.json"))
    assert (lineage["generation"], lineage["start"], lineage["base"]) == (3, "warm", model)
    project.commit("200 images")
    told = [line["recorded"]["generation"] for line in json.loads(project.run(*PIPELINE, "log", "--json").out)]
    assert told == [3, 2, 1]
    first = project.ids("train")[0]
    assert "generations have seen it" in project.run(*PIPELINE, "trace", first).out
    assert "3 of 3 generations reproduced, bit for bit" in project.run(*PIPELINE, "replay", "--all").out


def test_without_upgrade_training_comes_to_the_same_bytes(merged: Project, tmp_path: Path) -> None:
    """Who only runs `dvc repro` pays a training, from the base of the recorded model, and gets that model."""
    project = copy_of(merged, tmp_path)
    lock = project.lock()
    out = project.repro()
    assert stages_run(out) == ALL
    assert "; 0 decoded" in out
    assert f"train: warm start from {lock['train']['deps']['data/base'][:8]}" in out
    assert project.lock()["train"]["outs"]["data/model"] == lock["train"]["outs"]["data/model"]
    assert project.lock()["manifest"]["outs"] == lock["manifest"]["outs"]


def test_upgrade_in_a_fresh_clone(merged: Project, tmp_path: Path) -> None:
    """Without any of the data the record is settled all the same; with it, from the remote, nothing is decoded."""
    clone = merged.clone(tmp_path / "clone")
    assert "the model stays" in clone.run(*PIPELINE, "upgrade").out
    clone.dvc("pull", "--quiet", "data/raw.dvc")
    out = clone.repro("--pull")
    assert stages_run(out) == ["ingest", "manifest", "evaluate"]
    assert "; 0 decoded" in out
    assert clone.lock()["train"]["outs"] == merged.lock()["train"]["outs"]


@pytest.mark.nightly
def test_colleague_who_trained_with_the_earlier_release(trained: Project, merged: Project, tmp_path: Path) -> None:
    """A branch trained by the earlier release is merged into an upgraded one; a second upgrade spares its model."""
    colleague = copy_of(trained, tmp_path / "colleague")
    colleague.add_digits(160, 200)
    colleague.repro()
    colleague.commit("200 images")
    model = colleague.lock()["train"]["outs"]["data/model"]
    project = copy_of(merged, tmp_path / "project")
    project.run(*PIPELINE, "upgrade")
    project.repro()
    project.commit("the next release")
    colleague.dvc("push", "--quiet")
    project.git("pull", "--quiet", "--no-rebase", "--no-edit", str(colleague.root), "main")
    assert project.lock()["train"]["outs"]["data/model"] == model
    assert "the model stays" in project.run(*PIPELINE, "upgrade").out
    out = project.repro("--pull")
    assert "train" not in stages_run(out)
    assert project.lock()["train"]["outs"]["data/model"] == model
    assert "cold start" not in out


def test_interrupted_ingest_goes_on(merged: Project, tmp_path: Path) -> None:
    """What the first ingest of the newer release left half done when it was killed costs nothing but itself."""
    project = copy_of(merged, tmp_path)
    shard = project.root / "data/images/000009.tar"
    shutil.copyfile(project.root / "data/images/000000.tar", shard)
    assert "; 0 decoded" in project.repro("ingest")
    assert not shard.exists()


def test_interrupted_ingest_of_the_earlier_release_goes_on(merged: Project, tmp_path: Path) -> None:
    """What its last ingest had found out when it was killed is used, though its recipe has another name now."""
    project = copy_of(merged, tmp_path)
    broken = project.root / "data/raw/digit 0/broken.png"
    broken.write_bytes(b"no image")
    entry = {"id": hashlib.md5(broken.read_bytes()).hexdigest(), "reason": "broken", "detail": "found out before"}
    recipe = (pq.read_schema(project.root / "data/images/index.parquet").metadata or {})[b"recipe"].decode()
    journal = project.root / "data/.progress/ingest" / recipe / "journal.jsonl"
    journal.parent.mkdir(parents=True)
    journal.write_text(json.dumps(entry) + "\n")
    assert "160 images, 0 new, 0 removed, 1 refused (data/images/refused.csv); 0 decoded" in project.repro("ingest")
    assert "found out before" in project.read("data/images/refused.csv")
