"""Where it runs: what `compute.accelerator` stands for, and an error in one line where there is no such thing."""

from collections.abc import Callable

import pytest
import torch
from conftest import ROOT

from pipeline.errors import ParamError
from pipeline.models.device import device
from pipeline.params import Compute, read_params

COMPUTE = read_params(ROOT / "params.yaml").compute


def on(accelerator: str) -> Compute:
    """The parameters with `accelerator`."""
    return COMPUTE.model_copy(update={"accelerator": accelerator})


def test_auto_takes_what_there_is() -> None:
    """Something always computes, and a CPU is everywhere."""
    assert device(on("cpu")) == torch.device("cpu")
    assert device(on("auto")).type in ("cpu", "cuda", "mps")


@pytest.mark.parametrize(
    ("accelerator", "is_here"), [("gpu", torch.cuda.is_available), ("mps", torch.backends.mps.is_available)]
)
def test_what_is_not_here_is_an_error(accelerator: str, is_here: Callable[[], bool]) -> None:
    """An accelerator that PyTorch does not find is named, with what to set instead."""
    if is_here():
        pytest.skip("there is one")
    with pytest.raises(ParamError) as raised:
        device(on(accelerator))
    said = str(raised.value)
    assert f"compute.accelerator is '{accelerator}', and PyTorch finds none here; set it to auto or cpu" in said
    assert said.splitlines() == [said]
