"""Values of more than 8 bits made 8: which of them is black and which white, by `ingest.range`."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from pipeline.ingestion.pictures.unusable import UnusableError

# Of 16 bits all values are meant; what a percentile is taken of are the finite ones.
SIXTEEN_BITS, PERCENTILES = (0.0, 65535.0), (0.5, 99.5)
# Values that take less of the range than this show nearly one grey, which people should know.
NARROW = 0.1
# Bytes a pixel that `as_grey` takes of its own.
STRETCHING = 20


class Bounds(NamedTuple):
    """Which values of an image become black and white, and which there are."""

    black: float
    """More than `white` where the values are shown inverted."""
    white: float
    low: float
    high: float

    @property
    def remark(self) -> str:
        """What people should know of values that take little of the range, empty where they take enough."""
        bottom, top = sorted((self.black, self.white))
        used = min(self.high, top) - max(self.low, bottom)
        shown = [f"{value:,.{0 if value == round(value) else 3}f}" for value in (self.low, self.high, bottom, top)]
        return "{}…{} of {}…{}".format(*shown) if used < NARROW * (top - bottom) else ""


def is_deep(image: Image.Image) -> bool:
    """Whether it is grey of more than 8 bits; Pillow itself makes 8 bits of deeper colours."""
    return image.mode == "F" or image.mode.startswith("I")


def bounds_of(image: Image.Image, values: str | Sequence[float]) -> Bounds:
    """Those of the deep `image` by `values`, which is "dtype", "percentile", or what is black and what is white.

    Raises:
        UnusableError: nothing tells what is black and white in it.
    """
    # What a reader of DICOM knows: a window, and whether black is its upper end.
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
    """The deep `image` with floats from 0, which is black, to 255."""
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
    """An `image` of 16 bits in which the value that stands for transparency is white."""
    pixels = np.array(image)
    if (transparent := _transparent(image, pixels)) is None:
        return image
    pixels[transparent] = 65535
    return Image.fromarray(pixels)


def _check_dtype(image: Image.Image, low: float, high: float) -> None:
    """Refuse the values from `low` to `high` if the type does not tell what is black and white."""
    # Of 32 bits is what TIFF has so; in other formats Pillow says it of 16.
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
    """The values that say something, of which there is one at least."""
    pixels = _pixels(image)
    transparent = _transparent(image, pixels)
    meant = np.isfinite(pixels) if transparent is None else ~transparent
    if not meant.any():
        raise UnusableError("unsupported pixels", "not one value in it is a number that is shown")
    return pixels if meant.all() else pixels[meant]


def _pixels(image: Image.Image) -> npt.NDArray[Any]:
    """Its values; Pillow takes all of 32 bits for signed, which TIFF says of some only."""
    pixels = np.asarray(image)
    tags = getattr(image, "tag_v2", {})
    is_unsigned = image.mode == "I" and tags.get(258) == (32,) and tags.get(339, (1,)) == (1,)
    return pixels.view(np.uint32) if is_unsigned else pixels


def _transparent(image: Image.Image, pixels: npt.NDArray[Any]) -> npt.NDArray[np.bool_] | None:
    """Where the value is that stands for transparency, None where none does."""
    value = image.info.get("transparency")
    return pixels == value if isinstance(value, int) else None
