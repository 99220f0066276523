"""What belongs to data/raw: a rule, of what is listed, what is here, and what was never here."""

from collections import Counter
from collections.abc import Container, Iterable, Mapping
from typing import NamedTuple, Self


class FileChange(NamedTuple):
    """How many files of data/raw came, went, changed and moved; each counts once."""

    added: int = 0
    removed: int = 0
    changed: int = 0
    """Of another content, where neither lies anywhere else."""
    moved: int = 0
    """Of one that lies under another path now, whatever was there before."""
    absent: int = 0
    """How many of those that came are on the remote only."""

    @classmethod
    def between(cls, before: Mapping[str, str], now: Mapping[str, str]) -> Self:
        """That from the files `before` to those of `now`, MD5s by path."""
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
    """What data/raw holds, be it here or not."""

    files: dict[str, str]
    """The MD5 of each file, by its path relative to data/raw."""
    absent: set[str]
    """Those of them that are not here, and never were."""
    before: Mapping[str, str]
    """What was listed before, likewise."""


def belongs(listed: Mapping[str, str], here: Mapping[str, str], never_here: Container[str]) -> Belonging:
    """What belongs to data/raw, where `listed` did, and `here` are its files now; MD5s by path.

    Of what is listed and gone, only what is in `never_here` still belongs to it.
    """
    absent = {path for path in listed.keys() - here.keys() if path in never_here}
    return Belonging({**{path: listed[path] for path in sorted(absent)}, **here}, absent, listed)


def in_the_way(absent: Iterable[str], here: Iterable[str]) -> str | None:
    """The first file, by name, that is a folder among the other paths; None where no folder has a file's name."""
    absent, here = set(absent), set(here)
    mixed = (absent & _folders(here)) | (here & _folders(absent)) if absent else set()
    return min(mixed, default=None)


def _folders(paths: Iterable[str]) -> set[str]:
    """All folders that `paths` are in, at any depth."""
    found: set[str] = set()
    for path in paths:
        folder = path.rpartition("/")[0]
        while folder and folder not in found:
            found.add(folder)
            folder = folder.rpartition("/")[0]
    return found
