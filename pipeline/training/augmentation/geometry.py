"""Random resized crops, rotations and shears, combined so that each image is interpolated only once."""

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
    """Geometric transformations of n images around the center of the output."""

    middle: Tensor
    """Point of the image at the center of the output, (x, y) in pixels, shape (n, 2)."""
    scale: Tensor
    """Scale of width and height: output pixels per image pixel, shape (n, 2)."""
    angle: Tensor
    """Clockwise rotation in degrees, shape (n,)."""
    shear: Tensor
    """Tangents of the shear along x and y, shape (n, 2)."""


def drawn(shape: torch.Size, params: Augment, dice: Dice, size: int) -> Motion:
    """Draw crop and angle for each of the images of `shape` (n, channels, height, width); output sides are ≤ `size`.

    The area of a crop is uniform in `params.crop`. The logarithm of its aspect ratio, relative to the image's, is
    uniform in the range of `params.crop_ratio` (Szegedy et al., arXiv 1409.4842). Sides are clipped to the image's.
    Without crops, the output is the center crop, as outside training.
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
    """Return the oversampling factor for crops of images of `shape` to `size`, so that no pixels are skipped.

    Bilinear interpolation uses four neighbouring pixels, so it covers all pixels down to half the resolution.
    """
    return max(1, math.ceil(max(shape[2:]) / (2 * size)))


def moved(images: Tensor, motion: Motion, size: int | None = None, *, finer: int = 1) -> Tensor:
    """Apply `motion` to `images` (n, channels, height, width), floating-point; edge pixels are repeated outwards.

    The output is at most `size` high and wide. Each of its pixels is the mean of `finer` × `finer` interpolated ones.
    """
    height, width = (finer * min(side, size or side) for side in images.shape[2:])
    to = to_device(torch.tensor([width - 1, height - 1]), images.device) / 2 - motion.middle
    # In double precision, a matrix does not depend on the size of the batch.
    middle, scale, angle, to = (one.double() for one in (motion.middle, finer * motion.scale, motion.angle, to))
    shear = motion.shear.double().atan()
    matrices = get_affine_matrix2d(to, middle, scale, angle, *shear.unbind(1))
    shown = warp_affine(images, matrices[:, :2].to(images.dtype), (height, width), padding_mode="border")
    return shown if finer == 1 else avg_pool2d(shown, finer)
