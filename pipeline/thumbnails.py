"""Stored images as small pictures inside a page."""

import base64
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from threading import Lock

from PIL import Image

from pipeline import paths
from pipeline.reading import Slot, open_image
from pipeline.shards import ShardReader

# Height and width that a picture fits into, in pixels.
SIDE = 96
QUALITY = 60
# Smaller images are kept as they are, since a page shows them magnified.
LOSSLESS = 40
# All pictures of a page together, in characters.
LIMIT = 3_000_000


def thumbnails(slots: Sequence[Slot], rows: Sequence[int]) -> dict[int, str]:
    """The pictures of the images `rows` of `slots`, as data URIs by row; the last are left out if they take too much.

    Raises:
        ImagesError: an image was damaged.
    """
    alone = Lock()
    with ShardReader(paths.IMAGES) as reader, ThreadPoolExecutor() as pool:

        def picture(row: int) -> str:
            with alone:
                image = open_image(reader, slots[row])
            return data_uri(image)

        return bounded(rows, pool.map(picture, rows))


def bounded(rows: Iterable[int], pictures: Iterable[str]) -> dict[int, str]:
    """`pictures` by row, until they take `LIMIT` characters."""
    taken: dict[int, str] = {}
    left = LIMIT
    for row, picture in zip(rows, pictures, strict=True):
        left -= len(picture)
        if left < 0:
            break
        taken[row] = picture
    return taken


def data_uri(image: Image.Image) -> str:
    """`image`, scaled down where it is large, as a WebP file in an address."""
    image.draft("RGB", (2 * SIDE, 2 * SIDE))  # A JPEG file is decoded no larger than that needs.
    image.thumbnail((SIDE, SIDE))
    out = BytesIO()
    image.save(out, "WEBP", quality=QUALITY, lossless=max(image.size) <= LOSSLESS)
    return f"data:image/webp;base64,{base64.b64encode(out.getvalue()).decode()}"
