"""Finds images in files, folders and archives anywhere on this machine."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from pipeline.errors import ImagesError
from pipeline.ingestion.archive_listing import list_archive
from pipeline.ingestion.catalogue import LABEL_FILE, PLAIN, Listing
from pipeline.ingestion.decoding import Place
from pipeline.ingestion.labelling.label_files import is_label_file
from pipeline.ingestion.labelling.label_tables import Columns, LabelLine
from pipeline.ingestion.labelling.sources import source_of
from pipeline.ingestion.places import LINKED, refusal_by_name
from pipeline.ingestion.refusals import Refusal
from pipeline.ingestion.unpacking.archive_names import is_archive
from pipeline.ingestion.unpacking.tars import printable


class Spot(NamedTuple):
    """A place where an image is expected."""

    place: Place
    """The place, with an absolute path."""
    name: str
    """The name in messages, which starts with the path as the user gave it."""
    inside: str
    """The file's path relative to the searched folder, as it would be in data/raw."""
    refusal: Refusal | None
    """Why the place cannot be read, or None."""
    doubt: str = ""
    """Why the member's name is uncertain; empty if it is certain."""
    line: LabelLine | None = None
    """The label that its archive contains for it."""


def find(top: Path, listing: Listing = PLAIN) -> Iterator[Spot]:
    """Yield every place in the file, folder or archive `top`, sorted folder by folder, without label files.

    Raises:
        ImagesError: `top` does not exist.
    """
    if not os.path.lexists(top):
        raise ImagesError(top, "no such file or folder", "check the path")
    for file in _files(top):
        inside = printable(file.relative_to(top).as_posix() if file != top else file.name)
        if file != top and is_label_file(inside, listing.columns):
            continue
        for place, refusal, doubt, line in _places(file, listing):
            yield Spot(place, source_of(printable(str(file)), place.member), inside, refusal, doubt, line)


def label_files(top: Path, columns: Columns) -> list[str]:
    """Return the label files in the folder `top`, relative to it."""
    names = (file.relative_to(top).as_posix() for file in _files(top) if file != top)
    return [name for name in names if is_label_file(name, columns)]


def _places(file: Path, listing: Listing) -> Iterator[tuple[Place, Refusal | None, str, LabelLine | None]]:
    place = Place(str(file.absolute()))
    if known := refusal_by_name(file.name):
        yield place, known, "", None
    elif file.is_dir():
        yield place, LINKED, "", None
    elif not file.is_file():  # Reading a pipe would block.
        yield place, Refusal("unreadable", "not a file" if file.exists() else "no such file"), "", None
    elif is_archive(file.name):
        for member in list_archive(file, listing):
            if member.refusal == LABEL_FILE:
                continue
            yield Place(place.path, member.name, member.position), member.refusal, member.doubt, member.line
    else:
        yield place, None, "", None


def _files(top: Path) -> Iterator[Path]:
    """Yield the files and the links to folders in `top`, sorted folder by folder; or `top` itself if it is a file."""
    if not top.is_dir():
        yield top
        return
    for folder, below, files in os.walk(top):
        below.sort()
        links = [name for name in below if Path(folder, name).is_symlink()]
        yield from (Path(folder, name) for name in sorted([*files, *links]))
