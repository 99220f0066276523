"""The contract of resuming: an interrupted training gives the same result as an uninterrupted one.

`interrupted` checks the contract for every way of training.
"""

import random
import re
import shutil
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from conftest import ROOT
from support.kills import train_with_kills
from support.stored import Plain, store_images
from support.tiny import tiny_params, tiny_project
from support.weights_file import with_weights

from pipeline import paths
from pipeline.lineage.base import FIRST, NONE
from pipeline.params import Params
from pipeline.training.progress import FOLDER

pytestmark = [
    pytest.mark.xdist_group("lightning"),
    pytest.mark.filterwarnings(r"ignore:::lightning\..*"),
]

OLD = [Plain("cat", shade) for shade in range(10)] + [Plain("dog", 200 + shade) for shade in range(7)]
NEW = [Plain("cat", 30 + shade) for shade in range(4)] + [Plain("emu", 100 + shade) for shade in range(3)]
VAL = [Plain("cat", 20), Plain("dog", 220)]
# 17 images in batches of 4 are 5 steps per epoch.
EPOCHS, STEPS = 3, 15
Files = dict[str, bytes]


def params(**train: Any) -> Params:
    """Return tiny params, also written to params.yaml."""
    return tiny_params(train={"batch_size": 4, "epochs": EPOCHS, "save_every": 1e9, **with_weights(train)})


def run(params: Params) -> None:
    """Run the training."""
    from pipeline.train import train

    train(params)


def model() -> Files:
    """Return the files of data/model and data/curves, and remove them."""
    files = {str(path): path.read_bytes() for folder in (paths.MODEL, paths.CURVES) for path in folder.iterdir()}
    shutil.rmtree(paths.MODEL)
    shutil.rmtree(paths.CURVES)
    return files


