"""Several devices: two processes on this machine's cores train one model together."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import ROOT
from support.stored import Plain, store_images
from support.tiny import tiny_params
from support.weights_file import with_weights
from training.feeding.test_batches import of_devices
from training.feeding.test_loader import cold

from pipeline import paths
from pipeline.augment_params import Augment
from pipeline.images.dataset import Dataset
from pipeline.images.pixel_source import PixelSource
from pipeline.lineage.base import FIRST, NONE
from pipeline.lineage.lineage import read_lineage
from pipeline.models.checkpoint import CHECKPOINT, read_network
from pipeline.params import read_params
from pipeline.training.curves import read_curves
from pipeline.training.feeding.loader import EvalLoader, TrainLoader
from pipeline.training.progress import FOLDER

pytestmark = pytest.mark.xdist_group("lightning")
TRAIN = [Plain("cat", shade) for shade in range(20)] + [Plain("dog", 200 + shade) for shade in range(17)]
VAL = [Plain("cat", 20), Plain("dog", 220), Plain("dog", 221)]


def images(count: int, side: int = 4) -> Dataset:
    """So many images, each of a class of its own."""
    return Dataset(
        ids=np.array([f"{number:032x}" for number in range(count)]),
        labels=np.array([str(number) for number in range(count)]),
        images=PixelSource.of(np.random.default_rng(0).integers(0, 256, (count, 1, side, side), dtype=np.uint8)),
    )


@pytest.mark.parametrize("devices", [2, 3])
@pytest.mark.parametrize("count", [8, 37])
@pytest.mark.parametrize("changes", [{"size": 4}, {"size": 8, "crop_pct": 0.5, "augment": Augment(crop=[0.3, 1])}])
def test_order_of_images_is_that_of_one_device(devices: int, count: int, changes: dict[str, Any]) -> None:
    """Step by step the devices together have the images of one device, augmented alike, and weigh them alike."""
    data = images(count, round(changes["size"] / changes.get("crop_pct", 1)))
    classes = [str(number) for number in range(count)]
    params = read_params(ROOT / "params.yaml").train.model_copy(update={"batch_size": 8, **changes})
    for batches in (
        TrainLoader(data, classes, params, cold(data, params)),
        EvalLoader(data, classes, batch_size=8),
    ):
        (alone,) = of_devices(batches, 1)
        parts = of_devices(batches, devices)
        assert {len(part) for part in parts} == {len(alone)}
        for step, whole in enumerate(alone):
            for rank, part in enumerate(parts):
                assert torch.equal(part[step].targets, whole.targets[rank::devices])
                assert torch.equal(part[step].images, whole.images[rank::devices])
            if isinstance(batches, TrainLoader):
                shares = sum(float(part[step].share) for part in parts)
                assert shares == pytest.approx(devices)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with images, and without a base, as working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    shutil.copy(ROOT / paths.PIPELINE, paths.PIPELINE)
    store_images(train=TRAIN, val=VAL)
    paths.BASE.mkdir()
    (paths.BASE / NONE).write_text(FIRST + "\n")
    return tmp_path


def start(devices: int, *, script: str | None = None, **train: object) -> subprocess.Popen[str]:
    """Begin to train on so many devices, in a process group of its own; a `script` may do it."""
    tiny_params(train={"batch_size": 8, "epochs": 3, **with_weights(train)}, compute={"devices": devices})
    return subprocess.Popen(
        [sys.executable, *((script,) if script else ("-m", "pipeline", "run", "train"))],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


@pytest.mark.slow
@pytest.mark.usefixtures("project")
def test_two_devices_and_then_one() -> None:
    """Killed while two devices train, one goes on from where they were, and says each thing once."""
    with start(2, epochs=2000, save_every=0.01) as both:
        while not list(FOLDER.glob("*/*.ckpt")):
            assert both.poll() is None, both.communicate()[0]
            time.sleep(0.05)
        os.killpg(both.pid, signal.SIGKILL)
    assert not paths.MODEL.exists()
    (folder,) = FOLDER.iterdir()
    step = max(int(path.name.partition("-")[0]) for path in folder.glob("*.ckpt"))
    with start(1, epochs=2000, save_every=0.01) as alone:
        assert alone.stdout is not None
        said = [alone.stdout.readline() for _ in range(2)]
        os.killpg(alone.pid, signal.SIGKILL)
    assert said[1] == f"train: continuing at step {step:,} of 10,000\n"


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize("changes", [{}, {"framing": "squash", "crop_pct": 0.5, "augment": "light"}])
def test_two_devices_make_one_model(changes: dict[str, Any]) -> None:
    """It is whole, has the steps that one device takes, and what is said is said once."""
    with start(2, **changes) as both:
        out = both.communicate()[0]
    assert both.returncode == 0, out
    lines = [line for line in out.splitlines() if line.startswith("train:")]
    assert len(lines) == 2
    assert lines[1].startswith("train: 15 steps (15 in total)")
    assert read_lineage(paths.MODEL).steps.run == 15
    assert read_network(paths.MODEL)[1].classes == ("cat", "dog")
    assert [step for step, _ in read_curves(paths.MODEL).points["loss"]] == [*range(1, 16)]
    assert not FOLDER.exists()


@pytest.mark.usefixtures("project")
def test_two_devices_run_own_code() -> None:
    """Network, augmentation, loss and optimizer of the project's own make one model, the same one each time."""
    shutil.copytree(ROOT / "docs/example/my_project", "my_project")
    names = {"model": "nets:build", "augment": "changes:turn", "loss": "losses:focal", "optimizer": "optimizers:build"}
    own = {name: f"my_project.{path}" for name, path in names.items()}
    with start(2, **own) as both:
        assert "now lists my_project/changes.py" in both.communicate()[0]
    models = []
    for _ in range(2):
        with start(2, **own) as both:
            out = both.communicate()[0]
        assert both.returncode == 0, out
        assert "train: 15 steps (15 in total)" in out
        models.append((paths.MODEL / CHECKPOINT).read_bytes())
    assert models[0] == models[1]


