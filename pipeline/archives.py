"""Reading .zip and .tar archives member by member, trusting nothing they say.

A member is never extracted to a file, so a name like `../x` cannot write anywhere; it is refused all the same,
since whoever unpacks the archive by hand would be harmed. `Archive` is the one interface for both kinds.
"""

import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple, Protocol

SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
# What opening or reading a broken archive is known to raise.
BROKEN = (
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


class Member(NamedTuple):
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

    def members(self) -> Iterator[Member]:
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

    def members(self) -> Iterator[Member]:
        for position, info in enumerate(self._infos):
            unreadable = "encrypted" if info.flag_bits & 1 else ""
            yield Member(info.filename, position, info.file_size, unreadable)

    def read(self, position: int, limit: int) -> bytes:
        with self._file.open(self._infos[position]) as file:
            return file.read(limit)


class _Tar:
    def __init__(self, path: Path) -> None:
        self._file = tarfile.open(path, errors="surrogateescape")  # noqa: SIM115 (lives as long as this)
        self._infos = [info for info in self._file if not info.isdir()]

    def __del__(self) -> None:
        if hasattr(self, "_file"):
            self._file.close()  # Unlike ZipFile, TarFile leaves that to chance.

    def members(self) -> Iterator[Member]:
        for position, info in enumerate(self._infos):
            unreadable = "" if info.isfile() else "not a file"  # Links, devices, pipes.
            yield Member(printable(info.name), position, info.size, unreadable)

    def read(self, position: int, limit: int) -> bytes:
        file = self._file.extractfile(self._infos[position])
        assert file is not None
        return file.read(limit)


def printable(name: str) -> str:
    """A name that can be written as UTF-8, whatever encoding its bytes were in."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
