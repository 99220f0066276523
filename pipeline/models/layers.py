"""Layers in groups from the input of a network to its head, and those that are frozen: `train.freeze`."""

from collections.abc import Collection

from torch import nn

from pipeline.errors import ParamError
from pipeline.models.features import heads_of
from pipeline.models.network import Network
from pipeline.paths import PARAMS
from pipeline.text import counted

NONE, BACKBONE = "none", "backbone"


def groups_of(network: Network) -> list[list[str]]:
    """The names of the weights of `network`, in groups from input to head.

    timm says for each of its models which they are; elsewhere they are the children in order, with the normalisation
    that follows them.
    """
    matcher = getattr(network.body, "group_matcher", None)
    if matcher is None:
        return _by_children(network.body)
    from timm.models import group_parameters

    groups = group_parameters(network.body, matcher(coarse=False))
    return [[f"body.{name}" for name in groups[number]] for number in sorted(groups)]


def head_weights(network: Network) -> frozenset[str]:
    """The names of the weights of the head of `network`."""
    ours = {id(weight) for head in heads_of(network) for weight in head.parameters()}
    return frozenset(name for name, weight in network.named_parameters() if id(weight) in ours)


def frozen_weights(network: Network, freeze: str | int) -> frozenset[str]:
    """The names of the weights of `network` that `train.freeze` keeps as they are.

    Raises:
        ParamError: nothing would be left to train, or `network` has no head of its own.
    """
    if freeze == NONE:
        return frozenset()
    groups = groups_of(network)
    if isinstance(freeze, int):
        if freeze >= len(groups):
            what = f"train.freeze is {freeze}, but the network has {counted(len(groups), 'group')} of layers"
            raise ParamError(PARAMS, what, "set it to a smaller number, to backbone or to none")
        return frozenset(name for group in groups[:freeze] for name in group)
    head = head_weights(network)
    if not head:
        what = "train.freeze is backbone, but the network has no head of its own"
        raise ParamError(PARAMS, what, f"freeze some of its {counted(len(groups), 'group')} of layers")
    return frozenset(name for name, _ in network.named_parameters()) - head


def freeze_layers(network: Network, freeze: str | int) -> str:
    """Freeze what `train.freeze` says of `network`; returns what that means in words, "" if it is nothing."""
    if freeze == NONE:
        return ""
    hold(network, frozen_weights(network, freeze))
    if freeze == BACKBONE:
        return "the head alone trains"
    return f"{freeze} of {counted(len(groups_of(network)), 'group')} of layers frozen"


def hold(network: Network, frozen: Collection[str]) -> None:
    """Let the weights `frozen` of `network`, by name, stay as they are in training, and all others train.

    What is frozen computes as in prediction: its normalisation keeps its statistics, and nothing in it is dropped.
    """
    for name, weight in network.named_parameters():
        weight.requires_grad_(name not in frozen)
    still = resting(network)
    for module in network.modules():
        module.training = module not in still


def resting(network: Network) -> set[nn.Module]:
    """The modules of `network` that have nothing which trains, where something is frozen.

    One without weights belongs to the module whose weights come next: dropout to what it is the input of.
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
    groups: list[list[str]] = []
    for place, child in body.named_children():
        weights = dict(child.named_parameters(prefix=f"body.{place}"))
        if groups and all(weight.ndim < 2 for weight in weights.values()):
            groups[-1].extend(weights)
        elif weights:
            groups.append([*weights])
    return groups
