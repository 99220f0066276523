"""Stored images as small pictures inside a page."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial

from PIL import Image

from pipeline import paths
from pipeline.images.pixels import Slot, open_image
from pipeline.images.remote_shards import RemoteShards, read_ahead
from pipeline.images.shards import ShardReader
from pipeline.pages.pictures import bounded, data_uri, is_small

# Images that are in memory at a time, as they are stored.
AT_ONCE = 32


def thumbnails(slots: Sequence[Slot], rows: Sequence[int], elsewhere: RemoteShards | None = None) -> dict[int, str]:
    """The pictures of the images `rows` of `slots`, as data URIs by row; the last are left out if they take too much.

    Those of shards that are not in data/shards come from `elsewhere`.

    Raises:
        ImagesError: an image was damaged.
    """
    return bounded(rows, _pictures([slots[row] for row in rows], elsewhere))


def _pictures(slots: Sequence[Slot], elsewhere: RemoteShards | None) -> Iterator[str]:
    parts = (slots[start : start + AT_ONCE] for start in range(0, len(slots), AT_ONCE))
    with ShardReader(paths.SHARDS) as reader, ThreadPoolExecutor() as pool:
        for part in read_ahead(parts, elsewhere, keep=False):
            begun = [_begin(open_image(reader, stored), pool) for stored in part]
            yield from (picture() for picture in begun)


def _begin(image: Image.Image, pool: Executor) -> Callable[[], str]:
    # Handing a small image to a thread and back takes twice as long as its picture.
    return partial(data_uri, image) if is_small(image) else pool.submit(data_uri, image).result
