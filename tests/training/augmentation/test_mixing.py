"""Mixup and CutMix: the content of an image, and its target."""

import numpy as np
import pytest
import torch
from torch import Tensor

from pipeline.augment_params import Augment
from pipeline.training.augmentation.dice import Dice
from pipeline.training.augmentation.mixing import Mixture, mix

KEYS = np.random.default_rng(0).integers(0, 2**64, 400, dtype=np.uint64)
MIXUP, CUTMIX, BOTH = Augment(mixup=0.4), Augment(cutmix=1.0), Augment(mixup=1.0, cutmix=1.0)


def dice(keys: "np.ndarray[tuple[int], np.dtype[np.uint64]]" = KEYS) -> Dice:
    """Return the random numbers of these images."""
    return Dice(keys, 0, np.zeros(len(keys), np.uint64), torch.device("cpu"))


def shades(count: int = len(KEYS)) -> Tensor:
    """Return images of one shade each, alternately 0 and 200."""
    return (torch.arange(count) % 2 * 200).to(torch.uint8)[:, None, None, None].repeat(1, 1, 20, 20)


def mixed(params: Augment) -> tuple[Tensor, Mixture]:
    """Return images of two shades, each mixed with one of the other shade."""
    images, mixture = mix(shades(), params, dice())
    assert mixture
    return images, mixture


@pytest.mark.parametrize("params", [MIXUP, CUTMIX, BOTH])
def test_share_is_what_the_image_shows(params: Augment) -> None:
    """The mean of an image is the mean of both, weighted by the shares, up to rounding."""
    images, mixture = mixed(params)
    own, other = (shades()[chosen].float().mean((1, 2, 3)) for chosen in (torch.arange(len(KEYS)), mixture.partners))
    expected = mixture.own * own + (1 - mixture.own) * other
    assert (images.float().mean((1, 2, 3)) - expected).abs().max() < 0.51
    assert images.dtype == torch.uint8


def test_boxes_are_pasted() -> None:
    """CutMix takes every pixel from one of both images; mixup takes none unmixed, unless a share is 0 or 1."""
    assert set(mixed(CUTMIX)[0].flatten().tolist()) == {0, 200}
    images, mixture = mixed(MIXUP)
    inner = (mixture.own > 0.01) & (mixture.own < 0.99)
    assert not set(images[inner].flatten().tolist()) & {0, 200}


def test_shares_have_the_distribution() -> None:
    """Shares have the distribution Beta(α, α)."""
    _, even = mixed(Augment(mixup=1.0))
    _, extreme = mixed(Augment(mixup=0.1))
    assert abs(even.own.mean() - 0.5) < 0.06
    assert abs(even.own.var() - 1 / 12) < 0.02
    assert abs(extreme.own.var() - 1 / 4.8) < 0.03


def test_both_take_turns() -> None:
    """With both, about half of the images are blended, and half are pasted."""
    images, mixture = mixed(BOTH)
    partly = (mixture.own > 0.05) & (mixture.own < 0.95)
    pasted = torch.tensor([set(image.flatten().tolist()) <= {0, 200} for image in images[partly]])
    assert 0.4 < pasted.float().mean() < 0.6


def test_share_is_the_images_own() -> None:
    """An image's share does not depend on its batch."""
    _, whole = mixed(MIXUP)
    _, half = mix(shades()[:100], MIXUP, dice(KEYS[:100]))
    assert half
    assert torch.equal(half.own, whole.own[:100])


def test_nothing_to_mix() -> None:
    """With neither, or with a single image, nothing is mixed."""
    for images, params in ((shades(), Augment()), (shades(1), BOTH), (shades(0), BOTH)):
        after, mixture = mix(images, params, dice(KEYS[: len(images)]))
        assert mixture is None
        assert torch.equal(after, images)
