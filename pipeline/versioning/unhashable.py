"""Files in data/raw that make DVC fail with an error of its own, or hang, before any stage runs.

DVC hashes data/raw first, so the pipeline's own code cannot skip them; DVC itself skips what .dvcignore names.
"""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from pipeline import paths
from pipeline.errors import ImagesError
from pipeline.versioning import repository

IGNORE = Path(".dvcignore")


class Obstacle(NamedTuple):
    """A file that DVC cannot hash."""

    path: str
    """Relative to the project's folder, with forward slashes; undecodable bytes of its name as surrogates."""
    what: str
    """What it is instead of a readable file."""

    @property
    def pattern(self) -> str:
        """A line of .dvcignore that matches it."""
        escaped = "".join(f"\\{char}" if char in "*?[\\" else char for char in self.path)
        return "/" + "".join("?" if "\udc80" <= char <= "\udcff" else char for char in escaped)


def check_hashable() -> None:
    """Check that DVC can hash all of data/raw.

    Raises:
        ImagesError: it cannot. The error names the first such file and two ways to continue.
    """
    found = [one for one in obstacles() if not repository.repository().dvcignore.is_ignored_file(one.path)]
    if found:
        more = f"; {len(found) - 1:,} more like that" if len(found) > 1 else ""
        name = found[0].path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        what = f"{found[0].what}, and DVC cannot go on past it{more}"
        raise ImagesError(name, what, f"remove it, or add this line to {IGNORE}: {found[0].pattern}")


def obstacles() -> list[Obstacle]:
    """Return all files that DVC cannot hash, sorted by path, including those that .dvcignore names."""
    unreadable: list[Obstacle] = []

    def note(error: OSError) -> None:
        if isinstance(error, PermissionError):  # With any other error the folder is gone.
            unreadable.append(Obstacle(Path(error.filename).as_posix(), "a folder that you may not read"))

    found = []
    for folder, _, _ in os.walk(paths.RAW, onerror=note):
        found += [one for entry in _entries(folder) if (one := _obstacle(entry)) is not None]
    return sorted([*found, *unreadable])


def _entries(folder: str) -> Iterator[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        yield from entries


def _obstacle(entry: os.DirEntry[str]) -> Obstacle | None:
    path = Path(entry.path).as_posix()
    if not entry.name.isascii() and any("\udc80" <= char <= "\udcff" for char in entry.name):
        return Obstacle(path, "its name is not UTF-8")
    if entry.is_dir():
        return None
    if not entry.is_file():
        return Obstacle(path, "a link to nothing" if entry.is_symlink() and not os.path.exists(path) else _kind(path))  # noqa: PTH110
    return None if os.access(path, os.R_OK) else Obstacle(path, "a file that you may not read")


def _kind(path: str) -> str:
    mode = os.stat(path).st_mode  # noqa: PTH116
    return "a pipe" if stat.S_ISFIFO(mode) else "a socket" if stat.S_ISSOCK(mode) else "a device"
