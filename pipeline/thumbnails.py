"""Stored images as small pictures inside a page."""

import base64
from collections.abc import Iterable, Sequence
from io import BytesIO

import pandas as pd
from PIL import Image

from pipeline import paths
from pipeline.dataset import locate
from pipeline.reading import open_image
from pipeline.shards import ShardReader

# Height and width that a picture fits into, in pixels.
SIDE = 96
QUALITY = 60
# Smaller images are kept as they are, since a page shows them magnified.
LOSSLESS = 40
# All pictures of a page together, in characters.
LIMIT = 3_000_000


def thumbnails(manifest: pd.DataFrame, rows: Sequence[int]) -> dict[int, str]:
    """The pictures of `rows` of `manifest`, as data URIs by row; the last ones are left out where they take too much.

    Raises:
        MissingDataError: the shards are nowhere to be had.
        ImagesError: an image is not in them, or was damaged.
    """
    slots, _ = locate(manifest.iloc[list(rows)])
    with ShardReader(paths.IMAGES) as reader:
        return bounded(rows, (data_uri(open_image(reader, slot)) for slot in slots))


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
