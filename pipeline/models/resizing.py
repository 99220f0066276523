"""Convert the weights of a network to another image size: timm resamples position embeddings."""

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
    """Return `weights` of the same classifier for another image size, in the shapes of `network`, built from `spec`.

    Weights that already have these shapes are left unchanged, and so are those of the head, which has rows of classes.

    Raises:
        CheckpointError: some weights are valid for a single size only, for example those that mix image positions.
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
    """Check that the weights of the network of `spec` can be converted to another image `size`.

    Raises:
        CheckpointError: the weights cannot be converted.
        ParamError: the network cannot be built.
    """
    with torch.random.fork_rng(devices=[]):
        before, now = build(spec), build(wanted := spec.model_copy(update={"size": size}))
    resize({f"network.{name}": value for name, value in before.state_dict().items()}, now, wanted)
