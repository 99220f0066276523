"""Check whether a file contains or lists certain images, by member names, by ids, or by reading its bytes."""

import csv
import tarfile
import zipfile
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from pipeline import parquet
from pipeline.files import md5_of_bytes
from pipeline.images.shards import END, names_in, size_of_image
from pipeline.ingestion.decoding import MAX_FILE
from pipeline.ingestion.unpacking import archives
from pipeline.lineage.seen_images import find_seen


def has_seen_any(path: Path, ids: Iterable[str]) -> bool:
    """Whether the file `path`, the seen.npz of a model, lists one of `ids`.

    Raises:
        CheckpointError: the file cannot be read.
    """
    return any(find_seen(path, one) for one in ids)


def lists_any(path: Path, ids: Collection[str]) -> bool:
    """Whether the CSV file `path`, whose first column is an id, has a line for one of `ids`."""
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        return any(row and row[0] in ids for row in csv.reader(file))


def holds_more(size: int, number: int, rows: pa.Table) -> bool:
    """Whether shard `number`, of `size` bytes, is larger than the images that the index `rows` list in it."""
    there = rows.filter(pc.equal(pc.cast(rows["shard"], pa.int64()), number))
    live = int(size_of_image(parquet.numbers(there, "length")).sum()) if there.num_rows else 0
    return size > live + len(END)


def rows_of(path: Path | None, schema: pa.Schema, columns: list[str]) -> pa.Table | None:
    """Return `columns` of the Parquet file `path`; None if it is not a table with `schema`."""
    try:
        table = parquet.read_table(path, schema, columns) if path else None
    except (OSError, ValueError, LookupError, pa.ArrowException):
        return None
    return table if table is not None and table.column_names == columns else None


def stems_in(path: Path) -> Iterator[str]:
    """Yield the names of an archive's members without folders and suffixes; in a shard, these are ids."""
    try:
        names = names_in(path)
    except (tarfile.TarError, OSError, EOFError):
        return
    yield from (Path(name).stem for name in names)


def is_any_archive(path: Path) -> bool:
    """Whether the file `path` is a tar or zip archive, by its content."""
    with suppress(OSError):
        return tarfile.is_tarfile(path) or zipfile.is_zipfile(path)
    return False


def is_checkpoint(path: Path) -> bool:
    """Whether the file `path` is a checkpoint in PyTorch's format."""
    with suppress(*archives.BROKEN), zipfile.ZipFile(path) as archive:
        return any(name.endswith("/data.pkl") for name in archive.namelist())
    return False


def archive_holds(path: Path, ids: Collection[str]) -> bool:
    """Whether a member of the archive `path` is one of the images `ids`; unreadable members are ignored."""
    with suppress(*archives.BROKEN):
        archive = archives.open_archive(path)
        for member in archive.members():
            with suppress(*archives.BROKEN):
                if md5_of_bytes(archive.read(member.position, MAX_FILE)) in ids:
                    return True
    return False
