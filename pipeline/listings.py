"""Three versions of data/raw, as DVC lists them, into one: what Git does with lines, done with files.

A file that only one side added, changed or removed is as that side has it. Anything else is a conflict, never a guess.
"""

from collections import defaultdict
from collections.abc import Mapping
from typing import Literal, NamedTuple

from pipeline.archives import is_archive
from pipeline.labels import label_of

# The MD5 of each file by its path.
Listing = Mapping[str, str]
Side = Literal["ours", "theirs"]


class Conflict(NamedTuple):
    """A file on which the sides do not agree."""

    path: str
    what: str


class Merged(NamedTuple):
    """What comes of it."""

    files: dict[str, str]
    """Without a side to take in conflicts, they are as ours has them."""
    conflicts: list[Conflict]
    """Sorted by path."""


def merge(ancestor: Listing, ours: Listing, theirs: Listing, *, take: Side | None = None) -> Merged:
    """`ours` and `theirs`, which came from `ancestor`, as one; `take` says who is right where both changed a file.

    An image that one side moved to another class is changed by it: it conflicts with its removal, and with a move to
    a third class.
    """
    files: dict[str, str] = {}
    conflicts: dict[str, str] = {}
    sides = {"ours": ours, "theirs": theirs}
    for path in sorted({*ancestor, *ours, *theirs}):
        was, here, there = (listing.get(path) for listing in (ancestor, ours, theirs))
        kept = here if there in (was, here) else there
        if here not in (was, there) and there != was:
            conflicts[path] = _disagreement(was, here, there)
            kept = sides[take or "ours"].get(path)
        if kept is not None:
            files[path] = kept
    for path, (what, loses) in _moves(ancestor, ours, theirs, take or "ours").items():
        conflicts[path] = what
        for lost in loses:
            files.pop(lost, None)
    return Merged(files, [Conflict(path, what) for path, what in sorted(conflicts.items())])


def removed_but_packed(ancestor: Listing, ours: Listing, theirs: Listing) -> list[str]:
    """The files that both sides lack now while one of them has new archives, which may hold what the other removed."""
    if not any(is_archive(path) for side in (ours, theirs) for path in side if path not in ancestor):
        return []
    return sorted(path for path in ancestor if path not in ours and path not in theirs)


def _disagreement(was: str | None, here: str | None, there: str | None) -> str:
    if here is None or there is None:
        return "removed here and changed there" if here is None else "changed here and removed there"
    return "added here and there with other content" if was is None else "changed here and there"


def _moves(ancestor: Listing, ours: Listing, theirs: Listing, winner: Side) -> dict[str, tuple[str, list[str]]]:
    """The files, by path, whose image one side moved to another class and the other removed, or moved to a third.

    Returns:
        what is to be said of each, and the paths that the side that is not the `winner` moved it to.
    """
    moved_to = {"ours": _targets(ancestor, ours), "theirs": _targets(ancestor, theirs)}
    still = {"ours": {*ours.values()}, "theirs": {*theirs.values()}}
    loser: Side = "theirs" if winner == "ours" else "ours"
    found = {}
    for path, md5 in ancestor.items():
        if path in ours or path in theirs:
            continue
        here, there = (
            [new for new in moved_to[side].get(md5, []) if label_of(new, None) != label_of(path, None)]
            for side in ("ours", "theirs")
        )
        if here and there and {label_of(new, None) for new in here} != {label_of(new, None) for new in there}:
            what = f"moved to {here[0]} here and to {there[0]} there"
        elif here and md5 not in still["theirs"]:
            what = f"moved to {here[0]} here and removed there"
        elif there and md5 not in still["ours"]:
            what = f"removed here and moved to {there[0]} there"
        else:
            continue
        found[path] = what, moved_to[loser].get(md5, [])
    return found


def _targets(ancestor: Listing, side: Listing) -> dict[str, list[str]]:
    """Where each image, by MD5, is in `side` and was not in `ancestor`."""
    places = defaultdict(list)
    for path, md5 in sorted(side.items()):
        if path not in ancestor:
            places[md5].append(path)
    return places
