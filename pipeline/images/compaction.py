"""Compaction of shards: merging small ones, and dropping bytes of removed images. No manifest changes.

Each run adds a new shard, so small shards pile up. Images that are removed from data/raw stay in their shard, unless
they have to be erased.
"""

import shutil
from collections.abc import Collection, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline import parquet, paths
from pipeline.errors import ImagesError
from pipeline.files import md5_of_bytes, put
from pipeline.images.shard_files import ShardFile, are_here, bring
from pipeline.images.shards import END, ShardReader, ShardWriter, last_shard, names_in, shard_name, size_of_image
from pipeline.versioning.fetching import PUSH_FIRST

NONE: Mapping[int, ShardFile] = MappingProxyType({})
Numbers = npt.NDArray[np.integer[Any]]
# More small shards than this are merged.
MAX_SMALL = 16


def compact(
    table: pa.Table, *, limit: int, also: Collection[int] = (), files: Mapping[int, ShardFile] = NONE
) -> pa.Table:
    """Copy the images of shards worth compacting, and of the shards `also`, to new shards of at most `limit` bytes.

    Only local shards are compacted, and the shards `also`, which are fetched if they are in `files` and not local.

    Returns:
        `table`, the index, with the new places of its images. The old shards are not deleted.

    Raises:
        ImagesError: an image to copy is damaged.
        MissingDataError: neither cache nor remote has a shard that is needed.
    """
    moving = _shards_to_move(table, limit) | set(also)
    if not moving:
        return table
    _bring(files, also)
    aside = paths.PROGRESS / "compaction"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    shards, offsets = parquet.numbers(table, "shard").copy(), parquet.numbers(table, "offset").copy()
    rows = np.flatnonzero(np.isin(shards, sorted(moving)))
    columns = [table[name] for name in ("id", "length", "md5")]
    with (
        ShardReader(paths.SHARDS) as reader,
        ShardWriter(aside, first=last_number(table) + 1, limit=limit) as writer,
    ):
        for row in rows[np.lexsort((offsets[rows], shards[rows]))].tolist():
            image_id, length, md5 = (column[row].as_py() for column in columns)
            data = reader.read(int(shards[row]), int(offsets[row]), length)
            if md5_of_bytes(data) != md5:
                where = paths.SHARDS / shard_name(int(shards[row]))
                raise ImagesError(where, f"image {image_id} is damaged", "run `dvc repro` again, to decode it again")
            suffix = "png" if data.startswith(b"\x89PNG") else "jpg"
            shards[row], offsets[row] = writer.append(f"{image_id}.{suffix}", data)
    for path in aside.iterdir():
        put(path, paths.SHARDS / path.name)
    return _with_places(table, shards, offsets)


def _with_places(table: pa.Table, shards: Numbers, offsets: Numbers) -> pa.Table:
    """Return the index `table` with the columns shard and offset replaced, shape (rows,) each."""
    for name, values in (("shard", shards), ("offset", offsets)):
        field = table.schema.field(name)
        table = table.set_column(table.schema.get_field_index(name), field, pa.array(values, field.type))
    return table


def last_number(table: pa.Table) -> int:
    """Return the highest number of a shard in data/shards or in the index `table`, -1 if there is no shard."""
    return max(last_shard(paths.SHARDS), int(parquet.numbers(table, "shard").max(initial=-1)))


def undamaged(table: pa.Table, suspects: Collection[int]) -> pa.Table:
    """Return the index `table` without the images of the shards `suspects` that are missing or damaged.

    It reads all images of these shards from data/shards.
    """
    if not suspects:
        return table  # Filtering would copy it.
    checked = table.filter(pc.is_in(table["shard"], parquet.integers(sorted(suspects))))
    with ShardReader(paths.SHARDS) as reader:
        columns = (checked[name].to_pylist() for name in ("id", "shard", "offset", "length", "md5"))
        damaged = [one for one, *place, md5 in zip(*columns, strict=True) if _md5(reader, *place) != md5]
    return table.filter(pc.invert(pc.is_in(table["id"], parquet.strings(damaged)))) if damaged else table


def _md5(reader: ShardReader, shard: int, offset: int, length: int) -> str | None:
    try:
        return md5_of_bytes(reader.read(shard, offset, length))
    except FileNotFoundError:
        return None


def holding_removed(table: pa.Table, ids: Collection[str] | None, files: Mapping[int, ShardFile] = NONE) -> set[int]:
    """Return the shards of the index `table` that still hold an image which the index no longer has in that shard.

    Only the images `ids` count, or all images if `ids` is None. Shards that are not in data/shards are fetched if they
    are in `files`, and skipped otherwise.

    Raises:
        MissingDataError: neither cache nor remote has one of these shards.
    """
    if ids is not None and not ids:
        return set()
    shards, sizes, live = _sizes(table, files)
    suspects = set(shards[sizes > live + len(END)].tolist())
    if ids is None:
        return suspects
    _bring(files, suspects)
    return {shard for shard in suspects if not removed_in(table, shard).isdisjoint(ids)}


def removed_in(table: pa.Table, shard: int) -> set[str]:
    """Return the ids of images that are in shard `shard`, but not there according to the index `table`."""
    there = table["id"].filter(pc.equal(table["shard"], shard)).to_pylist()
    return {Path(name).stem for name in names_in(paths.SHARDS / shard_name(shard))} - set(there)


def _shards_to_move(table: pa.Table, limit: int) -> set[int]:
    """Return the local shards that are mostly unused bytes and, if there are more than `MAX_SMALL`, the small ones."""
    shards, sizes, live = _sizes(table, NONE)
    is_here = np.isin(shards, sorted(are_here(shards.tolist())))
    shards, sizes, live = shards[is_here], sizes[is_here], live[is_here]
    dead, small = set(shards[live < sizes / 2].tolist()), set(shards[sizes < limit / 2].tolist())
    return dead | small if len(small) > MAX_SMALL else dead


def _sizes(table: pa.Table, files: Mapping[int, ShardFile]) -> tuple[Numbers, Numbers, Numbers]:
    """Return the shards of `table`, their sizes, and the bytes that its images occupy in them; shape (shards,) each.

    The size of a shard that is not local comes from `files`. If it is not known there, all bytes count as used.
    """
    of_image = parquet.numbers(table, "shard")
    shards = np.flatnonzero(np.bincount(of_image))
    live = np.bincount(of_image, size_of_image(parquet.numbers(table, "length")))[shards]
    sizes, here = live.astype(np.int64) + len(END), are_here(shards.tolist())
    for row, number in enumerate(shards.tolist()):
        if number in here:
            sizes[row] = (paths.SHARDS / shard_name(number)).stat().st_size
        elif number in files and files[number].size >= 0:
            sizes[row] = files[number].size
    return shards, sizes, live.astype(np.int64)


def _bring(files: Mapping[int, ShardFile], numbers: Collection[int]) -> None:
    """Fetch the shards `numbers`, as far as `files` has them, into data/shards."""
    bring({number: files[number] for number in numbers if number in files}, hint=PUSH_FIRST)
