"""Settled places: those whose image has been read and whose class a folder or a row of labels gives, kept in columns.

Images of earlier runs thus cost a few operations on columns, and no object per image.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline import parquet
from pipeline.ids import Ids, Rows
from pipeline.ingestion.catalogue import LABEL_FILE, Catalogue
from pipeline.ingestion.decoding import Place
from pipeline.ingestion.labelling.label_tables import LabelLine
from pipeline.ingestion.labelling.labels import NO_LABEL, Labels, is_system_file
from pipeline.ingestion.labelling.sources import MEMBER, source_of
from pipeline.ingestion.resolving import COLUMNS
from pipeline.ingestion.unpacking.archive_names import is_archive
from pipeline.ingestion.wrappers import SUFFIXES
from pipeline.versioning.raw_files import RawFile

PLACES = pa.schema({"id": pa.string(), "position": pa.int32(), "member": pa.string()})
# From label files: the class, if only the archive's own label files give it, else null; further columns as JSON.
SAID = pa.schema({"own": pa.string(), "attributes": pa.string()})
SCHEMA = pa.schema([*PLACES, *SAID])
NO_ROWS = parquet.without_rows(SCHEMA)
# Constants for Arrow's compute functions; passing Python values would import pandas.
NO_TEXT, FIRST = parquet.strings([""])[0], parquet.integers([0])[0]
TEXTS = pa.dictionary(pa.int32(), pa.string())
# The number of rows processed at a time.
BLOCK = 2**17
Numbers = npt.NDArray[np.integer[Any]]


@dataclass(frozen=True)
class Settled:
    """Settled places: first loose files, then archive members, each in their order."""

    files: list[RawFile]
    """The archives that contain the places; an entry with an empty path stands for loose files."""
    rows: pa.Table
    """A row for each place, of `SCHEMA`; the member of a loose file is its path."""
    file: Numbers
    """The index into `files` of each place, shape (rows,)."""
    origin: Numbers
    """The number of each place's origin, which gives its class: a folder, or a class in label files; shape (rows,)."""
    examples: list[Place]
    """An example place of each origin, with the suffix of an image if there is one."""
    rest: list[RawFile]
    """The files with places that are not settled, and all archives."""

    @classmethod
    def none(cls, files: list[RawFile], contents: Catalogue) -> Self:
        """Return an empty set: no place in `files` is settled."""
        contents.unpack(file.md5 for file in files if is_archive(file.path))
        return cls([], NO_ROWS, np.empty(0, np.int32), np.empty(0, np.int32), [], files)

    @classmethod
    def among(cls, files: list[RawFile], contents: Catalogue, labels: Labels) -> Self:
        """Return the settled places in `files`; none in archives whose members `labels` must look up one by one."""
        loose = [file for file in files if not labels.has_strips and _is_image(file.path)]
        found = [(RawFile("", ""), _loose(loose))]
        found += [(file, _of_archive(contents.settled(file.md5))) for file in files if is_archive(file.path)]
        found = [(file, rows) for file, rows in found if len(rows)]
        rows = pa.concat_tables([NO_ROWS, *(rows for _, rows in found)])
        file = np.repeat(np.arange(len(found), dtype=np.int32), [len(rows) for _, rows in found])
        whole = cls([file for file, _ in found], rows, file, np.empty(0, np.int32), [], files)
        if labels.is_unsettled:
            labels.settle(chain(whole._names(), _other_names(files, {path for path, _ in loose}, contents, labels)))
        whole, label = whole._listed(labels, contents)
        origin, examples = _origins(whole.rows["member"], whole.file, label)
        whole.carry(examples, labels)
        places = [place for place, _ in whole.places(examples)]
        settled = {*whole.rows["member"].slice(0, whole.loose).to_pylist()}
        rest = [file for file in files if file.path not in settled]
        return replace(whole, origin=origin, examples=places, rest=rest)

    def _names(self) -> Iterator[str]:
        sources = self.sources
        for start in range(0, len(sources), BLOCK):
            yield from sources.slice(start, BLOCK).to_pylist()

    def _listed(self, labels: Labels, contents: Catalogue) -> tuple[Self, Numbers | None]:
        """Return the places with their labels, without those to look up one by one, and the numbers of their classes.

        A number is −1 if a folder gives the class. The numbers are None if folders give all classes.
        """
        if labels.is_by_folder and self.rows["own"].null_count == len(self):
            return self, None
        label, own, attributes, is_unclear = labels.listed_columns(self.sources, self.rows.select(SAID.names))
        unclear = [at for at in np.unique(self.file[is_unclear]).tolist() if self.files[at].path]
        contents.unpack(self.files[at].md5 for at in unclear)
        clear = np.flatnonzero(~(is_unclear | np.isin(self.file, unclear)))
        rows = pa.Table.from_arrays([*self.rows.select(PLACES.names).columns, own, attributes], schema=SCHEMA)
        code = label.combine_chunks().dictionary_encode().indices.fill_null(-1)
        return replace(self, rows=parquet.rows_at(rows, clear), file=self.file[clear]), parquet.values(code)[clear]

    def __len__(self) -> int:
        return len(self.file)

    @property
    def loose(self) -> int:
        """The number of loose files, which come first."""
        return int(np.count_nonzero(self.file == 0)) if self.files and not self.files[0].path else 0

    @cached_property
    def ids(self) -> Ids:
        """The ids of the images."""
        return Ids.of(self.rows["id"])

    def at(self, chosen: npt.NDArray[np.bool_]) -> Self:
        """Return the places selected by the mask `chosen`, shape (rows,)."""
        if chosen.all():
            return self
        rows = np.flatnonzero(chosen)
        return replace(self, rows=parquet.rows_at(self.rows, rows), file=self.file[rows], origin=self.origin[rows])

    def still(self, contents: Catalogue) -> Self:
        """Return the places that `contents` still has in columns, and loose files."""
        gone = [at for at, (path, md5) in enumerate(self.files) if path and not contents.is_in_columns(md5)]
        return self.at(~np.isin(self.file, gone)) if gone else self

    def within(self, paths: Collection[str]) -> npt.NDArray[np.bool_]:
        """Return a mask of the places in files of these `paths`, shape (rows,)."""
        archives = [at for at, file in enumerate(self.files) if file.path in paths]
        is_within = np.isin(self.file, archives)
        if paths:
            loose = self.rows["member"].slice(0, self.loose).to_pylist()
            is_within[: self.loose] = [path in paths for path in loose]
        return is_within

    def examples_left(self) -> list[Place]:
        """Return the examples of origins that still have places."""
        counts = np.bincount(self.origin, minlength=len(self.examples)).tolist()
        return [place for place, count in zip(self.examples, counts, strict=True) if count]

    def places(self, rows: Rows) -> Iterator[tuple[Place, str]]:
        """Yield the places at `rows`, with their ids."""
        for start in range(0, len(rows), BLOCK):
            block = rows[start : start + BLOCK]
            found = parquet.rows_at(self.rows, block)
            columns = (found[name].to_pylist() for name in PLACES.names)
            for file, image_id, position, member in zip(self.file[block].tolist(), *columns, strict=True):
                path = self.files[file].path
                yield Place(path, member, position) if path else Place(member), image_id

    def carry(self, rows: Rows, labels: Labels) -> None:
        """Add to `labels` what archives contain for their own members at `rows`."""
        said = self.rows.select(SAID.names)
        if said["own"].null_count == len(self):
            return
        found = zip(self.places(rows), said.take(parquet.column_of(rows)).to_pylist(), strict=True)
        for (place, _), line in found:
            if line["own"] is not None:
                labels.carry(place.path, {place.member: LabelLine(line["own"], line["attributes"])})

    @property
    def sources(self) -> pa.ChunkedArray:
        """The source of each place, see `source_of`."""
        begin = parquet.strings(path and f"{path}{MEMBER}" for path, _ in self.files).take(parquet.column_of(self.file))
        return pc.binary_join_element_wise(begin, self.rows["member"], NO_TEXT)

    def table(self, labels: Iterable[str | None]) -> pa.Table:
        """Return a row for each place, with the columns of `resolving.COLUMNS`; `labels` are the classes by origin."""
        label = parquet.strings(labels).take(parquet.column_of(self.origin))
        return pa.Table.from_arrays([self.rows["id"], label, self.sources, self.rows["attributes"]], COLUMNS)


