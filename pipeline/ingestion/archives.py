"""Reading .zip and .tar archives member by member, trusting nothing they say.

A member is never extracted to a file, so a name like `../x` cannot write anywhere; it is refused all the same,
since whoever unpacks the archive by hand would be harmed. `Archive` is the one interface for both kinds.
"""

import bz2
import gzip
import io
import lzma
import sys
import tarfile
import zipfile
import zlib
from array import array
from collections.abc import Iterator
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple, Protocol, cast

SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
# An archive that unpacks to more than this, and to this many times its size, is made to harm.
MAX_UNPACKED = 4 * 2**30
MAX_RATIO = 100
# What tar keeps of one member besides its content: names, attributes, maps of holes.
MAX_HEADER = 2**20
BUFFER = 2**20
UNPACKERS = {b"\x1f\x8b": gzip.GzipFile, b"BZh": bz2.BZ2File, b"\xfd7zXZ\0": lzma.LZMAFile}


class BombError(Exception):
    """An archive is made to take far more memory or time than its size says."""


# What opening or reading a broken archive is known to raise.
BROKEN = (
    BombError,
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    IndexError,  # zipfile, of an empty name.
    EOFError,
    OSError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    OverflowError,
    MemoryError,
)


class ArchiveMember(NamedTuple):
    """A file in an archive, as its directory describes it."""

    name: str
    position: int
    """Its place in the archive's own order: names may repeat."""
    size: int
    """Bytes it claims to unpack to."""
    unreadable: str
    """Why it cannot be read ("encrypted", "not a file"), empty where it can."""


class Archive(Protocol):
    """An open archive."""

    def members(self) -> Iterator[ArchiveMember]:
        """Its files in its own order; raises one of `BROKEN`."""
        ...

    def read(self, position: int, limit: int) -> bytes:
        """The bytes of the member at `position`, at most `limit` of them; raises one of `BROKEN`."""
        ...


def is_archive(name: str) -> bool:
    """Whether the name of a file says that it is an archive that is looked into."""
    return name.lower().endswith(SUFFIXES)


def open_archive(path: Path) -> Archive:
    """Open the archive `path`, of the kind that its bytes say; raises one of `BROKEN` where that fails."""
    with path.open("rb") as file:
        is_zip = file.read(2) == b"PK"
    return _Zip(path) if is_zip else _Tar(path)


def is_unsafe(name: str) -> bool:
    """Whether unpacking a member of this name could write outside the folder it is unpacked into."""
    posix = name.replace("\\", "/")
    drive = len(posix) > 1 and posix[1] == ":"
    return posix.startswith("/") or drive or ".." in PurePosixPath(posix).parts or "\0" in name


class _Zip:
    def __init__(self, path: Path) -> None:
        self._file = zipfile.ZipFile(path)
        self._infos = [info for info in self._file.infolist() if not info.is_dir()]

    def members(self) -> Iterator[ArchiveMember]:
        for position, info in enumerate(self._infos):
            unreadable = "encrypted" if info.flag_bits & 1 else ""
            yield ArchiveMember(info.filename, position, info.file_size, unreadable)

    def read(self, position: int, limit: int) -> bytes:
        with self._file.open(self._infos[position]) as file:
            return file.read(limit)


class _Tar:
    """Keeps where each member's header lies, and none of tarfile's objects, which take a kilobyte each."""

    def __init__(self, path: Path) -> None:
        self._stream = _Bounded(path)
        self._headers = array("q")  # As far as a member was asked for.
        self._rest: Iterator[tarfile.TarInfo] | None = None
        self._open_at(0)

    def __del__(self) -> None:
        if hasattr(self, "_stream"):
            self._stream.close()

    def members(self) -> Iterator[ArchiveMember]:
        for position, info in enumerate(self._listed()):
            unreadable = "" if info.isfile() else "not a file"  # Links, devices, pipes.
            yield ArchiveMember(printable(info.name), position, info.size, unreadable)

    def read(self, position: int, limit: int) -> bytes:
        # No further than needed: what comes after may be damaged.
        self._rest = self._rest or self._listed()
        missing = position + 1 - len(self._headers)
        self._headers.extend(info.offset for info in islice(self._rest, max(missing, 0)))
        archive = self._open_at(self._headers[position])
        info = archive.next()
        assert info is not None
        self._stream.expect(limit + BUFFER)
        file = archive.extractfile(info)
        assert file is not None
        return file.read(limit)

    def _open_at(self, header: int) -> tarfile.TarFile:
        """The archive from the member on whose header lies there; tarfile reads that header at once."""
        self._stream.expect(MAX_HEADER)
        self._stream.seek(header)
        return tarfile.TarFile(fileobj=self._stream, errors="surrogateescape")

    def _listed(self) -> Iterator[tarfile.TarInfo]:
        """All files; between two of them others may read elsewhere in the stream."""
        archive = self._open_at(0)
        while (info := archive.next()) is not None:
            if not info.isdir():
                yield info
            archive.members.clear()  # type: ignore[attr-defined]  # Or all of them stay in memory.
            self._stream.expect(MAX_HEADER)
        # Of a header that is damaged or missing tarfile says no more than of the end, which is a block of zeros.
        self._stream.seek(archive.offset)
        if self._stream.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise tarfile.ReadError(f"damaged or cut off at byte {archive.offset}")


class _Bounded(io.BufferedIOBase):
    """A tar file, unpacked as it is read, of which no more is read at a time than is expected."""

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            start = file.read(6)
        unpack = next((opener for magic, opener in UNPACKERS.items() if start.startswith(magic)), None)
        self._file: IO[bytes] = cast("IO[bytes]", unpack(path)) if unpack else path.open("rb")
        self._end = most_unpacked(path)
        self._expected = MAX_HEADER

    def expect(self, size: int) -> None:
        """Allow `size` bytes to be read from now on."""
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


def most_unpacked(path: Path) -> int:
    """The bytes beyond which what is in the archive `path` is no honest content."""
    return max(MAX_UNPACKED, MAX_RATIO * path.stat().st_size)


def printable(name: str) -> str:
    """A name that can be written as UTF-8, whatever encoding its bytes were in."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
