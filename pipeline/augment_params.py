"""The param `train.augment`."""

from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag

from pipeline.param_types import OWN, Fraction, Fractions, Range, Section

# How the two kinds of its values are called where one is wrong; no name of a key has brackets.
PRESET, BLOCK = "(preset)", "(block)"


class Augment(Section):
    """Random changes to training images. What is not listed is not done."""

    shift: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    """Largest shift in each direction, as a share of the image's side."""
    flip: bool = False
    """Whether half of the images are mirrored left to right."""
    flip_vertical: bool = False
    """Whether half of the images are turned upside down by mirroring."""
    crop: Fractions | None = None
    """Share of an image's area that a random crop shows, scaled to the whole size, as in `[0.5, 1]`; null: none."""
    crop_ratio: Range = Field(default=[0.75, 1.333])
    """Ratio of the sides of a crop, relative to the image's."""
    rotate: Annotated[float, Field(ge=0, le=180)] = 0.0
    """Largest rotation in each direction, in degrees."""
    brightness: Fraction = 0.0
    """Largest change of the brightness: 0.4 stands for a factor from 0.6 to 1.4."""
    contrast: Fraction = 0.0
    """Largest change of the contrast, as a share."""
    saturation: Fraction = 0.0
    """Largest change of the saturation, as a share."""
    hue: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    """Largest change of the hue in each direction, as a share of the colour circle."""
    grey: Fraction = 0.0
    """Share of the images that lose their colours."""
    blur: Fraction = 0.0
    """Share of the images that are blurred."""
    policy: Literal["none", "trivial", "rand"] = "none"
    """TrivialAugment (one random operation of 14), RandAugment (two of them, weak), or neither."""
    erase: Fraction = 0.0
    """Share of the images in which a random box is erased."""
    mixup: Annotated[float, Field(ge=0, le=10)] = 0.0
    """α of mixup, which blends each image, and its label, with another one of its batch; 0: not at all."""
    cutmix: Annotated[float, Field(ge=0, le=10)] = 0.0
    """α of CutMix, which pastes a box of another image of the batch; with `mixup`, each image gets one of the two."""


def _kind_of_augment(value: object) -> str:
    return PRESET if isinstance(value, str) else BLOCK


Augmentation = Annotated[
    Annotated[str, Field(pattern=rf"^(none|light|strong|{OWN})$"), Tag(PRESET)] | Annotated[Augment, Tag(BLOCK)],
    Discriminator(_kind_of_augment),
]