def _other_names(files: list[RawFile], loose: Collection[str], contents: Catalogue, labels: Labels) -> Iterator[str]:
    """Yield the sources of places that are neither among the `loose` files nor settled members of archives."""
    for path, md5 in files:
        if is_archive(path):
            yield from (source_of(path, one.name) for one in contents.others(md5) if one.refusal != LABEL_FILE)
        elif path not in loose and not labels.is_file(path):
            yield path


def _loose(files: list[RawFile]) -> pa.Table:
    columns = [
        parquet.strings(md5 for _, md5 in files),
        parquet.column_of(np.zeros(len(files), np.int32)),
        parquet.strings(path for path, _ in files),
    ]
    return _saying(pa.Table.from_arrays(columns, schema=PLACES))


def _of_archive(members: pa.Table) -> pa.Table:
    places = members.select(PLACES.names)
    if "label" not in members.column_names:
        return _saying(places)
    label = pc.if_else(pc.equal(members["label"], NO_TEXT), NO_LABEL, members["label"])
    return _saying(places, label, members["attributes"])


def _saying(
    places: pa.Table, label: pa.ChunkedArray | None = None, attributes: pa.ChunkedArray | None = None
) -> pa.Table:
    """Return `places` with the labels and attributes that archives contain for them, if any."""
    said = [pa.nulls(len(places), pa.string()), parquet.blank(len(places))] if label is None else [label, attributes]
    return pa.Table.from_arrays([*places.columns, *said], schema=SCHEMA)


