"""Opens archives, which are untrusted input, and lists the errors that reading one may raise.

A member is never extracted to a file, so a name like `../x` cannot write anywhere. Such a name is refused nevertheless,
because it would harm people who unpack the archive by hand.
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
    """The archive's format is not supported, or not by this Python version; the message names the format and a fix."""


# All exceptions that opening or reading a broken archive is known to raise.
BROKEN = (
    BombError,
    UnsupportedError,
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    IndexError,  # zipfile raises it for an empty member name.
    EOFError,
    OSError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    OverflowError,
    MemoryError,
)


def open_archive(path: Path, encoding: str = USUAL) -> Archive:
    """Open the archive `path`, whose format is detected from its first bytes; raises one of `BROKEN` on failure.

    `encoding` is used for the member names of zips that do not declare one.
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
        # A self-extracting archive begins with a program.
        if zipfile.is_zipfile(path):
            return ZipArchive(path, encoding)
        if start.startswith(PROGRAM):
            raise UnsupportedError(f"a program, without a zip at its end; {UNPACK}") from None
        raise


def is_zip(path: Path) -> bool:
    """Whether the content of the archive `path` is a zip, whatever its name."""
    return isinstance(open_archive(path), ZipArchive)


def is_unsafe(name: str) -> bool:
    """Whether unpacking a member of this name could write outside the target folder."""
    posix = name.replace("\\", "/")
    drive = len(posix) > 1 and posix[1] == ":"
    return posix.startswith("/") or drive or ".." in PurePosixPath(posix).parts or "\0" in name
