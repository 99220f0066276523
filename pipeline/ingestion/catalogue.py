"""data/images/members.parquet: the members of each archive in data/raw, by the archive's MD5.

Each archive is read once, and not again after it is renamed.
"""

from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from copy import copy
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline import parquet, paths
from pipeline.ingestion.labelling.label_tables import Columns, LabelLine
from pipeline.ingestion.refusals import Refusal
from pipeline.ingestion.unpacking.zip_names import USUAL
from pipeline.params import Ingest

MEMBERS = paths.IMAGES / "members.parquet"
SCHEMA = pa.schema(
    {
        "archive": pa.string(),  # MD5 of the archive
        "position": pa.int32(),
        "member": pa.string(),  # empty if the row is about the archive as a whole
        "id": pa.string(),  # empty if the member could not be read
        "reason": pa.string(),  # why the member is not used, else empty
        "detail": pa.string(),  # details of the reason; without a reason, why the name is uncertain
    }
)
NO_ROWS = parquet.without_rows(SCHEMA)
# Further columns, if any archive contains label files.
LISTED = pa.schema({name: pa.string() for name in LabelLine._fields})
# Increase it whenever archives are listed differently: they are then listed again, but not decoded again.
LISTING = "3"
UNSUPPORTED, UNUSABLE_LABELS = "unsupported archive", "unusable labels"
# Marks a member that is not an image, but is not reported either.
LABEL_FILE = Refusal("file of labels", "says what the labels of other members are")


class Listing(NamedTuple):
    """The params below `ingest` that affect how archives are listed."""

    encoding: str = USUAL
    """The encoding of names in zips that do not declare one."""
    columns: Columns = Columns()
    """The columns of label files in archives."""

    @classmethod
    def of(cls, params: Ingest) -> Self:
        """Build it from `params`."""
        return cls(params.encoding, Columns(**params.columns))

    @property
    def name(self) -> str:
        """A name that changes whenever archives are listed differently."""
        return LISTING if self == PLAIN else f"{LISTING} {self.encoding} {self.columns.path} {self.columns.label}"


@dataclass(slots=True)
class CatalogueMember:
    """A member of an archive, with its image's id or a refusal; with neither if it is not read yet."""

    name: str
    position: int
    id: str | None = None
    refusal: Refusal | None = None
    doubt: str = ""
    """Why the name is uncertain; empty if it is certain."""
    line: LabelLine | None = None
    """The label that the archive itself contains for it."""


PLAIN = Listing()


class Catalogue(MutableMapping[str, list[CatalogueMember]]):
    """The members of each archive, by the archive's MD5, in the archive's order.

    Members read from a file stay in columns until they are accessed; objects would take ten times the memory.
    """

    def __init__(
        self, lists: Mapping[str, list[CatalogueMember]] = MappingProxyType({}), rows: pa.Table = NO_ROWS
    ) -> None:
        """Create it from `lists` and the `rows` of a file, in which the rows of an archive are contiguous."""
        self._lists = dict(lists)
        self._rows, self._slices = rows, _slices(rows["archive"])
        texts = [name for name in ("id", "reason", "detail", "conflict") if name in rows.column_names]
        says = {name: parquet.lengths(rows[name]) > 0 for name in texts}
        self._is_settled = says.pop("id") & ~np.logical_or.reduce(list(says.values()))

    def __getitem__(self, archive: str) -> list[CatalogueMember]:
        if archive in self._slices:
            self[archive] = list(_members(self._rows[self._slices[archive]]))
        return self._lists[archive]

    def __setitem__(self, archive: str, members: list[CatalogueMember]) -> None:
        self._slices.pop(archive, None)
        self._lists[archive] = members

    def __delitem__(self, archive: str) -> None:
        del (self._slices if archive in self._slices else self._lists)[archive]

    def __iter__(self) -> Iterator[str]:
        return iter([*self._lists, *self._slices])  # A copy, because accessing members changes both dictionaries.

    def __contains__(self, archive: object) -> bool:
        return archive in self._lists or archive in self._slices

    def __len__(self) -> int:
        return len(self._lists) + len(self._slices)

    def of(self, archives: Iterable[str]) -> "Catalogue":
        """Return a catalogue restricted to those `archives` that it contains."""
        found = copy(self)
        found._lists, found._slices = dict(self._lists), dict(self._slices)  # noqa: SLF001 (its own class)
        for archive in {*self}.difference(archives):
            del found[archive]
        return found

    def is_in_columns(self, archive: str) -> bool:
        """Whether the members of `archive` are still in columns, not loaded into objects."""
        return archive in self._slices

    def unpack(self, archives: Iterable[str]) -> None:
        """Load the members of `archives` into objects."""
        for archive in self._slices.keys() & set(archives):
            self[archive]

    def is_supported(self, archive: str) -> bool:
        """Whether the format of the known `archive` was supported; if not, another Python version may support it."""
        rows = self._slices.get(archive)
        if rows is not None and rows.stop - rows.start > 1:
            return True
        return [one.refusal and one.refusal.reason for one in self.others(archive)] != [UNSUPPORTED]

    def settled(self, archive: str) -> pa.Table:
        """Return the rows of members that are still in columns, and have an id but no refusal, doubt or conflict."""
        rows = self._slices.get(archive, slice(0))
        chosen = np.flatnonzero(self._is_settled[rows])
        table = self._rows[rows]
        return table if len(chosen) == len(table) else table.take(parquet.column_of(chosen))

    def others(self, archive: str) -> Iterable[CatalogueMember]:
        """Return the archive's remaining members: those that `settled` leaves out."""
        if archive not in self._slices:
            return self._lists[archive]
        rows = self._slices[archive]
        chosen = np.flatnonzero(~self._is_settled[rows])
        return _members(self._rows[rows].take(parquet.column_of(chosen))) if len(chosen) else ()

    def tables(self) -> Iterator[pa.Table]:
        """Yield tables of all rows to be written, sorted by archive."""
        for is_known, archives in groupby(sorted(self), self._slices.__contains__):
            if is_known:
                yield from (self._rows[self._slices[archive]] for archive in archives)
            else:
                yield _table({archive: self._lists[archive] for archive in archives})


