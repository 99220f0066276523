"""Features of the views of images: read from data/.features, or computed and cached there while there is room.

A view is the augmented image for one view number. Its features depend only on the backbone, the stored image and the
view number, so all trainings can share them.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat, tee

import numpy as np
from torch import Tensor, from_numpy
from tqdm import tqdm

from pipeline import paths
from pipeline.features.backbone import BATCH, Backbone, Features
from pipeline.files import md5_of_bytes
from pipeline.images.array_cache import ArrayCache, ArrayType, Digests, Rows, digests
from pipeline.images.pixel_source import PixelSource, Positions, in_batches
from pipeline.images.pixels import Pixels

logger = logging.getLogger(__name__)

# From images (uint8), their positions in the source and their view numbers to the changed images.
Change = Callable[[Tensor, Positions, Positions], Tensor]
# Number of images that are read together.
CHUNK = 8 * BATCH


@dataclass(frozen=True, kw_only=True)
class Views:
    """The views of images: how images are changed before the backbone sees them."""

    count: int
    """Number of views per image."""
    recipe: str
    """Identifies everything that determines a view apart from the image and the view number."""
    ids: Sequence[str]
    """Ids of the images, in the order of the images."""
    change: Change

    def md5s(self, stored: Sequence[str]) -> list[str]:
        """Return the MD5 that identifies each view, image by image; `stored` are the MD5s of the stored images."""
        return [
            md5_of_bytes(f"{md5} {image_id} {self.recipe} {view}".encode())
            for md5, image_id in zip(stored, self.ids, strict=True)
            for view in range(self.count)
        ]


class FeatureSource:
    """Features of images; those of all views are computed in advance while there is room for them."""

    def __init__(
        self,
        images: PixelSource,
        backbone: Backbone,
        views: Views | None = None,
        *,
        limit: int,
        alive: Digests | None = None,
    ) -> None:
        """Fill the cache, which takes at most `limit` bytes; without `views` the images are used unchanged.

        If room is short, the cache drops all features except those wanted here and those of the unchanged images whose
        stored bytes have the MD5s `alive`. Without `alive` it drops nothing.

        Raises:
            ImagesError: an image is damaged.
            ParamError: a file of the project's own code is missing or is not valid Python.
        """
        self._images, self._backbone, self._views = images, backbone, views
        self._count = 1 if views is None else views.count
        wanted = images.slots.md5s  # Empty for images in memory: they have no MD5s.
        if views is not None and len(wanted):
            wanted = digests(views.md5s([slot.md5 for slot in images.slots]))
        # The row of each view in the cached features, −1 if they must be computed.
        self._rows, self._kept = np.full(len(images) * self._count, -1), np.empty((0, backbone.width), np.float32)
        if not len(wanted):
            return
        recipe = md5_of_bytes(f"{backbone.name} {images.reader and images.reader.recipe}".encode())
        cache = ArrayCache(paths.FEATURES, recipe, ArrayType("features", (backbone.width,), np.float32), limit=limit)
        self._rows, self._kept = cache.find(wanted)
        if (self._rows >= 0).all():
            return
        try:
            with cache.alone():
                self._fill(cache, wanted, None if alive is None else np.concatenate([wanted, alive]))
        except OSError as error:
            logger.warning("%s: %s; features are computed whenever they are needed", paths.FEATURES, error.strerror)
        self._rows, self._kept = cache.find(wanted)

    def batches(self, batches: Iterable[tuple[Positions, Positions]]) -> Iterator[Features]:
        """Yield the features for each batch of image positions and view numbers: shape (n, width), float32.

        Raises:
            ImagesError: an image is damaged.
        """
        here, ahead = tee(batches)
        missing = (positions[self._rows_of(positions, numbers) < 0] for positions, numbers in ahead)
        is_whole = (self._rows >= 0).all()
        read = repeat(None) if is_whole else self._images.batches(missing)
        for (positions, numbers), pixels in zip(here, read, strict=not is_whole):
            rows = self._rows_of(positions, numbers)
            found = np.empty((len(rows), self._backbone.width), np.float32)
            found[rows >= 0] = self._kept[rows[rows >= 0]]
            if pixels is not None and len(pixels):
                found[rows < 0] = self._compute(pixels, positions[rows < 0], numbers[rows < 0])
            yield found

    def _rows_of(self, positions: Positions, numbers: Positions) -> Rows:
        rows: Rows = self._rows[positions * self._count + numbers]
        return rows

    def _fill(self, cache: ArrayCache, wanted: Digests, alive: Digests | None) -> None:
        missing = np.flatnonzero(cache.find(wanted)[0] < 0)  # Another process may have added some meanwhile.
        if alive is not None and (len(missing) > cache.room() or cache.is_empty()):
            cache.tidy(alive)
        chunks = in_batches(missing[: max(0, cache.room())], CHUNK)
        total = sum(map(len, chunks))
        with tqdm(total=total, desc="features", unit=" images", disable=None if total else True) as bar:
            read = self._images.batches(chunk // self._count for chunk in chunks)
            for chunk, pixels in zip(chunks, read, strict=True):
                cache.add(wanted[chunk], self._compute(pixels, *divmod(chunk, self._count)))
                bar.update(len(chunk))

    def _compute(self, pixels: Pixels, positions: Positions, numbers: Positions) -> Features:
        images = from_numpy(pixels)
        return self._backbone(images if self._views is None else self._views.change(images, positions, numbers))
