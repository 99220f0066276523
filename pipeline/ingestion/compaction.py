"""Folding small shards together, and leaving out what no image is kept in; which changes no manifest.

Each run appends a shard of its own, so they pile up; and what was removed from data/raw stays in its shard, unless it
is to be erased.
"""

import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline import parquet, paths
from pipeline.errors import ImagesError
from pipeline.files import md5_of_bytes, put
from pipeline.images.shards import END, ShardReader, ShardWriter, last_shard, names_in, shard_name, size_of_image

Numbers = npt.NDArray[np.integer[Any]]
# So many small shards may lie about.
MAX_SMALL = 16


def compact(table: pa.Table, *, limit: int, also: Collection[int] = ()) -> pa.Table:
    """Write what is worth it, and the shards `also`, into new shards of at most `limit` bytes in data/images.

    Returns:
        `table`, the index, with the places where its images are now. The old shards are still there.

    Raises:
        ImagesError: an image that was to be copied is damaged.
    """
    moving = _shards_to_move(table, limit) | set(also)
    if not moving:
        return table
    aside = paths.PROGRESS / "compaction"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    shards, offsets = parquet.numbers(table, "shard").copy(), parquet.numbers(table, "offset").copy()
    rows = np.flatnonzero(np.isin(shards, sorted(moving)))
    columns = [table[name] for name in ("id", "length", "md5")]
    with (
        ShardReader(paths.IMAGES) as reader,
        ShardWriter(aside, first=last_shard(paths.IMAGES) + 1, limit=limit) as writer,
    ):
        for row in rows[np.lexsort((offsets[rows], shards[rows]))].tolist():
            image_id, length, md5 = (column[row].as_py() for column in columns)
            data = reader.read(int(shards[row]), int(offsets[row]), length)
            if md5_of_bytes(data) != md5:
                where = paths.IMAGES / shard_name(int(shards[row]))
                raise ImagesError(where, f"image {image_id} is damaged", "run `dvc repro` again, to decode it again")
            suffix = "png" if data.startswith(b"\x89PNG") else "jpg"
            shards[row], offsets[row] = writer.append(f"{image_id}.{suffix}", data)
    for path in aside.iterdir():
        put(path, paths.IMAGES / path.name)
    for name, values in (("shard", shards), ("offset", offsets)):
        field = table.schema.field(name)
        table = table.set_column(table.schema.get_field_index(name), field, pa.array(values, field.type))
    return table


def undamaged(table: pa.Table) -> pa.Table:
    """The rows of the index `table` whose images are in data/images as it says; reads them all."""
    with ShardReader(paths.IMAGES) as reader:
        places = zip(*(table[name].to_pylist() for name in ("shard", "offset", "length", "md5")), strict=True)
        whole = [_md5(reader, *place) == md5 for *place, md5 in places]
    return table if all(whole) else table.filter(pa.array(whole))


def _md5(reader: ShardReader, shard: int, offset: int, length: int) -> str | None:
    try:
        return md5_of_bytes(reader.read(shard, offset, length))
    except FileNotFoundError:
        return None


def holding_removed(table: pa.Table, ids: Collection[str] | None) -> set[int]:
    """The shards that the index `table` names, and that hold an image which it has not there any more.

    One of `ids`, or any image where that is None.
    """
    if ids is not None and not ids:
        return set()
    shards, sizes, live = _sizes(table)
    suspects = set(shards[sizes > live + len(END)].tolist())
    return suspects if ids is None else {shard for shard in suspects if not removed_in(table, shard).isdisjoint(ids)}


def removed_in(table: pa.Table, shard: int) -> set[str]:
    """The ids of the images in shard `shard` that the index `table` has not there."""
    there = table["id"].filter(pc.equal(table["shard"], shard)).to_pylist()
    return {Path(name).stem for name in names_in(paths.IMAGES / shard_name(shard))} - set(there)


def _shards_to_move(table: pa.Table, limit: int) -> set[int]:
    """The shards that are mostly dead, and, if there are too many, those that are small."""
    shards, sizes, live = _sizes(table)
    dead, small = set(shards[live < sizes / 2].tolist()), set(shards[sizes < limit / 2].tolist())
    return dead | small if len(small) > MAX_SMALL else dead


def _sizes(table: pa.Table) -> tuple[Numbers, Numbers, Numbers]:
    """The shards that `table` names, their sizes in bytes, and what its images take of them; shape (shards,) each."""
    shards, position = np.unique(parquet.numbers(table, "shard"), return_inverse=True)
    sizes = np.array([(paths.IMAGES / shard_name(shard)).stat().st_size for shard in shards.tolist()], np.int64)
    live = np.bincount(position, size_of_image(parquet.numbers(table, "length")), minlength=len(shards))
    return shards, sizes, live.astype(np.int64)
