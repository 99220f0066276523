"""Inference in fewer steps: batch normalisation folded into the convolution before it."""

from itertools import pairwise

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


def fold(network: nn.Module) -> None:
    """Make one step of each convolution and the normalisation that follows it, where `network` says that it does.

    That is in `nn.Sequential`, which computes in the order that it lists. The outputs stay the same but for rounding.
    `network` must be in evaluation mode; it cannot be trained any more.
    """
    for module in list(network.modules()):
        if isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward:
            _fold_neighbours(module)


def _fold_neighbours(sequence: nn.Sequential) -> None:
    for place, (first, second) in enumerate(pairwise(list(sequence))):
        # Not what inherits from them: timm has normalisations that apply an activation, too, and convolutions that
        # change their weights first. And one that keeps no statistics takes those of the batch.
        if type(first) is nn.Conv2d and type(second) is nn.BatchNorm2d and second.running_mean is not None:
            sequence[place], sequence[place + 1] = fuse_conv_bn_eval(first, second), nn.Identity()
