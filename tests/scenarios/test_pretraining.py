"""Projects that start from pretrained weights, in a DVC-tracked file or published: real Git, real DVC, tiny models."""

import json
import os
import shutil
import sys
from pathlib import Path

import pytest
import torch
from conftest import ROOT, Project, stages_run

from pipeline.files import md5_of_file
from pipeline.models.network import Spec, build

pytestmark = pytest.mark.slow
PIPELINE = ("python", "-m", "pipeline")
TIMM = ROOT / ".venv" / "timm"


def write_weights(path: Path, seed: int) -> str:
    """Write the weights of a suitable network as PyTorch does, and return the MD5."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        torch.save(build(Spec(model="small", size=8, mode="grey", classes=("some", "others"))).state_dict(), path)
    return md5_of_file(path)


def model(project: Project) -> str:
    """Return the hash of the recorded model."""
    return project.lock()["train"]["outs"]["data/model"]


def test_weights_of_a_file(project: Project, tmp_path: Path) -> None:
    """Another file causes a training, the same one does not; `dvc pull` fetches it, and a clone replays the model."""
    file, dep = project.root / "data/weights/net.pt", "data/weights/net.pt"
    project.dvc("remote", "add", "--default", "storage", str(tmp_path / "remote"))
    project.add_digits(0, 80)
    project.dvc("add", "--quiet", "data/raw")
    project.set_params(train={"pretrained": "net.pt"})
    said = project.run(*PIPELINE, "status").out
    assert (
        f"`dvc repro` would stop: {dep}: no such file; put there what train.pretrained names, or run `dvc pull`" in said
    )

    md5 = write_weights(file, 0)
    project.dvc("add", "--quiet", dep)
    out = project.repro()
    assert f"train: begins with {dep} ({md5[:8]}…), 60 of 60 tensors" in out
    first = model(project)
    file.touch()
    assert stages_run(project.repro()) == []

    md5 = write_weights(file, 1)
    assert stages_run(project.repro()) == ["train", "evaluate"]
    assert project.lock()["train"]["deps"][dep] == md5
    assert json.loads(project.read("data/report/lineage.json"))["weights"]["md5"] == md5
    assert model(project) != first
    project.commit("weights")
    project.dvc("push", "--quiet")

    clone = project.clone(tmp_path / "clone")
    assert "reproduced, bit for bit" in clone.run(*PIPELINE, "replay").out
    clone.dvc("pull", "--quiet")
    assert md5_of_file(clone.root / dep) == md5
    assert stages_run(clone.repro()) == []
    clone.add_digits(80, 100)
    assert f"train: warm start from {model(project)[:8]}" in clone.repro()
    assert "weights" not in json.loads(clone.read("data/model/lineage.json"))


def test_weights_in_git(project: Project, tmp_path: Path) -> None:
    """A file in Git works as well; replay takes it from the commit."""
    write_weights(project.root / "data/weights/net.pt", 0)
    project.set_params(train={"pretrained": "net.pt"})
    project.add_digits(0, 80)
    project.dvc("add", "--quiet", "data/raw")
    project.repro()
    project.commit("weights")
    assert "data/weights/net.pt" in project.git("ls-files")
    write_weights(project.root / "data/weights/net.pt", 1)
    ran = project.run(*PIPELINE, "replay", TMPDIR=str(tmp_path))
    assert "reproduced, bit for bit" in ran.out


@pytest.mark.nightly
def test_published_weights(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Published weights are fetched once: the model keeps them, and can be trained again without a network."""
    if not TIMM.is_dir():
        pytest.skip("timm is not in .venv/timm; `make check` puts it there")
    hub = tmp_path / "huggingface"
    publish(hub)
    monkeypatch.setenv("PYTHONPATH", str(TIMM))
    monkeypatch.setenv("HF_HOME", str(hub))
    monkeypatch.setenv("HF_ENDPOINT", "http://localhost:1")
    project.set_params(train={"model": "timm/test_resnet", "size": 16, "pretrained": True})
    project.add_digits(0, 80)
    project.dvc("add", "--quiet", "data/raw")
    out = project.repro()
    assert "train: begins with the published weights of timm/test_resnet (" in out
    kept = project.root / "data/model/pretrained.pt"
    assert json.loads(project.read("data/report/lineage.json"))["weights"]["md5"] == md5_of_file(kept)
    first = model(project)
    project.commit("published weights")

    shutil.rmtree(hub)
    ran = project.run(*PIPELINE, "replay", TMPDIR=str(tmp_path))
    assert "reproduced, bit for bit" in ran.out
    project.repro("--force", "--single-item", "train")
    assert model(project) == first
    project.add_digits(80, 100)
    assert f"train: warm start from {first[:8]}" in project.repro()
    assert not kept.exists()


def publish(hub: Path) -> None:
    """Make `hub` look like Hugging Face's cache after a download of a network's weights."""
    code = """
import sys, timm
from safetensors.torch import save_file
save_file(timm.create_model("test_resnet").state_dict(), sys.argv[1])
"""
    repository = hub / "hub/models--timm--test_resnet.r160_in1k"
    for folder in ("refs", "snapshots/0"):
        (repository / folder).mkdir(parents=True)
    (repository / "refs/main").write_text("0")
    Project(hub).run(
        sys.executable, "-c", code, str(repository / "snapshots/0/model.safetensors"), PYTHONPATH=os.fspath(TIMM)
    )
