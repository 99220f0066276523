"""Center crop: images are decoded to a square, and the network sees the central part of that square."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor  # Importing torch takes seconds, and the other functions do not need it.


def source_of(size: int, crop_pct: float) -> int:
    """Return the side of the square that images are decoded to, if a network sees the central `size` pixels of it."""
    return round(size / crop_pct)


def margin_of(side: int, size: int) -> int:
    """Return the number of pixels before the central `size` of `side` pixels; 0 if `side` is not larger than `size`."""
    return max(0, side - size) // 2


def middle(images: "Tensor", size: int) -> "Tensor":
    """Return the center crop of `images` (…, height, width): a view of shape (…, size, size).

    A side that is not longer than `size` is not cropped.
    """
    if max(images.shape[-2:]) <= size:
        return images
    top, left = (margin_of(side, size) for side in images.shape[-2:])
    return images[..., top : top + size, left : left + size]
