"""Which files of data/raw were never in this clone, noted next to what git_guard notes.

A clone without the note of `git_guard` is fresh, or has not run yet. One that has that note and none of absent files is
full: what is gone there was removed.
"""

import json
from collections.abc import Container, Iterable, Iterator, Mapping

from pipeline import paths
from pipeline.files import write_text
from pipeline.versioning import git_guard, repository

NOTE = git_guard.NOTE.with_name("absent")


def read_absent() -> set[str] | None:
    """The paths, relative to data/raw, that were noted; None where nothing was noted of this clone yet."""
    try:
        return set(json.loads(NOTE.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None if git_guard.read_note() is None else set()
    except (OSError, ValueError, TypeError):
        return None  # It is damaged.


def note_absent(absent: Iterable[str]) -> None:
    """Note that the files `absent` belong to data/raw and were never here."""
    wanted = set(absent)
    if read_absent() != wanted:
        write_text(NOTE, json.dumps(sorted(wanted), indent=0))


def never_here(listed: Mapping[str, str], here: Container[str]) -> set[str]:
    """The paths among those `listed` and not `here` that were never in this clone, as far as is known.

    Where nothing was noted, these are the files that DVC has never hashed here, nor put here.
    """
    noted = read_absent()
    gone = {path for path in listed if path not in here}
    return gone - set(_hashed_here(gone, listed)) if noted is None else noted & gone


def _hashed_here(paths_below: Iterable[str], md5s: Mapping[str, str]) -> Iterator[str]:
    """Those of the paths at which DVC has once hashed, or put, a file of the MD5 that `md5s` has for them."""
    raw = paths.RAW.resolve()
    at = {str(raw / path): path for path in paths_below}
    for where, entry in repository.repository().state.hashes.get_many(at) if at else ():
        if entry and json.loads(entry)["hash_info"].get("md5") == md5s[at[where]]:
            yield at[where]
