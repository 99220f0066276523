"""Archives, trusting nothing they say: opening them, and what goes wrong on the way.

A member is never extracted to a file, so a name like `../x` cannot write anywhere; it is refused all the same,
since whoever unpacks the archive by hand would be harmed.
"""

import lzma
import tarfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from pipeline.ingestion.unpacking.kinds import LONGEST, PROGRAM, UNPACK, ZSTANDARD, kind_of
from pipeline.ingestion.unpacking.members import Archive, BombError
from pipeline.ingestion.unpacking.tars import UNPACKERS, TarArchive
from pipeline.ingestion.unpacking.zip_names import USUAL
from pipeline.ingestion.unpacking.zips import ZipArchive


class UnsupportedError(Exception):
    """An archive is of a kind that is not read, or not by this Python; says which, and what to do."""


# What opening or reading a broken archive is known to raise.
BROKEN = (
    BombError,
    UnsupportedError,
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


def open_archive(path: Path, encoding: str = USUAL) -> Archive:
    """Open the archive `path`, of the kind that its bytes say; raises one of `BROKEN` where that fails.

    `encoding` is that of names in zips that do not say it.
    """
    with path.open("rb") as file:
        start = file.read(LONGEST)
    if start.startswith(b"PK"):
        return ZipArchive(path, encoding)
    if (kind := kind_of(start)) and not any(start.startswith(magic) for magic in UNPACKERS):
        later = "Python 3.14 or newer reads it, and this is an older one; " if start.startswith(ZSTANDARD) else ""
        raise UnsupportedError(f"{kind}; {later}{UNPACK}")
    try:
        return TarArchive(path)
    except tarfile.ReadError:
        # Such as unpacks itself begins with a program.
        if zipfile.is_zipfile(path):
            return ZipArchive(path, encoding)
        if start.startswith(PROGRAM):
            raise UnsupportedError(f"a program, without a zip at its end; {UNPACK}") from None
        raise


def is_zip(path: Path) -> bool:
    """Whether the archive `path` is a zip, by its bytes."""
    return isinstance(open_archive(path), ZipArchive)


def is_unsafe(name: str) -> bool:
    """Whether unpacking a member of this name could write outside the folder it is unpacked into."""
    posix = name.replace("\\", "/")
    drive = len(posix) > 1 and posix[1] == ":"
    return posix.startswith("/") or drive or ".." in PurePosixPath(posix).parts or "\0" in name
