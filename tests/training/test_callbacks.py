"""Callbacks of training in isolation; tests/scenarios/test_continue.py checks the contract of resuming."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from copy import deepcopy
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import torch
from conftest import ROOT
from torch import nn

from pipeline.models.network import Spec, build
from pipeline.params import read_params
from pipeline.training.drawing.sampling import Cursor
from pipeline.training.feeding.batches import Batch

if TYPE_CHECKING:
    from pipeline.training.module import Classifier

# Importing Lightning takes seconds: tests import it when they run, and share a worker process.
pytestmark = [
    pytest.mark.xdist_group("lightning"),
    pytest.mark.filterwarnings(r"ignore:::lightning\..*"),
]


class Spy:
    """Records what the averages are estimated on, and how often."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self) -> Iterator[torch.Tensor]:
        """Return the only batch."""
        self.asked += 1
        return iter([torch.arange(5 * 64, dtype=torch.float32).remainder(256).byte().reshape(5, 1, 8, 8)])


def trained() -> tuple[Classifier, Any]:
    """Return a classifier after three steps without a schedule, and the trainer that callbacks get."""
    from pipeline.training.module import Classifier
    from pipeline.training.optimizers import Schedule

    params = read_params(ROOT / "params.yaml").train
    spec = Spec(model="small", size=8, mode="grey", classes=("cat", "dog"))
    torch.manual_seed(0)
    module = Classifier(build(spec), spec, params, Schedule(3, 0.01, 0, stays=True), torch.ones(2))
    optimizer = module.configure_optimizers()["optimizer"]
    images = torch.arange(8 * 64).remainder(251).byte().reshape(8, 1, 8, 8)
    for _ in range(3):
        torch.autograd.backward(module.training_step(Batch(images, torch.tensor([0, 1] * 4), torch.ones(())), 0))
        optimizer.step()
        optimizer.zero_grad()
    plugin = SimpleNamespace(forward_context=nullcontext)
    return module, SimpleNamespace(optimizers=[optimizer], precision_plugin=plugin)


def state(module: Classifier, trainer: Any) -> dict[str, Any]:
    """Return the whole state of the training."""
    optimizer = trainer.optimizers[0].state_dict()
    return {"weights": module.state_dict(), "state": optimizer["state"], "groups": optimizer["param_groups"]}


def test_validating_changes_nothing() -> None:
    """Validation changes neither raw weights nor statistics nor the optimizer, bit for bit."""
    from pipeline.training.callbacks import AveragedWeights

    module, trainer = trained()
    before = deepcopy(state(module, trainer))
    callback = AveragedWeights(module.network, Spy())
    with torch.inference_mode():
        callback.on_validation_epoch_start(trainer, module)
        assert not equal(before["weights"], module.state_dict())
        callback.on_validation_epoch_end(trainer, module)
    after = state(module, trainer)
    assert equal(before["weights"], after["weights"])
    assert all(equal(values, after["state"][number]) for number, values in before["state"].items())
    assert before["groups"] == after["groups"]
    trainer.optimizers[0].step()


def test_the_model_is_what_was_measured() -> None:
    """In validation and at the end weights are x = y + (1 − 1 / β₁)(z − y), with statistics of the sample under x."""
    from pipeline.models.normalisation import estimate_statistics
    from pipeline.training.callbacks import AveragedWeights

    module, trainer = trained()
    z = {name: trainer.optimizers[0].state[weight]["z"].clone() for name, weight in module.named_parameters()}
    expected = {name: weight.lerp(z[name], 1 - 1 / 0.9) for name, weight in module.named_parameters()}
    spy = Spy()
    callback = AveragedWeights(module.network, spy)
    callback.on_validation_epoch_start(trainer, module)
    measured = {name: value.clone() for name, value in module.state_dict().items()}
    callback.on_validation_epoch_end(trainer, module)
    callback.on_train_end(trainer, module)
    assert equal(measured, module.state_dict())
    assert equal(expected, dict(module.named_parameters()))
    assert spy.asked == 2
    estimate_statistics(module.network, Spy()())
    assert equal(measured, module.state_dict())


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    """Whether both have the same content, bit for bit."""
    return one.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in one.items())


def test_mean_worked_by_hand() -> None:
    """All weights from the first step on count the same."""
    from pipeline.training.callbacks import MeanWeights

    module = nn.Linear(1, 1, bias=False)
    callback, weights = MeanWeights(first=102), {100: 50.0, 101: 60.0, 102: 1.0, 103: 2.0, 104: 6.0}
    callback._average_model = torch.optim.swa_utils.AveragedModel(module, **callback._kwargs)
    for step, weight in weights.items():
        nn.init.constant_(module.weight, weight)
        trainer: Any = SimpleNamespace(global_step=step + 1)
        callback.on_train_batch_end(trainer, module, None, None, 0)  # type: ignore[arg-type]
    assert callback._average_model.module.get_parameter("weight").item() == pytest.approx(3.0)


def test_finished_holds_what_the_next_generation_needs() -> None:
    """A finished model has weights, optimizer, counters and turns, and nothing that only an unfinished one needs."""
    from pipeline.training.callbacks import finished

    kept = {"state_dict": {"weight": torch.zeros(1)}, "optimizer_states": [{"state": 0}], "epoch": 5}
    ours: dict[str, Any] = {"generators": {}, "curves": {}, "current_model_state": {}, "averaging_state": {}}
    model = finished({**kept, **ours, "callbacks": {"some": "state"}}, Cursor(3, 2**63))
    assert model == {**kept, "callbacks": {}, "cursor": [3, 2**63]}
