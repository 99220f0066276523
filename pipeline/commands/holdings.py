"""A columnar table of every place in data/raw and its image's id, which `trace`, `remove` and `forget` search."""

import os
import re
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from fnmatch import translate
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from tqdm import tqdm

from pipeline import parquet, paths
from pipeline.errors import RecordError
from pipeline.files import md5_of_bytes, md5_of_file
from pipeline.ids import Rows
from pipeline.ingestion.catalogue import LABEL_FILE, Catalogue, CatalogueMember, Listing, read_catalogue
from pipeline.ingestion.decoding import MAX_FILE, Place
from pipeline.ingestion.labelling.label_files import is_label_file
from pipeline.ingestion.labelling.label_tables import Columns
from pipeline.ingestion.labelling.sources import MEMBER, source_of
from pipeline.ingestion.places import list_new_archives
from pipeline.ingestion.settled import NO_TEXT, PLACES
from pipeline.ingestion.unpacking import archives
from pipeline.ingestion.unpacking.archive_names import is_archive
from pipeline.params import read_params
from pipeline.versioning.raw.absent_files import AbsentFiles
from pipeline.versioning.raw_files import RawFile, changed_files, raw_files

NO_ROWS = parquet.without_rows(PLACES)
# A pyarrow scalar for column functions, like `NO_TEXT`.
SEPARATOR = parquet.strings([MEMBER])[0]


class Holding(NamedTuple):
    """A place in data/raw and the id of its image; the id is None if the image cannot be read."""

    place: Place
    id: str | None

    @property
    def name(self) -> str:
        """The source of the image, as shown to users: the path, and the member within an archive."""
        return source_of(self.place.path, self.place.member)


@dataclass(frozen=True)
class Holdings:
    """All places in data/raw, ordered by file and, within an archive, by position."""

    files: list[str]
    """The files that contain the places."""
    file: npt.NDArray[np.int32]
    """Index into `files` of each place, shape (rows,)."""
    rows: pa.Table
    """The places, with schema `PLACES`. An unknown id is empty; so is the member if the place is a whole file."""

    @classmethod
    def read(cls) -> Self:
        """Read all places of data/raw as it is now, including absent files, with the image's id where it can be read.

        Of the absent files, only archives that ingest has never read are fetched.
        """
        here = _hashed(set(loose_paths()))
        absent = AbsentFiles.besides(here)
        files = [RawFile(path, md5) for path, md5 in sorted({**absent.md5s, **here}.items())]
        listing = Listing.of(read_params().ingest)
        contents = list_new_archives(files, read_catalogue(), listing, absent)
        _read_members(files, contents, absent)
        return cls.of(files, contents, listing.columns)

    @classmethod
    def of(cls, files: list[RawFile], contents: Catalogue, columns: Columns) -> Self:
        """Return the places in `files`; `contents` lists archives, and label files (with `columns`) are left out."""
        names, tables, counts = [], [NO_ROWS], []
        for is_packed, run in groupby(files, lambda file: is_archive(file.path)):
            chosen = [file for file in run if is_packed or not is_label_file(file.path, columns)]
            found = [_members(contents, file.md5) for file in chosen] if is_packed else [_loose(chosen)]
            names += [file.path for file in chosen]
            tables += found
            counts += [len(table) for table in found] if is_packed else [1] * len(chosen)
        return cls(names, np.repeat(np.arange(len(names), dtype=np.int32), counts), pa.concat_tables(tables))

    @classmethod
    def none(cls) -> Self:
        """Return the empty table of a project without images."""
        return cls([], np.empty(0, np.int32), NO_ROWS)

    def __len__(self) -> int:
        return len(self.file)

    def __iter__(self) -> Iterator[Holding]:
        return iter(self.at(np.arange(len(self))))

    @cached_property
    def names(self) -> pa.ChunkedArray:
        """The source of each place, as shown to users."""
        path = parquet.strings(self.files).take(parquet.column_of(self.file))
        between = pc.if_else(pc.equal(self.rows["member"], NO_TEXT), NO_TEXT, SEPARATOR)
        return pc.binary_join_element_wise(path, between, self.rows["member"], NO_TEXT)

    @property
    def counts(self) -> Counter[str]:
        """The number of places in each file."""
        return Counter(dict(zip(self.files, np.bincount(self.file, minlength=len(self.files)).tolist(), strict=True)))

    def at(self, rows: Rows) -> list[Holding]:
        """Return the places at `rows`."""
        columns = (column.to_pylist() for column in self.rows.take(parquet.column_of(rows)).columns)
        found = zip(self.file[rows].tolist(), *columns, strict=True)
        return [Holding(Place(self.files[file], name or None, at), image or None) for file, image, at, name in found]

    def of_images(self, ids: Collection[str]) -> list[Holding]:
        """Return the places that contain one of the images `ids`."""
        return self.at(self.showing(ids))

    def showing(self, ids: Collection[str]) -> Rows:
        """Return the rows of the places that contain one of the images `ids`."""
        return _where(pc.is_in(self.rows["id"], parquet.strings(ids)))

    def beginning(self, start: str) -> Rows:
        """Return the rows of the places whose image id begins with `start`, which must not be empty."""
        return _where(pc.starts_with(self.rows["id"], start))

    def within(self, *starts: str) -> Rows:
        """Return the rows of the places whose name begins with one of `starts` and whose image id is known."""
        known = pc.not_equal(self.rows["id"], NO_TEXT)
        return np.unique(np.concatenate([_where(pc.and_(known, pc.starts_with(self.names, one))) for one in starts]))

    def like(self, glob: str) -> Rows:
        """Return the rows of the places whose name matches `glob`."""
        fits = re.compile(translate(glob)).match
        return np.array([row for row, name in enumerate(self.names.to_pylist()) if fits(name)], np.intp)

    def called(self, wanted: Collection[str]) -> dict[str, Rows]:
        """Map each of `wanted` to the rows of the places whose name, file or image id equals it."""
        texts = sorted({*wanted} - {""})
        codes: list[Rows] = [np.empty(0, np.intp)]
        rows: list[Rows] = [np.empty(0, np.intp)]
        for column in (self.names, self.rows["id"]):
            code = pc.index_in(column, parquet.strings(texts))
            codes.append(parquet.values(code.drop_null()).astype(np.intp))
            rows.append(_where(pc.is_valid(code)))
        file_at = {path: at for at, path in enumerate(self.files)}
        for code, text in enumerate(texts):
            if text in file_at:
                start, end = np.searchsorted(self.file, [file_at[text], file_at[text] + 1])
                codes.append(np.full(end - start, code))
                rows.append(np.arange(start, end))
        code, row = np.concatenate(codes), np.concatenate(rows)
        order = np.argsort(code, kind="stable")
        ends = np.searchsorted(code[order], np.arange(1, len(texts)))
        return dict(zip(texts, np.split(row[order], ends), strict=True)) if texts else {}


