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

from pipeline.ingestion.kinds import LONGEST, kind_of
from pipeline.ingestion.zip_names import name_of

SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
# What other archives are called; they are named to people, and not opened.
OTHER_SUFFIXES = (".7z", ".rar", ".zst", ".tzst", ".lz4", ".lzma", ".cab", ".lzh")
# An archive that unpacks to more than this, and to this many times its size, is made to harm.
MAX_UNPACKED = 4 * 2**30
MAX_RATIO = 100
# What tar keeps of one member beside its content: names, attributes, maps of holes.
MAX_HEADER = 2**20
BUFFER = 2**20
# A zip's last record: 22 bytes, and a comment.
MAX_END = 22 + 2**16
NOT_UTF8 = "is not UTF-8"
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
    doubt: str = ""
    """What is not certain of its name, empty where nothing is."""


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


def is_other_archive(name: str) -> bool:
    """Whether the name of a file says that it is an archive of a kind that is not read."""
    return name.lower().endswith(OTHER_SUFFIXES)


def open_archive(path: Path) -> Archive:
    """Open the archive `path`, of the kind that its bytes say; raises one of `BROKEN` where that fails."""
    with path.open("rb") as file:
        start = file.read(LONGEST)
    if start.startswith(b"PK"):
        return _Zip(path)
    if kind := kind_of(start):
        raise tarfile.ReadError(f"{kind}, whatever its name says; make a .zip or .tar of what is in it")
    return _Tar(path)


def is_unsafe(name: str) -> bool:
    """Whether unpacking a member of this name could write outside the folder it is unpacked into."""
    posix = name.replace("\\", "/")
    drive = len(posix) > 1 and posix[1] == ":"
    return posix.startswith("/") or drive or ".." in PurePosixPath(posix).parts or "\0" in name


def files_of(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """The members of `archive` that are no folders, in its own order."""
    return [info for info in archive.infolist() if not name_of(info).text.endswith("/")]


class _Zip:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = zipfile.ZipFile(path)
        self._infos = files_of(self._file)

    def members(self) -> Iterator[ArchiveMember]:
        for position, info in enumerate(self._infos):
            name, unreadable = name_of(info), "encrypted" if info.flag_bits & 1 else ""
            yield ArchiveMember(name.text, position, info.file_size, unreadable, name.doubt)
        self._check_start()

    def read(self, position: int, limit: int) -> bytes:
        with self._file.open(self._infos[position]) as file:
            return file.read(limit)

    def _check_start(self) -> None:
        """See that no other zip comes before this one in the file: the list at the end does not name its members."""
        start = min((info.header_offset for info in self._file.infolist()), default=self._file.start_dir)
        with self._path.open("rb") as file:
            file.seek(max(start - MAX_END, 0))
            before = file.read(min(start, MAX_END))
        end = before.rfind(b"PK\5\6")
        count = int.from_bytes(before[end + 10 : end + 12], "little") if end >= 0 else 0
        if count:
            what = f"{count} files are in another zip that comes before it in the same file"
            raise zipfile.BadZipFile(f"{what}; make one archive of both")


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
            name = printable(info.name)
            yield ArchiveMember(name, position, info.size, unreadable, NOT_UTF8 if name != info.name else "")

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
        start: int | None = 0
        while start is not None:
            archive = self._open_at(start)
            while (info := archive.next()) is not None:
                if not info.isdir():
                    yield info
                archive.members.clear()  # type: ignore[attr-defined]  # Or all of them stay in memory.
                self._stream.expect(MAX_HEADER)
            start = self._after(archive.offset)

    def _after(self, end: int) -> int | None:
        """Where another tar begins behind the one that ends at `end`, as where two files were put into one."""
        # Of a header that is damaged or missing tarfile says no more than of the end, which is a block of zeros.
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
