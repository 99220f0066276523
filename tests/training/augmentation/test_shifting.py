"""Shifts by whole pixels, and mirroring."""

import numpy as np
import pytest
import torch
from torch import Tensor

from pipeline.augment_params import Augment
from pipeline.training.augmentation.augment import augment
from pipeline.training.augmentation.dice import Dice
from pipeline.training.drawing.randomness import UInt64s

KEYS = np.random.default_rng(0).integers(0, 2**64, 500, dtype=np.uint64)
NOTHING, SHIFT, FLIP, BOTH = (
    Augment(shift=shift, flip=flip) for shift, flip in ((0, False), (0.25, False), (0, True), (0.25, True))
)


def pictures(count: int = len(KEYS), channels: int = 1, height: int = 8, width: int = 12) -> Tensor:
    """Return images whose pixels are all different."""
    pixels = torch.arange(channels * height * width, dtype=torch.uint8).reshape(1, channels, height, width)
    return pixels.repeat(count, 1, 1, 1)


def changed(images: Tensor, params: Augment, keys: UInt64s = KEYS, *, seed: int = 0, epoch: int = 0) -> Tensor:
    """Return `images`, augmented."""
    return augment(images, params, Dice(keys, seed, np.full(len(images), epoch, np.uint64), images.device))


def shifts(images: Tensor) -> tuple[Tensor, Tensor]:
    """Return the shift of each of `pictures` in rows and columns, from a pixel in the middle."""
    _, _, height, width = images.shape
    middle = images[:, 0, height // 2, width // 2].long()
    return middle // width - height // 2, middle % width - width // 2


@pytest.mark.parametrize("channels", [1, 3])
def test_nothing_to_change_changes_nothing(channels: int) -> None:
    """Without shifts and mirroring images do not change."""
    images = torch.randint(0, 256, (20, channels, 5, 7), dtype=torch.uint8)
    assert torch.equal(changed(images, NOTHING, keys=KEYS[:20]), images)


@pytest.mark.parametrize("params", [SHIFT, FLIP, BOTH])
def test_form_stays(params: Augment) -> None:
    """Shape and dtype are kept, and the inputs do not change."""
    images = pictures()
    after = changed(images, params)
    assert (after.shape, after.dtype) == (images.shape, images.dtype)
    assert torch.equal(images, pictures())
    assert not torch.equal(after, images)


def test_no_images() -> None:
    """A batch may be empty."""
    assert changed(pictures(0), BOTH, keys=KEYS[:0]).shape == (0, 1, 8, 12)


@pytest.mark.parametrize("params", [SHIFT, FLIP, BOTH])
def test_batch_does_not_matter(params: Augment) -> None:
    """The change of an image does not depend on the batch or its position."""
    images = torch.randint(0, 256, (len(KEYS), 3, 8, 12), dtype=torch.uint8)
    whole = changed(images, params)
    order = np.random.default_rng(1).permutation(len(KEYS))
    for chosen in (order, order[:7], order[7:8]):
        assert torch.equal(changed(images[chosen], params, keys=KEYS[chosen]), whole[chosen])


@pytest.mark.parametrize(("seed", "epoch"), [(1, 0), (0, 1)])
def test_epochs_and_seeds_change_images_anew(seed: int, epoch: int) -> None:
    """The same seed and epoch give the same changes, others give different ones."""
    images = pictures()
    assert torch.equal(changed(images, BOTH), changed(images, BOTH))
    same = (changed(images, BOTH) == changed(images, BOTH, seed=seed, epoch=epoch)).flatten(1).all(1)
    assert same.float().mean() < 0.1


def test_shifts_are_bounded_and_even() -> None:
    """Shifts are limited to the share of the side, and uniformly distributed."""
    for shift, most in zip(shifts(changed(pictures(), SHIFT)), (2, 3), strict=True):
        values, counts = np.unique(shift, return_counts=True)
        assert values.tolist() == list(range(-most, most + 1))
        expected = len(KEYS) / (2 * most + 1)
        # Four standard deviations.
        assert np.abs(counts - expected).max() < 4 * expected**0.5


def test_directions_are_independent() -> None:
    """Vertical and horizontal shifts are independent."""
    rows, columns = shifts(changed(pictures(), SHIFT))
    assert abs(np.corrcoef(rows, columns)[0, 1]) < 4 / len(KEYS) ** 0.5


def test_edges_are_repeated() -> None:
    """Uncovered pixels repeat the edge."""
    images, after = pictures(), changed(pictures(), SHIFT)
    padded = torch.nn.functional.pad(images.float(), (3, 3, 2, 2), mode="replicate").to(torch.uint8)
    for number, (row, column) in enumerate(zip(*shifts(after), strict=True)):
        assert torch.equal(after[number], padded[number, :, 2 + row : 10 + row, 3 + column : 15 + column])


def test_half_are_mirrored() -> None:
    """About half of the images are mirrored."""
    images, after = pictures(channels=2), changed(pictures(channels=2), FLIP)
    stayed = (after == images).flatten(1).all(1)
    mirrored = (after == images.flip(3)).flatten(1).all(1)
    assert (stayed ^ mirrored).all()
    # Four standard deviations.
    assert abs(mirrored.float().mean() - 0.5) < 2 / len(KEYS) ** 0.5


def test_mirrored_images_are_shifted_the_same_way() -> None:
    """With mirroring and shifting together, every pixel comes from the right place of the image."""
    after = changed(pictures(), BOTH)
    assert set(after.flatten().tolist()) <= set(pictures(1).flatten().tolist())
    mirrored = after[:, 0, 4, 6] > after[:, 0, 4, 7]
    assert 0.4 < mirrored.float().mean() < 0.6


@pytest.mark.parametrize("side", [1, 2, 3])
def test_tiny_images(side: int) -> None:
    """Images of a few pixels can be changed, within the param's limit."""
    after = changed(pictures(height=side, width=side), Augment(shift=0.5, flip=True))
    assert after.shape == (len(KEYS), 1, side, side)
    assert int(after.max()) < side**2
