"""Groups of layers from the input of a network to its head, and the freezing of layers: `train.freeze`."""

from collections.abc import Collection

from torch import nn

from pipeline.errors import ParamError
from pipeline.models.features import heads_of
from pipeline.models.network import Network
from pipeline.paths import PARAMS
from pipeline.text import counted

NONE, BACKBONE = "none", "backbone"


def groups_of(network: Network) -> list[list[str]]:
    """Return the names of the weights of `network`, in groups from input to head.

    timm defines the groups of its models. For other networks, each child module is a group, together with the
    normalisation that follows it.
    """
    matcher = getattr(network.body, "group_matcher", None)
    if matcher is None:
        return _by_children(network.body)
    from timm.models import group_parameters

    groups = group_parameters(network.body, matcher(coarse=False))
    return [[f"body.{name}" for name in groups[number]] for number in sorted(groups)]


def factors_of(network: Network, decay: float, head: float) -> dict[str, float]:
    """Return the learning-rate factors of the weights of `network`, by name.

    The factor of each group is `decay` times that of the next group; that of the last group is 1 (Bao et al., arXiv
    2106.08254, and timm's `param_groups_layer_decay`). The factors of the head's weights are also multiplied by `head`.
    """
    groups, of_head = groups_of(network), head_weights(network)
    return {
        name: decay ** (len(groups) - 1 - number) * (head if name in of_head else 1.0)
        for number, group in enumerate(groups)
        for name in group
    }


def head_weights(network: Network) -> frozenset[str]:
    """Return the names of the weights of the head of `network`."""
    ours = {id(weight) for head in heads_of(network) for weight in head.parameters()}
    return frozenset(name for name, weight in network.named_parameters() if id(weight) in ours)


def backbone_weights(network: Network, param: str) -> frozenset[str]:
    """Return the names of all weights of `network` outside its head.

    Raises:
        ParamError: the network has no known head; the error starts with `param`.
    """
    head = head_weights(network)
    if not head:
        what = f"{param}: the network has no head of its own"
        raise ParamError(PARAMS, what, f"freeze some of its {counted(len(groups_of(network)), 'group')} of layers")
    return frozenset(name for name, _ in network.named_parameters()) - head


def frozen_weights(network: Network, freeze: str | int) -> frozenset[str]:
    """Return the names of the weights of `network` that `train.freeze` freezes.

    Raises:
        ParamError: nothing would be left to train, or `network` has no known head.
    """
    if freeze == NONE:
        return frozenset()
    if freeze == BACKBONE:
        return backbone_weights(network, "train.freeze is backbone")
    groups = groups_of(network)
    if int(freeze) >= len(groups):
        what = f"train.freeze is {freeze}, but the network has {counted(len(groups), 'group')} of layers"
        raise ParamError(PARAMS, what, "set it to a smaller number, to backbone or to none")
    return frozenset(name for group in groups[: int(freeze)] for name in group)


def freeze_layers(network: Network, freeze: str | int) -> str:
    """Freeze the weights of `network` that `train.freeze` selects; returns a description, "" if nothing is frozen."""
    if freeze == NONE:
        return ""
    freeze_weights(network, frozen_weights(network, freeze))
    if freeze == BACKBONE:
        return "the head alone trains"
    return f"{freeze} of {counted(len(groups_of(network)), 'group')} of layers frozen"


def freeze_weights(network: Network, frozen: Collection[str]) -> None:
    """Freeze the weights of `network` named in `frozen`, and let all others train.

    Frozen modules are in evaluation mode: normalisation keeps its statistics, and dropout is off.
    """
    for name, weight in network.named_parameters():
        weight.requires_grad_(name not in frozen)
    still = frozen_modules(network)
    for module in network.modules():
        module.training = module not in still


def frozen_modules(network: Network) -> set[nn.Module]:
    """Return the modules of `network` in which no weight trains.

    A module without weights, such as dropout, counts as frozen if the next weights after it are frozen.
    """
    still: set[nn.Module] = set()
    is_next_frozen = False
    for module in reversed(list(network.modules())):
        if not [*module.parameters()]:
            still |= {module} if is_next_frozen else set()
        elif not any(weight.requires_grad for weight in module.parameters()):
            still.update(module.modules())
        if own := [*module.parameters(recurse=False)]:
            is_next_frozen = not any(weight.requires_grad for weight in own)
    return still


def _by_children(body: nn.Module) -> list[list[str]]:
    """Return one group per child module; weights outside any child, such as position embeddings, join the first."""
    first = [f"body.{name}" for name, _ in body.named_parameters(recurse=False)]
    groups: list[list[str]] = []
    for place, child in body.named_children():
        weights = dict(child.named_parameters(prefix=f"body.{place}"))
        if groups and all(weight.ndim < 2 for weight in weights.values()):
            groups[-1].extend(weights)
        elif weights:
            groups.append([*first, *weights])
            first = []
    return groups
