"""The param `train.augment`."""

from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag

from pipeline.param_types import OWN, Fraction, Fractions, Range, Section

# Names of the two kinds of values in pydantic's errors. Brackets never occur in the name of a key.
PRESET, BLOCK = "(preset)", "(block)"


class Augment(Section):
    """Random changes to training images. A change that is not listed is not applied."""

    shift: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    """Largest shift in each direction, as a share of the image's side."""
    flip: bool = False
    """Whether to mirror half of the images left to right."""
    flip_vertical: bool = False
    """Whether to mirror half of the images top to bottom."""
    crop: Fractions | None = None
    """Range of a random crop's share of the image's area: `[0.5, 1]`; crops are scaled to full size; null: no crop."""
    crop_ratio: Range = Field(default=[0.75, 1.333])
    """Range of a crop's aspect ratio, relative to the image's aspect ratio."""
    rotate: Annotated[float, Field(ge=0, le=180)] = 0.0
    """Largest rotation in each direction, in degrees."""
    brightness: Fraction = 0.0
    """Largest change of the brightness: 0.4 means a factor from 0.6 to 1.4."""
    contrast: Fraction = 0.0
    """Largest change of the contrast, as a share."""
    saturation: Fraction = 0.0
    """Largest change of the saturation, as a share."""
    hue: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    """Largest change of the hue in each direction, as a share of the colour circle."""
    grey: Fraction = 0.0
    """Share of the images that are converted to grey."""
    blur: Fraction = 0.0
    """Share of the images that are blurred."""
    policy: Literal["none", "trivial", "rand"] = "none"
    """TrivialAugment (one random operation of 14), RandAugment (two of them, weak), or neither."""
    erase: Fraction = 0.0
    """Share of the images in which a random box is erased."""
    mixup: Annotated[float, Field(ge=0, le=10)] = 0.0
    """α of mixup, which blends each image and its label with another image of the batch; 0: no mixup."""
    cutmix: Annotated[float, Field(ge=0, le=10)] = 0.0
    """α of CutMix, which pastes a box from another image of the batch; with `mixup`, each image gets one of the two."""


def _kind_of_augment(value: object) -> str:
    return PRESET if isinstance(value, str) else BLOCK


Augmentation = Annotated[
    Annotated[str, Field(pattern=rf"^(none|light|strong|{OWN})$"), Tag(PRESET)] | Annotated[Augment, Tag(BLOCK)],
    Discriminator(_kind_of_augment),
]
