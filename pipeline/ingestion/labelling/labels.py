"""Determines the class of an image: from label files, else from the first folder below data/raw.

Archives are treated like folders without a name: `cat/1.png`, `cat/old.zip!/1.png` and `more.zip!/cat/1.png` are all of
class `cat`.
"""

from collections.abc import Container, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline import parquet, paths
from pipeline.errors import ImagesError
from pipeline.ingestion.labelling.class_names import label_of
from pipeline.ingestion.labelling.label_files import USUAL, is_label_file, label_rows
from pipeline.ingestion.labelling.label_index import NO_ROW, UNCLEAR, LabelIndex
from pipeline.ingestion.labelling.label_tables import Columns, LabelLine
from pipeline.ingestion.labelling.sources import source_of
from pipeline.ingestion.labelling.strips import Strips

SYSTEM_FILES = {".DS_Store", "Icon\r", "Thumbs.db", "desktop.ini", ".gitignore", ".gitkeep", ".dvcignore"}
NOWHERE: Mapping[str, int] = MappingProxyType({})
# A null for Arrow's compute functions; `pa.scalar` would import pandas.
NO_LABEL = pa.nulls(1, pa.string())[0]
# The values for images that no row matches.
NOTHING = pa.Table.from_arrays([pa.nulls(1, pa.string()), parquet.strings([""])], ["label", "attributes"])


class ListedColumns(NamedTuple):
    """The labels of many images from label files, as columns with a value per image."""

    label: pa.ChunkedArray
    """The label; null if no label file names the image."""
    own: pa.ChunkedArray
    """The label, if only the image's own archive gives it; else null."""
    attributes: pa.ChunkedArray
    """Further columns as JSON; empty if no label file names the image."""
    is_unclear: npt.NDArray[np.bool_]
    """The images for which `Labels.listed` has to decide; their values in the other columns are invalid."""


