"""Reads tar archives, compressed or not, member by member, and unpacks no more than is requested."""

import bz2
import gzip
import io
import lzma
import sys
import tarfile
from array import array
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

from pipeline.ingestion.unpacking.kinds import ZSTANDARD
from pipeline.ingestion.unpacking.members import ArchiveMember, BombError, most_unpacked, with_folders

# The most that a tar may store for one member besides its content: names, attributes, sparse maps. In bytes.
MAX_HEADER = 2**20
BUFFER = 2**20
UNPACKERS: dict[bytes, Callable[[Path], Any]] = {
    b"\x1f\x8b": gzip.GzipFile,
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\0": lzma.LZMAFile,
}
if sys.version_info >= (3, 14):
    from compression.zstd import ZstdFile

    UNPACKERS[ZSTANDARD] = ZstdFile
NOT_UTF8 = "is not UTF-8"


class _Content(NamedTuple):
    """Where a member's content is stored."""

    header: int
    size: int


class TarArchive:
    """An open tar; keeps the offsets of members instead of tarfile's objects, which take a kilobyte each."""

    def __init__(self, path: Path) -> None:
        self._stream = _Bounded(path)
        self._headers = array("q")  # Offsets of headers, up to the last member read.
        self._rest: Iterator[tarfile.TarInfo] | None = None
        self._linked: dict[int, _Content] | None = None  # Filled at the first hard link.
        self._open_at(0)

    def __del__(self) -> None:
        if hasattr(self, "_stream"):
            self._stream.close()

    def members(self) -> Iterator[ArchiveMember]:
        """Yield the archive's files, see `Archive.members`."""
        for position, info in enumerate(self._listed()):
            target = self._target(info)
            name = printable(info.name)
            unreadable = "not a file" if target is None else ""  # Symbolic links, devices, pipes.
            size = info.size if target is None else target.size
            yield ArchiveMember(with_folders(name), position, size, unreadable, NOT_UTF8 if name != info.name else "")

    def read(self, position: int, limit: int) -> bytes:
        """Return bytes of a member, see `Archive.read`."""
        # List no further than needed: the rest of the archive may be damaged.
        self._rest = self._rest or self._listed()
        missing = position + 1 - len(self._headers)
        self._headers.extend(info.offset for info in islice(self._rest, max(missing, 0)))
        archive = self._open_at(self._headers[position])
        info = archive.next()
        assert info is not None
        if info.islnk() and (target := self._target(info)) is not None:
            archive = self._open_at(target.header)
            info = archive.next()
            assert info is not None
        self._stream.expect(limit + BUFFER)
        file = archive.extractfile(info)
        assert file is not None
        return file.read(limit)

    def _target(self, info: tarfile.TarInfo) -> "_Content | None":
        """Return the location of the content of `info`; that of a hard link is an earlier file, which it names."""
        if not info.islnk():
            return _Content(info.offset, info.size) if info.isfile() else None
        if self._linked is None:
            self._linked = self._find_linked()
        return self._linked.get(info.offset)

    def _find_linked(self) -> "dict[int, _Content]":
        """Return the location of each hard link's content, by the offset of the link's own header."""
        files: dict[str, _Content] = {}
        linked: dict[int, _Content] = {}
        for info in self._listed():
            if info.isfile():
                files[info.name] = _Content(info.offset, info.size)
            elif info.islnk() and info.linkname in files:
                files[info.name] = linked[info.offset] = files[info.linkname]
        return linked

    def _open_at(self, header: int) -> tarfile.TarFile:
        """Open the archive at the offset `header` of a member; tarfile reads that header immediately."""
        self._stream.expect(MAX_HEADER)
        self._stream.seek(header)
        return tarfile.TarFile(fileobj=self._stream, errors="surrogateescape")

    def _listed(self) -> Iterator[tarfile.TarInfo]:
        """Yield all members but folders; callers may read elsewhere in the stream between two of them."""
        start: int | None = 0
        while start is not None:
            archive = self._open_at(start)
            while (info := archive.next()) is not None:
                if not info.isdir():
                    yield info
                archive.members.clear()  # type: ignore[attr-defined]  # Else all of them stay in memory.
                self._stream.expect(MAX_HEADER)
            start = self._after(archive.offset)

    def _after(self, end: int) -> int | None:
        """Return the offset of another tar appended after the one that ends at `end`, or None."""
        # tarfile treats a damaged or missing header like the end of the archive, which is a block of zeros.
        self._stream.expect(MAX_HEADER)
        self._stream.seek(end)
        if self._stream.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise tarfile.ReadError(f"damaged or cut off at byte {end}")
        position = end + tarfile.BLOCKSIZE
        while True:
            self._stream.expect(BUFFER)
            self._stream.seek(position)
            chunk = self._stream.read(BUFFER)
            zeros = len(chunk) - len(chunk.lstrip(b"\0"))
            position += zeros - zeros % tarfile.BLOCKSIZE
            if zeros < len(chunk):
                return position
            if len(chunk) < BUFFER:
                return None


class _Bounded(io.BufferedIOBase):
    """A tar file, decompressed on the fly, that raises `BombError` when more is read than `expect` allowed."""

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            start = file.read(6)
        unpack = next((opener for magic, opener in UNPACKERS.items() if start.startswith(magic)), None)
        self._file: IO[bytes] = cast("IO[bytes]", unpack(path)) if unpack else path.open("rb")
        self._end = most_unpacked(path)
        self._expected = MAX_HEADER

    def expect(self, size: int) -> None:
        """Allow the next `size` bytes to be read."""
        self._expected = size

    def read(self, size: int | None = -1, /) -> bytes:
        size = sys.maxsize if size is None or size < 0 else size
        self._expected -= size
        if self._expected < 0:
            raise BombError(f"has a header of more than {MAX_HEADER} bytes")
        return self._file.read(size)

    def seek(self, offset: int, whence: int = 0, /) -> int:
        if offset > self._end:
            raise BombError(f"would unpack to more than {self._end} bytes")
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        if hasattr(self, "_file"):
            self._file.close()
        super().close()


def printable(name: str) -> str:
    """Return `name` in a form that can be written as UTF-8: undecodable bytes become backslash escapes."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
