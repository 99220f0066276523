"""Which files of data/raw were never in this clone, noted in a file next to git_guard's note.

A clone without git_guard's note is fresh, or has not run yet. A clone with that note but without a note of absent files
is complete: a file that is missing there was removed.
"""

import json
from collections.abc import Container, Iterable, Iterator, Mapping

from pipeline import paths
from pipeline.files import write_text
from pipeline.versioning import git_guard, repository

NOTE = git_guard.NOTE.with_name("absent")


def read_absent() -> set[str] | None:
    """Return the noted paths, relative to data/raw; None where nothing has been noted in this clone yet."""
    try:
        return set(json.loads(NOTE.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None if git_guard.read_note() is None else set()
    except (OSError, ValueError, TypeError):
        return None  # The note is damaged.


def note_absent(absent: Iterable[str]) -> None:
    """Note that the files `absent` belong to data/raw and were never in this clone."""
    wanted = set(absent)
    if read_absent() != wanted:
        write_text(NOTE, json.dumps(sorted(wanted), indent=0))


def never_here(listed: Mapping[str, str], here: Container[str]) -> set[str]:
    """Return the paths in `listed` and not in `here` that were never in this clone, as far as is known.

    Where nothing was noted, these are the files that DVC has never hashed or checked out in this clone.
    """
    noted = read_absent()
    gone = {path for path in listed if path not in here}
    return gone - set(_hashed_here(gone, listed)) if noted is None else noted & gone


def _hashed_here(paths_below: Iterable[str], md5s: Mapping[str, str]) -> Iterator[str]:
    """Yield the paths at which DVC has once hashed, or checked out, a file with the path's MD5 in `md5s`."""
    raw = paths.RAW.resolve()
    at = {str(raw / path): path for path in paths_below}
    for where, entry in repository.repository().state.hashes.get_many(at) if at else ():
        if entry and json.loads(entry)["hash_info"].get("md5") == md5s[at[where]]:
            yield at[where]
