"""The labels that an archive carries itself, in files of labels next to its images."""

from collections.abc import Iterable
from io import BytesIO
from typing import NamedTuple

from pipeline.errors import ImagesError
from pipeline.ingestion.labelling.label_files import is_label_file, label_rows
from pipeline.ingestion.labelling.label_index import LabelIndex
from pipeline.ingestion.labelling.label_tables import Columns, LabelLine
from pipeline.ingestion.unpacking.members import Archive

# What a file of labels may take of memory.
MAX_LABELS = 160 * 2**20


class CarriedLabels(NamedTuple):
    """What an archive says of its own members."""

    lines: dict[str, LabelLine]
    """By the names of images."""
    refused: dict[str, str]
    """The files of labels that say nothing of the images, and why."""


def carried_labels(archive: Archive, members: Iterable[tuple[str, int]], columns: Columns) -> CarriedLabels:
    """What `archive` says of its `members`, names and positions; their paths are relative to the file that lists them.

    Raises:
        ImagesError: a line of it cannot be used.
    """
    found = dict(members)
    files = {name: position for name, position in found.items() if is_label_file(name, columns)}
    images = [name for name in found if name not in files]
    index, refused = LabelIndex(bare=columns.path != Columns().path), dict[str, str]()
    for name, position in sorted(files.items()):
        raw = archive.read(position, MAX_LABELS + 1)
        if len(raw) > MAX_LABELS:
            raise ImagesError(name, f"more than {MAX_LABELS} bytes", "make it smaller")
        try:
            rows = label_rows(name, BytesIO(raw), columns)
        except ImagesError as error:
            refused[name] = "{1}; {2}".format(*error.args)
            continue
        index.add(name, rows, below=name.rpartition("/")[0])
    index.settle(images)
    lines = {name: line for name in images if (line := index.find(name)) is not None}
    if index and not lines:
        unread = (name for name in files if name not in refused)
        refused |= dict.fromkeys(unread, f"no line of it matches an image: it names {index.unused[0]!r}, for example")
    return CarriedLabels(lines, refused)
