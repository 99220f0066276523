"""Parquet files and Arrow columns without importing pandas, whose import takes longer than a small ingest."""

from binascii import unhexlify
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import paths
from pipeline.files import put

# Arrow's default pool returns little of its memory to the system.
pa.set_memory_pool(pa.system_memory_pool())


# Rows per written block, which bounds memory.
ROWS = 2**13
# Average length of runs from which slicing a table is cheaper than copying its rows.
RUN = 2**9


# Builds a column of text by `append`; `pa.array` would import pandas.
Strings = pa.lib.StringBuilder


def strings(values: Iterable[str | None]) -> pa.StringArray:
    """Build a column of text from `values`, one value at a time."""
    column = Strings()
    for value in values:
        column.append(value)
    return column.finish()


def without_rows(schema: pa.Schema) -> pa.Table:
    """Build an empty table of `schema`."""
    return pa.Table.from_batches([], schema)


def blank(count: int) -> pa.StringArray:
    """Build a column of `count` empty texts."""
    return pa.StringArray.from_buffers(count, pa.py_buffer(np.zeros(count + 1, np.int32)), pa.py_buffer(b""))


def integers(values: Iterable[int]) -> pa.Int32Array:
    """Build a column of 32-bit integers from `values`."""
    data = np.fromiter(values, np.int32)
    return pa.Array.from_buffers(pa.int32(), len(data), [None, pa.py_buffer(data)])


def column_of(values: npt.NDArray[np.integer[Any]]) -> pa.Array:
    """Build a column of the same type from `values`, shape (rows,)."""
    data = np.ascontiguousarray(values)
    return pa.Array.from_buffers(pa.type_for_alias(data.dtype.name), len(data), [None, pa.py_buffer(data)])


def hexadecimal(data: bytes, size: int) -> pa.StringArray:
    """Build a column of hexadecimal texts from `data`, which has `size` bytes per value."""
    text = pa.py_buffer(data.hex().encode())
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(2 * size), len(data) // size, [None, text]).cast(pa.string())


def packed(column: pa.ChunkedArray | pa.StringArray) -> bytes:
    """Return the bytes that the hexadecimal texts of a `column` encode, without separators."""
    return b"".join(unhexlify(_characters(chunk)) for chunk in _chunks(column) if len(chunk))


def characters(column: pa.ChunkedArray | pa.StringArray) -> bytes:
    """Return the UTF-8 bytes of all texts of a `column`, without separators."""
    return b"".join(_characters(chunk) for chunk in _chunks(column) if len(chunk))


def _characters(texts: pa.StringArray) -> memoryview:
    ends = np.frombuffer(texts.buffers()[1], np.int32)
    return memoryview(texts.buffers()[2] or b"")[ends[texts.offset] : ends[texts.offset + len(texts)]]


def _chunks(column: pa.ChunkedArray | pa.Array) -> list[pa.Array]:
    return column.chunks if isinstance(column, pa.ChunkedArray) else [column]


def lengths(column: pa.ChunkedArray) -> npt.NDArray[np.int32]:
    """Return the length of each text of a `column` in bytes, shape (rows,)."""
    chunks = [chunk for chunk in column.chunks if len(chunk)]
    ends = (np.frombuffer(chunk.buffers()[1], np.int32)[chunk.offset :][: len(chunk) + 1] for chunk in chunks)
    return np.concatenate([np.empty(0, np.int32), *map(np.diff, ends)])


def numbers(table: pa.Table, column: str) -> npt.NDArray[np.integer[Any]]:
    """Return a column of integers as a read-only array of the same type, shape (rows,)."""
    return values(table[column])


def values(column: pa.ChunkedArray | pa.Array) -> npt.NDArray[np.integer[Any]]:
    """Return the integers of `column` as a read-only array of the same type, shape (rows,)."""
    dtype = np.dtype(str(column.type))
    found = [np.frombuffer(c.buffers()[1], dtype)[c.offset :][: len(c)] for c in _chunks(column) if len(c)]
    return found[0] if len(found) == 1 else np.concatenate([np.empty(0, dtype), *found])


def rows_at(table: pa.Table, rows: npt.NDArray[np.integer[Any]]) -> pa.Table:
    """Select `rows` of `table` in the given order; long runs of consecutive rows are sliced, not copied."""
    starts = np.flatnonzero(np.diff(rows, prepend=-2) != 1)
    if len(starts) * RUN > len(rows):
        return table.take(column_of(rows))
    runs = zip(rows[starts].tolist(), np.diff(starts, append=len(rows)).tolist(), strict=True)
    return pa.concat_tables([table.slice(0, 0), *(table.slice(row, count) for row, count in runs)])


def read_table(path: Path, schema: pa.Schema, columns: list[str] | None = None) -> pa.Table:
    """Read the Parquet file `path`; an empty table of `schema` if there is no such file."""
    if not path.exists():
        return without_rows(schema) if columns is None else without_rows(schema).select(columns)
    # `pq.read_table` would import pandas.
    with pq.ParquetFile(path) as file:
        return file.read(columns)


def write_tables(tables: Mapping[Path, pa.Table]) -> None:
    """Write each table to its path; the files are replaced one after another, in order.

    A file of equal content is kept, since Parquet's bytes change with the version of pyarrow.
    """
    with ThreadPoolExecutor(len(tables)) as pool:  # Arrow encodes each file on one core.
        written = list(pool.map(_write_aside, tables.values(), tables))
    for path, aside in zip(tables, written, strict=True):
        if aside is not None:
            put(aside, path)


def _write_aside(table: pa.Table, path: Path) -> Path | None:
    """Write `table` to a temporary file that is to replace `path`; None if `path` has that content already."""
    if path.exists() and _holds(path, table):
        return None
    aside = paths.PROGRESS / path.name
    aside.parent.mkdir(parents=True, exist_ok=True)
    # In the other columns most values are distinct, so that a dictionary would only be a second copy.
    with pq.ParquetWriter(aside, table.schema, compression="zstd", use_dictionary=["label", "attributes"]) as writer:
        for start in range(0, max(table.num_rows, 1), ROWS):
            # In one chunk, since chunk boundaries can become page boundaries.
            writer.write_table(table.slice(start, ROWS).combine_chunks(), row_group_size=ROWS)
    return aside


def _holds(path: Path, table: pa.Table) -> bool:
    start = 0
    with pq.ParquetFile(path) as file:
        if file.metadata.num_rows != len(table) or not file.schema_arrow.equals(table.schema, check_metadata=True):
            return False
        for number in range(file.num_row_groups):
            rows = file.read_row_group(number)
            if not rows.equals(table.slice(start, len(rows))):
                return False
            start += len(rows)
    return True
