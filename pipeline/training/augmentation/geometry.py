"""Random resized crops, rotations and shears: all that happens to an image at once, so that it is interpolated once."""

import math
from typing import NamedTuple

import torch
from kornia.geometry.transform import get_affine_matrix2d, warp_affine
from torch import Tensor
from torch.nn.functional import avg_pool2d

from pipeline.augment_params import Augment
from pipeline.models.device import to_device
from pipeline.models.framing import margin_of
from pipeline.training.augmentation.dice import Dice
from pipeline.training.drawing.randomness import Purpose


class Motion(NamedTuple):
    """What happens to the geometry of n images; the middle of what is shown stays in the middle."""

    middle: Tensor
    """What is shown in the middle, (x, y) in pixels of the image, shape (n, 2)."""
    scale: Tensor
    """Factors on width and height: pixels of what is shown per pixel of the image, shape (n, 2)."""
    angle: Tensor
    """Clockwise, in degrees, shape (n,)."""
    shear: Tensor
    """Tangents along x and y, shape (n, 2)."""


def drawn(shape: torch.Size, params: Augment, dice: Dice, size: int) -> Motion:
    """The crop and the angle of each of the images of `shape`, (n, channels, height, width), shown at `size` at most.

    The area of a crop is even in `params.crop`, and the logarithm of its ratio of sides, relative to the image's, in
    that of `params.crop_ratio` (Szegedy et al., arXiv 1409.4842); what would be longer than the image is cut. Without
    crops the middle is shown, as it is outside training.
    """
    sides = to_device(torch.tensor(shape[:1:-1]), dice.device)
    seen = sides.clamp(max=size)
    shown, ratio = (params.crop, params.crop_ratio) if params.crop else ([1.0, 1.0], [1.0, 1.0])
    areas = dice.between(Purpose.CROP_AREA, *shown)
    ratios = dice.between(Purpose.CROP_RATIO, *map(math.log, ratio)).exp()
    shares = torch.stack([(areas * ratios).sqrt(), (areas / ratios).sqrt()], 1).clamp(max=1)
    places = torch.stack([dice.around(purpose, 0, 0.5) for purpose in (Purpose.CROP_X, Purpose.CROP_Y)], 1)
    margins = torch.tensor([margin_of(side, size) for side in shape[:1:-1]], device=dice.device)
    still = (sides - 1) / 2 if params.crop else margins + (seen - 1) / 2
    return Motion(
        middle=still + places * (1 - shares) * sides,
        scale=(seen / sides if params.crop else 1) / shares,
        angle=dice.around(Purpose.ANGLE, 0, params.rotate),
        shear=torch.zeros_like(shares),
    )


def fineness(shape: torch.Size, size: int) -> int:
    """How much finer crops of the images of `shape`, shown at `size`, are interpolated: 2 where one skips pixels else.

    A pixel that is interpolated is made of its four neighbours, which are all up to half the resolution.
    """
    return max(1, math.ceil(max(shape[2:]) / (2 * size)))


def moved(images: Tensor, motion: Motion, size: int | None = None, *, finer: int = 1) -> Tensor:
    """`images` of shape (n, channels, height, width), floating-point, after `motion`; edges are repeated outwards.

    At most `size` high and wide, which is what is shown of larger ones; each pixel the mean of `finer` × `finer`.
    """
    height, width = (finer * min(side, size or side) for side in images.shape[2:])
    to = to_device(torch.tensor([width - 1, height - 1]), images.device) / 2 - motion.middle
    # In double precision a matrix does not depend on how many are made at once.
    middle, scale, angle, to = (one.double() for one in (motion.middle, finer * motion.scale, motion.angle, to))
    shear = motion.shear.double().atan()
    matrices = get_affine_matrix2d(to, middle, scale, angle, *shear.unbind(1))
    shown = warp_affine(images, matrices[:, :2].to(images.dtype), (height, width), padding_mode="border")
    return shown if finer == 1 else avg_pool2d(shown, finer)