def _is_image(path: str) -> bool:
    """Whether the file `path` has the suffix of an image, and is thus neither an archive nor a label file."""
    return path.lower().endswith(SUFFIXES) and not is_system_file(path)


def _origins(members: pa.ChunkedArray, file: Numbers, label: Numbers | None) -> tuple[Numbers, Rows]:
    """Return the number of the origin of each of `members`, and the row of an example of each origin; see `Settled`.

    The origin of a member is its `label`; its folder in `file`, if the label is −1 or `label` is None.
    """
    blocks = (members.slice(start, BLOCK).combine_chunks() for start in range(0, len(members), BLOCK))
    names = pa.chunked_array((_folder(block).dictionary_encode() for block in blocks), TEXTS).unify_dictionaries()
    code = parquet.values(pa.chunked_array((chunk.indices for chunk in names.chunks), pa.int32()))
    pairs = file * np.int64(1 + code.max(initial=0)) + code
    if label is not None:
        pairs = np.where(label < 0, pairs, -1 - label)
    origin = parquet.values(parquet.column_of(pairs).dictionary_encode().indices)
    # Origins are numbered in the order of their first places.
    examples = np.flatnonzero(np.diff(np.maximum.accumulate(origin), prepend=-1))
    return origin, _images(members, origin, examples)


def _folder(members: pa.StringArray) -> pa.StringArray:
    parts = pc.split_pattern(members, "/", max_splits=1, reverse=True)
    folders = pc.list_element(parts, FIRST)
    return pc.if_else(pc.equal(folders, members), NO_TEXT, folders)


def _images(members: pa.ChunkedArray, origin: Numbers, examples: Rows) -> Rows:
    """Return `examples`, with those that lack an image's suffix replaced by an image of the same `origin`, if any."""
    names = members.take(parquet.column_of(examples)).to_pylist()
    lacking = [at for at, name in enumerate(names) if not name.lower().endswith(SUFFIXES)]
    rows = np.flatnonzero(np.isin(origin, lacking)) if lacking else examples[:0]
    for row, name in zip(rows[::-1].tolist(), members.take(parquet.column_of(rows[::-1])).to_pylist(), strict=True):
        if name.lower().endswith(SUFFIXES):
            examples[origin[row]] = row
    return examples
