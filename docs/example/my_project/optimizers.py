"""The optimizer."""

from typing import Any

import torch


def build(groups: list[dict[str, Any]], *, lr: float, weight_decay: float) -> torch.optim.Optimizer:
    """NAdam for groups of named parameters, each of which has its own weight decay."""
    return torch.optim.NAdam(groups, lr=lr, weight_decay=weight_decay, decoupled_weight_decay=True)
