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


def factors_of(network: Network, decay: float, head: float) -> dict[str, float]:
    """The factors on the learning rate of the weights of `network`, by name.

    That of each group is `decay` times that of the next one, which ends at 1 (Bao et al., arXiv 2106.08254, and timm's
    `param_groups_layer_decay`); the weights of the head have `head` besides.
    """
    groups, of_head = groups_of(network), head_weights(network)
    return {
        name: decay ** (len(groups) - 1 - number) * (head if name in of_head else 1.0)
        for number, group in enumerate(groups)
        for name in group
    }


def head_weights(network: Network) -> frozenset[str]:
    """The names of the weights of the head of `network`."""
    ours = {id(weight) for head in heads_of(network) for weight in head.parameters()}
    return frozenset(name for name, weight in network.named_parameters() if id(weight) in ours)


def backbone_weights(network: Network, param: str) -> frozenset[str]:
    """The names of all other weights of `network`.

    Raises:
        ParamError: it has no head of its own, so `param` asks for what cannot be.
    """
    head = head_weights(network)
    if not head:
        what = f"{param}: the network has no head of its own"
        raise ParamError(PARAMS, what, f"freeze some of its {counted(len(groups_of(network)), 'group')} of layers")
    return frozenset(name for name, _ in network.named_parameters()) - head


def frozen_weights(network: Network, freeze: str | int) -> frozenset[str]:
    """The names of the weights of `network` that `train.freeze` keeps as they are.

    Raises:
        ParamError: nothing would be left to train, or `network` has no head of its own.
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
    """Freeze what `train.freeze` says of `network`; returns what that means in words, "" if it is nothing."""
    if freeze == NONE:
        return ""
    freeze_weights(network, frozen_weights(network, freeze))
    if freeze == BACKBONE:
        return "the head alone trains"
    return f"{freeze} of {counted(len(groups_of(network)), 'group')} of layers frozen"


def freeze_weights(network: Network, frozen: Collection[str]) -> None:
    """Let the weights `frozen` of `network`, by name, stay as they are in training, and all others train.

    What is frozen computes as in prediction: its normalisation keeps its statistics, and nothing in it is dropped.
    """
    for name, weight in network.named_parameters():
        weight.requires_grad_(name not in frozen)
    still = frozen_modules(network)
    for module in network.modules():
        module.training = module not in still


def frozen_modules(network: Network) -> set[nn.Module]:
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
    """Those of a network that does not say its own; weights of no child, embeddings of positions say, come first."""
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