@pytest.mark.usefixtures("project")
def test_too_few_images_for_each_device() -> None:
    """Normalisation needs more than one image; the error says what to change."""
    with start(2, batch_size=7) as both:
        out = both.communicate()[0]
    assert "train.batch_size 7 is too small to be shared out among 2 devices; make it 8 or more" in out


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize("parts", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_two_devices_learn_what_one_does(parts: int) -> None:
    """Though one of them has more of the rare class, and no image disturbs another: the same, but for rounding."""
    store_images(train=[*TRAIN, *(Plain("emu", 100 + shade) for shade in range(4))], val=VAL)
    models = []
    for devices in (1, 2):
        train: dict[str, Any] = {
            "batch_size": 16,
            "accumulate": parts,
            "freeze": "backbone",
            "balance": 1.0,
            "augment": "none",
        }
        with start(devices, **train) as process:
            out = process.communicate()[0]
        assert process.returncode == 0, out
        models.append(read_network(paths.MODEL)[0].state_dict())
    for name, value in models[0].items():
        torch.testing.assert_close(models[1][name], value, rtol=1e-3, atol=1e-5)


# Each process says which weights it has at the end; statistics of normalisation are each one's own on CPUs.
SCRIPT = """
import hashlib, sys
from pathlib import Path
from typing import Any
from pipeline.cli import main
from pipeline.training.module import Classifier

def on_train_end(self):
    weights = b"".join(value.detach().numpy().tobytes() for value in self.network.parameters())
    Path(f"rank{self.global_rank}").write_text(hashlib.md5(weights).hexdigest())

Classifier.on_train_end = on_train_end
sys.exit(main(["run", "train"]))
"""


@pytest.mark.parametrize(
    "train",
    [
        {
            "head_epochs": 1.0,
            "freeze": 1,
            "layer_decay": 0.5,
            "clip_norm": 1.0,
            "batch_size": 16,
            "accumulate": 2,
            "balance": 1.0,
            "augment": "strong",
        },
        pytest.param({"head_epochs": 1.5, "optimizer": "adamw"}, marks=pytest.mark.slow),
    ],
)
def test_two_devices_stay_together(project: Path, train: dict[str, Any]) -> None:
    """Both have the same weights at the end, though layers began to train midway: gradients of all were shared."""
    (project / "script.py").write_text(SCRIPT)
    with start(2, script="script.py", **train) as both:
        out = both.communicate()[0]
    assert both.returncode == 0, out
    first, second = ((project / f"rank{rank}").read_text() for rank in range(2))
    assert first == second
