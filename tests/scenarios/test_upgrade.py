"""A project of an earlier release, with a newer one merged into it: real Git, real DVC, tiny models."""

import json
import shutil
from collections.abc import Callable
from hashlib import md5
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from conftest import TINY, Project, copy_checkout, stages_run
from support import release

from pipeline.versioning.weights import VERSIONS

pytestmark = pytest.mark.slow
PIPELINE = ("python", "-m", "pipeline")
ALL = ["ingest", "manifest", "train", "evaluate"]
DATA = ("data/images", "data/manifest", "data/base", "data/model")
# Tiny params that the old release knows, on lines that the newer one does not change.
EARLIER = {
    **TINY,
    "ingest": {name: TINY["ingest"][name] for name in ("size", "mode")},
    "train": {name: TINY["train"][name] for name in ("size", "epochs")},
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return a project with two generations of the earlier release, pushed; its `upstream` has the newer release.

    Tests copy it.
    """
    folder = tmp_path_factory.mktemp("upgrade")
    project = Project(folder / "project")
    release.unpack(project.root)
    project.git("init", "--quiet")
    project.commit("a release")
    upstream = project.clone(folder / "upstream")
    project.run(*PIPELINE, "setup")
    project.set_params(**EARLIER)
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
    """Return `trained` with the newer release merged. Tests copy it."""
    project = copy_of(trained, tmp_path_factory.mktemp("merged"))
    merge(project, trained)
    return project


def copy_of(project: Project, folder: Path) -> Project:
    """Return a copy of `project` in `folder` that tests may change."""
    shutil.copytree(project.root, folder / "copy", symlinks=True)
    return Project(folder / "copy")


def merge(project: Project, trained: Project) -> None:
    """Merge the newer release."""
    project.git("pull", "--quiet", "--no-rebase", "--no-edit", str(trained.root.parent / "upstream"), "main")
    assert project.git("status", "--short") == ""
    assert not (project.root / "pipeline/ingestion.py").exists()


def test_release_of_other_weights(merged: Project, tmp_path: Path) -> None:
    """`pipeline upgrade` reports a training; nothing is decoded, and the base is the recorded model's."""
    project = copy_of(merged, tmp_path)
    lock, rows = project.lock(), pq.read_table(project.root / "data/images/index.parquet")
    out = project.run(*PIPELINE, "upgrade").out
    assert "decodes no image again" in out
    assert "this release trains other weights (version 4, and not 1; CHANGELOG.md says why)" in out
    out = project.repro()
    assert stages_run(out) == ALL
    assert "ingest: 160 images, 0 new, 0 removed, 0 refused; 0 decoded" in out
    assert f"train: warm start from {lock['train']['deps']['data/base'][:8]}" in out
    outs = project.lock()["manifest"]["outs"]
    assert outs.pop("data/manifest/moved.csv") == md5(b"id,label,source,group,before,after\n").hexdigest()
    assert lock["manifest"]["outs"].items() <= outs.items()
    assert pq.read_table(project.root / "data/images/index.parquet").equals(rows)
    project.commit("the next release")
    assert "nothing to upgrade" in project.run(*PIPELINE, "upgrade").out
    assert stages_run(project.repro()) == []

    model = project.lock()["train"]["outs"]["data/model"]
    project.add_digits(160, 200)
    out = project.repro()
    assert "200 images, 40 new, 0 removed, 0 refused; 40 decoded" in out
    assert f"train: warm start from {model[:8]}" in out
    lineage = json.loads(project.read("data/model/lineage.json"))
    assert (lineage["generation"], lineage["start"], lineage["base"]) == (3, "warm", model)
    project.commit("200 images")
    told = [line["recorded"]["generation"] for line in json.loads(project.run(*PIPELINE, "log", "--json").out)]
    assert told == [3, 2, 2, 1]
    first = project.ids("train")[0]
    assert "generations have seen it" in project.run(*PIPELINE, "trace", first).out
    assert "4 of 4 generations reproduced, bit for bit" in project.run(*PIPELINE, "replay", "--all").out


def test_upgrade_in_a_fresh_clone(merged: Project, tmp_path: Path) -> None:
    """With only the listing of the images, and the base on the remote, nothing is decoded."""
    clone = merged.clone(tmp_path / "clone")
    base = merged.lock()["train"]["deps"]["data/base"]
    assert "this release trains other weights" in clone.run(*PIPELINE, "upgrade").out
    clone.dvc("pull", "--quiet", "data/raw.dvc")
    out = clone.repro("--pull")
    assert stages_run(out) == ALL
    assert "; 0 decoded" in out
    assert f"train: warm start from {base[:8]}" in out


@pytest.fixture(scope="module")
def refined(make_project: Callable[[Path], Project], tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return a generation of the current code, after merging a release with other code and the same weights."""
    folder = tmp_path_factory.mktemp("refined")
    project = make_project(folder / "project")
    upstream = project.clone(folder / "upstream")
    project.run(*PIPELINE, "setup")
    project.add_digits(0, 120)
    project.dvc("add", "--quiet", "data/raw")
    assert stages_run(project.repro()) == ALL
    project.commit("120 images")
    with (upstream.root / "pipeline/training/drawing/budget.py").open("a") as code:
        code.write("# Another comment.\n")
    imports = "from pipeline.versioning import definition, weights"
    digest = f"{imports}; print(weights.code_hash(definition.read_definition()['train'].deps))"
    known = upstream.run("python", "-c", digest).out.strip()
    table = upstream.root / "pipeline/versioning/weights.py"
    version = max(VERSIONS.values())
    table.write_text(table.read_text().replace("VERSIONS = {", f'VERSIONS = {{\n    "{known}": {version},'))
    upstream.commit("the next release")
    project.git("pull", "--quiet", "--no-rebase", "--no-edit", str(upstream.root), "main")
    return project


def test_upgrade_keeps_the_model(refined: Project, tmp_path: Path) -> None:
    """After `pipeline upgrade` nothing is trained; the next training starts from the model."""
    project = copy_of(refined, tmp_path)
    lock, before = project.lock(), project.snapshot(*DATA)
    assert "`pipeline upgrade` avoids the training" in project.run(*PIPELINE, "status").out
    assert "the model stays" in project.run(*PIPELINE, "upgrade").out
    assert "train" not in stages_run(project.repro())
    assert project.lock()["train"]["outs"] == lock["train"]["outs"]
    assert project.snapshot(*DATA) == before
    project.commit("the next release")
    assert "nothing to upgrade" in project.run(*PIPELINE, "upgrade").out
    assert stages_run(project.repro()) == []
    project.add_digits(120, 160)
    assert f"train: warm start from {lock['train']['outs']['data/model'][:8]}" in project.repro()


def test_without_upgrade_training_comes_to_the_same_bytes(refined: Project, tmp_path: Path) -> None:
    """Without the upgrade `dvc repro` trains from the recorded model's base, and gives the same model."""
    project = copy_of(refined, tmp_path)
    lock = project.lock()
    assert "train" in stages_run(project.repro())
    assert project.lock()["train"]["outs"]["data/model"] == lock["train"]["outs"]["data/model"]
    assert project.lock()["manifest"]["outs"] == lock["manifest"]["outs"]


@pytest.mark.nightly
def test_colleague_who_trained_with_the_earlier_release(trained: Project, merged: Project, tmp_path: Path) -> None:
    """A branch trained by the earlier release merges into an upgraded project, and training continues from a model."""
    colleague = copy_of(trained, tmp_path / "colleague")
    colleague.add_digits(160, 200)
    colleague.repro()
    colleague.commit("200 images")
    project = copy_of(merged, tmp_path / "project")
    project.repro()
    project.commit("the next release")
    colleague.dvc("push", "--quiet")
    project.git("pull", "--quiet", "--no-rebase", "--no-edit", str(colleague.root), "main")
    out = project.repro("--pull")
    assert "train: warm start from" in out
    assert "cold start" not in out


@pytest.mark.nightly
def test_interrupted_ingest_goes_on(merged: Project, tmp_path: Path) -> None:
    """A killed first ingest of the newer release is resumed without loss."""
    project = copy_of(merged, tmp_path)
    shard = project.root / "data/images/000009.tar"
    shutil.copyfile(project.root / "data/images/000000.tar", shard)
    assert "; 0 decoded" in project.repro("ingest")
    assert not shard.exists()
