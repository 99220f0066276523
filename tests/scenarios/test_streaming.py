"""Training from the remote gives the same bytes, wherever the shards are, and however it is interrupted."""

import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import ROOT, Project
from support import far, stored
from support.kills import train_with_kills
from support.stored import Plain, store_images
from support.tiny import tiny_params

from pipeline import paths
from pipeline.lineage.base import FIRST, NONE
from pipeline.params import Params

pytestmark = [
    pytest.mark.xdist_group("lightning"),
    pytest.mark.filterwarnings(r"ignore:::lightning\..*"),
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
]

TRAIN = [Plain("cat", shade) for shade in range(20)] + [Plain("dog", 200 + shade) for shade in range(17)]
VAL = [Plain("cat", 20), Plain("dog", 220), Plain("dog", 221)]
Files = dict[str, bytes]
# Where the images are, and how many of them are cached.
WAYS: dict[str, dict[str, Any]] = {
    "decoded once": {},
    "single images": {"decoded": 0, "stored": 0},
    "kept pieces": {"decoded": 0},
}


def params(devices: int = 1, **compute: Any) -> Params:
    """Return tiny params, also written to params.yaml."""
    return tiny_params(
        train={"batch_size": 8, "epochs": 3, "save_every": 1e-9},
        compute={"fetch": "stream", "devices": devices, **compute},
    )


def run(params: Params) -> None:
    """Run the training."""
    from pipeline.train import train

    train(params)


def model() -> Files:
    """Return the files of data/model, and remove them."""
    files = {path.name: path.read_bytes() for path in paths.MODEL.iterdir()}
    shutil.rmtree(paths.MODEL)
    return files


@pytest.fixture(autouse=True)
def _project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a project with images in several shards and no base the working directory."""
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    monkeypatch.delenv("PL_GLOBAL_SEED", raising=False)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setattr(stored, "SHARD", 2**13)
    shutil.copy(ROOT / paths.PIPELINE, paths.PIPELINE)
    far.init()
    store_images(train=TRAIN, val=VAL)
    paths.BASE.mkdir()
    (paths.BASE / NONE).write_text(FIRST + "\n")


@pytest.fixture
def once() -> Files:
    """Return the model trained on local images, and move the images to the remote."""
    run(params())
    made = model()
    far.record_images()
    far.move_to(Path("../remote"))
    shutil.rmtree(paths.DECODED)
    return made


@pytest.mark.parametrize("way", WAYS)
def test_streamed(once: Files, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A training is interrupted by SIGTERM within epochs, with a server that closes connections."""
    from pipeline.training.module import Classifier

    training_step, steps = Classifier.training_step, iter(range(1000))

    def stepping(self: Classifier, batch: Any, batch_idx: int) -> torch.Tensor:
        if next(steps) in (3, 8):
            signal.raise_signal(signal.SIGTERM)
        return training_step(self, batch, batch_idx)

    monkeypatch.setattr(Classifier, "training_step", stepping)
    with far.served(Path("../remote"), "--drop", "7") as url:
        far.set_remote(url)
        here = params(**WAYS[way])
        for _ in range(2):
            with pytest.raises(SystemExit):
                run(here)
        run(here)
    assert model() == once
    assert not paths.SHARDS.exists()


def test_half_streamed(once: Files) -> None:
    """Shards that are in data/shards are read there."""
    objects = Path("../remote/files/md5")
    listed = far.listing(objects)
    paths.SHARDS.mkdir()
    for name in ("000000.tar", "000002.tar"):
        (objects / listed[name][:2] / listed[name][2:]).rename(paths.SHARDS / name)
    with far.served(Path("../remote")) as url:
        far.set_remote(url)
        run(params())
    assert model() == once


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_kills(once: Files, way: str) -> None:
    """A training is killed at any moment until it succeeds."""
    params(**WAYS[way])
    with far.served(Path("../remote"), "--latency", "0.03") as url:
        far.set_remote(url)
        assert train_with_kills(0.5, 2)
    assert model() == once


@pytest.mark.slow
def test_two_devices() -> None:
    """Two devices read the remote into one cache, and give the model of two devices with local shards."""
    made = []
    with far.served(Path("../remote")) as url:
        for is_here in (True, False):
            if not is_here:
                far.record_images()
                far.move_to(Path("../remote"))
                shutil.rmtree(paths.DECODED, ignore_errors=True)
                far.set_remote(url)
            params(devices=2, decoded=0)
            subprocess.run([sys.executable, "-m", "pipeline", "run", "train"], check=True, timeout=120)
            made.append(model())
    assert made[0] == made[1]
    assert any(paths.STORED.glob("*/*"))


@pytest.mark.slow
def test_clone_that_pulls_no_images(make_project: Any, tmp_path: Path) -> None:
    """`dvc repro` trains and evaluates without any local image; afterwards nothing is left to run."""
    project: Project = make_project(tmp_path / "origin")
    project.add_digits(0, 120)
    project.dvc("add", "--quiet", "data/raw")
    project.repro()
    project.dvc("remote", "add", "--default", "team", str(tmp_path / "shared"))
    project.commit("generation 1")
    project.dvc("push", "--quiet")
    project.set_params(train={"lr": 0.02}, compute={"fetch": "stream"})
    project.repro()
    expected = project.lock()
    project.git("checkout", "--quiet", "HEAD", "dvc.lock", "data/report")
    project.commit("another rate")
    clone = project.clone(tmp_path / "clone")
    out = clone.repro("--pull", "--allow-missing")
    assert "Running stage 'train'" in out
    assert "Running stage 'ingest'" not in out
    assert clone.lock() == expected
    assert not list((clone.root / "data/shards").glob("*.tar"))
