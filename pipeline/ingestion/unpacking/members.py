"""What archives of every kind are to those who read them."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

# An archive that unpacks to more than this, and to this many times its size, is made to harm.
MAX_UNPACKED = 4 * 2**30
MAX_RATIO = 100


class BombError(Exception):
    """An archive is made to take far more memory or time than its size says."""


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


def with_folders(name: str) -> str:
    """`name` with slashes between folders: some programs of Windows write backslashes there, and no slash then.

    A name with slashes may hold a backslash, as the half of a Japanese letter say.
    """
    return name if "/" in name.removeprefix("./") else name.replace("\\", "/")


def most_unpacked(path: Path) -> int:
    """The bytes beyond which what is in the archive `path` is no honest content."""
    return max(MAX_UNPACKED, MAX_RATIO * path.stat().st_size)
