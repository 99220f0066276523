"""Pretrained weights for a training with frozen layers."""

from collections.abc import Mapping
from typing import Any

import torch
from conftest import TINY

from pipeline import paths
from pipeline.models.network import Spec, build

NAME = "drawn.pt"


def with_weights(train: Mapping[str, Any]) -> dict[str, Any]:
    """Return the changes `train` of that section, with the param `pretrained` and its file if layers are frozen."""
    if train.get("freeze", "none") == "none" or "pretrained" in train:
        return dict(train)
    torch.manual_seed(7)
    spec = Spec(model="small", size=TINY["train"]["size"], mode=TINY["ingest"]["mode"], classes=("cat", "dog"))
    paths.WEIGHTS.mkdir(exist_ok=True)
    torch.save(build(spec).body.state_dict(), paths.WEIGHTS / NAME)
    return {**train, "pretrained": NAME}
