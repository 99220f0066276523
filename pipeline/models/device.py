"""The device that computes, and the transfer of tensors and networks to it."""

import torch
from torch import Tensor, nn

from pipeline.errors import ParamError
from pipeline.params import Compute
from pipeline.paths import PARAMS
from pipeline.text import counted


def device(compute: Compute) -> torch.device:
    """Return the kind of device that `compute.accelerator` selects on this machine.

    Raises:
        ParamError: PyTorch finds no device of that kind.
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
    """Check that this machine has `compute.devices` devices; on CPUs any number is allowed, processes share the cores.

    Raises:
        ParamError: the machine has fewer devices.
    """
    kind = device(compute).type
    found = torch.cuda.device_count() if kind == "cuda" else 1
    if kind != "cpu" and found < compute.devices:
        what = f"compute.devices is {compute.devices}, and PyTorch finds {counted(found, 'GPU')} here"
        raise ParamError(PARAMS, what, f"set it to {found}; compute.nodes counts machines")


def to_device(value: Tensor, where: torch.device) -> Tensor:
    """Copy `value` to the device `where` if needed, in the same memory layout."""
    if where.type != "cuda" or value.device.type != "cpu" or not value.numel():
        return value.to(where)
    # CUDA copies from pageable memory only after the GPU has finished all work queued before.
    return value.pin_memory().to(where, non_blocking=True)


def use_fast_layout(network: nn.Module, where: torch.device) -> None:
    """Convert `network` to the channels-last layout of its inputs, if the device `where` supports it.

    Gradients come in that layout; with weights in another layout, each gradient would be copied.
    """
    if where.type != "mps":
        network.to(memory_format=torch.channels_last)
