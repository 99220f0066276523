"""Which class an image belongs to: what files of labels say, else the first folder below data/raw.

Archives are seen through: `cat/1.png`, `cat/old.zip!/1.png` and `more.zip!/cat/1.png` are all of class `cat`.
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
# For functions on columns: `pa.scalar` imports pandas.
NO_LABEL = pa.nulls(1, pa.string())[0]
# What is said of an image that no row names.
NOTHING = pa.Table.from_arrays([pa.nulls(1, pa.string()), parquet.strings([""])], ["label", "attributes"])


class ListedColumns(NamedTuple):
    """What files of labels say of many images, in columns as long as there are images."""

    label: pa.ChunkedArray
    """Null where they are silent."""
    own: pa.ChunkedArray
    """The same, where the image's archive says it itself; null elsewhere."""
    attributes: pa.ChunkedArray
    """Empty where they are silent."""
    is_unclear: npt.NDArray[np.bool_]
    """Where `Labels.listed` has to be asked; what is said there does not count."""


class Labels:
    """The class of each place in data/raw.

    A line of a file of labels names a source, `cat/1.png` or `more.zip!/dog/b.jpg`, or is a glob over sources in which
    `*` stands for anything, slashes included. The files on top of data/raw come before those in its folders and
    archives, which are equal; and those before folders.
    """

    def __init__(
        self,
        *,
        strip: Mapping[str, int] = NOWHERE,
        columns: Columns = USUAL,
        classes: Container[str] | None = None,
    ) -> None:
        """No file of labels yet; `strip` is `ingest.strip`.

        `classes` are those that are known from before; None where a folder's name is taken for a class without a doubt.
        """
        self.classes = classes
        self._strips = Strips(strip)
        self._columns = columns
        self._top, self._nested = (LabelIndex(bare=columns.path != USUAL.path) for _ in range(2))
        # What archives say themselves of their members.
        self._carried: dict[str, dict[str | None, LabelLine]] = {}
        self.unreadable: dict[str, str] = {}
        """The files of labels in folders that are none after all, and why."""

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
        """What the file `path` says, if there is one, and the others like it among `files`, relative to its folder.

        Where these are mapped, they are read there. The rest is as for `Labels` itself.

        Raises:
            ImagesError: one of them cannot be read, see `LabelTable`.
        """
        labels = cls(strip=strip, columns=columns, classes=classes)
        for name in dict.fromkeys([path.name, *(name for name in files if is_label_file(name, columns))]):
            labels._add(path.parent, name, files.get(name) if isinstance(files, Mapping) else None)
        return labels

    def _add(self, root: Path, name: str, elsewhere: Path | None) -> None:
        """Take in the file `name` below `root`, or `elsewhere`, if it is there."""
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
        """Whether no file of labels but those that archives carry says anything."""
        return not self._top and not self._nested

    @property
    def has_strips(self) -> bool:
        """Whether `ingest.strip` says anything."""
        return bool(self._strips)

    def carry(self, archive: str, lines: Mapping[str | None, LabelLine]) -> None:
        """Take in what the `archive` says itself of its members."""
        if lines:
            self._carried.setdefault(archive, {}).update(lines)

    def is_file(self, path: str) -> bool:
        """Whether the file `path` is one of labels."""
        return is_label_file(path, self._columns) and path not in self.unreadable

    @property
    def is_unsettled(self) -> bool:
        """Whether `settle` may find names among rows."""
        return self._top.is_unsettled or self._nested.is_unsettled

    def settle(self, sources: Iterable[str]) -> None:
        """See `LabelIndex`."""
        names = list(sources) if self._top.is_unsettled and self._nested.is_unsettled else sources
        self._top.settle(names)
        self._nested.settle(names)

    def of(self, path: str, member: str | None) -> str | None:
        """The class of an image, or None where it lies outside any class folder and labels.csv is silent."""
        return self.find(path, member).label

    def find(self, path: str, member: str | None) -> LabelLine:
        """The same, and what else the line says that says the class."""
        return self.listed(path, member) or LabelLine(label_of(path, member, self._strips.of(path) or 0))

    def listed(self, path: str, member: str | None) -> LabelLine | None:
        """What files of labels say of an image, None where they are silent."""
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
        """The same of many images, as far as rows name them as they are spelt.

        `own` is what archives say themselves, of which a label may be null: a column of labels, one of attributes.
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
        is_unclear[both[rows[both] >= len(top)]] = True  # Neither comes before the other, and they may disagree.
        return ListedColumns(
            pc.coalesce(label, own_label),
            pc.if_else(is_silent, own_label, NO_LABEL),
            pc.if_else(is_silent, own_attributes, attributes),
            is_unclear,
        )

    def is_certain(self, path: str, member: str | None) -> bool:
        """Whether labels.csv says the class of an image, or `ingest.strip` which of its folders does."""
        return self._strips.of(path) is not None or self.listed(path, member) is not None

    @property
    def unused(self) -> list[str]:
        """The lines that no place has matched so far."""
        return [*self._top.unused, *self._nested.unused]

    @property
    def clashes(self) -> list[str]:
        """See `LabelIndex`."""
        return [*self._top.clashes, *self._nested.clashes]

    @property
    def is_in_vain(self) -> bool:
        """Whether there are lines, and no place has matched any so far."""
        return not self._carried and 0 < len(self._top) + len(self._nested) == len(self.unused)


def is_system_file(name: str) -> bool:
    """Whether an operating system has left the file `name` (of any folder) behind."""
    *folders, last = name.split("/")
    return last in SYSTEM_FILES or last.startswith("._") or "__MACOSX" in folders
