"""Mixup (Zhang et al., arXiv 1710.09412) and CutMix (Yun et al., arXiv 1905.04899).

How much of an image is another one is its own function of (seed, turn, id); which one depends on the batch: the next.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from pipeline.augment_params import Augment
from pipeline.training.augmentation.dice import Dice
from pipeline.training.drawing.randomness import Purpose


class Mixture(NamedTuple):
    """What is in the images of a batch besides themselves."""

    partners: Tensor
    """Position in the batch of the other image, shape (n,), int64."""
    own: Tensor
    """Share of an image that is its own, shape (n,), float32."""


def mix(images: Tensor, params: Augment, dice: Dice) -> tuple[Tensor, Mixture | None]:
    """`images` of shape (n, channels, height, width), uint8, each mixed with the next, and what is in them then."""
    if not (params.mixup or params.cutmix) or len(images) < 2:
        return images, None
    partners = torch.arange(len(images), device=images.device).roll(-1)
    both = bool(params.mixup and params.cutmix)
    is_cut = dice.chosen(Purpose.MIX_KIND, 0.5 if both else float(params.cutmix > 0))
    blended, of_blend = _mixup(images, partners, params.mixup, dice)
    pasted, of_paste = _cutmix(images, partners, params.cutmix, dice)
    mixed = torch.where(is_cut[:, None, None, None], pasted, blended)
    return mixed, Mixture(partners, torch.where(is_cut, of_paste, of_blend))


def _mixup(images: Tensor, partners: Tensor, alpha: float, dice: Dice) -> tuple[Tensor, Tensor]:
    own = dice.beta(Purpose.MIX_SHARE, alpha) if alpha else torch.ones(len(images), device=images.device)
    shares = own[:, None, None, None]
    blended = shares * images + (1 - shares) * images[partners]
    return blended.round().to(images.dtype), own


def _cutmix(images: Tensor, partners: Tensor, alpha: float, dice: Dice) -> tuple[Tensor, Tensor]:
    if not alpha:
        return images, torch.ones(len(images), device=images.device)
    from pipeline.training.augmentation.colour import boxes

    side = (1 - dice.beta(Purpose.MIX_SHARE, alpha)).sqrt()
    places = torch.stack([dice.between(purpose, 0, 1) for purpose in (Purpose.MIX_X, Purpose.MIX_Y)], 1)
    is_other = boxes(images.shape, side[:, None].expand(-1, 2), places)
    # Of whole pixels, so not just what was drawn.
    return torch.where(is_other, images[partners], images), 1 - is_other.float().mean((1, 2, 3))
