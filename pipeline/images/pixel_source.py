"""Images of one size in batches: read from the cache of decoded images, or decoded when needed if it has no space."""

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
    """Images and the places of their stored bytes."""

    slots: Slots
    stored: Digests
    """The MD5s of all stored images of the project, not only of these."""
    elsewhere: RemoteShards | None = None
    """The shards that are not in data/shards, if any."""


@dataclass(frozen=True)
class PixelSource:
    """Images of one size, some of them decoded already."""

    pixels: Pixels
    """Decoded images, shape (rows, channels, height, width). Must not be written to."""
    rows: Rows
    """The row of each image in `pixels`, −1 if it must be decoded, shape (images,)."""
    slots: Slots = field(default_factory=Slots.none)
    """The place of each image's stored bytes."""
    reader: PixelReader | None = None
    workers: int = 0
    """Processes that decode images; 0 decodes in this process."""
    elsewhere: RemoteShards | None = None
    """The shards that are not in data/shards, if any."""

    @classmethod
    def of(cls, pixels: Pixels) -> "PixelSource":
        """Return a source of the images in the array `pixels`."""
        return cls(pixels, np.arange(len(pixels)))

    def __len__(self) -> int:
        return len(self.rows)

    def batches(self, batches: Iterable[Positions]) -> Iterator[Pixels]:
        """Yield the images at the positions of each batch, in order. Decoding runs a few batches ahead.

        Raises:
            ImagesError: an image is damaged.
            MissingDataError: the remote lacks a shard, or cannot be read.
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
    """Return a source of the images `located`. They are decoded now, as far as the cache's `limit` in bytes allows.

    If space is short, cached images that no longer belong to the project are deleted.

    Raises:
        ImagesError: an image is damaged.
        MissingDataError: the remote lacks a shard, or cannot be read.
    """
    slots, _, elsewhere = located
    cache, wanted = decoded(reader, limit=limit), slots.md5s
    rows, pixels = cache.find(wanted)
    if (rows >= 0).all() and cache.room() >= 0:  # Nothing to add or to delete.
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
    """Return the cache in data/.decoded for the images that `reader` decodes; `limit` is in bytes."""
    return ArrayCache(paths.DECODED, reader.recipe, ArrayType("pixels", reader.shape, np.uint8), limit=limit)


def in_batches(positions: Positions, size: int) -> list[Positions]:
    """Split `positions` into consecutive batches of at most `size`; an empty list if there are no positions."""
    return np.array_split(positions, range(size, len(positions), size)) if len(positions) else []


def _fill(cache: ArrayCache, located: Located, reader: PixelReader, workers: int) -> None:
    slots, alive, elsewhere = located
    wanted = slots.md5s
    missing = np.flatnonzero(cache.find(wanted)[0] < 0)
    if len(missing) > cache.room():
        cache.tidy(alive)
    # In the order of their places, so that each shard is read once, from start to end.
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
