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
from pipeline.errors import ParamError, RecordError
from pipeline.images.dataset import Dataset
from pipeline.images.pixel_source import PixelSource
from pipeline.lineage.base import FIRST, NONE
from pipeline.lineage.lineage import read_lineage
from pipeline.models.checkpoint import CHECKPOINT, read_network
from pipeline.params import Params, read_params
from pipeline.training.curves import read_curves
from pipeline.training.feeding.loader import EvalLoader, TrainLoader
from pipeline.training.progress import FOLDER
from pipeline.versioning.own_code.listing import bring_in_step, check_in_step

# Importing Lightning takes seconds: tests import it when they run, and share a worker process.
pytestmark = [
    pytest.mark.xdist_group("lightning"),
    pytest.mark.filterwarnings(r"ignore:::lightning\..*"),
]
COMMAND = ("-m", "pipeline", "run", "train")
TRAIN = [Plain("cat", shade) for shade in range(20)] + [Plain("dog", 200 + shade) for shade in range(17)]
VAL = [Plain("cat", 20), Plain("dog", 220), Plain("dog", 221)]


def images(count: int, side: int = 4) -> Dataset:
    """Return `count` images, each of a different class."""
    return Dataset(
        ids=np.array([f"{number:032x}" for number in range(count)]),
        labels=np.array([str(number) for number in range(count)]),
        images=PixelSource.of(np.random.default_rng(0).integers(0, 256, (count, 1, side, side), dtype=np.uint8)),
    )


@pytest.mark.parametrize("devices", [2, 3])
@pytest.mark.parametrize("count", [8, 37])
@pytest.mark.parametrize("changes", [{"size": 4}, {"size": 8, "crop_pct": 0.5, "augment": Augment(crop=[0.3, 1])}])
def test_order_of_images_is_that_of_one_device(devices: int, count: int, changes: dict[str, Any]) -> None:
    """In each step the devices together get the images, augmentations and weights of a single device."""
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


def make_project(*more: Plain) -> None:
    """Make a project with images, also `more`, and no base in the working directory."""
    shutil.copy(ROOT / paths.PIPELINE, paths.PIPELINE)
    store_images(train=[*TRAIN, *more], val=VAL)
    paths.BASE.mkdir()
    (paths.BASE / NONE).write_text(FIRST + "\n")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a project with images and no base the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    make_project()
    return tmp_path


def set_params(devices: int, **train: object) -> Params:
    """Return params of a training on `devices` devices, also written to params.yaml."""
    return tiny_params(train={"batch_size": 8, "epochs": 3, **with_weights(train)}, compute={"devices": devices})


