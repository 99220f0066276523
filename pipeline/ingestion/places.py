"""Every place in data/raw where an image is expected, and what is known of it."""

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
# A place, the id of what lies there, and why it is not used.
_Place = tuple[Place, str | None, Refusal | None]
# Says why a file of data/raw, which is called like no archive, is one that is not read.
Look = Callable[[str], Refusal | None]


def other_archive_at(path: Path) -> Refusal | None:
    """Why the file `path`, which is called like no image and like no archive, is an archive that is not read."""
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
    """A place in data/raw."""

    place: Place
    id: str | None
    """The image's id; None as long as it is unread, and where it cannot be read."""
    label: str | None
    """The image's class, where there is no refusal."""
    refusal: Refusal | None
    attributes: str = ""
    """What labels.csv says beyond that, as JSON."""

    @property
    def name(self) -> str:
        """How the place is named to people."""
        return source_of(self.place.path, self.place.member)


class Knowledge(NamedTuple):
    """What is known of places, besides what the names of files say."""

    unusable: Mapping[str, Refusal] = MappingProxyType({})
    """Of ids whose bytes are no image."""
    passing: Mapping[Place, Refusal] = MappingProxyType({})
    """Of places that cannot be read now."""
    look: Look = _look
    """Looks into a file that is called like no archive."""


def list_new_archives(
    files: list[RawFile], known: Catalogue, listing: Listing, absent: AbsentFiles = NONE
) -> Catalogue:
    """The catalogue of the archives among `files`; those that `known` lacks are opened and listed.

    So are those that an earlier version listed otherwise. Of both kinds those that are `absent` are fetched.
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
    """All places, with what is known of them."""

    others: Iterator[Source]
    """In the order of files, those that are not settled; then those of the settled ones that are used no more."""
    settled: Settled
    """Those that are used."""
    labels: list[str | None]
    """Their classes, by origin."""

    def table(self) -> pa.Table:
        """The settled ones, with the columns of `resolving.COLUMNS`."""
        return self.settled.table(self.labels)

    def unread(self, known: Ids) -> Iterator[Source]:
        """The usable places of images that are not `known`, in the order of files."""
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
    """All places in the order of `files`, with what is `known` of them."""
    return find(Settled.none(files, contents), contents, labels, known).others


def find(
    settled: Settled, contents: Catalogue, labels: Labels, known: Knowledge, mapping: ClassMapping = AS_THEY_ARE
) -> Found:
    """The `settled` places and the others, with what is `known` of them, and their classes by `mapping`."""
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
    """What is known of a place, given its image, and why there is none, if that is known already."""
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
    """The places `found` with the classes that `mapping` makes of their labels; those of dropped ones are refused."""
    for source in found:
        label = mapping.label(source.label or "")
        if source.refusal is None and label != source.label:
            dropped = of_dropped(source.label) if label is None else None
            yield source._replace(label=label, refusal=dropped)
        else:
            yield source


def of_dropped(label: str | None) -> Refusal:
    """Why an image of the class `label`, which is dropped, is left out."""
    return Refusal(DROPPED, f"its class {label} is dropped in {paths.CLASSES}")


def unclassed(place: Place, line: LabelLine, labels: Labels, unclear: Wrapped, look: Look) -> Refusal | None:
    """Why an image at `place` has no certain class, None where it is of the one that `line` says."""
    if line.conflict:
        return Refusal(DISPUTED, line.conflict)
    if line.label is None:
        return OUTSIDE if place.member is not None else look(place.path) or OUTSIDE
    group = group_of(place)
    return unclear[group] if group in unclear and not labels.is_certain(place.path, place.member) else None


def refusal_by_name(path: str) -> Refusal | None:
    """Why the file `path` is no image and no archive, as far as its name says."""
    if is_system_file(path):
        return SYSTEM
    kind = other_archive(path)
    return Refusal(UNSUPPORTED, f"{kind}; {UNPACK}") if kind and not is_archive(path) else None


def looking_into(absent: AbsentFiles, refused: Iterable[Refused], *, fetch: bool = True) -> Look:
    """Looks into files of data/raw, of those that are `absent` into what is not among the `refused`.

    That is fetched, or taken for no archive unless `fetch`.
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
