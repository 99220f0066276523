"""Places of which no more is to be said than the image's id, and the class that their folder says: in columns.

So what was read before costs a few operations on columns, and no object for each image.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import compress
from operator import not_
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline import parquet
from pipeline.ids import Ids, Rows
from pipeline.ingestion.catalogue import Catalogue
from pipeline.ingestion.decoding import Place
from pipeline.ingestion.labelling.labels import Labels, is_system_file
from pipeline.ingestion.labelling.sources import MEMBER
from pipeline.ingestion.resolving import COLUMNS
from pipeline.ingestion.unpacking.archive_names import is_archive
from pipeline.ingestion.wrappers import SUFFIXES
from pipeline.versioning.raw_files import RawFile

SCHEMA = pa.schema({"id": pa.string(), "position": pa.int32(), "member": pa.string()})
NO_ROWS = parquet.without_rows(SCHEMA)
# For functions on columns: to give them Python's imports pandas.
NO_TEXT, FIRST = parquet.strings([""])[0], parquet.integers([0])[0]
TEXTS = pa.dictionary(pa.int32(), pa.string())
# Rows that are gone through at a time.
BLOCK = 2**17
Numbers = npt.NDArray[np.integer[Any]]


@dataclass(frozen=True)
class Settled:
    """Such places: loose files, then archives, in their orders."""

    files: list[RawFile]
    """The archives that they are in; one without a name stands for loose files."""
    rows: pa.Table
    """Of `SCHEMA`; the member of a loose file is its path."""
    file: Numbers
    """Which of `files` each is in, shape (rows,)."""
    folder: Numbers
    """The number of its folder, shape (rows,)."""
    examples: list[Place]
    """A place in each folder, that of an image by its name where there is one."""
    rest: list[RawFile]
    """The files with other places, archives among them."""

    @classmethod
    def none(cls, files: list[RawFile], contents: Catalogue) -> Self:
        """No place of those in `files` is settled."""
        contents.unpack(file.md5 for file in files if is_archive(file.path))
        return cls([], NO_ROWS, np.empty(0, np.int32), np.empty(0, np.int32), [], files)

    @classmethod
    def among(cls, files: list[RawFile], contents: Catalogue, labels: Labels) -> Self:
        """Those in `files`; none where files of labels may say something of any place."""
        if not labels.is_by_folder:
            return cls.none(files, contents)
        is_loose = [not labels.has_strips and _is_image(path) for path, _ in files]
        loose, others = list(compress(files, is_loose)), list(compress(files, map(not_, is_loose)))
        found = [(RawFile("", ""), _loose(loose))]
        found += [(file, contents.settled(file.md5).select(SCHEMA.names)) for file in others if is_archive(file.path)]
        found = [(file, rows) for file, rows in found if len(rows)]
        rows = pa.concat_tables([NO_ROWS, *(rows for _, rows in found)])
        file = np.repeat(np.arange(len(found), dtype=np.int32), [len(rows) for _, rows in found])
        folder, examples = _folders(rows["member"], file)
        whole = cls([file for file, _ in found], rows, file, folder, [], others)
        return replace(whole, examples=[place for place, _ in whole.places(examples)])

    def __len__(self) -> int:
        return len(self.file)

    @property
    def loose(self) -> int:
        """How many of them are loose files; they come before others."""
        return int(np.count_nonzero(self.file == 0)) if self.files and not self.files[0].path else 0

    @cached_property
    def ids(self) -> Ids:
        """Those of the images."""
        return Ids.of(self.rows["id"])

    def at(self, chosen: npt.NDArray[np.bool_]) -> Self:
        """The places that are `chosen`, shape (rows,)."""
        if chosen.all():
            return self
        rows = np.flatnonzero(chosen)
        return replace(self, rows=parquet.rows_at(self.rows, rows), file=self.file[rows], folder=self.folder[rows])

    def still(self, contents: Catalogue) -> Self:
        """Those that `contents` still has in columns."""
        gone = [at for at, (path, md5) in enumerate(self.files) if path and not contents.is_in_columns(md5)]
        return self.at(~np.isin(self.file, gone)) if gone else self

    def within(self, paths: Collection[str]) -> npt.NDArray[np.bool_]:
        """Which of them are in a file of these `paths`, shape (rows,)."""
        archives = [at for at, file in enumerate(self.files) if file.path in paths]
        is_within = np.isin(self.file, archives)
        if paths:
            loose = self.rows["member"].slice(0, self.loose).to_pylist()
            is_within[: self.loose] = [path in paths for path in loose]
        return is_within

    def examples_left(self) -> list[Place]:
        """Those of folders that have any places left."""
        counts = np.bincount(self.folder, minlength=len(self.examples)).tolist()
        return [place for place, count in zip(self.examples, counts, strict=True) if count]

    def places(self, rows: Rows) -> Iterator[tuple[Place, str]]:
        """The places at `rows`, and their ids."""
        for start in range(0, len(rows), BLOCK):
            block = rows[start : start + BLOCK]
            found = parquet.rows_at(self.rows, block)
            columns = (found[name].to_pylist() for name in SCHEMA.names)
            for file, image_id, position, member in zip(self.file[block].tolist(), *columns, strict=True):
                path = self.files[file].path
                yield Place(path, member, position) if path else Place(member), image_id

    def table(self, labels: Iterable[str | None]) -> pa.Table:
        """A row for each place, with the columns of `resolving.COLUMNS`, where `labels` are those of the folders."""
        begin = parquet.strings(path and f"{path}{MEMBER}" for path, _ in self.files).take(parquet.column_of(self.file))
        columns = [
            self.rows["id"],
            parquet.strings(labels).take(parquet.column_of(self.folder)),
            pc.binary_join_element_wise(begin, self.rows["member"], NO_TEXT),
            parquet.blank(len(self)),
        ]
        return pa.Table.from_arrays(columns, COLUMNS)


def _loose(files: list[RawFile]) -> pa.Table:
    columns = [
        parquet.strings(md5 for _, md5 in files),
        parquet.column_of(np.zeros(len(files), np.int32)),
        parquet.strings(path for path, _ in files),
    ]
    return pa.Table.from_arrays(columns, schema=SCHEMA)


def _is_image(path: str) -> bool:
    """Whether the file `path` is called like an image, and so is no archive, and no file of labels."""
    return path.lower().endswith(SUFFIXES) and not is_system_file(path)


def _folders(members: pa.ChunkedArray, file: Numbers) -> tuple[Numbers, Rows]:
    """The number of the folder of each of the `members` of each `file`, and a member of each; see `Settled`."""
    blocks = (members.slice(start, BLOCK).combine_chunks() for start in range(0, len(members), BLOCK))
    names = pa.chunked_array((_folder(block).dictionary_encode() for block in blocks), TEXTS).unify_dictionaries()
    code = parquet.values(pa.chunked_array((chunk.indices for chunk in names.chunks), pa.int32()))
    pairs = file * np.int64(1 + code.max(initial=0)) + code
    folder = parquet.values(parquet.column_of(pairs).dictionary_encode().indices)
    # Numbers are given in the order of first places.
    examples = np.flatnonzero(np.diff(np.maximum.accumulate(folder), prepend=-1))
    return folder, _images(members, folder, examples)


def _folder(members: pa.StringArray) -> pa.StringArray:
    parts = pc.split_pattern(members, "/", max_splits=1, reverse=True)
    folders = pc.list_element(parts, FIRST)
    return pc.if_else(pc.equal(folders, members), NO_TEXT, folders)


def _images(members: pa.ChunkedArray, folder: Numbers, examples: Rows) -> Rows:
    """The `examples`; an image in place of one that is called otherwise, where there is one in its `folder`."""
    names = members.take(parquet.column_of(examples)).to_pylist()
    lacking = [at for at, name in enumerate(names) if not name.lower().endswith(SUFFIXES)]
    rows = np.flatnonzero(np.isin(folder, lacking)) if lacking else examples[:0]
    for row, name in zip(rows[::-1].tolist(), members.take(parquet.column_of(rows[::-1])).to_pylist(), strict=True):
        if name.lower().endswith(SUFFIXES):
            examples[folder[row]] = row
    return examples
