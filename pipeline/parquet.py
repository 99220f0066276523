"""Tables in Parquet files and columns of Arrow, without pandas, whose import takes longer than ingest does."""

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

# Arrow's own pool keeps much of what it was once given.
pa.set_memory_pool(pa.system_memory_pool())


# Rows that are written at a time, which bounds what writing takes of memory.
ROWS = 2**13
# Runs of so many rows on average are cheaper to point to than to copy.
RUN = 2**9


# A column of text that grows by `append`. `pa.array` would import pandas, which takes longer than all that ingest does
# when there is nothing new.
Strings = pa.lib.StringBuilder


def strings(values: Iterable[str | None]) -> pa.StringArray:
    """`values` as a column, without pandas; they are taken one by one."""
    column = Strings()
    for value in values:
        column.append(value)
    return column.finish()


def without_rows(schema: pa.Schema) -> pa.Table:
    """An empty table of `schema`, likewise without pandas."""
    return pa.Table.from_batches([], schema)


def blank(count: int) -> pa.StringArray:
    """A column of so many empty texts."""
    return pa.StringArray.from_buffers(count, pa.py_buffer(np.zeros(count + 1, np.int32)), pa.py_buffer(b""))


def integers(values: Iterable[int]) -> pa.Int32Array:
    """`values` as a column of 32 bits each, likewise."""
    data = np.fromiter(values, np.int32)
    return pa.Array.from_buffers(pa.int32(), len(data), [None, pa.py_buffer(data)])


def column_of(values: npt.NDArray[np.integer[Any]]) -> pa.Array:
    """`values`, shape (rows,), as a column of the same width, likewise."""
    data = np.ascontiguousarray(values)
    return pa.Array.from_buffers(pa.type_for_alias(data.dtype.name), len(data), [None, pa.py_buffer(data)])


def hexadecimal(data: bytes, size: int) -> pa.StringArray:
    """A column of the values in `data`, of `size` bytes each, in hexadecimal."""
    text = pa.py_buffer(data.hex().encode())
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(2 * size), len(data) // size, [None, text]).cast(pa.string())


def packed(column: pa.ChunkedArray | pa.StringArray) -> bytes:
    """The bytes that the texts of a `column` say in hexadecimal."""
    return b"".join(unhexlify(_characters(chunk)) for chunk in _chunks(column) if len(chunk))


def characters(column: pa.ChunkedArray | pa.StringArray) -> bytes:
    """Those of all texts of a `column`, one after another."""
    return b"".join(_characters(chunk) for chunk in _chunks(column) if len(chunk))


def _characters(texts: pa.StringArray) -> memoryview:
    ends = np.frombuffer(texts.buffers()[1], np.int32)
    return memoryview(texts.buffers()[2] or b"")[ends[texts.offset] : ends[texts.offset + len(texts)]]


def _chunks(column: pa.ChunkedArray | pa.Array) -> list[pa.Array]:
    return column.chunks if isinstance(column, pa.ChunkedArray) else [column]


def lengths(column: pa.ChunkedArray) -> npt.NDArray[np.int32]:
    """How many bytes each text of a `column` has, shape (rows,)."""
    chunks = [chunk for chunk in column.chunks if len(chunk)]
    ends = (np.frombuffer(chunk.buffers()[1], np.int32)[chunk.offset :][: len(chunk) + 1] for chunk in chunks)
    return np.concatenate([np.empty(0, np.int32), *map(np.diff, ends)])


def numbers(table: pa.Table, column: str) -> npt.NDArray[np.integer[Any]]:
    """The column of integers as an array of the same width, shape (rows,), not to be written to."""
    return values(table[column])


def values(column: pa.ChunkedArray | pa.Array) -> npt.NDArray[np.integer[Any]]:
    """The same of a `column` by itself."""
    dtype = np.dtype(str(column.type))
    found = [np.frombuffer(c.buffers()[1], dtype)[c.offset :][: len(c)] for c in _chunks(column) if len(c)]
    return found[0] if len(found) == 1 else np.concatenate([np.empty(0, dtype), *found])


def rows_at(table: pa.Table, rows: npt.NDArray[np.integer[Any]]) -> pa.Table:
    """The `rows` of `table`, in their order; where long runs of them follow each other, nothing is copied."""
    starts = np.flatnonzero(np.diff(rows, prepend=-2) != 1)
    if len(starts) * RUN > len(rows):
        return table.take(column_of(rows))
    runs = zip(rows[starts].tolist(), np.diff(starts, append=len(rows)).tolist(), strict=True)
    return pa.concat_tables([table.slice(0, 0), *(table.slice(row, count) for row, count in runs)])


def read_table(path: Path, schema: pa.Schema, columns: list[str] | None = None) -> pa.Table:
    """The table in the Parquet file `path`, or an empty one of `schema` where there is no such file."""
    if not path.exists():
        return without_rows(schema) if columns is None else without_rows(schema).select(columns)
    # Not `pq.read_table`, which imports pandas.
    with pq.ParquetFile(path) as file:
        return file.read(columns)


def write_tables(tables: Mapping[Path, pa.Table]) -> None:
    """Write each table to its path, unless the path holds it already; the paths change one after another, in order.

    Parquet's bytes change with the version of pyarrow, so a file of equal content is left as it is.
    """
    with ThreadPoolExecutor(len(tables)) as pool:  # Arrow encodes each file on one core.
        written = list(pool.map(_write_aside, tables.values(), tables))
    for path, aside in zip(tables, written, strict=True):
        if aside is not None:
            put(aside, path)


def _write_aside(table: pa.Table, path: Path) -> Path | None:
    """Write `table` to a file that is to replace `path`; None where `path` holds it already."""
    if path.exists() and _holds(path, table):
        return None
    aside = paths.PROGRESS / path.name
    aside.parent.mkdir(parents=True, exist_ok=True)
    # Most columns have a different value in each row, of which a dictionary would be another copy.
    with pq.ParquetWriter(aside, table.schema, compression="zstd", use_dictionary=["label", "attributes"]) as writer:
        for start in range(0, max(table.num_rows, 1), ROWS):
            # In one piece, since where pieces end is where pages may end.
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
