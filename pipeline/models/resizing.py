"""Weights of a network for images of one size, brought to another: timm resamples embeddings of positions."""

from collections.abc import Mapping

import torch
from torch import Tensor

from pipeline.errors import COLD, CheckpointError
from pipeline.models.checkpoint import CHECKPOINT
from pipeline.models.fitting import as_built
from pipeline.models.network import Network, Spec, build, rows_of_classes
from pipeline.paths import BASE

BODY = "network.body."


def resize(weights: Mapping[str, Tensor], network: Network, spec: Spec) -> dict[str, Tensor]:
    """`weights`, of a classifier like that of `network` but for the size, in the shapes of `network`, which has `spec`.

    What has those shapes is left as it is, and so is the head, whose rows are of classes.

    Raises:
        CheckpointError: some have a meaning for one size alone, as those that mix the places of an image do.
    """
    heads = {f"network.{name}" for name in rows_of_classes(spec)}
    own = {f"{BODY}{name}": value.shape for name, value in network.body.state_dict().items()}
    other = {name for name in weights.keys() & own.keys() - heads if weights[name].shape != own[name]}
    if not other:
        return dict(weights)
    with torch.no_grad():
        brought = as_built(weights, network.body)
    resized = {name: brought.get(name.removeprefix(BODY), weights[name]) for name in other}
    if lost := sorted(name for name, value in resized.items() if value.shape != own[name]):
        what = f"train.size is {spec.size}, and {spec.model} has weights that fit one size alone ({lost[0]})"
        raise CheckpointError(BASE / CHECKPOINT, what, f"set it back, or {COLD}")
    return {**weights, **resized}


def check_size(spec: Spec, size: int) -> None:
    """Look whether the weights of the network of `spec` can be brought to images of another `size`.

    Raises:
        CheckpointError: they cannot.
        ParamError: there is no such network.
    """
    with torch.random.fork_rng(devices=[]):
        before, now = build(spec), build(wanted := spec.model_copy(update={"size": size}))
    resize({f"network.{name}": value for name, value in before.state_dict().items()}, now, wanted)
