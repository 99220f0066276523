"""Writes tables as CSV, many lines at a time, with the same bytes as Python's csv module."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline import parquet
from pipeline.text import csv_text

# Rows per block, which bounds memory.
ROWS = 2**16
# A cell with one of these characters is quoted.
SPECIAL = b',"\r\n'


def write_csv(path: Path, table: pa.Table, chosen: npt.NDArray[np.bool_] | None = None) -> None:
    """Write the `chosen` rows of `table`, or all of them, as UTF-8 CSV; a null becomes an empty cell.

    `table` has at least two columns of text.
    """
    with path.open("wb") as file:
        file.write(csv_text([table.column_names]).encode())
        past = 0
        for part in table.to_batches(max_chunksize=ROWS):
            batch = part if chosen is None else part.filter(pa.array(chosen[past : past + len(part)]))
            past += len(part)
            if not len(batch):
                continue
            cells = [_cells(column) for column in batch.columns]
            cells[-1] = pc.binary_join_element_wise(cells[-1], "\n", "")
            lines = pc.binary_join_element_wise(*cells, ",")
            file.write(lines.buffers()[2])


def _cells(column: pa.Array) -> Any:
    """Return the cells of `column`, quoted where necessary."""
    column = column.cast(pa.string()).fill_null("")
    if not _is_special(column):
        return column
    special = pc.match_substring_regex(column, f"[{SPECIAL.decode()}]")
    doubled = pc.replace_substring(column.filter(special), '"', '""')
    return pc.replace_with_mask(column, special, pc.binary_join_element_wise('"', doubled, '"', ""))


def _is_special(column: pa.StringArray) -> bool:
    """Whether any cell may contain a character of `SPECIAL`; searching all bytes at once takes a tenth of the time."""
    text = parquet.characters(column)
    return any(char in text for char in SPECIAL)
