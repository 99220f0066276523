"""data/.decoded: images as the network sees them, decoded once, and mapped into memory.

Two files that only grow: the pixels, and the MD5 of each image's stored bytes with a checksum of its pixels. What a
kill or a power failure leaves half written does not match its checksum, and is decoded again.
"""

import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt

from pipeline import paths
from pipeline.images.pixels import PixelReader, Pixels
from pipeline.locking import locked

Rows = npt.NDArray[np.intp]
Digests = npt.NDArray[np.bytes_]
# All are 16 bytes long, so that NumPy's ignoring zeros at the end makes no two the same.
DIGEST = np.dtype("S16")
ROW = np.dtype([("md5", DIGEST), ("crc32", "<u4")])
# Rows are copied when at least this share of them is of no use any more.
DEAD = 0.25
COPIED = 1024


def digests(md5s: Sequence[str]) -> Digests:
    """MD5s in hexadecimal as an array."""
    return np.frombuffer(bytes.fromhex("".join(md5s)), DIGEST)


class DecodedCache:
    """The images that `reader` reads; `limit` is in bytes."""

    def __init__(self, reader: PixelReader, *, limit: int) -> None:
        self._shape = reader.shape
        self._bytes = int(np.prod(self._shape))
        self._limit = limit // self._bytes
        self._pixels, self._rows = (paths.DECODED / f"{reader.recipe}.{kind}" for kind in ("pixels", "rows"))

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keeps other processes from adding, where the disk knows locks; without, checksums tell what is mixed up.

        Raises:
            OSError: nothing can be written.
        """
        paths.DECODED.mkdir(parents=True, exist_ok=True)
        with locked(paths.DECODED / "lock"):
            yield

    def find(self, wanted: Digests) -> tuple[Rows, Pixels]:
        """The row of each of `wanted`, −1 where there is none that is whole, shape (len(wanted),).

        And all images, shape (rows, channels, height, width), not to be written to: those that were checked, whatever
        other processes do to the files from now on.
        """
        rows = self._read_rows()
        images = self._map(len(rows))
        order = np.argsort(rows["md5"], kind="stable")
        # The last of several: an earlier one was damaged.
        places = np.searchsorted(rows["md5"], wanted, side="right", sorter=order) - 1
        found = np.full(len(wanted), -1, np.intp)
        if len(rows):
            found = np.where(rows["md5"][order[places]] == wanted, order[places], -1)
        for place, row in enumerate(found):
            if row >= 0 and zlib.crc32(images[row]) != rows["crc32"][row]:
                found[place] = -1
        return found, images

    def room(self) -> int:
        """How many images may be added; negative if there are too many."""
        return self._limit - self._count()

    def add(self, wanted: Digests, images: Pixels) -> None:
        """Add `images`.

        Raises:
            OSError: the disk is full, say.
        """
        rows = np.empty(len(wanted), ROW)
        rows["md5"], rows["crc32"] = wanted, [zlib.crc32(image) for image in images]
        count = self._count()
        for path, size, data in ((self._pixels, self._bytes, images), (self._rows, ROW.itemsize, rows)):
            with path.open("ab") as file:
                file.truncate(count * size)  # What an interrupted addition left.
                file.write(data.tobytes())

    def tidy(self, alive: Digests) -> None:
        """Make room: remove what other readers left, and rows of images that are not `alive`, if they are many."""
        for path in {*paths.DECODED.glob("*.pixels"), *paths.DECODED.glob("*.rows")} - {self._pixels, self._rows}:
            path.unlink()
        rows = self._read_rows()
        images = self._map(len(rows))
        kept = np.flatnonzero(np.isin(rows["md5"], alive))[: self._limit]
        if len(rows) <= self._limit and len(kept) >= (1 - DEAD) * len(rows):
            return
        aside = self._pixels.with_suffix(".new")
        with aside.open("wb") as file:
            for start in range(0, len(kept), COPIED):
                file.write(images[kept[start : start + COPIED]].tobytes())
        aside.replace(self._pixels)
        self._rows.write_bytes(rows[kept].tobytes())

    def _map(self, rows: int) -> Pixels:
        shape = (rows, *self._shape)
        # As a plain array, whose rows cost a tenth to take.
        return np.asarray(np.memmap(self._pixels, np.uint8, "r", shape=shape)) if rows else np.empty(shape, np.uint8)

    def _read_rows(self) -> npt.NDArray[np.void]:
        count = self._count()
        return np.fromfile(self._rows, ROW, count) if count else np.empty(0, ROW)

    def _count(self) -> int:
        """How many rows are in both files."""
        sizes = [path.stat().st_size if path.exists() else 0 for path in (self._pixels, self._rows)]
        return min(sizes[0] // self._bytes, sizes[1] // ROW.itemsize)
