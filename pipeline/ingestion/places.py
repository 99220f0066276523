"""Every place in data/raw where an image is expected, and what is known of it."""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from pipeline import paths
from pipeline.ingestion.catalogue import Catalogue, is_current, list_archive, listed_again
from pipeline.ingestion.decoding import Place
from pipeline.ingestion.labelling.labels import LABELS, Labels, is_system_file, source_of
from pipeline.ingestion.labelling.mapping import ClassMapping
from pipeline.ingestion.refusals import DROPPED, Refusal
from pipeline.ingestion.unpacking.archives import is_archive, is_other_archive
from pipeline.ingestion.wrappers import Wrapped, group_of, wrapped
from pipeline.versioning.raw_files import RawFile

OUTSIDE = Refusal(
    "no class folder", "images lie in a folder named after their class, in plain characters, or labels.csv names it"
)
BACKSLASHES = Refusal(
    "no class folder", "its name has backslashes, which separate folders only in zips that say they are of Windows"
)
LINKED = Refusal("link", "DVC does not follow links to folders; put the folder itself there")
SYSTEM = Refusal("system file", "left by an operating system")
OTHER_ARCHIVE = Refusal("unsupported archive", "make a .zip or .tar of what is in it, or put that here unpacked")


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


def list_new_archives(files: list[RawFile], known: Catalogue) -> Catalogue:
    """The catalogue of the archives among `files`; those that `known` lacks are opened and listed.

    So are those that an earlier version listed otherwise, where they are here.
    """
    contents: Catalogue = {}
    is_outdated = bool(known) and not is_current()
    for path, md5 in files:
        if is_archive(path):
            contents[md5] = known[md5] if md5 in known else list_archive(paths.RAW / path)
            if md5 in known and is_outdated:
                contents[md5] = listed_again(known[md5], paths.RAW / path)
    return contents


def sources(
    files: list[RawFile],
    contents: Catalogue,
    labels: Labels,
    unusable: Mapping[str, Refusal],
    passing: Mapping[Place, Refusal],
) -> Iterator[Source]:
    """All places in the order of `files`.

    `unusable` says what is known of ids whose bytes are no image, `passing` of places that cannot be read now.
    """
    labels.settle(source_of(place.path, place.member) for place, _, _ in _places(files, contents))
    usable = (place for place, _, refusal in _places(files, contents) if refusal is None)
    unclear = wrapped(usable, labels)
    for place, image_id, refusal in _places(files, contents):
        label, attributes = labels.find(place.path, place.member)
        known = refusal or unusable.get(image_id or "") or passing.get(place)
        yield Source(place, image_id, label, known or unclassed(place, label, labels, unclear), attributes)


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


def unclassed(place: Place, label: str | None, labels: Labels, unclear: Wrapped) -> Refusal | None:
    """Why an image at `place` has no class, None where it is of class `label`."""
    if label is None:
        return BACKSLASHES if "\\" in (place.member or "") else OUTSIDE
    group = group_of(place)
    return unclear[group] if group in unclear and not labels.is_certain(place.path, place.member) else None


def refusal_by_name(path: str) -> Refusal | None:
    """Why the file `path` is no image and no archive, as far as its name says."""
    return SYSTEM if is_system_file(path) else OTHER_ARCHIVE if is_other_archive(path) else None


def _places(files: list[RawFile], contents: Catalogue) -> Iterator[tuple[Place, str | None, Refusal | None]]:
    for path, md5 in files:
        if is_archive(path):
            for member in contents[md5]:
                yield Place(path, member.name, member.position), member.id, member.refusal
        elif path != LABELS:
            yield Place(path), md5, refusal_by_name(path)
