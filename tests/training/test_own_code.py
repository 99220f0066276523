"""Own functions for loss and optimizer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from support.own import write_package
from training.test_warm_start import GROWN, classifier, fit, images, moments

from pipeline.errors import ParamError
from pipeline.lineage.class_changes import ClassChanges
from pipeline.training.feeding.batches import Batch

if TYPE_CHECKING:
    from pipeline.models.checkpoint import Checkpoint

# Importing Lightning takes seconds: tests import it when they run, and share a worker process.
pytestmark = [
    pytest.mark.xdist_group("lightning"),
    pytest.mark.filterwarnings(r"ignore:::lightning\..*"),
]

CROSS_ENTROPY = """
from torch.nn.functional import cross_entropy


def loss(logits, targets):
    return cross_entropy(logits, targets, reduction="none")
"""
NADAM = """
import torch


def build(groups, *, lr, weight_decay):
    return torch.optim.NAdam(groups, lr=lr, weight_decay=weight_decay, decoupled_weight_decay=True)
"""
ADAFACTOR = NADAM.replace(
    "NAdam(groups, lr=lr, weight_decay=weight_decay, decoupled_weight_decay=True)", "Adafactor(groups)"
)
LOSS, OPTIMIZER = "mine.losses:loss", "mine.optimizers:build"
BATCH = Batch(torch.arange(128, dtype=torch.uint8).reshape(2, 1, 8, 8), torch.tensor([0, 1]), torch.ones(()))


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a project with its own code the working directory."""
    monkeypatch.chdir(tmp_path)
    write_package(monkeypatch, losses=CROSS_ENTROPY, optimizers=NADAM)


@pytest.mark.parametrize("weights", [None, torch.tensor([0.5, 1.5])])
def test_loss_of_each_image(weights: torch.Tensor | None) -> None:
    """An own cross-entropy equals the built-in loss, with weights of images and classes."""
    batch = BATCH._replace(weights=weights)
    ours, own = classifier(label_smoothing=0.0), classifier(label_smoothing=0.3, loss=LOSS)
    for one in (ours, own):
        one.get_buffer("class_weights")[:] = torch.tensor([0.5, 2.0])
    torch.testing.assert_close(own.training_step(batch, 1), ours.training_step(batch, 1))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (
            "cross_entropy(logits, targets)",
            "for 2 images it returns (), and not the shape (2,); return the loss of each",
        ),
        ("None", "for 2 images it returns something of type NoneType, and not the shape (2,)"),
        ("logits + logits.new_zeros(7)", "mine/losses.py:6: RuntimeError: "),
    ],
)
def test_no_loss(monkeypatch: pytest.MonkeyPatch, changed: str, said: str) -> None:
    """An invalid loss is a one-line error with a hint."""
    text = CROSS_ENTROPY.replace('cross_entropy(logits, targets, reduction="none")', changed)
    write_package(monkeypatch, losses=text)
    with pytest.raises(ParamError) as raised:
        classifier(loss=LOSS).training_step(BATCH, 1)
    assert str(raised.value).startswith(f"{LOSS}: {said}")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            f"{NADAM}    return 1\n".replace("return torch", "torch"),
            "it returns something of type int; return a torch Opt",
        ),
        (
            NADAM.replace("NAdam(groups,", "NAdam(groups[:1],"),
            "the optimizer does not have all parameters of the network",
        ),
        (
            NADAM.replace("NAdam(groups,", "NAdam([p for g in groups for _, p in g['params']],"),
            "the optimizer does not have all parameters of the network under their names; give it `groups`",
        ),
        (NADAM.replace("lr=lr", "lr=-1"), "mine/optimizers.py:6: ValueError: Invalid learning rate: -1; correct it"),
        ("def build(groups): ...\n", "its signature does not fit (got an unexpected keyword argument 'lr'); declare"),
    ],
)
def test_no_optimizer(monkeypatch: pytest.MonkeyPatch, text: str, said: str) -> None:
    """An invalid optimizer is a one-line error with a hint."""
    write_package(monkeypatch, optimizers=text)
    with pytest.raises(ParamError) as raised:
        classifier(optimizer=OPTIMIZER).configure_optimizers()
    assert str(raised.value).startswith(f"{OPTIMIZER}: {said}")


def test_weights_decay_by_group() -> None:
    """Biases and scales have no weight decay; the learning rate has AdamW's schedule."""
    made: Any = classifier(optimizer=OPTIMIZER, weight_decay=0.25).configure_optimizers()
    groups = made["optimizer"].param_groups
    assert [group["weight_decay"] for group in groups] == [0.25, 0.0]
    assert all("weight" in name for name in groups[0]["param_names"])
    assert made["lr_scheduler"]["interval"] == "step"


REGROUPED = """
import torch


def build(groups, *, lr, weight_decay):
    {groups}
    return torch.optim.SGD(groups, lr=lr)
"""
ONE = REGROUPED.format(groups='groups = [{"params": [pair for group in groups for pair in group["params"]]}]')
MANY = REGROUPED.format(groups='groups = [{**group, "params": [pair]} for group in groups for pair in group["params"]]')
RATES: dict[str, Any] = {"optimizer": OPTIMIZER, "head_lr": 3.0, "head_epochs": 3.0, "epochs": 12, "warmup": 0.5}


