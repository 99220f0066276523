"""Every place in data/raw and the image in it, in columns: what `trace`, `remove` and `forget` look images up in."""

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
# For functions on columns, as `NO_TEXT`.
SEPARATOR = parquet.strings([MEMBER])[0]


class Holding(NamedTuple):
    """A place in data/raw, and the id of the image there; None where that cannot be read."""

    place: Place
    id: str | None

    @property
    def name(self) -> str:
        """How the place is named to people."""
        return source_of(self.place.path, self.place.member)


@dataclass(frozen=True)
class Holdings:
    """All places, by file, and in an archive by position."""

    files: list[str]
    """The files that they are in."""
    file: npt.NDArray[np.int32]
    """Which of `files` each is in, shape (rows,)."""
    rows: pa.Table
    """Of `PLACES`; an id that is unknown is empty, and so is the member where a place is a whole file."""

    @classmethod
    def read(cls) -> Self:
        """Those in data/raw as it is now, be it here or not, with the image's id wherever that can be read.

        Of what is not here, only archives that no run of ingest has read are fetched.
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
        """Those in `files`, of archives by their `contents`; files of labels, whose `columns` these are, are none."""
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
        """Those of a project without images."""
        return cls([], np.empty(0, np.int32), NO_ROWS)

    def __len__(self) -> int:
        return len(self.file)

    def __iter__(self) -> Iterator[Holding]:
        return iter(self.at(np.arange(len(self))))

    @cached_property
    def names(self) -> pa.ChunkedArray:
        """How the places are named to people."""
        path = parquet.strings(self.files).take(parquet.column_of(self.file))
        between = pc.if_else(pc.equal(self.rows["member"], NO_TEXT), NO_TEXT, SEPARATOR)
        return pc.binary_join_element_wise(path, between, self.rows["member"], NO_TEXT)

    @property
    def counts(self) -> Counter[str]:
        """How many of them are in each file."""
        return Counter(dict(zip(self.files, np.bincount(self.file, minlength=len(self.files)).tolist(), strict=True)))

    def at(self, rows: Rows) -> list[Holding]:
        """Those at `rows`."""
        columns = (column.to_pylist() for column in self.rows.take(parquet.column_of(rows)).columns)
        found = zip(self.file[rows].tolist(), *columns, strict=True)
        return [Holding(Place(self.files[file], name or None, at), image or None) for file, image, at, name in found]

    def of_images(self, ids: Collection[str]) -> list[Holding]:
        """Those of the images `ids`."""
        return self.at(self.showing(ids))

    def showing(self, ids: Collection[str]) -> Rows:
        """The rows of those of the images `ids`."""
        return _where(pc.is_in(self.rows["id"], parquet.strings(ids)))

    def beginning(self, start: str) -> Rows:
        """The rows of those whose images' ids begin with `start`, which is not empty."""
        return _where(pc.starts_with(self.rows["id"], start))

    def within(self, *starts: str) -> Rows:
        """The rows of those whose names begin with one of `starts`, and whose ids are known."""
        known = pc.not_equal(self.rows["id"], NO_TEXT)
        return np.unique(np.concatenate([_where(pc.and_(known, pc.starts_with(self.names, one))) for one in starts]))

    def like(self, glob: str) -> Rows:
        """The rows of those whose names are like `glob`."""
        fits = re.compile(translate(glob)).match
        return np.array([row for row, name in enumerate(self.names.to_pylist()) if fits(name)], np.intp)

    def called(self, wanted: Collection[str]) -> dict[str, Rows]:
        """The rows of those whose name, file or image's id is one of `wanted`, by that."""
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
    """The path of every file, sorted folder by folder, relative to data/raw."""
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
    """The places in the `archive`."""
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
    """The MD5 of each of the files `there`, empty where it cannot be read.

    Those that DVC has hashed, and that are as they were, are not read.
    """
    try:
        listed = [file for file in raw_files() if file.path in there] if paths.RAW_DVC.exists() else []
    except RecordError:
        listed = []  # Its listing is lost.
    known = dict(listed) if not listed else dict(set(listed) - set(changed_files(listed)))
    todo = sorted(there - known.keys())
    for path in tqdm(todo, "hashing", unit=" files", disable=None):
        known[path] = _md5(paths.RAW / path)
    return known


def _md5(file: Path) -> str:
    if not file.is_file():  # A pipe would be waited for.
        return ""
    try:
        return md5_of_file(file)
    except OSError:
        return ""


def _read_members(files: list[RawFile], contents: Catalogue, absent: AbsentFiles) -> None:
    """Fill in the ids of members that ingest has not seen."""
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
