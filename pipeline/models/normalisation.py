"""Estimation of batch normalisation statistics: averaged weights need their own, since training never ran with them."""

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from pipeline.models.layers import frozen_modules
from pipeline.models.network import Network


def normalised(network: Network) -> list[_BatchNorm]:
    """Return the layers of `network` with batch normalisation statistics that are not frozen."""
    layers = [layer for layer in network.modules() if isinstance(layer, _BatchNorm) and layer.track_running_stats]
    still = frozen_modules(network)
    return [layer for layer in layers if layer not in still]


@torch.no_grad()
def estimate_statistics(network: Network, batches: Iterable[Tensor]) -> None:
    """Set the batch normalisation statistics of `network` to their means over `batches` of images.

    Meanwhile all other layers are in evaluation mode; afterwards the mode of every layer is restored.
    """
    layers, modes = normalised(network), [(module, module.training) for module in network.modules()]
    momenta = [layer.momentum for layer in layers]
    network.eval()
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # Cumulative mean over all batches instead of a moving average.
        layer.train()
    for images in batches:
        network(images)
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum
    for module, training in modes:
        module.training = training
