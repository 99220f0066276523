"""What computes."""

import torch

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
