"""Optimizer states of another device are adapted in layout, counters and kernels."""

from copy import deepcopy
from typing import Any

import pytest
import torch
from conftest import ROOT

from pipeline.models.network import Network, Spec, build
from pipeline.params import read_params
from pipeline.train_params import Train
from pipeline.training.optimizers import Schedule, optimizer_of

SPEC = Spec(model="small", size=8, mode="grey", classes=("a", "b"))
WAYS = ("schedule_free", "adamw")


def params(optimizer: str) -> Train:
    """Return params with that optimizer."""
    return read_params(ROOT / "params.yaml").train.model_copy(update={"optimizer": optimizer})


def trained(network: Network, optimizer: Any, steps: int) -> None:
    """Take `steps` steps along constant gradients."""
    generator = torch.Generator().manual_seed(0)
    for _ in range(steps):
        for weight in network.parameters():
            weight.grad = torch.empty_like(weight).copy_(torch.randn(weight.shape, generator=generator))
        optimizer.step()


def begun(optimizer: str, layout: torch.memory_format) -> tuple[Network, Any]:
    """Return a network whose filters have this layout, and its optimizer."""
    torch.manual_seed(0)
    network = build(SPEC)
    network.to(memory_format=layout)
    return network, optimizer_of(network, params(optimizer), Schedule(8, 0.01, 2))["optimizer"]


@pytest.mark.parametrize("optimizer", WAYS)
def test_states_lie_as_their_weights(optimizer: str) -> None:
    """A state of one layout loads into weights of the other, and training continues equally."""
    for of_saved, of_loaded in (
        (torch.contiguous_format, torch.channels_last),
        (torch.channels_last, torch.contiguous_format),
    ):
        network, saved = begun(optimizer, of_saved)
        trained(network, saved, 3)
        other, loaded = begun(optimizer, of_loaded)
        other.load_state_dict(network.state_dict())
        loaded.load_state_dict(deepcopy(saved.state_dict()))
        for weight in other.parameters():
            values = [value for value in loaded.state[weight].values() if value.shape == weight.shape]
            assert len(values) == 2
            assert {value.stride() for value in values} == {weight.stride()}
        trained(network, saved, 2)
        trained(other, loaded, 2)
        for one, two in zip(network.parameters(), other.parameters(), strict=True):
            assert torch.equal(one, two)


def test_kernels_are_those_of_the_device() -> None:
    """A state from a GPU with a fused kernel continues with the CPU's kernels and counters."""
    network, ours = begun("adamw", torch.contiguous_format)
    trained(network, ours, 1)
    state = ours.state_dict()
    assert {group["fused"] for group in state["param_groups"]} == {None}
    for group in state["param_groups"]:
        group["fused"] = True
    ours.load_state_dict(state)
    assert {group["fused"] for group in ours.param_groups} == {None}
    assert {values["step"].device.type for values in ours.state.values()} == {"cpu"}
    trained(network, ours, 1)
    if torch.cuda.is_available():
        on_gpu = build(SPEC).to("cuda")
        theirs = optimizer_of(on_gpu, params("adamw"), Schedule(8, 0.01, 2))["optimizer"]
        theirs.load_state_dict(ours.state_dict())
        assert {group["fused"] for group in theirs.param_groups} == {True}
        assert {values["step"].device.type for values in theirs.state.values()} == {"cuda"}
