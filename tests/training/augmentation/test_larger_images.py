"""Images larger than the network's input: crops of the whole image, or the centre."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps
from sklearn.datasets import load_sample_image
from torch import Tensor
from training.augmentation.test_augment import ALONE, EVERYTHING, KEYS, dice, noise, ramp

from pipeline.augment_params import Augment
from pipeline.models.framing import middle
from pipeline.training.augmentation.augment import augment
from pipeline.training.augmentation.dice import Dice
from pipeline.training.augmentation.geometry import Motion, drawn, fineness, moved
from pipeline.training.augmentation.presets import PRESETS


@pytest.mark.parametrize("source", [12, 13, 30])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("changes", [{}, *ALONE.values(), EVERYTHING], ids=["none", *ALONE, "everything"])
def test_form(changes: dict[str, Any], channels: int, source: int) -> None:
    """The result has the input's size, is independent of the batch, and the inputs do not change."""
    images, params = noise(len(KEYS), channels, source, source), Augment(**changes)
    after = augment(images, params, dice(), 12)
    assert (after.shape, after.dtype) == ((len(KEYS), channels, 12, 12), torch.uint8)
    assert torch.equal(images, noise(len(KEYS), channels, source, source))
    some = Dice(KEYS[5:9], 0, np.zeros(4, np.uint64), torch.device("cpu"))
    assert torch.equal(augment(images[5:9], params, some, 12), after[5:9])


@pytest.mark.parametrize("changes", [*ALONE.values(), EVERYTHING], ids=[*ALONE, "everything"])
def test_nothing_beyond_is_as_ever(changes: dict[str, Any]) -> None:
    """Images of the input's size are changed bit for bit as before this feature."""
    images = noise(height=12)
    assert torch.equal(augment(images, Augment(**changes), dice(), 12), augment(images, Augment(**changes), dice()))


def test_no_images() -> None:
    """A batch may be empty."""
    assert augment(noise(0, height=12), PRESETS["strong"], dice(0), 8).shape == (0, 3, 8, 8)


@pytest.mark.parametrize("source", [8, 9, 11, 16])
@pytest.mark.parametrize("changes", [{}, {"rotate": 1e-9}, {"brightness": 1e-9}])
def test_without_crops_the_middle_is_seen(changes: dict[str, Any], source: int) -> None:
    """Without crops the result is the network's centre crop exactly, with or without interpolation."""
    images = noise(height=source, width=source)
    assert torch.equal(augment(images, Augment(**changes), dice(), 8), middle(images, 8))


def test_shifts_show_what_lies_beyond_the_middle() -> None:
    """A shift shows pixels beyond the centre where they exist, and no repeated edge."""
    images = ramp(40, 40).repeat(len(KEYS), 1, 1, 1).to(torch.uint8)
    after = augment(images, Augment(shift=0.1), dice(), 32).long()
    offsets = after[:, 0, 0, 0]
    assert {*offsets.tolist()} == set(range(9))
    assert torch.equal(after[:, 0], offsets[:, None, None] + torch.arange(32).expand(32, -1))


@given(
    source=st.integers(8, 64),
    size=st.integers(4, 64),
    low=st.floats(0.05, 1),
    ratio=st.floats(0.5, 1),
    seed=st.integers(0, 2**32 - 1),
)
def test_crops_lie_where_they_are_drawn(source: int, size: int, low: float, ratio: float, seed: int) -> None:
    """A crop's corners are inside the image, and each of its pixels shows the right place."""
    size = min(size, source)
    images = ramp(source, source).repeat(8, 1, 1, 1)
    params, numbers = Augment(crop=[low, 1.0], crop_ratio=[ratio, 1 / ratio]), dice(8, seed=seed)
    motion = drawn(images.shape, params, numbers, size)
    after = moved(images, motion, size, finer=fineness(images.shape, size))
    pitch = 1 / motion.scale  # Pixels of the image per pixel of the crop.
    first = motion.middle - (size - 1) / 2 * pitch
    corner = first - pitch / 2 + 0.5
    assert (corner > -1e-3).all()
    assert (corner + size * pitch < source + 1e-3).all()
    inner = slice(1, size - 1)  # A filter has less input at the outermost pixels.
    for channel in (0, 1):
        expected = first[:, channel, None] + torch.arange(size) * pitch[:, channel, None]
        expected = expected.clamp(0, source - 1)  # The outermost half pixel of the image is repeated.
        shown = after[:, channel].movedim(2 - channel, 1)
        expected = expected[:, :, None].expand(-1, -1, size)
        assert torch.allclose(shown[:, inner, inner], expected[:, inner, inner], atol=0.02)


def _planes(picture: Image.Image) -> Tensor:
    return torch.from_numpy(np.asarray(picture).transpose(2, 0, 1)[None].astype(np.float32))


@pytest.mark.parametrize(("source", "most"), [(74, 2), (128, 4), (256, 4)])
def test_crops_of_much_larger_images_skip_no_pixels(source: int, most: float) -> None:
    """At 64 pixels a photograph differs from Pillow's filtered result by only a few levels."""
    larger = ImageOps.fit(Image.fromarray(load_sample_image("china.jpg")), (source, source), Image.Resampling.BILINEAR)
    images, wanted = _planes(larger), _planes(larger.resize((64, 64), Image.Resampling.BILINEAR))
    still, whole = torch.full((1, 2), (source - 1) / 2), torch.full((1, 2), 64 / source)
    motion = Motion(still, whole, torch.zeros(1), torch.zeros(1, 2))
    apart = (moved(images, motion, 64, finer=fineness(images.shape, 64)) - wanted).abs().mean()
    assert apart < most
    if source > 128:
        assert apart < 0.6 * (moved(images, motion, 64) - wanted).abs().mean()