def test_groups_of_its_own_have_the_rates_of_their_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """Groups by the function keep their weights' rates: the head's is three times the rest's, which starts later."""
    write_package(monkeypatch, optimizers=MANY)
    made: Any = classifier(**RATES, steps=16).configure_optimizers()
    optimizer, schedule = made["optimizer"], made["lr_scheduler"]["scheduler"]
    for _ in range(5):
        rates = {name: group["lr"] for group in optimizer.param_groups for name in group["param_names"]}
        is_first = schedule.last_epoch == 0
        optimizer.step()
        schedule.step()
        if is_first:
            assert {name for name, rate in rates.items() if rate} == {"network.body.8.weight", "network.body.8.bias"}
    head, rest = rates.pop("network.body.8.weight"), rates.pop("network.body.0.weight")
    assert head == pytest.approx(0.03 * (16 - 4) / (16 - 2))
    assert rest == pytest.approx(0.01 / 6)


def test_weights_of_different_rates_in_one_group(monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights of different rates in one group are a one-line error with the params; without these they are valid."""
    write_package(monkeypatch, optimizers=ONE)
    asked: list[dict[str, Any]] = [{"head_lr": 3.0}, {"layer_decay": 0.5}, {"head_epochs": 3.0}]
    for one in asked:
        with pytest.raises(ParamError, match=r"mine.optimizers:build: it puts weights .* do without train.head_lr, "):
            classifier(optimizer=OPTIMIZER, **one).configure_optimizers()
    made: Any = classifier(optimizer=OPTIMIZER).configure_optimizers()
    assert len(made["optimizer"].param_groups) == 1


def grown_from(base: Checkpoint, **params: Any) -> tuple[Checkpoint, Checkpoint]:
    """Return the start of a generation with an additional class, and its result."""
    from pipeline.training.warm_start import warm_start

    model = classifier(GROWN, seed=1, **params)
    start = warm_start(base, model, model._params, ClassChanges())
    return start, fit(model, images(24, GROWN), Path(), epochs=start["epoch"] + 1, start=start).checkpoint


def test_warm_start_goes_on_with_its_state() -> None:
    """A warm start continues the state of each weight; rows of the new class are the mean of the others."""
    base = fit(classifier(optimizer=OPTIMIZER), images(24), Path(), epochs=1).checkpoint
    start, model = grown_from(base, optimizer=OPTIMIZER)
    before, now = moments(base), moments(start)
    assert before.keys() == now.keys()
    for name, state in now.items():
        assert state.keys() == before[name].keys()
        for key, value in state.items():
            old = before[name][key]
            if value.shape == old.shape:
                assert torch.equal(value, old)
            else:
                assert torch.equal(value[:2], old)
                torch.testing.assert_close(value[2], old.mean(0))
    assert moments(model)["network.body.8.weight"]["exp_avg"].shape == (3, 128)
    assert model["optimizer"] == f"{OPTIMIZER} NAdam"


def test_state_that_cannot_grow_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Adafactor's state of the head, with rows and columns of a matrix, starts again."""
    write_package(monkeypatch, optimizers=ADAFACTOR)
    base = fit(classifier(optimizer=OPTIMIZER), images(24), Path(), epochs=1).checkpoint
    start, model = grown_from(base, optimizer=OPTIMIZER)
    assert moments(base).keys() - moments_of_start(start) == {"network.body.8.weight"}
    assert all(torch.isfinite(value).all() for value in model["state_dict"].values())


def moments_of_start(start: Checkpoint) -> set[str]:
    """Return the weights with a state."""
    state = start["optimizer_states"][0]
    pairs = (
        (name, n)
        for group in state["param_groups"]
        for name, n in zip(group["param_names"], group["params"], strict=True)
    )
    return {name for name, number in pairs if state["state"].get(number)}


@pytest.mark.parametrize(
    ("before", "now"),
    [("schedule_free", OPTIMIZER), ("adamw", OPTIMIZER), (OPTIMIZER, "schedule_free"), (OPTIMIZER, "adamw")],
)
def test_optimizers_take_turns(before: str, now: str) -> None:
    """From a base of another optimizer training starts without a state."""
    base = fit(classifier(optimizer=before), images(24), Path(), epochs=1).checkpoint
    start, model = grown_from(base, optimizer=now)
    assert moments_of_start(start) == set()
    assert all(torch.isfinite(value).all() for value in model["state_dict"].values())
    assert ("optimizer" in model) == (now == OPTIMIZER)


def test_another_optimizer_by_the_same_function(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another optimizer from the same function starts without a state, since its form may differ."""
    base = fit(classifier(optimizer=OPTIMIZER), images(24), Path(), epochs=1).checkpoint
    write_package(monkeypatch, optimizers=ADAFACTOR)
    start, _ = grown_from(base, optimizer=OPTIMIZER)
    assert moments_of_start(start) == set()
