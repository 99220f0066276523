"""Finding images in files, folders and archives that lie anywhere on this machine."""

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
    """Its path is absolute."""
    name: str
    """How it is named to people: as they named the file or folder to look into."""
    inside: str
    """The file's path in that folder, as data/raw would have it."""
    refusal: Refusal | None
    """Why there is nothing to read."""
    doubt: str = ""
    """What is not certain of its name."""
    line: LabelLine | None = None
    """What its archive says itself of its label."""


def find(top: Path, listing: Listing = PLAIN) -> Iterator[Spot]:
    """Every place in the file, folder or archive `top`, sorted folder by folder; files of labels are none.

    Raises:
        ImagesError: `top` is not there.
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
    """The files of labels in the folder `top`, relative to it."""
    names = (file.relative_to(top).as_posix() for file in _files(top) if file != top)
    return [name for name in names if is_label_file(name, columns)]


def _places(file: Path, listing: Listing) -> Iterator[tuple[Place, Refusal | None, str, LabelLine | None]]:
    place = Place(str(file.absolute()))
    if known := refusal_by_name(file.name):
        yield place, known, "", None
    elif file.is_dir():
        yield place, LINKED, "", None
    elif not file.is_file():  # A pipe would be waited for.
        yield place, Refusal("unreadable", "not a file" if file.exists() else "no such file"), "", None
    elif is_archive(file.name):
        for member in list_archive(file, listing):
            if member.refusal == LABEL_FILE:
                continue
            yield Place(place.path, member.name, member.position), member.refusal, member.doubt, member.line
    else:
        yield place, None, "", None


def _files(top: Path) -> Iterator[Path]:
    """The files in `top`, and links to folders, sorted folder by folder; or `top` itself."""
    if not top.is_dir():
        yield top
        return
    for folder, below, files in os.walk(top):
        below.sort()
        links = [name for name in below if Path(folder, name).is_symlink()]
        yield from (Path(folder, name) for name in sorted([*files, *links]))
