"""Shifts by whole pixels and flips, without interpolation."""

import torch
from torch import Tensor

from pipeline.augment_params import Augment
from pipeline.training.augmentation.dice import Dice
from pipeline.training.drawing.randomness import Purpose


def shift(images: Tensor, share: float, dice: Dice) -> Tensor:
    """Shift `images` (n, channels, height, width) by up to `share` of their sides; edge pixels are repeated."""
    count, channels, height, width = images.shape

    def offsets(purpose: Purpose, most: int) -> Tensor:
        return (dice.below(purpose, 2 * most + 1) - most)[:, None, None]

    most = round(share * width)
    left, right = (images[..., edge].expand(-1, -1, -1, most) for edge in (slice(1), slice(width - 1, width)))
    padded = torch.cat([left, images, right], 3)
    # Each line of the result is a slice of the padded images, given by its start.
    lines = torch.arange(height, device=images.device)
    rows = (lines + offsets(Purpose.SHIFT_Y, round(share * height))).clamp(0, height - 1)
    first = height * torch.arange(count * channels, device=images.device).view(count, channels, 1)
    begins = (first + rows) * padded.shape[3] + offsets(Purpose.SHIFT_X, most) + most
    return padded.view(-1).unfold(0, width, 1).index_select(0, begins.view(-1)).view(images.shape)


def mirror(images: Tensor, params: Augment, dice: Dice) -> Tensor:
    """Flip a random half of `images` left to right, and a random half upside down, if `params` request it."""
    for wanted, axis, purpose in ((params.flip, 3, Purpose.FLIP), (params.flip_vertical, 2, Purpose.FLIP_VERTICAL)):
        if wanted:
            images = torch.where(dice.chosen(purpose, 0.5)[:, None, None, None], images.flip(axis), images)
    return images