@pytest.fixture(autouse=True)
def _project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a project with images and no base the working directory."""
    tiny_project(tmp_path, monkeypatch, train=OLD, val=VAL)


@pytest.fixture
def _grown() -> None:
    """Make the model the base, and add images."""
    run(params(epochs=1))
    shutil.rmtree(paths.BASE)
    paths.MODEL.rename(paths.BASE)
    store_images(train=[*OLD, *NEW], val=VAL)


def interrupted(monkeypatch: pytest.MonkeyPatch, here: Params, steps: list[int], number: signal.Signals) -> Files:
    """Train with a signal during each of `steps`, counted over all attempts, and return the result."""
    from pipeline.training.module import Classifier

    training_step, done, waiting = Classifier.training_step, 0, list(steps)

    def with_signals(self: Classifier, batch: Any, batch_idx: int) -> torch.Tensor:
        nonlocal done
        done += 1
        if waiting and done == waiting[0]:
            waiting.pop(0)
            signal.raise_signal(number)
        return training_step(self, batch, batch_idx)

    with monkeypatch.context() as patch:
        patch.setattr(Classifier, "training_step", with_signals)
        for _ in steps:
            with pytest.raises(SystemExit):
                run(here)
            assert not paths.MODEL.exists()
            assert not paths.CURVES.exists()
            assert list(FOLDER.glob("*/*.ckpt"))
            scramble()
        run(here)
    assert not waiting
    assert not FOLDER.exists()
    return model()


def scramble() -> None:
    """Simulate a new process, whose random generators are in any state."""
    random.seed(99)
    np.random.seed(99)  # noqa: NPY002
    torch.manual_seed(99)


WAYS: dict[str, dict[str, Any]] = {
    "plain": {},
    "adamw": {"optimizer": "adamw"},
    "balance": {"balance": 0.5},
    "half precision": {"precision": "bf16-mixed"},
    "features": {"freeze": "backbone", "views": 2},
    "features of crops": {"freeze": "backbone", "crop_pct": 0.5, "augment": "light", "precision": "bf16-mixed"},
    "clipped": {"clip_norm": 0.1},
    "frozen": {"freeze": 2, "layer_decay": 0.5, "head_lr": 3.0},
    "head first": {"head_epochs": 1.4},
    "head first with adamw": {"head_epochs": 1.4, "optimizer": "adamw", "freeze": 1},
    # 17 images in batches of 8 are 3 steps per epoch, of two parts each.
    "in parts": {"batch_size": 8, "accumulate": 2, "balance": 0.5, "augment": "strong"},
    "all at once": {
        "batch_size": 8,
        "accumulate": 2,
        "head_epochs": 1.4,
        "freeze": 1,
        "layer_decay": 0.5,
        "clip_norm": 0.1,
    },
    "crops of larger images": {"framing": "squash", "crop_pct": 0.5, "augment": "strong"},
}


@pytest.mark.parametrize("way", WAYS)
def test_cold_start(monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    """A cold start is interrupted in the first step, at the end of an epoch, and in the middle of another one."""
    here = params(**WAYS[way])
    run(here)
    once = model()
    steps = [1, 5, 8] if here.train.accumulate == 1 else [1, 5, 12]  # With accumulation also within a step.
    assert interrupted(monkeypatch, here, steps, signal.SIGTERM) == once


@pytest.mark.parametrize("optimizer", ["schedule_free", "adamw"])
@pytest.mark.parametrize("step", [6, 7, 8, 9])
def test_around_the_step_from_which_all_train(monkeypatch: pytest.MonkeyPatch, step: int, optimizer: str) -> None:
    """The head trains alone for 7 steps: interrupt in the last of them, before it, and in the next two."""
    here = params(head_epochs=1.4, optimizer=optimizer)
    run(here)
    once = model()
    assert interrupted(monkeypatch, here, [step], signal.SIGTERM) == once


@pytest.mark.usefixtures("_grown")
@pytest.mark.parametrize(
    "more",
    [
        {},
        {"optimizer": "adamw", "warm_mean": True},
        {"optimizer": "adamw", "warm_mean": False},
        {"freeze": "backbone", "augment": "none"},
        {"freeze": 3, "layer_decay": 0.5, "batch_size": 8, "accumulate": 2, "min_steps": 4},
        {"optimizer": "adamw", "freeze": 3, "batch_size": 8, "accumulate": 2, "warm_epochs": 3},
        {"framing": "squash", "crop_pct": 0.8, "augment": "light"},
    ],
)
def test_warm_start(monkeypatch: pytest.MonkeyPatch, more: dict[str, Any]) -> None:
    """A warm start continues equally for any kind of model."""
    here = params(**{"warm_epochs": 2, **more})
    run(here)
    once = model()
    assert interrupted(monkeypatch, here, [4, 6], signal.SIGINT) == once


@pytest.mark.parametrize("step", range(1, STEPS))
def test_any_step(monkeypatch: pytest.MonkeyPatch, once: Files, step: int) -> None:
    """A signal in any step gives the same result; in the last step of a round the next one is awaited."""
    assert interrupted(monkeypatch, params(), [step], signal.SIGTERM) == once


def test_last_step(monkeypatch: pytest.MonkeyPatch, once: Files) -> None:
    """In the last step nothing is left to stop, so the training succeeds."""
    from pipeline.training.module import Classifier

    training_step = Classifier.training_step

    def with_signal(self: Classifier, batch: Any, batch_idx: int) -> torch.Tensor:
        if self.global_step == STEPS - 1:
            signal.raise_signal(signal.SIGTERM)
        return training_step(self, batch, batch_idx)

    monkeypatch.setattr(Classifier, "training_step", with_signal)
    run(params())
    assert model() == once


def test_rounds_of_one_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounds of one step are not saved; they are stopped, and repeated."""
    from pipeline.training.module import Classifier

    here, training_step, waiting = params(batch_size=64), Classifier.training_step, [signal.SIGTERM]
    run(here)
    once = model()

    def with_signal(self: Classifier, batch: Any, batch_idx: int) -> torch.Tensor:
        if waiting:
            signal.raise_signal(waiting.pop())
        return training_step(self, batch, batch_idx)

    monkeypatch.setattr(Classifier, "training_step", with_signal)
    with pytest.raises(SystemExit):
        run(here)
    run(here)
    assert model() == once


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """Return the result of an uninterrupted training."""
    folder = tmp_path_factory.mktemp("once")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        shutil.copy(ROOT / paths.PIPELINE, paths.PIPELINE)
        store_images(train=OLD, val=VAL)
        paths.BASE.mkdir()
        (paths.BASE / NONE).write_text(FIRST + "\n")
        run(params())
        return model()


