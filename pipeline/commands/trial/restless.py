"""Find the layer of a network whose outputs are not reproducible."""

from typing import Any

import torch
from torch import Tensor, nn

from pipeline.models.network import Network
from pipeline.training.rng_state import generator_states, set_generators


def restless_layer(network: Network, images: Tensor) -> str | None:
    """Return name and class of the first layer whose outputs differ between two identical passes in training mode.

    None if there is no such layer. Weights, buffers and the random states of Python, NumPy and PyTorch are restored
    before the second pass, as for an interrupted training that continues.
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
    """Return the output of each layer, in the order of computation; a layer comes after its sublayers."""
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
