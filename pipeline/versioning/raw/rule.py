"""What belongs to data/raw: a rule, of what is listed, what is here, and what was never here."""

from collections.abc import Container, Iterable, Mapping
from typing import NamedTuple


class Belonging(NamedTuple):
    """What data/raw holds, be it here or not."""

    files: dict[str, str]
    """The MD5 of each file, by its path relative to data/raw."""
    absent: set[str]
    """Those of them that are not here, and never were."""
    removed: set[str]
    """What was listed, was here, and is gone."""


def belongs(listed: Mapping[str, str], here: Mapping[str, str], never_here: Container[str]) -> Belonging:
    """What belongs to data/raw, where `listed` did, and `here` are its files now; MD5s by path.

    Of what is listed and gone, only what is in `never_here` still belongs to it.
    """
    gone = listed.keys() - here.keys()
    absent = {path for path in gone if path in never_here}
    return Belonging({**{path: listed[path] for path in sorted(absent)}, **here}, absent, gone - absent)


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
