"""Shards: append-only tar files of bounded size with the stored images, each named `ID.jpg` or `ID.png`.

`tar tf` lists them and WebDataset reads them. The index contains the byte offset of each image.
"""

import tarfile
from pathlib import Path
from typing import Any, BinaryIO, Self

import numpy as np
import numpy.typing as npt

BLOCK = tarfile.BLOCKSIZE
END = bytes(2 * BLOCK)


def shard_name(number: int) -> str:
    """Return the file name of shard `number`."""
    return f"{number:06d}.tar"


def shard_number(path: Path) -> int:
    """Return the number in the file name of the shard `path`."""
    return int(path.stem)


def is_shard(path: Path) -> bool:
    """Whether `path` is named like a shard; users may have other files in the folder."""
    return path.suffix == ".tar" and path.stem.isdecimal()


def shards_in(folder: Path) -> list[Path]:
    """Return the shards in `folder`, sorted; an empty list if there is no such folder."""
    return sorted(filter(is_shard, folder.glob("*.tar")))


def names_in(path: Path) -> list[str]:
    """Return the names of all images in the shard `path`, including those that are not in the index."""
    # With `ignore_zeros`, images after a damaged header are found, too.
    with tarfile.open(path, "r:", ignore_zeros=True) as shard:
        return shard.getnames()


def size_of_image(lengths: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.integer[Any]]:
    """Return the bytes that images of `lengths` bytes occupy in a shard, with header and padding; shape (n,)."""
    return BLOCK + -(-lengths // BLOCK) * BLOCK


def last_shard(folder: Path) -> int:
    """Return the highest number of a shard in `folder`, -1 if there is none."""
    return max(map(shard_number, shards_in(folder)), default=-1)


class ShardWriter:
    """Appends images to new shards in `folder` of at most `limit` bytes each, numbered from `first`."""

    def __init__(self, folder: Path, *, first: int, limit: int) -> None:
        self._folder, self._number, self._limit = folder, first, limit
        self._file: BinaryIO | None = None

    def append(self, name: str, data: bytes) -> tuple[int, int]:
        """Append a file `name` with the bytes `data`; returns its shard's number and the offset of its first byte."""
        info = tarfile.TarInfo(name)
        info.size = len(data)
        header = info.tobuf(tarfile.USTAR_FORMAT)
        if self._file is not None and self._file.tell() + len(header) + len(data) > self._limit:
            self._finish()
            self._number += 1
        if self._file is None:
            self._file = (self._folder / shard_name(self._number)).open("wb")
        offset = self._file.tell() + len(header)
        self._file.write(header + data + bytes(-len(data) % BLOCK))
        return self._number, offset

    def flush(self) -> None:
        """Flush appended data to the operating system, so that a crash of this process does not lose it."""
        if self._file is not None:
            self._file.flush()

    def _finish(self) -> None:
        assert self._file is not None
        self._file.write(END)
        self._file.close()
        self._file = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._finish()


def seal(path: Path, end: int) -> None:
    """Truncate the shard `path` after the image that ends at byte `end` (exclusive); delete it if `end` is 0."""
    if end == 0:
        path.unlink()
        return
    ending = bytes(-end % BLOCK) + END
    with path.open("r+b") as file:
        file.seek(end)
        if file.read() == ending:
            return  # Not written again: the file may be published, and linked, already.
        file.truncate(end)
        file.seek(end)
        file.write(ending)


class ShardReader:
    """Reads images from the shards in `folder`, and keeps the files open. Each process needs a reader of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[int, BinaryIO] = {}

    def read(self, shard: int, offset: int, length: int) -> bytes:
        """Return `length` bytes of shard `shard` from `offset` on; fewer if the shard is truncated."""
        if shard not in self._files:
            self._files[shard] = (self._folder / shard_name(shard)).open("rb")
        file = self._files[shard]
        file.seek(offset)
        return file.read(length)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._files.values():
            file.close()
