"""An on-disk cache of blocks of remote shards, one file for each block, with a size limit.

Each file is put in place by a rename, and ends with a checksum. Readers check the MD5 of each image. When it does not
match, the checksums tell which of the image's blocks is damaged. When space is short, the least recently used blocks
are deleted, but never those that this run has used, since every epoch reads them again.
"""

import os
import time
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from threading import Lock

from pipeline.locking import locked

# Bytes in a block.
BLOCK = 2**19
# The share of the limit that one scan of the folder frees and reserves, so that not every addition has to scan.
STEP = 1 / 16
CHECKSUM = 4


class BlockCache:
    """Blocks of objects in `folder`, which several processes may share."""

    def __init__(self, folder: Path, *, limit: int, processes: int = 1) -> None:
        """`limit`, in bytes, is shared by all `processes` that add blocks at the same time."""
        self._folder, self._limit, self._processes = folder, limit, processes
        self._began, self._used = time.time(), set[Path]()
        # Bytes that may be added before the next scan of the folder, and bytes that are being downloaded.
        self._room = self._coming = 0
        self._is_full = limit < BLOCK
        # Keeps a thread from deleting a damaged block that another thread has just replaced.
        self._changing = Lock()

    @staticmethod
    def blocks(start: int, end: int) -> range:
        """Return the numbers of the blocks that hold the bytes from `start` up to, but not including, `end`."""
        return range(start // BLOCK, (end - 1) // BLOCK + 1)

    def read(self, oid: str, start: int, end: int) -> bytes | None:
        """Return bytes `start` to `end` (exclusive) of the object `oid`, unchecked; None if a block is missing."""
        parts = []
        for number in self.blocks(start, end):
            path, before = self._path(oid, number), number * BLOCK
            try:
                with path.open("rb") as file:
                    file.seek(max(start - before, 0))
                    parts.append(file.read(min(end - before, BLOCK) - max(start - before, 0)))
                self._touch(path)
            except OSError:
                return None
        return b"".join(parts)

    def has(self, oid: str, number: int) -> bool:
        """Whether block `number` of the object `oid` is in the cache."""
        return self._path(oid, number).exists()

    def take_room(self) -> bool:
        """Reserve space for one more block, until `give_back` is called; False if there is none.

        Raises:
            OSError: the folder is not writable.
        """
        if self._room < BLOCK and not self._is_full:
            self._look_through()
        if self._is_full:
            return False
        self._room -= BLOCK
        self._coming += BLOCK
        return True

    def give_back(self) -> None:
        """Release a reservation: its block is in the folder, or could not be downloaded."""
        self._coming -= BLOCK

    def add(self, oid: str, number: int, data: bytes) -> None:
        """Add block `number` of the object `oid`, after `take_room` has reserved its space.

        Raises:
            OSError: the block cannot be written; the disk is full, for example.
        """
        path = self._path(oid, number)
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_name(f"{path.name}.{os.getpid()}")
        try:
            aside.write_bytes(data + _checksum(data))
            with self._changing:
                aside.replace(path)  # Without fsync: the checksum detects what a power failure damages.
            self._touch(path)
        except OSError:
            aside.unlink(missing_ok=True)
            raise

    def drop_damaged(self, oid: str, start: int, end: int) -> None:
        """Delete the damaged ones among the blocks that hold bytes `start` to `end` (exclusive) of `oid`."""
        for number in self.blocks(start, end):
            path = self._path(oid, number)
            with self._changing:
                if path.exists() and not _is_whole(path):
                    path.unlink()

    def close(self) -> None:
        """Refuse further blocks."""
        self._is_full = True

    def _look_through(self) -> None:
        """Scan the folder: delete the least recently used blocks if space is short, and reserve the free space."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with locked(self._folder / "lock"):
            found = sorted(self._last_uses())
            # Each file counts as a full block, since a full block was reserved for it.
            left = self._limit - self._coming - BLOCK * len(found)
            for used, path in found:
                if left >= max(BLOCK * self._processes, self._limit * STEP) or used >= self._began:
                    break
                path.unlink(missing_ok=True)
                left += BLOCK
        self._room = int(min(left, max(BLOCK, self._limit * STEP))) // self._processes
        self._is_full = self._room < BLOCK

    def _last_uses(self) -> Iterator[tuple[float, Path]]:
        """Yield each file with the time of its last use."""
        for path in self._folder.glob("*/*"):
            with suppress(FileNotFoundError):  # Another thread or process has deleted it.
                yield path.stat().st_mtime, path

    def _touch(self, path: Path) -> None:
        if path not in self._used:
            self._used.add(path)
            now = time.time()  # The same clock as for `_began`; the clock of the disk may be behind.
            os.utime(path, (now, now))

    def _path(self, oid: str, number: int) -> Path:
        return self._folder / oid / str(number)


def _checksum(data: bytes) -> bytes:
    return zlib.crc32(data).to_bytes(CHECKSUM)


def _is_whole(path: Path) -> bool:
    content = path.read_bytes()
    return content[-CHECKSUM:] == _checksum(content[:-CHECKSUM])
