"""data/images/index.parquet: which images there are, and where their bytes lie.

It is written last, so what it names is there.
"""

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import paths, store
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


def read_table(path: Path, schema: pa.Schema, columns: list[str] | None = None) -> pa.Table:
    """The table in the Parquet file `path`, or an empty one of `schema` where there is no such file."""
    if not path.exists():
        return schema.empty_table() if columns is None else schema.empty_table().select(columns)
    return pq.read_table(path, columns=columns)


def write_table(table: pa.Table, path: Path) -> None:
    """Write `table` to `path` in one step, unless that is what `path` holds already.

    Parquet's bytes change with the version of pyarrow; a file that says the same is left as it is.
    """
    if path.exists() and pq.read_table(path).equals(table, check_metadata=True):
        return
    aside = path.with_name(path.name + ".new")
    with aside.open("wb") as file:
        pq.write_table(table, file, compression="zstd")
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)
