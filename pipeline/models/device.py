"""What computes, and how tensors and networks come there."""

import torch
from torch import Tensor, nn

from pipeline.errors import ParamError
from pipeline.params import Compute
from pipeline.paths import PARAMS
from pipeline.text import counted


def device(compute: Compute) -> torch.device:
    """The kind of device that `compute.accelerator` stands for on this machine.

    Raises:
        ParamError: PyTorch finds none of that kind.
    """
    if compute.accelerator == "auto":
        kind = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    else:
        kind = {"gpu": "cuda"}.get(compute.accelerator, compute.accelerator)
    if (kind == "cuda" and not torch.cuda.is_available()) or (kind == "mps" and not torch.backends.mps.is_available()):
        what = f"compute.accelerator is {compute.accelerator!r}, and PyTorch finds none here"
        raise ParamError(PARAMS, what, "set it to auto or cpu, which retrains nothing")
    return torch.device(kind)


def check_count(compute: Compute) -> None:
    """See that this machine has as many devices as `compute.devices` says; cores are shared where they are fewer.

    Raises:
        ParamError: it has not.
    """
    kind = device(compute).type
    found = torch.cuda.device_count() if kind == "cuda" else 1
    if kind != "cpu" and found < compute.devices:
        what = f"compute.devices is {compute.devices}, and PyTorch finds {counted(found, 'GPU')} here"
        raise ParamError(PARAMS, what, f"set it to {found}; compute.nodes counts machines")


def to_device(value: Tensor, where: torch.device) -> Tensor:
    """`value` on the device `where`, in the same layout."""
    if where.type != "cuda" or value.device.type != "cpu" or not value.numel():
        return value.to(where)
    # From memory that may be paged out, CUDA copies only once the GPU has done all that it was told before.
    return value.pin_memory().to(where, non_blocking=True)


def use_fast_layout(network: nn.Module, where: torch.device) -> None:
    """Lay the filters of `network` out as its inputs are, if the device `where` can: gradients come in that layout.

    In another one each of them would be copied.
    """
    if where.type != "mps":
        network.to(memory_format=torch.channels_last)
