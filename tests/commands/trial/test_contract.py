"""The promises that `pipeline try --contract` checks, and code that breaks each of them."""

import shutil
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT
from support.own import NET, write_package
from support.tiny import tiny_params

from pipeline import paths
from pipeline.commands.trial.aside import aside
from pipeline.errors import ParamError
from pipeline.params import Params

# Importing Lightning takes seconds: tests import it when they run, and share a worker process.
pytestmark = [
    pytest.mark.xdist_group("lightning"),
    pytest.mark.filterwarnings(r"ignore:::lightning\..*"),
]
HIDDEN, TWICE = "no hidden randomness, no hidden state", "trains to the same bytes twice"
CONTINUED, GROWN = "interrupted and continued, the same bytes", "goes on with a class more"
EXPORTED, BUILDS = "exports to ONNX, and agrees", "builds: a logit for each class, and a row"
LAYER = """
import random
import time
import numpy as np
import torch
from torch import nn

calls = 0


class Blur(nn.Module):
    def forward(self, images):
        global calls
        calls += 1
        if self.training:
            return {}
        return images


def build(*, channels, classes, size):
    return nn.Sequential(nn.Conv2d(channels, 4, 3, 2), Blur(), nn.Flatten(), nn.LazyLinear(classes))
"""


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a project without data the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PL_GLOBAL_SEED", raising=False)
    shutil.copy(ROOT / paths.PIPELINE, paths.PIPELINE)


def params(**train: Any) -> Params:
    """Return tiny params, which are also in params.yaml."""
    return tiny_params(train=train)


def troubles(last: str, **train: Any) -> dict[str, str]:
    """Return the trouble of each promise before `last`."""
    from pipeline.commands.trial.contract import checks

    chosen = params(**train)
    with aside(chosen):
        return {one.promise: one.trouble for one in takewhile(lambda one: one.promise != last, checks(chosen))}


@pytest.mark.parametrize("optimizer", ["schedule_free", pytest.param("adamw", marks=pytest.mark.slow)])
def test_networks_that_are_built_in_keep_them(optimizer: str) -> None:
    """The built-in networks keep all promises, including the export; nothing is left in the project."""
    found = troubles("", optimizer=optimizer)
    assert list(found) == [BUILDS, HIDDEN, TWICE, CONTINUED, GROWN, EXPORTED]
    assert set(found.values()) == {""}
    assert sorted(path.name for path in Path().iterdir()) == ["dvc.yaml", "params.yaml"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "train",
    [
        {"freeze": "backbone", "augment": "light", "crop_pct": 0.8},
        {"accumulate": 4, "head_epochs": 1.0, "head_lr": 3.0, "layer_decay": 0.8, "clip_norm": 1.0},
    ],
)
def test_so_they_are_whatever_trains(train: dict[str, Any]) -> None:
    """Frozen layers with features of several views, and accumulated batches, keep them, too."""
    assert set(troubles(EXPORTED, **train).values()) == {""}


def test_global_generators_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Random numbers of PyTorch, Python and NumPy continue after an interruption; a lazy layer is supported."""
    harmless = "images + torch.rand_like(images) * random.random() * np.random.rand()"
    write_package(monkeypatch, nets=LAYER.format(harmless))
    assert set(troubles(EXPORTED, model="mine.nets:build").values()) == {""}


@pytest.mark.parametrize(
    "hostile",
    [
        "images * np.random.default_rng().random()",
        "images * (time.perf_counter_ns() % 1000)",
        "images + calls",
        "images + random.SystemRandom().random()",
    ],
)
def test_what_is_hidden_is_named_by_its_layer(monkeypatch: pytest.MonkeyPatch, hostile: str) -> None:
    """Own randomness, and state outside of checkpoints, are traced to a layer; two full trainings would miss them."""
    write_package(monkeypatch, nets=LAYER.format(hostile))
    found = troubles(GROWN, model="mine.nets:build")
    assert found.pop(HIDDEN) == "1 (Blur) gives the same images other outputs"
    assert found[CONTINUED] or found[TWICE]


def test_network_that_cannot_be_built(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that cannot be built is one error, and no other promise is tried."""
    write_package(monkeypatch, nets=NET.replace("4", "4 * classes"))
    (trouble,) = troubles("", model="mine.nets:build").values()
    assert trouble.startswith("mine.nets:build: body.1.bias has the shape (12,) for 3 classes, and (16,) for one more")


def test_network_that_gives_probabilities(monkeypatch: pytest.MonkeyPatch) -> None:
    """Probabilities are an error, since the loss applies the softmax itself."""
    build = "\n\nplain = build\n\ndef build(*, channels, classes, size):\n"
    wrapped = "    return nn.Sequential(plain(channels=channels, classes=classes, size=size), nn.Softmax(1))\n"
    write_package(monkeypatch, nets=NET + build + wrapped)
    first = next(iter(troubles("", model="mine.nets:build").values()))
    assert first == "it gives probabilities: leave out the softmax, which the loss does itself"


def test_output_that_changes_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Outputs of another shape in training, as of networks with a second head, are an error with both shapes."""
    write_package(monkeypatch, nets=LAYER.format("images[:1]"))
    found = troubles(CONTINUED, model="mine.nets:build")
    what = "mine.nets:build: for 8 images it returns (1, 3) instead of a logit for each class"
    assert found[TWICE].startswith(what)


def test_optimizer_with_state_that_is_not_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    """Optimizer state that is not saved is detected when a training continues."""
    text = """
import torch

class Slower(torch.optim.SGD):
    steps = 0

    def step(self, closure=None):
        self.steps += 1
        for group in self.param_groups:
            group["lr"] /= self.steps
        return super().step(closure)

def build(groups, *, lr, weight_decay):
    return Slower(groups, lr=lr)
"""
    write_package(monkeypatch, optimizers=text)
    found = troubles(GROWN, optimizer="mine.optimizers:build")
    assert found.pop(CONTINUED).endswith(" becomes another")
    assert set(found.values()) == {""}


def test_network_that_cannot_be_exported(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that cannot be exported is a one-line error with a hint."""
    branch = "import torch\n" + LAYER.replace("return images\n", "return images if images.sum() > 0 else images * 2\n")
    write_package(monkeypatch, nets=branch.format("images"))
    found = troubles("", model="mine.nets:build")
    assert found.pop(EXPORTED).startswith("mine.nets:build: PyTorch cannot export it (")
    assert set(found.values()) == {""}


def test_code_that_cannot_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Code that cannot be imported is an error before any check, and the working directory is restored."""
    write_package(monkeypatch, nets="import nowhere\n")
    before = Path.cwd()
    with pytest.raises(ParamError, match=r"mine/nets.py:1: ModuleNotFoundError"):
        troubles("", model="mine.nets:build")
    assert Path.cwd() == before
