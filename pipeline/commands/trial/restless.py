"""Which layer of a network gives the same images other outputs each time."""

from typing import Any

import torch
from torch import Tensor, nn

from pipeline.models.network import Network
from pipeline.training.rng_state import generator_states, set_generators


def restless_layer(network: Network, images: Tensor) -> str | None:
    """The name and kind of the first layer that, while training, makes something else of the same at a second pass.

    None without one. Weights, statistics and the generators of Python, NumPy and PyTorch are at the second pass what
    they were at the first, as they are when an interrupted training goes on.
    """
    weights = {name: value.clone() for name, value in network.state_dict().items()}
    generators = generator_states()
    network.train()
    once = _outputs(network, images)
    network.load_state_dict(weights)
    set_generators(generators)
    again = _outputs(network, images)
    network.load_state_dict(weights)
    for (name, one), (_, other) in zip(once, again, strict=False):
        if one.shape != other.shape or not torch.equal(one, other):
            return name
    return None


def _outputs(network: Network, images: Tensor) -> list[tuple[str, Tensor]]:
    """What each layer made, in the order in which they did; a layer comes after those that it consists of."""
    made: list[tuple[str, Tensor]] = []
    names = {module: name for name, module in network.body.named_modules()}

    def note(module: nn.Module, _: Any, output: Any) -> None:
        if isinstance(output, Tensor):
            made.append((f"{names[module] or 'its forward'} ({type(module).__name__})", output.detach().clone()))

    handles = [module.register_forward_hook(note) for module in names]
    try:
        with torch.no_grad():
            network(images)
    finally:
        for handle in handles:
            handle.remove()
    return made
