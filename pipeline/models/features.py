"""Features of images: the inputs of a network's last layer."""

from typing import NamedTuple

from torch import Tensor, nn

from pipeline.models.network import Network


class Seen(NamedTuple):
    """Features and logits of n images."""

    features: Tensor
    """Shape (n, features), float32."""
    logits: Tensor
    """Shape (n, classes), float32."""


def heads_of(network: Network) -> tuple[nn.Module, ...]:
    """Return the last layers of `network`: several in distilled networks, the first of them for the true labels.

    timm names the heads of its models; the head of `small` is its last child. In a network of the project's own code,
    the head is the last `nn.Linear` with one output per class, however many classes there are; it may have none.
    """
    named = getattr(network.body, "get_classifier", None)
    if not callable(named) and network.own_head is not None:
        return (network.body.get_submodule(network.own_head),) if network.own_head else ()
    heads = named() if callable(named) else list(network.body.children())[-1]
    return heads if isinstance(heads, tuple) else (heads,)


def head_of(network: Network) -> nn.Module | None:
    """Return the last layer of `network`, whose inputs are the features; None if it is not known."""
    head = next(iter(heads_of(network)), None)
    if head is None:
        return None
    assert isinstance(head, nn.Module)
    return head


def look(network: Network, images: Tensor) -> Seen:
    """Return features and logits of `images` (n, channels, size, size), uint8, from one forward pass of `network`.

    For convolutional heads, the features are averaged over all positions of an image. If the network has no known
    head, or a head of the project's own code is not called with one feature vector per image, the logits are returned
    as features.
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
