"""Three versions of labels.csv into one, row by row: what Git does with lines, done with what each says of a path.

A row that only one side added, changed or removed is as that side has it. Of a row that both changed, each cell is
merged likewise; two values for one cell are a conflict, never a guess. Rows keep the order of ours, since of two globs
the later one counts; what only theirs has comes after them.
"""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import NamedTuple
from unicodedata import normalize

from pipeline.commands.merge.listings import Conflict, Side
from pipeline.ingestion.labelling.labels import LABELS
from pipeline.text import csv_text

Row = dict[str, str]
Rows = dict[str, Row]
"""The cells that are not empty, by column, of each path."""


class MergedLabels(NamedTuple):
    """What comes of it."""

    content: bytes
    conflicts: list[Conflict]
    """In the order of the rows. Without a side to take these are as ours has them."""


class Table(NamedTuple):
    """A version of labels.csv."""

    columns: list[str]
    rows: Rows

    @classmethod
    def parse(cls, content: bytes) -> "Table":
        """The version `content`; of several rows of one path the last one counts, as everywhere.

        Raises:
            ValueError: it is not a CSV file in UTF-8 with the columns `path` and `label`.
        """
        try:
            lines = list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True))
        except csv.Error as error:
            raise ValueError(str(error)) from None
        columns, *cells = lines or [[]]
        if not {"path", "label"} <= set(columns) or len(set(columns)) < len(columns):
            raise ValueError("no columns path and label, or one of them twice")
        if any(len(row) > len(columns) for row in cells):
            raise ValueError("a row has more cells than there are columns")
        rows = [dict(zip(columns, row, strict=False)) for row in cells if row]
        return cls(columns, {normalize("NFC", row["path"]): _filled(row) for row in rows})


def merge_labels(ancestor: bytes, ours: bytes, theirs: bytes, *, take: Side | None = None) -> MergedLabels:
    """`ours` and `theirs`, which came from `ancestor`, as one; `take` says who is right where both changed a cell.

    Raises:
        ValueError: one of them cannot be read; `ancestor` may be empty.
    """
    before = Table.parse(ancestor) if ancestor else Table([], {})
    here, there = Table.parse(ours), Table.parse(theirs)
    columns = list(dict.fromkeys([*here.columns, *there.columns]))
    rows: list[Row] = []
    conflicts: list[Conflict] = []
    for path in dict.fromkeys([*here.rows, *there.rows]):
        versions = _Versions(before.rows.get(path), here.rows.get(path), there.rows.get(path))
        disputed = versions.disputed(columns)
        if disputed:
            conflicts.append(Conflict(LABELS, f"changed here and there: {path} {versions.said(disputed[0])}"))
        row = versions.merged(columns, disputed, take)
        rows += [row] if row else []
    return MergedLabels(_written(columns, rows), conflicts)


class _Versions(NamedTuple):
    """A row in the ancestor and on both sides, None where it is not there."""

    was: Row | None
    here: Row | None
    there: Row | None

    def disputed(self, columns: Sequence[str]) -> list[str]:
        """The columns in which both sides have changed it, and not alike; `label` where one of them removed it."""
        if self.there in (self.was, self.here) or self.here == self.was:
            return []
        if self.here is None or self.there is None:
            return ["label"]
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

    def said(self, column: str) -> str:
        """What either side has in `column`."""
        here, there = (
            "removed" if row is None else f"{'' if column == 'label' else f'of {column} '}{_cell(row, column)!r}"
            for row in (self.here, self.there)
        )
        return f"is {here} here and {there} there"


def _differ(was: str, here: str, there: str) -> bool:
    return here != there and was not in (here, there)


def _cell(row: Row | None, column: str) -> str:
    return (row or {}).get(column, "")


def _filled(row: Row) -> Row:
    return {column: cell for column, cell in row.items() if cell}


def _written(columns: Sequence[str], rows: Iterable[Row]) -> bytes:
    return csv_text([columns, *([row.get(column, "") for column in columns] for row in rows)]).encode()
