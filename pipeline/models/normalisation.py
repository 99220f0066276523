"""Statistics of batch normalisation, estimated anew: averaged weights were never trained with, so none fit them."""

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from pipeline.models.layers import frozen_modules
from pipeline.models.network import Network


def normalised(network: Network) -> list[_BatchNorm]:
    """The layers of `network` that keep such statistics, but for those that are frozen."""
    layers = [layer for layer in network.modules() if isinstance(layer, _BatchNorm) and layer.track_running_stats]
    still = frozen_modules(network)
    return [layer for layer in layers if layer not in still]


@torch.no_grad()
def estimate_statistics(network: Network, batches: Iterable[Tensor]) -> None:
    """Give `network` the mean statistics of `batches` of images, as it sees them; it must have such layers.

    All else in it is as in prediction, and every layer as it was afterwards.
    """
    layers, modes = normalised(network), [(module, module.training) for module in network.modules()]
    momenta = [layer.momentum for layer in layers]
    network.eval()
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # The mean of all batches, not a moving one.
        layer.train()
    for images in batches:
        network(images)
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum
    for module, training in modes:
        module.training = training
