"""Taking images out of data/raw: out of folders and out of archives, every copy of them."""

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
# The ids that the names of a removal stand for, until all of them are out.
NOTE = paths.PROGRESS / "removing.json"
# A prefix of an id must have as many digits to be taken for one.
SHORTEST = 8
DIGITS = 32
# What a glob has and a name need not.
WILD = set("*?[")
NOWHERE = np.empty(0, np.intp)


def absent_files() -> AbsentFiles:
    """What belongs to data/raw and was never here, as far as that is known."""
    return AbsentFiles.besides(dict.fromkeys(loose_paths(), ""))


def match(
    patterns: Iterable[str], held: Holdings, begun: Mapping[str, Collection[str]] = MappingProxyType({})
) -> dict[str, Rows]:
    """The rows of `held` that each of `patterns` (ids, sources, globs) names.

    `begun` are the ids that some of them named before a kill: what is left of these goes, too.

    Raises:
        ImagesError: a pattern names nothing, or begins the ids of several images.
    """
    # A path that the shell completed begins in the project's folder.
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
    """The places at the rows that were `matched`, and those of other copies of the same images."""
    rows = np.unique(np.concatenate([NOWHERE, *matched]))
    named = held.at(rows)
    copies = np.setdiff1d(held.showing({one.id for one in named if one.id}), rows)
    return named, held.at(copies)


def gone_already(patterns: Iterable[str], held: Holdings) -> set[str]:
    """Those of `patterns` that are ids of no image in data/raw."""
    ids = {one for one in patterns if len(one) == DIGITS and set(one) <= HEX}
    return ids - {one.id for one in held.of_images(ids)}


def remove(named: list[Holding], copies: list[Holding], held: Holdings, folder: Path) -> None:
    """Take the images out; copies first, so that after a kill the same command finds the rest again.

    Raises:
        ImagesError: an archive cannot be rewritten; it is as it was.
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
        note_never_here(absent.md5s.keys() - dropped.keys())  # What is listed, and neither here nor noted, is removed.


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
