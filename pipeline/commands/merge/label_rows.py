"""Three versions of labels.csv into one, row by row: what Git does with lines, done with what each says of a path.

A row that only one side added, changed or removed is as that side has it. Of a row that both changed, each cell is
merged likewise; two values for one cell are a conflict, never a guess. Rows keep the order of ours, since of two globs
the later one counts; what only theirs has comes after them. The file is written as ours is: encoding, delimiter, ends
of lines and names of columns are kept; blanks around cells, and rows that are there twice, are not.
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
"""The cells that are not empty, by column, of each image or glob."""


class MergedLabels(NamedTuple):
    """What comes of it."""

    content: bytes
    conflicts: list[Conflict]
    """In the order of the rows. Without a side to take these are as ours has them."""


class Table(NamedTuple):
    """A version of labels.csv."""

    columns: dict[str, str]
    """How each column is called in it, by its name; those of paths and labels are named as `ingest.columns` says."""
    rows: Rows
    dialect: Dialect = Dialect()

    @classmethod
    def parse(cls, content: bytes, columns: Columns = USUAL) -> "Table":
        """The version `content`.

        Raises:
            ValueError: it cannot be read, or gives one image two labels.
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
    """`ours` and `theirs`, which came from `ancestor`, as one; `take` says who is right where both changed a cell.

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
    """The cells of `rows`, by the image or the glob that each of them names.

    Raises:
        ValueError: two of them give one image two labels.
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
    """How the path of a row is written, on our side first."""
    return _cell(versions.here, column) or _cell(versions.there, column)


class _Versions(NamedTuple):
    """A row in the ancestor and on both sides, None where it is not there."""

    was: Row | None
    here: Row | None
    there: Row | None

    def disputed(self, columns: Sequence[str], label: str) -> list[str]:
        """The columns in which both sides have changed it, and not alike; `label` where one of them removed it."""
        if self.there in (self.was, self.here) or self.here == self.was:
            return []
        if self.here is None or self.there is None:
            return [label]
        return [column for column in columns if _differ(*(_cell(row, column) for row in self))]

    def merged(self, columns: Sequence[str], disputed: Sequence[str], take: Side | None) -> Row | None:
        """What comes of it, None where it goes; `disputed` columns are those of the side to `take`."""
        winner = self.there if take == "theirs" else self.here
        if self.here is None or self.there is None:
            return winner if disputed else self.there if self.here == self.was else self.here
        row = {}
        for column in columns:
            was, here, there = (_cell(one, column) for one in self)
            row[column] = _cell(winner, column) if column in disputed else there if here == was else here
        return _filled(row)

    def said(self, column: str, of: str) -> str:
        """What either side has in `column`, which is named by `of`."""
        here, there = ("removed" if row is None else f"{of}{_cell(row, column)!r}" for row in (self.here, self.there))
        return f"is {here} here and {there} there"


def _differ(was: str, here: str, there: str) -> bool:
    return here != there and was not in (here, there)


def _cell(row: Row | None, column: str) -> str:
    return (row or {}).get(column, "")


def _filled(row: Row) -> Row:
    return {column: cell for column, cell in row.items() if cell}
