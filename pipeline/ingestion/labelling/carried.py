"""Reads the labels that an archive contains itself, in label files next to its images."""

from collections.abc import Iterable
from io import BytesIO
from typing import NamedTuple

from pipeline.errors import ImagesError
from pipeline.ingestion.labelling.label_files import is_label_file, label_rows
from pipeline.ingestion.labelling.label_index import LabelIndex
from pipeline.ingestion.labelling.label_tables import Columns, LabelLine
from pipeline.ingestion.unpacking.members import Archive

# The largest label file in an archive, in bytes.
MAX_LABELS = 160 * 2**20


class CarriedLabels(NamedTuple):
    """The labels that an archive contains for its own members."""

    lines: dict[str, LabelLine]
    """The labels, by the names of images."""
    refused: dict[str, str]
    """Label files that cannot be used, each with the reason."""


def carried_labels(archive: Archive, members: Iterable[tuple[str, int]], columns: Columns) -> CarriedLabels:
    """Return the labels that `archive` contains for its `members`, which are names and positions.

    The paths in a label file are relative to the folder of that file.

    Raises:
        ImagesError: a line of a label file cannot be used, or the file is too large.
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
