"""Images of one size, handed out batch by batch: decoded once, or, where there is no room for that, whenever needed."""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import tee
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from pipeline import paths
from pipeline.images.array_cache import ArrayCache, ArrayType, Digests, Rows
from pipeline.images.ordered import in_order
from pipeline.images.pixels import PixelReader, Pixels, Slot, Slots
from pipeline.images.remote_shards import RemoteShards, read_ahead

logger = logging.getLogger(__name__)


Positions = npt.NDArray[np.intp]

CHUNK = 256
# Below this, starting processes takes longer than decoding.
FEW = 8 * CHUNK


class Located(NamedTuple):
    """Where images lie."""

    slots: Slots
    stored: Digests
    """The MD5 of every stored image of the project, these or not."""
    elsewhere: RemoteShards | None = None
    """Where those are that are not in data/images."""


@dataclass(frozen=True)
class PixelSource:
    """Images of one size."""

    pixels: Pixels
    """Decoded images, shape (rows, channels, height, width), not to be written to."""
    rows: Rows
    """The row of each image, −1 where it must be decoded, shape (images,)."""
    slots: Slots = field(default_factory=Slots.none)
    """Where each image lies."""
    reader: PixelReader | None = None
    workers: int = 0
    """Processes that decode."""
    elsewhere: RemoteShards | None = None
    """Where images are that are not in data/images."""

    @classmethod
    def of(cls, pixels: Pixels) -> "PixelSource":
        """Images in an array."""
        return cls(pixels, np.arange(len(pixels)))

    def __len__(self) -> int:
        return len(self.rows)

    def batches(self, batches: Iterable[Positions]) -> Iterator[Pixels]:
        """The images at the positions of each batch, in their order; decoding is some batches ahead.

        Raises:
            ImagesError: one of them is damaged.
            MissingDataError: one of them cannot be had.
        """
        if self.reader is None or (self.rows >= 0).all():
            for batch in batches:
                yield np.take(self.pixels, self.rows[batch], axis=0)
            return
        here, ahead = tee(batches)
        missing = _slots(self.slots, (batch[self.rows[batch] < 0] for batch in ahead))
        stored = read_ahead(missing, self.elsewhere, keep=True)
        for batch, decoded in zip(here, in_order(self.reader, stored, self.workers), strict=True):
            rows = self.rows[batch]
            images = np.empty((len(batch), *self.reader.shape), np.uint8)
            images[rows >= 0] = np.take(self.pixels, rows[rows >= 0], axis=0)
            images[rows < 0] = decoded
            yield images


def open_pixels(located: Located, reader: PixelReader, *, limit: int, workers: int) -> PixelSource:
    """The images that are `located`, decoded now as far as there is room for them below `limit`, in bytes.

    Where room is short, images that are none of the project's make it.

    Raises:
        ImagesError: an image is damaged.
        MissingDataError: an image cannot be had.
    """
    slots, _, elsewhere = located
    cache, wanted = decoded(reader, limit=limit), slots.md5s
    rows, pixels = cache.find(wanted)
    if (rows >= 0).all() and cache.room() >= 0:  # Nothing to add, and nothing to make room for.
        return PixelSource(pixels, rows, slots, reader, elsewhere=elsewhere)
    try:
        with cache.alone():
            _fill(cache, located, reader, workers)
            rows, pixels = cache.find(wanted)
    except OSError as error:
        logger.warning("%s: %s; images are decoded whenever they are needed", paths.DECODED, error.strerror)
        rows, pixels = cache.find(wanted)
    return PixelSource(pixels, rows, slots, reader, workers if np.count_nonzero(rows < 0) >= FEW else 0, elsewhere)


def decoded(reader: PixelReader, *, limit: int) -> ArrayCache:
    """The images in data/.decoded that `reader` has read; `limit` is in bytes."""
    return ArrayCache(paths.DECODED, reader.recipe, ArrayType("pixels", reader.shape, np.uint8), limit=limit)


def in_batches(positions: Positions, size: int) -> list[Positions]:
    """`positions` in their order, `size` at a time; none where there are none."""
    return np.array_split(positions, range(size, len(positions), size)) if len(positions) else []


def _fill(cache: ArrayCache, located: Located, reader: PixelReader, workers: int) -> None:
    slots, alive, elsewhere = located
    wanted = slots.md5s
    missing = np.flatnonzero(cache.find(wanted)[0] < 0)
    if len(missing) > cache.room():
        cache.tidy(alive)
    # In the order in which they lie, so that each shard is read once, from its start to its end.
    chosen = missing[: max(0, cache.room())]
    chosen = chosen[np.lexsort((slots.offsets[chosen], slots.shards[chosen]))]
    chunks = in_batches(chosen, CHUNK)
    stored = read_ahead(_slots(slots, chunks), elsewhere, keep=False)
    read = in_order(reader, stored, workers if len(chosen) >= FEW else 0)
    with tqdm(total=len(chosen), desc="reading", unit=" images", disable=None if len(chosen) else True) as bar:
        for chunk, images in zip(chunks, read, strict=True):
            cache.add(wanted[chunk], images)
            bar.update(len(chunk))


def _slots(slots: Slots, batches: Iterable[Positions]) -> Iterator[list[Slot]]:
    return ([slots[position] for position in batch] for batch in batches)
