"""Lists every place in data/raw where an image is expected, and what is known of it."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from heapq import merge
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from pipeline import paths
from pipeline.ids import Ids, Rows
from pipeline.ingestion.archive_listing import list_archive, listed_again
from pipeline.ingestion.catalogue import LABEL_FILE, UNSUPPORTED, UNUSABLE_LABELS, Catalogue, Listing, is_current
from pipeline.ingestion.collection import DISPUTED, Refused
from pipeline.ingestion.decoding import Place
from pipeline.ingestion.labelling.label_tables import LabelLine
from pipeline.ingestion.labelling.labels import Labels, is_system_file
from pipeline.ingestion.labelling.mapping import ClassMapping
from pipeline.ingestion.labelling.sources import source_of
from pipeline.ingestion.refusals import DROPPED, Refusal
from pipeline.ingestion.settled import Settled
from pipeline.ingestion.unpacking.archive_names import is_archive, other_archive
from pipeline.ingestion.unpacking.kinds import LONGEST, UNPACK, kind_of
from pipeline.ingestion.wrappers import SUFFIXES, Wrapped, group_of, wrapped
from pipeline.parquet import column_of
from pipeline.versioning.raw.absent_files import NONE, AbsentFiles
from pipeline.versioning.raw_files import RawFile

OUTSIDE = Refusal(
    "no class folder", "images lie in a folder named after their class, in plain characters, or labels.csv names it"
)
LINKED = Refusal("link", "DVC does not follow links to folders; put the folder itself there")
SYSTEM = Refusal("system file", "left by an operating system")
AS_THEY_ARE = ClassMapping()
# A place, the id of its image, and why it is not used.
_Place = tuple[Place, str | None, Refusal | None]
# Returns the refusal of a file of data/raw that is an unsupported archive despite its name.
Look = Callable[[str], Refusal | None]


def other_archive_at(path: Path) -> Refusal | None:
    """Return the refusal of `path` if its content is an unsupported archive and it has no image's suffix."""
    if path.name.lower().endswith(SUFFIXES):
        return None
    try:
        with path.open("rb") as file:
            kind = kind_of(file.read(LONGEST))
    except OSError:
        return None
    return Refusal(UNSUPPORTED, f"{kind}; {UNPACK}") if kind else None


def _look(path: str) -> Refusal | None:
    return other_archive_at(paths.RAW / path)


class Source(NamedTuple):
    """A place in data/raw, and what is known of its image."""

    place: Place
    id: str | None
    """The image's id; None if it is not read yet, or cannot be read."""
    label: str | None
    """The image's class, valid if there is no refusal."""
    refusal: Refusal | None
    attributes: str = ""
    """The further columns of label files, as JSON."""

    @property
    def name(self) -> str:
        """The name of the place in messages and tables."""
        return source_of(self.place.path, self.place.member)


class Knowledge(NamedTuple):
    """What is known of places, apart from file names."""

    unusable: Mapping[str, Refusal] = MappingProxyType({})
    """The refusals of unusable images, by id."""
    passing: Mapping[Place, Refusal] = MappingProxyType({})
    """The refusals of places that cannot be read in this run."""
    look: Look = _look
    """Checks whether a file is an unsupported archive despite its name."""


def list_new_archives(
    files: list[RawFile], known: Catalogue, listing: Listing, absent: AbsentFiles = NONE
) -> Catalogue:
    """Return the catalogue of the archives among `files`.

    An archive is opened if `known` lacks it or it was unsupported; all are opened if `listing` has changed. `absent`
    archives are fetched before they are opened.
    """
    archives = [file for file in files if is_archive(file.path)]
    is_outdated = bool(known) and not is_current(listing)
    contents = known.of(file.md5 for file in archives)
    opened = [(path, md5) for path, md5 in archives if is_outdated or md5 not in known or not known.is_supported(md5)]
    absent.fetch(path for path, _ in opened)
    for path, md5 in opened:
        where = absent.at(path)
        contents[md5] = listed_again(known[md5], where, listing) if md5 in known else list_archive(where, listing)
    return contents


class Found(NamedTuple):
    """All places, with what is known of their images."""

    others: Iterator[Source]
    """The places that are not settled, in the order of files; then settled ones that are no longer used."""
    settled: Settled
    """The settled places that are used."""
    labels: list[str | None]
    """The classes of the settled places, by origin."""

    def table(self) -> pa.Table:
        """Return a table of the settled places, with the columns of `resolving.COLUMNS`."""
        return self.settled.table(self.labels)

    def unread(self, known: Ids) -> Iterator[Source]:
        """Yield the usable places of images that are not `known`, in the order of files."""
        order = self.settled.ids.order()
        rows = np.sort(order[known.find(self.settled.ids[order]) < 0])
        is_loose = rows < self.settled.loose
        others = (one for one in self.others if one.refusal is None and (one.id is None or one.id not in known))
        parts = others, self._at(rows[is_loose]), self._at(rows[~is_loose])
        return merge(*parts, key=lambda one: (one.place.path, one.place.position))

    def _at(self, rows: Rows) -> Iterator[Source]:
        labels = (self.labels[origin] for origin in self.settled.origin[rows].tolist())
        attributes = self.settled.rows["attributes"].take(column_of(rows)).to_pylist()
        for (place, image_id), label, more in zip(self.settled.places(rows), labels, attributes, strict=True):
            yield Source(place, image_id, label, None, more)


