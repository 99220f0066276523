"""Random changes to training images."""

import torch
from torch import Tensor

from pipeline.training.augmentation.dice import Dice


def turn(images: Tensor, dice: Dice) -> Tensor:
    """Images of shape (n, channels, side, side), uint8, each turned by a random number of quarters."""
    turned = torch.stack([images.rot90(quarters, (2, 3)) for quarters in range(4)])
    return turned[dice.below("quarters", 4), torch.arange(len(images), device=images.device)]
