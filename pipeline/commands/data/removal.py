"""Remove images from data/raw: every copy, from folders and archives."""

from collections.abc import Collection, Iterable, Mapping
from difflib import get_close_matches
from itertools import chain
from pathlib import Path
from types import MappingProxyType

import numpy as np

from pipeline import paths
from pipeline.commands.data.remainder import write_remainder
from pipeline.commands.holdings import Holding, Holdings, loose_paths
from pipeline.errors import ImagesError, one_line
from pipeline.files import put
from pipeline.ids import Rows
from pipeline.ingestion.unpacking import archives
from pipeline.versioning.raw.absent_files import AbsentFiles
from pipeline.versioning.raw.recording import note_never_here

HEX = set("0123456789abcdef")
# The ids that the names in an unfinished removal stand for; deleted when the removal is complete.
NOTE = paths.PROGRESS / "removing.json"
# Minimum number of digits of an id's prefix.
SHORTEST = 8
DIGITS = 32
# Characters that mark a pattern as a glob.
WILD = set("*?[")
NOWHERE = np.empty(0, np.intp)


def absent_files() -> AbsentFiles:
    """Return the files that belong to data/raw and were never on this machine, as far as known."""
    return AbsentFiles.besides(dict.fromkeys(loose_paths(), ""))


def match(
    patterns: Iterable[str], held: Holdings, begun: Mapping[str, Collection[str]] = MappingProxyType({})
) -> dict[str, Rows]:
    """Return the rows of `held` that each of `patterns` (ids, sources, globs) matches.

    `begun` holds the ids that patterns matched in an interrupted run; the remaining rows of these ids are included.

    Raises:
        ImagesError: a pattern matches nothing, or is a prefix of several images' ids.
    """
    # A path that the shell completed is relative to the project's folder.
    forms = {pattern: (pattern, pattern.removeprefix(f"{paths.RAW}/")) for pattern in patterns}
    called = held.called({form for both in forms.values() for form in both})
    matched: dict[str, Rows] = {}
    for pattern, both in forms.items():
        exactly = (called.get(form, NOWHERE) for form in both)
        found = next((rows for rows in chain(exactly, (_matching(form, held) for form in both)) if len(rows)), NOWHERE)
        if not len(found) and pattern not in begun:
            near = get_close_matches(pattern, held.names.slice(0, 20_000).to_pylist(), n=1, cutoff=0)
            hint = f"the nearest is {near[0]}" if near else "there is nothing in it"
            raise ImagesError(paths.RAW, f"nothing in it is called {pattern!r}", hint)
        matched[pattern] = np.union1d(found, held.showing(begun.get(pattern, ())))
    return matched


def with_copies(matched: Iterable[Rows], held: Holdings) -> tuple[list[Holding], list[Holding]]:
    """Return the places at the `matched` rows, and the places of other copies of the same images."""
    rows = np.unique(np.concatenate([NOWHERE, *matched]))
    named = held.at(rows)
    copies = np.setdiff1d(held.showing({one.id for one in named if one.id}), rows)
    return named, held.at(copies)


def gone_already(patterns: Iterable[str], held: Holdings) -> set[str]:
    """Return those of `patterns` that are full ids, but of no image in data/raw."""
    ids = {one for one in patterns if len(one) == DIGITS and set(one) <= HEX}
    return ids - {one.id for one in held.of_images(ids)}


def remove(named: list[Holding], copies: list[Holding], held: Holdings, folder: Path) -> None:
    """Remove the images from data/raw, copies first, so that the same command can complete an interrupted removal.

    Raises:
        ImagesError: an archive cannot be rewritten; it is unchanged.
    """
    members = held.counts
    dropped: dict[str, set[int]] = {}
    for one in [*copies, *named]:
        dropped.setdefault(one.place.path, set()).add(one.place.position)
    last = {one.place.path for one in named}
    absent = absent_files()
    for path in sorted(dropped, key=lambda path: path in last):
        if len(dropped[path]) < members[path]:
            absent.bring([path])
            _rewrite(paths.RAW / path, dropped[path], folder)
        elif path not in absent:
            (paths.RAW / path).unlink()
    if absent.md5s:
        # A file that is listed, but neither present nor noted as absent, counts as removed.
        note_never_here(absent.md5s.keys() - dropped.keys())


def _rewrite(path: Path, dropped: set[int], folder: Path) -> None:
    aside = folder / path.name
    try:
        write_remainder(path, dropped, aside)
    except archives.BROKEN as error:
        raise ImagesError(path, f"cannot be rewritten: {one_line(error)}", "repair or remove the archive") from None
    put(aside, path)


def _matching(pattern: str, held: Holdings) -> Rows:
    if SHORTEST <= len(pattern) <= DIGITS and set(pattern.lower()) <= HEX:
        found = held.beginning(pattern.lower())
        if len({one.id for one in held.at(found)}) > 1:
            raise ImagesError(paths.RAW, f"the ids of several images begin with {pattern}", "give more of it")
        if len(found):
            return found
    return held.like(pattern) if WILD.intersection(pattern) else NOWHERE
