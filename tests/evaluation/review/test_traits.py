"""Differences between images, in words."""

import numpy as np
import numpy.typing as npt
import pytest

from pipeline.evaluation.review.traits import OF_PIXELS, OTHERWISE, difference, traits_of_pixels


def noise(seed: int, low: int = 60, high: int = 120, channels: int = 3) -> npt.NDArray[np.uint8]:
    """Return forty noise images between two levels; grey ones for one channel."""
    grey = np.random.default_rng(seed).integers(low, high, (40, 1, 8, 8), dtype=np.uint8)
    return np.repeat(grey, channels, axis=1)


def said(new: npt.NDArray[np.uint8], known: npt.NDArray[np.uint8]) -> str:
    """Return the description of the difference."""
    return difference(traits_of_pixels(new), traits_of_pixels(known), OF_PIXELS, 600)


@pytest.mark.parametrize("channels", [1, 3])
def test_darker(channels: int) -> None:
    """Darker images are reported with both means."""
    told = said(noise(1, 10, 70, channels), noise(2, channels=channels))
    assert told.startswith("the 600 new images are darker than the known ones (mean brightness ")
    assert "against 89)" in told or "against 90)" in told


def test_less_sharp() -> None:
    """Blurred images are less sharp and have less contrast; both are reported."""
    known = noise(2)
    blurred = ((known + np.roll(known, 1, 2).astype(int) + np.roll(known, 1, 3)) // 3).astype(np.uint8)
    assert "less sharp" in said(blurred, known)
    assert "of less contrast" in said(blurred, known)


def test_colour() -> None:
    """Colour in formerly grey images is reported."""
    new = noise(1)
    new[:, 0] += 60
    assert "more colourful" in said(new, noise(2))


def test_what_has_no_word() -> None:
    """Rotated images have the same traits, so no difference is reported."""
    assert said(noise(1)[:, :, ::-1], noise(2)) == f"the 600 new images {OTHERWISE}"
