"""An on-disk cache of arrays (decoded images, or features of images) that is read through a memory map.

A cache is two files that are appended to: one has the arrays, all of one shape; the other has, for each array, the MD5
of its source and a checksum of the array. An array that a kill or a power failure left half-written does not match its
checksum, and is computed again.
"""

import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.locking import locked

Array = npt.NDArray[Any]
Rows = npt.NDArray[np.intp]
Digests = npt.NDArray[np.bytes_]
# NumPy ignores trailing zero bytes. Since all digests have 16 bytes, different digests stay different.
DIGEST = np.dtype("S16")
ROW = np.dtype([("md5", DIGEST), ("crc32", "<u4")])
# `tidy` compacts the files when more than this share of their rows is unused.
DEAD = 0.25
# Rows that are copied at a time.
COPIED = 1024


class ArrayType(NamedTuple):
    """The kind of array in a cache."""

    name: str
    """The suffix of the file that holds the arrays."""
    shape: tuple[int, ...]
    dtype: npt.DTypeLike


def digests(md5s: Sequence[str]) -> Digests:
    """Return hexadecimal MD5s as an array of bytes, shape (len(md5s),)."""
    return np.frombuffer(bytes.fromhex("".join(md5s)), DIGEST)


class ArrayCache:
    """The arrays in `folder` that were made by one recipe. `tidy` deletes the arrays of other recipes."""

    def __init__(self, folder: Path, recipe: str, kind: ArrayType, *, limit: int) -> None:
        """`limit` is the maximum size of all arrays, in bytes."""
        self._folder, (ending, self._shape, dtype) = folder, kind
        self._dtype = np.dtype(dtype)
        self._bytes = int(np.prod(self._shape)) * self._dtype.itemsize
        self._limit = limit // self._bytes
        self._arrays, self._rows = (folder / f"{recipe}.{name}" for name in (ending, "rows"))

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold a lock that keeps other processes from adding arrays.

        On a file system without locks it does nothing; checksums then detect arrays that were mixed up.

        Raises:
            OSError: nothing can be written there.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        with locked(self._folder / "lock"):
            yield

    def find(self, wanted: Digests) -> tuple[Rows, Array]:
        """Return the row of each of `wanted`, and all arrays.

        Returns:
            The rows, shape (len(wanted),), −1 where there is no undamaged array; and the arrays, shape (rows, *shape),
            which must not be written to. They are the arrays that were checked, even if other processes change the
            files later.
        """
        rows = self._read_rows()
        arrays = self._map(len(rows))
        order = np.argsort(rows["md5"], kind="stable")
        # The last one of several rows with the same MD5, since the earlier ones were damaged.
        places = np.searchsorted(rows["md5"], wanted, side="right", sorter=order) - 1
        found = np.full(len(wanted), -1, np.intp)
        if len(rows):
            found = np.where(rows["md5"][order[places]] == wanted, order[places], -1)
        for place, row in enumerate(found):
            if row >= 0 and zlib.crc32(arrays[row]) != rows["crc32"][row]:
                found[place] = -1
        return found, arrays

    def is_empty(self) -> bool:
        """Whether the cache has no arrays of this recipe yet."""
        return not self._count()

    def room(self) -> int:
        """Return how many arrays may still be added; negative if the cache is over its limit."""
        return self._limit - self._count()

    def add(self, wanted: Digests, arrays: Array) -> None:
        """Append `arrays`, shape (len(wanted), *shape), whose sources have the MD5s `wanted`.

        Raises:
            OSError: the files cannot be written; the disk is full, for example.
        """
        rows = np.empty(len(wanted), ROW)
        rows["md5"], rows["crc32"] = wanted, [zlib.crc32(array) for array in arrays]
        count = self._count()
        for path, size, data in ((self._arrays, self._bytes, arrays), (self._rows, ROW.itemsize, rows)):
            with path.open("ab") as file:
                file.truncate(count * size)  # Removes what an interrupted addition left.
                file.write(data.tobytes())

    def tidy(self, alive: Digests) -> None:
        """Free space: delete the files of other recipes, and compact the arrays to those of `alive` where it pays."""
        kind = f"*{self._arrays.suffix}"
        for path in {*self._folder.glob(kind), *self._folder.glob("*.rows")} - {self._arrays, self._rows}:
            path.unlink()
        rows = self._read_rows()
        arrays = self._map(len(rows))
        kept = np.flatnonzero(np.isin(rows["md5"], alive))[: self._limit]
        if len(rows) <= self._limit and len(kept) >= (1 - DEAD) * len(rows):
            return
        aside = self._arrays.with_suffix(".new")
        with aside.open("wb") as file:
            for start in range(0, len(kept), COPIED):
                file.write(arrays[kept[start : start + COPIED]].tobytes())
        aside.replace(self._arrays)
        self._rows.write_bytes(rows[kept].tobytes())

    def _map(self, rows: int) -> Array:
        shape = (rows, *self._shape)
        # As a plain array, since indexing it is ten times faster than indexing a memmap.
        return (
            np.asarray(np.memmap(self._arrays, self._dtype, "r", shape=shape)) if rows else np.empty(shape, self._dtype)
        )

    def _read_rows(self) -> npt.NDArray[np.void]:
        count = self._count()
        return np.fromfile(self._rows, ROW, count) if count else np.empty(0, ROW)

    def _count(self) -> int:
        """Return the number of rows that are complete in both files."""
        sizes = [path.stat().st_size if path.exists() else 0 for path in (self._arrays, self._rows)]
        return min(sizes[0] // self._bytes, sizes[1] // ROW.itemsize)
