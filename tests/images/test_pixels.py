"""Stored images as input of a network: scaled to fill a square, or squashed into one."""

import numpy as np
import numpy.typing as npt
import PIL
import pytest
from PIL import Image

from pipeline.images.pixels import FRAMINGS, VERSION, PixelReader


def thirds(width: int, height: int) -> Image.Image:
    """Return an image with red, green and blue thirds along the longer side."""
    pixels = np.zeros((height, width, 3), np.uint8)
    place = np.indices((height, width))[int(width > height)] * 3 // max(width, height)
    for colour in range(3):
        pixels[..., colour] = 255 * (place == colour)
    return Image.fromarray(pixels)


def shares(pixels: npt.NDArray[np.uint8]) -> list[float]:
    """Return the share of each colour in an image."""
    return [round(float(share), 2) for share in pixels.mean((1, 2)) / 255]


@pytest.mark.parametrize(("width", "height"), [(90, 30), (30, 90)])
def test_fill_shows_the_middle_and_squash_all(width: int, height: int) -> None:
    """`fill` shows the middle of three colours only, and `squash` a third of each."""
    assert shares(FRAMINGS["fill"](thirds(width, height), mode="rgb", size=10)) == pytest.approx([0, 1, 0], abs=0.03)
    squashed = FRAMINGS["squash"](thirds(width, height), mode="rgb", size=30)
    assert shares(squashed) == pytest.approx([1 / 3] * 3, abs=0.01)


@pytest.mark.parametrize(("mode", "channels"), [("rgb", 3), ("grey", 1)])
@pytest.mark.parametrize("framing", FRAMINGS)
def test_form(framing: str, mode: str, channels: int) -> None:
    """The result is a square of bytes, channels first; for a square image both framings are equal."""
    made = FRAMINGS[framing](thirds(50, 20), mode=mode, size=12)
    assert made.shape == (channels, 12, 12)
    assert made.dtype == np.uint8
    square = thirds(33, 33)
    filled, squashed = (FRAMINGS[name](square, mode=mode, size=12) for name in ("fill", "squash"))
    np.testing.assert_array_equal(filled, squashed)


def test_names_of_what_is_decoded() -> None:
    """Cached images of the framings have different names; those of `fill` keep their former name."""
    filled, squashed = (PixelReader("rgb", 8, framing).recipe for framing in ("fill", "squash"))
    assert filled == PixelReader("rgb", 8).recipe == f"{VERSION}-pillow-{PIL.__version__}-rgb-8"
    assert squashed == f"{filled}-squash"
