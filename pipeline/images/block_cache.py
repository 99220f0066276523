"""Pieces of shards, as a remote has them, kept on disk in files of one size, up to a limit.

A file is put in place whole, and ends with a checksum. Whoever reads an image from it checks the image's MD5; the
checksums say which of the blocks that hold it is damaged then. What was not used for longest goes when room is short,
but nothing that this run has used: each epoch asks for all of it again.
"""

import os
import time
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from threading import Lock

from pipeline.locking import locked

BLOCK = 2**19
# The share of the limit that is made free, and given away, at a time: not every addition looks through the folder.
STEP = 1 / 16
CHECKSUM = 4


class BlockCache:
    """Blocks of objects in `folder`; several processes may share it."""

    def __init__(self, folder: Path, *, limit: int, processes: int = 1) -> None:
        """`limit` is in bytes, of all `processes` together that add at the same time."""
        self._folder, self._limit, self._processes = folder, limit, processes
        self._began, self._used = time.time(), set[Path]()
        # Bytes that may be added before the folder is looked through again, and those on their way to it.
        self._room = self._coming = 0
        self._is_full = limit < BLOCK
        # A block that was found damaged must not be deleted once another thread has replaced it.
        self._changing = Lock()

    @staticmethod
    def blocks(start: int, end: int) -> range:
        """The numbers of the blocks that hold the bytes from `start` to before `end`."""
        return range(start // BLOCK, (end - 1) // BLOCK + 1)

    def read(self, oid: str, start: int, end: int) -> bytes | None:
        """The bytes of the object `oid` from `start` to before `end`, unchecked; None if not all is here."""
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
        """Whether the block `number` of the object `oid` is here."""
        return self._path(oid, number).exists()

    def take_room(self) -> bool:
        """Whether one more block may be added; its room is taken then, until `give_back`.

        Raises:
            OSError: the folder cannot be written to.
        """
        if self._room < BLOCK and not self._is_full:
            self._look_through()
        if self._is_full:
            return False
        self._room -= BLOCK
        self._coming += BLOCK
        return True

    def give_back(self) -> None:
        """The block for which room was taken is in the folder, or will not come."""
        self._coming -= BLOCK

    def add(self, oid: str, number: int, data: bytes) -> None:
        """Add the block `number` of the object `oid`, for which room was taken.

        Raises:
            OSError: the disk is full, for example.
        """
        path = self._path(oid, number)
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_name(f"{path.name}.{os.getpid()}")
        try:
            aside.write_bytes(data + _checksum(data))
            with self._changing:
                aside.replace(path)  # Unsynced: what a power failure leaves is found by its checksum.
            self._touch(path)
        except OSError:
            aside.unlink(missing_ok=True)
            raise

    def drop_damaged(self, oid: str, start: int, end: int) -> None:
        """Delete those of the blocks which hold these bytes that are not what was added."""
        for number in self.blocks(start, end):
            path = self._path(oid, number)
            with self._changing:
                if path.exists() and not _is_whole(path):
                    path.unlink()

    def close(self) -> None:
        """Add nothing more."""
        self._is_full = True

    def _look_through(self) -> None:
        """Delete what was not used for longest where room is short, and see how much may be added."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with locked(self._folder / "lock"):
            found = sorted(self._last_uses())
            # A file stands for a whole block, as which it was given room.
            left = self._limit - self._coming - BLOCK * len(found)
            for used, path in found:
                if left >= max(BLOCK * self._processes, self._limit * STEP) or used >= self._began:
                    break
                path.unlink(missing_ok=True)
                left += BLOCK
        self._room = int(min(left, max(BLOCK, self._limit * STEP))) // self._processes
        self._is_full = self._room < BLOCK

    def _last_uses(self) -> Iterator[tuple[float, Path]]:
        """When each file was last used."""
        for path in self._folder.glob("*/*"):
            with suppress(FileNotFoundError):  # Deleted meanwhile, by another thread or process.
                yield path.stat().st_mtime, path

    def _touch(self, path: Path) -> None:
        if path not in self._used:
            self._used.add(path)
            now = time.time()  # Of the same clock as when this run began; that of the disk may lag.
            os.utime(path, (now, now))

    def _path(self, oid: str, number: int) -> Path:
        return self._folder / oid / str(number)


def _checksum(data: bytes) -> bytes:
    return zlib.crc32(data).to_bytes(CHECKSUM)


def _is_whole(path: Path) -> bool:
    content = path.read_bytes()
    return content[-CHECKSUM:] == _checksum(content[:-CHECKSUM])
