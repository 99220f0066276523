"""What a network makes of images before it decides on a class: the inputs of its last layer."""

from typing import NamedTuple

from torch import Tensor, nn

from pipeline.models.network import Network


class Seen(NamedTuple):
    """What a network makes of n images."""

    features: Tensor
    """Shape (n, features), float32."""
    logits: Tensor
    """Shape (n, classes), float32."""


def heads_of(network: Network) -> tuple[nn.Module, ...]:
    """The last layers of `network`: several where it was made for distillation, the first for the true labels.

    timm names them, that of `small` comes last. In a network of the project's own it is the last `nn.Linear` with an
    output for each class, and one more with a class more, if there is one.
    """
    named = getattr(network.body, "get_classifier", None)
    if not callable(named) and network.own_head is not None:
        return (network.body.get_submodule(network.own_head),) if network.own_head else ()
    heads = named() if callable(named) else list(network.body.children())[-1]
    return heads if isinstance(heads, tuple) else (heads,)


def head_of(network: Network) -> nn.Module | None:
    """The last layer of `network`, whose inputs are the features; None where it is not known."""
    head = next(iter(heads_of(network)), None)
    if head is None:
        return None
    assert isinstance(head, nn.Module)
    return head


def look(network: Network, images: Tensor) -> Seen:
    """Features and logits of `images` (n, channels, size, size), uint8, by one pass through `network`.

    Heads that are convolutions have an input at every place of an image; the mean over the places is taken. Without a
    head that is found, and called with a row of features for each image, the logits stand for the features.
    """
    inputs: list[Tensor] = []
    head = head_of(network)
    if head is None:
        logits = network(images)
        return Seen(logits, logits)
    handle = head.register_forward_pre_hook(lambda _, given: inputs.append(given[0]))
    try:
        logits = network(images)
    finally:
        handle.remove()
    if network.own_head is not None and (not inputs or inputs[-1].ndim != 2 or len(inputs[-1]) != len(images)):
        return Seen(logits, logits)
    features = inputs[-1].float()
    return Seen(features if features.ndim == 2 else features.flatten(2).mean(2), logits)
