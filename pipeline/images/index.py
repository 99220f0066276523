"""data/images/index.parquet: which images exist, and where their bytes are stored.

It is written last, so everything that it refers to exists.
"""

import pyarrow as pa
import pyarrow.compute as pc

from pipeline import paths
from pipeline.files import md5_of_file, put_copy
from pipeline.versioning import fetching, hashing, objects, repository
from pipeline.versioning.lock import StageRecord, read_record

# Arrow's default pool does not return much of its freed memory to the system.
pa.set_memory_pool(pa.system_memory_pool())

INDEX = paths.IMAGES / "index.parquet"
SCHEMA = pa.schema(
    {
        "id": pa.string(),  # MD5 of the raw file's bytes, in hexadecimal
        "label": pa.string(),
        "source": pa.string(),  # the first of its paths in data/raw
        "attributes": pa.string(),  # further columns of labels.csv: see labels.py
        "shard": pa.int32(),
        "offset": pa.int64(),  # of its first byte in the shard
        "length": pa.int32(),  # in bytes
        "width": pa.int32(),
        "height": pa.int32(),
        "md5": pa.string(),  # of the stored bytes
        "key": pa.string(),  # a coarse perceptual hash: see perceptual_hash.py
        "descriptor": pa.binary(64),  # a fine perceptual hash
    }
)

# Columns that are written only if they have values. They are null where an older release wrote the index.
FURTHER = pa.schema(
    {
        "reader": pa.string(),  # what determines the stored bytes besides the recipe: see pictures/formats.py
        "patient": pa.string(),  # hash of a DICOM file's patient; empty for other images
    }
)
WHOLE = pa.schema([*SCHEMA, *FURTHER])


def completed(table: pa.Table) -> pa.Table:
    """Return the index `table` with all columns of `FURTHER`; missing ones are null."""
    for field in FURTHER:
        if field.name not in table.column_names:
            table = table.append_column(field, pa.nulls(len(table), field.type))
    return table


def shortened(table: pa.Table) -> pa.Table:
    """Return the index `table` without the columns of `FURTHER` that have no values, as older releases wrote it."""
    reader, patient = (table[name] for name in FURTHER.names)
    says = {"reader": reader.null_count < len(table), "patient": bool(pc.max(pc.binary_length(patient)).as_py())}
    return table.drop_columns([name for name in FURTHER.names if not says[name]])


def restore(*, hint: str) -> None:
    """Restore data/images as recorded in dvc.lock, if the workspace has no index and dvc.lock records one.

    Shards, which releases before data/shards kept in data/images, are not restored.

    Raises:
        MissingDataError: neither cache nor remote has a file of it.
    """
    if INDEX.exists():
        return
    found = {
        name: fetching.fetch_file(md5, what=str(paths.IMAGES / name), hint=hint)
        for name, md5 in recorded_files(hint=hint).items()
        if not name.endswith(".tar")
    }
    for name in sorted(found, key=lambda name: name == INDEX.name):  # The index last.
        put_copy(found[name], paths.IMAGES / name)


def recorded_files(*, hint: str) -> dict[str, str]:
    """Return the MD5s of the files in data/images by name, as recorded in dvc.lock; empty if it records none.

    Raises:
        MissingDataError: neither cache nor remote has the directory listing.
    """
    ingested = read_record().get("ingest")
    oid = ingested.outs.get(paths.IMAGES.as_posix()) if ingested else None
    return fetching.fetch_listing(oid, what=paths.IMAGES.as_posix(), hint=hint) if oid else {}


def is_recorded(ingested: StageRecord) -> bool:
    """Whether the index is the one that dvc.lock records as `ingested`. Damaged or added shards do not matter."""
    oid = ingested.outs.get(paths.IMAGES.as_posix())
    if oid is None or not INDEX.exists():
        return False
    files = objects.listing(repository.repository(), oid)
    if files is None:  # DVC cannot use such a record either; then all of data/images has to match.
        return hashing.known_directory_hash(paths.IMAGES) == oid
    return md5_of_file(INDEX) == files.get(INDEX.name)
