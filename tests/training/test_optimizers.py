"""Groups of weights, their learning rates, and when they start to train."""

from __future__ import annotations

import copy
import sys
from typing import Any

import pytest
import torch
from conftest import ROOT

from pipeline.models.layers import backbone_weights, factors_of, freeze_layers, freeze_weights, groups_of
from pipeline.models.network import Network, Spec, build
from pipeline.params import read_params
from pipeline.train_params import Train
from pipeline.training.optimizers import History, begin_later, histories, optimizer_of, schedule_of

TIMM = ROOT / ".venv" / "timm"
OPTIMIZERS = ["schedule_free", "adamw"]


def params(**changes: Any) -> Train:
    """Return this repository's params, changed."""
    return read_params(ROOT / "params.yaml").train.model_copy(update={"lr": 0.5, "warmup": 0.5, **changes})


def small() -> Network:
    """Return the built-in network."""
    torch.manual_seed(0)
    return build(Spec(model="small", size=8, mode="grey", classes=("cat", "dog")))


def rates(optimizer: Any) -> dict[str, float]:
    """Return the peak learning rate of each weight by name."""
    return {
        name: group.get("initial_lr", group["lr"]) for group in optimizer.param_groups for name in group["param_names"]
    }


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_two_groups_as_ever(optimizer: str) -> None:
    """There are two groups, matrices and vectors, with only options that the optimizer knows."""
    made = optimizer_of(small(), params(optimizer=optimizer), schedule_of(params(optimizer=optimizer), 9, warm=False))
    groups = made["optimizer"].param_groups
    assert [group["weight_decay"] for group in groups] == [0.05, 0.0]
    assert {weight.ndim >= 2 for weight in groups[0]["params"]} == {True}
    assert {weight.ndim >= 2 for weight in groups[1]["params"]} == {False}
    known = {*made["optimizer"].defaults, "params", "param_names", "initial_lr"}
    assert all(group.keys() <= known for group in groups)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_rates_by_layer(optimizer: str) -> None:
    """Each group has half of the next one's rate, and the head three times the last one's."""
    here, network = params(optimizer=optimizer, layer_decay=0.5, head_lr=3.0), small()
    found = rates(optimizer_of(network, here, schedule_of(here, 9, warm=False))["optimizer"])
    assert found.keys() == {f"network.{name}" for name, _ in network.named_parameters()}
    for number, group in enumerate(groups_of(network)):
        expected = 1.5 if number == 4 else 0.5 * 0.5 ** (4 - number)
        assert {found[f"network.{name}"] for name in group} == {expected}


def test_steps_are_as_long_as_the_rates_are_large() -> None:
    """Without a schedule, too, the first step of each weight is its own rate."""
    here, network = params(layer_decay=0.5, warmup=0.0, weight_decay=0.0), small()
    optimizer = optimizer_of(network, here, schedule_of(here, 9, warm=False))["optimizer"]
    before = copy.deepcopy(dict(network.named_parameters()))
    for weight in network.parameters():
        weight.grad = torch.ones_like(weight)
    optimizer.step()
    optimizer.eval()
    for name, rate in rates(optimizer).items():
        place = name.removeprefix("network.")
        torch.testing.assert_close(before[place] - network.get_parameter(place), torch.full_like(before[place], rate))


