"""Augmentation by a function of the project's own code, which `train.augment` names."""

import torch
from torch import Tensor

from pipeline.errors import ParamError
from pipeline.models.imported import call
from pipeline.training.augmentation.dice import Dice

SIGNATURE = "def {}(images: Tensor, dice: Dice) -> Tensor"


def change(name: str, images: Tensor, dice: Dice, *, is_first: bool) -> Tensor:
    """Augment `images` (n, channels, height, width), uint8, by the function `name`; shape and dtype stay the same.

    The first batch is changed twice to check that all random numbers come from `dice`: only these are the same after an
    interruption.

    Raises:
        ParamError: the function fails, or changes shape, dtype or device, or its two results differ.
    """
    if not len(images):
        return images
    changed = _made(name, images, dice)
    if is_first and not torch.equal(changed, _made(name, images, dice)):
        what = "it changes the same images differently each time"
        raise ParamError(name, what, "take all random numbers from `dice`, and keep no state")
    return changed


def _made(name: str, images: Tensor, dice: Dice) -> Tensor:
    made = call(name, SIGNATURE, images.clone(), dice)
    if not isinstance(made, Tensor):
        raise ParamError(name, f"it returns something of type {type(made).__name__}", "return the changed images")
    for fact in ("shape", "dtype", "device"):
        before, now = getattr(images, fact), getattr(made, fact)
        if before != now:
            shown = [tuple(one) if fact == "shape" else one for one in (before, now)]
            what = f"it was given images of {fact} {shown[0]}, and returns {shown[1]}"
            raise ParamError(name, what, f"return images of the same {fact}")
    return made
