"""Merges three versions of labels.csv as Git merges lines, but row by row.

A row that only one side added, changed or removed is taken from that side. A row that both sides changed is merged cell
by cell by the same rule; two values for one cell are a conflict, never a guess. Rows keep the order of ours, since the
later one of two globs counts; rows that only theirs has follow. The file keeps the encoding, delimiter, line ends and
column names of ours, but not blanks around cells or duplicate rows.
"""

import json
from collections.abc import Sequence
from io import BytesIO
from typing import NamedTuple

from pipeline.commands.merge.listings import Conflict, Side
from pipeline.errors import ImagesError
from pipeline.ingestion.labelling.dialects import Dialect
from pipeline.ingestion.labelling.image_paths import plain_path
from pipeline.ingestion.labelling.label_files import LABELS, USUAL
from pipeline.ingestion.labelling.label_tables import Columns, LabelRow, LabelTable

Row = dict[str, str]
Rows = dict[str, Row]
"""The non-empty cells by column, for each image or glob."""


class MergedLabels(NamedTuple):
    """The result of a merge."""

    content: bytes
    conflicts: list[Conflict]
    """In the order of the rows. `content` has such rows as in ours, unless a side was to be taken."""


class Table(NamedTuple):
    """A version of labels.csv."""

    columns: dict[str, str]
    """The columns' names as written, by their keys; the keys of paths and labels are the names in `ingest.columns`."""
    rows: Rows
    dialect: Dialect = Dialect()

    @classmethod
    def parse(cls, content: bytes, columns: Columns = USUAL) -> "Table":
        """Parse the version `content`.

        Raises:
            ValueError: it cannot be read, or has two labels for one image.
        """
        try:
            table = LabelTable(LABELS, BytesIO(content), columns)
            rows = list(table.rows())
        except ImagesError as error:
            raise ValueError(str(error)) from None
        if not table.names:
            raise ValueError("it is empty")
        names = list(table.names)
        names[table.path], names[table.label] = columns
        called = {name: as_written for name, as_written in zip(names, table.names, strict=True) if name}
        return cls(called, _by_image(rows, columns), table.dialect)


def merge_labels(
    ancestor: bytes, ours: bytes, theirs: bytes, *, take: Side | None = None, columns: Columns = USUAL
) -> MergedLabels:
    """Merge `ours` and `theirs`, which derive from `ancestor`; `take` is the side that wins where both changed a cell.

    Raises:
        ValueError: one of them cannot be read; `ancestor` may be empty.
    """
    before = Table.parse(ancestor, columns) if ancestor else Table({}, {})
    here, there = Table.parse(ours, columns), Table.parse(theirs, columns)
    names = here.columns | {name: called for name, called in there.columns.items() if name not in here.columns}
    cells = [name for name in names if name != columns.path]
    rows: list[Row] = []
    conflicts: list[Conflict] = []
    for path in dict.fromkeys([*here.rows, *there.rows]):
        versions = _Versions(before.rows.get(path), here.rows.get(path), there.rows.get(path))
        disputed = versions.disputed(cells, columns.label)
        if disputed:
            what = versions.said(disputed[0], "" if disputed[0] == columns.label else f"of {disputed[0]} ")
            conflicts.append(Conflict(LABELS, f"changed here and there: {path} {what}"))
        row = versions.merged(cells, disputed, take)
        if row:
            rows.append({columns.path: _spelt(versions, columns.path), **row})
    written = here.dialect.written([list(names.values()), *([row.get(name, "") for name in names] for row in rows)])
    return MergedLabels(written, conflicts)


def _by_image(rows: Sequence[LabelRow], columns: Columns) -> Rows:
    """Return the cells of `rows`, by the image or the glob that each row names.

    Raises:
        ValueError: two rows have different labels for one image.
    """
    found: Rows = {}
    for _, path, line in rows:
        further = json.loads(line.attributes) if line.attributes else {}
        row = {**further, columns.path: path.strip(), columns.label: line.label}
        if found.setdefault(plain_path(path), row)[columns.label] != line.label:
            raise ValueError(f"two labels for {path}")
        found[plain_path(path)] = row
    return found


def _spelt(versions: "_Versions", column: str) -> str:
    """Return the path of a row as written, on our side if it is there."""
    return _cell(versions.here, column) or _cell(versions.there, column)


class _Versions(NamedTuple):
    """A row in the ancestor and on both sides; None where it does not exist."""

    was: Row | None
    here: Row | None
    there: Row | None

    def disputed(self, columns: Sequence[str], label: str) -> list[str]:
        """Return the columns that both sides changed differently; only `label` where one side removed the row."""
        if self.there in (self.was, self.here) or self.here == self.was:
            return []
        if self.here is None or self.there is None:
            return [label]
        return [column for column in columns if _differ(*(_cell(row, column) for row in self))]

    def merged(self, columns: Sequence[str], disputed: Sequence[str], take: Side | None) -> Row | None:
        """Return the merged row, None if it is removed; `disputed` columns are taken from the side `take`."""
        winner = self.there if take == "theirs" else self.here
        if self.here is None or self.there is None:
            return winner if disputed else self.there if self.here == self.was else self.here
        row = {}
        for column in columns:
            was, here, there = (_cell(one, column) for one in self)
            row[column] = _cell(winner, column) if column in disputed else there if here == was else here
        return _filled(row)

    def said(self, column: str, of: str) -> str:
        """Describe what each side has in `column`; `of` introduces the values."""
        here, there = ("removed" if row is None else f"{of}{_cell(row, column)!r}" for row in (self.here, self.there))
        return f"is {here} here and {there} there"


def _differ(was: str, here: str, there: str) -> bool:
    return here != there and was not in (here, there)


def _cell(row: Row | None, column: str) -> str:
    return (row or {}).get(column, "")


def _filled(row: Row) -> Row:
    return {column: cell for column, cell in row.items() if cell}
