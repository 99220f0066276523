"""What computes, and how tensors and networks come there."""

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from pipeline.errors import ParamError
from pipeline.params import Compute
from pipeline.paths import PARAMS


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


def there(value: Tensor, where: torch.device) -> Tensor:
    """`value` on the device `where`, in the same layout."""
    if where.type != "cuda" or value.device.type != "cpu":
        return value.to(where)
    # From memory that may be paged out, CUDA copies only once the GPU has done all that it was told before.
    return value.pin_memory().to(where, non_blocking=True)


def take_in(optimizer: Optimizer) -> None:
    """Let `optimizer`, whose weights lie where they are to be trained, take in the state that another device left.

    Loading gives it the layout, the counters of steps and the choice of kernels of where it was saved.
    """
    fused = optimizer.param_groups[0].get("fused")

    def adapt(loaded: Optimizer) -> None:
        for group in loaded.param_groups:
            if "fused" in group:
                group["fused"] = fused
        for weight, state in loaded.state.items():
            for name, value in state.items():
                if name == "step":  # On the CPU where it is read there: PyTorch's issue 74424.
                    state[name] = value.to(weight.device if fused else "cpu")
                elif value.shape == weight.shape and value.stride() != weight.stride():
                    state[name] = torch.empty_like(weight).copy_(value)

    optimizer.register_load_state_dict_post_hook(adapt)


def arrange(network: nn.Module, where: torch.device) -> None:
    """Lay the filters of `network` out as the device `where` convolves them fastest, which changes no number."""
    if where.type == "cuda":
        network.to(memory_format=torch.channels_last)
