"""TrivialAugment (Müller & Hutter, arXiv 2103.10158) and RandAugment (Cubuk et al., arXiv 1909.13719).

TrivialAugment applies one random operation to each image, at a random strength (its "wide" ranges); both are uniformly
distributed. RandAugment applies two in sequence, at a fixed strength. Two geometric operations are combined into one.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from kornia.enhance import (
    adjust_brightness_accumulative,
    adjust_contrast_with_mean_subtraction,
    adjust_saturation_with_gray_subtraction,
    equalize,
    posterize,
    sharpness,
    solarize,
)
from torch import Tensor

from pipeline.training.augmentation.dice import Dice
from pipeline.training.augmentation.geometry import Motion
from pipeline.training.drawing.randomness import Purpose

# Number of operations per image, and their strength from 0 to 1; None for a uniformly distributed strength.
POLICIES: dict[str, tuple[int, float | None]] = {"trivial": (1, None), "rand": (2, 9 / 30)}
# Magnitude of each operation at the full strength of 1.
SHEAR, TRANSLATE, ROTATE, FACTOR = 0.99, 32 / 224, 135.0, 0.99
POSTERIZE = 6  # Number of bits removed.


class Operations(NamedTuple):
    """One operation for each of n images."""

    which: Tensor
    """Position of each image's operation in `OPERATIONS`, shape (n,), int64."""
    strengths: Tensor
    """Strengths from 0 to 1, shape (n,)."""
    signs: Tensor
    """Signs, 1 or −1, shape (n,)."""
    places: Sequence[Tensor] = ()
    """For each of `OPERATIONS` the positions of its images, in order."""

    @property
    def signed(self) -> Tensor:
        """Signed strengths, shape (n,)."""
        return self.strengths * self.signs


def draw(policy: str, dice: Dice) -> list[Operations]:
    """Draw the operations of `policy` for each image, in the order of their application."""
    count, strength = POLICIES[policy]
    drawn = []
    for number in range(count):
        which, places = dice.groups(Purpose.OPERATION + number, len(OPERATIONS))
        strengths = dice.between(Purpose.MAGNITUDE + number, strength or 0.0, strength or 1.0)
        signs = torch.where(dice.chosen(Purpose.SIGN + number, 0.5), 1.0, -1.0)
        drawn.append(Operations(which, strengths, signs, places))
    return drawn


def _autocontrast(images: Tensor, _: Operations) -> Tensor:
    low, high = images.amin((2, 3), keepdim=True), images.amax((2, 3), keepdim=True)
    return torch.where(high > low, (images - low) / (high - low).clamp(min=1e-6), images)


def _saturated(images: Tensor, drawn: Operations) -> Tensor:
    is_colour = images.shape[1] == 3
    return adjust_saturation_with_gray_subtraction(images, _factors(drawn)) if is_colour else images


def _factors(drawn: Operations) -> Tensor:
    return 1 + FACTOR * drawn.signed


# Operations that change pixel values, on images in 0…1; geometric operations are part of the motion.
VALUES: dict[str, Callable[[Tensor, Operations], Tensor]] = {
    "brightness": lambda images, drawn: adjust_brightness_accumulative(images, _factors(drawn)),
    "contrast": lambda images, drawn: adjust_contrast_with_mean_subtraction(images, _factors(drawn)),
    "saturation": _saturated,
    "sharpness": lambda images, drawn: sharpness(images, _factors(drawn)),
    "posterize": lambda images, drawn: posterize(images, 8 - (POSTERIZE * drawn.strengths).round().int()),
    "solarize": lambda images, drawn: solarize(images, 1 - drawn.strengths),
    "autocontrast": _autocontrast,
    "equalize": lambda images, _: equalize(images),
}
MOTIONS = ("shear x", "shear y", "translate x", "translate y", "rotate")
OPERATIONS = ("identity", *MOTIONS, *VALUES)


def move(motion: Motion, operations: Sequence[Operations], sides: tuple[int, int]) -> Motion:
    """Add the geometric part of `operations` to `motion`, for images of `sides` (height, width)."""
    for drawn in operations:

        def of(name: str, drawn: Operations = drawn) -> Tensor:
            return torch.where(drawn.which == OPERATIONS.index(name), drawn.signed, 0.0)

        along = torch.stack([of("translate x") * sides[1], of("translate y") * sides[0]], 1)
        motion = Motion(
            middle=motion.middle + TRANSLATE * along,
            scale=motion.scale,
            angle=motion.angle + ROTATE * of("rotate"),
            shear=motion.shear + SHEAR * torch.stack([of("shear x"), of("shear y")], 1),
        )
    return motion


def change_values(images: Tensor, operations: Sequence[Operations]) -> Tensor:
    """Apply those of `operations` that change pixel values to `images`, with values in 0…1."""
    for drawn in operations:
        for name, change in VALUES.items():
            here = drawn.places[OPERATIONS.index(name)]
            if len(here):
                some = Operations(drawn.which[here], drawn.strengths[here], drawn.signs[here])
                images = images.index_copy(0, here, change(images[here], some).clamp(0, 1))
    return images
