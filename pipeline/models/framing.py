"""The square that a network looks at, and the larger one that images are decoded to: it looks at the middle of that."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor  # Which takes seconds to import, and the numbers need none of it.


def source_of(size: int, crop_pct: float) -> int:
    """Height and width of the square that images are decoded to, where a network looks at `size` pixels of it."""
    return round(size / crop_pct)


def margin_of(side: int, size: int) -> int:
    """How many pixels lie before the middle `size` of `side`; none where there are no more than that."""
    return max(0, side - size) // 2


def middle(images: "Tensor", size: int) -> "Tensor":
    """The middle of `images` of shape (…, height, width): a view of shape (…, size, size).

    A side that is no longer than `size` is left alone.
    """
    if max(images.shape[-2:]) <= size:
        return images
    top, left = (margin_of(side, size) for side in images.shape[-2:])
    return images[..., top : top + size, left : left + size]
