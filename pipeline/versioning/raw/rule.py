"""The rule for what belongs to data/raw, from the files that are listed, that are present, and that never were."""

from collections import Counter
from collections.abc import Container, Iterable, Mapping
from typing import NamedTuple, Self


class FileChange(NamedTuple):
    """How many files of data/raw were added, removed, changed and moved; each file counts once."""

    added: int = 0
    removed: int = 0
    changed: int = 0
    """Files with new content, where neither the old nor the new content counts as moved."""
    moved: int = 0
    """Contents that are now at another path, whatever was there before."""
    absent: int = 0
    """How many of the added files are on the remote only."""

    @classmethod
    def between(cls, before: Mapping[str, str], now: Mapping[str, str]) -> Self:
        """Count the changes from the files `before` to the files `now`, MD5s by path."""
        gone = {path: md5 for path, md5 in before.items() if now.get(path) != md5}
        came = {path: md5 for path, md5 in now.items() if before.get(path) != md5}
        lost, new = Counter(gone.values()), Counter(came.values())
        moved, changed = lost & new, 0
        lost, new = lost - moved, new - moved
        for path in sorted(gone.keys() & came.keys()):
            if lost[gone[path]] and new[came[path]]:
                lost[gone[path]] -= 1
                new[came[path]] -= 1
                changed += 1
        return cls(new.total(), lost.total(), changed, moved.total())


class Belonging(NamedTuple):
    """The files that belong to data/raw, whether or not they are present locally."""

    files: dict[str, str]
    """The MD5 of each file, by its path relative to data/raw."""
    absent: set[str]
    """The paths of those that are not present, and never were in this clone."""
    before: Mapping[str, str]
    """The MD5 of each file that was listed before, by its path relative to data/raw."""


def belongs(listed: Mapping[str, str], here: Mapping[str, str], never_here: Container[str]) -> Belonging:
    """Return what belongs to data/raw, given the files `listed` before and the files present `here`; MD5s by path.

    Of the listed files that are not present, only those in `never_here` still belong to it.
    """
    absent = {path for path in listed.keys() - here.keys() if path in never_here}
    return Belonging({**{path: listed[path] for path in sorted(absent)}, **here}, absent, listed)


def in_the_way(absent: Iterable[str], here: Iterable[str]) -> str | None:
    """Return the first path, in sorted order, that is a file in one set and a folder in the other; None if none is."""
    absent, here = set(absent), set(here)
    mixed = (absent & _folders(here)) | (here & _folders(absent)) if absent else set()
    return min(mixed, default=None)


def _folders(paths: Iterable[str]) -> set[str]:
    """Return all folders that contain one of `paths`, at any depth."""
    found: set[str] = set()
    for path in paths:
        folder = path.rpartition("/")[0]
        while folder and folder not in found:
            found.add(folder)
            folder = folder.rpartition("/")[0]
    return found
