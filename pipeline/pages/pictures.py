"""Small pictures inside a page, in the place of addresses."""

import base64
from collections.abc import Hashable, Iterable
from io import BytesIO
from typing import TypeVar

from PIL import Image

# Height and width that a picture fits into, in pixels.
SIDE = 96
QUALITY = 60
# Of 0 to 6; more takes twice the time for 3 % fewer bytes.
EFFORT = 2
# Smaller images keep every pixel, since a page shows them magnified.
LOSSLESS = 40
# All pictures of a page together, in characters.
LIMIT = 3_000_000

Key = TypeVar("Key", bound=Hashable)


def is_small(image: Image.Image) -> bool:
    """Whether a page shows `image` magnified."""
    return max(image.size) <= LOSSLESS


def bounded(keys: Iterable[Key], pictures: Iterable[str]) -> dict[Key, str]:
    """`pictures` by key, until they take `LIMIT` characters."""
    taken: dict[Key, str] = {}
    left = LIMIT
    for key, picture in zip(keys, pictures, strict=True):
        left -= len(picture)
        if left < 0:
            break
        taken[key] = picture
    return taken


def data_uri(image: Image.Image, side: int = SIDE, quality: int = QUALITY) -> str:
    """`image`, scaled down where it is larger than `side` pixels, as a PNG or WebP file in an address."""
    image.draft("RGB", (2 * side, 2 * side))  # A JPEG file is decoded no larger than that needs.
    image.thumbnail((side, side))
    out = BytesIO()
    if is_small(image):
        kind = "png"  # WebP without loss takes five times as long for a fifth fewer bytes.
        image.save(out, kind)
    else:
        kind = "webp"
        image.save(out, kind, quality=quality, method=EFFORT)
    return f"data:image/{kind};base64,{base64.b64encode(out.getvalue()).decode()}"
