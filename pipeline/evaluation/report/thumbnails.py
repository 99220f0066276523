"""Stored images as small pictures inside a page."""

import base64
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from io import BytesIO

from PIL import Image

from pipeline import paths
from pipeline.images.pixels import Slot, open_image
from pipeline.images.shards import ShardReader

# Height and width that a picture fits into, in pixels.
SIDE = 96
QUALITY = 60
# Of 0 to 6; more takes twice the time for 3 % fewer bytes.
EFFORT = 2
# Smaller images keep every pixel, since a page shows them magnified.
LOSSLESS = 40
# All pictures of a page together, in characters.
LIMIT = 3_000_000
# Images that are in memory at a time, as they are stored.
AT_ONCE = 32


def thumbnails(slots: Sequence[Slot], rows: Sequence[int]) -> dict[int, str]:
    """The pictures of the images `rows` of `slots`, as data URIs by row; the last are left out if they take too much.

    Raises:
        ImagesError: an image was damaged.
    """
    return bounded(rows, _pictures([slots[row] for row in rows]))


def _pictures(slots: Sequence[Slot]) -> Iterator[str]:
    with ShardReader(paths.IMAGES) as reader, ThreadPoolExecutor() as pool:
        for start in range(0, len(slots), AT_ONCE):
            begun = [_begin(open_image(reader, slot), pool) for slot in slots[start : start + AT_ONCE]]
            yield from (picture() for picture in begun)


def _begin(image: Image.Image, pool: Executor) -> Callable[[], str]:
    # Handing a small image to a thread and back takes twice as long as its picture.
    return partial(data_uri, image) if _is_small(image) else pool.submit(data_uri, image).result


def _is_small(image: Image.Image) -> bool:
    return max(image.size) <= LOSSLESS


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
    """`image`, scaled down where it is large, as a PNG or WebP file in an address."""
    image.draft("RGB", (2 * SIDE, 2 * SIDE))  # A JPEG file is decoded no larger than that needs.
    image.thumbnail((SIDE, SIDE))
    out = BytesIO()
    if _is_small(image):
        kind = "png"  # WebP without loss takes five times as long for a fifth fewer bytes.
        image.save(out, kind)
    else:
        kind = "webp"
        image.save(out, kind, quality=QUALITY, method=EFFORT)
    return f"data:image/{kind};base64,{base64.b64encode(out.getvalue()).decode()}"