def read_catalogue(path: Path = MEMBERS) -> Catalogue:
    """Read the catalogue from the file `path`."""
    return Catalogue(rows=parquet.read_table(path, SCHEMA))


def catalogue_table(catalogue: Mapping[str, list[CatalogueMember]], listing: Listing = PLAIN) -> pa.Table:
    """Return `catalogue` as the table that is written to `MEMBERS`; temporary refusals are left out.

    `listing` is the one with which the archives were listed.
    """
    catalogue = catalogue if isinstance(catalogue, Catalogue) else Catalogue(catalogue)
    tables = list(catalogue.tables())
    has_labels = any(parquet.lengths(table["label"]).any() for table in tables if "label" in table.column_names)
    schema = pa.schema([*SCHEMA, *LISTED]) if has_labels else SCHEMA
    table = pa.concat_tables([parquet.without_rows(schema), *(_of_schema(table, schema) for table in tables)])
    return table.replace_schema_metadata({"listing": listing.name}) if table.num_rows else table


def _slices(archives: pa.ChunkedArray) -> dict[str, slice]:
    """Return the range of rows of each archive in the column `archives`."""
    slices: dict[str, slice] = {}
    start = 0
    for chunk in archives.chunks:
        runs = pc.run_end_encode(chunk, run_end_type=pa.int64())
        ends = [start + end for end in runs.run_ends.to_pylist()]
        for archive, first, end in zip(runs.values.to_pylist(), [start, *ends], ends, strict=False):
            slices[archive] = slice(slices[archive].start if archive in slices else first, end)
        start += len(chunk)
    return slices


def _members(rows: pa.Table) -> Iterator[CatalogueMember]:
    """Yield the members in the `rows` of one archive."""
    columns = (column.to_pylist() for column in rows.drop_columns("archive").columns)
    for position, name, image_id, reason, detail, *listed in zip(*columns, strict=True):
        refusal, doubt = (Refusal(reason, detail), "") if reason else (None, detail)
        line = LabelLine(*listed) if listed and listed[0] else None
        yield CatalogueMember(name, position, image_id or None, refusal, doubt, line)


def _table(catalogue: Mapping[str, list[CatalogueMember]]) -> pa.Table:
    """Return the rows of the archives in `catalogue`, without temporary refusals."""

    def rows() -> Iterator[tuple[str, CatalogueMember]]:
        for archive in catalogue:
            for member in catalogue[archive]:
                if not (member.refusal and member.refusal.is_passing):
                    yield archive, member

    columns = [
        parquet.strings(archive for archive, _ in rows()),
        parquet.integers(member.position for _, member in rows()),
        parquet.strings(member.name for _, member in rows()),
        parquet.strings(member.id or "" for _, member in rows()),
        parquet.strings(member.refusal.reason if member.refusal else "" for _, member in rows()),
        parquet.strings(member.refusal.detail if member.refusal else member.doubt for _, member in rows()),
    ]
    table = pa.Table.from_arrays(columns, schema=SCHEMA)
    if not any(member.line for _, member in rows()):
        return table
    listed = [parquet.strings(getattr(member.line, name, "") for _, member in rows()) for name in LISTED.names]
    return pa.Table.from_arrays([*table.columns, *listed], schema=pa.schema([*SCHEMA, *LISTED]))


def _of_schema(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return `table` with exactly the columns of `schema`, without metadata."""
    columns = [table[name] if name in table.column_names else parquet.blank(len(table)) for name in schema.names]
    return pa.Table.from_arrays(columns, schema=schema)


def is_current(listing: Listing, path: Path = MEMBERS) -> bool:
    """Whether the archives in the file `path` were listed as they would be now, with `listing`."""
    if not path.exists():
        return True
    metadata = pq.read_metadata(path)
    return not metadata.num_rows or (metadata.metadata or {}).get(b"listing") == listing.name.encode()
