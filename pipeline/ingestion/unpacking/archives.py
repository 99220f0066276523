"""Archives, trusting nothing they say: which files are archives, opening them, and what goes wrong on the way.

A member is never extracted to a file, so a name like `../x` cannot write anywhere; it is refused all the same,
since whoever unpacks the archive by hand would be harmed.
"""

import lzma
import tarfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from pipeline.ingestion.unpacking.kinds import LONGEST, kind_of
from pipeline.ingestion.unpacking.members import Archive, BombError
from pipeline.ingestion.unpacking.tars import TarArchive
from pipeline.ingestion.unpacking.zips import ZipArchive

SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
# What other archives are called; they are named to people, and not opened.
OTHER_SUFFIXES = (".7z", ".rar", ".zst", ".tzst", ".lz4", ".lzma", ".cab", ".lzh")

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
        return ZipArchive(path)
    if kind := kind_of(start):
        raise tarfile.ReadError(f"{kind}, whatever its name says; make a .zip or .tar of what is in it")
    return TarArchive(path)


def is_unsafe(name: str) -> bool:
    """Whether unpacking a member of this name could write outside the folder it is unpacked into."""
    posix = name.replace("\\", "/")
    drive = len(posix) > 1 and posix[1] == ":"
    return posix.startswith("/") or drive or ".." in PurePosixPath(posix).parts or "\0" in name
