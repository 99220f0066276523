"""Stored images as pictures embedded in a page: small ones, some of which open at full size."""

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

# Stored images that are in memory at a time.
AT_ONCE = 32
# Of pictures at full size: most pixels of the longer side, WebP quality, and most characters of all together.
WHOLE_SIDE, WHOLE_QUALITY, WHOLE_LIMIT = 512, 75, 1_500_000


class Thumbnail(NamedTuple):
    """A picture as data URIs."""

    small: str
    whole: str | None = ""
    """The picture at full size; empty if `small` has full size already, None if the page has no space for it."""


def thumbnails(
    slots: Sequence[Slot],
    rows: Sequence[int],
    elsewhere: RemoteShards | None = None,
    *,
    whole: Container[int] = (),
) -> dict[int, Thumbnail]:
    """Return the pictures of the images `rows` of `slots`, by row; the last ones are left out if space runs out.

    The rows in `whole` have a picture at full size, too, as long as there is space. Images of shards that are not in
    data/shards are read from `elsewhere`.

    Raises:
        ImagesError: an image is damaged.
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
    # For a small image, the use of a thread takes twice as long as the work itself.
    return partial(_made, image, whole) if is_small(image) else pool.submit(_made, image, whole).result


def _made(image: Image.Image, whole: bool) -> Thumbnail:  # noqa: FBT001 (private)
    if max(image.size) <= SIDE:
        return Thumbnail(data_uri(image))
    # From a copy, so that `image` itself can be decoded at a reduced size for the small picture.
    large = data_uri(image.copy(), WHOLE_SIDE, WHOLE_QUALITY) if whole else None
    return Thumbnail(data_uri(image), large)
