"""Converts values of more than 8 bits to 8; `ingest.range` decides which values become black and white."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from pipeline.ingestion.pictures.unusable import UnusableError

# The full range of 16 bits; the percentiles of finite values that become black and white.
SIXTEEN_BITS, PERCENTILES = (0.0, 65535.0), (0.5, 99.5)
# Values that span a smaller share of the range than this look nearly uniform, which is reported.
NARROW = 0.1
# Bytes per pixel that `as_grey` needs.
STRETCHING = 20


class Bounds(NamedTuple):
    """The values of an image that become black and white, and its lowest and highest value."""

    black: float
    """Greater than `white` if the image is inverted."""
    white: float
    low: float
    high: float

    @property
    def remark(self) -> str:
        """A remark if the values span a small part of the range (less than `NARROW`); else empty."""
        bottom, top = sorted((self.black, self.white))
        used = min(self.high, top) - max(self.low, bottom)
        shown = [f"{value:,.{0 if value == round(value) else 3}f}" for value in (self.low, self.high, bottom, top)]
        return "{}…{} of {}…{}".format(*shown) if used < NARROW * (top - bottom) else ""


def is_deep(image: Image.Image) -> bool:
    """Whether `image` is grey with more than 8 bits; Pillow itself reduces deeper colours to 8 bits."""
    return image.mode == "F" or image.mode.startswith("I")


def bounds_of(image: Image.Image, values: str | Sequence[float]) -> Bounds:
    """Return the bounds of the deep `image`.

    `values` is "dtype", "percentile", or a pair: the values of black and white.

    Raises:
        UnusableError: the values of black and white cannot be determined.
    """
    # Set by the DICOM reader: the window, and whether its upper end is black.
    window, inverted = image.info.get("window"), image.info.get("inverted", False)
    if values == "dtype":
        low, high = _extrema(image)
        if window is None:
            _check_dtype(image, low, high)
        black, white = window or SIXTEEN_BITS
    else:
        finite = _finite(image)
        low, high = float(finite.min()), float(finite.max())
        black, white = np.percentile(finite, PERCENTILES).tolist() if values == "percentile" else map(float, values)
        white = white if white > black else black + 1
    return Bounds(white, black, low, high) if inverted else Bounds(black, white, low, high)


def as_grey(image: Image.Image, bounds: Bounds) -> Image.Image:
    """Return the deep `image` as floats from 0 (black) to 255 (white)."""
    pixels = _pixels(image).astype(np.float32)
    transparent, (black, white) = _transparent(image, pixels), bounds[:2]
    pixels[np.isnan(pixels)] = black
    np.clip(pixels, min(black, white), max(black, white), out=pixels)
    pixels -= np.float32(black)
    pixels *= np.float32(255 / (white - black))
    if transparent is not None:
        pixels[transparent] = 255
    return Image.fromarray(pixels)


def on_white(image: Image.Image) -> Image.Image:
    """Return the 16-bit `image` with transparent pixels set to white."""
    pixels = np.array(image)
    if (transparent := _transparent(image, pixels)) is None:
        return image
    pixels[transparent] = 65535
    return Image.fromarray(pixels)


def _check_dtype(image: Image.Image, low: float, high: float) -> None:
    """Refuse values from `low` to `high` if the pixel type does not define black and white."""
    # Mode I means 32 bits in TIFF; in other formats Pillow uses it for 16 bits.
    is_long = image.mode == "I" and image.format == "TIFF" and not (low >= 0 and 2**8 <= high < 2**16)
    if image.mode == "F" or is_long:
        found = f"32-bit pixels, in {low:,}…{high:,}" if is_long else f"floating-point pixels, in {low:g}…{high:g}"
        raise UnusableError("unsupported pixels", f"{found}; set ingest.range, or save it with 8 or 16 bits")


def _extrema(image: Image.Image) -> tuple[float, float]:
    low, high = (image if image.mode == "F" else image.convert("I")).getextrema()
    assert isinstance(low, int | float)
    assert isinstance(high, int | float)
    return low, high


def _finite(image: Image.Image) -> npt.NDArray[Any]:
    """Return the values that are finite and not transparent; raises `UnusableError` if there are none."""
    pixels = _pixels(image)
    transparent = _transparent(image, pixels)
    meant = np.isfinite(pixels) if transparent is None else ~transparent
    if not meant.any():
        raise UnusableError("unsupported pixels", "it has no finite value that is not transparent")
    return pixels if meant.all() else pixels[meant]


def _pixels(image: Image.Image) -> npt.NDArray[Any]:
    """Return the values of `image`; Pillow treats all 32-bit integers as signed, but TIFF declares some as unsigned."""
    pixels = np.asarray(image)
    tags = getattr(image, "tag_v2", {})
    is_unsigned = image.mode == "I" and tags.get(258) == (32,) and tags.get(339, (1,)) == (1,)
    return pixels.view(np.uint32) if is_unsigned else pixels


def _transparent(image: Image.Image, pixels: npt.NDArray[Any]) -> npt.NDArray[np.bool_] | None:
    """Return the mask of transparent pixels, or None if no value stands for transparency."""
    value = image.info.get("transparency")
    return pixels == value if isinstance(value, int) else None
