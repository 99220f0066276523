"""In what images differ, in words."""

import numpy as np
import numpy.typing as npt
import pytest

from pipeline.evaluation.review.traits import OF_PIXELS, OTHERWISE, difference, traits_of_pixels


def noise(seed: int, low: int = 60, high: int = 120, channels: int = 3) -> npt.NDArray[np.uint8]:
    """Forty images of noise between two levels; grey ones where they have one channel."""
    grey = np.random.default_rng(seed).integers(low, high, (40, 1, 8, 8), dtype=np.uint8)
    return np.repeat(grey, channels, axis=1)


def said(new: npt.NDArray[np.uint8], known: npt.NDArray[np.uint8]) -> str:
    """What is said of both."""
    return difference(traits_of_pixels(new), traits_of_pixels(known), OF_PIXELS, 600)


@pytest.mark.parametrize("channels", [1, 3])
def test_darker(channels: int) -> None:
    """With the means of both."""
    told = said(noise(1, 10, 70, channels), noise(2, channels=channels))
    assert told.startswith("the 600 new images are darker than the known ones (mean brightness ")
    assert "against 89)" in told or "against 90)" in told


def test_less_sharp() -> None:
    """Means of neighbours have less contrast, too; both are said."""
    known = noise(2)
    blurred = ((known + np.roll(known, 1, 2).astype(int) + np.roll(known, 1, 3)) // 3).astype(np.uint8)
    assert "less sharp" in said(blurred, known)
    assert "of less contrast" in said(blurred, known)


def test_colour() -> None:
    """Where there was none."""
    new = noise(1)
    new[:, 0] += 60
    assert "more colourful" in said(new, noise(2))


def test_what_has_no_word() -> None:
    """Turned images have the same figures."""
    assert said(noise(1)[:, :, ::-1], noise(2)) == f"the 600 new images {OTHERWISE}"
