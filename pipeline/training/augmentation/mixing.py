"""Mixup (Zhang et al., arXiv 1710.09412) and CutMix (Yun et al., arXiv 1905.04899).

The share of the other image depends only on (seed, turn, id). The other image is the next one of the batch.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from pipeline.augment_params import Augment
from pipeline.training.augmentation.dice import Dice
from pipeline.training.drawing.randomness import Purpose


class Mixture(NamedTuple):
    """How the images of a batch were mixed with others."""

    partners: Tensor
    """Position of the other image in the batch, shape (n,), int64."""
    own: Tensor
    """Share of the original image in each mixed one, shape (n,), float32."""


def mix(images: Tensor, params: Augment, dice: Dice) -> tuple[Tensor, Mixture | None]:
    """Mix each of `images` (n, channels, height, width), uint8, with the next one; returns them and the mixture.

    The mixture is None if `params` request no mixing, or if there are fewer than two images.
    """
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
    # The share is computed from whole pixels, so it differs slightly from the drawn one.
    return torch.where(is_other, images[partners], images), 1 - is_other.float().mean((1, 2, 3))
