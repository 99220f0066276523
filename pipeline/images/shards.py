"""Shards: append-only tar files of bounded size that hold the stored images, `ID.jpg` or `ID.png` each.

Plain `tar tf` lists them and WebDataset reads them; the index says at which byte an image begins.
"""

import tarfile
from pathlib import Path
from typing import Any, BinaryIO, Self

import numpy as np
import numpy.typing as npt

BLOCK = tarfile.BLOCKSIZE
END = bytes(2 * BLOCK)


def shard_name(number: int) -> str:
    """The file name of shard `number`."""
    return f"{number:06d}.tar"


def shard_number(path: Path) -> int:
    """The number in the name of the shard `path`."""
    return int(path.stem)


def is_shard(path: Path) -> bool:
    """Whether `path` is called as a shard is: there may be other files of people's."""
    return path.suffix == ".tar" and path.stem.isdecimal()


def shards_in(folder: Path) -> list[Path]:
    """The shards in `folder`, sorted; none where there is no such folder."""
    return sorted(filter(is_shard, folder.glob("*.tar")))


def names_in(path: Path) -> list[str]:
    """The names of the images in the shard `path`, of those too that no index row names."""
    # Damage does not hide what comes after it.
    with tarfile.open(path, "r:", ignore_zeros=True) as shard:
        return shard.getnames()


def size_of_image(lengths: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.integer[Any]]:
    """What images of `lengths` bytes take of a shard, with header and padding; shape (n,)."""
    return BLOCK + -(-lengths // BLOCK) * BLOCK


def last_shard(folder: Path) -> int:
    """The highest number of a shard in `folder`, -1 where there is none."""
    return max(map(shard_number, shards_in(folder)), default=-1)


class ShardWriter:
    """Appends images to new shards in `folder`, the first one numbered `first`, until each holds `limit` bytes."""

    def __init__(self, folder: Path, *, first: int, limit: int) -> None:
        self._folder, self._number, self._limit = folder, first, limit
        self._file: BinaryIO | None = None

    def append(self, name: str, data: bytes) -> tuple[int, int]:
        """Append the file `name`; returns its shard's number and the offset of its first byte."""
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
        """Hand what was appended to the operating system, so that it outlives this process."""
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
    """End the shard `path` after the image whose last byte is the one before `end`; remove it if that leaves none."""
    if end == 0:
        path.unlink()
        return
    ending = bytes(-end % BLOCK) + END
    with path.open("r+b") as file:
        file.seek(end)
        if file.read() == ending:
            return  # Nothing is written, since it may be published, and linked, already.
        file.truncate(end)
        file.seek(end)
        file.write(ending)


class ShardReader:
    """Reads images out of the shards in `folder`, keeping the files open. One for each process."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[int, BinaryIO] = {}

    def read(self, shard: int, offset: int, length: int) -> bytes:
        """`length` bytes of shard `shard` from `offset` on; fewer where the shard was cut short."""
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
