"""Tables in Parquet files and columns of Arrow, without pandas, whose import takes longer than ingest does."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import paths
from pipeline.files import put

# Arrow's own pool keeps much of what it was once given.
pa.set_memory_pool(pa.system_memory_pool())


# Rows that are written at a time, which bounds what writing takes of memory.
ROWS = 2**13


# A column of text that grows by `append`. `pa.array` would import pandas, which takes longer than all that ingest does
# when there is nothing new.
Strings = pa.lib.StringBuilder


def strings(values: Iterable[str | None]) -> pa.StringArray:
    """`values` as a column, without pandas; they are taken one by one."""
    column = Strings()
    for value in values:
        column.append(value)
    return column.finish()


def integers(values: Iterable[int]) -> pa.Int32Array:
    """`values` as a column of 32 bits each, likewise."""
    data = np.fromiter(values, np.int32)
    return pa.Array.from_buffers(pa.int32(), len(data), [None, pa.py_buffer(data)])


def hexadecimal(data: bytes, size: int) -> pa.StringArray:
    """A column of the values in `data`, of `size` bytes each, in hexadecimal."""
    text = pa.py_buffer(data.hex().encode())
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(2 * size), len(data) // size, [None, text]).cast(pa.string())


def numbers(table: pa.Table, column: str) -> npt.NDArray[np.integer[Any]]:
    """The column of integers as an array of the same width, shape (rows,), not to be written to."""
    dtype = np.dtype(str(table.schema.field(column).type))
    chunks = [np.frombuffer(chunk.buffers()[1], dtype)[chunk.offset :][: len(chunk)] for chunk in table[column].chunks]
    return np.concatenate([np.empty(0, dtype), *chunks])


def read_table(path: Path, schema: pa.Schema, columns: list[str] | None = None) -> pa.Table:
    """The table in the Parquet file `path`, or an empty one of `schema` where there is no such file."""
    if not path.exists():
        return schema.empty_table() if columns is None else schema.empty_table().select(columns)
    # Not `pq.read_table`, which imports pandas.
    with pq.ParquetFile(path) as file:
        return file.read(columns)


def write_table(table: pa.Table, path: Path) -> None:
    """Write `table` to `path` in one step, unless that is what `path` holds already.

    Parquet's bytes change with the version of pyarrow; a file that says the same is left as it is.
    """
    if path.exists() and _holds(path, table):
        return
    aside = paths.PROGRESS / path.name
    aside.parent.mkdir(parents=True, exist_ok=True)
    pa.default_memory_pool().release_unused()  # Before writing takes its own.
    # Most columns have a different value in each row, of which a dictionary would be another copy.
    pq.write_table(table, aside, compression="zstd", use_dictionary=["label", "attributes"], row_group_size=ROWS)
    put(aside, path)


def _holds(path: Path, table: pa.Table) -> bool:
    with pq.ParquetFile(path) as file:  # Its number of rows costs nothing to read.
        return file.metadata.num_rows == table.num_rows and bool(file.read().equals(table, check_metadata=True))
