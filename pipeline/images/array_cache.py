"""Arrays that are worked out once, kept on disk and mapped into memory: decoded images, or features of images.

Two files that only grow: the arrays, all of one shape, and the MD5 of what each was made of, with a checksum of the
array. What a kill or a power failure leaves half written does not match its checksum, and is worked out again.
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
# All are 16 bytes long, so that NumPy's ignoring zeros at the end makes no two the same.
DIGEST = np.dtype("S16")
ROW = np.dtype([("md5", DIGEST), ("crc32", "<u4")])
# Rows are copied when at least this share of them is of no use any more.
DEAD = 0.25
COPIED = 1024


class ArrayType(NamedTuple):
    """What all arrays of a cache are."""

    name: str
    """Ends the name of their file."""
    shape: tuple[int, ...]
    dtype: npt.DTypeLike


def digests(md5s: Sequence[str]) -> Digests:
    """MD5s in hexadecimal as an array."""
    return np.frombuffer(bytes.fromhex("".join(md5s)), DIGEST)


class ArrayCache:
    """The arrays in `folder` that are made by one recipe; what others have made there goes when room is short."""

    def __init__(self, folder: Path, recipe: str, kind: ArrayType, *, limit: int) -> None:
        """`limit` is in bytes."""
        self._folder, (ending, self._shape, dtype) = folder, kind
        self._dtype = np.dtype(dtype)
        self._bytes = int(np.prod(self._shape)) * self._dtype.itemsize
        self._limit = limit // self._bytes
        self._arrays, self._rows = (folder / f"{recipe}.{name}" for name in (ending, "rows"))

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keeps other processes from adding, where the disk knows locks; without, checksums tell what is mixed up.

        Raises:
            OSError: nothing can be written.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        with locked(self._folder / "lock"):
            yield

    def find(self, wanted: Digests) -> tuple[Rows, Array]:
        """The row of each of `wanted`, −1 where there is none that is whole, shape (len(wanted),).

        And all arrays, shape (rows, *shape), not to be written to: those that were checked, whatever other processes do
        to the files from now on.
        """
        rows = self._read_rows()
        arrays = self._map(len(rows))
        order = np.argsort(rows["md5"], kind="stable")
        # The last of several: an earlier one was damaged.
        places = np.searchsorted(rows["md5"], wanted, side="right", sorter=order) - 1
        found = np.full(len(wanted), -1, np.intp)
        if len(rows):
            found = np.where(rows["md5"][order[places]] == wanted, order[places], -1)
        for place, row in enumerate(found):
            if row >= 0 and zlib.crc32(arrays[row]) != rows["crc32"][row]:
                found[place] = -1
        return found, arrays

    def is_empty(self) -> bool:
        """Whether there are no arrays of this recipe yet."""
        return not self._count()

    def room(self) -> int:
        """How many arrays may be added; negative if there are too many."""
        return self._limit - self._count()

    def add(self, wanted: Digests, arrays: Array) -> None:
        """Add `arrays`, shape (len(wanted), *shape).

        Raises:
            OSError: the disk is full, for example.
        """
        rows = np.empty(len(wanted), ROW)
        rows["md5"], rows["crc32"] = wanted, [zlib.crc32(array) for array in arrays]
        count = self._count()
        for path, size, data in ((self._arrays, self._bytes, arrays), (self._rows, ROW.itemsize, rows)):
            with path.open("ab") as file:
                file.truncate(count * size)  # What an interrupted addition left.
                file.write(data.tobytes())

    def tidy(self, alive: Digests) -> None:
        """Make room: remove what other recipes left, and what is of nothing `alive`, if that is much."""
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
        # As a plain array, whose rows cost a tenth to take.
        return (
            np.asarray(np.memmap(self._arrays, self._dtype, "r", shape=shape)) if rows else np.empty(shape, self._dtype)
        )

    def _read_rows(self) -> npt.NDArray[np.void]:
        count = self._count()
        return np.fromfile(self._rows, ROW, count) if count else np.empty(0, ROW)

    def _count(self) -> int:
        """How many rows are in both files."""
        sizes = [path.stat().st_size if path.exists() else 0 for path in (self._arrays, self._rows)]
        return min(sizes[0] // self._bytes, sizes[1] // ROW.itemsize)
