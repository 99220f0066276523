"""Every place in data/raw where an image is expected, and what is known of it."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from pipeline import paths
from pipeline.ingestion.archives import is_archive
from pipeline.ingestion.catalogue import Catalogue, list_archive
from pipeline.ingestion.decoding import Place
from pipeline.ingestion.labels import LABELS, Labels, is_system_file, source_of
from pipeline.ingestion.refusals import Refusal
from pipeline.versioning.raw_files import RawFile

OUTSIDE = Refusal(
    "no class folder", "images lie in a folder named after their class, in plain characters, or labels.csv names it"
)
SYSTEM = Refusal("system file", "left by an operating system")


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
    """The catalogue of the archives among `files`; those that `known` lacks are opened and listed."""
    return {
        file.md5: known[file.md5] if file.md5 in known else list_archive(paths.RAW / file.path)
        for file in files
        if is_archive(file.path)
    }


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
    for place, image_id, refusal in _places(files, contents):
        label, attributes = labels.find(place.path, place.member)
        known = refusal or unusable.get(image_id or "") or passing.get(place)
        yield Source(place, image_id, label, known or (OUTSIDE if label is None else None), attributes)


def _places(files: list[RawFile], contents: Catalogue) -> Iterator[tuple[Place, str | None, Refusal | None]]:
    for path, md5 in files:
        if is_archive(path):
            for member in contents[md5]:
                yield Place(path, member.name, member.position), member.id, member.refusal
        elif path != LABELS:
            yield Place(path), md5, SYSTEM if is_system_file(path) else None
