"""Random colour changes, blur and erasing, on images of shape (n, channels, height, width) with values in 0…1."""

import math

import torch
from kornia.color import rgb_to_grayscale
from kornia.enhance import (
    adjust_brightness_accumulative,
    adjust_contrast_with_mean_subtraction,
    adjust_hue,
    adjust_saturation_with_gray_subtraction,
)
from kornia.filters import gaussian_blur2d
from torch import Tensor

from pipeline.augment_params import Augment
from pipeline.training.augmentation.dice import Dice
from pipeline.training.drawing.randomness import Purpose

# Ranges: sigma of the blur in pixels of a 224-pixel image; erased share of the area; aspect ratio of the erased box.
SIGMAS, ERASED, ERASED_RATIOS = (0.1, 2.0), (0.02, 0.33), (0.3, 3.3)
MEASURED_AT = 224


def jittered(images: Tensor, params: Augment, dice: Dice) -> Tensor:
    """Change brightness, contrast, saturation and hue of `images`, and convert a share of them to grey."""
    is_colour = images.shape[1] == 3
    steps = (
        (params.brightness, adjust_brightness_accumulative, Purpose.BRIGHTNESS),
        (params.contrast, adjust_contrast_with_mean_subtraction, Purpose.CONTRAST),
        (params.saturation if is_colour else 0.0, adjust_saturation_with_gray_subtraction, Purpose.SATURATION),
    )
    for reach, change, purpose in steps:
        if reach:
            images = change(images, dice.around(purpose, 1, reach))
    if params.hue and is_colour:
        images = adjust_hue(images, 2 * math.pi * dice.around(Purpose.HUE, 0, params.hue))
    if params.grey and is_colour:
        images = torch.where(_for_each(dice.chosen(Purpose.GREY, params.grey)), rgb_to_grayscale(images), images)
    return images


def blurred(images: Tensor, share: float, dice: Dice) -> Tensor:
    """Blur the given share of `images`."""
    side = min(images.shape[2:])
    sigmas = dice.between(Purpose.BLUR_SIGMA, *SIGMAS) * max(side / MEASURED_AT, 0.5)
    reach = min(math.ceil(3 * SIGMAS[1] * max(side / MEASURED_AT, 0.5)), (side - 1) // 2)
    soft = gaussian_blur2d(images, 2 * reach + 1, sigmas[:, None].expand(-1, 2))
    return torch.where(_for_each(dice.chosen(Purpose.BLUR, share)), soft, images)


def erased(images: Tensor, share: float, dice: Dice) -> Tensor:
    """Fill a random box in the given share of `images` with their mean colour (Zhong et al., arXiv 1708.04896)."""
    areas = dice.between(Purpose.ERASE_AREA, *ERASED)
    ratios = dice.between(Purpose.ERASE_RATIO, *map(math.log, ERASED_RATIOS)).exp()
    is_inside = boxes(
        images.shape,
        torch.stack([(areas * ratios).sqrt(), (areas / ratios).sqrt()], 1).clamp(max=1),
        torch.stack([dice.between(purpose, 0, 1) for purpose in (Purpose.ERASE_X, Purpose.ERASE_Y)], 1),
    )
    is_erased = is_inside & _for_each(dice.chosen(Purpose.ERASE, share))
    return torch.where(is_erased, images.mean((2, 3), keepdim=True), images)


def boxes(shape: torch.Size, shares: Tensor, places: Tensor) -> Tensor:
    """Return which pixels of images of `shape` are inside a box per image: (n, 1, height, width), bool.

    `shares` are width and height of each box as shares of the image's. `places` are its positions in x and y, from 0 at
    one edge to 1 at the other. Both have shape (n, 2).
    """
    inside = []
    for side, share, place in zip(shape[:1:-1], shares.unbind(1), places.unbind(1), strict=True):
        length = (share * side).round()
        begin = (place * (side - length + 1)).floor().clamp(max=side - length)
        line = torch.arange(side, device=shares.device)
        inside.append((line >= begin[:, None]) & (line < (begin + length)[:, None]))
    across, down = inside
    return (down[:, :, None] & across[:, None, :])[:, None]


def _for_each(of_images: Tensor) -> Tensor:
    """Reshape (n,) to (n, 1, 1, 1)."""
    return of_images[:, None, None, None]
