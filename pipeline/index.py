"""data/images/index.parquet: which images there are, and where their bytes lie.

It is written last, so what it names is there.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import paths, store
from pipeline.publish import put
from pipeline.record import read_record

INDEX = paths.IMAGES / "index.parquet"
SCHEMA = pa.schema(
    {
        "id": pa.string(),  # MD5 of the raw file's bytes, in hexadecimal
        "label": pa.string(),
        "source": pa.string(),  # the first of its places in data/raw
        "shard": pa.int32(),
        "offset": pa.int64(),  # of its first byte in the shard
        "length": pa.int32(),  # in bytes
        "width": pa.int32(),
        "height": pa.int32(),
        "md5": pa.string(),  # of the stored bytes
        "key": pa.string(),  # what the image shows, coarsely: see phash.py
        "descriptor": pa.binary(64),  # the same, finely
    }
)


def restore(*, mend: str) -> None:
    """Bring back data/images as dvc.lock records it, where the workspace has none and it was ever recorded.

    Raises:
        MissingDataError: neither cache nor remote has it.
    """
    ingested = read_record().get("ingest")
    if not INDEX.exists() and ingested and paths.IMAGES.as_posix() in ingested.outs:
        store.checkout("ingest", paths.IMAGES, mend=mend)


def strings(values: Sequence[str]) -> pa.StringArray:
    """`values` as a column.

    Like `integers` made from buffers, because `pa.array` imports pandas, which takes longer than all that ingest does
    when there is nothing new.
    """
    encoded = [value.encode() for value in values]
    offsets = np.zeros(len(encoded) + 1, np.int32)
    np.cumsum([len(value) for value in encoded], out=offsets[1:])
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(b"".join(encoded))]
    return pa.Array.from_buffers(pa.string(), len(encoded), buffers)


def integers(values: Sequence[int]) -> pa.Int32Array:
    """`values` as a column of 32 bits each."""
    return pa.Array.from_buffers(pa.int32(), len(values), [None, pa.py_buffer(np.array(values, np.int32))])


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
    if path.exists() and read_table(path, table.schema).equals(table, check_metadata=True):
        return
    aside = paths.PROGRESS / path.name
    aside.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, aside, compression="zstd")
    put(aside, path)
