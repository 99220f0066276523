"""data/images/members.parquet: what each archive in data/raw holds, by the archive's own hash.

So an archive is read once, and renaming it costs nothing.
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
        "member": pa.string(),  # empty where the row speaks of the archive as a whole
        "id": pa.string(),  # empty where the member could not be read
        "reason": pa.string(),  # why not, else empty
        "detail": pa.string(),  # beside a reason; without one, what is not certain of the member's name
    }
)
NO_ROWS = parquet.without_rows(SCHEMA)
# Further ones, where an archive has files of labels.
LISTED = pa.schema({name: pa.string() for name in LabelLine._fields})
# To be raised whenever archives are listed otherwise: those that are here are listed again then, and not decoded again.
LISTING = "3"
UNSUPPORTED, UNUSABLE_LABELS = "unsupported archive", "unusable labels"
# A member that is no image, and no reason to complain.
LABEL_FILE = Refusal("file of labels", "says what the labels of other members are")


class Listing(NamedTuple):
    """How archives are listed: what `ingest` says of it."""

    encoding: str = USUAL
    """Of names in zips that do not say it."""
    columns: Columns = Columns()
    """Of files of labels in them."""

    @classmethod
    def of(cls, params: Ingest) -> Self:
        """That of `params`."""
        return cls(params.encoding, Columns(**params.columns))

    @property
    def name(self) -> str:
        """Another one where archives are listed otherwise."""
        return LISTING if self == PLAIN else f"{LISTING} {self.encoding} {self.columns.path} {self.columns.label}"


@dataclass(slots=True)
class CatalogueMember:
    """A member of an archive: its image's id, or why there is none; neither as long as it is unread."""

    name: str
    position: int
    id: str | None = None
    refusal: Refusal | None = None
    doubt: str = ""
    """What is not certain of its name."""
    line: LabelLine | None = None
    """What the archive says itself of its label."""


PLAIN = Listing()


class Catalogue(MutableMapping[str, list[CatalogueMember]]):
    """The members of each archive, by the archive's MD5, in the archive's order.

    What was read from a file stays in columns until somebody asks for it; an object each would take ten times as much.
    """

    def __init__(
        self, lists: Mapping[str, list[CatalogueMember]] = MappingProxyType({}), rows: pa.Table = NO_ROWS
    ) -> None:
        """`rows` are those of a file, in which an archive's lie together."""
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
        return iter([*self._lists, *self._slices])  # Who asks for members changes both.

    def __contains__(self, archive: object) -> bool:
        return archive in self._lists or archive in self._slices

    def __len__(self) -> int:
        return len(self._lists) + len(self._slices)

    def of(self, archives: Iterable[str]) -> "Catalogue":
        """Those of these `archives` that are known."""
        found = copy(self)
        found._lists, found._slices = dict(self._lists), dict(self._slices)  # noqa: SLF001 (its own class)
        for archive in {*self}.difference(archives):
            del found[archive]
        return found

    def is_in_columns(self, archive: str) -> bool:
        """Whether nobody has asked for its members yet."""
        return archive in self._slices

    def unpack(self, archives: Iterable[str]) -> None:
        """Ask for those of these `archives`."""
        for archive in self._slices.keys() & set(archives):
            self[archive]

    def is_supported(self, archive: str) -> bool:
        """Whether the `archive`, which is known, could be read; if not, another Python may read it."""
        rows = self._slices.get(archive)
        if rows is not None and rows.stop - rows.start > 1:
            return True
        return [one.refusal and one.refusal.reason for one in self.others(archive)] != [UNSUPPORTED]

    def settled(self, archive: str) -> pa.Table:
        """Of its members in columns those that have an id, of which nothing is said but what labels certainly say."""
        rows = self._slices.get(archive, slice(0))
        chosen = np.flatnonzero(self._is_settled[rows])
        table = self._rows[rows]
        return table if len(chosen) == len(table) else table.take(parquet.column_of(chosen))

    def others(self, archive: str) -> Iterable[CatalogueMember]:
        """All other members."""
        if archive not in self._slices:
            return self._lists[archive]
        rows = self._slices[archive]
        chosen = np.flatnonzero(~self._is_settled[rows])
        return _members(self._rows[rows].take(parquet.column_of(chosen))) if len(chosen) else ()

    def tables(self) -> Iterator[pa.Table]:
        """All that is to be written, sorted by archive."""
        for is_known, archives in groupby(sorted(self), self._slices.__contains__):
            if is_known:
                yield from (self._rows[self._slices[archive]] for archive in archives)
            else:
                yield _table({archive: self._lists[archive] for archive in archives})


def read_catalogue(path: Path = MEMBERS) -> Catalogue:
    """What the file `path` says of archives."""
    return Catalogue(rows=parquet.read_table(path, SCHEMA))


def catalogue_table(catalogue: Mapping[str, list[CatalogueMember]], listing: Listing = PLAIN) -> pa.Table:
    """`catalogue` as it is written to `MEMBERS`; an archive that could not be opened this time is left out.

    `listing` is how its archives were listed.
    """
    catalogue = catalogue if isinstance(catalogue, Catalogue) else Catalogue(catalogue)
    tables = list(catalogue.tables())
    has_labels = any(parquet.lengths(table["label"]).any() for table in tables if "label" in table.column_names)
    schema = pa.schema([*SCHEMA, *LISTED]) if has_labels else SCHEMA
    table = pa.concat_tables([parquet.without_rows(schema), *(_of_schema(table, schema) for table in tables)])
    return table.replace_schema_metadata({"listing": listing.name}) if table.num_rows else table


def _slices(archives: pa.ChunkedArray) -> dict[str, slice]:
    """The rows of each of the `archives`."""
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
    """What `rows` of one archive say."""
    columns = (column.to_pylist() for column in rows.drop_columns("archive").columns)
    for position, name, image_id, reason, detail, *listed in zip(*columns, strict=True):
        refusal, doubt = (Refusal(reason, detail), "") if reason else (None, detail)
        line = LabelLine(*listed) if listed and listed[0] else None
        yield CatalogueMember(name, position, image_id or None, refusal, doubt, line)


def _table(catalogue: Mapping[str, list[CatalogueMember]]) -> pa.Table:
    """The rows of some archives."""

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
    """`table` with all columns of `schema` and no other, without metadata."""
    columns = [table[name] if name in table.column_names else parquet.blank(len(table)) for name in schema.names]
    return pa.Table.from_arrays(columns, schema=schema)


def is_current(listing: Listing, path: Path = MEMBERS) -> bool:
    """Whether the archives that `path` knows were listed as they would be now, by `listing`."""
    if not path.exists():
        return True
    metadata = pq.read_metadata(path)
    return not metadata.num_rows or (metadata.metadata or {}).get(b"listing") == listing.name.encode()