def start(*command: str) -> subprocess.Popen[str]:
    """Start the training in the working directory, in its own process group."""
    return subprocess.Popen(
        [sys.executable, *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


@pytest.mark.slow
@pytest.mark.usefixtures("project")
def test_two_devices_and_then_one() -> None:
    """If a training on two devices is killed, one device resumes it, and each message is printed once."""
    set_params(2, epochs=2000, save_every=0.01)
    with start(*COMMAND) as both:
        while not list(FOLDER.glob("*/*.ckpt")):
            assert both.poll() is None, both.communicate()[0]
            time.sleep(0.05)
        os.killpg(both.pid, signal.SIGKILL)
    assert not paths.MODEL.exists()
    (folder,) = FOLDER.iterdir()
    step = max(int(path.name.partition("-")[0]) for path in folder.glob("*.ckpt"))
    set_params(1, epochs=2000, save_every=0.01)
    with start(*COMMAND) as alone:
        assert alone.stdout is not None
        said = [alone.stdout.readline() for _ in range(2)]
        os.killpg(alone.pid, signal.SIGKILL)
    assert said[1] == f"train: continuing at step {step:,} of 10,000\n"


def own_code() -> dict[str, str]:
    """Return params of own network, augmentation, loss and optimizer, after writing their files."""
    shutil.copytree(ROOT / "docs/example/my_project", "my_project")
    names = {"model": "nets:build", "augment": "changes:turn", "loss": "losses:focal", "optimizer": "optimizers:build"}
    return {name: f"my_project.{path}" for name, path in names.items()}


# Trainings that give one model.
WHOLE: dict[str, dict[str, Any]] = {
    "plain": {},
    "squashed": {"framing": "squash", "crop_pct": 0.5, "augment": "light"},
}
# One of two devices has more of the rare class.
UNEVEN = {"batch_size": 16, "freeze": "backbone", "balance": 1.0, "augment": "none"}
RARE = [Plain("emu", 100 + shade) for shade in range(4)]
PARTS = {f"in {parts}": {**UNEVEN, "accumulate": parts} for parts in (1, 2)}
# Layers that start to train later.
LATER: dict[str, dict[str, Any]] = {
    "all": {
        "head_epochs": 1.0,
        "freeze": 1,
        "layer_decay": 0.5,
        "clip_norm": 1.0,
        "batch_size": 16,
        "accumulate": 2,
        "balance": 1.0,
        "augment": "strong",
    },
    "adamw": {"head_epochs": 1.5, "optimizer": "adamw"},
}
# Each process prints its final weights; on CPUs each has its own statistics of normalisation. Starting the script
# takes seconds, so it trains in several folders.
SCRIPT = """
import hashlib, os, sys
from pathlib import Path
from pipeline.cli import main
from pipeline.training.module import Classifier

def on_train_end(self):
    weights = b"".join(value.detach().numpy().tobytes() for value in self.network.parameters())
    Path(f"rank{self.global_rank}").write_text(hashlib.md5(weights).hexdigest())

Classifier.on_train_end = on_train_end
for folder in sys.argv[1:]:
    os.chdir(folder)
    if os.environ.get("LOCAL_RANK", "0") == "0":
        print(folder, flush=True)
    if status := main(["run", "train"]):
        sys.exit(status)
"""


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of projects trained by two devices, with the output in the file `said`."""
    root = tmp_path_factory.mktemp("together")
    folders = [root / name for name in (*WHOLE, *PARTS, *LATER, "own")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        for folder in folders:
            folder.mkdir()
            patch.chdir(folder)
            make_project(*(RARE if folder.name in PARTS else ()))
            changes = {**WHOLE, **PARTS, **LATER}.get(folder.name)
            bring_in_step(set_params(2, **(own_code() if changes is None else changes)))
        (root / "script.py").write_text(SCRIPT)
        with start(str(root / "script.py"), *map(str, folders)) as both:
            out = both.communicate()[0]
    assert both.returncode == 0, out
    for folder in reversed(folders):
        out, _, said = out.partition(f"{folder}\n")
        (folder / "said").write_text(said)
    assert not out
    return root


def whole_model(said: str) -> bytes:
    """Return the model of the working directory, and assert that it is complete, with a single device's steps."""
    lines = [line for line in said.splitlines() if line.startswith("train:")]
    assert len(lines) == len({*lines}) == 2 + ("train: warning: images of" in said)
    assert lines[-1].startswith("train: 15 steps (15 in total)")
    assert read_lineage(paths.MODEL).steps.run == 15
    assert read_network(paths.MODEL)[1].classes == ("cat", "dog")
    assert [step for step, _ in read_curves(paths.MODEL).points["loss"]] == [*range(1, 16)]
    assert not FOLDER.exists()
    return (paths.MODEL / CHECKPOINT).read_bytes()


@pytest.mark.parametrize("name", WHOLE)
def test_two_devices_make_one_model(together: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Two devices give one complete model with a single device's steps, and print each message once."""
    monkeypatch.chdir(together / name)
    whole_model(Path("said").read_text())


@pytest.mark.usefixtures("project")
@pytest.mark.slow
def test_two_devices_run_own_code(together: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Own network, augmentation, loss and optimizer give one reproducible model on two devices."""
    params = set_params(2, **own_code())
    with pytest.raises(RecordError, match=r"now lists my_project/changes\.py"):
        check_in_step(params)
    with start(*COMMAND) as both:
        out = both.communicate()[0]
    assert both.returncode == 0, out
    model = whole_model(out)
    monkeypatch.chdir(together / "own")
    assert model == whole_model(Path("said").read_text())


@pytest.mark.usefixtures("project")
def test_too_few_images_for_each_device() -> None:
    """Normalisation needs more than one image per device; the error says what to change."""
    from pipeline.train import train

    said = r"train\.batch_size 7 is too small to be shared out among 2 devices; make it 8 or more"
    with pytest.raises(ParamError, match=said):
        train(set_params(2, batch_size=7))


@pytest.mark.parametrize("name", PARTS)
def test_two_devices_learn_what_one_does(
    together: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Two devices learn the same as one up to rounding, even if one of them has more of the rare class."""
    from pipeline.train import train

    monkeypatch.chdir(tmp_path)
    make_project(*RARE)
    train(set_params(1, **PARTS[name]))
    alone, both = (read_network(folder / paths.MODEL)[0].state_dict() for folder in (Path(), together / name))
    for key, value in alone.items():
        torch.testing.assert_close(both[key], value, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", LATER)
def test_two_devices_stay_together(together: Path, name: str) -> None:
    """Both devices have the same weights at the end, although layers start to train later."""
    first, second = ((together / name / f"rank{rank}").read_text() for rank in range(2))
    assert first == second
