"""The common interface of all archive formats."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

# An archive that unpacks to more than both limits, bytes and a multiple of its own size, is an archive bomb.
MAX_UNPACKED = 4 * 2**30
MAX_RATIO = 100


class BombError(Exception):
    """The archive is built to take far more memory or time than its size suggests."""


class ArchiveMember(NamedTuple):
    """A file in an archive, as the archive's directory describes it."""

    name: str
    position: int
    """The member's index in the archive's own order; it identifies the member, because names may repeat."""
    size: int
    """The declared unpacked size, in bytes."""
    unreadable: str
    """Why the member cannot be read ("encrypted", "not a file"); empty if it can."""
    doubt: str = ""
    """Why the name is uncertain; empty if it is certain."""


class Archive(Protocol):
    """An open archive."""

    def members(self) -> Iterator[ArchiveMember]:
        """Yield the archive's files in its own order; raises one of `archives.BROKEN`."""
        ...

    def read(self, position: int, limit: int) -> bytes:
        """Return at most `limit` bytes of the member at `position`; raises one of `archives.BROKEN`."""
        ...


def with_folders(name: str) -> str:
    """Return `name` with slashes between folders; some Windows programs write backslashes only.

    A backslash in a name that has slashes is kept: it may be the second byte of a Japanese character.
    """
    return name if "/" in name.removeprefix("./") else name.replace("\\", "/")


def most_unpacked(path: Path) -> int:
    """Return the unpacked size in bytes above which the archive `path` counts as an archive bomb."""
    return max(MAX_UNPACKED, MAX_RATIO * path.stat().st_size)