def test_draws_from_the_global_generators_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other code that uses the generators of Python, NumPy or torch draws the same numbers."""
    from pipeline.training.module import Classifier

    training_step, draws = Classifier.training_step, []

    def drawing(self: Classifier, batch: Any, batch_idx: int) -> torch.Tensor:
        draws.append((self.global_step, random.random(), np.random.random(), float(torch.rand(()))))  # noqa: NPY002
        return training_step(self, batch, batch_idx)

    monkeypatch.setattr(Classifier, "training_step", drawing)
    run(params())
    expected, once = dict.fromkeys(draws), model()
    draws.clear()
    assert interrupted(monkeypatch, params(), [4, 9], signal.SIGTERM) == once
    assert dict.fromkeys(draws) == expected


def test_newest_state_is_damaged(monkeypatch: pytest.MonkeyPatch, once: Files) -> None:
    """If the newest state is damaged, the previous one is used."""
    from pipeline.train import train

    here = params(save_every=1e-9)
    with monkeypatch.context() as patch:
        patch.setattr("pipeline.train.finished", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            train(here)
    newest = max(FOLDER.glob("*/*.ckpt"))
    newest.write_bytes(newest.read_bytes()[:-1])
    train(here)
    assert model() == once


@pytest.mark.slow
@pytest.mark.parametrize("way", ["plain", pytest.param("all at once", marks=pytest.mark.nightly)])
def test_kills(way: str) -> None:
    """Killed at any moment until it succeeds, the training gives the same bytes."""
    run(params(**WAYS[way]))
    once = model()
    params(save_every=1e-9, **WAYS[way])
    assert train_with_kills(0.1, 0.6)
    assert model() == once


@pytest.mark.parametrize("room", [0, 5, 17])
def test_images_decoded_when_needed(monkeypatch: pytest.MonkeyPatch, once: Files, room: int) -> None:
    """Images that do not fit in memory are decoded in other processes, before and after an interruption."""
    monkeypatch.setattr("pipeline.images.pixel_source.FEW", 1)
    monkeypatch.setattr("pipeline.images.array_cache.ArrayCache.room", lambda self: room - self._count())
    assert interrupted(monkeypatch, params(), [4, 9], signal.SIGTERM) == once


@pytest.mark.parametrize("room", [0, 1])
def test_features_computed_when_needed(monkeypatch: pytest.MonkeyPatch, room: int) -> None:
    """For any disk space for features the model is the same, also if others were stored before."""
    here = params(freeze="backbone", views=2)
    run(here)
    once = model()
    monkeypatch.setattr("pipeline.images.array_cache.ArrayCache.room", lambda self: 5 * room - self._count())
    shutil.rmtree(paths.FEATURES)
    run(here)
    assert model() == once
    assert interrupted(monkeypatch, here, [1, 5, 8], signal.SIGTERM) == once


def test_changed_params_begin_anew(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    """Progress with other inputs is not resumed."""
    here = params(lr=0.001)
    run(here)
    expected = model()
    from pipeline.training.module import Classifier

    training_step = Classifier.training_step

    def interrupting(self: Classifier, batch: Any, batch_idx: int) -> torch.Tensor:
        signal.raise_signal(signal.SIGTERM)
        return training_step(self, batch, batch_idx)

    with monkeypatch.context() as patch:
        patch.setattr(Classifier, "training_step", interrupting)
        with pytest.raises(SystemExit):
            run(params())
    capfd.readouterr()
    run(params(lr=0.001))
    assert "going on" not in capfd.readouterr().out
    assert model() == expected


def test_second_signal_stops_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second signal does not wait for the step."""
    from pipeline.training.module import Classifier

    def interrupting(self: Classifier, batch: Any, batch_idx: int) -> torch.Tensor:
        del self, batch, batch_idx
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        raise AssertionError

    monkeypatch.setattr(Classifier, "training_step", interrupting)
    with pytest.raises(SystemExit):
        run(params())
    assert not list(FOLDER.glob("*/*.ckpt"))


def test_example_of_the_documentation(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user's own state is resumed as docs/resume.md describes."""
    import lightning.pytorch as pl

    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/resume.md").read_text(), flags=re.DOTALL)
    names: dict[str, Any] = {"pl": pl}
    exec(code, names)  # noqa: S102
    kept: list[Any] = []

    def trainer(*, callbacks: list[pl.Callback], **options: Any) -> pl.Trainer:
        kept.append(names["MeanLoss"]())
        return pl.Trainer(callbacks=[kept[-1], *callbacks], **options)

    monkeypatch.setattr("pipeline.training.trainer.pl", SimpleNamespace(**{**vars(pl), "Trainer": trainer}))
    run(params())
    shutil.rmtree(paths.MODEL)
    expected = kept[-1].total
    interrupted(monkeypatch, params(), [4, 9], signal.SIGTERM)
    assert (kept[-1].total, kept[-1].steps) == (expected, STEPS)
