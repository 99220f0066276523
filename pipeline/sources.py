"""Every place in data/raw where an image is expected, and what is known of it."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from pipeline import paths
from pipeline.archives import is_archive
from pipeline.catalogue import Catalogue, list_archive
from pipeline.decoding import Place
from pipeline.images import Refusal
from pipeline.labels import is_system_file, label_of, source_of
from pipeline.raw import RawFile


class Source(NamedTuple):
    """A place in data/raw."""

    place: Place
    id: str | None
    """The image's id; None as long as it is unread, and where it cannot be read."""
    refusal: Refusal | None

    @property
    def name(self) -> str:
        """How the place is named to people."""
        return source_of(self.place.path, self.place.member)

    @property
    def label(self) -> str | None:
        """The image's class, None outside any class folder."""
        return label_of(self.place.path, self.place.member)


def list_new_archives(files: list[RawFile], known: Catalogue) -> Catalogue:
    """The catalogue of the archives among `files`; those that `known` lacks are opened and listed."""
    return {
        file.md5: known[file.md5] if file.md5 in known else list_archive(paths.RAW / file.path)
        for file in files
        if is_archive(file.path)
    }


def sources(
    files: list[RawFile], contents: Catalogue, unusable: Mapping[str, Refusal], passing: Mapping[Place, Refusal]
) -> Iterator[Source]:
    """All places in the order of `files`.

    `unusable` says what is known of ids whose bytes are no image, `passing` of places that cannot be read now.
    """
    for path, md5 in files:
        if is_archive(path):
            for member in contents[md5]:
                place = Place(path, member.name, member.position)
                yield Source(place, member.id, member.refusal or unusable.get(member.id or "") or passing.get(place))
        elif is_system_file(path):
            yield Source(Place(path), md5, Refusal("system file", "left by an operating system"))
        else:
            yield Source(Place(path), md5, unusable.get(md5) or passing.get(Place(path)))
