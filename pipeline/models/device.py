"""What computes."""

import torch

from pipeline.params import Compute


def device(compute: Compute) -> torch.device:
    """The kind of device that `compute.accelerator` stands for on this machine."""
    if compute.accelerator == "auto":
        kind = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    else:
        kind = {"gpu": "cuda"}.get(compute.accelerator, compute.accelerator)
    return torch.device(kind)
