"""The device of `compute.accelerator`, and a one-line error if there is none."""

from collections.abc import Callable

import pytest
import torch
from conftest import ROOT
from torch import Tensor, nn

from pipeline.errors import ParamError
from pipeline.models.device import check_count, device, use_fast_layout
from pipeline.models.network import Spec, build
from pipeline.params import Compute, read_params

COMPUTE = read_params(ROOT / "params.yaml").compute


def on(accelerator: str) -> Compute:
    """Return the params with `accelerator`."""
    return COMPUTE.model_copy(update={"accelerator": accelerator})


def test_auto_takes_what_there_is() -> None:
    """`auto` always selects a device, and the CPU is always available."""
    assert device(on("cpu")) == torch.device("cpu")
    assert device(on("auto")).type in ("cpu", "cuda", "mps")


@pytest.mark.parametrize(
    ("accelerator", "is_here"), [("gpu", torch.cuda.is_available), ("mps", torch.backends.mps.is_available)]
)
def test_what_is_not_here_is_an_error(accelerator: str, is_here: Callable[[], bool]) -> None:
    """An accelerator that PyTorch does not find is an error with alternatives."""
    if is_here():
        pytest.skip("there is one")
    with pytest.raises(ParamError) as raised:
        device(on(accelerator))
    said = str(raised.value)
    assert f"compute.accelerator is '{accelerator}', and PyTorch finds none here; set it to auto or cpu" in said
    assert said.splitlines() == [said]


def test_more_gpus_than_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """More GPUs than available are an error with their number before training; any number of CPU processes is valid."""
    check_count(on("cpu").model_copy(update={"devices": 1000}))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)  # Independent of this machine's GPUs.
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    check_count(on("gpu").model_copy(update={"devices": 2}))
    with pytest.raises(ParamError) as raised:
        check_count(on("auto").model_copy(update={"devices": 4}))
    assert "compute.devices is 4, and PyTorch finds 2 GPUs here; set it to 2; compute.nodes" in str(raised.value)


COLOURS = {"grey": 1, "rgb": 3}


def networks() -> list[tuple[int, nn.Module]]:
    """Return the built-in network for both colour modes, and one with depthwise filters, with their channels."""
    ours = [(n, build(Spec(model="small", mode=mode, size=8, classes=("cat", "dog")))) for mode, n in COLOURS.items()]
    by_channel = [nn.Conv2d(3, 12, 3, groups=3), nn.Conv2d(12, 12, 3, groups=12), nn.Conv2d(12, 2, 1)]
    return [*ours, (3, nn.Sequential(*by_channel, nn.AdaptiveAvgPool2d(1), nn.Flatten()))]


@pytest.mark.parametrize(("channels", "network"), networks())
def test_gradients_come_in_the_layout_of_their_weights(channels: int, network: nn.Module) -> None:
    """Gradients have their weights' layout, so that they are not copied, and PyTorch does not warn about strides."""
    use_fast_layout(network, torch.device("cpu"))
    strides = []

    def note(weight: nn.Parameter) -> Callable[[Tensor], None]:
        return lambda gradient: strides.append((gradient.stride(), weight.stride()))

    filters = [weight for weight in network.parameters() if weight.ndim == 4]
    for weight in filters:
        weight.register_hook(note(weight))  # type: ignore[no-untyped-call]
    images = torch.zeros(2, channels, 8, 8).to(memory_format=torch.channels_last)
    network(images).sum().backward()
    assert len(strides) == len(filters)
    assert all(gradient == weight for gradient, weight in strides)