def loose_paths() -> Iterator[str]:
    """Yield the path of every file relative to data/raw, sorted within each folder."""
    for folder, below, names in os.walk(paths.RAW):
        below.sort()
        yield from (Path(folder, name).relative_to(paths.RAW).as_posix() for name in sorted(names))


def _where(mask: pa.ChunkedArray) -> Rows:
    return parquet.values(pc.indices_nonzero(mask)).astype(np.intp)


def _loose(files: list[RawFile]) -> pa.Table:
    positions = parquet.column_of(np.zeros(len(files), np.int32))
    return pa.Table.from_arrays(
        [parquet.strings(md5 for _, md5 in files), positions, parquet.blank(len(files))], PLACES.names
    )


def _members(contents: Catalogue, archive: str) -> pa.Table:
    """Return the places in `archive`, by position."""
    settled = pa.Table.from_arrays(contents.settled(archive).select(PLACES.names).columns, PLACES.names)
    others = [one for one in contents.others(archive) if one.refusal != LABEL_FILE]
    if not others:
        return settled
    columns = [
        parquet.strings(one.id or "" for one in others),
        parquet.integers(one.position for one in others),
        parquet.strings(one.name for one in others),
    ]
    table = pa.concat_tables([settled, pa.Table.from_arrays(columns, PLACES.names)])
    return table.take(parquet.column_of(np.argsort(parquet.numbers(table, "position"), kind="stable")))


def _hashed(there: set[str]) -> dict[str, str]:
    """Return the MD5 of each file of `there`, empty if the file cannot be read.

    Files that DVC has hashed and that have not changed since are not read again.
    """
    try:
        listed = [file for file in raw_files() if file.path in there] if paths.RAW_DVC.exists() else []
    except RecordError:
        listed = []  # The listing of data/raw is missing.
    known = dict(listed) if not listed else dict(set(listed) - set(changed_files(listed)))
    todo = sorted(there - known.keys())
    for path in tqdm(todo, "hashing", unit=" files", disable=None):
        known[path] = _md5(paths.RAW / path)
    return known


def _md5(file: Path) -> str:
    if not file.is_file():  # Opening a named pipe would block.
        return ""
    try:
        return md5_of_file(file)
    except OSError:
        return ""


def _read_members(files: list[RawFile], contents: Catalogue, absent: AbsentFiles) -> None:
    """Fill in the ids of archive members that ingest has not read."""
    for path, md5 in files:
        if not is_archive(path) or not any(map(_is_unread, contents.others(md5))):
            continue
        absent.fetch([path])
        archive = archives.open_archive(absent.at(path))
        unread = [member for member in contents[md5] if _is_unread(member)]
        for member in tqdm(unread, f"reading {path}", unit=" images", disable=None):
            try:
                raw = archive.read(member.position, MAX_FILE)
            except archives.BROKEN:
                continue
            member.id = md5_of_bytes(raw)


def _is_unread(member: CatalogueMember) -> bool:
    return member.id is None and member.refusal is None