@pytest.mark.slow
@pytest.mark.parametrize("model", ["test_resnet", "test_vit", "test_convnext"])
def test_factors_are_those_of_timm(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Factors equal those of timm's `param_groups_layer_decay` for every weight."""
    if not TIMM.is_dir():
        pytest.skip("timm is not in .venv/timm; `make check` puts it there")
    monkeypatch.setattr(sys, "path", [*sys.path, str(TIMM)])
    from timm.optim import param_groups_layer_decay

    network = build(Spec(model=f"timm/{model}", size=64, mode="rgb", classes=("cat", "dog")))
    scales = {
        id(weight): group["lr_scale"]
        for group in param_groups_layer_decay(network.body, layer_decay=0.7)
        for weight in group["params"]
    }
    factors = factors_of(network, 0.7, 1.0)
    assert len(set(factors.values())) > 3
    for name, weight in network.named_parameters():
        assert factors[name] == pytest.approx(scales[id(weight)]), name


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_only_what_trains(optimizer: str) -> None:
    """Frozen weights are not in the optimizer."""
    network = small()
    freeze_layers(network, "backbone")
    made = optimizer_of(network, params(optimizer=optimizer), schedule_of(params(optimizer=optimizer), 9, warm=False))
    assert rates(made["optimizer"]).keys() == {"network.body.8.weight", "network.body.8.bias"}


def test_schedules_of_head_and_rest() -> None:
    """The head rises in its own steps, the rest in the remaining ones; with AdamW both fall to zero at the end."""
    here = params(optimizer="adamw", epochs=4, head_epochs=2.0)
    schedule = schedule_of(here, 8, warm=False)
    assert (schedule.alone, schedule.rise, schedule.later_rise) == (4, 2, 2)
    head = [1 / 2, 1, 1, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6, 0]
    assert [schedule.share_of_peak(step) for step in range(9)] == pytest.approx(head)
    rest = [0, 0, 0, 0, 1 / 2, 1, 1, 1 / 2, 0]
    assert [schedule.later_share_of_peak(step) for step in range(9)] == pytest.approx(rest)
    free = schedule_of(here.model_copy(update={"optimizer": "schedule_free"}), 8, warm=False)
    assert [free.later_share_of_peak(step) for step in range(9)] == pytest.approx([0, 0, 0, 0, 1 / 2, 1, 1, 1, 1])


@pytest.mark.parametrize(
    ("changes", "warm", "alone"),
    [
        ({"head_epochs": 0.5}, False, 1),
        ({"head_epochs": 0.01}, False, 0),
        ({"head_epochs": 3.99}, False, 7),
        ({"head_epochs": 2.0}, True, 0),
        ({"head_epochs": 2.0, "freeze": "backbone"}, False, 0),
        ({"head_epochs": 2.0, "freeze": 3}, False, 4),
    ],
)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_steps_of_the_head_alone(changes: dict[str, Any], warm: bool, alone: int, optimizer: str) -> None:  # noqa: FBT001
    """The head's steps are fractions of an epoch, at cold starts only, never all steps; none if all else is frozen."""
    assert schedule_of(params(epochs=4, optimizer=optimizer, **changes), 8, warm=warm).alone == alone


def test_counters_begin_when_weights_do() -> None:
    """Weights that start later take the steps of a training that starts then, bit for bit."""
    here = params(epochs=2, head_epochs=1.0)
    schedule, network = schedule_of(here, 8, warm=False), small()
    optimizer = optimizer_of(network, here, schedule)["optimizer"]
    backbone = backbone_weights(network, "")
    weights = dict(network.named_parameters())

    def step(number: int) -> None:
        for weight in weights.values():
            weight.grad = torch.full_like(weight, 1.0 + number) if weight.requires_grad else None
        optimizer.step()

    freeze_weights(network, backbone)
    for number in range(4):
        step(number)
    freeze_weights(network, ())
    begin_later(optimizer, [weights[name] for name in backbone])
    before = copy.deepcopy(network)
    alone = optimizer_of(before, here.model_copy(update={"head_epochs": 0.0}), schedule_of(here, 4, warm=True))
    for group in alone["optimizer"].param_groups:
        group["warmup_steps"] = schedule.later_rise
    for number in range(4):
        step(number)
        for weight in before.parameters():
            weight.grad = torch.full_like(weight, 1.0 + number)
        alone["optimizer"].step()
    for name in backbone:
        assert torch.equal(weights[name], before.get_parameter(name)), name
    counts = {name: group["k"] for group in optimizer.param_groups for name in group["param_names"]}
    assert {counts[f"network.{name}"] for name in backbone} == {4}
    assert counts["network.body.8.weight"] == 8


def test_histories() -> None:
    """Return the counters of either optimizer by name."""
    network, found = small(), {}
    for optimizer in OPTIMIZERS:
        made = optimizer_of(
            network, params(optimizer=optimizer), schedule_of(params(optimizer=optimizer), 9, warm=False)
        )
        for weight in network.parameters():
            weight.grad = torch.ones_like(weight)
        made["optimizer"].step()
        found[optimizer] = histories(made["optimizer"].state_dict())["network.body.8.weight"]
    assert found["adamw"] == History(1, None, None)
    rate = 0.5 / 4
    assert found["schedule_free"] == History(1, rate, rate**2)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_groups_of_different_histories(optimizer: str) -> None:
    """Without a schedule groups with different counters stay separate; AdamW counts per weight."""
    here, network = params(optimizer=optimizer), small()
    names = [f"network.{name}" for name, _ in network.named_parameters()]
    known = {name: History(5, 0.5, 1.25) for name in names[:3]} | {name: History(9, 0.5, 2.25) for name in names[3:-2]}
    schedule = schedule_of(here, 8, warm=True)._replace(known=known)
    groups = optimizer_of(network, here, schedule)["optimizer"].param_groups
    assert len(groups) == (6 if optimizer == "schedule_free" else 2)
    if optimizer == "schedule_free":
        assert [group["warmup_steps"] for group in groups] == [0, 0, 0, 0, 4, 4]
        assert groups[4]["param_names"] == [names[-2]]