class Labels:
    """The class of each place in data/raw.

    A line of a label file names a source, `cat/1.png` or `more.zip!/dog/b.jpg`, or is a glob over sources in which `*`
    matches anything, including slashes. Label files directly in data/raw have precedence over those in its folders and
    archives, which are equal to each other. Folder names come last.
    """

    def __init__(
        self,
        *,
        strip: Mapping[str, int] = NOWHERE,
        columns: Columns = USUAL,
        classes: Container[str] | None = None,
    ) -> None:
        """Create it without label files; `strip` is `ingest.strip`.

        `classes` are the classes of earlier runs; None if every folder name is accepted as a class.
        """
        self.classes = classes
        self._strips = Strips(strip)
        self._columns = columns
        self._top, self._nested = (LabelIndex(bare=columns.path != USUAL.path) for _ in range(2))
        # The labels that archives contain for their own members, by archive and member.
        self._carried: dict[str, dict[str | None, LabelLine]] = {}
        self.unreadable: dict[str, str] = {}
        """Files in folders that are named like label files but cannot be read as such, each with the reason."""

    @classmethod
    def read(
        cls,
        path: Path = paths.LABELS,
        *,
        files: Iterable[str] | Mapping[str, Path] = (),
        strip: Mapping[str, int] = NOWHERE,
        columns: Columns = USUAL,
        classes: Container[str] | None = None,
    ) -> Self:
        """Read the label file `path`, if it exists, and other label files among `files`, relative to its folder.

        If `files` is a mapping, each file is read at the path it maps to. The other arguments are those of `Labels`.

        Raises:
            ImagesError: a label file cannot be read, see `LabelTable`.
        """
        labels = cls(strip=strip, columns=columns, classes=classes)
        for name in dict.fromkeys([path.name, *(name for name in files if is_label_file(name, columns))]):
            labels._add(path.parent, name, files.get(name) if isinstance(files, Mapping) else None)
        return labels

    def _add(self, root: Path, name: str, elsewhere: Path | None) -> None:
        """Add the file `name` below `root`, or its copy `elsewhere`, if it exists."""
        where, below = root / name, name.rpartition("/")[0]
        content = elsewhere or where
        if not content.is_file():
            return
        with content.open("rb") as file:
            try:
                rows = label_rows(where, file, self._columns)
            except ImagesError as error:
                if not below:
                    raise
                self.unreadable[name] = "{1}; {2}".format(*error.args)
                return
            (self._nested if below else self._top).add(name, rows, below=below)

    @property
    def is_by_folder(self) -> bool:
        """Whether there are no label files outside archives, or only empty ones."""
        return not self._top and not self._nested

    @property
    def has_strips(self) -> bool:
        """Whether `ingest.strip` has entries."""
        return bool(self._strips)

    def carry(self, archive: str, lines: Mapping[str | None, LabelLine]) -> None:
        """Add the labels that `archive` contains for its own members."""
        if lines:
            self._carried.setdefault(archive, {}).update(lines)

    def is_file(self, path: str) -> bool:
        """Whether the file `path` is a readable label file."""
        return is_label_file(path, self._columns) and path not in self.unreadable

    @property
    def is_unsettled(self) -> bool:
        """Whether `settle` is needed, see `LabelIndex`."""
        return self._top.is_unsettled or self._nested.is_unsettled

    def settle(self, sources: Iterable[str]) -> None:
        """Pass all `sources` to the indexes, see `LabelIndex.settle`."""
        names = list(sources) if self._top.is_unsettled and self._nested.is_unsettled else sources
        self._top.settle(names)
        self._nested.settle(names)

    def of(self, path: str, member: str | None) -> str | None:
        """Return the class of an image, or None if no label file names it and it lies outside any class folder."""
        return self.find(path, member).label

    def find(self, path: str, member: str | None) -> LabelLine:
        """Return the class of an image, with the other columns of the line that gives it."""
        return self.listed(path, member) or LabelLine(label_of(path, member, self._strips.of(path) or 0))

    def listed(self, path: str, member: str | None) -> LabelLine | None:
        """Return the line of a label file for an image, or None if no label file names it."""
        source = source_of(path, member)
        line = self._top.find(source) if self._top else None
        if line is not None or not (self._nested or self._carried):
            return line
        line, own = self._nested.find(source), self._carried.get(path, {}).get(member)
        if line is not None and own is not None and line.label != own.label:
            what = f"{path} and a file of labels outside of it give it different labels, {own.label} and {line.label}"
            return line._replace(conflict=line.conflict or own.conflict or what)
        return line or own

    def listed_columns(self, sources: pa.ChunkedArray, own: pa.Table) -> ListedColumns:
        """Return the labels of many images from label files, like `listed`, where rows name them exactly.

        `own` has what archives contain for their own members: columns of labels, which may be null, and of attributes.
        """
        top, nested = (index.lines() for index in (self._top, self._nested))
        rows = self._top.rows_of(sources)
        silent = np.flatnonzero(rows == NO_ROW)
        if self._nested:
            below = self._nested.rows_of(sources.take(parquet.column_of(silent)))
            rows[silent] = np.where(below < 0, below, len(top) + below)
        said = pa.concat_tables([top, nested, NOTHING])
        label, attributes = said.take(parquet.column_of(np.where(rows < 0, len(said) - 1, rows))).columns
        is_silent, (own_label, own_attributes) = pc.is_null(label), own.columns
        is_unclear = rows == UNCLEAR
        both = parquet.values(pc.indices_nonzero(pc.is_valid(own_label)))
        is_unclear[both[rows[both] >= len(top)]] = True  # Both have equal precedence, and may disagree.
        return ListedColumns(
            pc.coalesce(label, own_label),
            pc.if_else(is_silent, own_label, NO_LABEL),
            pc.if_else(is_silent, own_attributes, attributes),
            is_unclear,
        )

    def is_certain(self, path: str, member: str | None) -> bool:
        """Whether a label file gives the class of an image, or `ingest.strip` selects its class folder."""
        return self._strips.of(path) is not None or self.listed(path, member) is not None

    @property
    def unused(self) -> list[str]:
        """The paths of lines that have matched no place so far."""
        return [*self._top.unused, *self._nested.unused]

    @property
    def clashes(self) -> list[str]:
        """Messages about rows that disagree, see `LabelIndex.clashes`."""
        return [*self._top.clashes, *self._nested.clashes]

    @property
    def is_in_vain(self) -> bool:
        """Whether there are lines, but none has matched a place so far."""
        return not self._carried and 0 < len(self._top) + len(self._nested) == len(self.unused)


def is_system_file(name: str) -> bool:
    """Whether the file `name`, in any folder, was left by an operating system or by Git or DVC."""
    *folders, last = name.split("/")
    return last in SYSTEM_FILES or last.startswith("._") or "__MACOSX" in folders
