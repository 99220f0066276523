"""Small pictures that are embedded in a page as data URIs."""

import base64
from collections.abc import Hashable, Iterable
from io import BytesIO
from typing import TypeVar

from PIL import Image

# Most pixels of a picture's longer side.
SIDE = 96
QUALITY = 60
# WebP's effort, 0 to 6; more takes twice the time for 3 % fewer bytes.
EFFORT = 2
# Images up to this size are compressed without loss, since a page shows them magnified.
LOSSLESS = 40
# Most characters of all pictures of a page together.
LIMIT = 3_000_000

Key = TypeVar("Key", bound=Hashable)


def is_small(image: Image.Image) -> bool:
    """Whether a page shows `image` magnified."""
    return max(image.size) <= LOSSLESS


def bounded(keys: Iterable[Key], pictures: Iterable[str]) -> dict[Key, str]:
    """Return `pictures` by key, up to `LIMIT` characters in total."""
    taken: dict[Key, str] = {}
    left = LIMIT
    for key, picture in zip(keys, pictures, strict=True):
        left -= len(picture)
        if left < 0:
            break
        taken[key] = picture
    return taken


def data_uri(image: Image.Image, side: int = SIDE, quality: int = QUALITY) -> str:
    """Scale `image` down in place to at most `side` pixels, and return it as the data URI of a PNG or WebP file."""
    image.draft("RGB", (2 * side, 2 * side))  # Decodes a JPEG file at a reduced size.
    image.thumbnail((side, side))
    out = BytesIO()
    if is_small(image):
        kind = "png"  # Lossless WebP takes five times as long for a fifth fewer bytes.
        image.save(out, kind)
    else:
        kind = "webp"
        image.save(out, kind, quality=quality, method=EFFORT)
    return f"data:image/{kind};base64,{base64.b64encode(out.getvalue()).decode()}"
