"""Merges three versions of data/raw, as DVC lists them, as Git merges lines, but file by file.

A file that only one side added, changed or removed is taken from that side. Anything else is a conflict, never a guess.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple

from pipeline.ingestion.labelling.class_names import label_of
from pipeline.ingestion.unpacking.archive_names import is_archive

# The MD5 of each file by its path.
Listing = Mapping[str, str]
Side = Literal["ours", "theirs"]


class Conflict(NamedTuple):
    """A file on which the sides disagree."""

    path: str
    what: str


class Merged(NamedTuple):
    """The result of a merge."""

    files: dict[str, str]
    """Files in conflict are as in ours, unless a side was to be taken."""
    conflicts: list[Conflict]
    """Sorted by path."""


def merge(ancestor: Listing, ours: Listing, theirs: Listing, *, take: Side | None = None) -> Merged:
    """Merge `ours` and `theirs`, which derive from `ancestor`; `take` is the side that wins where both changed a file.

    Contents count as well as paths: it is a conflict if one side removed an image everywhere and the other put it
    somewhere else, or if an image would belong to more classes than on either side.
    """
    files: dict[str, str] = {}
    conflicts: dict[str, str] = {}
    winner = theirs if take == "theirs" else ours
    for path in sorted({*ancestor, *ours, *theirs}):
        was, here, there = (listing.get(path) for listing in (ancestor, ours, theirs))
        kept = here if there in (was, here) else there
        if here not in (was, there) and there != was:
            conflicts[path] = _disagreement(was, here, there)
            kept = winner.get(path)
        if kept is not None:
            files[path] = kept
    for found in _images_in_conflict(ancestor, ours, theirs, files, {*conflicts}):
        conflicts.setdefault(found.path, found.what)
        for place in found.merged:
            del files[place]
        for place in {*found.merged, *(found.theirs if take == "theirs" else found.ours)} & winner.keys():
            files.setdefault(place, winner[place])
    for both in sorted({folder for path in files for folder in _folders(path)} & files.keys()):
        conflicts.setdefault(both, "a file on one side and a folder on the other")
        for lost in [path for path in files if both in _folders(path)] if both in winner else [both]:
            del files[lost]
    return Merged(files, [Conflict(path, what) for path, what in sorted(conflicts.items())])


def removed_but_packed(ancestor: Listing, ours: Listing, theirs: Listing) -> list[str]:
    """Return the files that both sides lack, if one side has new archives, which may contain what the other removed."""
    if not any(is_archive(path) for side in (ours, theirs) for path in side if path not in ancestor):
        return []
    return sorted(path for path in ancestor if path not in ours and path not in theirs)


def _disagreement(was: str | None, here: str | None, there: str | None) -> str:
    if here is None or there is None:
        return "removed here and changed there" if here is None else "changed here and removed there"
    return "added here and there with other content" if was is None else "changed here and there"


class _DisputedImage(NamedTuple):
    """An image on which the sides disagree, and the paths that hold it."""

    path: str
    what: str
    ours: list[str]
    theirs: list[str]
    merged: list[str]


def _images_in_conflict(
    ancestor: Listing, ours: Listing, theirs: Listing, merged: Listing, undecided: set[str]
) -> Iterator[_DisputedImage]:
    """Yield the images that one side removed and the other put elsewhere, or that would belong to more classes.

    At `undecided` paths, `merged` has the version of one side, and could get that of the other.
    """
    sides = (ancestor, ours, theirs)
    touched = {md5 for side in sides for path, md5 in side.items() if any(other.get(path) != md5 for other in sides)}
    places = [_places(listing, touched) for listing in (*sides, merged)]
    for md5 in sorted(touched):
        was, here, there, kept = (listing.get(md5, []) for listing in places)
        possible = [*kept, *undecided.intersection(here + there)]
        what = _removed_and_put(was, here, there) or _of_more_classes(here, there, possible)
        if what:
            yield _DisputedImage(min(was or here + there), what, here, there, kept)


def _places(listing: Listing, contents: set[str]) -> dict[str, list[str]]:
    """Return the sorted paths of each MD5 in `contents`."""
    places = defaultdict(list)
    for path, md5 in sorted(listing.items()):
        if md5 in contents:
            places[md5].append(path)
    return places


def _removed_and_put(was: list[str], here: list[str], there: list[str]) -> str | None:
    """Describe the conflict if one side removed the image and the other put it somewhere else; None if not."""
    for left, gone, sentence in (
        (here, there, "{} here and removed there"),
        (there, here, "removed here and {} there"),
    ):
        new = [path for path in left if path not in was]
        if was and new and not gone:
            is_moved = not {*was} & {*left}
            return sentence.format(f"{'moved' if is_moved else 'copied'} to {new[0]}")
    return None


def _of_more_classes(here: list[str], there: list[str], possible: list[str]) -> str | None:
    """Describe the conflict if the image, at all `possible` paths, would have more classes than on either side."""
    if len(possible) < 2:
        return None
    ours, theirs, both = (
        sorted({label for path in paths if not is_archive(path) and (label := label_of(path, None))})
        for paths in (here, there, possible)
    )
    if len(both) < 2 or both in (ours, theirs):
        return None
    return f"put into {', '.join(ours)} here and into {', '.join(theirs)} there"


def _folders(path: str) -> list[str]:
    """Return the folders that contain the file `path`."""
    parts = path.split("/")
    return ["/".join(parts[:end]) for end in range(1, len(parts))]
