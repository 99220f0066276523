"""Stored images as pictures inside a page: small ones, and some that open at full size."""

from collections.abc import Callable, Container, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from itertools import accumulate
from typing import NamedTuple

from PIL import Image

from pipeline import paths
from pipeline.images.pixels import Slot, open_image
from pipeline.images.remote_shards import RemoteShards, read_ahead
from pipeline.images.shards import ShardReader
from pipeline.pages.pictures import SIDE, bounded, data_uri, is_small

# Images that are in memory at a time, as they are stored.
AT_ONCE = 32
# Height and width that a picture at full size fits into, in pixels; its quality; and what all may take, in characters.
WHOLE_SIDE, WHOLE_QUALITY, WHOLE_LIMIT = 512, 75, 1_500_000


class Thumbnail(NamedTuple):
    """A picture, as data URIs."""

    small: str
    whole: str | None = ""
    """The same at full size: empty where the small one is that, None where the page has no room for it."""


def thumbnails(
    slots: Sequence[Slot],
    rows: Sequence[int],
    elsewhere: RemoteShards | None = None,
    *,
    whole: Container[int] = (),
) -> dict[int, Thumbnail]:
    """The pictures of the images `rows` of `slots`, by row; the last are left out if they take too much.

    Those of `whole` have one at full size, too, as long as there is room for it. Images of shards that are not in
    data/shards come from `elsewhere`.

    Raises:
        ImagesError: an image was damaged.
    """
    made: list[Thumbnail] = []

    def small() -> Iterator[str]:
        for picture in _pictures([slots[row] for row in rows], [row in whole for row in rows], elsewhere):
            made.append(picture)
            yield picture.small

    taken = bounded(rows, small())
    sizes = accumulate(len(picture.whole or "") for picture in made)
    return {
        row: picture if size <= WHOLE_LIMIT or not picture.whole else picture._replace(whole=None)
        for row, picture, size in zip(taken, made, sizes, strict=False)
    }


def _pictures(slots: Sequence[Slot], whole: Sequence[bool], elsewhere: RemoteShards | None) -> Iterator[Thumbnail]:
    parts = (slots[start : start + AT_ONCE] for start in range(0, len(slots), AT_ONCE))
    wanted = iter(whole)
    with ShardReader(paths.SHARDS) as reader, ThreadPoolExecutor() as pool:
        for part in read_ahead(parts, elsewhere, keep=False):
            begun = [_begin(open_image(reader, stored), next(wanted), pool) for stored in part]
            yield from (picture() for picture in begun)


def _begin(image: Image.Image, whole: bool, pool: Executor) -> Callable[[], Thumbnail]:  # noqa: FBT001 (private)
    # Handing a small image to a thread and back takes twice as long as its picture.
    return partial(_made, image, whole) if is_small(image) else pool.submit(_made, image, whole).result


def _made(image: Image.Image, whole: bool) -> Thumbnail:  # noqa: FBT001 (private)
    if max(image.size) <= SIDE:
        return Thumbnail(data_uri(image))
    # Of a copy: the other is decoded no larger than it needs to be.
    large = data_uri(image.copy(), WHOLE_SIDE, WHOLE_QUALITY) if whole else None
    return Thumbnail(data_uri(image), large)