def sources(files: list[RawFile], contents: Catalogue, labels: Labels, known: Knowledge) -> Iterator[Source]:
    """Yield all places in the order of `files`, with what is `known` of them."""
    return find(Settled.none(files, contents), contents, labels, known).others


def find(
    settled: Settled, contents: Catalogue, labels: Labels, known: Knowledge, mapping: ClassMapping = AS_THEY_ARE
) -> Found:
    """Return the `settled` and the other places, with what is `known` of them; `mapping` renames their classes."""
    settled = settled.still(contents)
    judged = _judge(settled, contents, labels, known)
    by_origin = list(renamed((judged(place, None, None) for place in settled.examples), mapping))
    is_usable = np.array([one.refusal is None for one in by_origin], np.bool_)[settled.origin]
    is_usable &= Ids.sorted_of(known.unusable).find(settled.ids) < 0
    is_usable &= ~settled.within({place.path for place in known.passing})
    unused = np.flatnonzero(~is_usable)
    settled.carry(unused, labels)
    rest = ((place, image_id, None) for place, image_id in settled.places(unused))
    others = (judged(*one) for one in chain(_places(settled.rest, contents, labels), rest))
    return Found(renamed(others, mapping), settled.at(is_usable), [one.label for one in by_origin])


def _judge(
    settled: Settled, contents: Catalogue, labels: Labels, known: Knowledge
) -> Callable[[Place, str | None, Refusal | None], Source]:
    """Return a function that makes a `Source` of a place, its image's id, and a refusal that is already known."""
    for path, md5 in settled.rest:
        if is_archive(path):
            labels.carry(path, {one.name: one.line for one in contents.others(md5) if one.line is not None})
    places = partial(_places, settled.rest, contents, labels)
    labels.settle(source_of(place.path, place.member) for place, _, _ in places())
    usable = (place for place, _, refusal in places() if refusal is None)
    unclear = wrapped(chain(settled.examples_left(), usable), labels)

    def judged(place: Place, image_id: str | None, refusal: Refusal | None) -> Source:
        line = labels.find(place.path, place.member)
        said = refusal or known.unusable.get(image_id or "") or known.passing.get(place)
        said = said or unclassed(place, line, labels, unclear, known.look)
        return Source(place, image_id, line.label, said, line.attributes)

    return judged


def renamed(found: Iterable[Source], mapping: ClassMapping) -> Iterator[Source]:
    """Yield the places `found`, with classes renamed by `mapping`; images of dropped classes are refused."""
    for source in found:
        label = mapping.label(source.label or "")
        if source.refusal is None and label != source.label:
            dropped = of_dropped(source.label) if label is None else None
            yield source._replace(label=label, refusal=dropped)
        else:
            yield source


def of_dropped(label: str | None) -> Refusal:
    """Return the refusal of an image of the dropped class `label`."""
    return Refusal(DROPPED, f"its class {label} is dropped in {paths.CLASSES}")


def unclassed(place: Place, line: LabelLine, labels: Labels, unclear: Wrapped, look: Look) -> Refusal | None:
    """Return the refusal of an image at `place` without a certain class; None if its class is that of `line`."""
    if line.conflict:
        return Refusal(DISPUTED, line.conflict)
    if line.label is None:
        return OUTSIDE if place.member is not None else look(place.path) or OUTSIDE
    group = group_of(place)
    return unclear[group] if group in unclear and not labels.is_certain(place.path, place.member) else None


def refusal_by_name(path: str) -> Refusal | None:
    """Return the refusal of the file `path` if its name alone shows that it is not used, else None."""
    if is_system_file(path):
        return SYSTEM
    kind = other_archive(path)
    return Refusal(UNSUPPORTED, f"{kind}; {UNPACK}") if kind and not is_archive(path) else None


def looking_into(absent: AbsentFiles, refused: Iterable[Refused], *, fetch: bool = True) -> Look:
    """Return a function that checks whether a file of data/raw is an unsupported archive.

    For an `absent` file, the result of the last run, in `refused`, is used if there is one. Else the file is fetched
    if `fetch`; if not, it is checked only if it is in DVC's cache.
    """
    mine = (line for line in refused if absent.md5s.get(line.source) == line.id)
    said = {line.source: Refusal(line.reason, line.detail) for line in mine}

    def look(path: str) -> Refusal | None:
        if path not in absent or path.lower().endswith(SUFFIXES):
            return _look(path)
        if path in said and said[path].reason in (UNSUPPORTED, OUTSIDE.reason):
            return said[path] if said[path].reason == UNSUPPORTED else None
        if fetch:
            absent.fetch([path])
        return other_archive_at(absent.at(path))

    return look


def _places(files: list[RawFile], contents: Catalogue, labels: Labels) -> Iterator[_Place]:
    for path, md5 in files:
        if is_archive(path):
            for member in contents.others(md5):
                if member.refusal != LABEL_FILE:
                    yield Place(path, member.name, member.position), member.id, member.refusal
        elif path in labels.unreadable:
            yield Place(path), md5, Refusal(UNUSABLE_LABELS, labels.unreadable[path])
        elif not labels.is_file(path):
            yield Place(path), md5, refusal_by_name(path)
