"""Random resized crops, rotations and shears: all that happens to an image at once, so that it is interpolated once."""

import math
from typing import NamedTuple

import torch
from kornia.geometry.transform import get_affine_matrix2d, warp_affine
from torch import Tensor

from pipeline.augment_params import Augment
from pipeline.models.device import there
from pipeline.training.augmentation.dice import Dice
from pipeline.training.drawing.randomness import Purpose


class Motion(NamedTuple):
    """What happens to the geometry of n images; the middle of what is shown stays in the middle."""

    middle: Tensor
    """What is shown in the middle, (x, y) in pixels, shape (n, 2)."""
    scale: Tensor
    """Factors on width and height, shape (n, 2)."""
    angle: Tensor
    """Clockwise, in degrees, shape (n,)."""
    shear: Tensor
    """Tangents along x and y, shape (n, 2)."""


def drawn(shape: torch.Size, params: Augment, dice: Dice) -> Motion:
    """The crop and the angle of each of the images of `shape`, (n, channels, height, width).

    The area of a crop is even in `params.crop`, and the logarithm of its ratio of sides, relative to the image's, in
    that of `params.crop_ratio` (Szegedy et al., arXiv 1409.4842); what would be longer than the image is cut.
    """
    sides = there(torch.tensor(shape[:1:-1]), dice.device)
    shown, ratio = (params.crop, params.crop_ratio) if params.crop else ([1.0, 1.0], [1.0, 1.0])
    areas = dice.between(Purpose.CROP_AREA, *shown)
    ratios = dice.between(Purpose.CROP_RATIO, *map(math.log, ratio)).exp()
    shares = torch.stack([(areas * ratios).sqrt(), (areas / ratios).sqrt()], 1).clamp(max=1)
    places = torch.stack([dice.around(purpose, 0, 0.5) for purpose in (Purpose.CROP_X, Purpose.CROP_Y)], 1)
    return Motion(
        middle=(sides - 1) / 2 + places * (1 - shares) * sides,
        scale=1 / shares,
        angle=dice.around(Purpose.ANGLE, 0, params.rotate),
        shear=torch.zeros_like(shares),
    )


def moved(images: Tensor, motion: Motion) -> Tensor:
    """`images` of shape (n, channels, height, width), floating-point, after `motion`; edges are repeated outwards."""
    height, width = images.shape[2:]
    to = there(torch.tensor([width - 1, height - 1]), images.device) / 2 - motion.middle
    # In double precision a matrix does not depend on how many are made at once.
    middle, scale, angle, to = (one.double() for one in (motion.middle, motion.scale, motion.angle, to))
    shear = motion.shear.double().atan()
    matrices = get_affine_matrix2d(to, middle, scale, angle, *shear.unbind(1))
    return warp_affine(images, matrices[:, :2].to(images.dtype), (height, width), padding_mode="border")
