"""Finds the label of an image among the rows of label files, which contain names and globs."""

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from glob import escape
from posixpath import splitext

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline import parquet
from pipeline.ids import Rows
from pipeline.ingestion.labelling.globs import Globs, is_glob
from pipeline.ingestion.labelling.image_paths import may_be_odd, plain_path
from pipeline.ingestion.labelling.label_tables import LabelLine, LabelRow

# Special row numbers: no row matches the source; `find` has to decide.
NO_ROW, UNCLEAR = -1, -2
# The number of sources processed at a time.
BLOCK = 2**17


class LabelIndex:
    """The rows of label files that have equal precedence.

    A name overrides a glob, and a later glob overrides an earlier one, as in .gitignore. Two rows that name the same
    image and give it different labels are a conflict. A row that looks like a glob, or like another spelling of a name,
    but is exactly the name of a source given to `settle`, matches that source alone.
    """

    def __init__(self, *, bare: bool = False) -> None:
        """Create an empty index; `bare` allows names without the suffix of the image file."""
        self._bare = bare
        self._numbers, self._paths, self._lines = array("L"), list[str](), list[LabelLine]()
        # The first row of each file, and the file's name in messages.
        self._starts, self._files = list[int](), list[str]()
        # The last row of each name, and for each row the previous one of the same name.
        self._last: dict[str, int] = {}
        self._before: dict[int, int] = {}
        # Paths of rows that are not in canonical form, and those of them that are names of sources.
        self._respelt: set[str] = set()
        self._real: set[str] = set()
        # The rows that are globs, each with the length of its prefix that is a folder's literal name.
        self._patterns: dict[int, tuple[str, int]] = {}
        self._globs = Globs([])
        self._used = bytearray()
        self._clashes: dict[tuple[int, int], tuple[str, str]] = {}

    def __len__(self) -> int:
        return len(self._paths)

    def add(self, file: str, rows: Iterable[LabelRow], *, below: str = "") -> None:
        """Add the `rows` of `file`, whose paths are relative to the folder `below`."""
        self._starts.append(len(self._paths))
        self._files.append(file)
        last, above = self._last, f"{below}/" if below else ""
        for at, (number, written, line) in enumerate(rows, len(self._paths)):
            path = above + written
            name = plain_path(above + plain_path(written)) if above else plain_path(path)
            self._numbers.append(number)
            self._paths.append(path)
            self._lines.append(line)
            if name != path:
                self._respelt.add(path)
            if name in last:
                self._before[at] = last[name]
            last[name] = at
            if is_glob(written):
                self._patterns[at] = name, len(plain_path(above))
        self._used += bytes(len(self._paths) - len(self._used))
        self._globs = self._compiled()

    @property
    def is_unsettled(self) -> bool:
        """Whether `settle` is needed: some rows look like globs or are not in canonical form."""
        return bool(self._patterns or self._respelt)

    def settle(self, sources: Iterable[str]) -> None:
        """Let each row that is exactly the name of a source, such as `cat/img [1].png`, match that source alone."""
        if not self.is_unsettled:
            return
        patterns = {name for name, _ in self._patterns.values()}
        names = set()
        for source in sources:
            if source in self._respelt:
                self._real.add(source)
            if patterns and (name := plain_path(source)) in patterns:
                names.add(name)
        if names:
            self._patterns = {at: one for at, one in self._patterns.items() if one[0] not in names}
            self._globs = self._compiled()

    def find(self, source: str) -> LabelLine | None:
        """Return the line for the image `source`, or None if no row matches it."""
        name = source
        if (at := self._last.get(name)) is None:
            name = plain_path(source)
            at = self._last.get(name)
        if at is not None and (at in self._before or self._real):
            return self._of_several(source, list(self._named_like(source, at)))
        if at is None and (at := self._alike(name, source)) is None:
            return None
        self._used[at] = 1
        return self._lines[at]

    def rows_of(self, sources: pa.ChunkedArray) -> Rows:
        """Return the row of the line that `find` returns, for each of many `sources`; shape (len(sources),).

        `NO_ROW` if no row matches, `UNCLEAR` if `find` has to decide. `settle` must have been called with all sources.
        """
        rows = self._rows_named(sources)
        others = np.flatnonzero(rows == NO_ROW) if self else rows[:0]
        for start in range(0, len(others), BLOCK):
            block = others[start : start + BLOCK]
            rows[block] = [self._row_alike(name) for name in sources.take(parquet.column_of(block)).to_pylist()]
        np.frombuffer(self._used, np.uint8)[rows[rows >= 0]] = 1
        return rows

    def _row_alike(self, source: str) -> int:
        """Return the row that matches `source` other than by its exact name, `NO_ROW` or `UNCLEAR`."""
        if may_be_odd(source):
            return UNCLEAR
        at = self._alike(source, source)
        return NO_ROW if at is None else at

    def _alike(self, name: str, source: str) -> int | None:
        """Return the last row whose glob matches `name`, else the row of `name` without suffix if `bare`, else None."""
        at = self._matched(name, source) if self._patterns else None
        return self._last.get(splitext(name)[0]) if at is None and self._bare else at

    def _rows_named(self, names: pa.ChunkedArray) -> Rows:
        """Return the row with the exact name of each of `names`, `NO_ROW` or `UNCLEAR`."""
        at = np.array([*self._last.values(), NO_ROW])
        for number, name in enumerate(self._last):
            if at[number] in self._patterns or at[number] in self._before or self._paths[at[number]] != name:
                at[number] = UNCLEAR
        found: Rows = at[parquet.values(pc.index_in(names, parquet.strings(self._last)).fill_null(len(self._last)))]
        return found

    def lines(self) -> pa.Table:
        """Return a table with the `label` and the `attributes` of each row."""
        columns = [parquet.strings(getattr(line, name) for line in self._lines) for name in ("label", "attributes")]
        return pa.Table.from_arrays(columns, ["label", "attributes"])

    @property
    def unused(self) -> list[str]:
        """The paths of the rows that have matched no image so far."""
        return [path for at, path in enumerate(self._paths) if not self._used[at]]

    @property
    def clashes(self) -> list[str]:
        """A message for each pair of rows that gave the same image different labels so far, with the consequence."""
        found = sorted(self._clashes.items())
        return [f"{self._said(one, other, source)}; {then}" for (one, other), (source, then) in found]

    def _compiled(self) -> Globs:
        return Globs((escape(name[:end]) + name[end:], at) for at, (name, end) in self._patterns.items())

    def _named_like(self, source: str, at: int | None) -> Iterator[int]:
        """Yield the row `at` and the earlier rows of the same name, except those that do not apply to `source`."""
        is_own = source in self._real
        while at is not None:
            path = self._paths[at]
            if path == source if is_own else path not in self._real:
                yield at
            at = self._before.get(at)

    def _of_several(self, source: str, rows: list[int]) -> LabelLine | None:
        """Return the line that `rows`, the last one first, give `source` by name; with a conflict if they disagree."""
        for at in rows:
            self._used[at] = 1
        if not rows:
            return None
        line = self._lines[rows[0]]
        other = next((at for at in rows if self._lines[at].label != line.label), None)
        if other is None:
            return line
        self._clash(other, rows[0], source, "the image is refused; leave one of the lines")
        return line._replace(conflict=self._said(other, rows[0], "it"))

    def _matched(self, name: str, source: str) -> int | None:
        """Return the last row whose glob matches `name`, or None; note clashes with earlier ones."""
        matching = self._globs.matching(name)
        for other in matching[:-1]:
            self._used[other] = 1
            if self._lines[other].label != self._lines[matching[-1]].label:
                self._clash(other, matching[-1], source, "the later line counts")
        return matching[-1] if matching else None

    def _clash(self, one: int, other: int, source: str, then: str) -> None:
        """Note that two rows disagree about `source`; the first such source by name is kept for the message."""
        self._clashes[one, other] = min(self._clashes.get((one, other), (source, then)), (source, then))

    def _said(self, one: int, other: int, source: str) -> str:
        """Return the message that the rows `one` and `other` give `source` different labels."""
        first, second = (self._files[bisect_right(self._starts, at) - 1] for at in (one, other))
        numbers = self._numbers[one], self._numbers[other]
        where = f"line {numbers[0]} of {first} and line {numbers[1]} of {second}"
        where = f"{first}: lines {numbers[0]} and {numbers[1]}" if first == second else where
        return f"{where} give {source} different labels, {self._lines[one].label} and {self._lines[other].label}"
